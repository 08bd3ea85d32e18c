"""Check that a refactoring changes nothing: record the results of every model, then compare.

    python tests/fingerprint.py record before.json       before the change
    python tests/fingerprint.py compare before.json      after it; exit code 1, and one line per difference

This is not a test, and pytest doesn't collect it. It trains on the bundled ratings with one seed, and records

    arrays      dtype, shape and SHA-256 of every array in the model files, of the splits, and of the
                recommendations for every user
    lines       the output of run_train.py, the history of training, the metrics of `evaluate`
    metadata    the metadata of model files and checkpoints

except seconds and memory. Names of hyperparameters may change on purpose, so metadata is listed separately,
and with --allow-metadata, the exit code depends only on arrays and lines.

`--only task mpi` runs only these parts; `compare before.json after.json` compares two records without
training. The parts are defined in the tables MODELS and PARTS: if the name of a model, an argument or a flag
is changed, change it there.

It only uses what a refactoring should not change: the public names of `autoenc`, run_train.py, mpiexec, and
the files. `autoenc` is imported from the folder of this file's repository, whichever version is installed. The
bits depend on the processor and the packages: record and compare on the same machine. It takes three to four
minutes on two shared cores.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("arrays", "lines", "metadata")
PACKAGES = ("numpy", "scipy", "numba", "mpi4py", "mpich")
NEVER_THE_SAME = ("train_seconds", "seconds", "peak_memory_mb")
OF_THE_FILES = ("crc32", "shards")  # of a checkpoint's manifest: they follow from the arrays and the rest

# The models, each fitted on all of the bundled ratings. Epochs and widths are reduced where one takes long.
MODELS = {
    "task": lambda autoenc: autoenc.AutoEncoder(),
    "multinomial": lambda autoenc: autoenc.AutoEncoder(loss="multinomial", epochs=8),
    "early stopping": lambda autoenc: autoenc.AutoEncoder(
        emb_dim=100, hidden_dim=50, epochs=12, schedule="cosine", early_stopping="ndcg@100", patience=2
    ),
    "denoising": lambda autoenc: autoenc.DenoisingAutoEncoder(epochs=8),
    "mult-vae": lambda autoenc: autoenc.MultVAE(epochs=8),
    "deep": lambda autoenc: autoenc.DeepRecommender(refeed=True, epochs=8),
    "elsa": lambda autoenc: autoenc.ELSA(epochs=8),
    "ials": lambda autoenc: autoenc.IALS(),
    "ease": lambda autoenc: autoenc.EASE(),
    "edlae": lambda autoenc: autoenc.EDLAE(),
    "item-knn": lambda autoenc: autoenc.ItemKNN(),
    "popular": lambda autoenc: autoenc.Popular(),
    "blend": lambda autoenc: autoenc.Blend([autoenc.ItemKNN(), autoenc.Popular()], validation_users=100),
    "best": lambda autoenc: autoenc.preset("best").set_params(
        validation_users=150, patience=1, denoisingautoencoder__hidden_dim=64, elsa__epochs=10
    ),
    "numpy": lambda autoenc: autoenc.AutoEncoder(backend="numpy", epochs=2),
    "numpy multinomial": lambda autoenc: autoenc.AutoEncoder(loss="multinomial", backend="numpy", epochs=1),
    "numpy denoising": lambda autoenc: autoenc.DenoisingAutoEncoder(backend="numpy", epochs=2),
    "numpy mult-vae": lambda autoenc: autoenc.MultVAE(backend="numpy", epochs=2),
    "numpy ials": lambda autoenc: autoenc.IALS(emb_dim=64, backend="numpy", epochs=2),
    "numpy deep": lambda autoenc: autoenc.DeepRecommender(refeed=True, backend="numpy", epochs=2),
}


# What the parts record


def record_model(name: str, seed: int, folder: Path) -> dict:
    """Fit the model, save it, load it, and have both recommend to all users."""
    import autoenc

    ratings = autoenc.datasets.load()
    model = MODELS[name](autoenc)
    seeds = [param for param in model.get_params() if param.rpartition("__")[2] == "random_state"]
    model.set_params(**dict.fromkeys(seeds, seed)).fit(ratings)
    model.save(folder / "model.safetensors")
    arrays, metadata = read_safetensors(folder / "model.safetensors")
    items, scores = model.recommend(ratings, N=10)
    arrays |= {"recommend items": digest(items), "recommend scores": digest(scores)}

    loaded_items, loaded_scores = autoenc.load_model(folder / "model.safetensors").recommend(ratings, N=10)
    same = np.array_equal(items, loaded_items) and np.array_equal(scores, loaded_scores)
    lines = {"loaded recommends the same": same}
    for attribute in ("history_", "search_"):
        for number, entry in enumerate(getattr(model, attribute, ())):
            lines[f"{attribute} {number}"] = entry
    return {"arrays": arrays, "lines": lines, "metadata": metadata}


def record_splits(seed: int, folder: Path) -> dict:
    """The held-out likes, and every metric of a model evaluated on them."""
    import autoenc

    ratings = autoenc.datasets.load()
    halves = autoenc.holdout_per_user(ratings, seed=seed)
    of_users = autoenc.holdout_users(ratings, seed=seed)
    by_time = autoenc.holdout_by_time(autoenc.datasets.load(times=True))
    arrays = {}
    for split, parts in (("per user", halves), ("users", of_users), ("by time", by_time)):
        for number, part in enumerate(parts):
            if isinstance(part, (int, float, np.ndarray)):
                arrays[f"{split} {number}"] = digest(np.asarray(part))
                continue
            part = getattr(part, "user_items", part)
            for name in ("indptr", "indices", "data"):
                arrays[f"{split} {number} {name}"] = digest(getattr(part, name))

    judged = autoenc.evaluate(autoenc.ItemKNN().fit(halves[0]), *halves, ks=(1, 10, 100))
    return {"arrays": arrays, "lines": judged.as_row(), "metadata": {}}


def record_job(seed: int, folder: Path) -> dict:
    """The main job as it is by default: its line of JSON, its model, and its list of each user's best."""
    out, topk = folder / "model.safetensors", folder / "topk"
    line = run_train(folder, seed, "--out", out, "--topk", topk)
    arrays, metadata = read_safetensors(out)
    arrays |= {"topk": digest(np.frombuffer(topk.read_bytes(), np.uint8))}
    return {"arrays": arrays, "lines": line, "metadata": metadata}


