"""What happens after t changes no checkpoint and no prediction up to t."""

from finembed_core.calendar import Month, month_range
from finembed_core.settings import MODEL_KINDS
from tests.learning.synthetic import FIRST, World, quick_settings, run_learning

MONTHS = 44
NOW = Month.parse("2003-04")


def test_noise_after_t_leaves_models_and_predictions_up_to_t(tmp_path):
    settings = quick_settings(seeds=[1, 2])
    stores = []
    for name, changed in (("true", None), ("changed", NOW)):
        world = World(months=MONTHS, aum=True, signal=0.3, change_after=changed)
        stores.append(world.write(tmp_path / name))
        run_learning(stores[-1], settings, MONTHS)
    true, changed = stores
    for kind in MODEL_KINDS:
        table = f"trend_model_{kind}"
        for key in ("2002-01", "2003-01"):
            assert true.manifest(table, key) == changed.manifest(table, key)
    for month in month_range(FIRST, NOW):
        for table in ("predictions", "seed_predictions"):
            assert true.manifest(table, str(month)) == changed.manifest(table, str(month))
    later = str(NOW + 1)
    for table in ("predictions", "seed_predictions"):
        assert true.manifest(table, later) != changed.manifest(table, later)
