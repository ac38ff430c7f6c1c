"""Requests that a page answers: of this machine's browser, with the page's token, and none of other sites."""

from __future__ import annotations

import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; style-src 'self' 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""Content security policy: nothing is loaded from elsewhere, and no script stands in the page."""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""Of every answer; the referrer would carry the token to other sites."""


class RequestGuard:
    """ASGI middleware that refuses requests by another host name, without the token, or from another site's page.

    Args:
        inner: application behind it.
        token: first part of every path.
        port: port of the server; the host name is `127.0.0.1` or `localhost` with it, which stops DNS rebinding.
    """

    def __init__(self, inner: ASGIApp, token: str, port: int) -> None:
        self.inner, self.token = inner, token
        self.hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self.inner(scope, receive, send)
            return
        refusal = self._refusal(scope) if scope["type"] == "http" else (403, "expected HTTP")
        if refusal is None:
            await self.inner(scope, receive, _with_headers(send))
        elif scope["type"] == "http":
            await PlainTextResponse(refusal[1], refusal[0])(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Status and one line of a request that is refused."""
        headers = Headers(scope=scope)
        if headers.get("host", "") not in self.hosts:
            return 400, "expected the host name 127.0.0.1 or localhost; open the address that avssl printed"
        origin = headers.get("origin")
        if origin is not None and origin.removeprefix("http://") not in self.hosts:
            return 403, "expected a request of the page itself, got one of another site"
        given = scope["path"].split("/", 2)
        if len(given) < 3 or not secrets.compare_digest(given[1].encode(), self.token.encode()):
            return 403, "expected the token in the address; open the address that avssl printed"
        return None


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return sending
