"""How far: training over MPI ranks, on one machine and predicted for several, and likes too many for memory."""
