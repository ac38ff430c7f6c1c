"""`avssl prepare` on ordinary video with binaural audio: official layouts, any folder, a real FAIR-Play clip."""

import json
import math
import os
import struct
from pathlib import Path

import cv2
import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from click.testing import CliRunner

from avssl.cli import main
from avssl.datasets.dataset import Recording
from avssl.datasets.layouts.fair_play import FairPlay
from avssl.datasets.layouts.files import Files
from avssl.datasets.manifest import Row, read_manifest
from avssl.datasets.transcode import MEDIA, PARTIAL, Job, Options, prepare_one
from avssl.media import read_all_audio, read_frames, write_video

pytestmark = pytest.mark.heavy

REAL = Path(os.environ.get("AVSSL_TEST_MEDIA", Path(__file__).parents[4] / "shared" / "data")) / "free" / "stereo"
RATE = 48000
LATE = 20
"""Samples by which the right ear hears later: the sound comes from the left."""


def from_the_left(seconds=1.2, rate=RATE):
    recorded = 0.1 * torch.randn(round(seconds * rate) + LATE, generator=torch.Generator().manual_seed(0)).numpy()
    return np.stack([recorded[LATE:], 0.5 * recorded[:-LATE]])


def brightness(number):
    return 20 + 15 * number


def frames(count, height, width):
    return [np.full((height, width, 3), brightness(number), np.uint8) for number in range(count)]


def write_stills(folder, count, size, name):
    folder.mkdir(parents=True)
    for number, image in enumerate(frames(count, *size)):
        cv2.imwrite(str(folder / name.format(number)), image)


def write_audio(path, audio, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio.T, rate)


def write_lists(folder, kind, names):
    folder.mkdir(parents=True)
    if kind == "txt":
        (folder / "train.txt").write_text("\n".join(f"{name}.mp3" for name in names))
        return
    with h5py.File(folder / "train.h5", "w") as file:
        file["audio"] = [
            f"/private/home/rhgao/datasets/BINAURAL_MUSIC_ROOM/binaural16k/{n}.wav".encode() for n in names
        ]


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """1: a video; 2: padded png; 3: un-padded jpg; 4: mono; 5: one channel twice; 6: only listed; 7: torn image."""
    root = tmp_path_factory.mktemp("FAIR-Play")
    for name, audio in enumerate([*[from_the_left()] * 3, from_the_left()[:1], from_the_left()[[0, 0]]], 1):
        write_audio(root / "binaural_audios" / f"00000{name}.wav", audio)
        if name != 2 and name != 3:
            (root / "videos").mkdir(exist_ok=True)
            write_video(root / "videos" / f"00000{name}.mp4", frames(12, 64, 96), 10.0)
    write_stills(root / "frames" / "000002.mp4", 12, (90, 120), "{:06d}.png")
    write_stills(root / "frames" / "000003", 12, (90, 161), "{}.jpg")
    write_audio(root / "binaural_audios" / "000007.wav", from_the_left())
    write_stills(root / "frames" / "000007", 12, (90, 120), "{}.jpg")
    torn = root / "frames" / "000007" / "7.jpg"
    torn.write_bytes(torn.read_bytes()[:300])
    write_lists(root / "splits" / "split1", "h5", ["000001", "000006"])
    write_lists(root / "new_splits" / "split2", "txt", ["000006", "000002"])
    return root


def run(*arguments):
    return CliRunner().invoke(main, ["prepare", *map(str, arguments), "--height", "32", "--workers", "1"])


