"""Viewports of a labelled pattern, and of frames whose colours encode the direction of each pixel."""

from __future__ import annotations

import math

import av
import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from avssl.spatial.ambisonics import angles, direction, rotation
from avssl.spatial.viewport import crop, crop_poses, project, viewport_map, wrap

QUARTER = math.pi / 2
# Faces of the labelled cube: position in the 3x2 image, azimuth, elevation, and roll of the text.
FACES = {
    "right": ((0, 0), -QUARTER, 0.0, 0.0),
    "left": ((0, 1), QUARTER, 0.0, 0.0),
    "top": ((0, 2), 0.0, QUARTER, math.pi),
    "bottom": ((1, 0), 0.0, -QUARTER, math.pi),
    "front": ((1, 1), 0.0, 0.0, 0.0),
    "back": ((1, 2), math.pi, 0.0, 0.0),
}
VIEWS = [
    (0.0, 0.0, 0.0),
    (1.0, 0.4, 0.0),
    (-2.0, -0.5, 1.2),
    (math.pi, 0.0, 0.0),
    (3.0, 0.1, -0.7),
    (-3.1, 0.9, 2.9),
    (0.0, QUARTER, 0.0),
    (2.3, -QUARTER, 0.4),
    (1.0, 1.4, -0.3),
]


def rays(height: int, width: int, fov: float, azimuth: float, elevation: float, roll: float) -> np.ndarray:
    """Unit vectors `(height, width, 3)` through the pixel centres, an independent implementation."""
    across = math.tan(fov / 2)
    left = -across * (2 * (np.arange(width) + 0.5) / width - 1)
    up = -across * height / width * (2 * (np.arange(height) + 0.5) / height - 1)
    camera = np.stack([np.ones((height, width)), *np.meshgrid(left, up)], -1)
    pose = Rotation.from_euler("ZYX", [azimuth, -elevation, roll]).as_matrix()
    return camera @ pose.T / np.linalg.norm(camera, axis=-1, keepdims=True)


def compass(height: int, width: int) -> np.ndarray:
    """A frame `(height, width, 3)` whose colour is the direction of each pixel."""
    azimuth = (1 - 2 * (np.arange(width) + 0.5) / width) * np.pi
    elevation = (1 - 2 * (np.arange(height)[:, None] + 0.5) / height) * np.pi / 2
    level = np.cos(elevation)
    up = np.sin(elevation) + 0 * azimuth
    return np.stack([np.cos(azimuth) * level, np.sin(azimuth) * level, up], -1).astype(np.float32)


