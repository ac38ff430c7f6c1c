"""StreamingSpatializer: the same audio from blocks of any size, live or from a file, with a bounded delay."""

import numpy as np
import pytest
import torch
from avssl_downstream.spatialize import LiveFrames, Spatialize, StreamingSpatializer
from avssl_downstream.spatialize.calibration import Calibration
from avssl_downstream.spatialize.frame_features import FrameFeatures, RecordedFrames
from avssl_downstream.spatialize.inference import WindowSchedule
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.streaming import generate_stream

SECONDS = 3.0
SCHEDULE = WindowSchedule(0.0, 3)


def image(left: bool) -> np.ndarray:
    """Bright on one side, `(90, 160, 3)`."""
    found = np.zeros((90, 160, 3), np.uint8)
    found[:, :80] = 255 * left
    found[:, 80:] = 255 * (not left)
    return found


def reader(times, size):
    """Bright on the left in the first second."""
    for time in times:
        yield image(time < 1)[:: 90 // size[0], :: 160 // size[1]][: size[0], : size[1]]


def recorded(generator, rate=16000, schedule=SCHEDULE, calibration=None):
    features = FrameFeatures(generator, RecordedFrames(generator, reader, SECONDS))
    return StreamingSpatializer(generator, features, rate, schedule, calibration=calibration)


def noise(rate, channels=1):
    samples = round(SECONDS * rate)
    return 0.1 * torch.randn(channels, samples, generator=torch.Generator().manual_seed(0))


def streamed(spatializer, audio, size):
    return torch.cat(list(generate_stream(spatializer, audio.split(size, 1))), 1)


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
@pytest.mark.parametrize("kind", ["pan", "around", "sharper"])
def test_blocks_of_any_size_give_the_same_audio(request, kind, rate):
    generator = request.getfixturevalue(kind)
    audio = noise(rate, generator.input_channels)
    whole = streamed(recorded(generator, rate), audio, audio.shape[1])
    assert whole.shape == (generator.channels, audio.shape[1])
    sizes = np.random.default_rng(0).multinomial(audio.shape[1], np.ones(200) / 200).tolist()
    for size in (64, rate, sizes):
        torch.testing.assert_close(streamed(recorded(generator, rate), audio, size), whole, atol=1e-6, rtol=0)


def test_input_channels_are_kept_bit_for_bit_at_any_rate(around):
    audio = noise(44100)
    assert torch.equal(streamed(recorded(around, 44100), audio, 1000)[:1], audio)


@pytest.mark.parametrize("kind", ["pan", "around", "sharper"])
def test_a_calibrated_stream_is_the_calibration_of_the_stream(request, kind):
    generator = request.getfixturevalue(kind)
    audio, kept = noise(16000, generator.input_channels), {"pan": 0, "around": 1, "sharper": 4}[kind]
    gains = torch.linspace(-0.5, 0.5, generator.channels * len(audio)).reshape(generator.channels, len(audio))
    gains[:kept] = 0
    calibration = Calibration(0.6, gains)
    made = streamed(recorded(generator, calibration=calibration), audio, 700)
    wanted = calibration(streamed(recorded(generator), audio, 700), audio)
    torch.testing.assert_close(made, wanted, atol=1e-5, rtol=0)
    assert torch.equal(made[:kept], audio[:kept])


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("rate", [16000, 48000])
def test_output_never_lags_by_more_than_the_stated_delay(pan, rate, batch):
    spatializer = recorded(pan, rate, WindowSchedule(0.0, batch))
    behind = 0
    for block in noise(rate).split(100, 1):
        behind += block.shape[1] - spatializer.push(block).shape[1]
        assert behind <= spatializer.delay * rate
    assert spatializer.delay < pan.seconds + batch * pan.hop + 0.02
    assert spatializer.finish().shape[1] == behind


@pytest.mark.parametrize("frame_rate", [10.0, 25.0])
def test_live_frames_give_the_audio_of_recorded_ones(pan, frame_rate):
    """Audio that comes before its frames waits for them."""
    audio, frames = noise(16000), LiveFrames(pan)
    spatializer = StreamingSpatializer(pan, FrameFeatures(pan, frames), 16000, SCHEDULE)
    made, number = [], 0
    for index, block in enumerate(audio.split(1600, 1)):
        made.append(spatializer.push(block))
        while number / frame_rate < 0.1 * index:  # frames are a block late
            frames.push(image(number / frame_rate < 1), number / frame_rate)
            number += 1
    made.append(spatializer.finish())
    torch.testing.assert_close(torch.cat(made, 1), streamed(recorded(pan), audio, 1600), atol=1e-6, rtol=0)


def test_no_output_before_the_frames_and_all_of_it_at_the_end(pan):
    frames = LiveFrames(pan)
    spatializer = StreamingSpatializer(pan, FrameFeatures(pan, frames), 16000, SCHEDULE)
    assert spatializer.push(noise(16000)).shape == (2, 0)
    frames.push(image(True), 0.0)
    made = spatializer.finish()
    assert made.shape == (2, 48000)
    assert made[0].square().sum() > 100 * made[1].square().sum()  # the last frame stays


def test_live_frames_that_are_used_are_freed(pan):
    frames = LiveFrames(pan)
    spatializer = StreamingSpatializer(pan, FrameFeatures(pan, frames), 16000, SCHEDULE)
    for number in range(300):
        frames.push(image(True), number / 10)
        spatializer.push(torch.zeros(1, 1600))
        assert len(frames._frames) < 10
        assert len(spatializer.features._features) < 10


def test_a_caller_may_reuse_its_buffer(pan):
    audio, spatializer = noise(16000), recorded(pan)
    buffer, made = torch.empty(1, 1000), []
    for block in audio.split(1000, 1):
        buffer[:] = block
        made.append(spatializer.push(buffer))
    made.append(spatializer.finish())
    assert torch.equal(torch.cat(made, 1), streamed(recorded(pan), audio, 1000))


def test_a_fitted_head_streams(pan):
    head = Spatialize(None, SpatializeOptions())
    with pytest.raises(ValueError, match="expected a fitted generator"):
        head.streaming(LiveFrames(pan), 16000)
    head.generator = pan
    frames = LiveFrames(pan)
    spatializer = head.streaming(frames, 16000)
    frames.push(image(False), 0.0)
    made = torch.cat([spatializer.push(noise(16000).numpy()), spatializer.finish()], 1)
    assert made[1].square().sum() > 100 * made[0].square().sum()


@pytest.mark.parametrize(
    ("audio", "why"),
    [
        (torch.zeros(2, 10), r"expected audio \(1, samples\), got \(2, 10\)"),
        (torch.zeros(10), r"expected audio \(1, samples\), got \(10,\)"),
        (torch.full((1, 10), torch.nan), "expected finite audio samples, got NaN or Inf"),
    ],
)
def test_bad_blocks_are_refused_and_the_stream_goes_on(pan, audio, why):
    spatializer, own = recorded(pan), noise(16000)
    first = spatializer.push(own[:, :20000])
    with pytest.raises(ValueError, match=why):
        spatializer.push(audio)
    made = torch.cat([first, spatializer.push(own[:, 20000:]), spatializer.finish()], 1)
    assert torch.equal(made, streamed(recorded(pan), own, own.shape[1]))


def test_a_finished_stream_takes_nothing_more(pan):
    spatializer = recorded(pan)
    spatializer.finish()
    for call in (spatializer.finish, lambda: spatializer.push(torch.zeros(1, 10))):
        with pytest.raises(ValueError, match="this one is finished"):
            call()


def test_bad_frames_are_refused(pan):
    frames = LiveFrames(pan)
    for frame in (np.zeros((3, 4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)):
        with pytest.raises(ValueError, match="expected a uint8 frame"):
            frames.push(frame, 0.0)
    frames.push(image(True), 1.0)
    for seconds in (0.9, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="ascending order"):
            frames.push(image(True), seconds)


def test_a_live_stream_without_a_frame_is_refused(pan):
    spatializer = StreamingSpatializer(pan, FrameFeatures(pan, LiveFrames(pan)), 16000, SCHEDULE)
    spatializer.push(torch.zeros(1, 16000))
    with pytest.raises(ValueError, match="expected at least one frame"):
        spatializer.finish()
