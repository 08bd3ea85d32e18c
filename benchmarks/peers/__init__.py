"""The same task in other libraries, one file each."""
