import json
import os
import pickle
import shutil
import signal
import struct

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from avssl.detection.backends.segmenter import Instances, Segmenter
from avssl.media import write_audio, write_spatial_mp4, write_video
from avssl.synth.canvas.compositing import Canvas
from avssl.synth.mono3d.mono3d_dataset import mono3d
from avssl.synth.pseudo_binaural.pseudo_binaural_dataset import pseudo_binaural
from avssl.synth.user_clips import cutouts
from avssl.synth.user_clips.clip_sources import load_clip_sources
from avssl.synth.user_clips.cutouts import Cutting, read_cut_out, square

SMALL = {"width": 96, "height": 64, "progress": False, "workers": 1}
COLOURS = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (30, 30, 220)}


def left_edge(time):
    """Of the square in the video, in 0..1 of its width."""
    return 0.1 + 0.15 * time


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Three videos of 3 s: a coloured square of 32 x 32 pixels that moves to the right, and a tone of its own."""
    folder = tmp_path_factory.mktemp("clips")
    entries = []
    for number, (label, colour) in enumerate(COLOURS.items()):
        frames = np.full((36, 64, 128, 3), 128, np.uint8)
        for k, frame in enumerate(frames):
            left = round(left_edge(k / 12) * 128)
            frame[16:48, left : left + 32] = colour
        write_video(folder / f"{label}.mp4", frames, 12.0, crf=5)
        tone = 0.2 * np.sin(2 * np.pi * (400 + 300 * number) * np.arange(3 * 16000) / 16000)
        write_audio(folder / f"{label}.wav", np.stack([tone, 0.5 * tone]).astype(np.float32), 16000)
        boxes = [{"time": t, "box": [left_edge(t), 0.25, left_edge(t) + 0.25, 0.75]} for t in (0.0, 3.0)]
        entries.append({"video": f"{label}.mp4", "audio": f"{label}.wav", "label": label, "boxes": boxes})
    note = {"format": "avssl-sources", "version": 1, "sources": entries}
    (folder / "sources.json").write_text(json.dumps(note))
    return folder


def company(clips, out, **change):
    found = load_clip_sources(out, clips / "sources.json", Cutting(**({"rate": 6.0} | change)))
    found.prepare(Canvas(1.0), progress=False)
    return found


def test_boxes_cut_out_what_moves_and_its_audio(clips, tmp_path):
    company(clips, tmp_path)
    for number, (label, colour) in enumerate(COLOURS.items()):
        cut = read_cut_out(tmp_path / f"sources/{number:05d}.npz")
        assert (cut.frames.shape, cut.seconds) == ((18, 192, 192, 4), 3.0)
        assert cut.sides == pytest.approx(np.full(18, 0.5), abs=0.05)
        inner = cut.frames[:, 24:-24, 24:-24].reshape(18, -1, 4).astype(int)
        assert np.abs(np.median(inner, axis=1) - [*colour, 255]).max() < 12
        tone = 0.75 * 0.2 * np.sin(2 * np.pi * (400 + 300 * number) * np.arange(72000) / 24000)
        assert np.abs(cut.audio[200:-200] - tone[200:-200]).max() < 1e-3, label


def test_a_square_keeps_the_shape_and_is_transparent_beside_it():
    frame = np.full((100, 200, 3), 90, np.uint8)
    image, side = square(frame, np.full((100, 200), 255, np.uint8), np.array([0.25, 0.1, 0.75, 0.6]))
    assert side == 1.0
    rows = np.flatnonzero(image[..., 3].any(1))
    assert (image[..., 3].any(0).all(), len(rows), rows[0]) == (True, 96, 48)
    assert (image[48:144, :, :3] == 90).all()


def test_a_scene_takes_part_of_a_long_clip_and_waits_for_a_short_one(clips, tmp_path):
    found = company(clips, tmp_path)
    rng = np.random.default_rng(0)
    short, long = Canvas(1.0, sample_rate=24000), Canvas(5.0, sample_rate=24000)
    begins = np.array([found.trio(rng, 0, 1, short)[0].begin for _ in range(200)])
    assert (begins.min() >= 0, begins.max() <= 2, begins.std() > 0.4) == (True, True, True)
    actor = found.trio(rng, 0, 1, long)[0]
    assert -2 <= actor.begin <= 0
    loud = np.abs(actor.audio(long)[-5 * 24000 :]) > 1e-3
    assert np.flatnonzero(loud)[[0, -1]] / 24000 == pytest.approx([-actor.begin, 3 - actor.begin], abs=0.01)
    there = np.flatnonzero(actor.appearance(long).which >= 0) / 16
    assert there[[0, -1]] == pytest.approx([-actor.begin, 3 - actor.begin], abs=0.1)


def test_every_clip_is_the_first_in_turn_and_kinds_are_those_asked_for(clips, tmp_path):
    found = company(clips, tmp_path)
    rng, form = np.random.default_rng(0), Canvas(1.0)
    assert [found.trio(rng, index, 2, form)[0].kind for index in range(6)] == ["red", "green", "blue"] * 2
    assert [each.kind for each in found.actors(rng, ["blue", "red"], form)] == ["blue", "red"]
    assert found.kinds == {"blue": 1, "green": 1, "red": 1}


@pytest.mark.heavy
def test_worlds_are_made_of_a_users_clips(clips, tmp_path):
    settings = {"clips": 3, "seconds": 1.0, "seed": 0, "sources": clips / "sources.json"} | SMALL
    mono3d(tmp_path / "walks", type="P2", **settings)
    pseudo_binaural(tmp_path / "pairs", cut_rate=6.0, **settings)
    for name in ("walks", "pairs"):
        rows = pq.read_table(tmp_path / name / "truth.parquet").to_pylist()
        assert {row["kind"] for row in rows} == set(COLOURS)


def test_what_is_sent_to_another_process_plays_the_same(clips, tmp_path):
    found = company(clips, tmp_path)
    form = Canvas(1.0)
    one, other = (
        each.trio(np.random.default_rng(3), 1, 2, form) for each in (found, pickle.loads(pickle.dumps(found)))
    )
    assert [np.array_equal(a.audio(form), b.audio(form)) for a, b in zip(one, other, strict=True)] == [True, True]


def test_cut_outs_are_made_once_and_other_clips_are_another_world(clips, tmp_path):
    settings = {"clips": 1, "seconds": 0.5, "seed": 0, "sources": clips / "sources.json", "type": "P1"} | SMALL
    mono3d(tmp_path, **settings)
    before = {path: path.stat().st_mtime_ns for path in sorted((tmp_path / "sources").iterdir())}
    next(iter(before)).unlink()
    mono3d(tmp_path, **settings)
    after = {path: path.stat().st_mtime_ns for path in before}
    assert [after[path] == time for path, time in before.items()] == [False, True, True]
    with pytest.raises(ValueError, match="expected cut_rate 4.0, which it was written with, got 2.0"):
        mono3d(tmp_path, cut_rate=2.0, **settings)


def test_clips_are_known_by_their_contents_not_by_their_size(clips, tmp_path):
    shutil.copytree(clips, tmp_path / "clips")
    settings = {"clips": 1, "seconds": 0.5, "seed": 0, "sources": tmp_path / "clips/sources.json", "type": "P1"} | SMALL
    mono3d(tmp_path / "out", **settings)
    audio = tmp_path / "clips/red.wav"
    os.utime(audio, (1, 1))
    mono3d(tmp_path / "out", **settings)  # the same contents
    audio.write_bytes(audio.read_bytes()[:-100] + bytes(100))
    with pytest.raises(ValueError, match="expected sources '[0-9a-f]+', which it was written with, got '"):
        mono3d(tmp_path / "out", **settings)


class ByColour(Segmenter):
    """Finds what is red, green or blue."""

    sha256 = "0" * 64

    def segment(self, frames):
        return [self._found(image.astype(int)) for image in frames]

    def _found(self, image):
        masks = {name: np.abs(image - colour).max(-1) < 60 for name, colour in COLOURS.items() if name != "blue"}
        masks = {name: mask for name, mask in masks.items() if mask.any()}
        edges = [[*np.argwhere(mask).min(0)[::-1], *(np.argwhere(mask).max(0)[::-1] + 1)] for mask in masks.values()]
        scores = np.full(len(masks), 0.9, np.float32)
        return Instances(
            np.array(edges, np.float32).reshape(-1, 4), scores, list(masks), np.array(list(masks.values()))
        )


def test_a_segmenter_cuts_along_its_masks(clips, tmp_path, monkeypatch):
    monkeypatch.setattr(cutouts, "load_segmenter", lambda model: ByColour())
    note = json.loads((clips / "sources.json").read_text())
    sources = [{name: each[name] for name in ("video", "audio", "label")} for each in note["sources"][:2]]
    path = clips / "unboxed.json"
    path.write_text(json.dumps(note | {"sources": sources}))
    found = load_clip_sources(tmp_path, path, Cutting("model", 6.0))
    found.prepare(Canvas(1.0), progress=False)
    for number, colour in enumerate(list(COLOURS.values())[:2]):
        cut = read_cut_out(tmp_path / f"sources/{number:05d}.npz")
        assert cut.sides == pytest.approx(np.full(18, 0.5), abs=0.05)
        assert np.abs(np.median(cut.frames.reshape(-1, 4), axis=0) - [*colour, 255]).max() < 12
    assert found.settings()["cut_by"] == "sha256:" + "0" * 16


def test_segments_in_which_nothing_is_found_are_named(clips, tmp_path, monkeypatch):
    monkeypatch.setattr(cutouts, "load_segmenter", lambda model: ByColour())
    with pytest.raises(ValueError, match=r"model: finds nothing in 1 of 3 segments \(blue.mp4 0.0-3.0 s\)"):
        company(clips, tmp_path, segmenter="model")
    assert len(list((tmp_path / "sources").iterdir())) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": 3.5}, "starts at 3.5 s, the video ends at 3.00"),
        ({"end": 4.0}, "ends at 4.0 s, the video at 3.00 s"),
        ({"video": "sources.json"}, "sources.json"),
        ({"video": "red.wav"}, "has no picture stream"),
    ],
)
def test_annotations_that_do_not_fit_the_files_are_told_before_anything_is_written(clips, tmp_path, change, message):
    entry = {"video": "red.mp4", "audio": "red.wav", "label": "red"} | change
    path = clips / "bad.json"
    path.write_text(json.dumps({"format": "avssl-sources", "version": 1, "sources": [entry]}))
    with pytest.raises(ValueError, match=message) as caught:
        mono3d(tmp_path / "out", 1, 1.0, 0, sources=path, type="P1", **SMALL)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_video_without_audio_and_types_that_want_more_kinds_are_told(clips, tmp_path):
    one = {"video": "red.mp4", "label": "red"}
    for kind, entry, message in (
        ("P1", one, "red.mp4: expected audio, got a file without an audio stream"),
        ("P2", one | {"audio": "red.wav"}, "P2 want sources of at least two kinds, here are only red"),
        ("P3", one | {"audio": "red.wav"}, "P3 want two sources of one kind"),
    ):
        path = clips / "silent.json"
        path.write_text(json.dumps({"format": "avssl-sources", "version": 1, "sources": [entry]}))
        with pytest.raises(ValueError, match=message) as caught:
            mono3d(tmp_path / "out", 1, 1.0, 0, sources=path, type=kind, **SMALL)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "out").exists()


def test_long_segments_are_cut_in_equal_parts(clips, tmp_path, monkeypatch):
    monkeypatch.setattr("avssl.synth.user_clips.clip_sources.LONGEST", 1.2)
    found = load_clip_sources(tmp_path, clips / "sources.json", Cutting())
    assert [each.start for each in found.segments[:3]] == pytest.approx([0, 1, 2], abs=0.01)
    assert [each.end for each in found.segments[:3]] == pytest.approx([1, 2, 3], abs=0.01)
    assert found.kinds == {"blue": 3, "green": 3, "red": 3}


def test_a_spoiled_cut_out_is_told(clips, tmp_path):
    company(clips, tmp_path)
    path = tmp_path / "sources/00000.npz"
    path.write_bytes(path.read_bytes()[:500])
    read_cut_out.cache_clear()
    with pytest.raises(ValueError, match="00000.npz: expected a cut-out"):
        read_cut_out(path)


@pytest.mark.parametrize(
    ("matrix", "shape", "corner"),
    [
        ((1, 0, 0, 1), (96, 192), (0, 0)),
        ((0, 1, -1, 0), (192, 96), (0, 1)),
        ((-1, 0, 0, -1), (96, 192), (1, 1)),
        ((0, -1, 1, 0), (192, 96), (1, 0)),
    ],
)
def test_a_clip_of_a_phone_held_upright_is_cut_out_upright(tmp_path, matrix, shape, corner):
    (tmp_path / "dog").mkdir()
    frames = np.full((16, 64, 128, 3), 30, np.uint8)
    frames[:, :16, :16] = 255
    silent, path = tmp_path / "silent.mp4", tmp_path / "dog" / "a.mp4"
    write_video(silent, frames, 16.0, crf=5)
    write_spatial_mp4(path, silent, [torch.rand(2, 16000) - 0.5], 16000, panoramic=False)
    data = bytearray(path.read_bytes())
    struct.pack_into(
        ">2i4x2i", data, data.find(b"tkhd") + 44, *(each << 16 for each in matrix)
    )  # the video comes first
    path.write_bytes(bytes(data))
    sources = load_clip_sources(tmp_path / "out", tmp_path, Cutting(rate=4.0))
    sources.prepare(Canvas(1.0), progress=False)
    image = read_cut_out(tmp_path / "out/sources/00000.npz").frames[0]
    rows, columns = (np.flatnonzero((image[..., 3] > 0).any(axis)) for axis in (1, 0))
    assert (len(rows), len(columns)) == shape
    bright = np.argwhere(image[..., 0] > 200).mean(0) > 96
    assert tuple(bright.astype(int)) == corner


def test_a_header_that_invents_a_length_makes_no_cut_outs_of_it(tmp_path, matroska):
    (tmp_path / "dog").mkdir()
    stamps = range(0, 2000, 100)
    frames = [np.full((48, 96, 3), 90, np.uint8) for _ in stamps]
    matroska(tmp_path / "dog" / "a.mkv", frames, stamps, duration=1e18, audio=stamps, sound=b"\1\2" * 800)
    sources = load_clip_sources(tmp_path / "out", tmp_path, Cutting(rate=4.0))
    assert [(each.start, each.end) for each in sources.segments] == [(0.0, pytest.approx(1.95, abs=0.1))]


def test_a_clip_that_kills_its_process_is_one_line_and_the_cut_outs_before_it_stay(clips, tmp_path, monkeypatch):
    shapes = cutouts._shapes

    def poisoned(segment, *rest):
        if segment.video.name == "blue.mp4":
            os.kill(os.getpid(), signal.SIGSEGV)
        return shapes(segment, *rest)

    monkeypatch.setattr(cutouts, "_shapes", poisoned)
    with pytest.raises(ValueError, match=r"its worker process died, twice \(Segmentation fault\)"):
        company(clips, tmp_path)
    assert sorted(path.name for path in (tmp_path / "sources").iterdir()) == ["00000.npz", "00001.npz"]
