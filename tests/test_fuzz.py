"""Every reader with damaged files: it gives a result or a sentence, runs no code, and stays within its memory limit.

Samples of each format, valid and hostile ones, are cut, overwritten, stretched and spliced with one another, and
valid frames get invalid content (tests/helpers/frames.py). There are a few hundred per reader in `make test`, and a
few thousand in `make test-long`; always the same ones, except with `make test-long ARGS="--hypothesis-profile random"`.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import io
import json
import shutil
import sys
import zipfile
import zlib
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoenc import IALS, load_model
from autoenc.cli import main
from autoenc.datasets import read, sources
from autoenc.datasets.prepared import read_prepared, write_manifest
from autoenc.datasets.task_cache import read_task_cache, write_task_cache
from autoenc.interactions import Interactions
from autoenc.networks.autoencoder import AutoEncoderNetwork, initial_state
from autoenc.scale.merge import merge
from autoenc.storage.model_file import read_model_file
from autoenc.storage.shard_files import START_AGAIN
from autoenc.training.callbacks import History
from autoenc.training.checkpoint import MANIFEST, Checkpoints, restore_checkpoint
from autoenc.training.trainer import Trainer
from tests.helpers import DATA, frames
from tests.helpers.bounds import limited_memory, max_memory, ran_out
from tests.helpers.frames import MAKE, MATRIX, anything, places, with_tensors
from tests.helpers.killed import KillAt, Killed, new_trainer
from tests.helpers.torture import small_split, train

MAX_FILE = 200_000
MAX_GROWN = 1_000_000
"""Samples are smaller than these, compressed and as they are, so that reading one takes less than MAX_MEMORY."""


MAX_MEMORY = max_memory(MAX_GROWN)

SMALL = ["--epochs", "1", "--emb-dim", "2", "--hidden-dim", "2", "--backend", "numpy"]

short = settings(max_examples=400, suppress_health_check=list(HealthCheck))
long = settings(max_examples=3_000, suppress_health_check=list(HealthCheck))


def samples(*folders, but=()):
    files = (file for folder in folders for file in sorted((DATA / folder).rglob("*")) if file.is_file())
    return [file.read_bytes() for file in files if file.stat().st_size < MAX_FILE and file.suffix not in but]


HAS_PARQUET = True
try:
    import pyarrow.compute
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


def packed(content: bytes, times: int, kind: str, names: list[str], damage) -> bytes:
    """A damaged sample, many times over, in a zip archive, gzipped or both; and that damaged, or not."""
    content = content * min(times, 4 * MAX_GROWN // (len(content) + 1))
    if "gz" in kind:
        content = gzip.compress(content, 1, mtime=0)
    if "zip" in kind:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED, 1)
        content = file.getvalue()
    return damaged(content, content, damage)


def packed_samples(contents):
    names = st.sampled_from(["ratings.csv", "movies.csv", "u.data", "train.txt", "../x.inter", "a/ratings.dat.gz"])
    return st.builds(
        packed,
        damaged_samples(contents),
        st.sampled_from([1, 1, 1, 100, 100_000]),
        st.sampled_from(["zip", "gz", "gz in zip"]),
        st.lists(names, min_size=1, max_size=2, unique=True),
        st.just([]) | damages,
    )


def matrices():
    """Sound archives of arrays that lie: of shapes, kinds and sizes of all sorts."""
    lengths = st.sampled_from([0, 1, 3, 5, 13, 500])
    values = st.sampled_from([0, 1, -1, 2, 300, 2**31 - 1, 2**40])
    kinds = st.sampled_from(["<i4", "<i8", "<f4", "<u1", "<U1", "<U300"])
    array = st.builds(lambda n, value, kind: np.full(n, value).astype(kind), lengths, values, kinds)
    header = st.builds(lambda n, kind: Header(n, kind), st.sampled_from([7, 10**8, 10**9, 10**15]), kinds)
    arrays = st.none() | array | header
    names = st.sampled_from(["indices", "indptr", "row", "col", "data", "shape", "user_ids", "item_ids", "titles"])
    return st.builds(lying, st.sampled_from(["csr", "csc", "coo"]), st.dictionaries(names, arrays, max_size=3))


class Header(NamedTuple):
    """Of an array of n of a kind that isn't there."""

    n: int
    kind: str


