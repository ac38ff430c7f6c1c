"""The detector pass over synthetic panoramas whose coloured discs lie in known directions."""

import json
import math
import os
import signal
from contextlib import nullcontext

import cv2
import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import torch

from avssl.datasets.manifest import Row, write_manifest
from avssl.detection import clip_detection, prefetch
from avssl.detection import detect_objects as passing
from avssl.detection.backends import Detections, Detector
from avssl.detection.detect_objects import detect_objects
from avssl.detection.object_index import read_objects, read_settings
from avssl.detection.prefetch import detection_times
from avssl.errors import InputError
from avssl.media import write_video
from avssl.spatial.ambisonics import angle_between

ROWS = 128
NOTHING = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), [])
COLOURS = {"red": (230, 20, 20), "green": (20, 230, 20), "blue": (20, 20, 230)}


class Toy(Detector):
    """Finds what is brightly red, green or blue."""

    name, side = "toy", 160

    def __init__(self, digest="0" * 8, views="viewports"):
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
def dataset(tmp_path):
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
def test_every_object_is_found_once_where_it_is(dataset, toy, views, discs):
    path = detect_objects(dataset, "toy", views=views, progress=False)
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
            assert each["model"] == "toy sha256:00000000"
    assert path.with_suffix(".jpg").is_file()


def test_objects_are_where_they_are_at_their_time_and_empty_frames_have_none(dataset, toy):
    detect_objects(dataset, "toy", progress=False)
    objects = read_objects(dataset, "toy")
    assert objects.at("late", 0.7)[0].shape == (0, 2)
    assert objects.at("empty", 1.0)[0].shape == (0, 2)
    (direction,) = objects.at("late", 1.4)[0]
    assert np.degrees(direction) == pytest.approx([-100, 0], abs=2)


def test_finished_clips_are_not_detected_again(dataset, toy):
    path = detect_objects(dataset, "toy", progress=False)
    seen, stamp = toy.seen, path.stat().st_mtime_ns
    assert detect_objects(dataset, "toy", progress=False) == path
    assert (toy.seen, path.stat().st_mtime_ns) == (seen, stamp)
    write_manifest(
        dataset, [row(name, f"{name}.mp4") for name in ("fixed", "late", "empty")] + [row("new", "late.mp4")]
    )
    detect_objects(dataset, "toy", progress=False)
    assert toy.seen == seen * 4 // 3
    assert len(found(path, "new")) == len(found(path, "late"))


