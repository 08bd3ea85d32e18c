"""What scikit-learn calls random_state, as one number."""

from __future__ import annotations

import numpy as np

from autoenc.checks import whole_number

RandomState = int | np.random.RandomState | np.random.Generator | None


def seed_of(random_state: RandomState) -> int:
    """An int is its own seed; a generator draws one; None is another each time."""
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    return whole_number("random_state", random_state, 0)
