"""A model that is created on first use, while the server answers other requests."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait

from autoenc.models import Recommender

Report = Callable[[float], object]
"""Called with the share that is done, from 0 to 1."""

SECONDS_TO_READ = 0.5


class NotYetMade(Exception):
    """The model is being created; the message says how much is done."""


class OnDemand:
    """A model that is created in its own thread.

    Parameters
    ----------
    make : callable
        make(report) returns the fitted model.

    Examples
    --------
    >>> from autoenc.models import Popular
    >>> on_demand = OnDemand(lambda report: Popular().fit([[0, 1], [1]]))
    >>> on_demand.model()
    Popular()
    """

    def __init__(self, make: Callable[[Report], Recommender]):
        self._make = make
        self._made: Future[Recommender] | None = None
        self._starting = threading.Lock()
        self._done = 0.0

    def model(self) -> Recommender:
        """The model. Raises NotYetMade while it is being created. If `make` failed, its exception is raised, and the
        next call tries again."""
        with self._starting:
            if self._made is None:
                self._made = Future()
                threading.Thread(target=self._run, args=(self._made,), daemon=True).start()
            made = self._made
        finished, _ = wait([made], SECONDS_TO_READ)
        if not finished:
            raise NotYetMade(f"the network is being trained, once: {self._done:.0%} done; ask again in a second.")
        if made.exception():
            self._made = None
        return made.result()

    def _run(self, made: Future[Recommender]) -> None:
        try:
            made.set_result(self._make(self._report))
        except BaseException as error:
            made.set_exception(error)

    def _report(self, done: float) -> None:
        self._done = done
