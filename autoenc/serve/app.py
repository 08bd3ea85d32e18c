"""The page and the API over HTTP: requests are limited in size, computed one at a time, and answered with headers.

The headers prevent the page from loading anything but this server's own files, from being shown in
another page's frame, and from revealing the likes in its address to other sites.
"""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from autoenc.models import Recommender
from autoenc.serve.answers import Answers
from autoenc.serve.api import LONGEST_QUERY, OPERATIONS, Operation, openapi
from autoenc.serve.on_demand import NotYetMade, OnDemand

STATIC = Path(__file__).parent / "static"
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-cache",
}
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def make_app(model: Recommender, hosts: tuple[str, ...] | None = LOOPBACK, network: OnDemand | None = None) -> Guard:
    """The ASGI application of a fitted model.

    Parameters
    ----------
    model : Recommender
    hosts : tuple of str, optional
        The host names, without the port, that requests may use. On loopback these are the server's own;
        otherwise another site whose name resolves to this machine could query it. None allows any name.
    network : OnDemand, optional
        A network of the same items, to show if the model has no layers.
    """
    answers = Answers(model, network)
    one_at_a_time = anyio.Lock()
    description = to_json(openapi(answers.catalogue.ids[:3]))

    def route(operation: Operation) -> Route:
        def compute(query: bytes) -> bytes:
            arguments = operation.read(query)
            return to_json(getattr(answers, operation.answer)(**arguments))

        async def answer(request: Request) -> Response:
            query = request.scope["query_string"]
            try:
                if operation.answer == "health":  # answered while another request is computed
                    content = compute(query)
                else:
                    async with one_at_a_time:
                        if await request.is_disconnected():  # while it was waiting
                            return Response()
                        content = await anyio.to_thread.run_sync(compute, query)
            except LookupError as unknown:
                raise HTTPException(404, str(unknown.args[0])) from None
            except NotYetMade as progress:
                raise HTTPException(503, str(progress), {"retry-after": "1"}) from None
            except ValueError as error:
                raise HTTPException(400, str(error)) from None
            return Response(content, media_type="application/json")

        return Route(operation.path, answer)

    async def page(request: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    async def describe(request: Request) -> Response:
        return Response(description, media_type="application/json")

    async def refuse(request: Request, error: Exception) -> Response:
        status, sentence, headers = 500, "the request failed; the server's output says why.", None
        if isinstance(error, HTTPException):
            status, sentence, headers = error.status_code, error.detail, error.headers
        if not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", ""):
            return HTMLResponse(refusal_page(status, sentence), status, headers)
        return Response(to_json({"error": sentence}), status, headers, "application/json")

    app = Starlette(
        routes=[
            Route("/", page),
            Mount("/static", StaticFiles(directory=STATIC)),
            Route("/api/openapi.json", describe),
            *map(route, OPERATIONS),
        ],
        exception_handlers={HTTPException: refuse, Exception: refuse},
    )
    return Guard(app, hosts)


def refusal_page(status: int, sentence: str) -> str:
    """The page that a browser gets if there is nothing to show."""
    if status == 404:
        sentence = "There is no page at this address."
    template = (STATIC / "refusal.html").read_text(encoding="utf-8")
    return template.replace("{sentence}", html.escape(sentence))


def to_json(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


class Guard:
    """Refuses invalid requests before they reach the application, and adds HEADERS to every response."""

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...] | None):
        self.app = app
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", []), *own]}
            await send(message)

        refusal = self.refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self.app(scope, receive, send_with_headers)
        else:
            status, sentence = refusal
            response = Response(to_json({"error": sentence}), status, media_type="application/json")
            await response(scope, receive, send_with_headers)

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """The status and sentence for a request that is refused, otherwise None."""
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        if self.hosts is not None and name.strip("[]").lower() not in self.hosts:
            allowed = " or ".join(", ".join(self.hosts).rsplit(", ", 1))
            return 400, f"Host {name[:80]!r} is not allowed; use {allowed}, or start the server with --host"
        if headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers:
            return 413, "requests must have no body; put the parameters into the query."
        if len(scope["query_string"]) > LONGEST_QUERY:
            return 414, f"the query has {len(scope['query_string']):,} bytes; at most {LONGEST_QUERY:,} are allowed."
        return None
