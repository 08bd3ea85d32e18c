"""Every reader fed with damaged files: a sentence or an answer, no code run, no memory beyond its bound.

Samples of each format, sound and hostile ones, are cut, overwritten, stretched and spliced with one another. A few
hundred of a reader in `make test`, always the same; some thousands in `make test-long`, each time others.
"""

from __future__ import annotations

import contextlib
import io
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoenc import load_model
from autoenc.cli import main
from autoenc.datasets import read
from autoenc.datasets.task_cache import read_task_cache, write_task_cache
from autoenc.model_file import read_model_file

DATA = Path(__file__).parent / "data"
MAKE = runpy.run_path(str(DATA / "make_hostile.py"))

MAX_FILE = 200_000
"""Samples are smaller than this, so that what is read from one takes less than MAX_MEMORY."""
MAX_MEMORY = 2**28 + 150 * MAX_FILE

SMALL = ["--epochs", "1", "--emb-dim", "2", "--hidden-dim", "2", "--backend", "numpy"]

short = settings(max_examples=400, suppress_health_check=list(HealthCheck))
# Other examples each time.
long = settings(max_examples=3_000, derandomize=False, database=None, suppress_health_check=list(HealthCheck))


def samples(*folders, but=()):
    files = (file for folder in folders for file in sorted((DATA / folder).rglob("*")) if file.is_file())
    return [file.read_bytes() for file in files if file.stat().st_size < MAX_FILE and file.suffix not in but]


HAS_PARQUET = True
try:
    import pyarrow.parquet  # noqa: F401
except ImportError:
    HAS_PARQUET = False
# Without bombs, each of which takes a second to go off; test_formats.py sets them off one by one.
RATINGS = [sample for sample in samples("formats", "hostile") if HAS_PARQUET or sample[:4] != b"PAR1"]
RATINGS = [sample for sample in RATINGS if len(sample) < 10_000]
CACHES = samples("hostile/task_cache")
MODELS = [MAKE["safetensors"](), *samples("hostile/model")]

# Damage

NUMBERS = [0, 1, 7, 8, 127, 128, 255, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1]
WORDS = [str(number).encode() for number in NUMBERS] + [b"-1", b"nan", b"1e999", b"", b"\0", b"\r", b"\n", b"\t", b'"']
WORDS += [number.to_bytes(8, "little")[:width] for number in NUMBERS for width in (1, 2, 4, 8)]
junk = st.sampled_from(WORDS) | st.binary(max_size=8)
places = st.integers(0, 2**20)
damages = st.lists(
    st.tuples(st.sampled_from(["overwrite", "insert", "delete", "repeat", "cut", "splice"]), places, places, junk),
    min_size=1,
    max_size=5,
)


def damaged(content: bytes, other: bytes, damage) -> bytes:
    for kind, at, length, word in damage:
        at %= len(content) + 1
        n = length % 64
        if kind == "overwrite":
            content = content[:at] + word + content[at + len(word) :]
        elif kind == "insert":
            content = content[:at] + word + content[at:]
        elif kind == "delete":
            content = content[:at] + content[at + n :]
        elif kind == "repeat":
            content = content[:at] + content[at : at + n] * (2 + length % 7) + content[at + n :]
        elif kind == "cut":
            content = content[:at]
        else:
            content = content[:at] + other[length % (len(other) + 1) :]
    return content[:MAX_FILE]


def damaged_samples(contents):
    return st.builds(damaged, st.sampled_from(contents), st.sampled_from(contents), damages)


# What must not happen

# Python reports to audit hooks what a pickle would need to run code, and which files are opened. A hook stays for
# good, so this one looks only while a reader is at work.
FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "subprocess.Popen", "pickle.find_class", "exec",
             "socket.connect", "os.remove", "os.rename", "shutil.rmtree")  # fmt: skip
seen: list[str] | None = None


def watch(event, arguments):
    if seen is None:
        return
    if event in FORBIDDEN or (event == "open" and set(str(arguments[1])) & set("wax+")):
        seen.append(f"{event} {arguments}")


