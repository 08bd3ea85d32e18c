"""The benchmarks' arithmetic, the workers' protocol and the generated pages, at tiny sizes; nothing is timed."""

from __future__ import annotations

import contextlib
import importlib.util
import subprocess
import sys

import numpy as np
import pytest
from scipy import sparse

from autoenc.datasets.synthetic import synthetic
from autoenc.models import EASE
from autoenc.training import fused
from benchmarks import by_time
from benchmarks.ranking import __main__ as ranking
from benchmarks.ranking import lines as ranking_lines
from benchmarks.ranking import page as ranking_page
from benchmarks.ranking import report as ranking_report
from benchmarks.ranking import run as ranking_run
from benchmarks.ranking.plans import MODELS, PLANS, Plan
from benchmarks.ranking.search import search
from benchmarks.speed import __main__ as speed
from benchmarks.speed import (
    contestants,
    kernels_page,
    parts,
    processor,
    profile,
    report,
    results,
    stopwatch,
    targets,
    task,
    turns,
)
from benchmarks.speed import kernels as pairs_measured
from benchmarks.speed import likes as likes_files
from benchmarks.speed.pairs import PAIRS
from tests.helpers import ROOT

pytestmark = pytest.mark.optional

SHAPE = (40, 30, 400)
TASK = [task.USERS, task.ITEMS, task.LIKES]
MATMUL = {"numpy-matmul": [100.0, 200.0, 300.0]}


def turns_of(ours: list[float], tuned: float, bfloat16: float) -> dict[str, list[float]]:
    return {"autoenc": ours, "torch-tuned": [tuned] * 3, "torch-bfloat16": [bfloat16] * 3}


def phases_of(middle: float, tiles: float) -> list[dict]:
    """A profile's rows: two phases and all."""
    rows = (("middle, forward", middle, 0.5), ("output tiles", tiles, 24.0), ("all", middle + tiles, 24.5))
    return [{"phase": name, "ms": ms, "bound_ms": bound, "bound_by": "flops"} for name, ms, bound in rows]


# What benchmarks.speed would store of a machine with 2 processors, of round numbers.
PARTS = {
    "epoch": {
        # 7.05 GFLOP in 273 steps are 1924.7 GFLOP: 48, 96 and 38 GFLOP/s.
        "1": {"seconds": turns_of([40.0, 20.0, 50.0], 80.0, 40.0), "gflops": {"numpy-matmul": [50.0, 100.0, 150.0]}},
        "2": {
            "seconds": turns_of([20.0, 10.0, 25.0], 40.0, 16.0) | {"torch-plain": [500.0, 500.0, 500.0]},
            "gflops": MATMUL | {"torch-matmul": [50.0, 50.0, 50.0]},
        },
        "4": {"seconds": turns_of([20.0, 20.0, 20.0], 30.0, 50.0), "gflops": MATMUL},
    },
    "score": {
        "1": {"seconds": dict.fromkeys(("256", "4096", "all"), turns_of([8.0] * 3, 16.0, 16.0)), "gflops": MATMUL},
        "2": {
            "seconds": {
                "256": turns_of([8.2] * 3, 16.0, 16.0),
                "4096": turns_of([8.8] * 3, 13.5, 16.0),
                "all": turns_of([4.0] * 3, 8.0, 3.0),
            },
            "gflops": MATMUL,
        },
    },
    "quality": {"p_at_01": {"autoenc": [0.4, 0.3], "torch-tuned": [0.5, 0.3], "torch-bfloat16": [0.3, 0.3]}},
    "memory": {
        "megabytes": {"autoenc": [300.0, 310.0, 305.0], "torch-tuned": [400.0, 400.0, 400.0]},
        "process": {"autoenc": [400.0, 410.0, 405.0], "torch-tuned": [900.0, 900.0, 900.0]},
        "at_work": {"autoenc": 70.0, "torch-tuned": 15.0},
        "data": 64.0,
    },
    "start": {
        "seconds": {"autoenc": [1.0, 1.2, 1.1], "torch-tuned": [4.0, 4.0, 4.0]},
        "compile": [25.0],
        "help": [0.1, 0.1, 0.1],
    },
    "scaling": {
        **{
            axis: {"0.25": [2.0], "0.5": [4.0], "1": [8.0], "2": [16.0], "4": [four]}
            for axis, four in (("users", 32.0), ("likes", 12.0), ("items", 40.0))
        },
        "memory": {"0.25": [250.0], "0.5": [260.0], "1": [300.0], "2": [400.0], "4": [510.0]},
        "data_megabytes": {"0.25": 16.0, "0.5": 32.0, "1": 64.0, "2": 128.0, "4": 256.0},
    },
    "busy": {
        **{"busy": 2, "threads": 2, "date": "2026-01-01"},
        **{"idle": phases_of(5.0, 45.0), "beside": phases_of(60.0, 140.0)},
    },
}
for by_count in (PARTS["epoch"], PARTS["score"]):
    for count, measured in by_count.items():
        measured |= {"threads": int(count), "date": "2026-01-01"}


def stored_of(parts: dict, name: str = "A processor (family 1, model 2)", vectors: str = "AVX2") -> dict:
    """The content of a results file."""
    versions = {"python": "3.11", "system": "Linux", "numba": "0.60"}
    described = {"name": name, "vectors": vectors, "count": 2}
    return {"processor": described, "shape": TASK, "versions": versions, "blas": [], "parts": parts}


