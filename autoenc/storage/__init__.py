"""Files: written whole or not at all, the model file, and arrays that are read where they lie."""