def lying(kind, changes) -> bytes:
    headers = {name: change for name, change in changes.items() if isinstance(change, Header)}
    file = io.BytesIO(MATRIX(kind, **{name: None if name in headers else change for name, change in changes.items()}))
    with zipfile.ZipFile(file, "a") as archive:
        for name, header in headers.items():
            content = io.BytesIO()
            np.lib.format.write_array_header_1_0(
                content, {"descr": header.kind, "fortran_order": False, "shape": (header.n,)}
            )
            archive.writestr(f"{name}.npy", content.getvalue() + bytes(100))
    return file.getvalue()


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
def harmless(max_bytes=MAX_MEMORY):
    """The block runs no code of a file's, writes nothing, and takes no more memory than that."""
    global seen
    with limited_memory(max_bytes):
        seen = []
        try:
            yield
        except ValueError as error:
            assert not ran_out(error), f"took more than {max_bytes:,} bytes: {error}"
            raise
        finally:
            found, seen = seen, None
            assert found == []


@pytest.fixture(scope="module", autouse=True)
def imported(tmp_path_factory):
    """What readers import, and the memory that libraries set aside when they are first used."""
    for name in ("csv/ratings.csv", "csr.npz", *(["table.parquet"] if HAS_PARQUET else [])):
        read(DATA / "formats" / name, values=True)
    for name in ("utf16.csv", "utf32.csv"):
        read(DATA / "hostile" / name)
    folder = tmp_path_factory.mktemp("imported")
    IALS(emb_dim=2, epochs=1).fit([[0, 1], [1]]).score([[0]])
    (folder / "m").write_bytes(MODELS[0])
    load_model(folder / "m").score([[0]])
    for command in (["train", "--data", str(DATA / "formats" / "csv"), *SMALL], ["recommend", str(folder / "m")]):
        run(command)


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch):
    """Streams may grow to MAX_GROWN, so that small bombs go off too."""
    monkeypatch.setattr(sources, "SMALL", MAX_GROWN)
    monkeypatch.setattr(sources, "MAX_BYTES", MAX_GROWN)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    write_task_cache(folder / "c", [[0], [1]], [[1], [0]])
    killed_training(folder)
    mergeable(folder)
    return folder


def run(command) -> tuple[int, str]:
    """The exit code, and what stands on stderr."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        return main(command), errors.getvalue()


def takes_or_refuses(code, errors):
    *_, last = errors.splitlines() or [""]
    assert code == 0 or (code == 2 and last.startswith("autoenc ") and "Traceback" not in errors)
    assert "nable to allocate" not in errors


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


@functools.cache
def killed_training(folder):
    """A training's beginning, the manifest and the digest of its checkpoint, and an empty folder for both."""
    split, state = small_split(), folder / "state"
    with pytest.raises(Killed):
        train(split, Checkpoints(state, every_steps=3), KillAt(10), backend="numpy")
    trainer = new_trainer(split, "numpy")
    beginning = [array.copy() for array in arrays_of(trainer)]
    assert restore_checkpoint(state, trainer)
    return trainer, beginning, (state / MANIFEST).read_bytes(), arrays_of(trainer, copied=True)


def arrays_of(trainer, copied=False):
    states = trainer.engine.network.state, trainer.adam.first_moment, trainer.adam.second_moment
    arrays = [state[name] for state in states for name in sorted(state)]
    return [array.copy() for array in arrays] if copied else arrays


def change(manifest, place, key, value):
    """Set a field of a manifest, of its first shard or of its first callback's facts."""
    holder = {"manifest": manifest, "shard": manifest["shards"][0], "facts": manifest["callback_states"][0]}[place]
    holder[sorted(holder)[key % len(holder)]] = value


