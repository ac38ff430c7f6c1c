"""Serve a page on this machine: bind the port, print the address, open a browser."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
import time
import webbrowser
from collections.abc import Iterator

import click
import uvicorn

from avssl.errors import InputError
from avssl.web.page import Page, application

HOST = "127.0.0.1"
HIGHEST_PORT = 65535
START_SECONDS = 30.0
"""Longest start of a server in a thread."""


def serve(page: Page, port: int = 0, browser: bool = True) -> None:
    """Serve a page until Ctrl-C or SIGTERM; both are the ordinary end.

    Args:
        page: the page.
        port: to listen on; 0: any that is free.
        browser: open the address in the browser.

    Raises:
        InputError: the port is in use, or none.
    """
    with listen(port) as bound:
        serve_on(bound, page, browser)


def serve_on(bound: socket.socket, page: Page, browser: bool = True) -> None:
    """As `serve`, on a socket of `listen`: for commands that work before they serve."""
    address = _address(page, bound)
    click.echo(f"{page.title}: {address} (Ctrl-C ends it)")
    if browser:
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        _server(page, bound).run(sockets=[bound])


@contextlib.contextmanager
def running(page: Page, port: int = 0) -> Iterator[str]:
    """Serve a page in a thread while the block runs.

    Args:
        page: the page.
        port: to listen on; 0: any that is free.

    Yields:
        Its address, with the token.

    Raises:
        InputError: the port is in use, or none.
    """
    with listen(port) as bound:
        server = _server(page, bound)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        try:
            _wait_for(server, thread)
            yield _address(page, bound)
        finally:
            server.should_exit = server.force_exit = True
            thread.join(START_SECONDS)


def listen(port: int) -> socket.socket:
    """A socket that listens on 127.0.0.1.

    Args:
        port: to listen on; 0: any that is free.

    Raises:
        InputError: the port is in use, or may not be used.
    """
    if not 0 <= port <= HIGHEST_PORT:
        raise InputError(f"expected a port from 0 (any that is free) to {HIGHEST_PORT}, got {port}")
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((HOST, port))
        bound.listen(1024)
    except OSError as error:
        bound.close()
        reason = "one that is in use" if error.errno == errno.EADDRINUSE else str(error.strerror)
        raise InputError(f"expected a free port, got {port}, {reason} ({HOST}); leave out --port for any") from error
    return bound


def _address(page: Page, bound: socket.socket) -> str:
    return f"http://{HOST}:{bound.getsockname()[1]}/{page.token}/"


def _server(page: Page, bound: socket.socket) -> uvicorn.Server:
    app = application(page, bound.getsockname()[1])
    # HTTP/1.1 in Python, without websockets: pages have neither.
    config = uvicorn.Config(
        app, http="h11", ws="none", lifespan="off", log_config=None, access_log=False, server_header=False,
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    return uvicorn.Server(config)


def _wait_for(server: uvicorn.Server, thread: threading.Thread) -> None:
    end = time.monotonic() + START_SECONDS
    while not server.started and thread.is_alive() and time.monotonic() < end:
        time.sleep(0.01)
    assert server.started, "uvicorn did not start"
