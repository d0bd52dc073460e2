"""Unified representations of funds from daily returns, and proof of what they are worth."""