def test_interrupted_pass_continues_to_the_same_result(dataset, toy, monkeypatch, tmp_path):
    whole = pq.read_table(detect_objects(dataset, "toy", progress=False))
    for left in dataset.glob("objects-*"):
        left.unlink()
    look, calls = passing.detect_frames, []

    def stops(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return look(*arguments)

    monkeypatch.setattr(passing, "detect_frames", stops)
    with pytest.raises(KeyboardInterrupt):
        detect_objects(dataset, "toy", progress=False)
    assert not list(dataset.glob("objects-*.parquet"))
    with (dataset / "objects-toy-00000000.jsonl").open("a") as file:
        file.write('{"key": "late", "vid')  # cut short by a crash
    monkeypatch.setattr(passing, "detect_frames", look)
    before = toy.seen
    assert pq.read_table(detect_objects(dataset, "toy", progress=False)).equals(whole)
    assert toy.seen - before == before // 5
    assert sorted(each.name for each in dataset.glob("*objects*")) == [
        f"objects-toy-00000000.{end}" for end in ("jpg", "jsonl", "parquet")
    ]


@pytest.mark.parametrize("spoiled", [b"\xfa\x00\xff" * 100, b'{"settings": 1}\n', b'{"key": "late"}\n[1]\n7\n'])
@pytest.mark.heavy
def test_broken_journal_is_restarted(dataset, toy, spoiled):
    whole = pq.read_table(detect_objects(dataset, "toy", progress=False))
    (dataset / "objects-toy-00000000.parquet").unlink()
    (dataset / "objects-toy-00000000.jsonl").write_bytes(spoiled)
    assert pq.read_table(detect_objects(dataset, "toy", progress=False)).equals(whole)
    seen = toy.seen
    detect_objects(dataset, "toy", progress=False)
    assert toy.seen == seen


def test_no_objects_in_any_clip_is_a_warning(dataset, toy, caplog):
    write_manifest(dataset, [row("empty", "empty.mp4")])
    path = detect_objects(dataset, "toy", progress=False)
    message = "objects-toy-00000000.parquet: no objects in any clip; crops guided by them are random"
    assert [record.levelname for record in caplog.records if message in record.getMessage()] == ["WARNING"]
    assert len(pq.read_table(path)) == 0
    assert read_objects(dataset, "toy").at("empty", 1.0)[0].shape == (0, 2)


def test_changed_clip_is_detected_again(dataset, toy):
    detect_objects(dataset, "toy", progress=False)
    write_video(dataset / "empty.mp4", [panorama((0, 0, 15, "blue"))] * 8, 4.0)
    os.utime(dataset / "empty.mp4", (1, 1))
    assert {each["label"] for each in found(detect_objects(dataset, "toy", progress=False), "empty")} == {"blue"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": 4.0}, "expected rate 2.0, which it was written with, got 4.0"),
        ({"views": "equirect"}, "expected views 'viewports', which it was written with, got 'equirect'"),
        ({"min_score": 0.5}, "expected min_score 0.25, which it was written with, got 0.5"),
    ],
)
def test_other_settings_under_the_same_name_are_a_one_line_error(dataset, toy, change, message):
    detect_objects(dataset, "toy", progress=False)
    before = {path.name: path.read_bytes() for path in dataset.glob("objects-*")}
    with pytest.raises(ValueError, match=r"objects-toy-00000000\.parquet: ") as caught:
        detect_objects(dataset, "toy", progress=False, **change)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert before == {path.name: path.read_bytes() for path in dataset.glob("objects-*")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": 0.0}, "rate is above 0"),
        ({"rate": math.nan}, "rate is above 0"),
        ({"views": "equirct"}, "did you mean 'equirect'"),
        ({"min_score": 1.0}, "between 0 and 1"),
        ({"frames": "proxies"}, "did you mean 'proxy'"),
        ({"model": "truth"}, r"truth\.parquet: expected the ground truth of a synthetic dataset"),
    ],
)
def test_invalid_options_are_rejected_before_writing(dataset, toy, change, message):
    with pytest.raises(ValueError, match=message):
        detect_objects(dataset, **({"model": "toy"} | change), progress=False)
    assert not list(dataset.glob("*objects*"))


def test_flat_frames_are_refused(tmp_path, toy):
    write_video(tmp_path / "flat.mp4", [np.zeros((48, 64, 3), np.uint8)] * 4, 4.0)
    flat = Row("flat", "", "flat.mp4", "flat.mp4", 0.0, 1.0, 4.0, 64, 48, 24000, "stereo", "", 0.0, 0.0, 0.0, "")
    write_manifest(tmp_path, [flat])
    with pytest.raises(ValueError, match="360-degree clips.*'flat' of 64x48"):
        detect_objects(tmp_path, "toy", progress=False)
    assert not list(tmp_path.glob("*objects*"))