@pytest.fixture(scope="module")
def prepared(room, tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared") / "out"
    return out, run(room, out, "--layout", "fair-play")


@pytest.fixture(scope="module")
def rows(prepared):
    return {row.key: row for row in read_manifest(prepared[0])}


def test_flat_proxies_keep_the_proportion_of_the_image(prepared, rows):
    assert {key: (row.width, row.height) for key, row in rows.items()} == {
        "000001": (48, 32),
        "000002": (42, 32),
        "000003": (58, 32),
        "000005": (48, 32),
    }
    for row in rows.values():
        assert read_frames(prepared[0] / row.video, [0.0]).shape == (1, 3, row.height, row.width)


def test_left_stays_left_and_comes_first(prepared, rows):
    for key in ("000001", "000002", "000003"):
        assert (rows[key].layout, rows[key].silent_channels) == ("binaural", "")
        audio, rate = read_all_audio(prepared[0] / rows[key].audio)
        assert (rate, len(audio)) == (24000, 2)
        lags = range(-20, 21)
        match = [float((audio[0, 100:-100] * audio[1].roll(-lag)[100:-100]).sum()) for lag in lags]
        assert lags[int(np.argmax(match))] == LATE * 24000 // RATE
        assert audio[1].norm() / audio[0].norm() == pytest.approx(0.5, abs=0.01)


def test_what_has_no_meaning_for_two_ears_is_no_number(rows):
    for row in rows.values():
        assert all(map(math.isnan, (row.azimuth, row.elevation, row.diffuseness)))


@pytest.mark.parametrize("key", ["000001", "000002", "000003"])
def test_numbered_frames_stand_where_their_number_says(prepared, rows, key):
    assert (rows[key].frame_rate, rows[key].seconds) == (10.0, pytest.approx(1.2, abs=0.01))
    shown = read_frames(prepared[0] / rows[key].video, [number / 10 + 0.05 for number in range(12)]).float()
    assert [float(frame.mean()) for frame in shown] == pytest.approx([brightness(n) for n in range(12)], abs=4)


def test_equal_channels_are_prepared_and_counted(prepared, rows):
    assert rows["000005"].silent_channels == "L-R"
    assert json.loads((prepared[0] / "report.json").read_text())["silent_channels"] == {"L-R": 1}
    assert "L-R: 1" in prepared[1].output


def test_what_is_bad_fails_alone_with_its_reason(prepared):
    assert prepared[1].exit_code == 1
    reasons = {row["key"]: row["reason"] for row in pq.read_table(prepared[0] / "failed.parquet").to_pylist()}
    assert sorted(reasons) == ["000004", "000007"]
    assert reasons["000004"] == "binaural sound has 2 channels, this is mono"
    assert "7.jpg: expected an image, cannot be read" in reasons["000007"]
    missing = json.loads((prepared[0] / "report.json").read_text())["missing"]
    assert missing["clips"] == {"count": 1, "names": ["000006"]}


def test_another_set_of_lists_splits_anew_and_prepares_nothing_again(room, prepared):
    before = {path: path.stat().st_mtime_ns for path in (prepared[0] / "media").iterdir()}
    result = run(room, prepared[0], "--layout", "fair-play", "--split", "split2")
    found = {row.key: row.split for row in read_manifest(prepared[0])}
    assert found == {"000001": "", "000002": "train", "000003": "", "000005": ""}
    assert {path: path.stat().st_mtime_ns for path in (prepared[0] / "media").iterdir()} == before
    assert json.loads((prepared[0] / "report.json").read_text())["lists"] == "new_splits/split2"
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("layout", "more", "why"),
    [
        ("fair-play", ["--split", "spllit2"], "did you mean"),
        ("files", ["--split", "split1"], "the layout files has no choice of split lists"),
        ("youtube-asmr", [], "expected clips with video and audio of one name"),
        ("music", [], "expected clips in MUSIC's lists"),
    ],
)
def test_a_wrong_layout_or_split_is_one_line_and_writes_nothing(room, tmp_path, layout, more, why):
    result = run(room, tmp_path / "out", "--layout", layout, *more)
    assert result.exit_code == 2
    assert why in result.output
    assert result.output.strip().count("\n") == 0
    assert not (tmp_path / "out").exists()


def one(tmp_path, recording, root=None, **options):
    """Prepare one recording in this process."""
    for folder in (MEDIA, PARTIAL):
        (tmp_path / "out" / folder).mkdir(parents=True, exist_ok=True)
    return prepare_one(Job(root or tmp_path, recording, tmp_path / "out", Options(height=32, **options)))


@pytest.mark.parametrize(
    ("declared", "came"),
    [
        (
            {},
            "expected equirectangular frames (2:1), these are 96x64, perhaps a cube map (--projection cubemap or eac)",
        ),
        (
            {"projection": "flat"},
            "this sound is stereo; for two-channel audio, declare --channel-layout stereo or binaural",
        ),
        ({"projection": "flat", "channel_layout": "stereo"}, "stereo"),
        ({"projection": "flat", "channel_layout": "binaural"}, "binaural"),
        ({"channel_layout": "stereo"}, "expected equirectangular frames"),
    ],
)
def test_any_folder_is_ordinary_video_only_where_declared(tmp_path, declared, came):
    write_video(tmp_path / "a.mp4", frames(12, 64, 96), 10.0)
    write_audio(tmp_path / "a.wav", from_the_left())
    (recording,) = Files().read(tmp_path, tmp_path / "out").recordings
    found = one(tmp_path, recording, **declared)
    if isinstance(found, Row):
        assert (found.layout, found.width, found.height) == (came, 48, 32)
    else:
        assert came in found.reason


