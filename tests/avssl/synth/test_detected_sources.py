"""Sources of scenes by a detector: an object is followed in a flat video, and cut out of it into pairs."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner

from avssl.cli.main import main
from avssl.datasets.manifest import Row, write_manifest
from avssl.detection.backends import Detections, Detector
from avssl.media import write_audio, write_video
from avssl.media.mp4.spatial_mp4 import write_spatial_mp4
from avssl.synth.pseudo_binaural.pseudo_binaural_dataset import PseudoBinaural, PseudoBinauralOptions
from avssl.synth.user_clips import detected_sources
from avssl.synth.user_clips.annotations import read_annotations
from avssl.synth.user_clips.detected_sources import detect_sources, followed, is_flat

RATE, NAN = 16000, float("nan")
COLOURS = {"red": (230, 20, 20), "blue": (20, 20, 230)}


class Toy(Detector):
    """Finds what is brightly red or blue; blue with a lower score."""

    name, side, sha256 = "toy", 160, "a" * 64

    def find(self, frames, min_score):
        assert max(frames.shape[1:3]) == self.side
        return [self._found(image.astype(int), min_score) for image in frames]

    def _found(self, image, min_score):
        edges, scores, labels = [], [], []
        for channel, label, score in ((0, "red", 0.9), (2, "blue", 0.4)):
            others = np.delete(image, channel, 2).max(-1)
            bright = (image[..., channel] - others > 80).astype(np.uint8)
            for left, top, width, height, area in cv2.connectedComponentsWithStats(bright)[2][1:]:
                if area > 6 and score >= min_score:
                    edges.append([left, top, left + width, top + height])
                    scores.append(score)
                    labels.append(label)
        return Detections(np.array(edges, np.float32).reshape(-1, 4), np.array(scores, np.float32), labels)


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    monkeypatch.setattr(detected_sources, "load_detector", lambda _: Toy())


def film(path, squares, seconds=2.0, audio=True, hertz=440.0):
    """A film of 160 x 90 with squares of 30 pixels: colour -> left edge at the beginning, pixels a second."""
    images = np.full((round(10 * seconds), 90, 160, 3), 128, np.uint8)
    for number, image in enumerate(images):
        for colour, (left, speed) in squares.items():
            x = round(left + speed * number / 10)
            image[20:50, max(0, x) : x + 30] = COLOURS[colour]
    path.parent.mkdir(parents=True, exist_ok=True)
    silent = path.with_name(f".{path.stem}-silent.mp4") if audio else path
    write_video(silent, images, 10.0, crf=5)
    if audio:
        tone = 0.3 * torch.sin(2 * torch.pi * hertz * torch.arange(round(RATE * seconds)) / RATE)[None]
        write_spatial_mp4(path, silent, [tone], RATE, panoramic=False)
    return path


def boxes(entry):
    return np.array([frame["box"] for frame in entry["boxes"]])


def test_the_best_object_of_a_video_is_followed_with_its_label_and_its_times(tmp_path):
    film(tmp_path / "one.mp4", {"red": (10, 20), "blue": (120, 0)})
    path = detect_sources(tmp_path, "toy.pt", rate=4.0, progress=False)
    assert path.name == "sources-toy-aaaaaaaa.json"
    (entry,) = json.loads(path.read_text())["sources"]
    assert (entry["video"], entry["label"], entry["start"], entry["end"]) == ("one.mp4", "red", 0.0, 2.0)
    assert [frame["time"] for frame in entry["boxes"]] == [index / 4 for index in range(8)]
    # Frame 10 t is shown at t; the square is 30 of 160 pixels wide, and moves by 20 a second.
    shown = np.floor(np.arange(8) / 4 * 10 + 1e-6) / 10
    left = (10 + 20 * shown) / 160
    expected = np.stack([left, np.full(8, 20 / 90), left + 30 / 160, np.full(8, 50 / 90)], 1)
    np.testing.assert_allclose(boxes(entry), expected, atol=0.02)
    (read,) = read_annotations(path)
    assert read.video == tmp_path / "one.mp4"


def test_folders_give_labels_and_spoiled_videos_are_left_out_with_a_line_each(tmp_path):
    film(tmp_path / "cello" / "a.mp4", {"red": (10, 0)})
    film(tmp_path / "cello" / "empty.mp4", {})
    film(tmp_path / "flute" / "silent.mp4", {"red": (10, 0)}, audio=False)
    (tmp_path / "flute" / "broken.mp4").write_bytes(b"no film")
    run = CliRunner().invoke(main, ["detect", str(tmp_path), "--model", "toy.pt"])
    assert run.exit_code == 1, run.output
    entries = json.loads((tmp_path / "sources-toy-aaaaaaaa.json").read_text())["sources"]
    assert [(entry["video"], entry["label"]) for entry in entries] == [("cello/a.mp4", "cello")]
    failures: dict[str, str] = {}
    detect_sources(tmp_path, "toy.pt", progress=False, on_error=lambda name, error: failures.update({name: str(error)}))
    assert set(failures) == {"empty.mp4", "silent.mp4", "broken.mp4"}
    assert "expected an object, found none of score 0.25" in failures["empty.mp4"]
    assert "expected audio" in failures["silent.mp4"]
    assert all("\n" not in each for each in failures.values())


def test_clips_of_a_manifest_are_those_of_train_with_their_audio(tmp_path):
    rows = []
    for index, split in enumerate(("train", "test", "train")):
        film(tmp_path / f"{index}.mp4", {"red": (10 + 40 * index, 0)}, audio=False)
        write_audio(tmp_path / f"{index}.wav", np.zeros((2, 2 * RATE), np.float32), RATE)
        files = f"{index}.mp4", f"{index}.wav"
        rows.append(Row(f"c{index}", split, *files, 0.5, 1.0, 10.0, 160, 90, RATE, "binaural", "", NAN, NAN, NAN, ""))
    write_manifest(tmp_path, rows)
    assert is_flat(tmp_path)
    entries = json.loads(detect_sources(tmp_path, "toy.pt", progress=False).read_text())["sources"]
    assert [(entry["video"], entry["audio"], entry["start"], entry["end"]) for entry in entries] == [
        ("0.mp4", "0.wav", 0.5, 1.5),
        ("2.mp4", "2.wav", 0.5, 1.5),
    ]
    assert boxes(entries[1])[0, 0] == pytest.approx(90 / 160, abs=0.02)


def found(*each):
    """Detections of one time: label, score, left edge of a box of 10 x 10."""
    edges = np.array([[left, 0, left + 10, 10] for _, _, left in each], np.float32).reshape(-1, 4)
    return Detections(edges, np.array([score for _, score, _ in each], np.float32), [label for label, _, _ in each])


def test_an_object_is_followed_across_gaps_and_not_into_others():
    times = [0.0, 0.5, 1.0, 1.5, 2.0]
    frames = [
        found(("a", 0.5, 0), ("b", 0.9, 50)),
        found(("a", 0.5, 2), ("a", 0.6, 30)),
        found(),
        found(("a", 0.5, 4), ("c", 0.9, 4)),
        found(("a", 0.5, 60)),
    ]
    label, boxes = followed(frames, times)
    assert label == "a"  # three times 0.5 are more than 0.9 once
    assert [(time, box[0]) for time, box in boxes] == [(0.0, 0.0), (0.5, 2.0), (1.5, 4.0)]
    assert followed([found(), found()], [0.0, 0.5]) == ("", [])


def test_pairs_are_made_of_the_objects_that_were_found(tmp_path):
    videos = tmp_path / "videos"
    for number, (colour, left, hertz) in enumerate((("red", 5, 500.0), ("red", 60, 700.0), ("blue", 110, 900.0))):
        film(videos / f"{number}.mp4", {colour: (left, 0)}, hertz=hertz)
    sources = detect_sources(videos, "toy.pt", progress=False)
    options = PseudoBinauralOptions(
        clips=2, seconds=1.0, width=128, height=72, frame_rate=5, sample_rate=RATE, counts="0:1", way="direct",
        sources=str(sources),
    )  # fmt: skip
    PseudoBinaural(options).render(tmp_path / "pairs", workers=1, progress=False)
    audio, _ = soundfile.read(tmp_path / "pairs" / "media" / "00000-sources.wav")
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio))[:, None], axis=0))
    peaks = np.round(spectrum.argmax(0) * RATE / len(audio))
    assert set(peaks) <= {500.0, 700.0, 900.0}
    assert len(set(peaks)) == 2
    dataset = PseudoBinaural(options)
    dataset.read_inputs(tmp_path / "pairs")
    dataset.prepare(tmp_path / "pairs", progress=False)
    scene = dataset.describe(0)
    image = next(iter(dataset.frames(scene))).astype(int)
    for patch in scene.patches:  # all of a patch is the object: its box was cut out
        middle = image[round(patch.y), round(patch.x)]
        assert np.abs(middle - COLOURS[patch.actor.kind]).max() < 40
    assert (image.max(-1) > 60).mean() == pytest.approx(
        sum(each.side**2 for each in scene.patches) / 128 / 72, abs=0.06
    )


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["--views", "viewports"], "expected 360-degree clips beside --views viewports, got flat ones"),
        (["--frames", "proxy"], "expected a manifest beside frames=proxy, got a folder of videos"),
        (["--min-score", "0.99"], "expected an object of toy.pt in some video, got none"),
        (["--rate", "0"], "rate is above 0, not 0"),
    ],
)
def test_what_cannot_be_honoured_is_refused_in_one_line(tmp_path, more, why):
    film(tmp_path / "one.mp4", {"red": (10, 0)}, seconds=0.5)
    run = CliRunner().invoke(main, ["detect", str(tmp_path), "--model", "toy.pt", *more])
    assert run.exit_code == 2
    assert why in run.output
    assert not list(Path(tmp_path).glob("sources-*"))


def test_sources_that_a_cluster_finds_keep_their_order(tmp_path, elsewhere):
    for label, colour in (("a", "red"), ("b", "blue")):
        (tmp_path / label).mkdir()
        film(tmp_path / label / "clip.mp4", {colour: (20, 10)})
    here = detect_sources(tmp_path, "toy", min_score=0.3, progress=False).read_text()
    with elsewhere():
        there = detect_sources(tmp_path, "toy", min_score=0.3, progress=False).read_text()
    assert [each["label"] for each in json.loads(here)["sources"]] == ["a", "b"]
    assert here == there
