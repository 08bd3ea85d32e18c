"""The processes of one training, and the little that they say to each other.

`mpiexec -n N` starts N equal processes, the ranks; each sees in its environment that it is one of
several, and then speaks through mpi4py. A process that was started by itself is `ALONE`: the same
calls, each of which gives back what it got. mpi4py is imported only where there is somebody to speak to.

AUTOENC_MPI=0 in the environment says that a process is alone whatever started it, AUTOENC_MPI=1
that it is not.
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

# What a launcher sets: MPICH's, Intel's, Microsoft's and Slurm's pmi2; Open MPI's; any with PMIx.
SET_BY_LAUNCHERS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK")
PATIENCE = 2.0  # seconds in which ranks that fail alike all do


class Communicator:
    """One process by itself, and the meaning of each call where there are several.

    Attributes
    ----------
    rank, size : int
        Which of how many this is.
    on_host : int
        How many of them share this machine.
    waited, sent : float, int
        Seconds spent in sums, and bytes given to them.
    """

    rank, size = 0, 1
    on_host = 1
    waited, sent = 0.0, 0

    @property
    def is_root(self) -> bool:
        """Whether this is the one that prints."""
        return self.rank == 0

    def all_reduce(self, array: np.ndarray) -> np.ndarray:
        """The sum of all ranks' arrays of this shape, the same bits on each; may overwrite `array`."""
        return array

    def all_reduce_number(self, number: float) -> float:
        """The same of one number, in float64."""
        return float(self.all_reduce(np.array([number], np.float64))[0])

    def all_gather(self, value: Any) -> list[Any]:
        """All ranks' values, small ones, on each, by rank."""
        return [value]

    def gather_rows(self, rows: np.ndarray, counts: list[int]) -> np.ndarray | None:
        """All ranks' rows, counts[rank] of each, one below the other: on the root; None elsewhere."""
        return rows

    @contextlib.contextmanager
    def root_first(self) -> Iterator[None]:
        """The root runs the block before the others do, as where it leaves them something on the disk."""
        yield

    @contextlib.contextmanager
    def together(self, name: str) -> Iterator[None]:
        """Run the block as a job of all ranks: the root alone prints, and a rank that fails alone ends the job."""
        yield


ALONE = Communicator()


class Ranks(Communicator):
    """The ranks that a launcher has started, over mpi4py."""

    def __init__(self) -> None:
        try:
            from mpi4py import MPI
        except ImportError:
            raise ValueError(
                "this process is one of several of an MPI launcher, and mpi4py can't be imported: "
                "pip install --editable '.[mpi]', or start it without mpiexec"
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
            # For good: where all ranks fail alike, the caller says so on each of them.
            sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        try:
            yield
        except BaseException as error:
            if not self._all_fail():
                self._end_the_job(name, error, stderr)
            raise

    def _wait_for_all(self) -> None:
        """A barrier that sleeps, as the rank that is waited for may need the processor."""
        request = self._aside.Ibarrier()
        while not request.Test():
            time.sleep(0.01)

    def _all_fail(self) -> bool:
        """Whether every rank arrives here soon, as with a bad argument."""
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
        time.sleep(0.5)  # for the launcher to pass on the sentence
        self.world.Abort(exit_code(error))


def world() -> Communicator:
    """The ranks that this process is one of, or ALONE.

    Raises ValueError if a launcher has started several, and there is no mpi4py.
    """
    wanted = os.environ.get("AUTOENC_MPI")
    several = any(name in os.environ for name in SET_BY_LAUNCHERS) if wanted is None else wanted != "0"
    return _ranks() if several else ALONE


@functools.cache
def _ranks() -> Communicator:
    ranks = Ranks()
    return ranks if ranks.size > 1 else ALONE