def ears(left=0.1, right=0.1, apart=0.0):
    noise = torch.randn(3, RATE, generator=torch.Generator().manual_seed(1)).numpy()
    return np.stack([left * noise[0] + apart * noise[1], right * noise[0] - apart * noise[1]])


@pytest.mark.parametrize(
    ("audio", "silent"),
    [
        (ears(), "L-R"),
        (ears(apart=0.1 * 10 ** (-66 / 20)), "L-R"),
        (ears(apart=0.1 * 10 ** (-54 / 20)), ""),
        (ears(right=-0.1), ""),
        (ears(right=0.0), "R"),
        (ears(left=0.0), "L"),
    ],
)
def test_ears_that_hear_the_same_differ_by_less_than_60_db(tmp_path, audio, silent):
    write_video(tmp_path / "a.mp4", frames(10, 64, 96), 10.0)
    soundfile.write(tmp_path / "a.wav", audio.T, RATE, subtype="FLOAT")
    row = one(tmp_path, Recording("a", "a.mp4", "a.wav", projection="flat", channel_layout="stereo"))
    assert row.silent_channels == silent


@pytest.mark.parametrize(
    ("audio", "why"),
    [
        (0 * from_the_left(), "silent throughout"),
        (from_the_left()[[0, 1, 0]], "stereo sound has 2 channels, this is 3-channel"),
    ],
)
def test_audio_that_is_not_for_two_ears_is_refused(tmp_path, audio, why):
    write_video(tmp_path / "a.mp4", frames(10, 64, 96), 10.0)
    write_audio(tmp_path / "a.wav", audio)
    found = one(tmp_path, Recording("a", "a.mp4", "a.wav", projection="flat", channel_layout="stereo"))
    assert why in found.reason


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ({}, "expected numbered images (.jpg, .png), found none"),
        ({"cover.jpg": (90, 120)}, "expected numbered images (.jpg, .png), found none"),
        ({"1.jpg": (90, 120), "01.jpg": (90, 120)}, "expected one image per number, found 01.jpg and 1.jpg"),
        ({"1.jpg": (90, 120), "2.png": (90, 100)}, "2.png: expected 120x90 like the first image, got 100x90"),
    ],
)
def test_a_folder_that_is_no_film_is_refused(tmp_path, names, why):
    (tmp_path / "frames").mkdir()
    for name, size in names.items():
        cv2.imwrite(str(tmp_path / "frames" / name), np.zeros((*size, 3), np.uint8))
    write_audio(tmp_path / "a.wav", from_the_left())
    recording = Recording("a", "frames", "a.wav", projection="flat", channel_layout="stereo", frame_rate=2.0)
    assert why in one(tmp_path, recording).reason


def test_colours_of_numbered_frames_are_red_green_blue(tmp_path):
    (tmp_path / "frames").mkdir()
    for number in range(12):
        cv2.imwrite(str(tmp_path / "frames" / f"{number}.png"), np.full((64, 96, 3), (200, 100, 30), np.uint8))  # BGR
    write_audio(tmp_path / "a.wav", from_the_left())
    recording = Recording("a", "frames", "a.wav", projection="flat", channel_layout="stereo", frame_rate=10.0)
    row = one(tmp_path, recording)
    shown = read_frames(tmp_path / "out" / row.video, [0.5]).float().mean((0, 2, 3))
    assert shown.tolist() == pytest.approx([30, 100, 200], abs=4)


# Display matrix of (x, y) of a stored image (ISO 14496-12, tkhd): a, b, u, c, d, v, x, y, w.
TURNS = {
    "right": (0, 1, 0, -1, 0, 0, 1, 0, 1),
    "left": (0, -1, 0, 1, 0, 0, 0, 1, 1),
    "over": (-1, 0, 0, 0, -1, 0, 1, 1, 1),
}
BRIGHT = {"right": (0, 1), "left": (1, 0), "over": (1, 1)}
"""Row and column of the corner where the first one ends up."""


