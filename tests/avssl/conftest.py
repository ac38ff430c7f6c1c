import os
import pickle
import struct
import threading
from collections import Counter
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest

from avssl.io.process_pool import outcomes_from
from avssl.stores import remote_store
from avssl.stores.span_cache import spans

MEDIA = Path(os.environ.get("AVSSL_TEST_MEDIA", Path(__file__).parents[4] / "shared" / "data"))


@pytest.fixture
def media():
    """Path of a real file; the test skips, saying so, where it is missing."""

    def find(name):
        if not (MEDIA / name).is_file():
            pytest.skip(f"real media missing: {MEDIA / name} (set AVSSL_TEST_MEDIA)")
        return MEDIA / name

    return find


@pytest.fixture
def sines():
    """Slowly swelling sinusoids, a frequency a channel: `(channels, samples)`, and the frequencies."""

    def make(channels, seconds=6.0, rate=48000):
        frequencies = 200.0 * 1.5 ** np.arange(channels)
        time = np.arange(round(seconds * rate)) / rate
        swell = 0.5 + 0.4 * np.sin(2 * np.pi * (0.3 + 0.1 * np.arange(channels))[:, None] * time)
        return (0.2 * swell * np.sin(2 * np.pi * frequencies[:, None] * time)).astype(np.float32), frequencies

    return make


@pytest.fixture
def encode():
    """Encode sound with PyAV: path, FFmpeg's codec and layout names, `(channels, samples)`."""

    def write(path, codec, layout, audio, rate=48000, options=None):
        packed = codec == "libopus"
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=rate, layout=layout, options=options or {})
            stream.bit_rate = 512000
            stream.codec_context.open()
            block = stream.codec_context.frame_size or 960
            for start in range(0, audio.shape[1], block):
                piece = np.ascontiguousarray(audio[:, start : start + block])
                piece = np.ascontiguousarray(piece.T).reshape(1, -1) if packed else piece
                frame = av.AudioFrame.from_ndarray(piece, format="flt" if packed else "fltp", layout=layout)
                frame.sample_rate, frame.pts = rate, start
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return write


@pytest.fixture
def counted():
    """Frames that carry their number as brightness: uint8 `(height, width, 3)` each."""

    def make(count, height=64, width=128, step=5):
        return [np.full((height, width, 3), 10 + step * (number % 48), np.uint8) for number in range(count)]

    return make


@pytest.fixture
def reseal():
    """Bytes that begin with an Ogg page, with its checksum made right (RFC 3533)."""

    def sealed(data):
        data = bytearray(data)
        end = 27 + data[26] + sum(data[27 : 27 + data[26]])
        data[22:26] = bytes(4)
        crc = 0
        for byte in data[:end]:
            crc ^= byte << 24
            for _ in range(8):
                crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
        data[22:26] = struct.pack("<I", crc)
        return bytes(data)

    return sealed


@pytest.fixture
def elsewhere():
    """Context that does the jobs of commands as a cluster would: work and jobs are pickled, results come backwards."""

    def pool(work, jobs):
        done = []
        for job in jobs:
            try:
                outcome = pickle.loads(pickle.dumps(work))(pickle.loads(pickle.dumps(job)))
            except Exception as error:
                outcome = error
            done.append((job, outcome))
        yield from reversed(done)

    return partial(outcomes_from, pool)


class RangeServer(BaseHTTPRequestHandler):
    """Ranges of bytes; the first folder names the behaviour: ok, forbidden, halfway, flaky, whole (no range)."""

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
    server = ThreadingHTTPServer(("127.0.0.1", 0), RangeServer)
    server.root, server.requests, server.tries = tmp_path / "store", [], Counter()
    server.url = lambda mode="ok": f"http://127.0.0.1:{server.server_address[1]}/{mode}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    remote_store.object_info.cache_clear()
    spans.clear()
    yield server
    server.shutdown()
    server.server_close()
