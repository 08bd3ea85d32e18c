"""How good: ours beside PyTorch on the same splits, by the same settings."""
