"""Build the wheel and the sdist into dist/, and train the same model from each as from the checkout.

`make release-check` runs this in the environment of the group `release`. Each archive is installed
in an environment of its own, with the versions of the packages that the checkout has: others may
round differently, and the model files must be equal byte for byte.
"""

from __future__ import annotations

import filecmp
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
JOB = ("--epochs", "2", "--seed", "0", "--no-progress", "--out")


def run(*command: str | Path, cwd: Path) -> None:
    print("$", *command, flush=True)
    subprocess.run([str(part) for part in command], cwd=cwd, check=True)


def environment(folder: Path) -> Path:
    """Make an environment there, and return its Python."""
    context = venv.EnvBuilder(with_pip=True).ensure_directories(folder)
    venv.create(folder, with_pip=True)
    return Path(context.env_exe)


def main() -> int:
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", cwd=ROOT)
    archives = sorted(DIST.iterdir())
    run(sys.executable, "-m", "twine", "check", "--strict", *archives, cwd=ROOT)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        expected = folder / "checkout.safetensors"
        run(sys.executable, ROOT / "run_train.py", *JOB, expected, cwd=folder)

        freeze = [sys.executable, "-m", "pip", "freeze", "--exclude-editable"]
        versions = folder / "versions.txt"
        versions.write_bytes(subprocess.run(freeze, stdout=subprocess.PIPE, check=True).stdout)

        for archive in archives:
            python = environment(folder / f"installed-{archive.name}")
            run(python, "-m", "pip", "install", "--quiet", "--constraint", versions, archive, cwd=folder)
            model = folder / f"{archive.name}.safetensors"
            run(python, "-m", "autoenc", "train", *JOB, model, cwd=folder)
            if not filecmp.cmp(expected, model, shallow=False):
                print(f"FAIL: {archive.name} trains another model than the checkout", file=sys.stderr)
                return 1
    print("PASS:", *(archive.name for archive in archives), "train the checkout's model, byte for byte")
    return 0


if __name__ == "__main__":
    sys.exit(main())
