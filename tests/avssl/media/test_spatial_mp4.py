"""Spatial mp4: boxes (independent parser), audio channel order, bit-exact video, synchronization."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess

import av
import numpy as np
import pytest
import torch

from avssl.errors import InputError
from avssl.media import probe, read_all_audio, read_frames, write_video
from avssl.media.mp4 import spatial_mp4
from avssl.media.mp4.metadata import read_spatial
from avssl.media.mp4.spatial_mp4 import write_spatial_mp4

RATE = 48000


@pytest.fixture
def film(tmp_path):
    """A video with B frames, a flash every second: path."""
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "3", "g": "40", "crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        for number in range(100):
            image = np.full((64, 128, 3), 235 if number % 25 == 12 else 20 + number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def tones(seconds=4.0, channels=4, rate=RATE):
    time = torch.arange(round(seconds * rate)) / rate
    return torch.stack([0.3 * torch.sin(2 * torch.pi * 300 * 1.4**channel * time) for channel in range(channels)])


def boxes(data, begin=0, end=None):
    """Kind and body of every box between two places."""
    end = len(data) if end is None else end
    while begin < end:
        size, kind = struct.unpack(">I4s", data[begin : begin + 8])
        head = 8
        if size == 1:
            size, head = struct.unpack(">Q", data[begin + 8 : begin + 16])[0], 16
        assert size >= head
        assert begin + size <= end
        yield kind.decode("latin1"), data[begin + head : begin + size]
        begin += size


def inside(data, *path):
    for kind, body in boxes(data):
        if kind == path[0]:
            return body if len(path) == 1 else inside(body, *path[1:])
    raise AssertionError(path[0])


def track(data, handler):
    for kind, body in boxes(inside(data, "moov")):
        if kind == "trak" and inside(body, "mdia", "hdlr")[8:12] == handler:
            return body
    raise AssertionError(handler)


def entry(data, handler, own):
    """Boxes of the one sample description of a track."""
    table = inside(track(data, handler), "mdia", "minf", "stbl", "stsd")
    assert struct.unpack(">I", table[4:8]) == (1,)
    ((_, description),) = boxes(table[8:])
    return dict(boxes(description[own:])), [kind for kind, _ in boxes(description[own:])]


def packets(path):
    with av.open(str(path)) as container:
        return [(p.pts * p.time_base, bytes(p)) for p in container.demux(video=0) if p.size]


def test_the_boxes_are_those_of_the_rfcs(tmp_path, film):
    write_spatial_mp4(tmp_path / "out.mp4", film, [tones()], RATE, panoramic=True)
    data = (tmp_path / "out.mp4").read_bytes()
    audio, _ = entry(data, b"soun", 28)
    assert audio["SA3D"] == bytes.fromhex(
        "00 00 00000001 00 00 00000004 00000000 00000001 00000002 00000003".replace(" ", "")
    )
    image, order = entry(data, b"vide", 78)
    assert image["st3d"] == bytes(5)
    assert inside(image["sv3d"], "svhd") == bytes(4) + b"avssl\0"
    assert [kind for kind, _ in boxes(image["sv3d"])] == ["svhd", "proj"]
    assert list(boxes(inside(image["sv3d"], "proj"))) == [("prhd", bytes(16)), ("equi", bytes(20))]
    assert order.index("avcC") < order.index("st3d") < order.index("sv3d")
    assert all(order.index("sv3d") < order.index(kind) for kind in ("pasp", "btrt") if kind in order)
    older = inside(track(data, b"vide"), "uuid")
    assert older[:16].hex() == "ffcc8263f8554a938814587a02521fdd"
    assert b"<GSpherical:ProjectionType>equirectangular</GSpherical:ProjectionType>" in older


def test_the_header_comes_before_the_media_and_its_chunks_are_where_it_says(tmp_path, film):
    write_spatial_mp4(tmp_path / "out.mp4", film, [tones()], RATE, panoramic=True)
    data = (tmp_path / "out.mp4").read_bytes()
    kinds = [kind for kind, _ in boxes(data)]
    assert kinds[0] == "ftyp"
    assert kinds.index("moov") < kinds.index("mdat")
    media = data.index(b"mdat")
    for handler in (b"vide", b"soun"):
        table = inside(track(data, handler), "mdia", "minf", "stbl")
        offsets = struct.unpack(f">{struct.unpack('>I', inside(table, 'stco')[4:8])[0]}I", inside(table, "stco")[8:])
        assert media < min(offsets) < max(offsets) < len(data)
    first = next(bytes(p) for p in av.open(str(film)).demux(video=0) if p.size)
    offset = struct.unpack(">I", inside(track(data, b"vide"), "mdia", "minf", "stbl", "stco")[8:12])[0]
    assert data[offset : offset + len(first)] == first


@pytest.mark.parametrize(
    ("name", "codec", "worst"), [("a.mp4", "aac", 0.02), ("a.mp4", "pcm", 2e-5), ("a.mov", "pcm", 2e-7)]
)
def test_four_channels_come_back_by_index(tmp_path, film, name, codec, worst):
    foa = tones()
    write_spatial_mp4(tmp_path / name, film, foa.split([1, 50000, 100, 141899], 1), RATE, panoramic=True, codec=codec)
    found, rate = read_all_audio(tmp_path / name)
    assert (len(found), rate) == (4, RATE)
    assert (found[:, : foa.shape[1]] - foa).abs().max() < worst
    assert not found[:, foa.shape[1] + 1024 :].numel()


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_other_audio_and_flat_frames_get_no_spatial_metadata(tmp_path, film, channels):
    audio = tones(channels=channels)
    write_spatial_mp4(tmp_path / "out.mp4", film, [audio], RATE, panoramic=False)
    found = read_spatial(tmp_path / "out.mp4")
    assert found.ambisonics is None
    assert found.sphere is None
    audio, _ = read_all_audio(tmp_path / "out.mp4")
    loudest = torch.fft.rfft(audio[:, :RATE]).abs().argmax(1)
    for channel in range(channels):
        # An LFE channel holds nothing above 120 Hz or so.
        assert channel == 3 or int(loudest[channel]) == pytest.approx(300 * 1.4**channel, abs=1)


def test_frames_are_copied_bit_for_bit_at_their_times(tmp_path, film):
    write_spatial_mp4(tmp_path / "out.mp4", film, [tones()], RATE, panoramic=True)
    assert packets(tmp_path / "out.mp4") == packets(film)


@pytest.mark.parametrize("codec", ["aac", "pcm"])
def test_click_and_flash_are_synchronized(tmp_path, film, codec):
    audio = torch.zeros(4, 4 * RATE)
    flashes = [round((second + 12 / 25) * RATE) for second in range(4)]
    for at in flashes:
        audio[:, at : at + 24] = 0.8
    write_spatial_mp4(tmp_path / "out.mp4", film, audio.split(7777, 1), RATE, panoramic=False, codec=codec)
    found, _ = read_all_audio(tmp_path / "out.mp4")
    for at in flashes:
        near = found[0, at - 2400 : at + 2400].abs()
        assert abs(int(near.argmax()) - 2400) < 40
        times = [at / RATE - 0.02, at / RATE + 0.02]
        before, lit = read_frames(tmp_path / "out.mp4", times).float().mean((1, 2, 3))
        assert lit > 200 > before


def test_frames_that_begin_late_or_in_matroska_keep_their_times(tmp_path, film):
    for name in ("late.mkv", "late.mov"):
        with av.open(str(film)) as source, av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.size:
                    shift = round(0.4 / packet.time_base)
                    packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                    container.mux(packet)
        write_spatial_mp4(tmp_path / "out.mp4", tmp_path / name, [tones()], RATE, panoramic=False)
        found, before = packets(tmp_path / "out.mp4"), packets(tmp_path / name)
        assert [data for _, data in found] == [data for _, data in before]
        times = [0.05 + 0.2 * step for step in range(18)]
        assert torch.equal(read_frames(tmp_path / "out.mp4", times), read_frames(tmp_path / name, times))


def test_unsupported_codecs_are_reencoded(tmp_path, counted):
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=20)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 128, 64, "yuv420p", 4_000_000
        for frame in counted(40):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    write_spatial_mp4(tmp_path / "out.mp4", path, [tones(2.0)], RATE, panoramic=True)
    assert probe(tmp_path / "out.mp4").video.codec == "h264"
    shown = read_frames(tmp_path / "out.mp4", [number / 20 + 0.025 for number in range(40)]).float().mean((1, 2, 3))
    assert (shown - torch.tensor([10.0 + 5 * number for number in range(40)])).abs().max() < 2.5
    assert {each.name for each in tmp_path.iterdir()} == {"a.avi", "out.mp4"}


def test_vp9_is_copied_to_mp4_and_reencoded_for_mov(tmp_path, counted):
    path = tmp_path / "a.webm"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=20, options={"deadline": "realtime", "cpu-used": "8"})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 128, 64, "yuv420p", 4_000_000
        for frame in counted(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    found = {}
    for name, codec in (("out.mp4", "aac"), ("out.mov", "pcm")):
        write_spatial_mp4(tmp_path / name, path, [tones(1.0)], RATE, panoramic=True, codec=codec)
        found[name] = probe(tmp_path / name).video.codec
        shown = read_frames(tmp_path / name, [number / 20 + 0.025 for number in range(20)]).float().mean((1, 2, 3))
        assert (shown - torch.tensor([10.0 + 5 * number for number in range(20)])).abs().max() < 3
    assert found == {"out.mp4": "vp9", "out.mov": "h264"}


def lost_of_noise(folder, film, rate):
    """Energy that AAC adds to pink noise of four channels, in dB of it."""
    spectrum = torch.fft.rfft(torch.randn(4, 2 * rate, generator=torch.Generator().manual_seed(0)))
    noise = torch.fft.irfft(spectrum / torch.arange(1, spectrum.shape[1] + 1).sqrt())
    noise *= 0.1 / noise.square().mean().sqrt()
    write_spatial_mp4(folder / "out.mp4", film, [noise], rate, panoramic=True)
    found, middle = read_all_audio(folder / "out.mp4")[0][:, : noise.shape[1]], slice(rate // 4, -rate // 4)
    return 10 * float(((found - noise)[:, middle].square().sum() / noise[:, middle].square().sum()).log10())


def test_audio_of_a_low_rate_loses_no_more_than_that_of_48_khz(tmp_path, film, monkeypatch):
    lost = [lost_of_noise(tmp_path, film, rate) for rate in (8000, 16000, 48000)]
    assert max(lost[:2]) < lost[2] < -14
    monkeypatch.setattr(spatial_mp4, "BITS", 3)
    assert lost_of_noise(tmp_path, film, 8000) > lost[0] + 5


def test_marks_of_the_source_are_replaced(tmp_path, film):
    write_spatial_mp4(tmp_path / "once.mp4", film, [tones()], RATE, panoramic=True)
    write_spatial_mp4(tmp_path / "twice.mp4", tmp_path / "once.mp4", [tones()], RATE, panoramic=True)
    found = read_spatial(tmp_path / "twice.mp4")
    assert found.sphere.xml
    assert found.sphere.projection == "equirectangular"
    assert found.ambisonics.channel_map == (0, 1, 2, 3)
    data = (tmp_path / "twice.mp4").read_bytes()
    assert all(data.count(kind) == 1 for kind in (b"SA3D", b"st3d", b"sv3d", b"<GSpherical:Spherical>"))
    write_spatial_mp4(tmp_path / "flat.mp4", tmp_path / "once.mp4", [tones(channels=2)], RATE, panoramic=False)
    assert read_spatial(tmp_path / "flat.mp4").sphere is None


def test_offsets_beyond_four_gigabytes_have_64_bits(tmp_path, film, monkeypatch):
    monkeypatch.setattr("avssl.media.mp4.faststart._MOST_32", 1000)
    write_spatial_mp4(tmp_path / "out.mp4", film, [tones()], RATE, panoramic=True)
    data = (tmp_path / "out.mp4").read_bytes()
    assert "co64" in [kind for kind, _ in boxes(inside(track(data, b"vide"), "mdia", "minf", "stbl"))]
    assert packets(tmp_path / "out.mp4") == packets(film)
    assert (read_all_audio(tmp_path / "out.mp4")[0][:, : 4 * RATE] - tones()).abs().max() < 0.02


def test_the_header_moves_in_blocks_smaller_than_the_file(tmp_path, film, monkeypatch):
    write_spatial_mp4(tmp_path / "whole.mp4", film, [tones()], RATE, panoramic=True)
    monkeypatch.setattr("avssl.media.mp4.faststart.BLOCK", 777)
    write_spatial_mp4(tmp_path / "out.mp4", film, [tones()], RATE, panoramic=True)
    assert packets(tmp_path / "out.mp4") == packets(film)
    assert torch.equal(read_all_audio(tmp_path / "out.mp4")[0], read_all_audio(tmp_path / "whole.mp4")[0])


def test_an_interrupted_file_leaves_the_old_one_and_nothing_else(tmp_path, film):
    (tmp_path / "out.mp4").write_bytes(b"old")

    def blocks():
        yield tones()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_spatial_mp4(tmp_path / "out.mp4", film, blocks(), RATE, panoramic=True)
    assert (tmp_path / "out.mp4").read_bytes() == b"old"
    assert {each.name for each in tmp_path.iterdir()} == {"film.mp4", "out.mp4"}


@pytest.mark.parametrize(
    ("audio", "said"),
    [
        ([], "expected sound, there is none"),
        ([torch.zeros(4, 0)], "expected sound, there is none"),
        ([torch.zeros(3, 9)], r"\(1, 2, 4 or 6 channels, samples\), got \(3, 9\)"),
        ([torch.zeros(4, 9), torch.zeros(2, 9)], r"\(4, samples\), got \(2, 9\)"),
        ([torch.full((4, 9), torch.nan)], "finite audio"),
    ],
)
def test_invalid_audio_raises_one_line_errors(tmp_path, film, audio, said):
    with pytest.raises(ValueError, match=said) as error:
        write_spatial_mp4(tmp_path / "out.mp4", film, audio, RATE, panoramic=True)
    assert str(error.value).startswith(f"{tmp_path / 'out.mp4'}: ")
    assert [each.name for each in tmp_path.iterdir()] == ["film.mp4"]


def test_invalid_targets_raise_one_line_errors(tmp_path, film):
    with pytest.raises(OSError, match="there is no folder"):
        write_spatial_mp4(tmp_path / "none" / "out.mp4", film, [tones()], RATE, panoramic=True)
    with pytest.raises(ValueError, match="expected a .mp4 or .mov"):
        write_spatial_mp4(tmp_path / "out.webm", film, [tones()], RATE, panoramic=True)
    with pytest.raises(ValueError, match="aac has rates of 8000, .* not 12345"):
        write_spatial_mp4(tmp_path / "out.mp4", film, [tones()], 12345, panoramic=True)


def test_packets_that_come_twice_are_refused_by_the_name_of_their_file(tmp_path, film):
    stream, twice = tmp_path / "film.ts", tmp_path / "twice.ts"
    with av.open(str(film)) as source, av.open(str(stream), "w", format="mpegts") as target:
        video = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = video
                target.mux(packet)
    data = stream.read_bytes()
    cut, middle = 188 * 20, len(data) // 188 // 2 * 188
    twice.write_bytes(data[:middle] + data[middle - cut :])
    with pytest.raises(InputError, match=r"twice\.ts: expected decoding times of packets that rise"):
        write_spatial_mp4(tmp_path / "out.mp4", twice, [tones()], RATE, panoramic=True)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["film.mp4", "film.ts", "twice.ts"]


def test_files_without_or_with_broken_boxes_are_read_or_refused_in_a_line(tmp_path, film):
    found = read_spatial(film)
    assert found.ambisonics is None
    assert found.sphere is None
    (tmp_path / "a.txt").write_text("not a film at all")
    with pytest.raises(ValueError, match=r"a\.txt: expected an mp4 or mov"):
        read_spatial(tmp_path / "a.txt")
    write_spatial_mp4(tmp_path / "out.mp4", film, [tones()], RATE, panoramic=True)
    data = (tmp_path / "out.mp4").read_bytes()
    for broken in (b"SA3D", b"sv3d", b"prhd", b"stsd"):
        at = data.index(broken)
        (tmp_path / "broken.mp4").write_bytes(data[: at - 4] + b"\xff\xff\xff\xff" + data[at:])
        with pytest.raises(ValueError, match=r"broken\.mp4: expected an mp4, its header is broken"):
            read_spatial(tmp_path / "broken.mp4")


@pytest.mark.skipif(not shutil.which("ffprobe"), reason="no ffprobe to read it with")
@pytest.mark.parametrize(("name", "codec"), [("out.mp4", "aac"), ("out.mov", "pcm")])
def test_ffprobe_reports_spherical_video_and_ambisonics(tmp_path, film, name, codec):
    write_spatial_mp4(tmp_path / name, film, [tones()], RATE, panoramic=True, codec=codec)
    run = ["ffprobe", "-v", "error", "-show_streams", "-of", "json", str(tmp_path / name)]
    streams = json.loads(subprocess.run(run, capture_output=True, check=True, text=True).stdout)["streams"]
    image, audio = sorted(streams, key=lambda stream: stream["codec_type"], reverse=True)
    assert "equirectangular" in json.dumps(image["side_data_list"])
    assert audio["channels"] == 4
    assert float(image["start_time"]) == float(audio["start_time"]) == 0
    assert float(image["duration"]) == float(audio["duration"]) == 4
    if codec == "pcm":
        assert audio["channel_layout"] == "ambisonic 1"
    errors = ["ffmpeg", "-v", "warning", "-i", str(tmp_path / name), "-f", "null", "-"]
    assert shutil.which("ffmpeg") is None or not subprocess.run(errors, capture_output=True, check=True).stderr


def test_real_ambisonics_keep_their_direction(tmp_path, media):
    from avssl.spatial.metrics.spectral_error import direction_error

    source = media("restricted/video360/NdE7uYVaynQl_0.webm")
    foa, rate = read_all_audio(source)
    write_spatial_mp4(tmp_path / "out.mp4", source, foa.split(rate, 1), rate, panoramic=True)
    found, _ = read_all_audio(tmp_path / "out.mp4")
    assert float(direction_error(found[:, : foa.shape[1]], foa, rate)) < 0.5
    assert [data for _, data in packets(tmp_path / "out.mp4")] == [data for _, data in packets(source)]


def test_own_video_is_copied(tmp_path, counted):
    write_video(tmp_path / "a.mp4", counted(20), 10.0)
    write_spatial_mp4(tmp_path / "out.mp4", tmp_path / "a.mp4", [tones(2.0)], RATE, panoramic=True)
    assert packets(tmp_path / "out.mp4") == packets(tmp_path / "a.mp4")
