"""Every threshold is a setting that decides: moved, it changes what is kept aside.

A case is a world, a setting, the value it is moved to, and the rule whose verdict appears or goes.
"""

import numpy as np
import polars as pl
import pytest

from finembed_core.errors import InputError
from finembed_core.ingest.contracts import check
from finembed_core.ingest.daily import daily_panel
from finembed_core.ingest.funds import fund_months
from finembed_core.ingest.quality import _fund_reasons, _series_reasons
from finembed_core.ingest.stage import prepare
from finembed_core.ingest.verdicts import RULES
from finembed_core.settings import IngestSettings, NavSettings, Section, Settings
from finembed_core.sources.tables import InputTables
from tests.daily_worlds import daily_tables, embedding_settings, prints, sessions

from .worlds import FIRST, navs, noise, returns, settings, tables

CALM = noise(3, 20)
DAYS = sessions(60)
WITHOUT_THRESHOLD = {
    "not_finite": "NaN and infinity are what they are",
    "nav_not_positive": "the limit is 0",
    "aum_negative": "the limit is 0",
    "available_before_date": "one date comes before another",
    "after_death": "the month of death is given; dataset.fund_lag_days says when it is known",
    "return_below_minus_100": "the limit is -100%",
    "contradictory_prints": "two values differ or do not",
    "later_print": "one is known first",
    "out_of_order": "one is known first",
}
COUNTED = {
    "gap": "a month is missing or not",
    "missing_aum": "assets are there or not",
    "fall_by_face_factor": "the factors of face_value_change",
    "constant_series": "a series moves or not",
    "short_history": "universe.min_history_months",
}
ELSEWHERE = {"maturing_categories": "names of categories, no threshold"}


def grown(values, start: float = 12.0) -> list[float]:
    return (start * np.cumprod(1.0 + np.asarray(values))).tolist()


def path(*moves: float, after: int = 10) -> InputTables:
    """NAVs of a calm fund with these growth factors in the months from `after` on."""
    growth = 1.0 + np.asarray(CALM)
    growth[after : after + len(moves)] = moves
    return tables(navs("A", (16.0 * np.cumprod(growth)).tolist()))


def restart(before: float, face: float, months: int = 10) -> InputTables:
    """A calm fund that goes on at `face`, having stood at `before`."""
    early = np.array(grown(CALM[:months]))
    return tables(navs("A", [*(early * before / early[-1]), face, *grown(CALM[:6], face)]))


def copies(other, same=None) -> InputTables:
    return tables(returns("A", same or ROUNDED), returns("B", other))


def quoted_jump() -> InputTables:
    """A misprint undone, where returns are quoted to three decimals beside the NAVs."""
    levels = np.array(grown(CALM))
    levels[12] *= 1.7
    given = np.r_[0.0, np.round(levels[1:] / levels[:-1] - 1.0, 3)]
    rows = navs("A", levels.tolist()).with_columns(ret=pl.Series(given))
    return tables(rows)


def two_in_a_month() -> InputTables:
    rows = returns("A", CALM)
    again = rows[5:6].with_columns(pl.col("date").dt.offset_by("-9d"), ret=pl.lit(0.001))
    return tables(rows, again)


def smoothed() -> InputTables:
    true = np.random.default_rng(1).normal(0, 0.02, 60)
    return tables(returns("A", (0.5 * true[2:] + 0.3 * true[1:-1] + 0.2 * true[:-2]).tolist()))


ROUNDED = np.round(noise(5, 24), 3).tolist()
IDLE = [0.01 * (k + 1) if k % 3 == 0 else 0.0 for k in range(24)]
SMALL = [1.4, 1.0 / 1.4]
MONTHLY = [
    ("max_abs_return", 2.0, "return_above_limit", lambda: tables(returns("A", [0.1, 1.5]))),
    ("stale_months", 5, "stale_nav", lambda: tables(returns("A", [0.01, *[0.0] * 5, 0.02]))),
    ("duplicate_months", 12, "duplicate_fund", lambda: copies(ROUNDED[:12], ROUNDED[:12])),
    ("duplicate_decimals", 4, "duplicate_fund", lambda: copies([r + 1e-6 for r in ROUNDED])),
    ("duplicate_moving", 0.3, "duplicate_fund", lambda: copies(IDLE, IDLE)),
    ("drop_first_months", 2, "instant_history", lambda: tables(returns("A", CALM))),
    ("dead_after_missing", 5, "return_over_gap", lambda: tables(navs("A", GAP))),
    ("quoted_tolerance", 1e-3, "nav_jump_undone", quoted_jump),
    ("max_silent_months", 24, "silence", lambda: tables(returns("A", SILENT))),
    ("max_double_reports", 1, "double", two_in_a_month),
    ("heavy_autocorrelation", 0.9, "heavy_autocorrelation", smoothed),
    ("nav.face_factors", [3.0, 10.0], "face_value_change", lambda: path(3.0)),
    ("nav.face_tolerance", 0.25, "face_value_change", lambda: path(10.0 * np.exp(0.2))),
    ("nav.face_values", [25.0], "face_value_change", lambda: restart(61.0, 25.0)),
    ("nav.face_rounding", 0.01, "face_value_change", lambda: restart(22.0, 10.05)),
    ("nav.reset_loss", 0.3, "face_value_change", lambda: restart(16.0, 10.0)),
    ("nav.jump", 0.3, "nav_jump_undone", lambda: path(*SMALL)),
    ("nav.undone", 0.3, "nav_jump_undone", lambda: path(1.7, 1.2 / 1.7)),
    ("nav.deviations", 100.0, "face_value_change", lambda: restart(22.0, 10.0)),
    ("nav.deviation_months", 8, "face_value_change", lambda: restart(22.0, 10.0, months=5)),
]
GAP = [10.0, 10.1, 10.2, None, None, None, None, 11.0, 11.2]
SILENT = [0.01, 0.02, *[None] * 13, 0.01, 0.02]
DAILY = [
    ("max_abs_return", 1.0, "daily_return_above_limit", [10.0, 10.1, *[None] * 2, 17.0]),
    ("max_gap_sessions", 12, "a return", [10.0, *[None] * 11, 10.5]),
]


