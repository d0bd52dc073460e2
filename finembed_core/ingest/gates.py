"""Quality gates on monthly fund returns: what is kept aside, and since when one could know.

Each gate marks cells of the months x funds matrix together with the day on which the evidence for
its verdict was complete. A verdict that needs later months (a NAV that jumps back, a NAV that has
not moved for half a year) withdraws what was visible until then, and not a day earlier.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from finembed_core.ingest.funds import NEVER, FundMonths
from finembed_core.ingest.verdicts import RULES
from finembed_core.settings import IngestSettings, NavSettings

BoolArray = NDArray[np.bool_]
DayArray = NDArray[np.int64]

RULE_CODES = {rule: code for code, rule in enumerate(RULES, start=1)}


class Verdicts:
    """First verdict on each cell.

    Attributes
    ----------
    rule : ndarray of int8, shape (T, N)
        Code of the rule, 0 where the cell is sound.
    known : ndarray of int64, shape (T, N)
        Day (since 1970) from which the verdict can be known.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.rule: NDArray[np.int8] = np.zeros(shape, dtype=np.int8)
        self.known: DayArray = np.full(shape, NEVER, dtype=np.int64)

    def add(self, rule: str, found: BoolArray, known: DayArray) -> None:
        """Record a verdict where none is known as early."""
        earlier = found & (known < self.known)
        self.rule[earlier] = RULE_CODES[rule]
        self.known[earlier] = known[earlier]


def judge(
    funds: FundMonths, death_day: DayArray, lag_days: int, settings: IngestSettings
) -> Verdicts:
    """Run all gates.

    Parameters
    ----------
    funds : FundMonths
    death_day : ndarray of int64, shape (N,)
        Day of death by the attributes; `NEVER` without one.
    lag_days : int
        Days after which an attribute's change is known.
    settings : IngestSettings
    """
    verdicts = Verdicts(funds.returns.shape)
    returns, available = funds.returns, funds.available
    verdicts.add("after_death", *_after_death(funds, death_day, lag_days))
    verdicts.add("instant_history", _instant_history(funds, settings.drop_first_months), available)
    verdicts.add("face_value_change", _face_value_change(funds, settings.nav), available)
    with np.errstate(invalid="ignore"):
        verdicts.add("return_below_minus_100", returns < -1.0, available)
        verdicts.add("return_above_limit", np.abs(returns) > settings.max_abs_return, available)
    verdicts.add("nav_jump_undone", *_jump_undone(funds, settings.nav))
    verdicts.add("stale_nav", *_stale(funds, settings.stale_months))
    verdicts.add("duplicate_fund", *_duplicates(funds, verdicts.known, settings))
    return verdicts


def _after_death(
    funds: FundMonths, death_day: DayArray, lag_days: int
) -> tuple[BoolArray, DayArray]:
    days = np.minimum(death_day, np.iinfo(np.int32).max)
    death_month = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    found = funds.reported & (funds.ordinals[:, None] > death_month)
    return found, np.maximum(funds.available, days + lag_days)


def _instant_history(funds: FundMonths, months: int) -> BoolArray:
    """The first `months` of the history that was known whenever a report came in."""
    order = np.argsort(funds.available, axis=0, kind="stable")
    earliest = np.empty_like(order)
    np.put_along_axis(earliest, order, np.minimum.accumulate(order, axis=0), axis=0)
    return funds.reported & (np.arange(len(order))[:, None] - earliest < months)


def _face_value_change(funds: FundMonths, settings: NavSettings) -> BoolArray:
    """A NAV that rises by a round factor, or restarts at a face value.

    A fall counts only where a loss is out of the question: ``reset_loss`` or more, far beyond the
    fund's own months, and from no round NAV to exactly a face value. A fund written down by 80% or
    90% moves by a round factor, too: hiding that would flatter, so the factor alone proves nothing
    downwards (`falls_by_a_face_factor` are counted instead).
    """
    ratio = _log_ratio(funds)
    rises = _by_face_factor(ratio, settings) & (ratio > 0)
    with np.errstate(invalid="ignore"):
        restarts = (ratio < np.log(1.0 - settings.reset_loss)) & _on_face(funds.nav, settings)
        restarts &= ~_on_face(funds.nav / np.exp(ratio), settings)
    return rises | _far_out(funds, ratio, restarts, funds.available, settings)


