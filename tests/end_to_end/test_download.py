"""`avssl download` through yt-dlp from a server on this machine, whose pages a plug-in of yt-dlp reads."""

import csv
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import av
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from avssl.cli import main
from avssl.datasets.manifest import read_manifest
from avssl.media import write_video
from avssl.spatial.ambisonics import encode as plane_wave

pytest.importorskip("yt_dlp")
GOOD, FACES, STEREO, REMOVED, BUSY = "goodgoodgo1", "facesfaces2", "stereoster3", "removedrem4", "busybusybu5"
PLUGIN = r"""
from yt_dlp.extractor.common import InfoExtractor
from yt_dlp.utils import ExtractorError


class LocalPagesIE(InfoExtractor):
    _VALID_URL = r"http://127\.0\.0\.1:\d+/watch\?v=(?P<id>[\w-]{11})"

    def _real_extract(self, url):
        video_id = self._match_id(url)
        page = self._download_json(url, video_id)
        if "error" in page:
            raise ExtractorError(page["error"], expected=True)
        return page
"""


class Site(ThreadingHTTPServer):
    """Pages and files; `cut` is the number of bytes of a video after which connections end, `asked` all requests."""

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.cut, self.asked, self.limited = files, None, [], False

    def page(self, identity):
        if identity == REMOVED:
            return {"error": "Video unavailable. This video has been removed by the uploader"}
        if identity == BUSY and self.limited:
            return {"error": "HTTP Error 429: Too Many Requests"}
        sound = {
            "format_id": "338", "acodec": "opus", "vcodec": "none", "ext": "webm",
            "audio_channels": 2 if identity == STEREO else 4,
        }  # fmt: skip
        frames = {"format_id": "v1", "vcodec": "avc1", "acodec": "none", "ext": "mp4", "width": 128, "height": 64}
        low = frames | {"format_id": "v0", "width": 64, "height": 32}
        formats = [low, sound | {"format_id": "251", "audio_channels": 2}, sound, frames]
        where = f"http://127.0.0.1:{self.server_port}/files/"
        formats = [each | {"url": where + ("v.mp4" if each["acodec"] == "none" else "a.webm")} for each in formats]
        return {"id": identity, "title": "a/title: of../others", "formats": formats}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        path = urlparse(self.path)
        self.server.asked.append((path.path, path.query, self.headers.get("Range")))
        if path.path == "/watch":
            return self.reply(json.dumps(self.server.page(parse_qs(path.query)["v"][0])).encode(), 0)
        begin = int((self.headers.get("Range") or "bytes=0-").partition("=")[2].partition("-")[0] or 0)
        return self.reply(self.server.files[path.path.rpartition("/")[2]], begin)

    def reply(self, body, begin):
        end = self.server.cut if self.path.endswith(".mp4") and self.server.cut else len(body)
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(body) - begin))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        self.wfile.write(body[begin:end])

    def log_message(self, *_):
        pass


def write_opus(path, field):
    """Four channels W Y Z X as YouTube serves them."""
    with av.open(str(path), "w") as out:
        track = out.add_stream("libopus", rate=48000, layout="quad", options={"mapping_family": "255", "b": "400000"})
        packed = np.ascontiguousarray(field.T.reshape(1, -1), np.float32)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout="quad")
        frame.sample_rate, frame.pts = 48000, 0
        for each in [*av.AudioResampler(format="flt").resample(frame), None]:
            out.mux(track.encode(each))


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """yt-dlp's folder of plug-ins, found on the path of modules when its first downloader is made."""
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "yt_dlp_plugins" / "extractor").mkdir(parents=True)
    (folder / "yt_dlp_plugins" / "extractor" / "local_pages.py").write_text(PLUGIN)
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))


