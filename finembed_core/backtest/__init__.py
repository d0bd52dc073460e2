"""What a rule would have earned: ledger, simulator, metrics, run tables."""
