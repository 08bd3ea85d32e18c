"""The main job of `run_train.py` and `autoenc train`: load likes, split them, train, rank, and report.

The protocol is the task's: each user's likes are split 80/20, the network trains on the 80% and ranks
all other items, and precision@k is the fraction of the first k that are among the 20%, averaged over
the users who have any held out.
"""

from __future__ import annotations

import contextlib
import math
import time
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from autoenc import __version__
from autoenc.checks import days, moment
from autoenc.datasets.options import NO_OPTIONS, ReadOptions
from autoenc.evaluation import plots
from autoenc.evaluation.evaluate import Report, evaluate
from autoenc.evaluation.popularity import beside_popularity, popularity_warning
from autoenc.evaluation.ranking import ScorerLike, rank
from autoenc.evaluation.splits import holdout_per_user
from autoenc.interactions import Interactions, likes_per_item
from autoenc.machine import compute_threads, peak_memory_mb, processors
from autoenc.models.autoencoder import AutoEncoder
from autoenc.models.base import Recommender
from autoenc.models.blend import Blend
from autoenc.models.network_model import NetworkRecommender
from autoenc.models.popular import Popular
from autoenc.models.presets import PRESETS, preset
from autoenc.scale.checkpoint import ShardedCheckpoints
from autoenc.scale.ranks import Communicator, world
from autoenc.scale.sharded_autoencoder import ShardedAutoEncoder
from autoenc.storage.atomic import check_writable
from autoenc.storage.model_file import ModelFile
from autoenc.training.callbacks import Callback, ProgressBar
from autoenc.training.checkpoint import Checkpoints
from autoenc.training.minibatches import default_epochs
from autoenc.training.progress import new_bar, show_progress
from autoenc.training.trainer import Trainer

PASS_AT = 0.475
ML_10M = {"users": 69_878, "items": 10_677, "likes": 10_000_054}
DEFAULT_CACHE = "data/cache"
JUDGED_BY = "ndcg@10"  # the metric for comparing a model with popularity


TASK = AutoEncoder()  # its default hyperparameters are the task's
OF_NETWORK = ("batch_size", "emb_dim", "hidden_dim", "lr", "bias_offset", "dropout")


@dataclass
class Settings:
    """The settings of the main job.

    At most one of dataset, data and cache_path gives the likes: the name of a data set, the path of a
    file, or the task's split in cache_path + "_train.npy" and "_valid.npy". By default `data/cache` if it
    exists, otherwise the bundled edition of MovieLens.
    """

    batch_size: int = TASK.batch_size
    emb_dim: int = TASK.emb_dim
    hidden_dim: int = TASK.hidden_dim
    lr: float = TASK.lr
    bias_offset: float = TASK.bias_offset
    dropout: float = TASK.dropout
    cache_path: str | None = None
    dataset: str | None = None
    data: str | None = None
    epochs: int | None = None  # by default from `default_epochs`, for the number of training users
    seed: int = 0
    threads: int | None = None
    backend: str = TASK.backend
    out: str | None = None  # the model file
    topk: str | None = None  # path of the task's results/topk; by default written only for the task's cache
    schedule: str = TASK.schedule
    early_stopping: str | None = None  # a metric; a tenth of the users are then for validation, not training
    checkpoint: str | None = None  # a folder; an interrupted training resumes from the checkpoint in it
    checkpoint_minutes: float = 5.0
    plot: str | None = None  # path of a plot of the training
    progress: bool = True
    preset: str = "task"  # or another of `presets.PRESETS`, which has none of the network's settings
    reading: ReadOptions = NO_OPTIONS  # how to read the likes
    validation: str | None = None  # "weak", "strong" or "time", for the presets `best` and `fast`; by default weak
    half_life: str | None = None  # after which a like counts half, such as "90d"
    since: str | None = None  # a date, or a duration before the latest like: leave out earlier likes
    until: str | None = None  # in the same form: leave out likes at this time or later
    times: bool = False  # load times even if none of the three needs them

    def changed(self, names: Iterable[str]) -> list[str]:
        """The settings among `names` that differ from their defaults."""
        return [f.name for f in fields(self) if f.name in names and getattr(self, f.name) != f.default]

    def are_the_tasks(self) -> bool:
        """Whether this is the task's run of one epoch, with any seed, threads and files."""
        return self.epochs == 1 and not self.changed((*OF_NETWORK, "preset", "schedule", "early_stopping"))