def falls_by_a_face_factor(funds: FundMonths, settings: NavSettings) -> BoolArray:
    """NAVs that fall by about a factor of a face value: losses, for all one can know."""
    ratio = _log_ratio(funds)
    return _by_face_factor(ratio, settings) & (ratio < 0)


def _by_face_factor(ratio: NDArray[np.float64], settings: NavSettings) -> BoolArray:
    large = np.abs(ratio) > _least_face_move(settings)
    found = np.zeros(ratio.shape, dtype=bool)
    distance = np.abs(np.abs(ratio[large])[:, None] - np.log(settings.face_factors))
    found[large] = (distance < settings.face_tolerance).any(axis=-1)
    return found


def _least_face_move(settings: NavSettings) -> float:
    """In logs; what is smaller is no change of face value."""
    return float(np.log(min(settings.face_factors))) - settings.face_tolerance


def _on_face(nav: NDArray[np.float64], settings: NavSettings) -> BoolArray:
    found = np.zeros(nav.shape, dtype=bool)
    for face in settings.face_values:
        found |= np.abs(nav - face) < settings.face_rounding * face
    return found


def _log_ratio(funds: FundMonths) -> NDArray[np.float64]:
    """log(1 + return) where the return was made from NAVs, NaN elsewhere."""
    gross = np.where(np.isnan(funds.nav), np.nan, 1.0 + funds.returns)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.log(gross)


def _jump_undone(funds: FundMonths, settings: NavSettings) -> tuple[BoolArray, DayArray]:
    """Both legs of a jump that the next month takes back: seen when it is taken back."""
    ratio = _log_ratio(funds)
    found = np.zeros(ratio.shape, dtype=bool)
    known = np.full(ratio.shape, NEVER, dtype=np.int64)
    there, back = ratio[:-1], ratio[1:]
    with np.errstate(invalid="ignore"):
        jumps = np.abs(there) > np.log(1.0 + settings.jump)
        undone = jumps & (np.abs(there + back) < settings.undone)
    seen = np.maximum(funds.available[:-1], funds.available[1:])
    undone &= _far_out(funds, ratio[:-1], undone, seen, settings)
    for rows in (slice(None, -1), slice(1, None)):
        known[rows] = np.where(undone, np.minimum(known[rows], seen), known[rows])
        found[rows] |= undone
    return found, known


def _far_out(
    funds: FundMonths,
    ratio: NDArray[np.float64],
    candidates: BoolArray,
    day: DayArray,
    settings: NavSettings,
) -> BoolArray:
    """Candidates beyond ``deviations`` of the fund's own months before, known by `day`.

    Moves by a factor of a face value say nothing about volatility.
    """
    months, least = settings.deviation_months, _least_face_move(settings)
    found = np.zeros(candidates.shape, dtype=bool)
    for row, column in zip(*np.nonzero(candidates), strict=True):
        rows = slice(max(row - months, 0), row)
        before = ratio[rows, column][funds.available[rows, column] <= day[row, column]]
        before = before[np.abs(before) < least]
        if 2 * len(before) >= months:
            limit = settings.deviations * before.std(ddof=1)
            found[row, column] = abs(ratio[row, column]) > limit
    return found


def _stale(funds: FundMonths, months: int) -> tuple[BoolArray, DayArray]:
    """Runs of `months` or more returns of exactly zero."""
    unchanged = funds.returns == 0.0
    return _runs(unchanged, funds.available, months)


def _runs(flags: BoolArray, available: DayArray, months: int) -> tuple[BoolArray, DayArray]:
    """Cells of runs of `months` or more, known once the run is that long."""
    length = np.zeros(flags.shape[1], dtype=np.int64)
    long_enough = np.zeros(flags.shape, dtype=bool)
    for t, row in enumerate(flags):
        length = np.where(row, length + 1, 0)
        long_enough[t] = length >= months
    complete = np.where(long_enough, _window_max(available, months), NEVER)
    return _spread_back(long_enough, complete, months)