@pytest.mark.heavy
def test_two_detectors_of_one_name_have_a_file_each(dataset, toy, tmp_path, monkeypatch):
    first = detect_objects(dataset, "toy", progress=False)
    before = {path.name: path.read_bytes() for path in dataset.glob("objects-*")}
    toy.sha256, toy.find = "1" * 8, lambda frames, min_score: [NOTHING] * len(frames)
    second = detect_objects(dataset, "toy", progress=False)
    assert (first.name, second.name) == ("objects-toy-00000000.parquet", "objects-toy-11111111.parquet")
    assert before == {path.name: path.read_bytes() for path in dataset.glob("objects-toy-0*")}
    with pytest.raises(ValueError, match="objects of one detector 'toy', got those of 2 .* toy-00000000, toy-11111111"):
        read_objects(dataset, "toy")
    assert (len(read_objects(dataset, "toy-00000000")) > 0, len(read_objects(dataset, "toy-11111111"))) == (True, 0)
    for digest, empty in (("0" * 8, False), ("1" * 8, True)):  # weights that are here are asked for their hash
        monkeypatch.setattr("avssl.detection.backends.load.detector_sha256", lambda _, digest=digest: digest)
        assert (len(read_objects(dataset, "toy")) == 0) == empty
    monkeypatch.setattr("avssl.detection.backends.load.detector_sha256", lambda _: "2" * 8)
    with pytest.raises(ValueError, match=r"objects-toy-22222222\.parquet: expected objects, there is no such file"):
        read_objects(dataset, "toy")


@pytest.fixture
def prepared(tmp_path):
    """Two prepared clips with a disc at 50 degrees in their recordings, and at -50 in their proxies."""
    root, out = tmp_path / "in", tmp_path / "out"
    (root / "sub").mkdir(parents=True)
    out.mkdir()
    for name in ("one", "two"):
        write_video(root / "sub" / f"{name}.mp4", [panorama((50, 0, 10, "green"))] * 8, 4.0)
        write_video(out / f"{name}.mp4", [panorama((-50, 0, 10, "green"))] * 8, 4.0)
    write_manifest(out, [prepared_row(name) for name in ("one", "two")])
    (out / "prepared.jsonl").write_text(json.dumps({"settings": {"root": str(root)}}) + "\n")
    return root / "sub", out


def prepared_row(name):
    return Row(**(vars(row(name, f"{name}.mp4")) | {"source": f"elsewhere/in/sub/{name}.mp4"}))


def azimuths(out):
    return [
        round(float(np.degrees(read_objects(out, "toy").at(key, 1.0)[0][0, 0])) / 10) * 10 for key in ("one", "two")
    ]


def remove_objects(out):
    for left in out.glob("objects-*"):
        left.unlink()


def test_originals_are_used_while_all_exist_else_proxies(prepared, toy, caplog):
    recordings, out = prepared
    with caplog.at_level("INFO", "avssl.detection.detect_objects"):
        path = detect_objects(out, "toy", progress=False)
    assert (azimuths(out), read_settings(path)[0].frames) == ([50, 50], "original")
    assert "are detected in original recordings" in caplog.text
    remove_objects(out)
    (recordings / "one.mp4").unlink()
    detect_objects(out, "toy", progress=False)
    assert (azimuths(out), read_settings(path)[0].frames) == ([-50, -50], "proxy")
    assert "1 of 2 original recordings are missing, proxies are used" in caplog.text


def test_the_user_may_choose_the_frames(prepared, toy):
    _, out = prepared
    detect_objects(out, "toy", frames="proxy", progress=False)
    assert azimuths(out) == [-50, -50]
    detect_objects(out, "toy", progress=False)  # as the file has it, though originals are there
    assert azimuths(out) == [-50, -50]
    with pytest.raises(ValueError, match="expected frames 'proxy', which it was written with, got 'original'"):
        detect_objects(out, "toy", frames="original", progress=False)


def test_one_file_never_mixes_originals_and_proxies(prepared, toy):
    recordings, out = prepared
    write_manifest(out, [prepared_row("one")])
    path = detect_objects(out, "toy", progress=False)
    whole = path.read_bytes()
    write_manifest(out, [prepared_row("one"), prepared_row("two")])
    (recordings / "two.mp4").unlink()
    with pytest.raises(ValueError, match=r"sub/two\.mp4: expected the original recording of clip 'two'") as caught:
        detect_objects(out, "toy", progress=False)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == whole
    write_manifest(out, [prepared_row("one")])
    (recordings / "one.mp4").unlink()
    assert detect_objects(out, "toy", progress=False).read_bytes() == whole  # nothing to look at