@pytest.fixture(scope="module")
def likes(tmp_path_factory):
    """The file of a small set of likes."""
    return likes_files.train_file(tmp_path_factory.mktemp("sets"), *SHAPE)


@pytest.fixture
def rates_that_take_no_time(monkeypatch):
    for module in (profile, pairs_measured):
        monkeypatch.setattr(module, "matmul_rate", lambda *_: 2e11)
        monkeypatch.setattr(module, "copy_rate", lambda *_: 3e10)


def test_what_the_task_costs():
    assert task.steps_per_epoch() == 273
    assert task.epoch_flops() == pytest.approx(273 * 7.05e9, rel=1e-3)
    assert task.scoring_flops() == pytest.approx(0.64e12, rel=5e-3)
    assert task.steps_of("autoenc") == 273
    assert task.steps_of("implicit-als") == 15


def test_an_epoch_is_its_own_sum_or_reckoned_from_the_median():
    assert task.epoch_seconds([1.0, 2.0, 9.0], 3) == 12.0
    assert task.epoch_seconds([1.0, 2.0, 9.0], 30) == 60.0
    assert task.epoch_seconds([1.0, 2.0, 9.0] * 2, 3) == 12.0


def test_a_ratio_is_the_median_over_pairs():
    assert targets.paired([1.0, 2.0, 3.0], [2.0, 2.0, 2.0]) == 1.0
    assert targets.paired([1.0, 8.0, 9.0], [10.0, 10.0, 1.0]) == 0.8  # and not 8 / 10 of the medians


def test_targets_are_judged_at_each_number_of_threads():
    judged = {target.name: (round(target.got, 3), target.met) for target in targets.targets(stored_of(PARTS))}
    assert judged == {
        "training, share of NumPy's BLAS, 1 thread": (0.963, True),
        "training, time relative to tuned PyTorch, 1 thread": (0.5, True),
        "training, share of NumPy's BLAS, 2 threads": (0.963, True),
        "training, time relative to tuned PyTorch, 2 threads": (0.5, True),
        "training, time relative to plain PyTorch, 2 threads": (0.04, False),
        "training, share of NumPy's BLAS, 4 threads, over-subscribed": (0.481, False),
        "training, time relative to tuned PyTorch, 4 threads, over-subscribed": (0.667, False),
        "training, two threads relative to one": (0.5, True),
        "ranking, calls of 256, time relative to tuned PyTorch, 1 thread": (0.5, True),
        "ranking, calls of 4,096, time relative to tuned PyTorch, 1 thread": (0.5, True),
        "ranking, all users, time relative to tuned PyTorch, 1 thread": (0.5, True),
        "ranking, calls of 256, time relative to tuned PyTorch, 2 threads": (0.512, True),
        "ranking, calls of 4,096, time relative to tuned PyTorch, 2 threads": (0.652, False),
        "ranking, all users, time relative to tuned PyTorch, 2 threads": (0.5, True),
        "ranking, calls of 256, relative to the time with 1, 2 threads": (1.025, True),
        "ranking, calls of 4,096, relative to the time with 1, 2 threads": (1.1, False),
        "ranking, all users, relative to the time with 1, 2 threads": (0.5, True),
        "ranking, share of NumPy's BLAS, 2 threads": (0.802, True),
        "training's peak above the imports, MB": (305, True),
        "the same, relative to tuned PyTorch's": (0.762, False),
        "the process's whole peak, relative to tuned PyTorch's": (0.45, True),
        "import to the first step, warm cache, s": (1.1, True),
        "compiling every kernel, s": (25.0, False),
        "autoenc --help, s": (0.1, True),
        "epoch with 4 times the users, relative to 1": (4.0, True),
        "epoch with 4 times the likes, relative to 1": (1.5, True),
        "epoch with 4 times the items, relative to 1": (5.0, False),
        "growth of memory with users, relative to the data's": (1.094, True),
        "middle, forward, share of a step next to 2 busy loops, relative to idle processors": (3.0, False),
    }


@pytest.mark.parametrize(
    "threads, share, of_pytorch", [(1, 0.7, 0.66), (2, 0.7, 0.5), (4, 0.7, 0.5), (8, 0.6, 0.5), (16, 0.5, 0.5)]
)
def test_targets_grow_milder_with_threads(threads, share, of_pytorch):
    found = targets.judge_epoch({threads: PARTS["epoch"]["1"]}, 16)
    assert [target.limit for target in found] == [share, of_pytorch]
    assert [target.limit for target in targets.judge_epoch({32: PARTS["epoch"]["1"]}, 32)] == [0.5]  # PyTorch's alone
    ours_alone = {"seconds": {"autoenc": [1.0]}, "gflops": MATMUL}
    assert len(targets.judge_epoch({threads: ours_alone}, 16)) == 1  # torch not installed


