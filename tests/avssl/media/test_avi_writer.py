import cv2
import numpy as np
import pytest

from avssl.media import probe, read_all_audio, read_frames, write_avi

RATE = 24000
TONE = (0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)).astype(np.float32)[None]


@pytest.fixture
def moving():
    """Two seconds in which a bright square goes from left to right, one pixel a frame, over a smooth ground."""
    ground = np.repeat(np.linspace(40, 120, 64)[:, None, None], 96, 1).repeat(3, 2).astype(np.uint8)
    frames = [ground.copy() for _ in range(50)]
    for number, frame in enumerate(frames):
        frame[20:40, 5 + number : 25 + number] = 230
    return frames


@pytest.mark.parametrize("audio", [None, TONE, np.concatenate([TONE, TONE])])
def test_frames_come_back_at_their_time_with_and_without_audio(tmp_path, moving, audio):
    write_avi(tmp_path / "a.avi", moving, 25.0, audio, RATE)
    found = read_frames(tmp_path / "a.avi", [k / 25 for k in range(50)]).permute(0, 2, 3, 1).numpy().astype(int)
    assert np.abs(found - np.stack(moving)).mean((1, 2, 3)).max() < 3
    assert len(probe(tmp_path / "a.avi").audio_streams) == (audio is not None)


def test_opencv_reads_as_many_frames_and_the_same(tmp_path, moving):
    write_avi(tmp_path / "a.avi", moving, 25.0, TONE, RATE)
    video, found = cv2.VideoCapture(str(tmp_path / "a.avi")), []
    while (read := video.read())[0]:
        found.append(read[1][..., ::-1].astype(int))
    assert video.get(cv2.CAP_PROP_FPS) == 25
    assert len(found) == 50
    assert np.abs(np.stack(found) - np.stack(moving)).mean((1, 2, 3)).max() < 3


def test_the_tone_comes_back(tmp_path, moving):
    write_avi(tmp_path / "a.avi", moving, 25.0, TONE, RATE)
    audio, rate = read_all_audio(tmp_path / "a.avi")
    assert rate == RATE
    strongest = np.abs(np.fft.rfft(audio[0, RATE // 2 : 3 * RATE // 2].numpy())).argmax()
    assert strongest == pytest.approx(440, abs=1)
    assert float(audio[0, RATE // 2 : RATE].std()) == pytest.approx(0.3 / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize("frames", [[], [np.zeros((63, 96, 3), np.uint8)]])
def test_no_frames_and_odd_sides_are_refused_and_leave_nothing(tmp_path, frames):
    with pytest.raises(ValueError, match=r"a\.avi: expected frames of even sides"):
        write_avi(tmp_path / "a.avi", frames, 25.0, None, RATE)
    assert not list(tmp_path.iterdir())
