"""Connections with time limits: a client that sends or reads nothing is disconnected, first if there are too many."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

SECONDS_TO_ASK = 10.0


class Connection(H11Protocol):
    """uvicorn's connection, aborted if its client takes longer than SECONDS_TO_ASK.

    A client has this long from connecting, or from a response, to send the complete head of its next request, and
    this long to read some more of a response. uvicorn itself only limits the silence after a response. When the
    limit of connections is reached, a new one replaces the one that has been waiting for its client longest.
    """

    def __init__(self, *args: object, **kwargs: object):
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._waiting: asyncio.TimerHandle | None = None
        self._unread = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            waiting = {c._waiting.when(): c for c in self.connections if isinstance(c, Connection) and c._waiting}
            if waiting:
                waiting[min(waiting)]._abort()
        self._wait_or_not()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait_or_not()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait_or_not()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait_or_not()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._wait_or_not()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_waiting()

    def _wait_or_not(self) -> None:
        is_clients_turn = self.cycle is None or self.cycle.response_complete or self.flow.write_paused
        if not is_clients_turn:
            self._stop_waiting()
        elif self._waiting is None:
            self._unread = self.transport.get_write_buffer_size()
            self._waiting = self.loop.call_later(SECONDS_TO_ASK, self._give_up)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        self._waiting = None
        if 0 < self.transport.get_write_buffer_size() < self._unread:  # it reads, if slowly
            self._wait_or_not()
        else:
            self._abort()

    def _abort(self) -> None:
        self._stop_waiting()
        self.transport.abort()