def test_objects_that_were_begun_in_originals_do_not_go_on_in_proxies(prepared, toy, monkeypatch):
    recordings, out = prepared
    look, calls = passing.detect_frames, []

    def stops(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return look(*arguments)

    monkeypatch.setattr(passing, "detect_frames", stops)
    with pytest.raises(KeyboardInterrupt):
        detect_objects(out, "toy", progress=False)
    monkeypatch.setattr(passing, "detect_frames", look)
    (recordings / "two.mp4").unlink()
    with pytest.raises(ValueError, match="expected frames 'original', which it was written with, got 'proxy'"):
        detect_objects(out, "toy", progress=False)


@pytest.mark.parametrize(("seconds", "rate", "times"), [(2.0, 2.0, [0.25, 0.75, 1.25, 1.75]), (0.1, 2.0, [0.05])])
def test_instants_are_spread_evenly_and_there_is_one_at_least(seconds, rate, times):
    assert detection_times(seconds, rate).times() == pytest.approx(times)


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


def test_a_clip_that_cannot_be_read_or_kills_its_process_costs_itself_alone(dataset, toy, monkeypatch):
    (dataset / "late.mp4").write_bytes(b"no video")
    read = prefetch.iterate_frames

    def poisoned(path, *rest):
        if path.name == "empty.mp4":
            os.kill(os.getpid(), signal.SIGKILL)
        return read(path, *rest)

    monkeypatch.setattr(prefetch, "iterate_frames", poisoned)
    failed = {}
    path = detect_objects(
        dataset, "toy", progress=False, on_error=lambda row, error: failed.setdefault(row.key, str(error))
    )
    assert failed.keys() == {"late", "empty"}
    assert "late.mp4: expected video" in failed["late"]
    assert failed["empty"] == "its worker process died, twice (Killed): a crash, or want of memory"
    assert read_settings(path)[1].keys() == {"fixed"}
    assert {each["key"] for each in pq.read_table(path).to_pylist()} == {"fixed"}
    monkeypatch.setattr(prefetch, "iterate_frames", read)
    detect_objects(dataset, "toy", progress=False, on_error=lambda row, error: failed.pop(row.key))
    assert failed.keys() == {"empty"}  # `late` failed again
    assert read_settings(path)[1].keys() == {"fixed", "empty"}


def test_clips_none_of_which_can_be_read_leave_no_file(dataset, toy):
    for name in ("fixed", "late", "empty"):
        (dataset / f"{name}.mp4").write_bytes(b"no video")
    with pytest.raises(InputError, match="not written, none of the 3 clips can be read"):
        detect_objects(dataset, "toy", progress=False, on_error=lambda row, error: None)
    with pytest.raises(InputError, match=r"fixed\.mp4: expected video"):
        detect_objects(dataset, "toy", progress=False)
    assert not list(dataset.glob("objects*"))


def test_objects_that_a_cluster_finds_are_those_of_this_machine(tmp_path, toy, elsewhere, monkeypatch):
    monkeypatch.setattr(clip_detection, "_detector", lambda _: toy)
    found, failed = {}, []
    for name in ("here", "there"):
        folder = tmp_path / name
        folder.mkdir()
        for key, across in (("a", 30.0), ("b", -60.0)):
            write_video(folder / f"{key}.mp4", [panorama((across, 10.0, 12.0, "red"))] * 8, 4.0)
        (folder / "broken.mp4").write_bytes(b"no video")
        write_manifest(folder, [row(key, f"{key}.mp4") for key in ("a", "b", "broken")])
        with elsewhere() if name == "there" else nullcontext():
            path = detect_objects(folder, "toy", progress=False, on_error=lambda each, _: failed.append(each.key))
        found[name] = pq.read_table(path)
    assert failed == ["broken", "broken"]
    assert found["here"].num_rows >= 8
    assert found["here"].equals(found["there"])
