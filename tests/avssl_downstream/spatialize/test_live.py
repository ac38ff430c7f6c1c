"""Streams from pipe to pipe: the audio of a file, at the stated latency; streams that break off or do not fit."""

import io
import os
import threading
import time
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from avssl_downstream.spatialize.apply import apply
from avssl_downstream.spatialize.frame_features import FrameFeatures, RecordedFrames
from avssl_downstream.spatialize.inference import WindowSchedule
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.streaming import StreamingSpatializer, generate_stream

from avssl.media import read_all_audio
from avssl.models.runtime import single_process

RATE, SECONDS, FRAME_RATE = 16000, 3.0, 20
OPTIONS = SpatializeOptions()
LAYOUTS = {1: "mono", 2: "stereo", 4: "quad"}


def image(left: bool, size=(90, 160)) -> np.ndarray:
    found = np.zeros((*size, 3), np.uint8)
    found[:, : size[1] // 2] = 255 * left
    found[:, size[1] // 2 :] = 255 * (not left)
    return found


def noise(channels=1, seconds=SECONDS) -> torch.Tensor:
    return 0.1 * torch.randn(channels, round(seconds * RATE), generator=torch.Generator().manual_seed(0))


def stream(audio: torch.Tensor, form="matroska", size=(90, 160), kinds=("video", "audio"), zero=0.0) -> bytes:
    """A container of audio and of frames that are bright on the left for a second, then on the right."""
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        if "video" in kinds:
            video = container.add_stream("rawvideo" if form == "nut" else "ffv1", rate=FRAME_RATE)
            video.height, video.width, video.pix_fmt = *size, "yuv420p"
        if "audio" in kinds:
            sound = container.add_stream("pcm_f32le", rate=RATE)
            sound.layout = LAYOUTS[len(audio)]
        step = RATE // FRAME_RATE
        for index in range(audio.shape[1] // step):
            if "video" in kinds:
                frame = av.VideoFrame.from_ndarray(image(index < FRAME_RATE, size)).reformat(format="yuv420p")
                frame.pts, frame.time_base = index + round(zero * FRAME_RATE), Fraction(1, FRAME_RATE)
                container.mux(video.encode(frame))
            if "audio" in kinds:
                block = np.ascontiguousarray(audio[:, index * step : (index + 1) * step].numpy().T).reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(block, format="flt", layout=LAYOUTS[len(audio)])
                frame.sample_rate, frame.pts = RATE, index * step + round(zero * RATE)
                frame.time_base = Fraction(1, RATE)
                container.mux(sound.encode(frame))
    return file.getvalue()


class Pipes:
    """A pipe that is fed and a pipe that is read, each by a thread; `run` applies a generator between them."""

    def __init__(self) -> None:
        self.source, self._feed = os.pipe()
        self._take, self.target = os.pipe()
        self.output = b""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def feed(self, data: bytes) -> None:
        view = memoryview(data)
        with suppress(BrokenPipeError):  # nobody reads what was rejected
            while view:
                view = view[os.write(self._feed, view) :]

    def end(self) -> None:
        os.close(self._feed)

    def run(self, generator, options=OPTIONS) -> None:
        try:
            apply(
                Path(f"/dev/fd/{self.source}"),
                Path(f"/dev/fd/{self.target}"),
                generator,
                options,
                single_process("32-true"),
            )
        finally:
            os.close(self.target)
            os.close(self.source)

    def close(self) -> bytes:
        self._reader.join(30)
        os.close(self._take)
        return self.output

    def _read(self) -> None:
        while data := os.read(self._take, 1 << 16):
            self.output += data


def through(data: bytes, generator, options=OPTIONS) -> bytes:
    """What a stream becomes."""
    pipes = Pipes()
    feeding = threading.Thread(target=lambda: (pipes.feed(data), pipes.end()))
    feeding.start()
    try:
        pipes.run(generator, options)
    finally:
        feeding.join(30)
        pipes.close()
    return pipes.output


def audio_of(data: bytes, tmp_path) -> torch.Tensor:
    (tmp_path / "out.mkv").write_bytes(data)
    return read_all_audio(tmp_path / "out.mkv")[0]


def expected(generator, audio):
    def reader(times, size):
        for each in times:
            whole = image(round(each * FRAME_RATE) < FRAME_RATE)
            yield av.VideoFrame.from_ndarray(whole).reformat(size[1], size[0], "rgb24").to_ndarray()

    features = FrameFeatures(generator, RecordedFrames(generator, reader, SECONDS))
    spatializer = StreamingSpatializer(generator, features, RATE, WindowSchedule(0.0, 1))
    return torch.cat(list(generate_stream(spatializer, audio.split(800, 1))), 1)


@pytest.mark.parametrize(("form", "zero"), [("matroska", 0.0), ("nut", 0.0), ("matroska", 7.0)])
def test_a_pipe_gives_the_audio_of_the_same_frames_in_the_same_container(pan, tmp_path, form, zero):
    audio = noise()
    output = through(stream(audio, form, zero=zero), pan)
    found = audio_of(output, tmp_path)
    assert found.shape == (2, audio.shape[1])
    torch.testing.assert_close(found, expected(pan, audio), atol=1e-3, rtol=0)
    with av.open(io.BytesIO(output)) as container:
        assert ("nut" in container.format.name) == (form == "nut")
        frames = list(container.decode(video=0))
    assert len(frames) == SECONDS * FRAME_RATE
    assert float(frames[0].time) == pytest.approx(0.0, abs=1e-3)
    assert np.array_equal(frames[25].to_ndarray(format="rgb24") > 127, image(False) > 127)


def test_output_follows_input_within_the_stated_latency(pan, tmp_path):
    """While the pipe stays open."""
    whole = stream(noise(), "nut")
    pipes = Pipes()
    running = threading.Thread(target=pipes.run, args=(pan,))
    running.start()
    part = round(0.75 * len(whole))  # 2.25 s
    pipes.feed(whole[:part])
    schedule = WindowSchedule(0.0, 1)
    delay = StreamingSpatializer(pan, FrameFeatures(pan, None), RATE, schedule).delay
    least, end = 2.25 - delay - 2 / FRAME_RATE, time.monotonic() + 60
    while time.monotonic() < end and seconds_of(pipes.output) < least:
        time.sleep(0.05)
    reached = seconds_of(pipes.output)
    pipes.feed(whole[part:])
    pipes.end()
    running.join(60)
    pipes.close()
    assert delay < 0.5
    assert reached >= least
    assert audio_of(pipes.output, tmp_path).shape[1] == SECONDS * RATE


def seconds_of(data: bytes) -> float:
    try:
        with av.open(io.BytesIO(data)) as container:
            return sum(frame.samples for frame in container.decode(audio=0)) / RATE
    except (av.error.FFmpegError, IndexError):
        return 0.0


def test_frames_that_stop_leave_the_last_one_and_the_audio_goes_on(pan, tmp_path):
    audio = noise(seconds=8.0)
    file = io.BytesIO()
    with av.open(file, "w", format="nut") as container:
        video, sound = container.add_stream("rawvideo", rate=10), container.add_stream("pcm_f32le", rate=RATE)
        video.height, video.width, video.pix_fmt, sound.layout = 90, 160, "yuv420p", "mono"
        for index in range(80):
            if index < 5:
                frame = av.VideoFrame.from_ndarray(image(True)).reformat(format="yuv420p")
                frame.pts = index
                container.mux(video.encode(frame))
            block = np.ascontiguousarray(audio[:, 1600 * index : 1600 * (index + 1)].numpy())
            frame = av.AudioFrame.from_ndarray(block, format="flt", layout="mono")
            frame.sample_rate, frame.pts = RATE, 1600 * index
            container.mux(sound.encode(frame))
    found = audio_of(through(file.getvalue(), pan), tmp_path)
    assert found.shape == (2, audio.shape[1])
    assert found[0].square().sum() > 100 * found[1].square().sum()


@pytest.mark.parametrize(("share", "why"), [(0.7, "ends within a packet"), (0.002, "cannot be read")])
def test_a_stream_that_breaks_off_is_processed_to_there_and_is_one_line(pan, tmp_path, share, why):
    audio, whole, pipes = noise(), stream(noise()), Pipes()
    feeding = threading.Thread(target=lambda: (pipes.feed(whole[: round(share * len(whole))]), pipes.end()))
    feeding.start()
    with pytest.raises(ValueError, match=why) as caught:
        pipes.run(pan)
    feeding.join(30)
    assert "\n" not in str(caught.value)
    output = pipes.close()
    if share < 0.1:
        assert output == b""
        return
    kept = audio_of(output, tmp_path)
    assert 1.5 * RATE < kept.shape[1] < 2.5 * RATE
    torch.testing.assert_close(kept[:, :RATE], expected(pan, audio)[:, :RATE], atol=1e-3, rtol=0)


def test_a_wav_of_a_broken_stream_is_not_half_written(pan, tmp_path):
    whole = stream(noise())
    take, feed = os.pipe()
    writing = threading.Thread(target=lambda: (os.write(feed, whole[: round(0.7 * len(whole))]), os.close(feed)))
    writing.start()
    with pytest.raises(ValueError, match="expected a whole stream"):
        apply(Path(f"/dev/fd/{take}"), tmp_path / "out.wav", pan, OPTIONS, single_process("32-true"))
    writing.join(30)
    os.close(take)
    assert not list(tmp_path.glob("*.wav*"))


def test_streams_and_targets_that_do_not_fit_are_one_line(pan, around, sharper, tmp_path):
    for generator, data, why in (
        (pan, stream(noise(), kinds=("audio",)), "got no video"),
        (pan, stream(noise(), kinds=("video",)), "got no audio"),
        (pan, stream(noise(4)), "expected mono or stereo audio, got 4 channels"),
        (around, stream(noise()), r"expected equirectangular frames \(2:1\), these are 160x90"),
        (sharper, stream(noise(), size=(80, 160)), "expected ambisonics"),
        (pan, b"", "cannot be read"),
    ):
        with pytest.raises(ValueError, match=why) as caught:
            through(data, generator)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"expected a pipe \(-\) or the name of a .wav file"):
        apply(Path("-"), tmp_path / "out.mp4", pan, OPTIONS, single_process("32-true"))
    with pytest.raises(ValueError, match="expected target=binaural"):
        apply(Path("-"), Path("-"), pan, SpatializeOptions(target="5.1"), single_process("32-true"))
    for options in (SpatializeOptions(method="prior"), SpatializeOptions(segmenter="yolo11n-seg.pt")):
        with pytest.raises(ValueError, match="expected neither segmenter nor method=prior for a stream"):
            apply(Path("-"), Path("-"), pan, options, single_process("32-true"))


def test_a_panorama_declared_as_such_keeps_w_bit_for_bit(around, tmp_path):
    audio = noise()
    output = through(stream(audio), around, SpatializeOptions(panorama=True))
    found = audio_of(output, tmp_path)
    assert found.shape == (4, audio.shape[1])
    assert torch.equal(found[0], audio[0])
