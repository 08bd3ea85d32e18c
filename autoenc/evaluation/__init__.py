"""Evaluation of rankings: splits, metrics, ranking, and comparisons with standard errors."""
