"""Generators with known output, and files for them."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from avssl_downstream.spatialize.generator import Generator
from torch import Tensor, nn

from avssl.config import NoOptions
from avssl.media import write_video
from avssl.media.mp4.spatial_mp4 import write_spatial_mp4

RATE = 16000


@dataclass
class Encoded:
    """How many groups of frames were encoded."""

    frames: int = 0


class Pan(Generator):
    """All audio goes to the brighter side of the frame; counts the frames that are encoded."""

    Options = NoOptions
    output = "binaural"
    sample_rate, seconds, hop, frames, frame_rate, size = RATE, 0.2, 0.05, 1, 10.0, (8, 16)

    def __init__(self, options: object = None, branch: object = None) -> None:
        super().__init__(options, branch)
        self.device, self.encoded = nn.Parameter(torch.zeros(())), Encoded()

    def views(self, clip, rng):
        return {"audio": clip.audio}

    def forward(self, batch):
        return {"loss": self.device}

    def encode_video(self, frames: Tensor) -> Tensor:
        self.encoded.frames += len(frames)
        half = frames.float().mean((1, 2, 3)).unflatten(-1, (2, 8)).mean(-1)
        return torch.softmax(half, -1)

    def generate(self, mono: Tensor, features: Tensor) -> Tensor:
        return 2 * mono[:, None] * features[:, :, None]

    def ideal_mask_output(self, truth: Tensor) -> Tensor:
        return truth


class Round(Pan):
    """The same all around: left is Y."""

    output, panoramic = "foa", True

    def generate(self, mono: Tensor, features: Tensor) -> Tensor:
        side = (features[:, :1] - features[:, 1:]) * mono
        return torch.stack([mono, side, 0 * mono, 0 * mono], 1)


class Sharper(Pan):
    """Second order of a first-order input: U is X, the rest is silent."""

    output, panoramic = "second-order", True

    def generate(self, mono: Tensor, features: Tensor) -> Tensor:
        return torch.cat([mono, torch.zeros(len(mono), 4, mono.shape[-1]), mono[:, 3:]], 1)


@pytest.fixture
def sharper() -> Sharper:
    return Sharper().eval()


@pytest.fixture
def pan() -> Pan:
    return Pan().eval()


@pytest.fixture
def around() -> Round:
    return Round().eval()


@pytest.fixture
def film(tmp_path):
    """Writes a video that is bright on the left before `at` seconds and on the right after, with audio."""

    def write(name="in.mp4", audio=None, seconds=3.0, at=1.0, rate=RATE, size=(90, 160), frame_rate=20.0):
        frames = np.zeros((round(seconds * frame_rate), *size, 3), np.uint8)
        frames[: round(at * frame_rate), :, : size[1] // 2] = 255
        frames[round(at * frame_rate) :, :, size[1] // 2 :] = 255
        silent = tmp_path / f"silent-{name}"
        write_video(silent, frames, frame_rate)
        if audio is None:
            return silent
        write_spatial_mp4(tmp_path / name, silent, [audio], rate, panoramic=False)
        return tmp_path / name

    return write


@pytest.fixture
def tone():
    """A sine, `(1, samples)`."""

    def made(seconds=3.0, hertz=440.0, rate=RATE, level=0.3) -> Tensor:
        return level * torch.sin(2 * torch.pi * hertz * torch.arange(round(seconds * rate)) / rate)[None]

    return made
