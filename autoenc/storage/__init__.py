"""Files: atomic writes, the model file, and memory-mapped arrays."""
