"""A process that listens and serves a model."""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import ipaddress
import socket
from collections.abc import Callable
from typing import Any

from autoenc.evaluation.popularity import popularity_warning
from autoenc.machine import compute_threads
from autoenc.models import Recommender
from autoenc.serve.api import LONGEST_QUERY
from autoenc.serve.on_demand import OnDemand

MOST_CONNECTIONS = 500
SECONDS_TO_FINISH = 5


def check_installed() -> None:
    """Raise ValueError unless the extra `serve` is installed."""
    for name in ("starlette", "uvicorn"):
        if importlib.util.find_spec(name) is None:
            raise ValueError(f"serving needs {name}, which is not installed: pip install '.[serve]'")


def serve(
    model: Recommender,
    listening: socket.socket,
    host: str,
    say: Callable[[str], object],
    network: OnDemand | None = None,
) -> None:
    """Serve a fitted model on a socket that `listen` opened on `host`, until Ctrl-C or SIGTERM.

    After the first signal, requests in progress may finish within SECONDS_TO_FINISH or until Ctrl-C. Then
    uvicorn raises the signals again, for the previous handlers. `say` is called with the address. `network`
    is shown if the model has no layers.
    """
    import uvicorn

    from autoenc.serve.app import make_app
    from autoenc.serve.connection import Connection

    with compute_threads():
        config = uvicorn.Config(
            make_app(model, own_names(host, listening), network),
            http=Connection,
            ws="none",
            lifespan="off",
            log_level="error",  # it warns about each invalid request
            access_log=False,
            server_header=False,
            backlog=MOST_CONNECTIONS,
            limit_concurrency=most_connections(),
            timeout_graceful_shutdown=SECONDS_TO_FINISH,
            h11_max_incomplete_event_size=2 * LONGEST_QUERY,
        )
        name = f"[{host}]" if ":" in host else host
        address = f"http://{name}:{listening.getsockname()[1]}/"
        if told := popularity_warning(model.about_.get("beside_popularity")):
            say(told)
        say(f"serving {type(model).__name__} ({model.n_items:,} items) at {address} until Ctrl-C")

        async def run() -> None:
            asyncio.get_running_loop().set_exception_handler(without_descriptors(say))
            await uvicorn.Server(config).serve(sockets=[listening])

        asyncio.run(run())


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on a name or address of this machine; port 0 stands for any free port.

    Raises OSError if it can't listen, ValueError if there is no such port.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"port is {port}; pass a number from 0, for any free port, to 65535.")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        made = socket.create_server(address[:2], family=family, backlog=MOST_CONNECTIONS)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            f"can't listen on {host} port {port}: {reason}; pass another --port, or 0 for a free one"
        ) from None
    # asyncio sends small packets without delay only if the protocol is given; otherwise a response waits 40 ms
    return socket.socket(made.family, made.type, socket.IPPROTO_TCP, made.detach())


def own_names(host: str, listening: socket.socket) -> tuple[str, ...] | None:
    """The host names that requests to a server on `host` may use; None (any name) if the address is not loopback.

    This is decided by the bound address, as there are many ways to write 127.0.0.1.
    """
    from autoenc.serve.app import LOOPBACK

    bound = listening.getsockname()[0]
    address = ipaddress.ip_address(bound)
    if not (getattr(address, "ipv4_mapped", None) or address).is_loopback:
        return None
    return tuple(dict.fromkeys((*LOOPBACK, bound, host.lower())))


def most_connections() -> int:
    """MOST_CONNECTIONS, or half the number of files that this process may open, if that is less."""
    try:
        import resource
    except ImportError:  # on Windows
        return MOST_CONNECTIONS
    most_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if most_files == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, most_files // 2)


def without_descriptors(say: Callable[[str], object]) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """An exception handler of an event loop that reports once that connections can't be accepted without descriptors.

    asyncio tries again every second, and would report each attempt with a traceback.
    """
    said = False

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal said
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)):
            loop.default_exception_handler(context)
        elif not said:
            said = True
            say(f"new clients have to wait: {error.strerror}; raise the limit with `ulimit -n`")

    return handle
