"""A process that listens, and what it serves where no model is named."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import importlib.util
import ipaddress
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from autoenc import __version__, datasets
from autoenc.datasets.cache import cache_folder
from autoenc.evaluation.popularity import told_behind
from autoenc.interactions import Interactions, as_user_items
from autoenc.machine import compute_threads
from autoenc.models import AutoEncoder, Recommender, load_model
from autoenc.serve.api import LONGEST_QUERY
from autoenc.signals import deferred_interrupt
from autoenc.training.callbacks import ProgressBar

MOST_CONNECTIONS = 500
SECONDS_TO_FINISH = 5

DEMONSTRATION: dict[str, Any] = {
    "emb_dim": 200, "hidden_dim": 100, "dropout": 0.3, "batch_size": 128, "epochs": 8, "lr": 0.005, "schedule": "cosine"
}  # fmt: skip
"""For the few likes that somebody picks: shown four likes of users who were not trained on, .44 of its ten best are
among their others, and .21 after training with the defaults on whole lists (python -m benchmarks.serving
--demonstration)."""
PIECE = 12
BUNDLED = Path(datasets.__file__).parent / "bundled" / "ml-latest-small.zip"


def check_installed() -> None:
    """Raise ValueError unless the extra `serve` is there."""
    for name in ("starlette", "uvicorn"):
        if importlib.util.find_spec(name) is None:
            raise ValueError(f"serving needs {name}, which is not installed: pip install 'autoenc[serve]'")


def serve(model: Recommender, listening: socket.socket, host: str, say: Callable[[str], object]) -> None:
    """Serve a fitted model on a socket that `listen` made on `host`, until Ctrl-C or SIGTERM.

    The first of them lets it finish what it is at, for SECONDS_TO_FINISH at most or until Ctrl-C.
    Then uvicorn raises them again, for the handlers that were there before. `say` is told the address.
    """
    import uvicorn

    from autoenc.serve.app import make_app
    from autoenc.serve.connection import Connection

    with compute_threads():
        config = uvicorn.Config(
            make_app(model, own_names(host, listening)),
            http=Connection,
            ws="none",
            lifespan="off",
            log_level="error",  # its warnings are of requests, one each
            access_log=False,
            server_header=False,
            backlog=MOST_CONNECTIONS,
            limit_concurrency=most_connections(),
            timeout_graceful_shutdown=SECONDS_TO_FINISH,
            h11_max_incomplete_event_size=2 * LONGEST_QUERY,
        )
        name = f"[{host}]" if ":" in host else host
        address = f"http://{name}:{listening.getsockname()[1]}/"
        if told := told_behind(model.about_.get("beside_popularity")):
            say(told)
        say(f"serving {type(model).__name__} ({model.n_items:,} items) at {address} until Ctrl-C")

        async def run() -> None:
            asyncio.get_running_loop().set_exception_handler(without_descriptors(say))
            await uvicorn.Server(config).serve(sockets=[listening])

        asyncio.run(run())


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on a name or address of this machine; port 0 takes a free one.

    Raises OSError if it can't, ValueError if there is no such port.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"port is {port}; pass 0 to 65535, where 0 takes a free one.")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        made = socket.create_server(address[:2], family=family, backlog=MOST_CONNECTIONS)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            f"can't listen on {host} port {port}: {reason}; pass another --port, or 0 for a free one"
        ) from None
    # asyncio sends small packets without delay only where the protocol is named; else an answer waits 40 ms
    return socket.socket(made.family, made.type, socket.IPPROTO_TCP, made.detach())


def own_names(host: str, listening: socket.socket) -> tuple[str, ...] | None:
    """The names by which a request may call a server on `host`; None (any name) if the address is not loopback.

    The address that is bound decides: there are many ways to write 127.0.0.1.
    """
    from autoenc.serve.app import LOOPBACK

    bound = listening.getsockname()[0]
    address = ipaddress.ip_address(bound)
    if not (getattr(address, "ipv4_mapped", None) or address).is_loopback:
        return None
    return tuple(dict.fromkeys((*LOOPBACK, bound, host.lower())))


def most_connections() -> int:
    """MOST_CONNECTIONS, or half of the files that this process may have open, where that is less."""
    try:
        import resource
    except ImportError:  # on Windows
        return MOST_CONNECTIONS
    most_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if most_files == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, most_files // 2)


def without_descriptors(say: Callable[[str], object]) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """An event loop's handler of exceptions that says once that no connection can be accepted for want of descriptors.

    asyncio tries again every second, and reports each try with a traceback.
    """
    said = False

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal said
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)):
            loop.default_exception_handler(context)
        elif not said:
            said = True
            say(f"new clients have to wait: {error.strerror}; raise the limit by `ulimit -n`")

    return handle


def bundled_model(progress: bool, say: Callable[[str], object]) -> Recommender:
    """An autoencoder fitted on all of the bundled ratings: trained once, then read from `demonstration_file`.

    `say` is told which of the two it is, and where the file is.
    """
    try:
        path = demonstration_file()
    except OSError as error:
        say(f"training on the bundled ratings first, which takes about 15 seconds; it can't be kept: {error}")
        return demonstration(progress)
    if path.is_file():
        try:
            model = load_model(path)
            say(f"reading the model of the bundled ratings that is kept in {path}")
            return model
        except ValueError:
            say(f"{path} is not what this autoenc writes, so it is trained again")
    say(f"training on the bundled ratings first, which takes about 15 seconds, once; it is kept in {path}")
    model = demonstration(progress)
    try:
        with deferred_interrupt():  # else a part of the file could be left beside it
            model.save(path)
    except OSError as error:
        say(f"it can't be kept for the next time: {error}")
    return model


def demonstration(progress: bool) -> Recommender:
    return AutoEncoder(**DEMONSTRATION).fit(in_pieces(datasets.load()), callbacks=[ProgressBar()] if progress else [])


def demonstration_file() -> Path:
    """Where the demonstration's model is kept: under AUTOENC_CACHE_DIR, or else the platform's folder for caches.

    Its name has a digest of all that makes it: the ratings, the settings and the version.
    Raises OSError where no folder is known.
    """
    made_of = hashlib.sha256(BUNDLED.read_bytes())
    made_of.update(json.dumps([DEMONSTRATION, PIECE, __version__]).encode())
    return cache_folder() / f"{BUNDLED.stem}-{made_of.hexdigest()[:12]}.safetensors"


def in_pieces(ratings: Interactions) -> Interactions:
    """Everybody's likes whole, and cut at random into lists of about twelve: as short as what somebody picks.

    A network that has only seen long lists has batch statistics of long lists.
    """
    rng = np.random.default_rng(0)
    whole = np.split(ratings.user_items.indices, ratings.user_items.indptr[1:-1])
    cut = [piece for likes in whole for piece in np.array_split(rng.permutation(likes), max(1, len(likes) // PIECE))]
    lists = as_user_items([*whole, *map(np.sort, cut)], ratings.n_items)
    return Interactions.from_csr(lists, item_ids=ratings.item_ids, titles=ratings.titles, name=ratings.name)
