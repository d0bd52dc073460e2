"""The settings that are compared."""

from finembed_core.settings import PolyModelSettings

BASE = PolyModelSettings(significance="moments")


def settings_of(ridge=1.0, degree=4, rule="absolute", alpha=0.01, cross_validated=False):
    return BASE.model_copy(
        update={
            "ridge": ridge,
            "degree": degree,
            "selection": rule,
            "alpha": alpha,
            "cross_validated": cross_validated,
        }
    )


def label(settings):
    ridge = f"{settings.ridge:g}" + (", curve by GCV" if settings.cross_validated else "")
    rules = {
        "absolute": f"p <= {settings.alpha:g}",
        "relative": f"relative {settings.relative_share:g}",
        "benjamini_hochberg": f"BH {settings.alpha:g}",
    }
    return [ridge, str(settings.degree), rules[settings.selection]]


LABELS = ["lambda", "degree", "rule"]
RULES = [
    {"selection": "absolute", "alpha": 0.01},
    {"selection": "absolute", "alpha": 0.001},
    {"selection": "relative"},
    {"selection": "benjamini_hochberg", "alpha": 0.05},
    {"selection": "benjamini_hochberg", "alpha": 0.1},
    {"selection": "benjamini_hochberg", "alpha": 0.2},
]
ONE_PERCENT, FDR = RULES[0], RULES[4]
SHORT = [
    settings_of(*p) for p in ((1, 4), (3, 4), (10, 4), (5, 3), (3, 2), (5, 2), (10, 2), (3, 1))
]
EXTREMES = [settings_of(*p).model_copy(update=FDR) for p in ((1, 4), (10, 4))]
PANEL_GRID = [settings_of(*p) for p in ((0.1, 4), (1, 4), (3, 4), (10, 4), (30, 4))]
PANEL_GRID += [settings_of(5, 4, cross_validated=True)]
PANEL_GRID += [settings_of(*p) for p in ((5, 3), (1, 2), (3, 2), (5, 2), (10, 2), (3, 1))]
PANEL_GRID += [*EXTREMES, *(settings_of(5, 2).model_copy(update=rule) for rule in RULES[1:])]
