"""The main job, the same as `autoenc train`; for its flags, see `python run_train.py --help`."""

import sys

from autoenc.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
