"""Measure random reads of clips as a folder, as shards of `avssl pack`, as WebDataset streams them, and as Lance.

python read_forms.py MANIFEST SCRATCH: the order is that of training (a permutation by seed and epoch); a read fetches
the bytes of one clip, video and sound. `clip` also decodes a window of it as training does.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import Process, Queue
from pathlib import Path
from typing import Any

import numpy as np

from avssl.config import DataConfig
from avssl.data.loader import permutation, read_clip
from avssl.datasets.manifest import Manifest, read_manifest
from avssl.datasets.pack_shards import pack
from avssl.regular_files import open_regular
from avssl.stores.span_cache import spans

READS = 300
LATENCY = 0.02
"""Seconds before each answer of the server, as of an object store in the same region."""


class Ranges(BaseHTTPRequestHandler):
    """Serves ranges of bytes of files, each answer after `LATENCY`."""

    protocol_version = "HTTP/1.1"
    root = Path()

    def do_HEAD(self) -> None:
        """Size of a file."""
        self._answer(b"", (self.root / self.path.lstrip("/")).stat().st_size)

    def do_GET(self) -> None:
        """A range of a file."""
        with (self.root / self.path.lstrip("/")).open("rb") as file:
            first, last = self.headers["Range"].removeprefix("bytes=").split("-")
            file.seek(int(first))
            content = file.read(int(last) + 1 - int(first))
        self._answer(content, len(content))

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def _answer(self, content: bytes, length: int) -> None:
        time.sleep(LATENCY)
        self.send_response(206 if content else 200)
        for name, value in (("Accept-Ranges", "bytes"), ("Content-Length", str(length))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def serve(root: Path, ports: Queue[int]) -> None:
    """Serve a folder until the process is ended; sends its port."""
    Ranges.root = root
    server = ThreadingHTTPServer(("127.0.0.1", 0), Ranges)
    ports.put(server.server_address[1])
    server.serve_forever()


def measured(name: str, read: Callable[[int], object], indices: Sequence[int]) -> None:
    """Print time, system calls and bytes of a read."""
    spans.clear()
    read(int(indices[0]))
    spans.clear()
    before, begun, times = _io(), time.perf_counter(), []
    for index in indices[1:]:
        at = time.perf_counter()
        read(int(index))
        times.append(time.perf_counter() - at)
    seconds, after = time.perf_counter() - begun, _io()
    calls, volume = ((after[key] - before[key]) / len(times) for key in ("syscr", "rchar"))
    print(
        f"{name:24} {1e3 * float(np.median(times)):8.2f} ms median {1e3 * seconds / len(times):8.2f} ms mean "
        f"{calls:7.1f} read calls {volume / 1e3:9.1f} kB read",
        flush=True,
    )


def _io() -> dict[str, int]:
    lines = Path("/proc/self/io").read_text().splitlines()
    return {key: int(value) for key, _, value in (line.partition(": ") for line in lines)}


def files_of(manifest: Manifest) -> Callable[[int], object]:
    """Reads both files of a clip."""

    def read(index: int) -> object:
        row, found = manifest.rows[index], []
        for name in (row.video, row.audio):
            with open_regular(manifest.root / name, "media") as file:
                found.append(file.read())
        return found

    return read


def clips_of(manifest: Manifest, data: DataConfig) -> Callable[[int], object]:
    """Reads and decodes a window of a clip."""
    rng = np.random.default_rng(0)
    return lambda index: read_clip(manifest.rows[index], manifest.root, data, 24000, rng)


def write_lance(manifest: Manifest, path: Path) -> Any:
    """A Lance dataset of the clips' files."""
    import lance
    import pyarrow as pa

    read = files_of(manifest)
    if not path.exists():
        for begin in range(0, len(manifest), 64):
            pairs: list[Any] = [read(index) for index in range(begin, min(begin + 64, len(manifest)))]
            columns = {"mp4": [pair[0] for pair in pairs], "wav": [pair[1] for pair in pairs]}
            table = pa.table({name: pa.array(each, pa.large_binary()) for name, each in columns.items()})
            lance.write_dataset(table, str(path), mode="append" if begin else "create")
    return lance.dataset(str(path))


def main(source: Path, scratch: Path) -> None:
    """Measure all forms."""
    scratch.mkdir(parents=True, exist_ok=True)
    folder = read_manifest(source)
    packed = read_manifest(pack(source, scratch / "packed"))
    indices = [int(each) for each in permutation(len(folder), 0, 0)[: READS + 1]]
    data = DataConfig(decoded="none")
    measured("folder: bytes", files_of(folder), indices)
    measured("shards: bytes", files_of(packed), indices)
    try:
        lance = write_lance(folder, scratch / "clips.lance")
        measured("Lance: bytes", lambda index: lance.take([index]).to_pydict(), indices)
    except ImportError:
        print("Lance: not installed (pip install pylance)")
    try:
        import webdataset

        shards = sorted(str(path) for path in (packed.root / "shards").iterdir())
        stream = iter(webdataset.WebDataset(shards, shardshuffle=False))
        measured("WebDataset: in its order", lambda _: next(stream), indices)
    except ImportError:
        print("WebDataset: not installed")
    measured("folder: clip", clips_of(folder, data), indices)
    measured("shards: clip", clips_of(packed, data), indices)
    ports: Queue[int] = Queue()
    for name, manifest in (("folder", folder), ("shards", packed)):
        server = Process(target=serve, args=(manifest.root, ports), daemon=True)
        server.start()
        there = Manifest(manifest.rows, Path(f"http://127.0.0.1:{ports.get()}"))
        measured(f"{name}, HTTP: bytes", files_of(there), indices[:101])
        measured(f"{name}, HTTP: clip", clips_of(there, data), indices[:101])
        server.kill()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
