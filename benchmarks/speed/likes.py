"""The training likes of all contestants: 80% of the synthetic set in any size, stored in a cache folder as .npz."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import sparse

from autoenc.storage.atomic import replacing


def train_file(folder: Path, n_users: int, n_items: int, n_likes: int) -> Path:
    """The file with 80% of a synthetic set, created if it doesn't exist."""
    path = folder / f"train-{n_users}-{n_items}-{n_likes}.npz"
    if not path.exists():
        from autoenc.datasets.synthetic import synthetic
        from autoenc.evaluation.splits import holdout_per_user

        likes = synthetic(n_users=n_users, n_items=n_items, n_likes=n_likes, seed=0)
        save(path, holdout_per_user(likes.user_items, 0.2, 0)[0])
    return path


def with_users(base: Path, times: float) -> Path:
    """The same likes with `times` as many users: a regular selection, or all of them repeated."""
    path = base.with_name(f"{base.stem}-users-{times:g}.npz")
    if times == 1:
        return base
    if not path.exists():
        user_items = load(base)
        if times < 1:
            user_items = user_items[:: round(1 / times)]
        else:
            user_items = sparse.vstack([user_items] * round(times), format="csr")
        save(path, user_items)
    return path


def save(path: Path, user_items: sparse.csr_array) -> None:
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, indptr=user_items.indptr, indices=user_items.indices, shape=user_items.shape)


def load(path) -> sparse.csr_array:
    """A CSR matrix of float32 ones (n_users, n_items), with sorted int32 indices."""
    with np.load(path) as arrays:
        indices = arrays["indices"].astype(np.int32, copy=False)
        indptr = arrays["indptr"].astype(np.int32, copy=False)
        return sparse.csr_array((np.ones(len(indices), np.float32), indices, indptr), shape=tuple(arrays["shape"]))


def tiny() -> sparse.csr_array:
    """A tiny set for a warm-up: 4 users, 3 items."""
    return sparse.csr_array(np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1], [1, 1, 1]], np.float32))


def megabytes(user_items: sparse.csr_array) -> float:
    return sum(array.nbytes for array in (user_items.data, user_items.indices, user_items.indptr)) / 1e6