def test_the_tables_hold_medians_ratios_and_verdicts():
    text = report.tables(stored_of(PARTS), True)
    lines = {" ".join(line.split()) for line in text.splitlines()}
    assert "PyTorch, as described 500.00 500.00 to 500.00 0.040" in lines
    assert "2 20.0 s 96% 40.0 s 0.50 16.0 s 1.25, theirs is faster" in lines
    assert "4 (over-subscribed) 20.0 s 48% 30.0 s 0.67 50.0 s 0.40" in lines
    assert "PyTorch, bfloat16 (p@1 0.300)" in text
    assert "2 all users 4.00 s 8.00 s 0.50 3.00 s 1.33, theirs is faster" in lines
    assert "items 2.00 4.00 8.00 16.00 40.00" in lines
    assert "compiling every kernel, s 25.00 at most 20.00 NOT MET" in lines
    assert "MET" not in report.tables(stored_of(PARTS), False)


@pytest.mark.parametrize(
    "module",
    [
        *("speed", "speed.profile", "speed.kernels", "speed.kernels_page", "speed.worker"),
        *(
            "quality",
            "ranking",
            "ranking.page",
            "ranking.settings",
            "ranking.rec_vae",
            "scale",
            "scale.many_likes",
            "serving",
            "refeeding",
            "by_time",
        ),
        "lessons",
    ],
)
def test_help_answers_without_torch(module):
    code = f"""
import runpy, sys
class Missing:
    def find_spec(self, name, *_):
        if name in ("torch", "implicit"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
sys.argv = ["", "--help"]
runpy.run_module("benchmarks.{module}", run_name="__main__", alter_sys=True)
"""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=turns.environment(1), capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert f"usage: python -m benchmarks.{module} " in run.stdout


def test_quality_hands_a_protocol_on_to_ranking():
    command = [sys.executable, "-m", "benchmarks.quality", "--protocol", "weak", "--help"]
    run = subprocess.run(command, cwd=ROOT, env=turns.environment(1), capture_output=True, text=True)
    assert run.stdout.startswith("usage: python -m benchmarks.ranking ")


def test_contestants_get_one_environment(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    env = turns.environment(2, NUMBA_CACHE_DIR="there")
    assert "OPENBLAS_CORETYPE" not in env
    assert {env[name] for name in turns.THREADS} == {"2"}
    assert env["NUMBA_CACHE_DIR"] == "there"


def test_speed_vectors_limits_all_libraries_to_avx2(monkeypatch):
    monkeypatch.delenv("SPEED_VECTORS", raising=False)
    assert "NUMBA_CPU_FEATURES" not in turns.environment(1)
    monkeypatch.setenv("SPEED_VECTORS", "AVX2")
    code = "from numba import njit; f = njit(lambda x: x * x); f(1.0); "
    code += "from autoenc.machine import blas_pools; print({pool['kernel'] for pool in blas_pools()}, "
    code += "'+avx512' in str(f.targetctx.codegen().magic_tuple()))"
    run = subprocess.run([sys.executable, "-c", code], env=turns.environment(1), capture_output=True, text=True)
    assert run.stdout == "{'Haswell'} False\n", run.stderr
    monkeypatch.setenv("SPEED_VECTORS", "SSE")
    with pytest.raises(ValueError, match="SPEED_VECTORS must be AVX2 or unset, got 'SSE'"):
        turns.environment(1)


def test_a_contestant_whose_package_is_missing_is_left_out_with_a_word(monkeypatch, capsys):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "implicit" else real(name))
    assert parts.installed("autoenc", "implicit-als") == ["autoenc"]
    said = capsys.readouterr().err
    assert said == "implicit's ALS is left out: implicit is not installed (pip install implicit, or make bench)\n"


def test_quality_is_measured_of_the_fast_contestants_over_seeds(monkeypatch):
    asked: list[tuple] = []

    def once(*command, env):
        asked.append(command)
        return {"p_at_01": 0.1 * int(command[-1])}

    monkeypatch.setattr(parts, "once", once)
    monkeypatch.setattr(parts, "installed", lambda *names: list(names[:2]))
    plan = parts.Plan(ROOT, SHAPE, threads=1, turns=1)
    assert parts.quality(plan)["p_at_01"]["torch-tuned"] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert parts.quality(plan._replace(quick=True))["p_at_01"] == {"autoenc": [0.0], "torch-tuned": [0.0]}
    assert asked[0] == ("autoenc", "quality", "--seed", "0")


@pytest.mark.torch
def test_bfloat16_is_the_tuned_network_with_other_products():
    torch = pytest.importorskip("torch")
    from benchmarks.peers import torch_bfloat16, torch_tuned

    user_items = sparse.csr_array((np.random.default_rng(0).random((12, 25)) < 0.3).astype(np.float32))
    losses = []
    for peer in (torch_tuned, torch_bfloat16):
        model, adam = peer.new(25, emb_dim=16, hidden_dim=12)
        losses.append([peer.step(model, adam, user_items) for _ in range(5)])
        assert {weights.dtype for weights in model.parameters()} == {torch.float32}
        scores = peer.Scorer(model).top_n(user_items, 3)[1]
        assert scores.dtype == np.float32
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    rounded = torch.from_numpy(scores).to(torch.bfloat16).float().numpy()
    assert scores.tolist() == rounded.tolist()  # its logits are bfloat16


