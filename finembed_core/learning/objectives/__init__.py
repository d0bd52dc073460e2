"""What is learned: losses over the funds of a date. See docs/objectives.md."""

from finembed_core.learning.objectives.allocation import WeightsKind, weights_loss, weights_of
from finembed_core.learning.objectives.balance import UncertaintyWeights, uncertainty_weighted
from finembed_core.learning.objectives.grading import grades
from finembed_core.learning.objectives.listwise import listnet
from finembed_core.learning.objectives.masked import masked_error
from finembed_core.learning.objectives.neural_sort import neural_ndcg
from finembed_core.learning.objectives.performance import (
    MEASURES,
    PerformanceScale,
    performance_losses,
)

__all__ = [
    "MEASURES",
    "PerformanceScale",
    "UncertaintyWeights",
    "WeightsKind",
    "grades",
    "listnet",
    "masked_error",
    "neural_ndcg",
    "performance_losses",
    "uncertainty_weighted",
    "weights_loss",
    "weights_of",
]
