"""All planted leaks: each is put into the real code alone, and must be caught and named."""

from tests.leakage import leaks_of_data, leaks_of_decisions
from tests.leakage.planting import MUTANTS, Mutant

__all__ = ["MUTANTS", "Mutant", "leaks_of_data", "leaks_of_decisions"]
