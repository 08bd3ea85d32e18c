"""Loading the kernels, or compiling them where this machine has not yet: half of them in a second process.

numba compiles one kernel after the other, under a lock of the whole process, so that a second
processor helps only in a second process. That one compiles the kernels of the network's middle,
while this one compiles those of both its ends. What either compiles is kept on the disk, where the
other finds it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import numpy as np

from autoenc.interactions import Interactions
from autoenc.kernels.adam import rates_at
from autoenc.kernels.gather_sum import cut_rows
from autoenc.kernels.jit import was_compiled_and_kept
from autoenc.networks import denoising
from autoenc.networks.autoencoder import AutoEncoderNetwork, initial_state
from autoenc.networks.base import Network
from autoenc.optim import Adam
from autoenc.training.compiling import Compiling, write_a_byte_a_kernel
from autoenc.training.fused import FusedEngine, KernelMiddle

N_ITEMS, EMB_DIM, HIDDEN_DIM = 4, 2, 2
LIKES = [[0, 1], [1, 2], [3]]

Say = Callable[[str], object]


# How many kernels each of the two processes compiles at most, those that others call among them: a few are needed by
# both, and loaded by one if the other has compiled them before.
IN_MIDDLE, AT_ENDS = 22, 37


def warm_up(say: Say = lambda line: None) -> None:
    """Load the kernels of the task's network, in float32, or compile them; say how far it is if that takes a while."""
    compile_kernels(say)
    _use(_task_network())


def compile_kernels(say: Say = lambda line: None) -> None:
    """Where nothing is compiled yet, compile the kernels of the task's network, in float32, and say how far it is.

    Where it is, this takes no time: each kernel is loaded when it is first needed. A process asks the disk once.
    """
    global _asked
    asked, _asked = _asked, True
    if not asked and _nothing_is_compiled():
        with Compiling(IN_MIDDLE + AT_ENDS, say) as compiling, _middle_compiled_in_second_process(compiling):
            # Its middle is made of layers, so that it needs the kernels of the ends alone.
            _use(denoising.DenoisingNetwork(denoising.initial_state(N_ITEMS, HIDDEN_DIM)))


def compile_middle_for_parent() -> None:
    """What the second process runs: `compile_middle`, and no longer than the process that started it lives.

    That one holds the other end of this one's stdin, which ends with it, however it ends.
    """
    threading.Thread(target=_exit_after_stdin, daemon=True).start()
    write_a_byte_a_kernel(sys.stdout.buffer)
    compile_middle()


def _exit_after_stdin() -> None:
    os.read(0, 1)
    os._exit(1)


def compile_middle() -> None:
    """Compile what KernelMiddle calls, and nothing else."""
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
    """Train two steps, so that there is something to catch up with, and rank."""
    likes = Interactions.from_lists(LIKES).user_items
    engine = FusedEngine(network, Adam(network.params))
    for step in range(2):
        engine.train_step(likes, (0, 0, step))
    engine.flush()
    engine.top_n(likes, 1)


_asked = False


def _nothing_is_compiled() -> bool:
    """Whether this process finds no kernel on the disk, and can put some there."""
    likes = Interactions.from_lists(LIKES).user_items
    cut_rows(likes.indptr, 1, 1)  # the least of them tells whether any is on the disk
    return was_compiled_and_kept(cut_rows)


@contextlib.contextmanager
def _middle_compiled_in_second_process(compiling: Compiling) -> Iterator[None]:
    """Run `compile_middle_for_parent` in a process of its own beside the block, and wait for both.

    Where that process can't be started, or fails, nothing is lost: its kernels are compiled here
    when they are needed.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path),
        "AUTOENC_MPI": "0",  # in a job of several ranks it is none of them
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
        aside.stdin.close()  # not before: its end is the other's
        aside.stdout.close()
