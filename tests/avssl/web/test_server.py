"""Pages are served to this machine's browser alone, with the token, and of files only those that were named."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from starlette.routing import Route

from avssl.errors import InputError
from avssl.web.page import Page
from avssl.web.server import listen, running

CONTENT = bytes(range(256)) * 40
CLIENT = httpx.Client(verify=False, timeout=60)


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """A hostile name that is served, and a file beside it that is not."""
    folder = tmp_path_factory.mktemp("media")
    film, secret = folder / '"><script>alert(1)<\n.mp4', folder / "secret.txt"
    film.write_bytes(CONTENT)
    secret.write_text("secret")
    return film, secret


async def _broken(request):
    raise InputError("expected a film, got none (a.mp4); name another")


@pytest.fixture(scope="module")
def address(named):
    page = Page("test", "../__init__.py", media=[named[0]], routes=[Route("/broken", _broken)])
    with running(page) as found:
        yield found


def test_range_requests_give_the_bytes_of_the_file(address):
    whole = CLIENT.get(f"{address}media/0")
    part = CLIENT.get(f"{address}media/0", headers={"range": "bytes=100-299"})
    end = CLIENT.get(f"{address}media/0", headers={"range": "bytes=-10"})
    assert whole.content == CONTENT
    assert (part.status_code, part.content) == (206, CONTENT[100:300])
    assert part.headers["content-range"] == f"bytes 100-299/{len(CONTENT)}"
    assert end.content == CONTENT[-10:]
    assert CLIENT.get(f"{address}media/0", headers={"range": "bytes=99999-"}).status_code == 416


@pytest.mark.parametrize("path", ["", "media/0", "static/base.css", "wrong/media/0", "%2e%2e/media/0"])
def test_requests_without_the_token_are_refused(address, path):
    base = address.rsplit("/", 2)[0]
    answer = CLIENT.get(f"{base}/{path}")
    assert answer.status_code == 403
    assert "token" in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "static/../page.py", "static/%2e%2e/page.py", "static/..%2fpage.py", "static//etc/passwd", "media/1",
        "media/-1", "media/../secret.txt", "media/secret.txt", "media/..%2f..%2fsecret.txt", "static/%00",
        "media/0/../1",
    ],
)  # fmt: skip
def test_paths_outside_of_the_named_files_are_not_served(address, path):
    host, port = address.split("/")[2].split(":")
    token = address.split("/")[3]
    with socket.create_connection((host, int(port))) as client:  # a client would tidy the path up
        client.sendall(f"GET /{token}/{path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: client.recv(1 << 16), b""))
    assert answer.split()[1] in (b"404", b"400", b"403")
    assert b"secret" not in answer
    assert b"import" not in answer


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"host": "evil.example"}, 400), ({"host": "127.0.0.1"}, 400), ({"origin": "http://evil.example"}, 403)],
)
def test_other_host_names_and_other_sites_are_refused(address, headers, status):
    assert CLIENT.get(f"{address}media/0", headers=headers).status_code == status


def test_no_answer_lets_a_page_load_anything_from_elsewhere(address):
    headers = CLIENT.get(f"{address}static/base.css").headers
    assert headers["content-security-policy"].startswith("default-src 'self'")
    assert headers["referrer-policy"] == "no-referrer"
    assert "uvicorn" not in headers.get("server", "")


def test_wrong_input_in_a_route_is_one_line(address):
    answer = CLIENT.get(f"{address}broken")
    assert (answer.status_code, answer.text) == (422, "expected a film, got none (a.mp4); name another")


def test_two_hundred_tabs_are_answered(address):
    with ThreadPoolExecutor(40) as tabs:
        found = list(tabs.map(lambda _: CLIENT.get(f"{address}media/0").content == CONTENT, range(200)))
    assert all(found)


def test_a_port_in_use_is_one_line():
    with listen(0) as bound:
        port = bound.getsockname()[1]
        with pytest.raises(InputError, match=f"expected a free port, got {port}, one that is in use"):
            listen(port)
    with pytest.raises(InputError, match="expected a port from 0"):
        listen(70000)
