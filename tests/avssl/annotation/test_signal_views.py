import cv2
import numpy as np

from avssl.annotation.signal_views import COLUMNS, ROWS, SECONDS, spectrogram_block, spectrogram_levels, waveform_block
from avssl.media import write_audio

RATE = 16000


def _mel_row(frequency):
    return ROWS * np.log(1 + frequency / 700) / np.log(1 + RATE / 2 / 700)


def test_a_full_scale_sine_is_a_line_of_0_db_at_its_frequency():
    times = np.arange(int(SECONDS * RATE)) / RATE
    levels = spectrogram_levels(np.sin(2 * np.pi * 1000 * times)[None].astype(np.float32), RATE)
    assert levels.shape == (ROWS, COLUMNS)
    assert np.abs(levels.max(0)).max() < 0.1
    assert set(levels.argmax(0)) <= {int(_mel_row(1000)), int(_mel_row(1000)) + 1, int(_mel_row(1000)) - 1}


def test_waveform_blocks_hold_extremes_of_all_channels_where_they_are(tmp_path):
    audio = np.zeros((2, int(15 * RATE)), np.float32)
    audio[0, int(12.01 * RATE)], audio[1, int(12.01 * RATE)] = 0.5, -0.25
    write_audio(tmp_path / "x.wav", audio, RATE, subtype="FLOAT")
    assert np.abs(waveform_block(tmp_path / "x.wav", 0)).max() == 0
    block = waveform_block(tmp_path / "x.wav", 1)
    assert block.shape == (COLUMNS, 2)
    np.testing.assert_allclose(block[int(2.01 * COLUMNS / SECONDS)], [-0.25, 0.5])
    assert np.abs(np.delete(block, int(2.01 * COLUMNS / SECONDS), 0)).max() == 0


def test_a_spectrogram_block_is_a_png_that_is_bright_where_and_when_there_is_sound(tmp_path):
    times = np.arange(int(SECONDS * RATE)) / RATE
    audio = np.where(times < 5, np.sin(2 * np.pi * 4000 * times), 0)[None]
    write_audio(tmp_path / "x.wav", audio, RATE)
    image = cv2.imdecode(np.frombuffer(spectrogram_block(tmp_path / "x.wav", 0), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert image.shape == (ROWS, COLUMNS)
    row = ROWS - 1 - int(_mel_row(4000))
    assert image[row - 1 : row + 2, : COLUMNS // 2 - 2].max(0).min() > 200
    assert image[:, COLUMNS // 2 + 3 :].max() < 30
