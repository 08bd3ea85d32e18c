"""The search used for every contestant: one hyperparameter at a time, from the middle of its values outwards.

Each is moved to a neighbouring value as long as validation improves, first upwards, then downwards. This is
repeated for all of them until a round makes no move. The search draws no random numbers and tries nothing
twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence


class _OutOfTime(Exception):
    """There is no time for another trial."""


def search(
    judge: Callable[[dict], float],
    space: Mapping[str, Sequence],
    seconds: float | None = None,
    clock: Callable[[], float] = time.process_time,
) -> tuple[dict, list[dict]]:
    """Find the best hyperparameters; return them with all trials as {"params", "value"}.

    Parameters
    ----------
    judge : callable
        Fits with given hyperparameters and returns a validation value, to be maximized.
    space : mapping of str to sequence
        The values of each hyperparameter, in order.
    seconds : float, optional
        The time limit. A trial only begins if it and the caller's last fit would finish in time, assuming that
        each takes as long as the longest trial so far.
    clock : callable
        The default is this process's processor time, summed over threads.

    Examples
    --------
    >>> best, trials = search(lambda p: -(p["x"] - 5) ** 2 + p["y"], {"x": [1, 2, 3, 4, 5], "y": [0, 1]})
    >>> best, len(trials)
    ({'x': 5, 'y': 1}, 4)
    """
    begun = clock()
    tried: dict[tuple, float] = {}
    longest = 0.0

    def value_at(at: dict[str, int]) -> float:
        nonlocal longest
        key = tuple(at.values())
        if key not in tried:
            started = clock()
            if tried and seconds is not None and started - begun + 2 * longest > seconds:
                raise _OutOfTime
            tried[key] = judge({name: space[name][i] for name, i in at.items()})
            longest = max(longest, clock() - started)
        return tried[key]

    at = {name: len(values) // 2 for name, values in space.items()}
    try:
        best = value_at(at)
        moved = True
        while moved:
            moved = False
            for name, values in space.items():
                for step in (1, -1):
                    start = at[name]
                    while 0 <= at[name] + step < len(values):
                        there = at | {name: at[name] + step}
                        if (value := value_at(there)) <= best:
                            break
                        best, at = value, there
                    if at[name] != start:
                        moved = True
                        break
    except _OutOfTime:
        pass
    trials = [
        {"params": {name: space[name][i] for name, i in zip(space, key)}, "value": value}
        for key, value in tried.items()
    ]
    return {name: space[name][i] for name, i in at.items()}, trials