def _window_max(available: DayArray, months: int) -> DayArray:
    """Latest availability within the `months` rows that end with each."""
    latest = available.copy()
    for back in range(1, min(months, len(available))):
        latest[back:] = np.maximum(latest[back:], available[:-back])
    return latest


def _spread_back(windows: BoolArray, complete: DayArray, months: int) -> tuple[BoolArray, DayArray]:
    """Mark all rows of the windows that end at the marked cells, with the earliest verdict."""
    found, known = windows.copy(), complete.copy()
    for back in range(1, min(months, len(windows))):
        found[:-back] |= windows[back:]
        known[:-back] = np.minimum(known[:-back], complete[back:])
    return found, known


def _duplicates(
    funds: FundMonths, judged_at: DayArray, settings: IngestSettings
) -> tuple[BoolArray, DayArray]:
    """Funds whose last ``duplicate_months`` returns equal another fund's; the first known stays.

    Windows are compared by a rolling polynomial hash of the returns' bits, so that all pairs of
    ten thousand funds cost one sort a month. A window with a return that another gate had judged
    by the window's own day (`judged_at`) is not compared; a verdict that came later does not undo
    what was seen before.
    """
    returns, available, months = funds.returns, funds.available, settings.duplicate_months
    windows = np.zeros(returns.shape, dtype=bool)
    complete = np.full(returns.shape, NEVER, dtype=np.int64)
    if len(returns) < months:
        return windows, complete
    hashes, whole = _rolling_hash(
        np.round(returns, settings.duplicate_decimals), months, settings.duplicate_moving
    )
    latest = _window_max(available, months)
    judged = (judged_at != NEVER).any(axis=0)
    earliest = -_window_max(-judged_at[:, judged], months)
    whole[:, judged] &= earliest > latest[:, judged]
    appeared = np.minimum.accumulate(available, axis=0)
    for t in range(months - 1, len(returns)):
        columns = np.flatnonzero(whole[t])
        order = np.lexsort((columns, appeared[t, columns], hashes[t, columns]))
        columns = columns[order]
        copies = 1 + np.flatnonzero(hashes[t, columns][1:] == hashes[t, columns][:-1])
        if not len(copies):
            continue
        day = latest[t, columns]
        group = np.cumsum(~np.isin(np.arange(len(columns)), copies), dtype=np.int64)
        seen_first = _running_min(day, group)[copies - 1]
        windows[t, columns[copies]] = True
        complete[t, columns[copies]] = np.maximum(day[copies], seen_first)
    return _spread_back(windows, complete, months)


def _running_min(values: DayArray, group: DayArray) -> DayArray:
    """Least value so far within each of the ascending groups."""
    step = group * (values.max() - values.min() + 1)  # every group lies below the one before
    return np.minimum.accumulate(values - step) + step


def _rolling_hash(
    returns: NDArray[np.float64], months: int, moving_share: float
) -> tuple[NDArray[np.uint64], BoolArray]:
    """Hash of the `months` returns that end with each row, and whether none of them is missing.

    Windows of which no more than `moving_share` move say nothing about identity: not whole.
    """
    step = np.uint64(0x9E3779B97F4A7C15)  # odd, well mixed: 2^64 / golden ratio
    bits = (returns + 0.0).view(np.uint64) * step
    bits ^= bits >> np.uint64(29)
    drop = np.uint64(pow(int(step), months, 2**64))
    usable = ~np.isnan(returns)
    moving = usable & (returns != 0.0)
    rolling = np.zeros(returns.shape[1], dtype=np.uint64)
    count = np.zeros(returns.shape[1], dtype=np.int64)
    moves = np.zeros(returns.shape[1], dtype=np.int64)
    hashes = np.zeros(returns.shape, dtype=np.uint64)
    whole = np.zeros(returns.shape, dtype=bool)
    for t in range(len(returns)):
        rolling = rolling * step + bits[t]
        count += usable[t]
        moves += moving[t]
        if t >= months:
            rolling -= bits[t - months] * drop
            count -= usable[t - months]
            moves -= moving[t - months]
        hashes[t] = rolling
        whole[t] = (count == months) & (moves > moving_share * months)
    return hashes, whole
