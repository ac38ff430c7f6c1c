"""`avssl prepare` on files made here, most of them bad in a way that real ones are."""

import json
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import torch

from avssl.datasets.manifest import read_manifest
from avssl.datasets.prepare import prepare
from avssl.media import read_all_audio, read_frames
from avssl.spatial.ambisonics import convert, encode

RATE = 48000
# Without the tricks that save bits by forgetting the phase between channels.
EXACT = {"aac_pns": "0", "aac_is": "0", "b": "512000"}


def noise(seconds=1.5, rate=RATE, level=0.05, seed=0):
    return level * torch.randn(round(seconds * rate), generator=torch.Generator().manual_seed(seed))


def field(azimuth, elevation, **options):
    """A plane wave from a direction in degrees, W Y Z X."""
    return encode(noise(**options), torch.tensor(azimuth).deg2rad(), torch.tensor(elevation).deg2rad()).numpy()


def movie(path, waveforms=(), frames=((320, 160),), stamps=None, seconds=1.5, rate=30, **options):
    """Pictures whose brightness is 40 + 100 t, with sound streams `(samples, codec, layout)`."""
    stamps = [index / rate for index in range(round(seconds * rate))] if stamps is None else stamps
    with av.open(str(path), "w", **options) as out:
        videos = [out.add_stream("libx264", rate=rate, options={"preset": "ultrafast"}) for _ in frames]
        tracks = [
            out.add_stream(codec, rate=RATE, layout=layout, options=EXACT if codec == "aac" else {})
            for _, codec, layout in waveforms
        ]
        for stream, (width, height) in zip(videos, frames, strict=True):
            stream.width, stream.height, stream.pix_fmt, stream.time_base = width, height, "yuv420p", Fraction(1, 1000)
            stream.codec_context.time_base = Fraction(1, 1000)
        for stream, (width, height) in zip(videos, frames, strict=True):
            for stamp in stamps:
                frame = av.VideoFrame.from_ndarray(np.full((height, width), 40 + 100 * stamp, np.uint8), format="gray")
                frame.pts, frame.time_base = round(1000 * stamp), Fraction(1, 1000)
                out.mux(stream.encode(frame.reformat(format="yuv420p")))
            out.mux(stream.encode(None))
        for stream, (samples, _, layout) in zip(tracks, waveforms, strict=True):
            packed = np.ascontiguousarray(samples.T.reshape(1, -1), np.float32)
            frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
            frame.sample_rate, frame.pts = RATE, 0
            for each in av.AudioResampler(format=stream.codec_context.format.name).resample(frame):
                out.mux(stream.encode(each))
            out.mux(stream.encode(None))


def youtube_aac(foa):
    w, y, z, x = foa
    return np.stack([x, y, w, 0 * w, z, 0 * w]), "aac", "5.1"


