"""Checkpoints: the complete state of a training, so that a killed training resumes with the same bits.

A checkpoint is a folder with a manifest and one shard, or several if the items are divided among
processes: each then writes its own shard in parallel, with the numbers of its items in `items`. Any
number of processes can read it, each the rows of its items; see `Peers`.

A shard is a safetensors file of arrays: the network's by their names in the model file, Adam's moments
under first_moment/ and second_moment/, the engine's under training/ (the last step of each lazily
updated row, and tables by step), the callbacks' under callback/, and the items' names under model/.
The manifest is JSON: the trainer's counters, its hyperparameters, the callbacks' state, the names,
sizes and checksums of the shards, and finally the manifest's own checksum, so that any damage is
detected.

Shards are written under new names, then the manifest is replaced atomically, then shards that it does
not name are deleted. So at any moment the manifest names complete shards.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import sys
import time
import zlib
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from autoenc.messages import shown
from autoenc.storage.atomic import delete_leftovers, replacing
from autoenc.storage.locks import FolderLock
from autoenc.storage.model_file import ModelFile, names_as_arrays, write_safetensors
from autoenc.storage.reading import reading
from autoenc.storage.shard_files import START_AGAIN, ShardFiles, crc32_of, is_by_item
from autoenc.training.callbacks import Callback
from autoenc.training.trainer import Trainer

FORMAT, VERSION = "autoenc checkpoint", 1
MANIFEST = "manifest.json"
SHARD = re.compile(r"step-[0-9]{9,}-epoch-[0-9]{6,}-[0-9]+-of-[0-9]+\.safetensors")
MUST_AGREE = (
    *("network", "shape", "loss", "settings", "seed", "batch_size", "n_users", "schedule", "lr", "betas", "eps"),
    *("backend", "schedule_length", "likes", "callbacks"),
)
T = TypeVar("T")
POSITION = ("next_epoch", "next_step", "users_done", "total_loss", "stop")


class Peers:
    """The processes that write a checkpoint together: here a single one, which has all items.

    Attributes
    ----------
    rank, size : int
        Rank of this process, and number of processes. Rank 0 writes what is the same for all.
    items : array (n_own,) int64, ascending, or None
        The items whose rows this process has, or None for all.
    """

    rank, size = 0, 1
    items: np.ndarray | None = None

    def all_gather(self, value: Any) -> list[Any]:
        """The values of all processes, on each of them."""
        return [value]


class Checkpoints(Callback):
    """Writes a checkpoint at regular intervals, and when the training is done.

    Parameters
    ----------
    folder : path
        Created if missing. It is locked during a training, so each training needs its own folder.
    every_steps : int, optional
    every_minutes : float, optional
        Interval in steps, in minutes, or both, whichever comes first. By default after every epoch.
    resume : bool
        Whether to resume from the checkpoint in `folder`, if there is one. Otherwise a folder that holds
        a checkpoint raises an error, as its content would be lost.
    model_file : ModelFile, optional
        What `autoenc merge` needs besides the arrays: the model's name, its params, the items' names.
    """

    def __init__(
        self,
        folder: str | Path,
        every_steps: int | None = None,
        every_minutes: float | None = None,
        resume: bool = True,
        model_file: ModelFile | None = None,
    ):
        if (every_steps is not None and every_steps < 1) or (every_minutes is not None and not every_minutes > 0):
            raise ValueError(
                f"every_steps must be 1 or more and every_minutes above 0, got {every_steps} and {every_minutes}"
            )
        self.folder = Path(folder)
        self.every_steps, self.every_minutes = every_steps, every_minutes
        self.resume = resume
        self.model_file = model_file
        self.peers = Peers()
        self._lock = FolderLock(self.folder)

    def on_train_begin(self, trainer: Trainer) -> None:
        if self.folder.exists() and not self.folder.is_dir():
            raise NotADirectoryError(f"{self.folder} is a file; name a folder for the checkpoints")
        self.folder.mkdir(parents=True, exist_ok=True)
        if not os.access(self.folder, os.W_OK):
            raise PermissionError(f"{self.folder} is not writable; name another folder for the checkpoints")
        _on_all(self.peers, self._lock_folder if self.peers.rank == 0 else lambda: None)
        if self.resume:
            restore_checkpoint(self.folder, trainer, self.peers)
            self.peers.all_gather(None)  # wait until all have read the folder
            if self.peers.rank == 0:
                _sweep(self.folder)
        elif (self.folder / MANIFEST).exists():
            raise ValueError(f"{self.folder} already holds a checkpoint; resume it, name another folder, or delete it")
        self.steps, self.written = 0, time.monotonic()

    def on_step_end(self, trainer: Trainer) -> None:
        self.steps += 1
        due = self.every_steps is not None and self.steps >= self.every_steps
        if self.every_minutes is not None:
            late = (time.monotonic() - self.written) / 60 >= self.every_minutes
            due = any(self.peers.all_gather(late)) or due  # due on all as soon as it is on one
        if due:
            self._write(trainer)

    def on_epoch_end(self, trainer: Trainer) -> None:
        last = trainer.next_epoch == trainer.epochs or trainer.stop
        if last or (self.every_steps is None and self.every_minutes is None):
            self._write(trainer)

    def on_train_end(self, trainer: Trainer) -> None:
        self._lock.release()

    def _lock_folder(self) -> None:
        try:
            self._lock.acquire()
        except BlockingIOError:
            raise OSError(
                f"another training writes its checkpoints to {self.folder}; wait until it ends, or name another folder"
            ) from None

    def _write(self, trainer: Trainer) -> None:
        save_checkpoint(self.folder, trainer, self.model_file, self.peers)
        self.steps, self.written = 0, time.monotonic()


def save_checkpoint(
    folder: str | Path, trainer: Trainer, model_file: ModelFile | None = None, peers: Peers | None = None
) -> None:
    """Write the trainer's state to `folder`, replacing an earlier checkpoint.

    Raises OSError if it can't be written, for example on a full disk; the earlier checkpoint is then kept.
    """
    folder, peers = Path(folder), peers or Peers()
    states = [callback.state_dict() for callback in _with_state(trainer)]
    arrays = _arrays_of_shard(trainer, [arrays for _, arrays in states], model_file, peers)

    # After an epoch's last step there may be two checkpoints, before and after the callbacks' on_epoch_end.
    stem = f"step-{trainer.adam.step_count:09d}-epoch-{trainer.next_epoch:06d}"
    path = folder / f"{stem}-{peers.rank}-of-{peers.size}.safetensors"

    def write_shard() -> dict[str, Any]:
        write_safetensors(path, arrays)
        return {"file": path.name, "bytes": path.stat().st_size, "crc32": crc32_of(path)}

    def write_manifest() -> None:
        for shard in shards:
            (folder / shard["file"]).stat()  # fails if the hosts don't share the folder
        manifest = _manifest(trainer, [facts for facts, _ in states], model_file, shards)
        with replacing(folder / MANIFEST) as temporary:
            temporary.write_text(json.dumps(manifest, indent=1), encoding="utf-8")

    def on_first(act: Callable[[], None]) -> Callable[[], None]:
        return act if peers.rank == 0 else lambda: None

    try:
        shards = _on_all(peers, write_shard)
        _on_all(peers, on_first(write_manifest))
        _on_all(peers, on_first(lambda: _sweep(folder)))  # before any process begins the next checkpoint
    except OSError as error:
        on_first(lambda: _sweep(folder))()
        raise OSError(
            f"the checkpoint of step {trainer.adam.step_count} can't be written to {folder} ({error}); "
            "fix that and resume from the previous one"
        ) from None


def _arrays_of_shard(
    trainer: Trainer, callback_arrays: list[dict[str, np.ndarray]], model_file: ModelFile | None, peers: Peers
) -> dict[str, np.ndarray]:
    """The arrays that this process writes: everything on rank 0, only the rows of its items on the others."""
    arrays = _named_arrays(trainer)
    arrays |= {f"training/{name}": array for name, array in trainer.engine.training_arrays().items()}
    for number, of_callback in enumerate(callback_arrays):
        arrays |= {f"callback/{number}/{name}": array for name, array in of_callback.items()}
    if peers.rank > 0:
        arrays = {name: array for name, array in arrays.items() if is_by_item(name)}
    elif model_file is not None:
        arrays |= {f"model/{name}": array for name, array in names_as_arrays(model_file).items()}
    if peers.items is not None:
        arrays["items"] = peers.items
    return arrays


def _manifest(
    trainer: Trainer, facts: list[dict[str, Any]], model_file: ModelFile | None, shards: list[dict[str, Any]]
) -> dict[str, Any]:
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        **_description(trainer),
        **{key: getattr(trainer, key) for key in POSITION},
        "step_count": trainer.adam.step_count,
        "last_lr": trainer.adam.lr,
        "callback_states": facts,
        "model": model_file and {"model": model_file.model, "params": model_file.params, "about": model_file.about},
        "shards": shards,
    }
    return {**manifest, "crc32": _crc32(manifest)}


def _on_all(peers: Peers, act: Callable[[], T]) -> list[T]:
    """Call `act` and return its results on all processes; if it raises OSError on one, raise OSError on all."""
    done = error = None
    try:
        done = act()
    except OSError as failed:
        error = str(failed)
    outcomes = peers.all_gather((done, error))
    for _, sentence in outcomes:
        if sentence is not None:
            raise OSError(sentence)
    return [done for done, _ in outcomes]


def restore_checkpoint(folder: str | Path, trainer: Trainer, peers: Peers | None = None) -> bool:
    """Restore the state of `trainer`, which must have the same settings and likes as the one that was saved.

    Returns whether there was a checkpoint in `folder`; without one nothing is changed.

    Raises
    ------
    ValueError
        If the checkpoint belongs to another training (the error names the first setting that differs),
        is damaged, or is not a checkpoint. The trainer is then unchanged.
    """
    folder = Path(folder)
    if not (folder / MANIFEST).exists():
        return False
    with reading(folder):
        return _restore(folder, trainer, peers)


def _restore(folder: Path, trainer: Trainer, peers: Peers | None) -> bool:
    path = folder / MANIFEST
    manifest = read_manifest(path, _description(trainer))
    _check_fields(manifest, path, _fields_of(trainer))
    items = peers.items if peers is not None else None
    with ShardFiles(folder, manifest) as shards:
        own = np.arange(shards.n_items) if items is None else items
        wanted = _named_arrays(trainer)
        shards.check(own, wanted)
        training = shards.read_below("training/", own)
        _check_training_arrays(shards, training, trainer)
        for number, (callback, facts) in enumerate(zip(_with_state(trainer), manifest["callback_states"])):
            try:
                callback.load_state_dict(facts, shards.read_below(f"callback/{number}/", own))
            except (LookupError, TypeError, ValueError, AttributeError):
                raise ValueError(f"{path} has no state of a {type(callback).__name__}; {START_AGAIN}") from None
        for name, array in wanted.items():
            shards.read_into(array, name, own)
    trainer.adam.step_count, trainer.adam.lr = manifest["step_count"], manifest["last_lr"]
    trainer.engine.load_training_arrays(training)
    for key in POSITION:
        setattr(trainer, key, manifest[key])
    return True


def _check_agrees(manifest: dict[str, Any], path: Path, description: dict[str, Any]) -> None:
    """Raise ValueError if the manifest belongs to another training than the one described."""
    for key in MUST_AGREE:
        if manifest.get(key) != description[key]:
            raise ValueError(
                f"{path.parent} holds a training with {key} {shown(manifest.get(key))}, "
                f"but this one has {description[key]!r}; use the same, or name another folder"
            )


def _check_fields(manifest: dict[str, Any], path: Path, fields: dict[str, Callable[[Any], bool]]) -> None:
    for key, fits in fields.items():
        if key not in manifest or not fits(manifest[key]):
            raise ValueError(
                f"{path} has {key} {shown(manifest.get(key))}, which this training cannot have; {START_AGAIN}"
            )


def read_manifest(path: Path, description: dict[str, Any] | None = None) -> dict[str, Any]:
    """Read and check a manifest. Raises ValueError if it is damaged or not a manifest.

    With a `description` the manifest must belong to the training described.
    """
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if (manifest["format"], manifest["version"]) != (FORMAT, VERSION):
            raise ValueError
        whole = manifest.pop("crc32") == _crc32(manifest)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError(
            f"{path} is not a checkpoint that this version of autoenc can read; name another folder, or delete this one"
        ) from None
    if not whole:
        raise ValueError(f"{path} is damaged: its checksum does not match; {START_AGAIN}")
    if description is not None:
        _check_agrees(manifest, path, description)
    _check_fields(manifest, path, _FIELDS)
    return manifest


def _is_count(value: Any, least: int = 0, most: int = 2**53) -> bool:
    return type(value) is int and least <= value <= most


def _is_finite(value: Any) -> bool:
    """Whether it is a finite number, at least 0."""
    return type(value) in (int, float) and 0 <= value < math.inf and value <= sys.float_info.max


def _are_dicts(values: Any, keys: Set[str] = frozenset()) -> bool:
    return type(values) is list and all(type(v) is dict and keys <= v.keys() for v in values)


def _are_shards(values: Any) -> bool:
    return (
        _are_dicts(values, {"file", "bytes", "crc32"})
        and len(values) == len({str(shard["file"]) for shard in values}) > 0
        and all(type(shard["file"]) is str and _is_count(shard["bytes"]) for shard in values)
    )


def _is_model(value: Any) -> bool:
    if value is None:
        return True
    return type(value) is dict and [type(value.get(key)) for key in ("model", "params", "about")] == [str, dict, dict]


_FIELDS: dict[str, Callable[[Any], bool]] = {
    "network": lambda value: type(value) is str,
    "shape": lambda value: type(value) is list and len(value) == 3 and all(_is_count(n, 1, 2**31) for n in value),
    "settings": lambda value: type(value) is dict,
    "lr": _is_finite,
    "betas": lambda value: type(value) is list and len(value) == 2 and all(_is_finite(b) and b < 1 for b in value),
    "eps": _is_finite,
    "next_epoch": _is_count,
    "total_loss": lambda value: type(value) in (int, float) and _is_finite(abs(value)),
    "stop": lambda value: type(value) is bool,
    "step_count": _is_count,
    "last_lr": _is_finite,
    "callback_states": _are_dicts,
    "model": _is_model,
    "shards": _are_shards,
}
"""A check for each entry of a manifest, as its values must not be trusted."""


def _fields_of(trainer: Trainer) -> dict[str, Callable[[Any], bool]]:
    """Checks of the entries that depend on this training."""
    return {
        "next_step": lambda value: _is_count(value, most=trainer.n_steps),
        "users_done": lambda value: _is_count(value, most=trainer.n_users),
        "callback_states": lambda value: len(value) == len(_with_state(trainer)),
    }


def _check_training_arrays(shards: ShardFiles, given: dict[str, np.ndarray], trainer: Trainer) -> None:
    """Check arrays that kernels index without bounds checks: tables need step_count + 1 columns for last_step."""
    step_count = shards.manifest["step_count"]
    for name, array in trainer.engine.training_arrays().items():
        fits = name in given and given[name].dtype == array.dtype and given[name].ndim == array.ndim
        if fits and array.ndim == 1:
            fits = given[name].shape == array.shape and ((given[name] >= 0) & (given[name] <= step_count)).all()
        elif fits:
            fits = given[name].shape[0] == array.shape[0] and given[name].shape[1] > step_count
        if not fits:
            raise ValueError(f"{shards.paths[0]} has no training/{name} for {step_count} steps; {START_AGAIN}")


def _sweep(folder: Path) -> None:
    """Delete the shards that the manifest doesn't name, and partial files of a killed training."""
    try:
        named = {shard["file"] for shard in json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["shards"]}
    except FileNotFoundError:
        named = set()
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return  # an unreadable manifest may name any of them
    for path in folder.glob("step-*.safetensors"):
        if SHARD.fullmatch(path.name) and path.name not in named:
            with contextlib.suppress(OSError):
                path.unlink()
    delete_leftovers(folder)