def test_sets_are_made_once_and_scale_with_users(likes):
    user_items = likes_files.load(likes)
    assert user_items.shape == SHAPE[:2]
    assert user_items.dtype == np.float32
    assert likes_files.train_file(likes.parent, *SHAPE) == likes
    more = likes_files.load(likes_files.with_users(likes, 4))
    assert (more.shape[0], more.nnz) == (160, 4 * user_items.nnz)
    fewer = likes_files.load(likes_files.with_users(likes, 0.25))
    assert fewer.toarray().tolist() == user_items.toarray()[::4].tolist()
    assert likes_files.with_users(likes, 1) == likes


def test_a_worker_measures_when_told_and_ends_with_its_block(likes):
    env = turns.environment(1)
    epoch = ["autoenc-numpy", "epoch", "--arrays", str(likes), "--steps", "3", "--warm-up", "1"]
    matmul = ["numpy-matmul", "matmul", "--size", "16"]
    said: list[str] = []
    answers = turns.take_turns({"ours": (epoch, env), "blas": (matmul, env)}, 2, said.append)
    assert [len(answer["step_seconds"]) for answer in answers["ours"]] == [3, 3]
    assert all(answer["gflops"] > 0 for answer in answers["blas"])
    assert said == ["ours is warming up", "blas is warming up", "turn 1 of 2", "turn 2 of 2"]


def test_a_worker_that_scores_and_one_that_measures_memory_and_start(likes):
    env = turns.environment(1)
    with turns.Worker("autoenc", "score", "--arrays", str(likes), "--users", "30", "--warm-up", "1", env=env) as worker:
        answer = worker.turn()
    assert answer["users"] == 30
    assert answer["seconds"].keys() == {"256", "4096", "all"}
    memory = turns.once("autoenc", "memory", "--arrays", str(likes), "--steps", "1", env=env)
    assert memory["above_imports"] >= 0
    assert memory["imports"] > 0
    assert memory["data"] == pytest.approx(likes_files.megabytes(likes_files.load(likes)))
    assert turns.once("autoenc-numpy", "first-step", "--arrays", str(likes), env=env)["seconds"] > 0


def test_a_worker_that_fails_is_an_error():
    env = turns.environment(1)
    with pytest.raises(RuntimeError, match=r"the worker autoenc memory --arrays nowhere ended with code 1"):
        turns.once("autoenc", "memory", "--arrays", "nowhere", env=env)
    with pytest.raises(RuntimeError, match=r"the worker autoenc epoch --arrays nowhere ended with code 1 before it"):
        turns.Worker("autoenc", "epoch", "--arrays", "nowhere", env=env)


def test_results_of_another_shape_are_not_mixed(tmp_path):
    path = tmp_path / "folder" / "speed.json"
    results.Results(path, SHAPE).add("start", {"seconds": {}}, 2)
    results.Results(path, SHAPE).add("memory", {"megabytes": {}}, 2)
    assert results.read(path)["parts"].keys() == {"start", "memory"}
    results.Results(path, (1, 2, 3)).add("memory", {"megabytes": {}}, 2)
    assert results.read(path)["parts"].keys() == {"memory"}
    assert "numba" in results.machine(results.read(path))


def test_results_keep_the_other_numbers_of_threads(tmp_path):
    path = tmp_path / "speed.json"
    for threads, seconds in ((16, 1.0), (2, 2.0), (2, 3.0)):
        results.Results(path, SHAPE).add("epoch", {"seconds": seconds}, threads)
    kept = results.by_threads(results.read(path)["parts"]["epoch"])
    assert [(threads, part["seconds"]) for threads, part in kept.items()] == [(2, 3.0), (16, 1.0)]


def test_a_processor_is_told_by_generation_vectors_and_number(tmp_path, monkeypatch):
    cpuinfo = tmp_path / "cpuinfo"
    flags = {"AVX-512": "sse2 avx2 avx512f", "AVX2": "sse2 avx2", "other vectors": "sse2"}
    found = {"model": "Intel(R) Xeon(R) Gold 6148 CPU @ 2.40GHz", "installed": 8, "usable": 6, "quota": None}
    monkeypatch.setattr(processor, "processors", lambda: found)
    for vectors, words in flags.items():
        first = f"processor : 0\ncpu family\t: 6\nmodel\t\t: 85\nflags\t\t: {words}\n"
        cpuinfo.write_text(f"{first}\nprocessor : 1\nmodel : 99\n")
        assert processor.processor(cpuinfo) == ("Intel Xeon Gold 6148 (family 6, model 85)", vectors, 6)
        monkeypatch.setenv("SPEED_VECTORS", "AVX2")
        limited = "limited to AVX2" if vectors == "AVX-512" else vectors
        assert processor.processor(cpuinfo).vectors == limited
        monkeypatch.delenv("SPEED_VECTORS")
    found["quota"] = 1.5
    here = processor.processor(cpuinfo)
    assert here.slug == "intel-xeon-gold-6148-family-6-model-85-other-vectors-2-processors"
    found |= {"model": "arm64", "quota": None}
    assert str(processor.processor(tmp_path / "none")) == "arm64, other vectors, 6 processors"


@pytest.mark.parametrize("count, threads", [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (16, [1, 2, 4, 8, 16])])
def test_threads_double_up_to_all_processors(count, threads):
    assert processor.Processor("any", "AVX2", count).thread_counts == threads


