"""Ranking quality of all models and their peers on the same splits, each tuned on validation likes."""
