import gc
import multiprocessing
import os
import time
from bisect import bisect_right
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
import torch
from av.video.reformatter import VideoReformatter

from avssl.media import close_all, iterate_frames, probe, read_frames, write_video
from avssl.media.video_decode import EXACT, rgb_image

SMALL = (24, 48)


def decoded(path, stream=0, most=400):
    """All frames from the beginning, independently of the reader: seconds and frames."""
    with av.open(str(path), metadata_errors="ignore") as container:
        source = container.streams.video[stream]
        source.codec_context.thread_count = 1
        zero = max(0, container.start_time) / av.time_base
        frames = []
        for frame in container.decode(source):
            image = frame.reformat(SMALL[1], SMALL[0], "rgb24", interpolation=EXACT, threads=1).to_ndarray()
            frames.append((float(frame.pts * source.time_base) - zero, image))
            if len(frames) == most:
                break
    return [at for at, _ in frames], [image for _, image in frames]


def stamped(path, frames, stamps, options=None, rate=100, codec="libx264"):
    """Encode frames at time stamps of 1/rate s, in order."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, rate)
        for frame, stamp in zip(frames, stamps, strict=True):
            image = av.VideoFrame.from_ndarray(frame, format="rgb24")
            image.pts, image.time_base = stamp, Fraction(1, rate)
            container.mux(stream.encode(image))
        container.mux(stream.encode(None))
    return path


def numbers(frames, step=5):
    return [round((float(frame.float().mean()) - 10) / step) for frame in frames]


@pytest.mark.parametrize("size", [(24, 48), (30, 50), (18, 34), (2, 2)])
@pytest.mark.parametrize("colorspace", [1, 2, 5, 9])
@pytest.mark.parametrize("color_range", [0, 1, 2])
def test_colours_are_those_of_interleaved_conversion(size, colorspace, color_range):
    height, width = size
    frame, rng = av.VideoFrame(width, height, "yuv420p"), np.random.default_rng(0)
    for plane in frame.planes:
        plane.update(rng.integers(0, 256, plane.buffer_size, np.uint8).tobytes())
    frame.colorspace, frame.color_range = colorspace, color_range
    for shape in (size, (height + 2, width + 2)):  # as it is, and scaled
        expected = frame.reformat(*shape[::-1], "rgb24", interpolation=EXACT, threads=1).to_ndarray()
        assert np.array_equal(rgb_image(VideoReformatter(), frame, *shape[::-1]), expected)


@pytest.fixture
def proxy(tmp_path, counted):
    write_video(tmp_path / "proxy.mp4", counted(48), 16.0)
    return tmp_path / "proxy.mp4"


def test_each_frame_is_found_at_its_time_and_until_the_next(proxy):
    for shift in (0.0, 0.5, 0.99):
        times = [(number + shift) / 16 for number in range(48)]
        assert numbers(read_frames(proxy, times)) == list(range(48))
        assert [numbers(read_frames(proxy, [at]))[0] for at in times[::5]] == list(range(48))[::5]


def test_shape_colour_and_size(tmp_path):
    frames = [np.zeros((64, 128, 3), np.uint8) for _ in range(4)]
    for frame in frames:
        frame[:, :64, 0], frame[:, 64:, 2] = 200, 200
    write_video(tmp_path / "a.mp4", frames, 8.0, crf=10)
    found = read_frames(tmp_path / "a.mp4", [0.0, 0.3])
    assert found.dtype == torch.uint8
    assert found.shape == (2, 3, 64, 128)
    left, right = found[0, :, :, :56].float().mean((1, 2)), found[0, :, :, 72:].float().mean((1, 2))
    np.testing.assert_allclose(left, [200, 0, 0], atol=6)
    np.testing.assert_allclose(right, [0, 0, 200], atol=6)
    assert read_frames(tmp_path / "a.mp4", [0.0], size=(16, 30)).shape == (1, 3, 16, 30)


def test_before_the_first_frame_and_past_the_last(proxy):
    assert numbers(read_frames(proxy, [0.0, 2.99, 3.5, 99.0])) == [0, 47, 47, 47]
    assert numbers(read_frames(proxy, [77.0])) == [47]


@pytest.mark.parametrize(
    "options", [{"bf": "0"}, {"bf": "3", "b-pyramid": "normal"}, {"bf": "3", "x264opts": "open-gop"}]
)
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_variable_frame_rate_b_frames_and_open_groups(tmp_path, counted, options, suffix):
    rng = np.random.default_rng(0)
    stamps = np.cumsum(rng.integers(1, 20, 90)) - 1
    path = stamped(tmp_path / f"a.{suffix}", counted(90), stamps.tolist(), options | {"g": "12", "crf": "5"})
    begin, _ = decoded(path)
    starts = (stamps - stamps[0]) / 100 + begin[0]
    for _ in range(30):
        times = np.sort(rng.uniform(0, starts[-1] + 0.2, rng.integers(1, 6)))
        expected = [max(0, bisect_right(starts.tolist(), at + 6e-4) - 1) % 48 for at in times]
        near = [min(abs(starts - at)) < 1.2e-3 for at in times]  # Matroska rounds to a millisecond
        found = numbers(read_frames(path, times.tolist()))
        assert all(ok or one == two for ok, one, two in zip(near, found, expected, strict=True)), (found, expected)


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        ("free/action/nasa_13013.mp4", 0),
        ("free/action/nasa_13013.mp4", 1),
        ("free/action/intel_milk.mkv", 0),
        ("free/action/lhotse_big_buck_bunny_small.mp4", 0),
        ("restricted/ucf101/v_Basketball_g01_c01.avi", 0),
        ("restricted/video360/JUN314mwb90_49.webm", 0),
        ("restricted/video360/V_To4k9AJXc_20.webm", 0),
    ],
)
def test_real_video_agrees_with_decoding_from_the_beginning(media, name, stream):
    path = media(name)
    stamps, frames = decoded(path, stream, most=60)
    rng = np.random.default_rng(1)
    for _ in range(6):
        times = np.sort(np.append(rng.uniform(0, stamps[-1] - 0.01, 2), rng.choice(stamps[:-1])))
        found = read_frames(path, times.tolist(), SMALL, stream)
        for at, image in zip(times, found, strict=True):
            expected = frames[max(0, bisect_right(stamps, at + 1e-6) - 1)]
            assert np.array_equal(image.permute(1, 2, 0).numpy(), expected)


def test_packed_b_frames_of_an_old_avi_come_in_the_order_they_are_shown(media):
    path = media("restricted/hmdb51/TrumanShow_wave_f_nm_np1_fr_med_26.avi")
    stamps, frames = decoded(path)
    assert stamps != sorted(stamps)  # as guessed by FFmpeg
    info = probe(path)
    times = [(number + 0.5) / info.video.frame_rate for number in range(info.video.header_frames)]
    found = read_frames(path, times, SMALL).permute(0, 2, 3, 1).numpy()
    frames = [image for k, image in enumerate(frames) if not k or not np.array_equal(image, frames[k - 1])]
    order = [next(k for k, image in enumerate(frames) if np.array_equal(image, frame)) for frame in found]
    assert order == sorted(order)
    assert set(order) == set(range(len(frames)))
    alone = read_frames(path, [times[30]], SMALL)[0].permute(1, 2, 0).numpy()
    assert np.array_equal(alone, found[30])


def test_tags_that_are_not_utf8_and_header_counts_that_are_wrong(media):
    folder = media("restricted/hmdb51/RATRACE_wave_f_nm_np1_fr_goo_37.avi").parent
    broken = 0
    for path in sorted(folder.glob("*.avi")):
        try:
            av.open(str(path)).close()
        except UnicodeDecodeError:
            broken += 1
        info = probe(path)
        assert info.video.header_frames == len(decoded(path)[0]) + 1
        assert read_frames(path, [0.0, info.seconds]).shape[0] == 2
    assert broken == 1


def test_header_without_frame_count(media):
    info = probe(media("restricted/video360/JUN314mwb90_49.webm"))
    assert info.video.header_frames == 0
    assert info.seconds == pytest.approx(10.0, abs=0.1)
    assert (info.video.width, info.video.height, info.audio.channels) == (1920, 1080, 4)


def test_a_late_beginning_and_a_cut_one(tmp_path, counted):
    late = stamped(tmp_path / "late.mp4", counted(20), [30 + 10 * k for k in range(20)])
    with_audio = tmp_path / "both.mp4"
    with av.open(str(late)) as source, av.open(str(with_audio), "w") as target:
        video = target.add_stream_from_template(source.streams.video[0])
        audio = target.add_stream("aac", rate=48000, layout="stereo")
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                target.mux(packet)
        for k in range(100):
            frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = 48000, 1024 * k
            target.mux(audio.encode(frame))
        target.mux(audio.encode(None))
    assert probe(with_audio).video.start == pytest.approx(0.3, abs=0.02)
    assert numbers(read_frames(with_audio, [0.0, 0.35, 0.45, 1.25])) == [0, 0, 1, 9]


def test_cover_art_is_not_a_video(tmp_path, counted, encode, sines):
    audio, _ = sines(2, 1.0)
    path = encode(tmp_path / "song.m4a", "aac", "stereo", audio)
    covered = tmp_path / "covered.m4a"
    with av.open(str(path)) as source, av.open(str(covered), "w", format="mp4") as target:
        copy = target.add_stream_from_template(source.streams.audio[0])
        art = target.add_stream("mjpeg", rate=1)
        art.width, art.height, art.pix_fmt = 128, 64, "yuvj420p"
        art.disposition = av.stream.Disposition.attached_pic
        image = av.VideoFrame.from_ndarray(counted(1)[0], format="rgb24")
        image.pts = 0
        target.mux(art.encode(image))
        target.mux(art.encode(None))
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    info = probe(covered)
    assert info.video is None
    assert info.audio.channels == 2
    with pytest.raises(ValueError, match="expected video .*it has 0 video streams"):
        read_frames(covered, [0.0])


def test_long_videos_come_frame_by_frame(proxy):
    times = [number / 16 + 0.01 for number in range(10, 48, 3)]
    assert numbers(torch.from_numpy(np.stack(list(iterate_frames(proxy, times))))) == list(range(10, 48, 3))
    assert torch.equal(
        torch.from_numpy(np.stack(list(iterate_frames(proxy, times, SMALL)))),
        read_frames(proxy, times, SMALL).permute(0, 2, 3, 1),
    )


@pytest.mark.parametrize("times", [[], [1.0, 0.5]])
def test_times_must_be_ascending_and_not_empty(proxy, times):
    with pytest.raises(ValueError, match="ascending"):
        read_frames(proxy, times)


def refused(call, path, *words, kind=ValueError):
    with pytest.raises(kind) as error:
        call()
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    for word in words:
        assert word in message
    assert not isinstance(error.value, av.FFmpegError)


def test_non_video_files_raise_one_line_errors(tmp_path, proxy, encode, sines):
    text, empty, folder = tmp_path / "a.mp4", tmp_path / "b.mp4", tmp_path / "c.mp4"
    text.write_text("not a video\n" * 100)
    empty.touch()
    folder.mkdir()
    audio = encode(tmp_path / "sound.m4a", "aac", "stereo", sines(2, 0.5)[0])
    for read in (lambda path: read_frames(path, [0.0]), lambda path: list(iterate_frames(path, [0.0])), probe):
        refused(lambda read=read: read(text), text, "cannot be read")
        refused(lambda read=read: read(empty), empty, "cannot be read")
        refused(lambda read=read: read(folder), folder, kind=OSError)
        refused(lambda read=read: read(tmp_path / "none.mp4"), tmp_path / "none.mp4", kind=FileNotFoundError)
    refused(lambda: read_frames(audio, [0.0]), audio, "expected video", "0 video streams")
    refused(lambda: read_frames(proxy, [0.0], stream=1), proxy, "stream 1", "1 video streams")


def test_a_truncated_file_gives_what_is_there_or_one_line(tmp_path, proxy, counted):
    whole = proxy.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) * 3 // 4])  # the header comes first: the video is truncated
    assert numbers(read_frames(cut, [0.0, 1.0])) == [0, 16]
    last = numbers(read_frames(cut, [2.99]))[0]
    assert 20 < last < 47
    stamped(tmp_path / "slow.mp4", counted(48), range(48), rate=16)  # the header comes last
    whole = (tmp_path / "slow.mp4").read_bytes()
    cut.write_bytes(whole[: len(whole) * 3 // 4])
    refused(lambda: read_frames(cut, [0.0]), cut, "cannot be read")
    header = proxy.read_bytes()
    cut.write_bytes(header[: header.index(b"mdat") + 6])
    refused(lambda: read_frames(cut, [0.0]), cut)


def test_corrupt_bytes_do_not_crash(tmp_path, proxy):
    data = bytearray(proxy.read_bytes())
    begin = data.index(b"mdat") + 200
    rng = np.random.default_rng(0)
    for at in rng.integers(begin, len(data), 60):
        data[at] = rng.integers(256)
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(data)
    assert read_frames(bad, [0.5, 1.5, 2.5]).shape == (3, 3, 64, 128)


def test_a_colon_in_a_name_is_no_protocol(tmp_path, counted):
    path = tmp_path / "http: a talk.mp4"
    write_video(path, counted(4), 8.0)
    assert len(read_frames(path, [0.0])) == 1


def test_a_file_written_anew_is_read_anew(tmp_path, counted):
    path = tmp_path / "a.mp4"
    write_video(path, counted(4), 8.0)
    assert numbers(read_frames(path, [0.2])) == [1]
    write_video(path, counted(8)[4:], 8.0)
    assert numbers(read_frames(path, [0.2])) == [5]


@pytest.mark.heavy
def test_only_the_group_around_an_instant_is_decoded(tmp_path):
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (224, 448, 3), np.uint8) // 4 + 90 for _ in range(16)]
    write_video(tmp_path / "a.mp4", noise * 20, 16.0, crf=30)
    read_frames(tmp_path / "a.mp4", [0.0])
    begin = time.process_time()
    for at in (19.3, 3.1, 12.2, 8.8):
        read_frames(tmp_path / "a.mp4", [at])
    few = (time.process_time() - begin) / 4
    begin = time.process_time()
    for _ in iterate_frames(tmp_path / "a.mp4", [19.9]):
        pass
    with av.open(str(tmp_path / "a.mp4")) as container:
        container.streams.video[0].codec_context.thread_count = 1
        assert sum(1 for _ in container.decode(video=0)) == 320
    assert few < (time.process_time() - begin) / 8


@pytest.mark.heavy
def test_open_files_are_bounded_and_memory_is_flat(tmp_path, counted):
    write_video(tmp_path / "0.mp4", counted(16, 224, 448), 16.0)
    for number in range(1, 100):
        os.link(tmp_path / "0.mp4", tmp_path / f"{number}.mp4")
    process = psutil.Process()
    close_all()
    rng = np.random.default_rng(0)

    def read(count):
        for _ in range(count):
            read_frames(tmp_path / f"{rng.integers(100)}.mp4", rng.uniform(0, 0.5) + np.arange(4) / 16)
        gc.collect()
        memory = process.memory_info()
        return memory.rss - memory.shared  # pages of libraries come and go as the kernel likes

    read(300)
    before = read(150)
    files = len([each for each in process.open_files() if Path(each.path).parent == tmp_path])
    grown = read(300) - before
    print(f"300 reads: {grown / 1e6:+.1f} MB, {files} files open")
    assert 10 < files <= 64
    assert grown < 0.05 * before
    close_all()
    assert not [each for each in process.open_files() if Path(each.path).parent == tmp_path]


def _in_a_child(path, times, queue):
    queue.put(numbers(read_frames(path, times)))


def test_a_forked_process_and_threads_read_the_same(proxy):
    times = [0.1, 1.3, 2.6]
    expected = numbers(read_frames(proxy, times))
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    children = [context.Process(target=_in_a_child, args=(proxy, times, queue)) for _ in range(2)]
    for child in children:
        child.start()
    for _ in range(20):
        assert numbers(read_frames(proxy, times)) == expected
    assert [queue.get(timeout=60) for _ in children] == [expected] * 2
    for child in children:
        child.join()
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda at: numbers(read_frames(proxy, [at]))[0], [k / 16 for k in range(48)] * 4)
        assert list(found) == list(range(48)) * 4
