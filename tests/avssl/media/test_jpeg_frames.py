import io

import numpy as np
import pytest
import torch
from PIL import Image

from avssl.errors import InputError
from avssl.media import iterate_frames, jpeg_frames, probe, read_frames, write_video
from avssl.media.jpeg_frames import decode_jpeg, encode_jpeg, write_jpeg_frames

RATE = 12.5


def image(number, height=48, width=96):
    """Smooth colours that move."""
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin(rows / 9 + number), np.cos(columns / 13 - number / 2), np.sin((rows + columns) / 17)]
    return np.stack([127 + 100 * each for each in waves], -1).astype(np.uint8)


@pytest.fixture(scope="module")
def frames():
    return [image(number) for number in range(30)]


@pytest.fixture
def packed(tmp_path, frames):
    write_jpeg_frames(tmp_path / "a.jpeg.mp4", iter(frames), RATE)
    return tmp_path / "a.jpeg.mp4"


def psnr(found, expected):
    return 10 * np.log10(255**2 / np.mean((found.astype(float) - expected) ** 2))


def test_frames_at_times_are_those_of_the_video_within_the_error_of_jpeg(packed, frames, tmp_path):
    write_video(tmp_path / "a.mp4", frames, RATE, crf=0)
    for times in ([0.0, 0.079, 0.08, 0.5, 1.23], [-1.0, 2.32, 99.0], [0.7, 0.7]):
        indices = [min(max(0, int((time + 1e-6) * RATE)), 29) for time in times]
        found, video = read_frames(packed, times), read_frames(tmp_path / "a.mp4", times)
        assert (found.shape, found.dtype, found.stride()) == (video.shape, torch.uint8, video.stride())
        for each, other, index in zip(found, video, indices, strict=True):
            assert psnr(each.permute(1, 2, 0).numpy(), frames[index]) > 36
            assert psnr(other.permute(1, 2, 0).numpy(), frames[index]) > 36  # the same frame


def test_the_images_are_what_other_decoders_give(packed, frames):
    """FFmpeg reads the file as any video; Pillow decodes with another build of libjpeg."""
    info = probe(packed).video
    assert (info.codec, info.width, info.height, round(info.seconds, 6)) == ("mjpeg", 96, 48, 30 / RATE)
    times = [number / RATE for number in range(30)]
    for index, (found, other) in enumerate(zip(read_frames(packed, times), iterate_frames(packed, times), strict=True)):
        own = found.permute(1, 2, 0).numpy()
        pillow = np.asarray(Image.open(io.BytesIO(encode_jpeg(frames[index]))).convert("RGB"))
        assert np.abs(own.astype(int) - pillow).max() <= 1
        assert np.abs(own.astype(int) - other).mean() < 1.5


def test_only_the_images_of_the_times_are_decoded(packed, monkeypatch):
    decoded = []
    monkeypatch.setattr(jpeg_frames, "decode_jpeg", lambda data, out: decoded.append(len(data)))
    read_frames(packed, [0.4, 0.41, 1.6])
    assert len(decoded) == 2


def test_a_broken_file_is_one_line_that_names_it(packed, tmp_path):
    whole = packed.read_bytes()
    place = int(jpeg_frames.jpeg_frames(packed).places[7])
    spoiled = tmp_path / "spoiled.jpeg.mp4"
    spoiled.write_bytes(whole[: place + 200] + bytes([whole[place + 200] ^ 1]) + whole[place + 201 :])
    assert torch.equal(read_frames(spoiled, [0.0]), read_frames(packed, [0.0]))
    with pytest.raises(InputError, match=r"^\S*spoiled.jpeg.mp4: frame 7: .* checksum differs; prepare it again$"):
        read_frames(spoiled, [7 / RATE])
    for length in (10, 300, place + 100):
        (cut := tmp_path / f"{length}.jpeg.mp4").write_bytes(whole[:length])
        with pytest.raises(InputError, match=rf"^\S*{length}.jpeg.mp4: [^\n]*$"):
            read_frames(cut, [8 / RATE])


def test_an_image_that_states_another_size_is_not_decoded():
    with pytest.raises(ValueError, match=r"expected a JPEG image of \(48, 96\), got \(64, 96\)"):
        decode_jpeg(encode_jpeg(image(0, 64)), np.empty((48, 96, 3), np.uint8))


def test_another_video_of_such_a_name_is_read_as_a_video(tmp_path, frames):
    for name in ("a.mp4", "a.jpeg.mp4"):
        write_video(tmp_path / name, frames, RATE)
    assert torch.equal(read_frames(tmp_path / "a.jpeg.mp4", [0.5, 1.0]), read_frames(tmp_path / "a.mp4", [0.5, 1.0]))


@pytest.mark.parametrize(
    ("frames", "said"),
    [([], "at least one frame"), ([image(0), image(0, 32)], r"uint8 \(48, 96, 3\), this is"),
     ([np.zeros((4, 4))], "uint8")],
)  # fmt: skip
def test_what_cannot_be_written_leaves_no_file(tmp_path, frames, said):
    with pytest.raises(InputError, match=said):
        write_jpeg_frames(tmp_path / "a.jpeg.mp4", frames, RATE)
    assert not list(tmp_path.iterdir())