def write_hostile(root):
    """One folder with every kind of file; the names say what is in them."""
    quad = (field(40.0, 20.0), "flac", "quad")
    movie(root / "good.mkv", [quad])
    movie(root / "youtube.mp4", [youtube_aac(field(40.0, 20.0))])
    loud = np.random.default_rng(1).standard_normal((6, RATE)) * 0.05
    movie(root / "surround.mp4", [(loud, "aac", "5.1")])
    movie(root / "surround_pcm.mkv", [(loud, "pcm_s16le", "5.1")])
    movie(root / "stereo.mp4", [(loud[:2], "aac", "stereo")])
    movie(root / "mono.mp4", [(loud[:1], "aac", "mono")])
    movie(root / "mono_in_four.mkv", [(loud[:1] * np.array([[1], [0], [0], [0]]), "flac", "quad")])
    movie(root / "silent.mkv", [(np.zeros((4, RATE)), "flac", "quad")])
    movie(root / "soundless.mp4")
    movie(root / "streams.mkv", [(loud[:2], "flac", "stereo"), quad], frames=((160, 120), (320, 160)))
    movie(root / "wide.mkv", [quad], frames=((320, 180),))
    movie(root / "square.mkv", [quad], frames=((160, 160),))
    movie(root / "variable.mkv", [quad], stamps=[0.0, 0.05, 0.4, 0.45, 1.0, 1.45])
    movie(root / "horizontal.mkv")
    soundfile.write(root / "horizontal.wav", field(-70.0, 0.0)[[0, 1, 3]].T, RATE)
    movie(root / "short_sound.mkv", [quad])
    soundfile.write(root / "short_sound.wav", field(-30.0, 0.0, seconds=0.75, rate=44100).T, 44100)
    movie(root / "two_sounds.mkv", [quad])
    for suffix in (".wav", ".flac"):
        soundfile.write(root / f"two_sounds{suffix}", field(0.0, 0.0).T, RATE)
    movie(root / "loud.mkv")
    soundfile.write(root / "loud.wav", field(40.0, 20.0, level=1.0).T, RATE, subtype="FLOAT")
    movie(root / "orders.mkv")
    soundfile.write(
        root / "orders.wav", np.concatenate([field(40.0, 20.0), field(10.0, 0.0), field(5.0, 0.0)[:1]]).T, RATE
    )
    movie(Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.mkv")), [quad])
    (root / "text.mp4").write_text("this is not a video\n" * 100)
    (root / "empty.webm").touch()
    movie(root / "whole.mp4", [youtube_aac(field(40.0, 20.0, seconds=4.0))], seconds=4.0)
    cut_short(root)
    (root / "below").mkdir()
    movie(root / "below" / "good.mkv", [quad])
    (root / "._good.mkv").write_text("left by another system")


def cut_short(root):
    whole = (root / "whole.mp4").read_bytes()
    (root / "no_header.mp4").write_bytes(whole[: len(whole) // 2])
    movie(root / "f.mp4", [youtube_aac(field(40.0, 20.0, seconds=4.0))], seconds=4.0, options={"movflags": "faststart"})
    whole = (root / "f.mp4").read_bytes()
    (root / "broken_off.mp4").write_bytes(whole[: len(whole) // 2])
    (root / "f.mp4").unlink()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    root, out = tmp_path_factory.mktemp("hostile"), tmp_path_factory.mktemp("out") / "prepared"
    write_hostile(root)
    return root, out, prepare(root, out, "files", workers=2, progress=False)


@pytest.fixture(scope="module")
def rows(hostile):
    return {row.key: row for row in read_manifest(hostile[1])}


@pytest.fixture(scope="module")
def reasons(hostile):
    return {row["key"]: row["reason"] for row in pq.read_table(hostile[1] / "failed.parquet").to_pylist()}


def test_every_recording_is_in_the_manifest_or_among_the_failed(hostile, rows, reasons):
    report = hostile[2]
    assert (report.done, report.failed, report.skipped) == (len(rows), len(reasons), 0)
    assert not set(rows) & set(reasons)
    assert len(rows) + len(reasons) == sum(
        path.suffix in (".mp4", ".mkv", ".webm") for path in hostile[0].rglob("[!.]*")
    )


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("surround", "6-channel surround, not ambisonics"),
        ("surround_pcm", "6-channel pcm_s16le surround, not ambisonics"),
        ("stereo", "this sound is stereo"),
        ("mono", "this sound is mono"),
        ("mono_in_four", "mono sound in four channels"),
        ("silent", "silent throughout"),
        ("soundless", "no sound stream"),
        ("wide", "declare --projection equirect"),
        ("square", "these are 160x160, perhaps top-bottom stereo"),
        ("two_sounds", "found 2: two_sounds.flac, two_sounds.wav"),
        ("text", "cannot be read"),
        ("empty", "cannot be read"),
        ("no_header", "cannot be read"),
        ("broken_off", "breaks off after"),
    ],
)
def test_a_bad_file_fails_with_its_reason_in_one_line(reasons, key, why):
    assert why in reasons[key]
    assert "\n" not in reasons[key]


def test_layouts_of_audio_are_found(rows):
    found = {key: rows[key].layout for key in ("good", "youtube", "horizontal", "orders", "streams")}
    assert found == {
        "good": "ambix",
        "youtube": "youtube-327",
        "horizontal": "wyx",
        "orders": "hoa-acn",
        "streams": "ambix",
    }


@pytest.mark.parametrize("key", ["good", "youtube", "orders", "streams", "variable", "loud", "whole"])
def test_direction_of_a_plane_wave_is_reported(rows, key):
    assert (rows[key].azimuth, rows[key].elevation) == pytest.approx((40.0, 20.0), abs=1.0)
    assert rows[key].diffuseness < 0.05


def test_youtube_audio_comes_out_as_ambix(hostile, rows):
    audio, rate = read_all_audio(hostile[1] / rows["youtube"].audio)
    assert (rate, audio.shape[0]) == (24000, 4)
    level = (audio * audio[:1]).mean(1) / audio[0].square().mean()
    expected = encode(torch.ones(1), torch.tensor(40.0).deg2rad(), torch.tensor(20.0).deg2rad())[:, 0]
    assert torch.allclose(level, expected, atol=0.05)


def test_audio_without_z_is_reported_and_its_z_is_silent(hostile, rows):
    row = rows["horizontal"]
    assert (row.silent_channels, row.azimuth) == ("Z", pytest.approx(-70.0, abs=1.0))
    assert not read_all_audio(hostile[1] / row.audio)[0][2].any()


def test_length_is_what_image_and_audio_share(rows):
    assert rows["good"].seconds == pytest.approx(1.5, abs=0.05)
    assert rows["short_sound"].seconds == pytest.approx(0.75, abs=0.001)
    assert rows["short_sound"].azimuth == pytest.approx(-30.0, abs=1.0)


def test_proxies_are_two_to_one_and_hold_what_the_row_says(hostile, rows):
    for row in rows.values():
        frames = read_frames(hostile[1] / row.video, [0.0, row.seconds - 0.01])
        assert tuple(frames.shape) == (2, 3, 224, 448)
        assert (row.height, row.width, row.frame_rate) == (224, 448, 16.0 if row.key != "variable" else row.frame_rate)
        audio, rate = read_all_audio(hostile[1] / row.audio)
        assert audio.shape == (4, round(row.seconds * rate))


@pytest.mark.parametrize(
    ("key", "stamps"), [("good", np.arange(45) / 30), ("variable", np.array([0.0, 0.05, 0.4, 0.45, 1.0, 1.45]))]
)
def test_frames_are_resampled_by_time_even_at_a_variable_rate(hostile, rows, key, stamps):
    row = rows[key]
    times = np.arange(0, 1.4, 1 / row.frame_rate)
    brightness = read_frames(hostile[1] / row.video, times + 1e-3).float().mean((1, 2, 3)).numpy()
    shown = stamps[np.searchsorted(stamps, times + 1e-3, "right") - 1]
    assert np.abs(brightness - brightness[0] - 100 * shown).max() < 2


def test_loud_audio_is_turned_down_as_a_whole(hostile, rows):
    audio, _ = read_all_audio(hostile[1] / rows["loud"].audio)
    assert 0.5 < audio.abs().max() < 1.0


def test_odd_and_equal_names_get_keys_of_their_own(hostile, rows):
    odd = [row for row in rows.values() if row.key.startswith("caf_")]
    assert len(odd) == 1
    assert odd[0].source.endswith("caf\\xe9.mkv")
    assert {"good", *[key for key in rows if key.startswith("below__good-")]} <= set(rows)
    assert len([key for key in rows if key.startswith("below__good-")]) == 1


def test_report_holds_totals_and_a_row_a_clip(hostile, rows, reasons):
    report = json.loads((hostile[1] / "report.json").read_text())
    assert (report["clips"], report["failed"]) == (len(rows), len(reasons))
    assert report["hours"] == pytest.approx(sum(row.seconds for row in rows.values()) / 3600)
    assert report["silent_channels"] == {"Z": 2}
    assert report["layouts"]["ambix"] >= 5
    (good,) = [row for row in report["rows"] if row["key"] == "good"]
    assert set(good) == {
        "key",
        "seconds",
        "sample_rate",
        "layout",
        "silent_channels",
        "azimuth",
        "elevation",
        "diffuseness",
    }


def test_nothing_is_left_behind(hostile):
    left = {path.name for path in hostile[1].iterdir()}
    assert left == {
        "manifest.parquet",
        "failed.parquet",
        "report.json",
        "media",
        "prepared.jsonl",
    }
    assert len(list((hostile[1] / "media").iterdir())) == 2 * hostile[2].done


@pytest.mark.heavy
def test_a_declared_layout_and_projection_are_believed(tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    foa = torch.from_numpy(field(40.0, 20.0))
    movie(root / "a.mkv", frames=((320, 180),))
    soundfile.write(root / "a.caf", convert(foa, "ambix", "fuma").T.numpy(), RATE, format="CAF")
    report = prepare(root, tmp_path / "out", "files", projection="equirect", channel_layout="fuma", progress=False)
    (row,) = report.rows
    assert (row.layout, row.height, row.width) == ("fuma", 224, 448)
    assert (row.azimuth, row.elevation) == pytest.approx((40.0, 20.0), abs=0.5)
