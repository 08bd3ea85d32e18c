"""Quality: autoenc compared with PyTorch on the same splits, with the same settings."""
