"""Macro factors: stationary series, expanding PCA, factors that keep their names and signs."""
