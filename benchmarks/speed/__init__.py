"""How fast: training, ranking, memory and start beside PyTorch and implicit, and each kernel beside its layer."""
