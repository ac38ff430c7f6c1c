import shutil
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch
from av.video.reformatter import ColorRange, Colorspace

from avssl.io.atomic import replacing
from avssl.media import probe, read_frames, write_audio, write_video


def test_a_proxy_is_h264_with_short_groups_and_no_b_frames(tmp_path, counted):
    write_video(tmp_path / "a.mp4", counted(40), 16.0, gop=8)
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == 16
        assert [number for number, packet in enumerate(packets) if packet.is_keyframe] == list(range(0, 40, 8))
        assert all(packet.pts == packet.dts for packet in packets)
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_films_are_the_same_bytes_on_processors_with_and_without_avx512(tmp_path, monkeypatch):
    if torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        pytest.skip("the processor has no AVX2")
    rows, columns = np.mgrid[:64, :96]
    disc = [np.hypot(rows - 32, columns - 10 - 4 * frame) < 8 for frame in range(16)]
    texture = 128 + 60 * np.sin(columns / 7) + 40 * np.cos(rows / 5)
    frames = [np.where(inside, 40 + 9 * frame, texture).astype(np.uint8) for frame, inside in enumerate(disc)]
    films = set()
    for capability in (torch.backends.cpu.get_cpu_capability(), "AVX512"):
        monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda now=capability: now)
        for _ in range(5):
            write_video(tmp_path / "a.mp4", [np.repeat(frame[..., None], 3, -1) for frame in frames], 16.0)
            films.add((tmp_path / "a.mp4").read_bytes())
    assert len(films) == 1
    # The limit reaches the encoder, and only where AVX-512 is reported: one that changes the film is seen.
    monkeypatch.setattr("avssl.media.video_writer.AVX2", {"crf": "51"})
    sizes = {}
    for capability in ("AVX2", "AVX512"):
        monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda now=capability: now)
        write_video(tmp_path / "a.mp4", [np.repeat(frames[0][..., None], 3, -1)], 16.0)
        sizes[capability] = (tmp_path / "a.mp4").stat().st_size
    assert sizes["AVX512"] < sizes["AVX2"]


@pytest.mark.parametrize("rate", [10.0, 12.5, 29.97, 30000 / 1001, 60.0])
def test_frame_rates_are_kept(tmp_path, counted, rate):
    write_video(tmp_path / "a.mp4", counted(31), rate)
    assert probe(tmp_path / "a.mp4").video.frame_rate == pytest.approx(rate, rel=1e-5)
    assert probe(tmp_path / "a.mp4").seconds == pytest.approx(31 / rate, abs=0.02)


def test_frames_survive(tmp_path):
    y, x = np.mgrid[:64, :128]
    image = np.stack([2 * y + 60, x + 60, 200 - x], -1).astype(np.uint8)
    write_video(tmp_path / "a.mp4", [image] * 3, 8.0, crf=12)
    found = read_frames(tmp_path / "a.mp4", [0.3])[0].permute(1, 2, 0).numpy()
    assert np.abs(found.astype(int) - image).mean() < 3


