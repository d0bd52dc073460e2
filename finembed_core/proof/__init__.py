"""Proof that nothing up to a month depends on anything that was known after it (rule 2)."""
