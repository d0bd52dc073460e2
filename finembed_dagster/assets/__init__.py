"""Assets: each reads its months, calls the core, attaches what a person wants to see."""
