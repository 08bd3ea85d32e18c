"""Loading the kernels, or compiling them if this machine hasn't yet: half of them in a second process.

numba compiles one kernel at a time, under a process-wide lock, so a second processor helps only in a
second process. It compiles the kernels of the network's middle, while this process compiles those of
the embedding and the output layer. Compiled kernels are cached on disk, where the other process finds
them.
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import numpy as np

from autoenc.interactions import Interactions
from autoenc.kernels import least_squares
from autoenc.kernels.adam import rates_at
from autoenc.kernels.gather_sum import cut_rows
from autoenc.kernels.jit import was_compiled_and_kept
from autoenc.networks import denoising
from autoenc.networks.autoencoder import AutoEncoderNetwork, initial_state
from autoenc.networks.base import Network
from autoenc.optim import Adam
from autoenc.training.compiling import Compiling, write_byte_per_kernel
from autoenc.training.fused import FusedEngine, KernelMiddle

N_ITEMS, EMB_DIM, HIDDEN_DIM = 4, 2, 2
LIKES = [[0, 1], [1, 2], [3]]

Say = Callable[[str], object]


# The most kernels that each of the two processes compiles, including those called only by other kernels. A few are
# needed by both, and loaded by one if the other has already compiled them.
IN_MIDDLE, AT_ENDS = 22, 37
IN_LEAST_SQUARES = 11  # after the first


def warm_up(say: Say = lambda line: None) -> None:
    """Load the float32 kernels of the task's network, or compile them, reporting progress if it takes a while."""
    compile_kernels(say)
    _use(_task_network())


def compile_kernels(say: Say = lambda line: None) -> None:
    """Compile the float32 kernels of the task's network if none is compiled yet, reporting progress.

    Otherwise it takes no time: each kernel is loaded when first needed. The disk is checked once per process.
    """
    global _asked
    asked, _asked = _asked, True
    if not asked and _nothing_is_compiled():
        with Compiling(IN_MIDDLE + AT_ENDS, say) as compiling, _middle_compiled_in_second_process(compiling):
            # Its middle consists of layers, so it needs only the kernels of embedding and output.
            _use(denoising.DenoisingNetwork(denoising.initial_state(N_ITEMS, HIDDEN_DIM)))


@functools.cache
def compile_least_squares(say: Say) -> None:
    """Compile the float32 kernels of IALS in this process if they are not cached yet, reporting progress."""
    vectors = np.ones((3, 2), np.float32)
    least_squares.subtract(vectors[0], np.float32(1), vectors[1])  # the smallest of them
    if was_compiled_and_kept(least_squares.subtract):
        with Compiling(IN_LEAST_SQUARES, say):
            least_squares.gram(vectors)
            least_squares.rotate(vectors, np.eye(2))
            likes = Interactions.from_lists([[0], [0, 1, 2]]).user_items  # fewer than there are factors, and more
            least_squares.solve_rows(likes, vectors, np.ones(2), np.ones(2), np.zeros((2, 2), np.float32), 1)


def compile_middle_for_parent() -> None:
    """Run `compile_middle` in the second process, for no longer than its parent lives.

    The parent holds the other end of stdin, which is closed when it ends, in whatever way.
    """
    threading.Thread(target=_exit_after_stdin, daemon=True).start()
    write_byte_per_kernel(sys.stdout.buffer)
    compile_middle()


def _exit_after_stdin() -> None:
    os.read(0, 1)
    os._exit(1)


def compile_middle() -> None:
    """Compile only the kernels that KernelMiddle calls."""
    network = _task_network()
    adam = Adam(network.params)
    middle, users = KernelMiddle(network, adam), len(LIKES)
    item_sum = np.zeros((users, EMB_DIM), np.float32)
    n_likes = np.ones(users, np.int32)
    hidden = middle.forward(item_sum, n_likes, (0, 0, 0))  # (users, hidden_dim)
    adam.step_count += 1
    middle.backward(hidden, rates_at(adam))
    middle.encode(item_sum, n_likes)


def _task_network() -> AutoEncoderNetwork:
    return AutoEncoderNetwork(initial_state(N_ITEMS, EMB_DIM, HIDDEN_DIM))


def _use(network: Network) -> None:
    """Train two steps, so that there are rows to catch up, and rank."""
    likes = Interactions.from_lists(LIKES).user_items
    engine = FusedEngine(network, Adam(network.params))
    for step in range(2):
        engine.train_step(likes, (0, 0, step))
    engine.flush()
    engine.top_n(likes, 1)


_asked = False


def _nothing_is_compiled() -> bool:
    """Whether there are no cached kernels on disk, and this process can write some."""
    likes = Interactions.from_lists(LIKES).user_items
    cut_rows(likes.indptr, 1, 1)  # the smallest kernel shows whether any is cached
    return was_compiled_and_kept(cut_rows)


@contextlib.contextmanager
def _middle_compiled_in_second_process(compiling: Compiling) -> Iterator[None]:
    """Run `compile_middle_for_parent` in a second process during the block, and wait for both.

    If the process can't be started, or fails, its kernels are compiled in this one when needed.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path),
        "AUTOENC_MPI": "0",  # it is not a rank of an MPI job
    }
    command = [
        sys.executable or "python",
        "-c",
        "from autoenc.training.warm_up import compile_middle_for_parent; compile_middle_for_parent()",
    ]
    pipe = subprocess.PIPE
    try:
        aside = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
    except OSError:
        yield
        return
    counting = threading.Thread(target=compiling.count_bytes, args=[aside.stdout], daemon=True)
    counting.start()
    try:
        yield
    except BaseException:
        aside.kill()
        raise
    finally:
        aside.wait()
        counting.join()
        assert aside.stdin is not None and aside.stdout is not None
        aside.stdin.close()  # not earlier, as this ends the process
        aside.stdout.close()
