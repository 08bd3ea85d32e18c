"""Use a model in the process that trained it and in a process started from it; prints the differences.

    python -m tests.helpers.children WAY [handled]

With `handled`, the child handles SIGTERM, as the workers of servers do.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import socket
import sys
import threading
import warnings

import numpy as np

from autoenc import EASE, ELSA, IALS, AutoEncoder, DenoisingAutoEncoder, ItemKNN, evaluate, holdout_per_user, machine
from autoenc.datasets.synthetic import synthetic
from autoenc.kernels import launch

LIKES, HELD_OUT = holdout_per_user(synthetic(150, 300, 4000).user_items, seed=0)
SHORT = {"epochs": 2, "random_state": 0}


def new_models():
    task = AutoEncoder(emb_dim=24, hidden_dim=16, **SHORT)
    others = [ELSA(emb_dim=16, **SHORT), IALS(emb_dim=16, **SHORT), EASE(), ItemKNN()]
    return [task, DenoisingAutoEncoder(hidden_dim=16, **SHORT), *others]


def answers(models) -> dict[str, str]:
    """A digest for each kind of work."""
    fits = [model.fit(LIKES) for model in new_models()]
    arrays = {
        "score": [model.score(LIKES) for model in models],
        "top_n": [array for model in models for array in model.recommend(LIKES, N=5)],
        "explain": [array for model in models for array in model.explain(LIKES[:1], 7)],
        "fit": [model.score(LIKES) for model in fits],
        "evaluate": [np.frombuffer(repr(evaluate(model, LIKES, HELD_OUT)).encode(), np.uint8) for model in models],
    }
    return {kind: hashlib.sha256(b"".join(array.tobytes() for array in of)).hexdigest() for kind, of in arrays.items()}


def child(models, handled, queue=None):
    """The answers in a child, and how often it warned."""
    if handled:
        signal.signal(signal.SIGTERM, lambda *_: None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = answers(models), sum("forked after" in str(warning.message) for warning in caught)
    if queue is None:
        return found
    queue.put(found)
    return None


def by_multiprocessing(way, models, handled, target=child):
    context = multiprocessing.get_context(way)
    queue = context.Queue()
    process = context.Process(target=target, args=(models, handled, queue))
    process.start()
    found = queue.get(timeout=100)
    process.join()
    assert process.exitcode == 0
    return found


def by_joblib(way, models, handled):
    from joblib import Parallel, delayed

    [found] = Parallel(n_jobs=2, backend=way)([delayed(child)(models, handled)])
    return found


def by_grandchild(models, handled):
    """A child that has computed has one of its own."""
    read, write = os.pipe()
    if os.fork() == 0:
        child(models, handled)
        os.write(write, repr(by_multiprocessing("fork", models, handled)).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        found = eval(pipe.read())
    os.wait()
    return found


def by_prefork_server(models, handled):
    """Two workers forked after the model was used, which accept on one socket, as gunicorn --preload has them."""
    listening = socket.create_server(("127.0.0.1", 0))
    for _ in range(2):
        if os.fork() == 0:
            connection, _ = listening.accept()
            connection.sendall(repr(child(models, handled)).encode())
            os._exit(0)
    texts = []
    for _ in range(2):
        with socket.create_connection(listening.getsockname()) as asking, asking.makefile() as file:
            texts.append(file.read())
    os.wait(), os.wait()
    assert texts[0] == texts[1]
    return eval(texts[0])


def while_another_thread_computes(models, _):
    """The other thread holds all locks that are taken for a computation, and is not in the child to give them back."""
    inside, leave = threading.Event(), threading.Event()

    def stay():
        with machine.compute_threads(), launch._turn:
            inside.set()
            leave.wait(100)

    other = threading.Thread(target=stay)
    other.start()
    inside.wait(100)
    try:
        return by_multiprocessing("fork", models, False, in_a_thread)
    finally:
        leave.set()
        other.join()


def in_a_thread(*args):
    thread = threading.Thread(target=child, args=args)
    thread.start()
    thread.join()


def from_another_thread(models, handled):
    found = []
    thread = threading.Thread(target=lambda: found.append(by_multiprocessing("fork", models, handled)))
    thread.start()
    thread.join()
    return found[0]


WAYS = {
    "fork": lambda *args: by_multiprocessing("fork", *args),
    "spawn": lambda *args: by_multiprocessing("spawn", *args),
    "forkserver": lambda *args: by_multiprocessing("forkserver", *args),
    "loky": lambda *args: by_joblib("loky", *args),
    "joblib": lambda *args: by_joblib("multiprocessing", *args),
    "grandchild": by_grandchild,
    "prefork": by_prefork_server,
    "locked": while_another_thread_computes,
    "thread": from_another_thread,
}


def main(way: str, handled: str = "") -> None:
    models = [model.fit(LIKES) for model in new_models()]
    expected = answers(models)
    found, n_warnings = WAYS[way](models, bool(handled))
    assert answers(models) == expected, "the parent's answers changed"
    print(*(kind for kind in expected if found[kind] != expected[kind]), n_warnings)


if __name__ == "__main__":
    main(*sys.argv[1:])
