"""The same task in other hands, one file each."""