class Split(NamedTuple):
    """The likes of a run."""

    train: Interactions
    held_out: sparse.csr_array  # (n_users, n_items), of the same users and items
    is_the_cache: bool  # whether this is the task's own split


def main_job(settings: Settings, say: Callable[[str], object] = lambda line: None) -> dict[str, Any]:
    """Run the main job and return its report, a flat dict that JSON can represent.

    Under mpiexec all ranks run it together: each holds some of the items, one writes the files, and all
    return the report. `say` is called with sentences on the progress. Raises ValueError, TypeError or
    OSError for bad input before anything is written, FloatingPointError if training diverges.
    """
    started = time.perf_counter()
    ranks = world()
    check_settings(settings, ranks)
    with ranks.root_first():  # it may download files that the others then find
        split = load_likes(settings, say)
    settings = completed(settings, split, ranks)
    check_outputs(settings, split, ranks)
    model = model_of(settings, ranks)

    with compute_threads(settings.threads):
        if isinstance(model, AutoEncoder):
            train_seconds = fit_task(model, split, settings, say)
        else:
            assert isinstance(model, Blend)  # as all other presets are
            train_seconds = fit_preset(model, split, settings, say)
        with progress_bar(settings.progress, "ranking") as progress:
            found = evaluate(model, split.train.user_items, split.held_out, progress=progress)
        popular = evaluate(Popular().fit(split.train.user_items), split.train.user_items, split.held_out)
        if settings.topk is not None:
            write_rankings(settings.topk, model, split.train)
    beside = beside_popularity(JUDGED_BY, found[JUDGED_BY], popular[JUDGED_BY])
    if popularity_warning(beside):
        say(popularity_warning(beside))
    model.about_ |= {"beside_popularity": beside}
    write_outputs(model, split, settings, say)

    seconds = {"train_seconds": round(train_seconds, 2), "seconds": round(time.perf_counter() - started, 2)}
    report = report_of(model, split, settings, found, popular)
    return report | ({"ranks": ranks.size} if ranks.size > 1 else {}) | seconds | {"peak_memory_mb": peak_memory_mb()}


def check_settings(settings: Settings, ranks: Communicator) -> None:
    """Raise ValueError for invalid settings before the likes are loaded; the model checks its hyperparameters."""
    if not 0 <= settings.seed < 2**63:
        raise ValueError(f"seed must be from 0 to {2**63 - 1}, got {settings.seed}")
    if not math.isfinite(settings.bias_offset):
        raise ValueError(f"bias_offset must be a finite number, got {settings.bias_offset}")
    check_preset(settings)
    check_times(settings, ranks)
    if ranks.size > 1 and settings.preset != "task":
        raise ValueError(f"--preset {settings.preset} trains in one process; leave mpiexec out, or use --preset task")


