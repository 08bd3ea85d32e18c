"""What autoenc is measured by and against, each a package or a module to run: `python -m benchmarks.speed`."""
