import struct

import av
import numpy as np
import pytest
import soundfile
import torch
from scipy.io import wavfile

from avssl.media.streams import AudioReader
from avssl.media.wav_writer import WavWriter, write_wav

STEP = {"PCM_16": 2**-15, "PCM_24": 2**-23, "FLOAT": 0.0}


def noise(channels, samples, seed=0):
    return torch.rand(channels, samples, generator=torch.Generator().manual_seed(seed)) * 1.8 - 0.9


@pytest.mark.parametrize("subtype", STEP)
@pytest.mark.parametrize("channels", [1, 2, 4, 9])
def test_blocks_come_back_as_one_wav(tmp_path, channels, subtype):
    audio = noise(channels, 2500)
    write_wav(tmp_path / "a.wav", audio.split(700, 1), 16000, subtype)
    info = soundfile.info(tmp_path / "a.wav")
    assert (info.format, info.subtype, info.samplerate, info.frames) == ("WAVEX", subtype, 16000, 2500)
    found, _ = soundfile.read(tmp_path / "a.wav", dtype="float32", always_2d=True)
    assert np.abs(found.T - audio.numpy()).max() <= STEP[subtype]
    with av.open(str(tmp_path / "a.wav")) as container:
        frames = list(container.decode(audio=0))
    assert (frames[0].layout.nb_channels, sum(frame.samples for frame in frames)) == (channels, 2500)
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


@pytest.mark.parametrize(("channels", "positions"), [(1, 4), (2, 3), (4, 0), (6, 0), (8, 0), (9, 0)])
def test_more_than_two_channels_have_no_speaker_positions(tmp_path, channels, positions):
    write_wav(tmp_path / "a.wav", [noise(channels, 10)], 16000)
    data = (tmp_path / "a.wav").read_bytes()
    fmt = data.index(b"fmt ") + 8
    assert struct.unpack_from("<HH", data, fmt) == (0xFFFE, channels)
    assert struct.unpack_from("<I", data, fmt + 20) == (positions,)


def sparse(path, last):
    """A wav of one channel in 16 bits whose sample number `last` is its end, most of it never written."""
    with WavWriter(path, 1, 48000, "PCM_16") as writer:
        writer.write(noise(1, 1000))
        writer.file.seek(last - 1000)
        writer.write(noise(1, 1000, 1))


@pytest.mark.filterwarnings("ignore::scipy.io.wavfile.WavFileWarning")  # of the padding chunk
def test_more_than_4_gb_become_rf64_without_a_length_known_before(tmp_path):
    last = (2**32 + 10**6) // 2
    sparse(tmp_path / "a.wav", last)
    assert (tmp_path / "a.wav").stat().st_size > 2**32
    assert (tmp_path / "a.wav").stat().st_blocks * 512 < 10**6
    info = soundfile.info(tmp_path / "a.wav")
    assert (info.format, info.frames) == ("RF64", last)
    found, _ = soundfile.read(tmp_path / "a.wav", start=last - 1000, dtype="float32")
    assert np.abs(found - noise(1, 1000, 1)[0].numpy()).max() <= 2**-15
    rate, mapped = wavfile.read(tmp_path / "a.wav", mmap=True)
    assert (rate, mapped.shape) == (48000, (last,))
    assert np.array_equal(mapped[-1000:] / 2**15, found)
    assert AudioReader(tmp_path / "a.wav").seconds == pytest.approx(last / 48000)


def test_less_than_4_gb_stay_wav(tmp_path):
    last = (2**32 - 10**4) // 2
    sparse(tmp_path / "a.wav", last)
    info = soundfile.info(tmp_path / "a.wav")
    assert (info.format, info.frames) == ("WAVEX", last)
    assert wavfile.read(tmp_path / "a.wav", mmap=True)[1].shape == (last,)


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ([np.zeros((3, 10)), np.zeros((2, 10))], r"expected blocks \(3, samples\), got \(2, 10\)"),
        ([np.zeros(10)], r"expected blocks \(1, samples\), got \(10,\)"),
        ([np.zeros((3, 10)), np.full((3, 10), np.nan)], "expected finite samples"),
        ([], "expected audio to write, got no block"),
    ],
)
def test_blocks_that_are_no_audio_leave_no_file(tmp_path, blocks, expected):
    (tmp_path / "x.wav").write_bytes(b"before")
    with pytest.raises(ValueError, match=rf"x\.wav: {expected}"):
        write_wav(tmp_path / "x.wav", blocks, 16000)
    assert [path.name for path in tmp_path.iterdir()] == ["x.wav"]
    assert (tmp_path / "x.wav").read_bytes() == b"before"


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(OSError, match=r"none/x\.wav: cannot be written"):
        write_wav(tmp_path / "none" / "x.wav", [np.zeros((1, 10))], 16000)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("channels", "rate"), [(0, 16000), (1, 0)])
def test_a_wav_without_channels_or_rate_is_no_file(tmp_path, channels, rate):
    with pytest.raises((OSError, ValueError)):
        write_wav(tmp_path / "x.wav", [np.zeros((channels, 10))], rate)
    assert not list(tmp_path.iterdir())
