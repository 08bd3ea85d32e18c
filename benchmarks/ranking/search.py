"""A search that every contestant gets: one hyperparameter after another, from the middle of its values outwards.

Each is moved to its neighbouring value as long as that validates better, first upwards, then
downwards, and all of them in turn until a round moves none. It draws no random numbers, and what
has been tried is not tried again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence


class _OutOfTime(Exception):
    """No trial is to begin any more."""


def search(
    judge: Callable[[dict], float],
    space: Mapping[str, Sequence],
    seconds: float | None = None,
    clock: Callable[[], float] = time.process_time,
) -> tuple[dict, list[dict]]:
    """The best hyperparameters, and all trials as {"params", "value"}.

    Parameters
    ----------
    judge : callable
        Fits with these hyperparameters, and says how that validates: the higher the better.
    space : mapping of str to sequence
        The values of each, in their order.
    seconds : float, optional
        By `clock`. No trial begins that would end later, if it and the last fit, which is the
        caller's, take as long as the longest so far.
    clock : callable
        By default this process's processor time, summed over threads.

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
