"""The processes of one training job, and their communication.

`mpiexec -n N` starts N equal processes, the ranks. Each recognizes from its environment that it is one of
several, and then communicates through mpi4py. A process started by itself is `ALONE`: it has the same
calls, which return their arguments. mpi4py is imported only if there are several ranks.

Set the environment variable AUTOENC_MPI=0 if a process is alone, whatever started it, or AUTOENC_MPI=1 if
it is not.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import time
import traceback
from collections.abc import Iterator
from typing import Any, TextIO

import numpy as np

from autoenc.messages import EXPECTED, exit_code, one_line

# Variables set by launchers: MPICH's, Intel's, Microsoft's and Slurm's pmi2; Open MPI's; any with PMIx.
SET_BY_LAUNCHERS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK")
PATIENCE = 2.0  # seconds to wait for the other ranks to fail in the same way


class Communicator:
    """A single process; the docstrings also say what each call does if there are several.

    Attributes
    ----------
    rank, size : int
        The index of this process, and the number of processes.
    on_host : int
        The number of processes on this machine.
    waited, sent : float, int
        Seconds spent in sums, and bytes passed to them.
    """

    rank, size = 0, 1
    on_host = 1
    waited, sent = 0.0, 0

    @property
    def is_root(self) -> bool:
        """Whether this is the rank that prints."""
        return self.rank == 0

    def all_reduce(self, array: np.ndarray) -> np.ndarray:
        """The sum of all ranks' arrays of this shape, the same bits on each; may overwrite `array`."""
        return array

    def all_reduce_number(self, number: float) -> float:
        """The sum of all ranks' numbers, in float64."""
        return float(self.all_reduce(np.array([number], np.float64))[0])

    def all_gather(self, value: Any) -> list[Any]:
        """All ranks' values, which should be small, in the order of the ranks, on each rank."""
        return [value]

    def gather_rows(self, rows: np.ndarray, counts: list[int]) -> np.ndarray | None:
        """All ranks' rows, counts[rank] from each, concatenated, on the root; None on other ranks."""
        return rows

    @contextlib.contextmanager
    def root_first(self) -> Iterator[None]:
        """Run the block on the root before the other ranks, for example if it writes files for them."""
        yield

    @contextlib.contextmanager
    def together(self, name: str) -> Iterator[None]:
        """Run the block as a job of all ranks: only the root prints, and if a single rank fails, the job ends."""
        yield


ALONE = Communicator()


class Ranks(Communicator):
    """The ranks started by a launcher, over mpi4py."""

    def __init__(self) -> None:
        try:
            from mpi4py import MPI
        except ImportError:
            raise ValueError(
                "this process is one of several started by an MPI launcher, but mpi4py can't be imported: "
                "pip install '.[mpi]', or start it without mpiexec"
            ) from None
        self.mpi = MPI
        self.world = MPI.COMM_WORLD
        self.rank, self.size = self.world.rank, self.world.size
        self._aside, self._failures = self.world.Dup(), self.world.Dup()
        self.on_host = self.world.Split_type(MPI.COMM_TYPE_SHARED).size

    def all_reduce(self, array: np.ndarray) -> np.ndarray:
        started = time.perf_counter()
        array = np.ascontiguousarray(array)
        self.world.Allreduce(self.mpi.IN_PLACE, array)
        self.waited += time.perf_counter() - started
        self.sent += array.nbytes
        return array

    def all_gather(self, value: Any) -> list[Any]:
        gathered: list[Any] = self.world.allgather(value)
        return gathered

    def gather_rows(self, rows: np.ndarray, counts: list[int]) -> np.ndarray | None:
        rows = np.ascontiguousarray(rows)
        width = int(np.prod(rows.shape[1:]))
        gathered = np.empty((sum(counts), *rows.shape[1:]), rows.dtype) if self.is_root else None
        into = [gathered, [count * width for count in counts]] if self.is_root else None
        self.world.Gatherv(rows, into)
        return gathered

    @contextlib.contextmanager
    def root_first(self) -> Iterator[None]:
        if not self.is_root:
            self._wait_for_all()
        yield
        if self.is_root:
            self._wait_for_all()

    @contextlib.contextmanager
    def together(self, name: str) -> Iterator[None]:
        stderr = sys.stderr
        if not self.is_root:
            # Permanently: if all ranks fail in the same way, the caller reports it on each of them.
            sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        try:
            yield
        except BaseException as error:
            if not self._all_fail():
                self._end_the_job(name, error, stderr)
            raise

    def _wait_for_all(self) -> None:
        """A barrier that sleeps, as the rank it waits for may need the processor."""
        request = self._aside.Ibarrier()
        while not request.Test():
            time.sleep(0.01)

    def _all_fail(self) -> bool:
        """Whether all ranks get here soon, as with an invalid argument."""
        give_up = time.monotonic() + PATIENCE
        request = self._failures.Ibarrier()
        while not request.Test():
            if time.monotonic() > give_up:
                return False
            time.sleep(0.01)
        return True

    def _end_the_job(self, name: str, error: BaseException, stderr: TextIO) -> None:
        if not isinstance(error, (KeyboardInterrupt, *EXPECTED)):
            traceback.print_exc(file=stderr)
        print(f"{name}: rank {self.rank} of {self.size} ended the job: {one_line(error)}", file=stderr, flush=True)
        time.sleep(0.5)  # so that the launcher can forward the message
        self.world.Abort(exit_code(error))


def world() -> Communicator:
    """The ranks that this process belongs to, or ALONE.

    Raises ValueError if a launcher has started several, but mpi4py isn't installed.
    """
    wanted = os.environ.get("AUTOENC_MPI")
    several = any(name in os.environ for name in SET_BY_LAUNCHERS) if wanted is None else wanted != "0"
    return _ranks() if several else ALONE


@functools.cache
def _ranks() -> Communicator:
    ranks = Ranks()
    return ranks if ranks.size > 1 else ALONE