@pytest.fixture
def site(plugin, tmp_path):
    (tmp_path / "served").mkdir()
    write_video(
        tmp_path / "served" / "v.mp4", [np.full((64, 128, 3), 9 * index, np.uint8) for index in range(20)], 20.0
    )
    noise = 0.1 * torch.randn(48000, generator=torch.Generator().manual_seed(0))
    write_opus(tmp_path / "served" / "a.webm", plane_wave(noise, 1.0, 0.2).numpy())
    server = Site({path.name: path.read_bytes() for path in (tmp_path / "served").iterdir()})
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def run(site, folder, *ids, kind="ids", flags=()):
    (folder / "mine.lst").write_text("\n".join(ids))
    url = f"http://127.0.0.1:{site.server_port}/watch?v={{id}}"
    words = ["download", kind, folder / "mine.lst", folder / "out", "--url", url, "--sleep", 0, "--sleep-requests", 0]
    return CliRunner().invoke(main, [*map(str, words), *flags])


def missing(folder):
    with (folder / "out" / "missing.csv").open() as file:
        return {row["id"]: (row["status"], row["reason"]) for row in csv.DictReader(file)}


def test_a_list_becomes_files_that_prepare_reads_and_a_report(site, tmp_path):
    result = run(site, tmp_path, GOOD, STEREO, REMOVED)
    assert result.exit_code == 1, result.output
    found = missing(tmp_path)
    assert found[REMOVED][0] == "gone"
    assert "removed by the uploader" in found[REMOVED][1]
    assert found[STEREO][0] == "no format"
    assert "the site has opus 2" in found[STEREO][1]
    names = {path.name for path in (tmp_path / "out").glob(f"{GOOD}.*")}
    assert names == {f"{GOOD}.video.fv1.mp4", f"{GOOD}.audio.f338.webm"}  # the higher frames, four channels
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["done"], report["missing"]) == (1, {"no format": 1, "gone": 1})
    assert report["audio"] == {"4-channel opus": 1}
    prepared = ["prepare", tmp_path / "out", tmp_path / "data", "--layout", "rec-street", "--workers", 1]
    result = CliRunner().invoke(main, [*map(str, prepared), "--height", "32"])
    assert result.exit_code == 0, result.output
    (row,) = read_manifest(tmp_path / "data")
    assert (row.key, row.layout) == (GOOD, "ambix")
    assert row.azimuth == pytest.approx(57.3, abs=1)


def test_what_is_there_and_what_is_gone_is_not_asked_for_again(site, tmp_path):
    assert run(site, tmp_path, GOOD, REMOVED).exit_code == 1
    site.asked.clear()
    result = run(site, tmp_path, GOOD, REMOVED)
    assert result.exit_code == 1
    assert "1 of 2 (0 new)" in result.output
    assert site.asked == []
    assert run(site, tmp_path, GOOD, REMOVED, flags=["--retry"]).exit_code == 1
    assert [query for path, query, _ in site.asked if path == "/watch"] == [f"v={REMOVED}"]


def test_a_file_that_was_cut_short_is_continued(site, tmp_path):
    site.files["v.mp4"] += bytes(200_000)  # more than the blocks that yt-dlp reads
    site.cut = 100_000
    result = run(site, tmp_path, GOOD)
    assert result.exit_code == 2, result.output
    assert missing(tmp_path)[GOOD][0] == "network", missing(tmp_path)
    site.cut = None
    site.asked.clear()
    assert run(site, tmp_path, GOOD).exit_code == 0
    assert [asked for path, _, asked in site.asked if path == "/files/v.mp4" and asked and asked != "bytes=0-"]
    assert (tmp_path / "out" / f"{GOOD}.video.fv1.mp4").read_bytes() == site.files["v.mp4"]


def test_a_site_that_asks_for_fewer_requests_ends_the_run(site, tmp_path):
    site.limited = True
    result = run(site, tmp_path, BUSY, GOOD)
    assert result.exit_code == 2
    assert {name: status for name, (status, _) in missing(tmp_path).items()} == {
        BUSY: "rate limited", GOOD: "not tried",
    }  # fmt: skip
    site.limited = False
    assert run(site, tmp_path, BUSY, GOOD).exit_code == 0


def test_a_folder_of_another_list_and_a_kind_without_a_name_are_one_line(site, tmp_path):
    assert run(site, tmp_path, GOOD).exit_code == 0
    result = run(site, tmp_path, GOOD, kind="yt360")
    assert result.exit_code == 2
    assert "expected kind 'ids', which it was written with, got 'yt360'" in result.output
    result = run(site, tmp_path, GOOD, kind="yt36")
    assert result.exit_code == 2
    assert result.output.count("\n") == 1
