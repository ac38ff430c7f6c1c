"""The detector pass over made-up panoramas whose coloured discs lie in known directions."""

import json
import math
import os

import cv2
import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import torch

from avssl.datasets.manifest import Row, write_manifest
from avssl.detection import detect as passing
from avssl.detection.backends import Detections, Detector
from avssl.detection.detect import detect_objects
from avssl.detection.object_index import read
from avssl.detection.prefetch import instants
from avssl.media import write_video
from avssl.spatial.ambisonics import angle_between

ROWS = 128
COLOURS = {"red": (230, 20, 20), "green": (20, 230, 20), "blue": (20, 20, 230)}


class Toy(Detector):
    """Finds what is brightly red, green or blue."""

    name, side = "toy", 160

    def __init__(self, digest="0", views="viewports"):
        self.sha256, self.views, self.seen = digest, views, 0

    def find(self, frames, min_score):
        self.seen += len(frames)
        return [self._found(image.astype(int)) for image in frames]

    def _found(self, image):
        edges, labels = [], []
        for channel, label in enumerate(COLOURS):
            others = np.delete(image, channel, 2).max(-1)
            # The video's coarser colour softens edges: half way is where they are.
            bright = (image[..., channel] - others > 80).astype(np.uint8)
            for left, top, width, height, area in cv2.connectedComponentsWithStats(bright)[2][1:]:
                if area > 6:
                    edges.append([left, top, left + width, top + height])
                    labels.append(label)
        return Detections(np.array(edges, np.float32).reshape(-1, 4), np.full(len(edges), 0.8, np.float32), labels)


def panorama(*discs, rows=ROWS):
    """`(rows, 2 * rows, 3)` with discs of azimuth, elevation, radius in degrees and colour."""
    azimuth = (1 - 2 * (torch.arange(2 * rows) + 0.5) / (2 * rows)) * math.pi
    elevation = (0.5 - (torch.arange(rows) + 0.5) / rows) * math.pi
    image = np.full((rows, 2 * rows, 3), 128, np.uint8)
    for across, up, radius, colour in discs:
        away = angle_between(azimuth[None, :], elevation[:, None], math.radians(across), math.radians(up))
        image[(away < math.radians(radius)).numpy()] = COLOURS[colour]
    return image


def row(key, video, seconds=2.0):
    return Row(key, "", video, video, 0.0, seconds, 4.0, 2 * ROWS, ROWS, 24000, "ambix", "", 0.0, 0.0, 0.0, key)


@pytest.fixture
def toy(monkeypatch):
    detector = Toy()
    monkeypatch.setattr(passing, "load_detector", lambda _: detector)
    return detector


@pytest.fixture
def world(tmp_path):
    """Discs ahead, at the seam and below the zenith; a clip in which a disc appears half-way; one without any."""
    fixed = panorama((30, 10, 12, "red"), (179, -20, 12, "green"), (-60, 78, 14, "blue"))
    late = [panorama()] * 4 + [panorama((-100, 0, 12, "red"))] * 4
    for name, frames in (("fixed", [fixed] * 8), ("late", late), ("empty", [panorama()] * 8)):
        write_video(tmp_path / f"{name}.mp4", frames, 4.0)
    write_manifest(tmp_path, [row(name, f"{name}.mp4") for name in ("fixed", "late", "empty")])
    return tmp_path


def found(path, key):
    return [each for each in pq.read_table(path).to_pylist() if each["key"] == key]


@pytest.mark.parametrize(("views", "discs"), [("viewports", 3), ("equirect", 2)])
def test_every_object_is_found_once_where_it_is(world, toy, views, discs):
    path = detect_objects(world, "toy", views=views, progress=False)
    wanted = {"red": (30, 10, 24), "green": (179, -20, 24), "blue": (-60, 78, 28)}
    for time in (0.25, 0.75, 1.25, 1.75):
        seen = [each for each in found(path, "fixed") if each["time"] == time]
        assert len(seen) == 3
        # A disc beside a pole is smeared over the whole frame's width: the views find it, the frame alone cannot.
        for each in [each for each in seen if each["label"] in list(wanted)[:discs]]:
            azimuth, elevation, size = wanted[each["label"]]
            there = [math.radians(each[name]) for name in ("azimuth", "elevation")]
            assert float(angle_between(*there, math.radians(azimuth), math.radians(elevation))) < math.radians(2.5)
            assert (each["width"], each["height"]) == pytest.approx((size, size), abs=5)
            assert each["model"] == "toy sha256:0"
    assert path.with_suffix(".jpg").is_file()


