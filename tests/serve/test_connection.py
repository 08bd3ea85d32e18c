"""Clients that send nothing, read nothing, or disconnect: none of them keeps the others waiting."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import threading
from unittest import mock

import pytest

pytest.importorskip("starlette", reason="starlette is not installed, which serving needs: make test-all")
pytest.importorskip("uvicorn", reason="uvicorn is not installed, which serving needs: make test-all")

import uvicorn

from autoenc.models.popular import Popular
from autoenc.serve import connection, server
from autoenc.serve.answers import Answers
from autoenc.serve.app import LOOPBACK, make_app
from autoenc.serve.connection import Connection

pytestmark = pytest.mark.optional

HEAD = b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n"
MOST_SECONDS = 30  # until a test that hangs fails


def converse(app, clients, **more):
    """Run clients(port, state), a coroutine, beside a server of the application, of whose connections state tells."""

    async def run():
        with server.listen("127.0.0.1", 0) as listening:
            settings = {"ws": "none", "lifespan": "off", "log_level": "error", "timeout_graceful_shutdown": 1} | more
            config = uvicorn.Config(app, http=Connection, **settings)
            serving = uvicorn.Server(config)
            task = asyncio.create_task(serving.serve([listening]))
            try:
                port = listening.getsockname()[1]
                return await asyncio.wait_for(clients(port, serving.server_state), MOST_SECONDS)
            finally:
                serving.should_exit = True
                await task

    return asyncio.run(run())


async def ask(port, head=HEAD):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head + b"Connection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer


async def send_until_closed(writer, data):
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(0.001)


@pytest.fixture
def app():
    return make_app(Popular().fit([[0, 1], [1]]))


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (b"", b""),
        (b"GET /api/hea", b""),
        (HEAD, b"X: 1\r\n"),
        (HEAD + b"\r\n" + HEAD, b""),
        (HEAD + b"Content-Length: 1000000000\r\n\r\n", b"1"),
    ],
    ids=["silent", "half a request", "trickling", "silent in the second request", "endless body"],
)
def test_a_client_that_asks_nothing_is_closed(app, monkeypatch, first, then):
    monkeypatch.setattr(connection, "SECONDS_TO_ASK", 0.1)

    async def client(port, state):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(first)
        if then:
            await send_until_closed(writer, then)
        with contextlib.suppress(ConnectionError):
            await reader.read()  # until it ends
        while state.connections:
            await asyncio.sleep(0.01)

    # Of nobody else's limit: uvicorn closes who is silent after an answer.
    converse(app, client, timeout_keep_alive=10 * MOST_SECONDS, h11_max_incomplete_event_size=2**30)


@pytest.mark.parametrize("n_parts", [1, 2])
def test_a_client_that_reads_nothing_is_closed(monkeypatch, n_parts):
    monkeypatch.setattr(connection, "SECONDS_TO_ASK", 0.1)

    begun = []

    async def large(scope, receive, send):
        begun.append(scope)
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": bytes(50_000_000), "more_body": n_parts == 2})
        if n_parts == 2:
            await send({"type": "http.response.body"})

    async def client(port, state):
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(HEAD + b"\r\n")
        while not begun or state.connections:
            await asyncio.sleep(0.01)
        writer.close()

    converse(large, client)


def test_a_slow_reader_is_not_closed(app):
    loop, transport = mock.Mock(), mock.Mock()
    transport.get_extra_info.return_value = None
    unread = transport.get_write_buffer_size
    unread.return_value = 3000
    config = uvicorn.Config(app, http=Connection, ws="none", lifespan="off", log_config=None)
    slow = Connection(config, uvicorn.server.ServerState(), {}, loop)
    slow.connection_made(transport)
    for left in (2000, 1000):
        unread.return_value = left
        loop.call_later.call_args.args[1]()  # its time is over
        assert not transport.abort.called
    loop.call_later.call_args.args[1]()
    assert transport.abort.called


def test_silent_clients_make_room_for_others(app):
    async def clients(port, state):
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
        assert b" 200 OK" in await ask(port)
        for reader, _ in silent[:2]:
            assert await reader.read() == b""  # who has been silent for longest
        assert not silent[-1][0].at_eof()
        for _, writer in silent:
            writer.close()

    converse(app, clients, limit_concurrency=4)


def test_nothing_is_computed_for_those_who_hung_up(monkeypatch):
    computed, goes_on = [], threading.Event()

    def similar(self, item, n):
        computed.append(item)
        goes_on.wait(MOST_SECONDS)
        return {}

    monkeypatch.setattr(Answers, "similar", similar)

    async def clients(port, state):
        def head(item):
            return b"GET /api/similar?item=%d HTTP/1.1\r\nHost: localhost\r\n" % item

        first = asyncio.create_task(ask(port, head(0)))
        while not computed:
            await asyncio.sleep(0.01)
        hasty = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
        for _, writer in hasty:
            writer.write(head(1) + b"\r\n")
        while len(state.tasks) < 1 + len(hasty):
            await asyncio.sleep(0.01)
        assert b" 200 OK" in await ask(port)  # health answers meanwhile
        for _, writer in hasty:
            writer.close()
        while len(state.connections) > 1:
            await asyncio.sleep(0.01)
        last = asyncio.create_task(ask(port, head(2)))
        while len(state.connections) < 2:
            await asyncio.sleep(0.01)
        goes_on.set()
        assert b" 200 OK" in await first and b" 200 OK" in await last

    converse(make_app(Popular().fit([[0, 1], [1]])), clients)
    assert computed == ["0", "2"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "LOCALHOST", "::1", "::ffff:127.0.0.1", "127.0.0.7"])
def test_on_loopback_it_answers_to_its_own_names_alone(host):
    if ":" in host and not socket.has_ipv6:
        pytest.skip("no IPv6")
    try:
        listening = server.listen(host, 0)
    except OSError as error:
        pytest.skip(str(error))
    with listening:
        names = server.own_names(host, listening)
        assert set(names) == {*LOOPBACK, host.lower(), listening.getsockname()[0]}


def test_beyond_loopback_it_answers_to_any_name():
    with server.listen("0.0.0.0", 0) as listening:
        assert server.own_names("localhost", listening) is None


def test_too_few_descriptors_are_said_once(monkeypatch):
    said, loop = [], mock.Mock()
    handle = server.without_descriptors(said.append)
    for _ in range(3):
        handle(loop, {"message": "accept", "exception": OSError(errno.EMFILE, "Too many open files")})
    assert said == ["new clients have to wait: Too many open files; raise the limit with `ulimit -n`"]
    assert not loop.default_exception_handler.called
    other = {"message": "another", "exception": OSError(errno.EIO, "")}
    handle(loop, other)
    loop.default_exception_handler.assert_called_once_with(other)


def test_connections_take_half_of_the_descriptors_at_most(monkeypatch):
    resource = pytest.importorskip("resource", reason="Windows has no such limit")
    for soft, most in ((64, 32), (10_000, server.MOST_CONNECTIONS), (resource.RLIM_INFINITY, server.MOST_CONNECTIONS)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, soft))
        assert server.most_connections() == most
