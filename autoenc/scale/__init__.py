"""More than one process: items divided among MPI ranks, users among Dask workers."""