def test_each_part_is_measured_with_its_numbers_of_threads(tmp_path, monkeypatch, capsys):
    asked: list[tuple] = []

    def part(plan):
        asked.append((plan.threads, plan.others))
        return {}

    monkeypatch.setattr(speed, "PARTS", {"profile": part, "kernels": part})
    monkeypatch.setattr(speed, "run_again_if_pinned", lambda *_: None)
    monkeypatch.setattr(speed, "processor", lambda: processor.Processor("any", "AVX2", 2))
    command = ["--shape", *map(str, SHAPE), "--out", str(tmp_path / "out.json")]
    assert speed.main([*command, "--threads", "4", "2", "1"]) == 0
    assert asked == [(1, False), (2, True), (4, False), (2, True)]
    assert "profile, 4 threads (over-subscribed):" in capsys.readouterr().err
    assert results.read(tmp_path / "out.json")["parts"]["profile"].keys() == {"1", "2", "4"}
    with pytest.raises(SystemExit, match="2"):
        speed.main([*command, "--threads", "0"])
    assert "--threads must be 1 or more, got 0" in capsys.readouterr().err


def kernels_of_fused() -> set[str]:
    """The kernels that the fused path calls, by name; what makes their arguments aside."""
    modules = (vars(fused).get(name) for name in vars(fused))
    names = {f.__name__ for f in modules if getattr(f, "__module__", "").startswith("autoenc.kernels.") and callable(f)}
    return {name for name in names if name[0].islower()} - {"rates_at", "balanced_blocks", "flush"}


def test_every_kernel_of_the_step_has_a_phase_and_a_bound():
    phased = {name for phase in (profile.TRAINING, profile.EVALUATION) for names in phase.values() for name in names}
    assert {"output_tile", "gather_sum"} <= kernels_of_fused() <= phased
    assert kernels_of_fused() <= stopwatch.WORK.keys()


def test_a_phase_is_held_against_the_longer_of_its_two_bounds():
    works = {"linear": [stopwatch.Work(flops=4_000_000)], "normalize": [stopwatch.Work(bytes=3_000_000)]}
    samples = [(0.010, {"linear": 0.004, "normalize": 0.002}, works)] * 3
    middle, rest, whole = profile.phase_rows(samples, {"middle": ["linear", "normalize"]}, blas=1e9, copy=1e9)
    assert middle == {"phase": "middle", "ms": pytest.approx(6), "bound_ms": pytest.approx(7), "bound_by": "flops"}
    assert rest["ms"] == pytest.approx(4)
    assert (whole["ms"], whole["bound_ms"]) == (pytest.approx(10), pytest.approx(7))


def test_a_profile_finds_every_phase(likes, rates_that_take_no_time):
    part = profile.measure(likes_files.load(likes), threads=1, steps=2, warm_up=1)
    for phase in (*part["training"], *part["evaluation"]):
        assert phase["ms"] > 0 or phase["phase"].endswith("Python"), phase
    assert "output tiles" in profile.table("a step", part["training"])


def test_a_profile_beside_busy_processes_has_both_columns(likes, rates_that_take_no_time, monkeypatch):
    told: list[str] = []

    @contextlib.contextmanager
    def busy(number):
        told.append(f"{number} begin")
        yield
        told.append("end")

    monkeypatch.setattr(profile, "busy_processes", busy)
    part = profile.measure_busy(likes_files.load(likes), threads=1, busy=2, steps=2, warm_up=1)
    assert told == ["2 begin", "end"] * 2
    assert sum(targets.parts_of_a_step(part["beside"]).values()) == pytest.approx(1)
    head, *rows = profile.busy_table(part).splitlines()
    assert "next to 2 busy, ms" in head
    assert len(rows) == len(part["idle"]) == len(profile.TRAINING) + 2


def test_busy_processes_end_with_their_block():
    with profile.busy_processes(1) as loops:
        assert [loop.poll() for loop in loops] == [None]
    assert all(loop.returncode is not None for loop in loops)


def tiny_batches(rng):
    return [sparse.csr_array((rng.random((12, 25)) < 0.3).astype(np.float32)) for _ in range(2)]


def test_each_pair_computes_the_same(rates_that_take_no_time):
    part = pairs_measured.measure(tiny_batches(np.random.default_rng(0)), 1, rounds=1, emb_dim=16, hidden_dim=12)
    assert len(part["pairs"]) == len(PAIRS)
    for pair in part["pairs"]:
        assert pair["ulp_apart"] < 64, pair
        assert pair["layer_ulp"] < 64, pair
        assert pair["kernel_ulp"] < 64, pair
        assert pair["bound_ms"] > 0, pair


def test_ulp_are_of_the_largest_number():
    b = np.array([1.0, 1.5], np.float32)
    a = b + np.array([3 * 2.0**-23, 0], np.float32)
    assert pairs_measured.ulp_apart(a, b) == 3.0
    assert pairs_measured.ulp_apart(2 * a, 2 * b) == 3.0