def with_checksum(manifest) -> bytes:
    manifest.pop("crc32", None)
    return json.dumps({**manifest, "crc32": zlib.crc32(json.dumps(manifest).encode())}).encode()


def checkpoint(damage, folder):
    """A manifest that is damaged, or whose checksum is right though a thing in it is another."""
    trainer, beginning, sound, ending = killed_training(folder)
    if type(damage) is list:
        content = damaged(sound, sound, damage)
    else:
        manifest = json.loads(sound)
        change(manifest, *damage)
        content = with_checksum(manifest)
    (folder / "state" / MANIFEST).write_bytes(content)
    for array, value in zip(arrays_of(trainer), beginning):
        array[:] = value
    try:
        with harmless():
            assert restore_checkpoint(folder / "state", trainer)
    except ValueError as error:
        assert str(error).startswith(str(folder / "state")) and "\n" not in str(error)
        answer = beginning
    else:
        answer = ending
        assert type(damage) is tuple or json.loads(content) == json.loads(sound)
    assert all(np.array_equal(array, value) for array, value in zip(arrays_of(trainer), answer))


changed_fields = st.tuples(st.sampled_from(["manifest", "shard", "facts"]), st.integers(0, 30), anything)
manifests = damages | changed_fields


def prepared_folder(content, folder):
    """Arrays of any kind, for which the manifest vouches, or a manifest that says what it likes."""
    changes, told = content
    place = folder / "prepared"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    likes = Interactions.from_pairs([1, 2, 3], [5, 6, 7])
    for name in ("indptr", "indices", "data"):
        np.save(place / f"{name}.npy", getattr(likes.user_items, name))
    for name in ("user_ids", "item_ids"):
        np.save(place / f"{name}.npy", getattr(likes, name))
    for name, array in changes.items():
        (place / f"{name}.npy").write_bytes(array)
    write_manifest(place, 3, 3, 3)
    manifest = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
    (place / "manifest.json").write_text(json.dumps({**manifest, **told}), encoding="utf-8")
    try:
        with harmless():
            found = read_prepared(place, times="times" in changes)
            assert found.user_items.sum() == found.n_likes and found.item_names(range(found.n_items))
    except ValueError as error:
        assert str(error).startswith(str(place)) and "\n" not in str(error)


@functools.cache
def mergeable(folder):
    """A checkpoint of the kernels' engine, whose embedding rows lag behind, its manifest and its shard."""
    state, train_items = folder / "merged", small_split()[0]
    network = AutoEncoderNetwork(initial_state(train_items.shape[1], emb_dim=12, hidden_dim=8))
    Trainer(network, batch_size=128, callbacks=[History(), Checkpoints(state)]).fit(train_items)
    manifest = json.loads((state / MANIFEST).read_text(encoding="utf-8"))
    return state, manifest, (state / manifest["shards"][0]["file"]).read_bytes()


def merge_changed(folder, tensors, changes):
    """Merge a shard of other arrays, or a manifest of other fields, with sizes and checksums that are right."""
    state, sound, shard = mergeable(folder)
    manifest = json.loads(json.dumps(sound))
    shard = with_tensors(shard, tensors)
    (state / manifest["shards"][0]["file"]).write_bytes(shard)
    manifest["shards"][0] |= {"bytes": len(shard), "crc32": zlib.crc32(shard)}
    for place, key, value in changes:
        change(manifest, place, key, value)
    (state / MANIFEST).write_bytes(with_checksum(manifest))
    with limited_memory(MAX_MEMORY):
        merge(state, folder / "m")


def merged(content, folder):
    try:
        merge_changed(folder, *content)
    except ValueError as error:
        assert str(error).startswith(str(folder / "merged")) and "\n" not in str(error)
    else:
        with contextlib.suppress(ValueError):
            load_model(folder / "m")


