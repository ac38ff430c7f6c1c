"""Cube faces whose colours are directions, by their definition, against the directions of equirectangular pixels."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from avssl.cli import main
from avssl.datasets.manifest import read_manifest
from avssl.errors import InputError
from avssl.media import read_frames
from avssl.media.cube_faces import check_faces, equirect_frames
from avssl.media.video_writer import write_audio, write_video
from avssl.spatial.ambisonics import direction, encode
from avssl.spatial.energy_map import equirectangular_grid

# Centre, right side and upper side of each face: x front, y left, z up.
UPRIGHT = {
    "right": ((0, -1, 0), (-1, 0, 0), (0, 0, 1)),
    "left": ((0, 1, 0), (1, 0, 0), (0, 0, 1)),
    "top": ((0, 0, 1), (0, -1, 0), (-1, 0, 0)),
    "bottom": ((0, 0, -1), (0, -1, 0), (1, 0, 0)),
    "front": ((1, 0, 0), (0, -1, 0), (0, 0, 1)),
    "back": ((-1, 0, 0), (0, 1, 0), (0, 0, 1)),
}
LYING = {
    "bottom": ((0, 0, -1), (-1, 0, 0), (0, -1, 0)),
    "back": ((-1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "top": ((0, 0, 1), (1, 0, 0), (0, -1, 0)),
}


def rays(axes, u, v):
    """Directions `(v, u, 3)` of places -1 to 1 on a face, right and down."""
    centre, right, up = np.array(axes, float)
    found = centre + u[None, :, None] * right - v[:, None, None] * up
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


def eac_row(axes, width, height):
    """A row of three faces, with two pixels of rim around it."""
    across, down = (np.arange(width) + 0.5 - 2) / (width - 4) * 3, (np.arange(height) + 0.5 - 2) / (height - 4)
    number = np.clip(across.astype(int), 0, 2)
    spread = [np.tan((2 * place - 1) * np.pi / 4) for place in (across - number, down)]
    return np.hstack([rays(each, spread[0][number == index], spread[1]) for index, each in enumerate(axes)])


def coloured(directions):
    return np.round((directions + 1) * 127.5).astype(np.uint8)


NAMES = dict(zip("rludfb", UPRIGHT, strict=True))


def faces(kind, side=128, columns=3, order="rludfb"):
    if kind == "eac":
        rows = [UPRIGHT[name] for name in ("left", "front", "right")], [LYING[n] for n in ("bottom", "back", "top")]
        return coloured(np.vstack([eac_row(row, 3 * side, side) for row in rows]))
    place = (np.arange(side) + 0.5) / side * 2 - 1
    images = [coloured(rays(each, place, place)) for each in (UPRIGHT[NAMES[letter]] for letter in order)]
    return np.vstack([np.hstack(images[at : at + columns]) for at in range(0, 6, columns)])


def reader(image, stereo=""):
    height, width = image.shape[:2]

    def frames(times, size):
        yield from (cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA) for _ in times)

    facts = {"projection": "", "stereo": stereo, "aspect": width / height}
    return SimpleNamespace(width=width, height=height, frames=frames, **facts)


def angles(sphere):
    """Degrees between the colour of each equirectangular pixel and its direction."""
    azimuth, elevation = equirectangular_grid(*sphere.shape[:2])
    truth = np.stack([each.numpy() for each in direction(azimuth, elevation).unbind(-1)], -1)
    found = sphere / 127.5 - 1
    found /= np.linalg.norm(found, axis=-1, keepdims=True)
    return np.degrees(np.arccos(np.clip((found * truth).sum(-1), -1, 1)))


@pytest.mark.parametrize(("kind", "columns"), [("eac", 3), ("cubemap", 3), ("cubemap", 6), ("cubemap", 1)])
@pytest.mark.parametrize("side", [128, 256])
def test_every_pixel_has_the_colour_of_its_direction(kind, columns, side):
    (sphere,) = equirect_frames(reader(faces(kind, side, columns)), kind, [0.0], (128, 256))
    errors = angles(sphere)
    assert sphere.shape == (128, 256, 3)
    assert errors.mean() < 0.45  # colours are rounded to 0.45 degrees
    assert errors.max() < 1.5


@pytest.mark.parametrize(("order", "columns"), [("lfrdbu", 3), ("fblrud", 6), ("udrlbf", 1)])
def test_faces_in_another_order_lie_where_their_letters_say(order, columns):
    image = faces("cubemap", 128, columns, order)
    (sphere,) = equirect_frames(reader(image), "cubemap", [0.0], (128, 256), order)
    assert angles(sphere).max() < 1.5
    (wrong,) = equirect_frames(reader(image), "cubemap", [0.0], (128, 256))
    assert angles(wrong).mean() > 30


def test_an_order_that_is_none_is_refused_in_one_line(tmp_path):
    tmp_path.joinpath("clips").mkdir()
    given = ["prepare", str(tmp_path / "clips"), str(tmp_path / "out"), "--layout", "files"]
    for flags, why in (
        (["--projection", "cubemap", "--faces", "rludff"], "expected each of r, l, u, d, f, b"),
        (["--faces", "lfrdbu"], "expected projection cubemap beside it, got auto"),
    ):
        result = CliRunner().invoke(main, [*given, *flags])
        assert result.exit_code == 2
        assert why in result.stderr
        assert not (tmp_path / "out").exists()


def test_faces_stored_16_to_9_are_stretched_to_3_to_2():
    rows = [UPRIGHT[name] for name in ("left", "front", "right")], [LYING[n] for n in ("bottom", "back", "top")]
    stretched = coloured(np.vstack([eac_row(row, 640, 180) for row in rows]))
    (sphere,) = equirect_frames(reader(stretched), "eac", [0.0], (128, 256))
    errors = angles(sphere)
    assert errors.mean() < 0.45
    assert errors.max() < 1.5


@pytest.mark.parametrize(
    ("kind", "shape", "stereo", "why"),
    [
        ("eac", (128, 256), "", "expected frames of 3x2 faces .eac., these are 256x128"),
        ("eac", (64, 384), "", "these are 384x64"),
        ("cubemap", (100, 100), "", "expected frames of 3x2, 6x1 or 1x6 faces .cubemap., these are 100x100"),
        ("eac", (128, 192), "top-bottom", "expected monoscopic frames of eac faces, the header says top-bottom stereo"),
    ],
)
def test_frames_without_faces_are_refused_in_one_line(kind, shape, stereo, why):
    with pytest.raises(InputError, match=why):
        check_faces(reader(np.zeros((*shape, 3), np.uint8), stereo), kind)


def test_prepare_converts_faces_and_keeps_directions(tmp_path, sines):
    clips = tmp_path / "clips"
    clips.mkdir()
    image = faces("eac")
    write_video(clips / "eac.mp4", [image] * 30, 30.0, crf=5)
    write_audio(clips / "eac.wav", encode(torch.from_numpy(sines(1, seconds=1.0)[0][0]), 1.0, 0.0), 48000)
    write_video(clips / "equirect.mp4", [np.zeros((64, 128, 3), np.uint8)] * 30, 30.0)
    write_audio(clips / "equirect.wav", encode(torch.from_numpy(sines(1, seconds=1.0)[0][0]), 1.0, 0.0), 48000)
    given = ["prepare", str(clips), str(tmp_path / "out"), "--layout", "files", "--workers", "1", "--height", "128"]
    result = CliRunner().invoke(main, [*given, "--projection", "eac"])
    assert result.exit_code == 1, result.output  # one of two is no EAC
    (row,) = read_manifest(tmp_path / "out")
    assert (row.key, row.width, row.height) == ("eac", 256, 128)
    assert "these are 128x64" in " ".join(result.output.split())
    shown = read_frames(tmp_path / "out" / row.video, [0.5])[0].permute(1, 2, 0).numpy()
    assert np.median(angles(shown)) < 1.5


@pytest.mark.parametrize("kind", ["eac", "cubemap"])
def test_labelled_faces_of_a_real_file_lie_where_its_equirectangular_form_has_them(media, kind):
    equirect = cv2.resize(cv2.imread(str(media("free/images/egjs_equi.jpg"))), (512, 256), interpolation=cv2.INTER_AREA)
    image = cv2.imread(str(media(f"free/images/egjs_{kind}.jpg")))
    (sphere,) = equirect_frames(reader(image), kind, [0.0], (256, 512))
    # Without faces that these files turn by 180 degrees against YouTube's and FFmpeg's.
    rows = slice(0, 180) if kind == "eac" else slice(78, 178)
    one, other = (cv2.GaussianBlur(each[rows].astype(np.float32), (0, 0), 2).ravel() for each in (sphere, equirect))
    assert np.corrcoef(one, other)[0, 1] > 0.98
