"""How good a ranking is: splits, metrics, the ranking itself, and comparisons with their errors."""