def stored_run(**described) -> dict:
    """A results file with figures for each part."""
    figure = {"layer_ms": 4.0, "kernel_ms": 2.0, "bound_ms": 1.5, "ulp_apart": 3.0, "layer_ulp": 2.0, "kernel_ulp": 1.0}
    rows = [{"file": pair.file, "title": pair.title, **figure} for pair in PAIRS]
    kernels = {"date": "2026-01-01", "threads": 2, "pairs": rows}
    profiles = {
        str(n): {"date": "2026-01-02", "users_ranked": 500, "training": phases_of(2, 30), "evaluation": phases_of(1, 9)}
        for n in (1, 2, 4)
    }
    by_count = {part: PARTS[part] for part in ("epoch", "score", "busy")}
    return stored_of(by_count | {"kernels": kernels, "profile": profiles}, **described)


def made_page(*runs: dict) -> str:
    return kernels_page.page(list(runs), kernels_page.TEXT.read_text(encoding="utf-8"))


def test_the_page_names_every_kernel_and_its_definition():
    text = made_page(stored_run())
    for path in (ROOT / "kernels").glob("[!_]*.py"):
        assert f"[{path.stem}](../kernels/{path.name})" in text
    for layer in ("embedding", "batchnorm", "relu", "dropout", "linear", "sigmoid_bce"):
        assert f"](../autoenc/layers/{layer}.py)" in text
    assert "```" not in text
    assert "{{" not in text
    assert "| The embedding's forward | 4.00 | 2.00 | 2.0 | 75% | 3.0 (2.0, 1.0) |" in text


def test_the_page_shows_every_processor_and_says_which_are_missing():
    names = ("AMD EPYC (family 25, model 17)", "Intel Xeon (family 6, model 85)")
    text = made_page(stored_run(name=names[0], vectors="AVX-512"), stored_run(name=names[1], vectors="AVX-512"))
    for name in names:
        assert f"\n## {name}, AVX-512, 2 processors\n" in text
    assert "| output tiles | flops | 30.00 [24.00] | 30.00 [24.00] | 30.00 [24.00] |" in text
    assert "| phase | bound by | 1 thread | 2 threads | 4 threads (over-subscribed) |" in text
    assert "of these kinds were measured: AMD with AVX2, Intel with AVX2." in text.replace("\n", " ")
    assert "No machine here has more than 2 processors." in text
    assert "| middle, forward | 10.0% | 30.0% | 3.0 |" in text


def test_the_page_says_why_of_every_phase():
    assert {*profile.TRAINING, *profile.EVALUATION, "the rest, Python"} == kernels_page.WHY.keys()
    assert "No figures are stored." in made_page()


def test_a_page_without_figures_says_what_to_run(tmp_path, capsys):
    assert kernels_page.main(["--results", str(tmp_path), "--out", str(tmp_path / "page.md")]) == 2
    assert capsys.readouterr().err.endswith("has no figures: run python -m benchmarks.speed\n")
    assert not (tmp_path / "page.md").exists()


def test_the_page_is_what_the_sources_and_the_results_make():
    made = made_page(*results.read_all())
    assert kernels_page.PAGE.read_text(encoding="utf-8") == made, "run python -m benchmarks.speed.kernels_page"


def test_the_pictures_are_drawn_of_what_there_is(tmp_path):
    pytest.importorskip("matplotlib")
    from benchmarks.speed import chart

    path = tmp_path / "speed.png"
    for measured in (PARTS, {"memory": PARTS["memory"]}, {"scaling": PARTS["scaling"]}):
        assert chart.draw(stored_of(measured), path).read_bytes().startswith(b"\x89PNG")
        path.unlink()
    assert not chart.draw(stored_run(), path).exists()
    for measured in (PARTS, {"epoch": PARTS["epoch"]}):
        runs = [stored_of(measured), stored_of({"memory": PARTS["memory"]})]
        assert chart.draw_threads(runs, path).read_bytes().startswith(b"\x89PNG")
        path.unlink()
    assert not chart.draw_threads([stored_of({})], path).exists()


def test_every_contestant_has_a_name():
    assert contestants.label("torch-tuned") == "PyTorch, tuned"
    assert set(PARTS["epoch"]["2"]["seconds"]) <= contestants.CONTESTANTS.keys()


def test_a_search_goes_from_the_middle_to_what_is_better():
    asked = []

    def judge(params):
        asked.append(params)
        return -((params["x"] - 1) ** 2) + params["y"]

    best, trials = search(judge, {"x": [1, 2, 3, 4, 5], "y": [0, 1, 2]})
    assert best == {"x": 1, "y": 2}
    assert [(p["x"], p["y"]) for p in asked] == [(3, 1), (4, 1), (2, 1), (1, 1), (1, 2), (2, 2)]
    assert [trial["params"] for trial in trials] == asked


def test_a_search_leaves_time_for_the_last_fit():
    now = 0.0

    def judge(params):
        nonlocal now
        now += 10
        return params["x"]

    space = {"x": list(range(9))}
    assert len(search(judge, space, seconds=40, clock=lambda: now)[1]) == 3  # the fourth fit is the last one
    assert len(search(judge, space, seconds=1, clock=lambda: now)[1]) == 1
    assert search(judge, space, clock=lambda: now)[0] == {"x": 8}


TINY = Plan(
    {"EASE": {"l2": [1.0, 10.0, 100.0]}, "best": {}, "Popular": {}, "implicit's ALS": {"factors": [4, 8]}},
    reference="EASE",
    seeds=(0, 1),
    test_users=0.2,
)


