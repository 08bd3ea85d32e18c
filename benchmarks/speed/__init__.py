"""Speed: training, ranking, memory and start compared with PyTorch and implicit, and each kernel with its layer."""
