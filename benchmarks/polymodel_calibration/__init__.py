"""Which lambda, degree and selection rule PolyModel should have."""
