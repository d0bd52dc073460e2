"""StressVaR out of sample, against other value-at-risk forecasts."""
