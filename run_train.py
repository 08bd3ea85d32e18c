"""The main job: `python run_train.py --help` tells its flags; `autoenc train` is the same."""

import sys

from autoenc.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
