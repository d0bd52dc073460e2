"""finembed: from raw fund, index and macro data to a portfolio that can be defended."""

__version__ = "0.1.0"