def test_objects_are_where_they_are_at_their_time_and_empty_frames_have_none(world, toy):
    detect_objects(world, "toy", progress=False)
    objects = read(world, "toy")
    assert objects.at("late", 0.7)[0].shape == (0, 2)
    assert objects.at("empty", 1.0)[0].shape == (0, 2)
    (direction,) = objects.at("late", 1.4)[0]
    assert np.degrees(direction) == pytest.approx([-100, 0], abs=2)


def test_what_was_looked_at_is_not_looked_at_again(world, toy):
    path = detect_objects(world, "toy", progress=False)
    seen, stamp = toy.seen, path.stat().st_mtime_ns
    assert detect_objects(world, "toy", progress=False) == path
    assert (toy.seen, path.stat().st_mtime_ns) == (seen, stamp)
    write_manifest(world, [row(name, f"{name}.mp4") for name in ("fixed", "late", "empty")] + [row("new", "late.mp4")])
    detect_objects(world, "toy", progress=False)
    assert toy.seen == seen * 4 // 3
    assert len(found(path, "new")) == len(found(path, "late"))


def test_an_interrupted_pass_continues_and_ends_as_one_that_was_not(world, toy, monkeypatch, tmp_path):
    whole = pq.read_table(detect_objects(world, "toy", progress=False))
    for left in world.glob("objects-*"):
        left.unlink()
    look, calls = passing.detect_frames, []

    def stops(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return look(*arguments)

    monkeypatch.setattr(passing, "detect_frames", stops)
    with pytest.raises(KeyboardInterrupt):
        detect_objects(world, "toy", progress=False)
    assert not list(world.glob("objects-*.parquet"))
    with (world / "objects-toy.jsonl").open("a") as file:
        file.write('{"key": "late", "vid')  # cut short by a crash
    monkeypatch.setattr(passing, "detect_frames", look)
    before = toy.seen
    assert pq.read_table(detect_objects(world, "toy", progress=False)).equals(whole)
    assert toy.seen - before == before // 5
    assert sorted(each.name for each in world.glob("*objects*")) == [
        f"objects-toy.{end}" for end in ("jpg", "jsonl", "parquet")
    ]


@pytest.mark.parametrize("spoiled", [b"\xfa\x00\xff" * 100, b'{"about": {"model": 1}}\n', b'{"key": "late"}\n[1]\n7\n'])
@pytest.mark.heavy
def test_a_spoiled_journal_is_begun_anew(world, toy, spoiled):
    whole = pq.read_table(detect_objects(world, "toy", progress=False))
    (world / "objects-toy.parquet").unlink()
    (world / "objects-toy.jsonl").write_bytes(spoiled)
    assert pq.read_table(detect_objects(world, "toy", progress=False)).equals(whole)
    seen = toy.seen
    detect_objects(world, "toy", progress=False)
    assert toy.seen == seen


def test_that_nothing_was_found_in_any_clip_is_said(world, toy):
    write_manifest(world, [row("empty", "empty.mp4")])
    with pytest.warns(
        UserWarning, match=r"objects-toy\.parquet: no objects in any clip; crops guided by them are random"
    ):
        path = detect_objects(world, "toy", progress=False)
    assert len(pq.read_table(path)) == 0
    assert read(world, "toy").at("empty", 1.0)[0].shape == (0, 2)


def test_a_clip_that_was_prepared_anew_is_looked_at_again(world, toy):
    detect_objects(world, "toy", progress=False)
    write_video(world / "empty.mp4", [panorama((0, 0, 15, "blue"))] * 8, 4.0)
    os.utime(world / "empty.mp4", (1, 1))
    assert {each["label"] for each in found(detect_objects(world, "toy", progress=False), "empty")} == {"blue"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"digest": "1"}, "with model 'toy sha256:0', now 'toy sha256:1'"),
        ({"rate": 4.0}, "with rate 2.0, now 4.0"),
        ({"views": "equirect"}, "with views 'viewports', now 'equirect'"),
        ({"min_score": 0.5}, "with min_score 0.25, now 0.5"),
    ],
)
def test_another_search_under_the_same_name_is_refused_in_one_line(world, toy, change, message):
    detect_objects(world, "toy", progress=False)
    before = {path.name: path.read_bytes() for path in world.glob("objects-*")}
    toy.sha256 = change.pop("digest", "0")
    with pytest.raises(ValueError, match=r"objects-toy\.parquet: ") as caught:
        detect_objects(world, "toy", progress=False, **change)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert before == {path.name: path.read_bytes() for path in world.glob("objects-*")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": 0.0}, "rate is above 0"),
        ({"rate": math.nan}, "rate is above 0"),
        ({"views": "equirct"}, "did you mean 'equirect'"),
        ({"min_score": 1.0}, "between 0 and 1"),
        ({"model": "truth"}, r"truth\.parquet: expected the truth of a made-up world"),
    ],
)
def test_what_has_no_meaning_is_refused_before_anything_is_written(world, toy, change, message):
    with pytest.raises(ValueError, match=message):
        detect_objects(world, **({"model": "toy"} | change), progress=False)
    assert not list(world.glob("*objects*"))


