"""Scaling: training on MPI ranks, measured on one machine and predicted for several, and likes larger than memory."""
