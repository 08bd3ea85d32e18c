"""`python -m autoenc` runs the command line."""

import sys

from autoenc.cli import main

if __name__ == "__main__":
    sys.exit(main())
