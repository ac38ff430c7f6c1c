"""A small HTTP server with ranges of bytes that can refuse, break off, fail for a moment or ignore ranges."""

import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from avssl.stores import remote_store
from avssl.stores.span_cache import spans


class Store(BaseHTTPRequestHandler):
    """The first folder of the path names the behaviour: ok, forbidden, halfway, flaky or whole (ignores ranges)."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def log_message(self, *_):
        pass

    def _answer(self, body):
        mode, _, name = self.path.lstrip("/").partition("/")
        path = self.server.root / name
        self.server.requests.append((self.command, name, self.headers.get("Range", "")))
        if mode == "forbidden":
            self._refuse(403)
        elif not path.is_file():
            self._refuse(404)
        else:
            self.server.tries[name] += body
            if mode == "flaky" and body and self.server.tries[name] <= 2:
                self._refuse(503)
            else:
                self._send(mode, path, body)

    def _send(self, mode, path, body):
        content, status = path.read_bytes(), 200
        size = len(content)
        headers = {} if mode == "whole" else {"Accept-Ranges": "bytes"}
        asked = self.headers.get("Range")
        if asked and mode != "whole":
            first, last = asked.removeprefix("bytes=").split("-")
            content, status = content[int(first) : int(last or size - 1) + 1], 206
            headers["Content-Range"] = f"bytes {first}-{int(first) + len(content) - 1}/{size}"
        self.send_response(status)
        for key, value in {**headers, "Content-Length": len(content), "ETag": f'"{size}"'}.items():
            self.send_header(key, str(value))
        self.end_headers()
        if body and mode == "halfway":
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
        elif body:
            self.wfile.write(content)

    def _refuse(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A server of the folder `tmp_path / "store"`: `url(mode)`, and its requests."""
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(remote_store, "FIRST_WAIT", 0.01)
    (tmp_path / "store").mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
    server.root, server.requests, server.tries = tmp_path / "store", [], Counter()
    server.url = lambda mode="ok": f"http://127.0.0.1:{server.server_address[1]}/{mode}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    remote_store.object_info.cache_clear()
    spans.clear()
    yield server
    server.shutdown()
    server.server_close()