def degrees_apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    chord = np.linalg.norm(one / np.linalg.norm(one, axis=-1, keepdims=True) - other, axis=-1)
    return np.degrees(2 * np.arcsin(np.minimum(chord / 2, 1)))


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of the brightness of two images, independent of the background colour."""
    return float(np.corrcoef(one.mean(-1).ravel(), other.mean(-1).ravel())[0, 1])


def seen(frame: np.ndarray, azimuth: float, elevation: float, roll: float = 0.0, fov: float = QUARTER) -> np.ndarray:
    """One square view `(256, 256, 3)` of a frame `(height, width, 3)`."""
    frames = torch.from_numpy(frame).permute(2, 0, 1).unsqueeze(0).contiguous()
    return crop(frames, torch.tensor([[azimuth, elevation]]), fov, 256, roll)[0, 0].permute(1, 2, 0).numpy()


@pytest.fixture
def pattern(media):
    return cv2.resize(cv2.imread(str(media("free/images/egjs_equi.jpg"))), (1024, 512), interpolation=cv2.INTER_AREA)


@pytest.fixture
def faces(media):
    cube = cv2.imread(str(media("free/images/egjs_cubemap.jpg")))
    cube = cv2.resize(cube, (768, 512), interpolation=cv2.INTER_AREA)
    return {
        name: cube[256 * row : 256 * (row + 1), 256 * column : 256 * (column + 1)]
        for name, ((row, column), *_) in FACES.items()
    }


@pytest.fixture
def noise(generator):
    """Frames of smooth random colours without a seam."""
    small = torch.randint(0, 256, (5, 3, 16, 32), generator=generator, dtype=torch.uint8)
    frames = torch.nn.functional.interpolate(small.float(), scale_factor=8, mode="nearest")
    return frames.byte()


@pytest.mark.parametrize("name", FACES)
def test_every_face_of_the_labelled_cube_is_in_place_and_upright(pattern, faces, name):
    _, azimuth, elevation, roll = FACES[name]
    view = seen(pattern, azimuth, elevation, roll)
    assert likeness(view, faces[name]) > 0.95
    assert np.abs(view.mean((0, 1)) - faces[name].mean((0, 1))).max() < 3
    others = [face for other, face in faces.items() if other != name]
    wrong = [np.rot90(faces[name], turns) for turns in (1, 2, 3)] + [faces[name][:, ::-1], faces[name][::-1]]
    assert max(likeness(view, face) for face in others + wrong) < 0.6


@pytest.mark.parametrize("name", ["egjs_test_equi.mp4", "egjs_test_equi_512.mp4"])
def test_the_labelled_video_shows_its_faces(media, faces, name):
    with av.open(str(media(f"free/video360/{name}"))) as container:
        frame = next(container.decode(video=0)).to_ndarray(format="bgr24")
    frame = cv2.resize(frame, (512, 256), interpolation=cv2.INTER_AREA)
    for side, (_, *view) in FACES.items():
        found = seen(frame, *view)
        assert max(faces, key=lambda face: likeness(found, faces[face])) == side
        assert likeness(found, faces[side]) > 0.75


def test_roll_lifts_the_left_of_the_camera(pattern, faces):
    # The top is now on the left: the image rotates counter-clockwise.
    assert likeness(seen(pattern, 0.0, 0.0, QUARTER), np.rot90(faces["front"])) > 0.95


def test_a_view_between_front_and_left_shows_half_of_each(pattern):
    view = seen(pattern, QUARTER / 2, 0.0)
    cyan, green = view[60:100, 30], view[60:100, -30]
    assert (cyan[:, 0] > 200).all()
    assert (cyan[:, 2] < 150).all()
    assert (green[:, 0] < 150).all()
    assert (green[:, 1] > 200).all()


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(("height", "width", "fov"), [(48, 64, 1.0), (64, 64, 0.3), (40, 40, 2.4)])
def test_every_pixel_shows_its_direction(view, height, width, fov):
    azimuth, elevation, roll = view
    maps = viewport_map(height, width, 256, 512, azimuth, elevation, roll, fov)
    found = cv2.remap(wrap(compass(256, 512)), *maps, cv2.INTER_LINEAR)
    # OpenCV rounds to 1/32 pixel, 0.022 degree here, in both axes.
    assert degrees_apart(found, rays(height, width, fov, *view)).max() < 0.025


def test_uint8_crops_show_their_directions_within_rounding():
    coded = np.round(compass(224, 448) * 127.5 + 127.5).astype(np.uint8)
    frames = torch.from_numpy(coded).permute(2, 0, 1)
    frames = torch.stack([frames, 255 - frames])
    azimuth, elevation, roll = torch.tensor(VIEWS).T
    fov = torch.linspace(0.4, 2.0, len(VIEWS))
    views = crop(frames, torch.stack([azimuth, elevation], 1), fov, (48, 64), roll)
    assert views.shape == (len(VIEWS), 2, 3, 48, 64)
    assert views.dtype == torch.uint8
    for index, view in enumerate(VIEWS):
        expected = rays(48, 64, float(fov[index]), *view)
        for time, sign in enumerate((1, -1)):
            found = (views[index, time].permute(1, 2, 0).numpy().astype(np.float64) - 127.5) * sign
            assert degrees_apart(found, expected).max() < 0.7


@pytest.mark.parametrize("width", [8, 9])
def test_wrap_continues_across_seam_and_poles(width):
    frame = np.arange(3 * width, dtype=np.uint8).reshape(3, width, 1)
    padded = wrap(frame)[..., 0]
    inner = frame[..., 0]
    columns = np.arange(-1, width + 1) % width
    np.testing.assert_array_equal(padded[1:-1], inner[:, columns])
    np.testing.assert_array_equal(padded[[0, -1]], inner[[0, -1]][:, (columns - width // 2) % width])


def test_aspect_scales_the_height_only():
    maps = viewport_map(32, 32, 256, 512, 0.3, 0.2, 0.5, 1.0, aspect=0.5)
    found = cv2.remap(wrap(compass(256, 512)), *maps, cv2.INTER_LINEAR)
    # The same directions as 16 rows of square pixels, twice as fine.
    expected = rays(16, 32, 1.0, 0.3, 0.2, 0.5)
    pairs = found.reshape(16, 2, 32, 3).mean(1)
    assert degrees_apart(pairs, expected).max() < 0.05


def largest_step(one, other):
    """Largest difference of uint8 pixels; 1 for vector units that round differently."""
    assert one.shape == other.shape
    return int((one.int() - other.int()).abs().max())


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_several_frames_equal_single_frames(noise, size):
    directions, fov = torch.tensor([[0.3, 0.1], [3.1, -1.2]]), torch.tensor([0.7, 1.4])
    together = crop(noise[:size], directions, fov, 20)
    apart = torch.cat([crop(frame.unsqueeze(0), directions, fov, 20) for frame in noise[:size]], 1)
    assert largest_step(together, apart) <= 1


def test_several_views_equal_single_views(noise):
    azimuth, elevation, roll = torch.tensor(VIEWS).T
    directions, fov = torch.stack([azimuth, elevation], 1), torch.linspace(0.4, 2.0, len(VIEWS))
    together = crop(noise, directions, fov, 20, roll)
    for index in range(len(VIEWS)):
        single = crop(noise, directions[index : index + 1], float(fov[index]), 20, float(roll[index]))
        assert largest_step(together[index], single[0]) <= 1


def test_a_rolled_frame_equals_a_rotated_view(noise):
    width = noise.shape[-1]
    rotated = crop(noise.roll(-37, -1), torch.tensor([[0.2 + 37 / width * 2 * math.pi, 0.4]]), 1.0, 24)
    plain = crop(noise, torch.tensor([[0.2, 0.4]]), 1.0, 24)
    assert (rotated.int() - plain.int()).abs().float().mean() < 1


def test_a_mirrored_frame_has_mirrored_views(noise):
    mirrored = crop(noise.flip(-1), torch.tensor([[-0.4, 0.3]]), 1.0, 24, roll=-0.2)
    plain = crop(noise, torch.tensor([[0.4, 0.3]]), 1.0, 24, roll=0.2)
    assert (mirrored.flip(-1).int() - plain.int()).abs().float().mean() < 1


def test_a_pose_with_its_left_axis_negated_gives_the_mirrored_view(noise):
    azimuth, elevation, roll = torch.tensor(VIEWS).T
    poses, fov = rotation(azimuth, elevation, roll), torch.linspace(0.4, 2.0, len(VIEWS))
    views = crop(noise, torch.stack([azimuth, elevation], 1), fov, 20, roll)
    assert torch.equal(crop_poses(noise, poses, fov, 20), views)
    assert torch.equal(crop_poses(noise, poses * torch.tensor([1, -1, 1]), fov, 20), views.flip(-1))


@pytest.mark.parametrize("view", VIEWS)
def test_project_finds_the_pixel_that_shows_a_direction(view):
    azimuth, elevation, roll = view
    shown = torch.from_numpy(rays(30, 40, 1.2, *view))
    found = project(*angles(shown), (azimuth, elevation), 1.2, (30, 40), roll).float()
    column, row = torch.meshgrid(torch.arange(40) + 0.5, torch.arange(30) + 0.5, indexing="xy")
    torch.testing.assert_close(found, torch.stack([column, row], -1), atol=1e-3, rtol=0)
    assert project(*angles(-shown), (azimuth, elevation), 1.2, (30, 40), roll).isnan().all()


def test_project_finds_a_bright_spot():
    frame = np.zeros((256, 512, 3), np.uint8)
    frame[60, 505] = 255
    azimuth, elevation = (1 - 2 * 505.5 / 512) * math.pi, (1 - 2 * 60.5 / 256) * QUARTER
    view = seen(frame, 3.0, 0.6, 0.3, 0.8)[..., 0].astype(float)
    rows, columns = np.mgrid[:256, :256] + 0.5
    centre = torch.tensor([(columns * view).sum(), (rows * view).sum()]) / view.sum()
    expected = project(azimuth, elevation, (3.0, 0.6), 0.8, 256, 0.3)
    torch.testing.assert_close(centre.float(), expected, atol=0.3, rtol=0)


def test_audio_rotated_with_the_camera_matches_image_positions(directions):
    for azimuth, elevation, roll in VIEWS:
        rotated = direction(*directions) @ rotation(azimuth, elevation, roll)
        image_position = project(*directions, (azimuth, elevation), 1.0, 100, roll)
        audio_position = project(*angles(rotated), (0.0, 0.0), 1.0, 100)
        ahead = rotated[:, 0] > 0.1
        torch.testing.assert_close(audio_position[ahead], image_position[ahead], atol=0.02, rtol=1e-4)


def test_invalid_frames_and_fields_of_view_are_errors(noise):
    where = torch.zeros(1, 2)
    with pytest.raises(ValueError, match="between 0 and pi radians"):
        crop(noise, where, math.pi, 20)
    with pytest.raises(ValueError, match="between 0 and pi radians"):
        crop(noise, where, torch.tensor([0.0]), 20)
    with pytest.raises(ValueError, match=r"frames uint8 \(time, 3, height, width\), got torch.float32"):
        crop(noise.float(), where, 1.0, 20)
    with pytest.raises(ValueError, match=r"got torch.uint8 \(3, 128, 256\)"):
        crop(noise[0], where, 1.0, 20)
