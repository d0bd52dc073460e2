"""What the house holds: `python -m benchmarks.load`."""