def record_preset(seed: int, folder: Path) -> dict:
    """The main job with another model."""
    out = folder / "model.safetensors"
    line = run_train(folder, seed, "--preset", "fast", "--out", out)
    arrays, metadata = read_safetensors(out)
    return {"arrays": arrays, "lines": line, "metadata": metadata}


def record_checkpoint(seed: int, folder: Path) -> dict:
    """A training that stops after two epochs of four and goes on from its checkpoint, beside one that never stops."""
    whole, half, out = (folder / f"{name}.safetensors" for name in ("whole", "half", "out"))
    state = folder / "checkpoint"
    run_train(folder, seed, "--epochs", 4, "--out", whole)
    run_train(folder, seed, "--epochs", 2, "--out", half, "--checkpoint", state)
    [shard], [manifest] = state.glob("*.safetensors"), state.glob("*.json")
    arrays = {f"checkpoint {name}": facts for name, facts in read_safetensors(shard)[0].items()}
    metadata = flat(json.loads(manifest.read_text(encoding="utf-8")), "checkpoint.")
    metadata = {key: value for key, value in metadata.items() if key.split(".")[1] not in OF_THE_FILES}

    # That another seed's training is refused shows that the checkpoint is read.
    try:
        run_train(folder, seed + 1, "--epochs", 4, "--checkpoint", state)
        refused = False
    except RuntimeError:
        refused = True
    line = run_train(folder, seed, "--epochs", 4, "--out", out, "--checkpoint", state)
    resumed, of_file = read_safetensors(out)
    lines = line | {"another seed is refused": refused, "equals the whole": resumed == read_safetensors(whole)[0]}
    lines |= {"differs from the half": resumed != read_safetensors(half)[0]}
    return {"arrays": arrays | resumed, "lines": lines, "metadata": metadata | of_file}


