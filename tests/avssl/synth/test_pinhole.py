import math

import numpy as np
import pytest
import torch

from avssl.spatial.ambisonics import angles
from avssl.spatial.viewport import crop, project
from avssl.synth.projection.pinhole import Camera
from avssl.synth.projection.tangent_plane import tangent_basis
from avssl.synth.scene import Format
from avssl.synth.stage.stage_dataset import Shot
from avssl.synth.stage.stage_scene import describe
from avssl.synth.video_render import render_frames

CAMERA = Camera(448, 256, math.radians(90))


@pytest.mark.parametrize("fov", [40, 90, 120])
def test_rays_fall_on_the_centres_of_their_pixels(fov):
    camera = Camera(64, 36, math.radians(fov))
    seen = project(*angles(torch.from_numpy(camera.rays())), (0.0, 0.0), camera.fov, (36, 64))
    rows, columns = np.mgrid[0:36, 0:64] + 0.5
    assert np.abs(seen.numpy() - np.stack([columns, rows], -1)).max() < 1e-3
    x, y = camera.project(camera.rays().astype(float))
    assert np.abs(np.stack([x * 64, y * 36], -1) - seen.numpy()).max() < 1e-3


@pytest.mark.parametrize("place", [(0, 0), (30, 10), (-25, -12), (44, 0), (0, 29)])
def test_a_disc_covers_just_the_directions_within_its_radius(disc, place):
    frame = np.zeros((256, 448, 3), np.uint8)
    basis = tangent_basis(*map(np.asarray, np.radians([*place, 70.0])))
    CAMERA.stamp(frame, disc, basis, math.tan(math.radians(9)))
    off = np.degrees(np.arccos(CAMERA.rays() @ basis[2]))
    wrong = (frame[..., 0] > 127) != (off < 9)
    assert not wrong[np.abs(off - 9) > 0.25].any()


def test_what_is_behind_or_beside_the_camera_is_not_drawn(disc):
    frame = np.zeros((256, 448, 3), np.uint8)
    for azimuth in (180, 90, -120):
        CAMERA.stamp(frame, disc, tangent_basis(*map(np.asarray, np.radians([azimuth, 0.0, 0.0]))), 0.2)
    assert not frame.any()


@pytest.mark.parametrize("index", range(2))
def test_the_camera_sees_what_a_view_of_the_panorama_shows(index):
    """Once drawn by the camera, once cut out of the equirectangular picture of the same scene."""
    shot = Shot(seconds=0.25)
    scene = describe(7, index, shot.fov)
    seen = next(render_frames(scene, shot)).astype(float)
    around = torch.from_numpy(next(render_frames(scene, Format(seconds=0.25, width=1344))))
    cut = crop(around.permute(2, 0, 1)[None], torch.zeros(1, 2), shot.fov, (128, 224))[0, 0].permute(1, 2, 0).numpy()
    assert np.abs(seen - cut).mean() < 4
    assert np.abs(seen[:, ::-1] - cut).mean() > 10
