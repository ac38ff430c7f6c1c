import math

import cv2
import numpy as np
import pytest
import soundfile
import torch

from avssl.data.clip_options import Reading
from avssl.data.window_reader import iterate_window_frames, read_audio_windows, read_window_audio, read_window_frames
from avssl.media import write_audio, write_video
from avssl.spatial.ambisonics import from_stereo, stereo

WHOLE = Reading(seconds=0.5, frames=4, frame_rate=8.0, resize=0, size=0)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Two seconds at 16 pictures a second, the n-th as bright as 10 + 7 n."""
    path = tmp_path_factory.mktemp("film") / "a.mp4"
    write_video(path, [np.full((48, 64, 3), 10 + 7 * number, np.uint8) for number in range(32)], 16.0)
    return path


def numbers(frames):
    return [round((float(frame.float().mean()) - 10) / 7) for frame in frames]


def test_a_window_of_audio_is_the_file_s_samples(tmp_path):
    audio = np.random.default_rng(0).uniform(-0.5, 0.5, (8000, 5)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", audio, 8000, "FLOAT")
    reading = Reading(seconds=0.25, channels=3)
    found = read_window_audio(tmp_path / "a.wav", 0.3, reading, 8000)
    assert np.array_equal(found.numpy(), audio[2400:4400, :3].T)
    past = read_window_audio(tmp_path / "a.wav", 0.9, reading, 8000)
    assert np.array_equal(past[:, :800].numpy(), audio[7200:, :3].T)
    assert past.shape == (3, 2000)
    assert not past[:, 800:].any()


@pytest.mark.parametrize("rate", [44100, 48000, 22050])
def test_resampled_windows_lie_where_the_audio_is_whatever_is_read_with_them(tmp_path, rate):
    time = np.arange(4 * rate) / rate
    write_audio(tmp_path / "a.wav", np.sin(2 * np.pi * 440 * time)[None] / 2, rate, subtype="FLOAT")
    reading = Reading(seconds=0.4)
    starts = [0.1, 0.77, 1.0, 2.345]
    together = read_audio_windows(tmp_path / "a.wav", starts, reading, 24000)
    for start, window in zip(starts, together, strict=True):
        expected = np.sin(2 * np.pi * 440 * (round(start * 24000) / 24000 + np.arange(9600) / 24000)) / 2
        assert np.abs(window[0].numpy() - expected).max() < 2e-4
        alone = read_window_audio(tmp_path / "a.wav", start, reading, 24000)
        torch.testing.assert_close(window, alone, atol=1e-6, rtol=1e-5)  # longer sums may be added up in another order


def test_left_and_right_become_the_sides_of_a_field(tmp_path):
    pair = torch.rand(2, 4000) - 0.5
    write_audio(tmp_path / "a.wav", pair, 8000, subtype="FLOAT")
    field = read_window_audio(tmp_path / "a.wav", 0.0, Reading(seconds=0.5, upmix=True), 8000)
    assert field.shape[0] == 4
    assert torch.allclose(stereo(field), pair, atol=1e-6)
    assert not field[2:].any()
    alone = from_stereo(pair[:1])
    assert torch.equal(alone[0], pair[0])
    assert not alone[1:].any()
    with pytest.raises(ValueError, match="1 or 2 channels"):
        from_stereo(torch.zeros(3, 10))


def test_frames_come_at_their_instants_and_again_in_a_cycle_past_the_end(film):
    assert numbers(read_window_frames(film, 0.25, WHOLE)) == [4, 6, 8, 10]
    assert numbers(read_window_frames(film, 1.75, WHOLE)) == [28, 30, 28, 30]
    assert numbers(read_window_frames(film, 1.97, WHOLE)) == [31] * 4
    with pytest.raises(ValueError, match=r"a.mp4: its pictures end at 2\.000 s, asked for 2\.100 s"):
        read_window_frames(film, 2.1, WHOLE)


def test_windows_that_overlap_are_those_read_one_by_one(film):
    starts = [0.0, 0.1, 0.1, 0.5, 0.9, 1.7, 1.9]
    together = list(iterate_window_frames(film, starts, WHOLE))
    assert all(
        torch.equal(found, read_window_frames(film, at, WHOLE)) for found, at in zip(together, starts, strict=True)
    )


@pytest.mark.parametrize(
    "name",
    ["ucf101/v_SoccerJuggling_g23_c01.avi", "hmdb51/hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi"],
)
def test_frames_of_real_actions_are_those_that_opencv_decodes(media, name):
    path = media(f"restricted/{name}")
    capture = cv2.VideoCapture(str(path))
    rate = capture.get(cv2.CAP_PROP_FPS)
    decoded = []
    while (got := capture.read())[0]:
        decoded.append(got[1][:, :, ::-1].astype(np.float32))
    reading = Reading(frames=8, frame_rate=rate, resize=0, size=0)
    middle = len(decoded) // 2
    found = read_window_frames(path, (middle + 0.5) / rate, reading).permute(0, 2, 3, 1).numpy()
    for place in range(8):
        errors = [np.abs(found[place] - decoded[number]).mean() for number in range(middle - 2, middle + 10)]
        assert errors[place + 2] < min(2.0, 1.1 * min(errors))  # some pictures of UCF101 come twice


def test_the_middle_of_the_scaled_image_is_seen(tmp_path):
    image = np.zeros((100, 200, 3), np.uint8)
    image[:, 50:150] = 200
    write_video(tmp_path / "a.mp4", [image] * 4, 8.0)
    seen = read_window_frames(tmp_path / "a.mp4", 0.0, Reading(frames=2, frame_rate=8.0, resize=50, size=50))
    assert seen.shape == (2, 3, 50, 50)
    assert abs(float(seen[:, :, :, 2:-2].float().mean()) - 200) < 3
    wide = read_window_frames(tmp_path / "a.mp4", 0.0, Reading(frames=1, resize=50, size=0))
    assert wide.shape == (1, 3, 50, 100)
    with pytest.raises(ValueError, match="square of 112 pixels cannot be cut from 200x100"):
        read_window_frames(tmp_path / "a.mp4", 0.0, Reading(frames=1, resize=0))


@pytest.mark.parametrize("azimuth", [0, 90, 180, -90])
def test_a_view_of_a_whole_world_shows_what_is_there(tmp_path, azimuth):
    """A bright bar at one azimuth of an equirectangular picture, x = (1 - azimuth / pi) / 2."""
    image = np.zeros((128, 256, 3), np.uint8)
    columns = np.arange(-8, 8) + round((1 - azimuth / 180) / 2 * 256)
    image[:, columns % 256] = 220
    write_video(tmp_path / "a.mp4", [image] * 2, 8.0)
    view = (math.radians(azimuth), 0.0, math.pi / 2)
    seen = read_window_frames(tmp_path / "a.mp4", 0.0, Reading(frames=1, size=64, resize=64, view=view))[0, 0]
    assert float(seen[:, 28:36].float().mean()) > 180
    assert float(seen[:, :16].float().mean()) < 20


def test_each_tower_has_its_part_of_a_reading():
    reading = Reading(view=(0.0, 0.0, 1.0))
    audio, image = reading.of("audio"), reading.of("video")
    assert set(audio) == {"seconds", "channels", "upmix"}
    assert set(image) == {"frames", "frame_rate", "resize", "size", "view"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"seconds": 0}, "seconds > 0"),
        ({"frames": 0}, "frames >= 1"),
        ({"channels": -1}, "at least 0, got"),
        ({"size": 200}, "expected a size of at most resize=128"),
        ({"view": (0.0, 0.0, 4.0)}, "below 180 degrees"),
    ],
)
def test_readings_without_meaning_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        Reading(**wrong)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"b\.mp4"):
        read_window_frames(tmp_path / "b.mp4", 0.0, WHOLE)
    with pytest.raises(FileNotFoundError, match=r"b\.wav"):
        read_window_audio(tmp_path / "b.wav", 0.0, WHOLE, 8000)
