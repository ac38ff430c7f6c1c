"""Which cells of a frame change with the audio: one of two objects of a class pulses with its sound."""

# B windows, T frames of video, C courses of a cell, P cells, h and w rows and columns of cells, N classes
# K bands and S frames of the spectrogram

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

COURSES = 4
"""C, courses of each cell over time: brightness and chroma, of the cell and of its neighbourhood."""
LEAST = 0.02
"""Standard deviation over time of a course below which its changes are noise."""


def cell_courses(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Courses over time of brightness and of chroma, of each cell and of the 3 x 3 cells about it.

    Chroma is the largest minus the smallest of red, green and blue. An object is larger than a cell and moves through
    it: the sum over its neighbourhood changes with its size alone.

    Args:
        frames: of a window, equirectangular, uint8 `(T, 3, H, W)`.
        size: rows and columns of cells.

    Returns:
        `(C * T, h, w)`, see `COURSES`.
    """
    planes = [frames.float().mean(1), (frames.amax(1) - frames.amin(1)).float()]
    cells = functional.adaptive_avg_pool2d(torch.stack(planes, 1) / 255, size)
    return rearrange(torch.cat([cells, around(cells)], 1), "T C h w -> (C T) h w")


def around(cells: Tensor) -> Tensor:
    """Sum over the 3 x 3 cells about each one, over 3: what changes in one of them counts a third.

    Args:
        cells: `(B, C, h, w)` of equirectangular frames; rows are repeated at the poles.
    """
    wide = functional.pad(cells, (1, 1, 0, 0), "circular")
    return 3 * functional.avg_pool2d(functional.pad(wide, (0, 0, 1, 1), "replicate"), 3, 1)


class PulseScores(nn.Module):
    """Scores of cells for each class: correlation over time of the courses of a cell with the level of the audio.

    The level is a weighted mean of log magnitudes of bands, with weights of the class. Scores are 0 at the start.

    Args:
        planes: C * T, of `cell_courses`.
        frames: T.
        classes: N.
        size: K bands and S frames of the spectrogram; see `frame_windows`.
        step: frames of the spectrogram between two frames of the video.
    """

    windows: Tensor

    def __init__(self, planes: int, frames: int, classes: int, size: tuple[int, int], step: float) -> None:
        super().__init__()
        self.frames = frames
        self.bands = nn.Parameter(torch.full((classes, size[0]), 1 / size[0]))
        self.weights = nn.Parameter(torch.zeros(classes, planes // frames))
        self.register_buffer("windows", frame_windows(frames, size[1], step), persistent=False)

    def forward(self, magnitude: Tensor, courses: Tensor) -> Tensor:
        """Log magnitudes `(B, 1, K, S)` and `(B, C * T, h, w)` to scores `(B, N, P)`, float32."""
        with torch.autocast(magnitude.device.type, enabled=False):
            level_BNT = self.bands @ (magnitude[:, 0].float() @ self.windows)
            course_BCTP = rearrange(courses.float(), "B (C T) h w -> B C T (h w)", T=self.frames)
            correlation = torch.einsum("BNT,BCTP->BNCP", standardised(level_BNT, -1), standardised(course_BCTP, 2))
            return torch.einsum("BNCP,NC->BNP", correlation / self.frames, self.weights)


def frame_windows(frames: int, columns: int, step: float) -> Tensor:
    """Means over the frames of a spectrogram about each frame of the video, `(S, T)`.

    Args:
        frames: T; the middle one, after half of them, is in the middle of the spectrogram.
        columns: S.
        step: frames of the spectrogram between two frames of the video.
    """
    centres = (columns - 1) / 2 + (torch.arange(frames) - frames // 2) * step
    near = (1 - (torch.arange(columns)[:, None] - centres).abs() / max(step, 1.0)).clamp(min=0)
    return near / near.sum(0, keepdim=True).clamp(min=1e-6)


def standardised(course: Tensor, axis: int) -> Tensor:
    """A course over time with mean 0 and a standard deviation of at most 1, below it where it hardly changes."""
    centred = course - course.mean(axis, keepdim=True)
    return centred / (centred.square().mean(axis, keepdim=True) + LEAST**2).sqrt()
