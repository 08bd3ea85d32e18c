"""Benchmarks, each a package or module to run, such as `python -m benchmarks.speed`."""