def outcome(world: InputTables, chosen: Settings) -> set[str]:
    """Rules with a verdict or a count, or the structural fault."""
    try:
        found = prepare(world, chosen, FIRST, None).whole
    except InputError as error:
        return {"double" if "otherwise with one return" in error.what else "silence"}
    return {*found["quarantine"]["rule"], *found["data_quality"]["rule"]}


def moved(name: str, value: object) -> Settings:
    inner, _, leaf = name.rpartition(".")
    return settings({inner: {leaf: value}} if inner else {leaf: value})


@pytest.mark.parametrize(
    ("name", "value", "rule", "world"), MONTHLY, ids=[case[0] for case in MONTHLY]
)
def test_a_moved_threshold_changes_the_verdict(name, value, rule, world):
    before, after = outcome(world(), settings()), outcome(world(), moved(name, value))
    assert (rule in before) != (rule in after)


@pytest.mark.parametrize(
    ("name", "value", "rule", "levels"), DAILY, ids=[case[0] for case in DAILY]
)
def test_a_moved_threshold_of_the_daily_panel_does(name, value, rule, levels):
    world = check(daily_tables(prints("A", DAYS[: len(levels)], "nav", levels), *FILLER))

    def seen(**embeddings) -> set[str]:
        found = daily_panel(world, embedding_settings(**embeddings), FIRST + 11)
        assert found is not None
        a = found.panel.returns[:, found.panel.ids.index("A")]
        return {*found.quarantine["rule"], *(["a return"] if (~np.isnan(a)).any() else [])}

    assert (rule in seen()) != (rule in seen(**{name: value}))


FILLER = [prints("B", DAYS[:4], "nav", [10.0, 10.1, 10.2, 10.3])]


def leaves(kind: type[Section], inner: str = "") -> set[str]:
    return {inner + name for name in kind.model_fields if name != "nav"}


def test_every_rule_has_a_threshold_or_a_reason_for_none():
    moved_rules = {rule for _, _, rule, _ in [*MONTHLY, *DAILY]}
    assert set(RULES) <= moved_rules | set(WITHOUT_THRESHOLD)
    assert not moved_rules & set(WITHOUT_THRESHOLD)
    world = check(path(3.0))
    funds, _ = fund_months(world.fund_observations, 0, IngestSettings())
    counted = _fund_reasons(funds, settings()) + _series_reasons(world.series_observations)
    assert {rule for _, rule, *_ in counted} <= moved_rules | set(COUNTED)


def test_every_setting_of_the_gates_is_moved():
    moved_settings = {name for name, *_ in MONTHLY}
    own = leaves(IngestSettings) | leaves(NavSettings, "nav.")
    assert own == moved_settings | set(ELSEWHERE)
    assert {name for name, *_ in DAILY} == {"max_abs_return", "max_gap_sessions"}


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"nav": {"face_factors": [1.1]}}, "within face_tolerance"),
        ({"nav": {"face_factors": []}}, "at least 1 item"),
        ({"nav": {"face_values": [10.0, -1.0]}}, "greater than 0"),
        ({"nav": {"jump": 0.05}}, "is undone"),
        ({"nav": {"reset_loss": 1.0}}, "less than 1"),
        ({"nav": {"deviation_months": 2}}, "greater than or equal to 4"),
        ({"max_abs_return": 0.0}, "greater than 0"),
        ({"duplicate_decimals": 20}, "less than or equal to 15"),
        ({"stale_months": 1}, "greater than or equal to 2"),
        ({"heavy_autocorrelation": 1.5}, "less than 1"),
    ],
)
def test_thresholds_that_make_no_sense_are_refused(values, complaint):
    with pytest.raises(ValueError, match=complaint):
        IngestSettings(**values)