def record_mpi(seed: int, folder: Path) -> dict:
    """The main job on two ranks."""
    out = folder / "model.safetensors"
    line = run_train(folder, seed, "--epochs", 4, "--out", out, ranks=2)
    arrays, metadata = read_safetensors(out)
    return {"arrays": arrays, "lines": line, "metadata": metadata}


PARTS = {
    "splits": record_splits,
    **{name: lambda seed, folder, name=name: record_model(name, seed, folder) for name in MODELS},
    "run_train": record_job,
    "run_train fast": record_preset,
    "checkpoint": record_checkpoint,
    "mpi": record_mpi,
}


# What they record it with


def digest(array: np.ndarray) -> list:
    """An array as [dtype, shape, SHA-256 of its bytes in C order]."""
    return [str(array.dtype), list(array.shape), hashlib.sha256(np.ascontiguousarray(array)).hexdigest()]


def read_safetensors(path: Path) -> tuple[dict, dict]:
    """The digest of each array in a file, and the file's metadata, flat."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        arrays = {name: digest(file.get_tensor(name)) for name in sorted(file.keys())}  # an array at a time
        metadata = file.metadata() or {}
    facts: dict = {}
    for key, text in metadata.items():
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        facts |= flat(value, f"{key}.") if isinstance(value, dict) else {key: value}
    return arrays, facts


def flat(value: dict, prefix: str = "") -> dict:
    """{"a": {"b": 1}} as {"a.b": 1}, without what is never the same."""
    facts: dict = {}
    for key, of_key in value.items():
        if isinstance(of_key, dict):
            facts |= flat(of_key, f"{prefix}{key}.")
        elif key not in NEVER_THE_SAME:
            facts[f"{prefix}{key}"] = of_key
    return facts


def run_train(folder: Path, seed: int, *arguments, ranks: int = 1) -> dict:
    """Run run_train.py in `folder`, and return what its line of JSON says. Raises RuntimeError where it fails."""
    flags = ["--dataset", "ml-latest-small", "--seed", seed, "--no-progress", *arguments]
    command = [sys.executable, str(ROOT / "run_train.py"), *map(str, flags)]
    if ranks > 1:
        beside_python = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        mpiexec = shutil.which("mpiexec", path=beside_python)
        if mpiexec is None:
            raise RuntimeError("there is no mpiexec; pip install '.[mpi]'")
        command = [mpiexec, "-n", str(ranks), *command]
    environment = {name: value for name, value in os.environ.items() if name != "AUTOENC_MPI"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1200)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with code {done.returncode}: {done.stderr.strip()[-500:]}")
    [line] = done.stdout.splitlines()
    return flat(json.loads(line))


def record(names, seed: int) -> dict:
    """Run the parts and say on stderr how long each takes. One that fails has an `error` and nothing else."""
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # idle threads leave the cores to other jobs
    import autoenc

    started = time.perf_counter()
    print(f"recording {Path(autoenc.__file__).parent} at seed {seed}", file=sys.stderr)
    parts = {}
    for name in names:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="fingerprint-") as folder:
            try:
                parts[name] = PARTS[name](seed, Path(folder))
            except Exception as error:  # whatever it is, the other parts are to be recorded
                traceback.print_exc()
                parts[name] = {"error": f"{type(error).__name__}: {error}"}
        failed = " (failed)" if "error" in parts[name] else ""
        print(f"{name}: {time.perf_counter() - began:.1f} s{failed}", file=sys.stderr, flush=True)
    print(f"all: {time.perf_counter() - started:.1f} s", file=sys.stderr)
    result = {"made on": machine(), "seed": seed, "parts": parts}
    return json.loads(json.dumps(result, default=lambda number: number.item()))  # as a file gives it back


def machine() -> dict:
    """What the bits may depend on."""
    from llvmlite.binding import get_host_cpu_name  # numba's

    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return {"processor": get_host_cpu_name(), "cores": os.cpu_count(), "python": platform.python_version(), **versions}


# Comparing


def differences(before: dict, after: dict, names) -> dict[str, list[str]]:
    """Sentences by kind. A part that failed on either side is a difference, as it proves nothing."""
    found: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for name in names:
        then, now = (side["parts"].get(name, {"error": "not recorded"}) for side in (before, after))
        errors = [f"{when}: {part['error']}" for when, part in (("before", then), ("now", now)) if "error" in part]
        if errors:
            found["lines"].append(f"{name}: {'; '.join(errors)}")
            continue
        for kind in KINDS:
            keys = [*then[kind], *(key for key in now[kind] if key not in then[kind])]
            sentences = (difference(kind, key, then[kind], now[kind]) for key in keys)
            found[kind] += [f"{name}: {key}: {sentence}" for key, sentence in zip(keys, sentences) if sentence]
    return found


def difference(kind: str, key: str, then: dict, now: dict) -> str:
    """What differs, or nothing."""
    if key not in now:
        return "removed" if kind == "arrays" else f"removed (was {short(then[key])})"
    if key not in then:
        return "added" if kind == "arrays" else f"added ({short(now[key])})"
    if json.dumps(then[key]) == json.dumps(now[key]):  # as text, so that NaN is like NaN
        return ""
    if kind != "arrays":
        return f"{short(then[key])} -> {short(now[key])}"
    if then[key][:2] == now[key][:2]:
        return f"other bytes ({then[key][0]}, {then[key][1]})"
    return f"{then[key][0]}, {then[key][1]} -> {now[key][0]}, {now[key][1]}"


def short(value) -> str:
    """At most 200 characters of a value as JSON."""
    text = json.dumps(value)
    return text if len(text) <= 200 else text[:197] + "..."


def report(before: dict, after: dict, names, allow_metadata: bool) -> int:
    """Print the differences and return the exit code."""
    for what in ("made on", "seed"):
        if before[what] != after[what]:
            print(f"note: {what} was {before[what]} and is {after[what]}", file=sys.stderr)
    found = differences(before, after, names)
    for kind in KINDS:
        if found[kind]:
            print(f"{kind}:")
            print("\n".join(f"  {sentence}" for sentence in found[kind]))
    of_kinds = ", ".join(f"{len(found[kind])} in {kind}" for kind in KINDS)
    n_arrays = sum(len(before["parts"][name].get("arrays", ())) for name in names if name in before["parts"])
    print(f"differences: {of_kinds}; {len(names)} parts and {n_arrays} arrays compared")
    return int(any(found[kind] for kind in KINDS if kind != "metadata" or not allow_metadata))


# The command line


def build_parser() -> argparse.ArgumentParser:
    description, _, _ = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(description=description)
    commands = parser.add_subparsers(dest="command", required=True)
    to_record = commands.add_parser("record", help="run the parts and write what comes of them")
    to_record.add_argument("file", metavar="FILE.json", type=Path)
    to_compare = commands.add_parser("compare", help="run the parts, and say what differs from a record")
    to_compare.add_argument("file", metavar="FILE.json", type=Path)
    to_compare.add_argument("other", metavar="OTHER.json", type=Path, nargs="?", help="a later record; nothing is run")
    to_compare.add_argument("--allow-metadata", action="store_true", help="exit with 0 where metadata alone differs")
    for command in (to_record, to_compare):
        command.add_argument("--only", metavar="NAME", nargs="+", choices=list(PARTS), help=", ".join(PARTS))
        command.add_argument("--seed", type=int, default=0, help="of all that is random (default: 0)")
    return parser


def read_record(parser: argparse.ArgumentParser, path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        parser.error(f"{path} is not a record: {error}")


def main(argv=None) -> int:
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.command == "record":
        if not args.file.absolute().parent.is_dir():
            parser.error(f"{args.file.parent} is not a folder")
        result = record(args.only or list(PARTS), args.seed)
        args.file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        return int(any("error" in part for part in result["parts"].values()))

    before = read_record(parser, args.file)
    names = args.only or list(before["parts"])
    if args.other is not None:
        after = read_record(parser, args.other)
    else:
        after = record([name for name in names if name in PARTS], args.seed)
    return report(before, after, names, args.allow_metadata)


if __name__ == "__main__":
    sys.exit(main())
