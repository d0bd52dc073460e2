"""Fund texts: name and description, cleaned, as vectors of a frozen sentence model.

The texts are those of the table of funds, which has no dates: a name is as old as the last
renaming, and a description may have been written by somebody who knew how it went on.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finembed_core.embeddings.sentences import MODEL, SIZE, SentenceModel, installed
from finembed_core.errors import SettingsError
from finembed_core.fingerprint import digest
from finembed_core.stage import Output, Stage
from finembed_core.store import PartStore

TABLE, KEY, VECTOR = "text_vectors", "all", "vector"
ABSENT = "absent: no text model is installed (pip install 'finembed[text]')"
MISSING, UNREADABLE, NO_MODEL = "missing", "unreadable", "no_model"
"""Why a fund has no vector: no text, none of it in the model's vocabulary, no model."""

SCHEMA = {
    "fund_id": pl.String(),
    "text": pl.String(),
    "tokens": pl.Int64(),
    "truncated": pl.Boolean(),
    "reason": pl.String(),
    VECTOR: pl.Array(pl.Float32, SIZE),
}
LOWER, UPPER = "a-zß-öø-ÿ", "A-ZÀ-ÖØ-Þ"
SEAMS = re.compile(f"(?<=[{LOWER}])(?=[{UPPER}0-9])|(?<=[{UPPER}0-9])(?=[{UPPER}][{LOWER}])")


def fund_text(name: str | None, description: str | None) -> str:
    """What a sentence model is told about a fund; empty where nothing is said in words.

    Examples
    --------
    >>> fund_text("AxisBankingDebtFundSeries3Growth", None)
    'Axis Banking Debt Fund Series 3 Growth'
    >>> fund_text(" iShares  MSCI EAFE ETF", "Tracks  large companies.")
    'iShares MSCI EAFE ETF. Tracks large companies.'
    >>> fund_text("-", None)
    ''
    """
    return ". ".join(part for part in (_clean(name), _clean(description)) if part)


@dataclass(frozen=True)
class FundTexts:
    """What vectors are made from.

    Attributes
    ----------
    fund_ids, texts : tuple of str, length n
    model : str or None
        None where none is installed.
    """

    fund_ids: tuple[str, ...]
    texts: tuple[str, ...]
    model: str | None

    def digest(self) -> str:
        """Hash of all of it."""
        return digest(self)


def text_stage(store: PartStore) -> Stage[FundTexts]:
    """Vectors of the texts of all funds with daily returns, key ``all``; stale with any text."""

    def gather(key: str) -> FundTexts:
        return fund_texts(store.read("daily_funds", key))

    return Stage(
        name=TABLE,
        tables=(TABLE,),
        sections=(),
        modules=(
            "finembed_core.embeddings.text",
            "finembed_core.embeddings.sentences",
            "finembed_core.encoders.minilm",
            "finembed_core.learning.loop",
        ),
        gather=gather,
        compute=text_vectors,
    )


def fund_texts(funds: pl.DataFrame) -> FundTexts:
    """Cleaned texts of a table of funds, and the model that is there to read them."""
    texts = [fund_text(*row) for row in funds.select("name", "description").iter_rows()]
    return FundTexts(tuple(funds["fund_id"]), tuple(texts), MODEL if installed() else None)


def text_vectors(inputs: FundTexts) -> Mapping[str, Output]:
    """The part: a row per fund, with the reason where there is no vector.

    Its note ``text_tower`` names the model, or says in one line that it is absent.
    """
    if inputs.model is None:
        reasons = [NO_MODEL if text else MISSING for text in inputs.texts]
        columns = {"fund_id": inputs.fund_ids, "text": inputs.texts, "reason": reasons}
        frame = pl.DataFrame({c: columns.get(c) for c in SCHEMA}, schema=SCHEMA)
        return {TABLE: Output(frame, notes={"text_tower": ABSENT})}
    frame = _encoded(inputs)
    notes = {
        "text_tower": inputs.model,
        "funds": frame.height,
        "with_text": frame[VECTOR].count(),
        "truncated": int(frame["truncated"].sum()),
        **{why: int((frame["reason"] == why).sum()) for why in (MISSING, UNREADABLE)},
    }
    return {TABLE: Output(frame, notes=notes)}


def _encoded(inputs: FundTexts) -> pl.DataFrame:
    place = {text: k for k, text in enumerate(sorted({*inputs.texts} - {""}))}
    sentences = SentenceModel().encode(list(place))
    rows = []
    for fund_id, text in zip(inputs.fund_ids, inputs.texts, strict=True):
        if not text:
            rows.append((fund_id, text, None, None, MISSING, None))
            continue
        k = place[text]
        readable = sentences.readable[k]
        told = int(sentences.tokens[k]), bool(sentences.truncated[k])
        vector = sentences.vectors[k] if readable else None
        rows.append((fund_id, text, *told, None if readable else UNREADABLE, vector))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


@dataclass(frozen=True)
class TextVectors:
    """Sentence vectors as a network takes them.

    Attributes
    ----------
    fund_ids : tuple of str, length N
    vectors : ndarray of float32, shape (N, E)
        E is 0 where no fund has a vector: then there is no text tower.
    has_text : ndarray of bool, shape (N,)
    """

    fund_ids: tuple[str, ...]
    vectors: NDArray[np.float32]
    has_text: NDArray[np.bool_]

    @classmethod
    def read(cls, store: PartStore) -> TextVectors:
        """From the part; MissingPartError where it has not been built."""
        return cls.of(store.read(TABLE, KEY))

    @classmethod
    def of(cls, frame: pl.DataFrame) -> TextVectors:
        """From the frame of the part."""
        has_text = frame[VECTOR].is_not_null().to_numpy()
        vectors = np.zeros((frame.height, SIZE if has_text.any() else 0), dtype=np.float32)
        if has_text.any():
            vectors[has_text] = frame[VECTOR].drop_nulls().to_numpy()
        return cls(tuple(frame["fund_id"]), vectors, has_text)

    @property
    def size(self) -> int:
        """E."""
        return self.vectors.shape[1]

    def select(self, fund_ids: Sequence[str]) -> TextVectors:
        """These funds in this order; one that has no row has no text."""
        place = {name: k for k, name in enumerate(self.fund_ids)}
        rows = np.array([place.get(name, -1) for name in fund_ids], dtype=np.int64)
        found = rows >= 0
        vectors = np.zeros((len(rows), self.size), dtype=np.float32)
        vectors[found] = self.vectors[rows[found]]
        has_text = np.zeros(len(rows), dtype=np.bool_)
        has_text[found] = self.has_text[rows[found]]
        return TextVectors(tuple(fund_ids), vectors, has_text)

    def require_size(self, size: int) -> None:
        """Refuse a checkpoint whose text tower takes vectors of another size.

        Raises
        ------
        SettingsError
        """
        if size != self.size:
            here = f"vectors of {self.size} numbers" if self.size else "none (see `text_tower`)"
            raise SettingsError(
                f"the model was trained with text vectors of {size} numbers",
                where=f"table {TABLE}: {here}",
                remedy="pip install 'finembed[text]' and run again, or train the model anew",
            )


def _clean(text: str | None) -> str:
    """One line of whole words; a name written as one word is taken apart at its capitals."""
    printable = "".join(
        " " if unicodedata.category(mark) in ("Cc", "Cs", "Co") else mark
        for mark in unicodedata.normalize("NFC", text or "")
    )
    words = printable.split()
    if not any(mark.isalnum() for mark in printable):
        return ""
    return SEAMS.sub(" ", words[0]) if len(words) == 1 else " ".join(words)
