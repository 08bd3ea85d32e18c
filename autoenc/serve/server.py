"""A process that listens and serves a model."""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import ipaddress
import socket
from collections.abc import Callable
from typing import Any

from autoenc.evaluation.popularity import told_behind
from autoenc.machine import compute_threads
from autoenc.models import Recommender
from autoenc.serve.api import LONGEST_QUERY
from autoenc.serve.on_demand import OnDemand

MOST_CONNECTIONS = 500
SECONDS_TO_FINISH = 5


def check_installed() -> None:
    """Raise ValueError unless the extra `serve` is there."""
    for name in ("starlette", "uvicorn"):
        if importlib.util.find_spec(name) is None:
            raise ValueError(f"serving needs {name}, which is not installed: pip install --editable '.[serve]'")


def serve(
    model: Recommender,
    listening: socket.socket,
    host: str,
    say: Callable[[str], object],
    network: OnDemand | None = None,
) -> None:
    """Serve a fitted model on a socket that `listen` made on `host`, until Ctrl-C or SIGTERM.

    The first of them lets it finish what it is at, for SECONDS_TO_FINISH at most or until Ctrl-C.
    Then uvicorn raises them again, for the handlers that were there before. `say` is told the address.
    `network` is looked into where the model has no layers.
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
