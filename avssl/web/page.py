"""A page: what is served of it, and to whom."""

from __future__ import annotations

import asyncio
import mimetypes
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from avssl.errors import InputError, is_input_error, one_line
from avssl.regular_files import check_regular
from avssl.web.request_guard import RequestGuard

STATIC = Path(__file__).parent / "static"
"""HTML, style sheets and JavaScript modules of all pages."""
DECODERS = 2
"""Threads that decode, however many pages are open; each has a cache of open files of its own."""
MEDIA = ("video/", "audio/", "image/")
"""Kinds of media files."""
_pool = ThreadPoolExecutor(DECODERS, thread_name_prefix="avssl-web")
T = TypeVar("T")


@dataclass(frozen=True)
class Page:
    """What a command shows in the browser."""

    title: str
    """Printed beside the address."""
    html: str
    """Name of the HTML file in `STATIC`."""
    media: Sequence[Path] = ()
    """Files that the page reads by range requests: `media/0`, `media/1`, ..."""
    routes: Sequence[BaseRoute] = ()
    """Further routes, relative to the page's address."""
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    """Random part of the address; requests without it are refused."""


def application(page: Page, port: int) -> ASGIApp:
    """The ASGI application of a page.

    Args:
        page: the page.
        port: port that it is served on, for the check of the host.
    """
    routes = [
        Route("/", partial(_html, page)),
        Route("/media/{index:int}", partial(_media, tuple(page.media))),
        Mount("/static", StaticFiles(directory=STATIC)),
        *page.routes,
    ]
    inner = Starlette(routes=[Mount(f"/{page.token}", routes=routes)], exception_handlers=_HANDLERS)
    return RequestGuard(inner, page.token, port)


async def decoding(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function that decodes or computes in one of `DECODERS` threads.

    Args:
        function: to call.
        arguments: of it.
    """
    return await asyncio.get_running_loop().run_in_executor(_pool, partial(function, *arguments))


async def _html(page: Page, request: Request) -> Response:
    return FileResponse(STATIC / page.html, media_type="text/html; charset=utf-8")


async def _media(files: tuple[Path, ...], request: Request) -> Response:
    index = request.path_params["index"]
    if index >= len(files):
        return PlainTextResponse(f"expected a file 0 to {len(files) - 1} of this page, got {index}", 404)
    check_regular(files[index], "a media file")
    kind = mimetypes.guess_type(files[index].name)[0] or ""
    # Never a page or a script, whatever the file is called.
    return FileResponse(files[index], media_type=kind if kind.startswith(MEDIA) else "application/octet-stream")


async def _refuse(request: Request, error: Exception) -> Response:
    if not is_input_error(error):
        raise error
    return PlainTextResponse(one_line(error), 422)


_HANDLERS: dict[Any, Any] = {InputError: _refuse, OSError: _refuse}