def command_line(content, folder):
    (folder / "d").write_bytes(content)
    with limited_memory(MAX_MEMORY):
        takes_or_refuses(*run(["train", "--data", str(folder / "d"), *SMALL]))


def command_line_with_a_model(content, folder):
    (folder / "m").write_bytes(content)
    with harmless():
        takes_or_refuses(*run(["recommend", str(folder / "m"), "--liked", "10"]))


READERS = {
    "ratings": (ratings, damaged_samples(RATINGS), 1.5),
    "bytes": (ratings, st.binary(max_size=300) | st.text('0123456789,:;\t\n" -.nuserid|itm').map(str.encode), 0.5),
    "packed": (ratings, packed_samples(RATINGS), 0.8),
    "matrix": (ratings, matrices(), 0.8),
    "checkpoint": (checkpoint, manifests, 1.2),
    "cache": (cache, damaged_samples(CACHES), 1),
    "model": (model, damaged_samples(MODELS), 0.7),
    "members": (ratings, frames.matrices, 0.5),
    "prepared": (prepared_folder, st.tuples(frames.arrays_of_folders, frames.fields_of_folders), 0.4),
    "merge": (merged, st.tuples(frames.changed_tensors, st.lists(changed_fields, max_size=1)), 0.2),
    "tensors": (model, frames.model_files, 0.6),
    "pickles": (cache, frames.pickles, 0.6),
    **({"parquet": (ratings, frames.parquet_files(), 0.4)} if HAS_PARQUET else {}),
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


@pytest.mark.parametrize("shape", [[], [0], [0, 12], [800, 0], [9]])
@pytest.mark.parametrize(
    "name", ["embedding.weight", "first_moment/embedding.weight", "training/drift", "training/last_step", "output.bias"]
)
def test_a_shard_of_other_shapes_is_not_merged(name, shape, folder):
    _, _, shard = mergeable(folder)
    length = int.from_bytes(shard[:8], "little")
    names = sorted(set(json.loads(shard[8 : 8 + length])) - {"__metadata__"})
    n_bytes = 4 * int(np.prod(shape))
    with pytest.raises(ValueError, match=START_AGAIN):
        merge_changed(folder, {names.index(name): ("F32", shape, bytes(n_bytes))}, [])


@pytest.mark.parametrize("n_bytes", [2**10, 2**31, 2**40, 2**62])
def test_a_pickles_frame_beyond_the_file_is_not_made_room_for(n_bytes, folder):
    content = MAKE["npy"](b"\x80\x04\x95" + n_bytes.to_bytes(8, "little") + b"].")
    (folder / "c_train.npy").write_bytes(content)
    with pytest.raises(ValueError, match="its pickle is broken or cut off at byte 2 of 13"), harmless():
        read_task_cache(folder / "c")


# For their size, these take the most memory of all that were tried.
GREEDY = {
    "one id is long": lambda n: "user,item\n" + "x" * 250 + "," + "y" * 250 + "\n" + "a,b\n" * (n // 4),
    "one id is rather long": lambda n: "user,item\n" + "x" * 120 + ",y\n" + distinct("{:x}g,a\n", n // 8),
    "all ids differ": lambda n: "user,item\n" + distinct("{0:x}g,h{0:x}\n", n // 14),
    "one user": lambda n: "1" + distinct(" {}", n // 7),
}


def distinct(form, n):
    return "".join(map(form.format, range(16**4, 16**4 + n)))


@pytest.mark.parametrize("name", GREEDY)
def test_greedy_files_stay_within_the_bound(name, tmp_path):
    (tmp_path / "x").write_text(GREEDY[name](3_000_000))
    refused = pytest.raises(ValueError, match="replace them") if name == "one id is long" else contextlib.nullcontext()
    with refused, harmless(max_memory((tmp_path / "x").stat().st_size)):
        assert len(read(tmp_path / "x").users) > 100_000


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", READERS)
def test_many_damaged_files_are_read_or_refused(name, folder):
    fuzz(name, folder, long)
