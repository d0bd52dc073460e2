"""What forecasts, weights and rankings of the encoders earn: portfolios, paired, over all seeds."""
