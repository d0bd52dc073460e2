"""Selection rules: what to hold, given what is held and what was known."""
