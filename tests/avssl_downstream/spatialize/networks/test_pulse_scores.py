"""PulseScores: cells that change with the level of the audio, and no others, have a score."""

from __future__ import annotations

import math

import pytest
import torch
from avssl_downstream.spatialize.networks.pulse_scores import (
    COURSES,
    PulseScores,
    around,
    cell_courses,
    frame_windows,
    standardised,
)

FRAMES, COLUMNS, STEP = 8, 54, 6  # the fifth frame is in the middle
LEVEL = torch.tensor([0.0, 1, 0, 0, 1, 1, 0, 1])


def scores() -> PulseScores:
    """Of one class, by brightness alone."""
    found = PulseScores(COURSES * FRAMES, FRAMES, 1, (4, COLUMNS), STEP)
    found.weights.data[:, 0] = 1
    return found


def audio() -> torch.Tensor:
    """Log magnitudes whose level follows `LEVEL`."""
    return 3 * torch.cat([LEVEL, LEVEL[-1:]]).repeat_interleave(STEP).expand(1, 1, 4, -1)


def test_the_sounding_one_of_two_twins_has_the_score():
    frames = torch.full((1, FRAMES, 3, 16, 32), 90, dtype=torch.uint8)
    frames[0, :, :, :8, 8:16] += (80 * LEVEL).byte()[:, None, None, None]  # pulses with the audio
    frames[0, :, :, 8:, 24:] += (80 * (1 - LEVEL)).byte()[:, None, None, None]  # against it
    frames[0, :, :, 8:, :8] += (80 * LEVEL.roll(1)).byte()[:, None, None, None]  # at other times
    courses = cell_courses(frames[0], (2, 4))[None]
    assert courses.shape == (1, COURSES * FRAMES, 2, 4)
    with torch.no_grad():
        found = scores()(audio(), courses).reshape(2, 4)
    deviation = 80 / 255 * 0.5  # of a course that is 0 or 1 half of the time
    assert found[0, 1] == pytest.approx(deviation / math.hypot(deviation, 0.02), rel=0.02)
    assert found[1, 3] == pytest.approx(-found[0, 1].item(), abs=1e-5)
    assert abs(found[1, 0]) < 0.6 * found[0, 1]
    assert not found[0, 2].any()
    assert not found[0, 0].any()


def test_scores_are_nothing_at_the_start():
    found = PulseScores(COURSES * FRAMES, FRAMES, 3, (4, COLUMNS), 6.0)
    assert not found(audio(), torch.rand(1, COURSES * FRAMES, 2, 4)).any()


@pytest.mark.parametrize("frames", [8, 9])
def test_windows_of_frames_are_means_about_their_times(frames):
    windows = frame_windows(frames, COLUMNS, 5.0)
    torch.testing.assert_close(windows.sum(0), torch.ones(frames))
    times = torch.arange(COLUMNS).float() @ windows
    torch.testing.assert_close(times, 26.5 + 5 * (torch.arange(frames) - 4), atol=1e-4, rtol=0)


def test_what_does_not_change_is_not_amplified():
    course = torch.tensor([[1.0, 1, 1, 1], [1, 1.001, 1, 1.001]])
    assert standardised(course, 1).abs().max() < 0.03


def test_an_object_that_crosses_cells_is_found_by_the_chroma_of_their_neighbourhood():
    frames = torch.full((1, FRAMES, 3, 48, 96), 128, dtype=torch.uint8)  # 6 x 12 cells
    for number, level in enumerate(LEVEL.tolist()):
        left, half = 28 + 2 * number, 5 + int(level)  # moves by two cells; as bright as all else
        frames[0, number, 0, 20 - half : 20 + half, left - half : left + half] = 228
        frames[0, number, 2, 20 - half : 20 + half, left - half : left + half] = 28
    courses = cell_courses(frames[0], (6, 12))[None]
    assert courses.shape == (1, COURSES * FRAMES, 6, 12)
    found = PulseScores(COURSES * FRAMES, FRAMES, 1, (4, COLUMNS), STEP)

    def of_course(number: int) -> torch.Tensor:
        found.weights.data[:] = torch.eye(COURSES)[number]
        with torch.no_grad():
            return found(audio(), courses).reshape(6, 12)[2, 3:6]

    assert of_course(3)[1] > 0.9  # chroma of the neighbourhood of its middle cell
    assert of_course(1)[1] < 0.5  # of the cell alone
    assert of_course(0).abs().max() < 0.2  # brightness


def test_a_neighbourhood_goes_around_the_seam_and_repeats_the_poles():
    cells = torch.zeros(1, 1, 3, 5)
    cells[..., 1, 0], cells[..., 0, 2] = 3, 6
    expected = torch.tensor([[1.0, 5, 4, 4, 1], [1, 3, 2, 2, 1], [1, 1, 0, 0, 1]])
    torch.testing.assert_close(around(cells)[0, 0], expected)


def test_a_turned_frame_turns_the_courses_of_neighbourhoods():
    frames = torch.randint(256, (FRAMES, 3, 24, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    turned = cell_courses(frames.roll(8, -1), (3, 6))
    torch.testing.assert_close(turned, cell_courses(frames, (3, 6)).roll(1, -1), atol=1e-6, rtol=1e-5)
