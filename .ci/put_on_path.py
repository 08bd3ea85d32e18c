"""Puts this tree on the path of the environment whose Python runs it; the Makefile does so after an editable install.

An editable install of setuptools is found after all folders on the path. Python started in the folder that holds the
clone would find the clone's own folder first, which is called autoenc too, and take it for an empty package.
"""

import sysconfig
from pathlib import Path

Path(sysconfig.get_path("purelib"), "autoenc_tree.pth").write_text(f"{Path(__file__).parents[1]}\n", encoding="utf-8")
