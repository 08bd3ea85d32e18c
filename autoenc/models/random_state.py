"""scikit-learn's random_state as a single integer."""

from __future__ import annotations

import numpy as np

from autoenc.checks import whole_number

RandomState = int | np.random.RandomState | np.random.Generator | None


def seed_of(random_state: RandomState) -> int:
    """The seed for a random_state: an int as it is, a draw from a generator, or a new one each time for None."""
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    return whole_number("random_state", random_state, 0)