def _crc32(manifest: dict[str, Any]) -> int:
    """The checksum of a manifest without its own; JSON preserves floats and the order of keys."""
    return zlib.crc32(json.dumps(manifest).encode())


def _named_arrays(trainer: Trainer) -> dict[str, np.ndarray]:
    """The arrays of the network and of Adam, by their names in a shard."""
    arrays = dict(trainer.engine.network.state)
    arrays |= {f"first_moment/{name}": array for name, array in trainer.adam.first_moment.items()}
    arrays |= {f"second_moment/{name}": array for name, array in trainer.adam.second_moment.items()}
    return arrays


def _with_state(trainer: Trainer) -> list[Callback]:
    """The callbacks that have a state; others, such as a progress bar, may differ when resuming."""
    return [callback for callback in trainer.callbacks if type(callback).state_dict is not Callback.state_dict]


def _description(trainer: Trainer) -> dict[str, Any]:
    """The settings that two trainers must share for one to resume the other's training."""
    adam, network = trainer.adam, trainer.engine.network
    return {
        "network": type(network).__name__,
        "shape": [trainer.engine.n_items, network.emb_dim, network.hidden_dim],
        "loss": type(network.loss).__name__,
        "settings": network.settings,
        "seed": trainer.seed,
        "batch_size": trainer.batch_size,
        "n_users": trainer.n_users,
        "schedule": trainer.schedule,
        "schedule_length": trainer.schedule_length,
        "lr": trainer.lr,
        "betas": list(adam.betas),
        "eps": adam.eps,
        "backend": trainer.backend,
        "likes": trainer.fingerprint,
        "callbacks": [type(callback).__name__ for callback in _with_state(trainer)],
        "epochs": trainer.epochs,
    }