def test_colours_survive_a_round_trip(tmp_path):
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2).repeat(64, 0)
    patches = np.random.default_rng(0).integers(0, 256, (4, 16, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    frames = np.stack([ramp, patches])
    write_video(tmp_path / "a.mp4", frames, 1.0, crf=1)
    found = read_frames(tmp_path / "a.mp4", [0.0, 1.0]).permute(0, 2, 3, 1).numpy().astype(int)
    assert np.abs(found[0] - ramp).max() <= 2
    middles = np.abs(found[1] - patches)[8::16, 8::16]  # between patches chroma of half the size is mixed
    assert middles.max() <= 3
    assert np.abs((found - frames).mean((1, 2))).max() < 0.5
    small = read_frames(tmp_path / "a.mp4", [0.0, 1.0], (32, 128)).permute(0, 2, 3, 1).numpy()
    assert np.abs(small.mean((1, 2)) - frames.mean((1, 2))).max() < 0.5


def test_proxy_declares_its_colour_space(tmp_path, counted):
    write_video(tmp_path / "a.mp4", counted(1), 1.0)
    with av.open(str(tmp_path / "a.mp4")) as container:
        frame = next(container.decode(video=0))
    assert (frame.colorspace, frame.color_range) == (Colorspace.ITU601, ColorRange.MPEG)


@pytest.mark.parametrize("rate", [0.0, -1.0, 1e-9, float("nan"), float("inf")])
def test_frame_rates_without_meaning_are_refused(tmp_path, counted, rate):
    with pytest.raises(ValueError, match=r"a\.mp4: a frame rate is 0\.001 a second or more"):
        write_video(tmp_path / "a.mp4", counted(1), rate)
    assert not list(tmp_path.iterdir())


def test_a_colon_in_a_folder_is_no_protocol(tmp_path, counted, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a:b").mkdir()
    write_video("a:b/a.mp4", counted(1), 1.0)
    assert read_frames("a:b/a.mp4", [0.0]).shape == (1, 3, 64, 128)


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        ([], "at least one frame"),
        ([np.zeros((63, 128, 3), np.uint8)], "even sides"),
        ([np.zeros((64, 128, 3), np.float32)], "frames are uint8"),
        ([np.zeros((64, 128), np.uint8)], "frames are uint8"),
        ([np.zeros((64, 128, 3), np.uint8), np.zeros((32, 128, 3), np.uint8)], "64 x 128"),
    ],
)
def test_invalid_frames_leave_no_file(tmp_path, frames, said):
    with pytest.raises(ValueError, match=said) as error:
        write_video(tmp_path / "a.mp4", frames, 8.0)
    assert str(error.value).startswith(f"{tmp_path / 'a.mp4'}: ")
    assert not list(tmp_path.iterdir())


def test_an_interrupted_video_leaves_the_old_one(tmp_path, counted):
    write_video(tmp_path / "a.mp4", counted(4), 8.0)
    before = (tmp_path / "a.mp4").read_bytes()

    def frames():
        yield counted(1)[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(tmp_path / "a.mp4", frames(), 8.0)
    assert [each.name for each in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == before


@pytest.mark.parametrize(("suffix", "subtype"), [("wav", "PCM_16"), ("flac", "PCM_16"), ("wav", "FLOAT")])
def test_four_channels_are_written_by_index_and_clipped(tmp_path, suffix, subtype):
    audio = torch.stack([torch.full((100,), level) for level in (0.25, -0.5, 0.75, 1.5)])
    write_audio(tmp_path / f"a.{suffix}", audio, 24000, subtype=subtype)
    found, rate = soundfile.read(tmp_path / f"a.{suffix}")
    assert rate == 24000
    np.testing.assert_allclose(found[50], [0.25, -0.5, 0.75, 1.5 if subtype == "FLOAT" else 1.0], atol=1e-4)


@pytest.mark.parametrize("audio", [torch.zeros(100), torch.zeros(4, 0), torch.full((4, 10), float("nan"))])
def test_invalid_audio_is_rejected(tmp_path, audio):
    with pytest.raises(ValueError, match=r"a.wav: sound is finite \(channels, samples\)"):
        write_audio(tmp_path / "a.wav", audio, 24000)
    assert not list(tmp_path.iterdir())


def test_unknown_kinds_of_audio_file_are_refused(tmp_path):
    for name in ("a.xyz", "a"):
        with pytest.raises(ValueError, match="libsndfile writes no"):
            write_audio(tmp_path / name, torch.zeros(4, 10), 24000)


def test_a_folder_that_is_not_there_is_named(tmp_path, counted):
    missing = tmp_path / "none"
    with pytest.raises(OSError, match=r"none/a.mp4: cannot be written: No such file"):
        write_video(missing / "a.mp4", counted(2), 8.0)
    with pytest.raises(OSError, match=r"none/a.wav: cannot be written"):
        write_audio(missing / "a.wav", torch.zeros(4, 10), 24000)


def test_full_disk_is_reported_for_libsndfile_system_error(tmp_path, monkeypatch):
    def full(path, *more, **settings):
        raise soundfile.LibsndfileError(2)

    monkeypatch.setattr("soundfile.write", full)
    left = shutil.disk_usage(tmp_path)._replace(free=100)
    with pytest.raises(OSError, match=r"a.wav: cannot be written: System error"):
        write_audio(tmp_path / "a.wav", torch.zeros(1, 10), 8000)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: left)
    with pytest.raises(OSError, match=r"a.wav: cannot be written: No space left on device"):
        write_audio(tmp_path / "a.wav", torch.zeros(1, 10), 8000)


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full to stand for a full disk")
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, counted, monkeypatch):
    @contextmanager
    def full(path):
        with replacing(path) as part:
            part.symlink_to("/dev/full")
            yield part

    monkeypatch.setattr("avssl.media.video_writer.replacing", full)
    for write, name in (
        (lambda path: write_video(path, counted(8), 8.0), "a.mp4"),
        (lambda path: write_audio(path, torch.rand(4, 48000), 24000), "a.wav"),
    ):
        with pytest.raises(OSError, match="cannot be written") as error:
            write(tmp_path / name)
        assert "\n" not in str(error.value)
        assert not list(tmp_path.iterdir())
