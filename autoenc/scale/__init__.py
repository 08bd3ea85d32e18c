"""More than one process: items shared out over MPI's ranks, users over Dask's workers."""