def completed(settings: Settings, split: Split, ranks: Communicator) -> Settings:
    """A copy of the settings, with defaults that depend on the likes and the machine filled in."""
    settings = replace(settings, progress=settings.progress and ranks.is_root)
    if settings.threads is None and ranks.size > 1:
        settings.threads = max(1, processors()["usable"] // ranks.on_host)
    if settings.epochs is None and settings.preset == "task":
        n_users = int((np.diff(split.train.user_items.indptr) > 0).sum())
        settings.epochs = default_epochs(n_users, settings.batch_size)
    if settings.topk is None and split.is_the_cache:
        settings.topk = "results/topk"
    return settings


def check_outputs(settings: Settings, split: Split, ranks: Communicator) -> None:
    """Raise ValueError or OSError before the training if an output could not be written after it."""
    item_ids = split.train.item_ids
    if settings.topk is not None and item_ids.dtype.kind != "i":
        raise ValueError(f"topk lists items by number, but {split.train.name} has ids like {item_ids[0]}; leave it out")
    if settings.plot is not None:
        plots.check_plot(settings.plot)
    for path in filter(None, (settings.out, settings.topk, settings.plot)) if ranks.is_root else ():
        check_writable(path, settings.data)


def model_of(settings: Settings, ranks: Communicator) -> Recommender:
    """The unfitted model to train."""
    if settings.preset != "task":
        return of_preset(settings)
    params = {name: value for name, value in vars(settings).items() if name in TASK.get_params()}
    params["half_life"] = half_life_of(settings)
    of_task = AutoEncoder if ranks.size == 1 else ShardedAutoEncoder
    return of_task(**params, random_state=settings.seed)


def fit_task(model: AutoEncoder, split: Split, settings: Settings, say: Callable[[str], object]) -> float:
    """Train the task's network and return the seconds, without those for loading or compiling the kernels."""
    watch = _Watch(settings, say)
    callbacks: list[Callback] = [watch]
    if settings.checkpoint is not None:
        ordinary = ModelFile("AutoEncoder", model._file_params(), {}, split.train.item_ids, split.train.titles)
        ordinary.about = {"dataset": split.train.name, "epochs": 0, **about(settings.seed, split)}
        ordinary.item_counts = likes_per_item(split.train.user_items)
        minutes = settings.checkpoint_minutes
        checkpoints = Checkpoints if world().size == 1 else ShardedCheckpoints
        callbacks.append(checkpoints(settings.checkpoint, every_minutes=minutes, model_file=ordinary))
    model.fit(split.train, callbacks=callbacks)
    return time.perf_counter() - watch.started


def write_outputs(model: Recommender, split: Split, settings: Settings, say: Callable[[str], object]) -> None:
    """Write the model and the plot of the training, if requested."""
    if settings.out is not None:
        model.about_ |= {**trained_for(model), **about(settings.seed, split), **bounds_of(settings)}
        model.save(settings.out)
        say(f"wrote the model to {settings.out}")
    if settings.plot is not None and world().is_root:
        assert isinstance(model, AutoEncoder)
        plots.save(plots.draw_history(model.history_), settings.plot)
        say(f"wrote the plot of the training to {settings.plot}")


def report_of(model: Recommender, split: Split, settings: Settings, found: Report, popular: Report) -> dict[str, Any]:
    """The report of the run: the metrics, and the data and settings."""
    train, is_task = split.train, settings.preset == "task"
    shape = {"users": train.n_users, "items": train.n_items, "likes": train.n_likes + split.held_out.nnz}
    status = "DONE"
    if shape == ML_10M and train.name != "synthetic" and settings.are_the_tasks():
        status = "PASS" if found["precision@1"] >= PASS_AT else "FAIL"
    return {
        "status": status,
        **{f"p_at_{k:02d}": round(found[f"precision@{k}"], 6) for k in (1, 5, 10)},
        **{f"popular_p_at_{k:02d}": round(popular[f"precision@{k}"], 6) for k in (1, 5, 10)},
        "dataset": train.name,
        **shape,
        "users_evaluated": found.n_users,
        "users_skipped": found.n_skipped,
        **({"epochs": settings.epochs} if is_task else {"preset": settings.preset, **trained_for(model)}),
        "seed": settings.seed,
        "backend": settings.backend,
        **({} if settings.half_life is None else {"half_life_days": half_life_of(settings)}),
        **bounds_of(settings),
    }


def check_times(settings: Settings, ranks: Communicator) -> None:
    """Raise ValueError if half_life, since or until is invalid or can't be used."""
    half_life_of(settings)
    for name, text in bounds_of(settings).items():
        moment(_flag(name), text)
    if settings.half_life is not None and ranks.size > 1:
        raise ValueError("--half-life trains in one process; leave mpiexec out")


def half_life_of(settings: Settings) -> float | None:
    """The half-life in days."""
    return None if settings.half_life is None else days("--half-life", settings.half_life)


def bounds_of(settings: Settings) -> dict[str, str]:
    """Those of since and until that are given."""
    bounds = {"since": settings.since, "until": settings.until}
    return {name: text for name, text in bounds.items() if text is not None}


def about(seed: int, split: Split) -> dict[str, Any]:
    """The facts about the run for the model file."""
    return {
        "split": "cache" if split.is_the_cache else "per user, 0.2",
        "seed": seed,
        "likes": fingerprint(split.train.user_items),
        "autoenc": __version__,
    }


def check_preset(settings: Settings) -> None:
    """Raise ValueError if the preset is unknown, or a changed setting does not apply to it."""
    if settings.preset not in PRESETS:
        raise ValueError(f"preset is {settings.preset!r}; pass one of {', '.join(PRESETS)}.")
    if settings.validation is not None and not PRESETS[settings.preset].validates:
        raise ValueError(f"--validation applies only to --preset best and fast, not to {settings.preset}; leave it out")
    if settings.preset == "task":
        return
    for name in settings.changed((*OF_NETWORK, "epochs", "schedule", "early_stopping", "checkpoint", "plot")):
        raise ValueError(f"{_flag(name)} applies only to --preset task")


def of_preset(settings: Settings) -> Recommender:
    """The unfitted model of the preset, with the settings of the run that its parts have."""
    model = preset(settings.preset)
    if settings.validation is not None:
        model.set_params(validation=settings.validation)
    of_run: dict[str, Any] = {"random_state": settings.seed, "threads": settings.threads, "backend": settings.backend}
    if settings.half_life is not None:
        of_run["half_life"] = half_life_of(settings)
    for each in (model, *getattr(model, "fallback", ())):
        names = [name for name in each.get_params() if name.rpartition("__")[2] in of_run]
        each.set_params(**{name: of_run[name.rpartition("__")[2]] for name in names})
    return model


def fit_preset(model: Blend, split: Split, settings: Settings, say: Callable[[str], object]) -> float:
    """Fit a preset's model, report its warnings and choices, and return the seconds."""
    say(f"--preset {settings.preset}: {PRESETS[settings.preset].description}")
    started = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught, show_progress(settings.progress) as progress:
        warnings.simplefilter("always", UserWarning)
        model.fit(split.train, progress=progress)
    seconds = time.perf_counter() - started
    for warning in caught:
        say(str(warning.message))
    parts = [repr(part).removesuffix("()") for part in getattr(model, "models_", [model])]
    if len(parts) > 1:
        parts = [f"{weight:.3g} times {part}" for weight, part in zip(getattr(model, "weights_", ()), parts)]
    say(f"trained {' plus '.join(parts)} in {seconds:.0f} s")
    return seconds


def trained_for(model: Recommender) -> dict[str, int]:
    """The number of epochs of the network, or of the one in a blend; empty if there is none."""
    networks = (part for part in getattr(model, "models_", [model]) if isinstance(part, NetworkRecommender))
    epochs = max((len(network.history_) for network in networks), default=0)
    return {"epochs": epochs} if epochs else {}


class _Watch(Callback):
    """Loads the kernels once all settings are checked, measures the time, and shows the progress.

    It is the same callback with or without a bar, as a checkpoint can only be resumed with the same callbacks.
    """

    def __init__(self, settings: Settings, say: Callable[[str], object]):
        self.backend, self.say = settings.backend, say
        self.bar = ProgressBar() if settings.progress else Callback()

    def on_train_begin(self, trainer: Trainer) -> None:
        if self.backend == "numba":
            from autoenc.training.warm_up import warm_up  # imports numba

            with world().root_first():  # the others then find the compiled kernels on disk
                warm_up(self.say)
        self.say(f"training the network for {trainer.epochs} epoch{'s' * (trainer.epochs != 1)}")
        self.bar.on_train_begin(trainer)
        self.started = time.perf_counter()

    def on_step_end(self, trainer: Trainer) -> None:
        self.bar.on_step_end(trainer)

    def on_train_end(self, trainer: Trainer) -> None:
        self.bar.on_train_end(trainer)


def fingerprint(user_items: sparse.csr_array) -> int:
    """A hash of the likes, as in the trainer."""
    return zlib.crc32(user_items.indices, zlib.crc32(user_items.indptr))


def load_likes(settings: Settings, say: Callable[[str], object] = lambda line: None) -> Split:
    """Load the likes that the settings specify, and split them unless they are already split."""
    from autoenc.datasets.task_cache import read_task_cache

    given = [name for name in ("cache_path", "dataset", "data") if getattr(settings, name) is not None]
    if len(given) > 1:
        flags = " and ".join(map(_flag, given))
        raise ValueError(f"{flags} each name the likes to train on; pass only one of them")
    cache = settings.cache_path
    if not given and Path(f"{DEFAULT_CACHE}_train.npy").is_file():
        cache = DEFAULT_CACHE
    of_time = settings.half_life is not None or settings.validation == "time" or bool(bounds_of(settings))
    times = settings.times or of_time
    if cache is not None:
        if times:
            raise ValueError("the task's cache has no times; pass the ratings with --data or --dataset")
        if settings.reading != NO_OPTIONS:
            raise ValueError(
                "the task's cache is already split; pass the ratings with --data, or leave out the reading options"
            )
        train, valid = read_task_cache(cache)
        held_out = valid.user_items
    else:
        likes = load_ratings(settings, say, times)
        train_items, held_out = holdout_per_user(likes.user_items, 0.2, settings.seed)
        train = likes.with_user_items(train_items)
    if not held_out.nnz:
        raise ValueError(
            f"none of the {train.n_users:,} users of {train.name} has enough likes to hold out a fifth of them for the "
            "evaluation; check which columns are the users and the items, or pass more likes"
        )
    say(
        f"{train.name}: {train.n_users:,} users x {train.n_items:,} items; "
        f"training on {train.n_likes:,} likes, evaluating on {held_out.nnz:,}"
    )
    return Split(train, held_out, cache is not None)


def load_ratings(settings: Settings, say: Callable[[str], object], times: bool) -> Interactions:
    """The likes of `dataset` or `data` before the split, after all filters."""
    from autoenc.datasets import load, with_enough_likes

    name, reading = settings.dataset or "ml-latest-small", settings.reading
    columns = vars(replace(reading, min_likes_per_user=0, min_likes_per_item=0))
    likes = load(name, path=settings.data, progress=settings.progress, times=times, **columns)
    likes = with_enough_likes(in_bounds(likes, settings), reading)
    if likes.source and (settings.data is not None or reading != NO_OPTIONS):
        say(likes.source)
    return likes


def in_bounds(likes: Interactions, settings: Settings) -> Interactions:
    """The likes between `since` (inclusive) and `until` (exclusive)."""
    bounds = bounds_of(settings)
    if not bounds:
        return likes
    assert likes.times is not None
    latest = int(likes.times.max())
    return likes.between(**{name: moment(_flag(name), text, latest) for name, text in bounds.items()})


def write_rankings(path: str | Path, scorer: ScorerLike, train: Interactions, n: int = 10) -> None:
    """Write the ids of each user's first n items, in the order of the users: the task's results/topk."""
    from autoenc.datasets.task_cache import write_topk

    top_items = np.empty((train.n_users, n), np.int32)
    for users, items, _ in rank(scorer, train.user_items, n):
        top_items[users] = items
    if world().is_root:
        write_topk(path, np.where(top_items >= 0, train.item_ids[top_items], 0))


@contextlib.contextmanager
def progress_bar(wanted: bool, what: str) -> Iterator[Callable[[int, int], None] | None]:
    """Yield a function of (done, total) users that updates a bar on stderr, or None if none is wanted."""
    if not wanted:
        yield None
        return
    with new_bar(desc=what, unit=" users", unit_scale=True) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield progress


def _flag(name: str) -> str:
    """The name of a setting on the command line."""
    return "--" + name.replace("_", "-")