@pytest.mark.parametrize("turn", list(TURNS))
def test_films_of_telephones_stand_upright(tmp_path, turn):
    image = np.zeros((64, 96, 3), np.uint8)
    image[:32, :48] = 255
    write_video(tmp_path / "a.mp4", [image] * 12, 10.0)
    stored = bytearray((tmp_path / "a.mp4").read_bytes())
    scales = (1 << 16, 1 << 16, 1 << 30) * 2 + (64 << 16, 64 << 16, 1 << 30)
    matrix = struct.pack(">9i", *(round(part * scale) for part, scale in zip(TURNS[turn], scales, strict=True)))
    at = stored.index(b"tkhd") + 44
    stored[at : at + 36] = matrix
    (tmp_path / "a.mp4").write_bytes(stored)
    write_audio(tmp_path / "a.wav", from_the_left())
    row = one(tmp_path, Recording("a", "a.mp4", "a.wav", projection="flat", channel_layout="stereo"))
    assert (row.width, row.height) == ((48, 32) if turn == "over" else (22, 32))
    shown = read_frames(tmp_path / "out" / row.video, [0.5])[0].float().mean(0)
    corners = torch.nn.functional.adaptive_avg_pool2d(shown[None], 2)[0]
    assert divmod(int(corners.argmax()), 2) == BRIGHT[turn]


def test_a_world_with_stereo_audio_stays_a_world(tmp_path):
    write_video(tmp_path / "a.mp4", frames(12, 64, 128), 10.0)
    write_audio(tmp_path / "a.wav", from_the_left())
    row = one(tmp_path, Recording("a", "a.mp4", "a.wav"), channel_layout="stereo")
    assert (row.layout, row.width, row.height) == ("stereo", 64, 32)


@pytest.fixture
def real(tmp_path):
    clip = REAL / "fairplay_example-00001"
    if not clip.is_dir():
        pytest.skip(f"real media missing: {clip} (set AVSSL_TEST_MEDIA)")
    (tmp_path / "root" / "binaural_audios").mkdir(parents=True)
    (tmp_path / "root" / "frames").mkdir()
    (tmp_path / "root" / "binaural_audios" / "000001.wav").symlink_to(clip / "audio" / "audio.wav")
    (tmp_path / "root" / "frames" / "000001").symlink_to(clip / "frames")
    return tmp_path


def test_the_real_clip_is_ten_seconds_of_frames_and_two_ears(real):
    (recording,) = FairPlay().read(real / "root", real / "out").recordings
    row = one(real, recording, real / "root")
    assert (row.layout, row.silent_channels, row.width, row.height) == ("binaural", "", 56, 32)
    assert (row.seconds, row.frame_rate) == (pytest.approx(10.0, abs=0.01), 10.0)
    for second in (0, 4, 9):  # one frame in ten exists: number 10 s + 1 is the one of second s
        still = cv2.cvtColor(
            cv2.imread(str(real / "root" / recording.video / f"frame{10 * second + 1:04d}.jpg")), cv2.COLOR_BGR2RGB
        )
        small = torch.from_numpy(cv2.resize(still, (56, 32), interpolation=cv2.INTER_AREA)).permute(2, 0, 1)
        shown = read_frames(real / "out" / row.video, [second + 0.55])[0]
        assert (shown.float() - small.float()).abs().mean() < 8
    assert [each.key for each in FairPlay().read(REAL, real / "out").recordings] == ["000001"]


def test_the_real_clip_reaches_the_left_ear_first(real):
    (recording,) = FairPlay().read(real / "root", real / "out").recordings
    audio, rate = read_all_audio(real / "out" / one(real, recording, real / "root").audio)
    spectrum = torch.fft.rfft(audio, 2 * audio.shape[1])[:, : round(1500 / rate * 2 * audio.shape[1])]
    cross = spectrum[0].conj() * spectrum[1]
    # GCC-PHAT below 1500 Hz, where ears tell times apart; above, both channels of this clip share their noise.
    lags = torch.fft.irfft(cross / cross.abs().clamp_min(1e-9), 2 * audio.shape[1])
    near = round(1e-3 * rate)
    late = int(torch.cat([lags[-near:], lags[: near + 1]]).argmax()) - near
    assert 5e-5 < late / rate < 5e-4  # right after left: the pianist sits left