@pytest.fixture
def tiny_set(monkeypatch):
    """ml-latest-small is a small set of its own, and runs share our process."""
    likes = synthetic(n_users=120, n_items=60, n_likes=2_000, seed=0)
    small = MODELS | {"best": lambda: MODELS["fast"]().set_params(models=[EASE(), MODELS["Popular"]()])}
    monkeypatch.setattr(ranking_run, "MODELS", small)
    monkeypatch.setattr(ranking_run.datasets, "load", lambda name: likes)
    monkeypatch.setattr(ranking, "in_own_process", lambda function, *args: function(*args))
    for module in (ranking, ranking_run):
        monkeypatch.setattr(module, "PLANS", {"ml-latest-small": TINY})


@pytest.mark.parametrize("protocol", ["weak", "strong"])
def test_a_comparison_goes_on_where_it_was_and_reports_pairs(protocol, tiny_set, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    command = ["--protocol", protocol, "--results", str(tmp_path), "--cache", str(tmp_path / "cache")]
    ranking.main([*command, "--models", "Popular", "--seeds", "0"])  # which brings its reference along
    ranking.main([*command, "--models", "EASE", "best", "Popular"])
    told = capsys.readouterr()
    stored = ranking_lines.Lines(tmp_path / f"ranking-{protocol}.jsonl", protocol)
    assert {(seed, model) for _, seed, model in stored.lines} == {
        (seed, model) for seed in (0, 1) for model in ("EASE", "best", "Popular")
    }
    assert "1 of 4 runs" in told.err
    line = stored.lines["ml-latest-small", 0, "EASE"]
    assert line["trials"] in (2, 3)
    assert line["params"]["l2"] in (1.0, 10.0, 100.0)
    assert line["users"] == (120 if protocol == "weak" else 24)
    found = stored.lines["ml-latest-small", 0, "Popular"]
    for metric, (difference, _) in found["differences"].items():
        apart = found["metrics"][metric][0] - line["metrics"][metric][0]
        assert difference == pytest.approx(apart, abs=2e-6), metric
    assert (tmp_path / f"ranking-{protocol}.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert "best - EASE, nDCG@100: " in told.out

    again = ranking_run.measure("ml-latest-small", protocol, 0, "Popular", tmp_path / "cache")
    assert (again["metrics"], again["split"]) == (found["metrics"], found["split"])
    assert not found["to_best"]  # which was not run before it
    best = stored.lines["ml-latest-small", 0, "best"]
    for metric, (difference, _) in again["to_best"].items():
        assert difference == pytest.approx(found["metrics"][metric][0] - best["metrics"][metric][0], abs=2e-6), metric

    ranking.main([*command, "--models", "EASE", "--seeds", "0", "--refit"])
    refitted = ranking_lines.Lines(stored.path, protocol).lines["ml-latest-small", 0, "EASE"]
    for same in ("params", "trials", "tuning_seconds", "metrics"):
        assert refitted[same] == line[same]
    assert refitted["to_best"]["ndcg@100"][0] == pytest.approx(-best["differences"]["ndcg@100"][0])


def ranked(seed, model, ndcg, difference=None, users=6000, dataset="pinterest", pairs="differences"):
    """A line as ranking_run stores it, its figures alike but for nDCG@100."""
    metrics = {key: [0.3, 0.01] for key in ranking_report.COLUMNS} | {"ndcg@100": [ndcg, 0.01]}
    apart = {key: [0.0, 0.003] for key in metrics} | {"ndcg@100": [difference, 0.004]}
    figures = {"trials": 4, "fit_seconds": 2.0, "peak_megabytes": 100, "users": users, "params": {"l2": 500.0}}
    return {
        "dataset": dataset,
        "seed": seed,
        "model": model,
        "metrics": metrics,
        "differences": {},
        pairs: apart if difference is not None else {},
    } | figures


def test_errors_over_seeds_are_those_of_the_same_users_or_of_others(tmp_path):
    weak, strong = (ranking_lines.Lines(tmp_path / protocol, protocol) for protocol in ("weak", "strong"))
    for lines in (weak, strong):
        for seed in range(4):
            lines.add(ranked(seed, "EASE", 0.4))
            lines.add(ranked(seed, "best", 0.41 + seed / 1000, 0.01 + seed / 1000))
    assert weak.difference("pinterest", "best", "ndcg@100") == pytest.approx((0.0115, 0.004))
    assert strong.difference("pinterest", "best", "ndcg@100") == pytest.approx((0.0115, 0.002))
    assert np.isnan(weak.difference("pinterest", "EASE", "ndcg@100").value)
    head, *rows = ranking_report.table(weak, "pinterest", PLANS["pinterest"])
    assert [row[0] for row in rows] == ["best", "EASE"]
    assert rows[0][head.index("nDCG@100") + 1] == "+0.0115 ± 0.0040"
    assert ranking_report.choices(weak, "pinterest", PLANS["pinterest"])[1] == "EASE: " + "; ".join(["l2 500"] * 4)


def test_many_users_are_to_be_two_standard_errors_apart(tmp_path):
    lines = ranking_lines.Lines(tmp_path / "weak", "weak")
    lines.add(ranked(0, "EASE", 0.4))
    for users, met in ((4999, True), (5000, False)):
        lines.add(ranked(0, "best", 0.407, 0.007, users))
        judged = ranking_report.verdict(lines, "pinterest", PLANS["pinterest"])
        assert judged[0] == (met, "best - EASE, nDCG@100: +0.0070 ± 0.0040")
    assert ranking_report.verdict(ranking_lines.Lines(tmp_path / "none", "weak"), "pinterest", PLANS["pinterest"]) == []


def test_best_leads_a_peer_by_a_paired_difference(tmp_path):
    lines = ranking_lines.Lines(tmp_path / "weak", "weak")
    lines.add(ranked(0, "best", 0.41, dataset="gowalla"))
    for behind, met, said in ((-0.001, True, "+0.0010 ± 0.0040"), (0.001, False, "-0.0010 ± 0.0040"),
                              (None, False, ranking_report.UNPAIRED)):  # fmt: skip
        lines.add(ranked(0, "implicit's ALS", 0.41 + (behind or 0), behind, dataset="gowalla", pairs="to_best"))
        judged = ranking_report.verdict(lines, "gowalla", PLANS["gowalla"])
        assert judged[0] == (met, f"best - implicit's ALS, nDCG@100: {said}")
    lines.add(ranked(0, "implicit's ALS", 0.401, -0.009, dataset="gowalla", pairs="to_best"))
    lines.add(ranked(0, "best", 0.4, dataset="gowalla"))  # another run than that which it was paired with
    judged = ranking_report.verdict(lines, "gowalla", PLANS["gowalla"])
    assert judged[0] == (False, f"best - implicit's ALS, nDCG@100: {ranking_report.UNPAIRED}")


@pytest.mark.parametrize("name", ["implicit's ALS", pytest.param("PyTorch's Mult-VAE", marks=pytest.mark.torch)])
def test_peers_learn_who_likes_what(name):
    pytest.importorskip({"implicit's ALS": "implicit", "PyTorch's Mult-VAE": "torch"}[name])
    blocks = np.kron(np.eye(2), np.ones((1, 6))).repeat(20, axis=0)  # two groups of 20 users and 6 items each
    params = {"factors": 4} if "ALS" in name else {"epochs": 60, "lr": 0.01, "batch_size": 20}
    model = MODELS[name](**params).fit(sparse.csr_array(blocks.astype(np.float32)))
    scores = model.score(sparse.csr_array(np.eye(12, dtype=np.float32)[[0, 11]]))
    assert scores.shape == (2, 12)
    assert scores[0, 1:6].min() > scores[0, 6:].max()
    assert scores[1, 6:11].min() > scores[1, :6].max()


def test_every_plan_names_models_and_has_its_reference():
    for plan in PLANS.values():
        assert plan.spaces.keys() <= MODELS.keys()
        assert plan.reference in plan.spaces
        assert next(iter(plan.spaces)) == plan.reference


def test_the_page_which_model_first_is_what_the_stored_lines_make():
    made = ranking_page.page(ranking_page.stored(), ranking_page.TEXT.read_text(encoding="utf-8"))
    assert "nan" not in made.split()
    assert ranking_page.PAGE.read_text(encoding="utf-8") == made, "run python -m benchmarks.ranking.page"


def test_a_page_has_the_figures_of_its_lines(tmp_path):
    lines = {protocol: ranking_lines.Lines(tmp_path / protocol, protocol) for protocol in ranking_page.PROTOCOLS}
    lines["weak"].add(ranked(0, "EASE", 0.4))
    lines["weak"].add(ranked(0, "best", 0.41, 0.01))
    asked = "{{difference pinterest weak best ndcg@100}}, {{tables}}"
    made = ranking_page.page(lines, asked)
    assert made.startswith("+0.0100 ± 0.0040, \n### weak\n\nA fifth of each user's likes is held out;")
    assert "| pinterest, 1 seed | best | 0.4100 ± 0.0100 | +0.0100 ± 0.0040 | +0.0000 ± 0.0030 | 2 |" in made
    assert "|  | EASE | 0.4000 ± 0.0100 | reference |  | 2 |" in made
    assert "strong" not in made


def test_the_table_with_and_without_a_half_life(tmp_path, capsys):
    rng = np.random.default_rng(0)
    rows = ["user,item,timestamp", "0,999,0", "1,999,1"]
    for user in range(30):
        days = rng.choice(200, 12, replace=False)
        rows += [f"{user},{day // 20 + rng.integers(3)},{86_400 * day}" for day in days]
    (tmp_path / "likes.csv").write_text("\n".join(rows))
    options = ["--shares", "0.3", "0.5", "--least-likes", "3", "--models", "Popular", "AutoEncoder"]
    assert by_time.main(["--data", str(tmp_path / "likes.csv"), *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "30 users x 12 items" in lines[0] and "2 times" in lines[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[4:]]
    assert [(row[0], row[1]) for row in cells] == [
        ("Popular", by_time.WITHOUT),
        ("", by_time.WITH),
        ("AutoEncoder", by_time.WITHOUT),
        ("", by_time.WITH),
        ("", by_time.IN_INPUT),
    ]
    assert [row[3] == "" for row in cells] == [True, False, True, False, False]
    assert cells[1][3].startswith("+0.")