def test_flat_frames_are_refused(tmp_path, toy):
    write_video(tmp_path / "flat.mp4", [np.zeros((48, 64, 3), np.uint8)] * 4, 4.0)
    flat = Row("flat", "", "flat.mp4", "flat.mp4", 0.0, 1.0, 4.0, 64, 48, 24000, "stereo", "", 0.0, 0.0, 0.0, "")
    write_manifest(tmp_path, [flat])
    with pytest.raises(ValueError, match="360-degree pictures.*'flat' is 64x48"):
        detect_objects(tmp_path, "toy", progress=False)
    assert not list(tmp_path.glob("*objects*"))


def test_recordings_are_looked_at_while_they_are_there(tmp_path, toy):
    root, out = tmp_path / "in", tmp_path / "out"
    (root / "sub").mkdir(parents=True)
    out.mkdir()
    write_video(root / "sub" / "clip.mp4", [panorama((50, 0, 10, "green"))] * 8, 4.0)
    write_video(out / "clip.mp4", [panorama((-50, 0, 10, "green"))] * 8, 4.0)
    write_manifest(out, [Row(**(vars(row("clip", "clip.mp4")) | {"source": "elsewhere/in/sub/clip.mp4"}))])
    (out / "prepare.json").write_text(json.dumps({"root": str(root)}))
    detect_objects(out, "toy", progress=False)
    assert np.degrees(read(out, "toy").at("clip", 1.0)[0][0, 0]) == pytest.approx(50, abs=2)
    for left in out.glob("objects-*"):
        left.unlink()
    (root / "sub" / "clip.mp4").unlink()
    detect_objects(out, "toy", progress=False)
    assert np.degrees(read(out, "toy").at("clip", 1.0)[0][0, 0]) == pytest.approx(-50, abs=2)


@pytest.mark.parametrize(("seconds", "rate", "times"), [(2.0, 2.0, [0.25, 0.75, 1.25, 1.75]), (0.1, 2.0, [0.05])])
def test_instants_are_spread_evenly_and_there_is_one_at_least(seconds, rate, times):
    assert instants(seconds, rate).times() == pytest.approx(times)


@pytest.mark.heavy
def test_memory_stays_flat_over_a_thousand_clips(tmp_path, toy, monkeypatch):
    toy.views, toy.side = "equirect", 64
    write_video(tmp_path / "clip.mp4", [panorama((30, 10, 20, "red"), rows=32)] * 4, 4.0)
    clips = [row(f"{number:04d}", "clip.mp4", 1.0) for number in range(1000)]
    write_manifest(tmp_path, [Row(**(vars(each) | {"width": 64, "height": 32})) for each in clips])
    sizes, look = [], passing.detect_frames

    def weighed(*arguments):
        sizes.append(psutil.Process().memory_info().rss)
        return look(*arguments)

    monkeypatch.setattr(passing, "detect_frames", weighed)
    path = detect_objects(tmp_path, "toy", rate=1.0, progress=False)
    assert len(pq.read_table(path)) == len(sizes) == 1000
    assert max(sizes[-100:]) - max(sizes[100:200]) < 16 * 2**20