sys.addaudithook(watch)


@contextlib.contextmanager
def harmless():
    """The block runs no code of a file's, writes nothing, and takes no more than MAX_MEMORY."""
    global seen
    with limited_memory():
        seen = []
        try:
            yield
        finally:
            found, seen = seen, None
            assert found == []


@contextlib.contextmanager
def limited_memory():
    """Whoever asks for more than MAX_MEMORY gets a MemoryError, which fails the test. Without effect but on Linux."""
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MAX_MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture(scope="module", autouse=True)
def imported(tmp_path_factory):
    """What readers import, and the memory that libraries set aside when they are first used."""
    for name in ("csv/ratings.csv", "csr.npz", *(["table.parquet"] if HAS_PARQUET else [])):
        read(DATA / "formats" / name, values=True)
    folder = tmp_path_factory.mktemp("imported")
    (folder / "m").write_bytes(MODELS[0])
    load_model(folder / "m")
    for command in (["train", "--data", str(DATA / "formats" / "csv"), *SMALL], ["recommend", str(folder / "m")]):
        run(command)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    write_task_cache(folder / "c", [[0], [1]], [[1], [0]])
    return folder


def run(command) -> tuple[int, str]:
    """The exit code, and what stands on stderr."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        return main(command), errors.getvalue()


def takes_or_refuses(code, errors):
    *_, last = errors.splitlines() or [""]
    assert code == 0 or (code == 2 and last.startswith("autoenc ") and "Traceback" not in errors)


# The readers


def ratings(content, folder):
    path = folder / "x"
    path.write_bytes(content)
    try:
        with harmless():
            found = read(path, values=True)
    except ValueError as error:
        assert str(error).startswith(str(path)) and "\n" not in str(error)
    else:
        assert len(found.users) == len(found.items) > 0
        for ids in found[:2]:
            assert ids.dtype.kind in "iU" and (ids.dtype.kind == "U" or ids.min() >= 0)


def cache(content, folder):
    (folder / "c_train.npy").write_bytes(content)
    try:
        with harmless():
            train, _ = read_task_cache(folder / "c")
    except ValueError as error:
        assert str(error).startswith(str(folder)) and "\n" not in str(error)
    else:
        assert train.user_items.indices.max(initial=0) < train.n_items


def model(content, folder):
    path = folder / "m"
    path.write_bytes(content)
    try:
        with harmless():
            read_model_file(path)
            found = load_model(path)
            assert np.isfinite(found.score([[0]])).all() or found.n_items_ < 1
    except ValueError as error:
        assert str(error).startswith(str(path)) and "\n" not in str(error)


def command_line(content, folder):
    (folder / "d").write_bytes(content)
    with limited_memory():
        takes_or_refuses(*run(["train", "--data", str(folder / "d"), *SMALL]))


def command_line_with_a_model(content, folder):
    (folder / "m").write_bytes(content)
    with harmless():
        takes_or_refuses(*run(["recommend", str(folder / "m"), "--liked", "10"]))


READERS = {
    "ratings": (ratings, damaged_samples(RATINGS), 1.5),
    "bytes": (ratings, st.binary(max_size=300) | st.text('0123456789,:;\t\n" -.nuserid|itm').map(str.encode), 0.5),
    "cache": (cache, damaged_samples(CACHES), 1),
    "model": (model, damaged_samples(MODELS), 0.7),
    "train": (command_line, damaged_samples(RATINGS), 0.2),
    "recommend": (command_line_with_a_model, damaged_samples(MODELS), 0.2),
}


def fuzz(name, folder, profile):
    reader, contents, share = READERS[name]

    @settings(profile, max_examples=int(profile.max_examples * share))
    @given(contents)
    def test(content):
        reader(content, folder)

    test()


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_read_or_refused(name, folder):
    fuzz(name, folder, short)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", READERS)
def test_many_damaged_files_are_read_or_refused(name, folder):
    fuzz(name, folder, long)
