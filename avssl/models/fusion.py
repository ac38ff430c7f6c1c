"""Pictures and sound, joined instant by instant, to one number a clip (Yang, Russell & Salamon, CVPR 2020)."""

from __future__ import annotations

from copy import deepcopy

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from avssl.models.encoders import Encoders
from avssl.models.tower import Tower, TowerOutput

# B clips, C channels, T steps in time, H and W rows and columns of the picture, F bands of frequency

CELL, HEARD, WIDTH, BANDS = 16, 256, 512, 8
"""Numbers of a place in the picture, of an instant of sound, of both together; bands of frequency: the paper's."""


class Fusion(nn.Module):
    """Classifier of pairs of pictures and sound that knows where in the picture a thing is, and when it was heard.

    Each place of the picture is reduced to 16 numbers and the bands of each instant of sound to 256; they are laid
    side by side at the instants of the sound, go through two layers of 512, and are averaged over time. The pooled
    embeddings of both towers join them at every instant, so that they are trained too.

    Args:
        encoders: whose maps and embeddings come.
        rows: of places that the picture's maps are averaged into.
        columns: likewise.
    """

    def __init__(self, encoders: Encoders, rows: int = 7, columns: int = 7) -> None:
        super().__init__()
        self.rows, self.columns = rows, columns
        seen = _channels(encoders.video.tower, 3, 16, 128, 128)
        heard = _channels(encoders.audio.tower, encoders.features.maps, 128, 128)
        self.cell = nn.Sequential(nn.Conv3d(seen, CELL, 1, bias=False), nn.BatchNorm3d(CELL), nn.ReLU())
        self.instant = nn.Sequential(nn.Conv2d(heard, HEARD, (1, BANDS)), nn.ReLU())
        joined = CELL * rows * columns + HEARD + encoders.video_width + encoders.audio_width
        self.joint = nn.Sequential(nn.Conv1d(joined, WIDTH, 1), nn.ReLU(), nn.Conv1d(WIDTH, WIDTH, 1), nn.ReLU())
        self.out = nn.Linear(WIDTH, 1)

    def forward(self, video: TowerOutput, audio: TowerOutput) -> Tensor:
        """One number for each of `B` clips, `(B,)`, from what both towers make of them."""
        waveform = functional.adaptive_avg_pool2d(audio.maps, (audio.maps.shape[2], BANDS))
        instants_BCT = self.instant(waveform).squeeze(-1)
        places = functional.adaptive_avg_pool3d(self.cell(video.maps), (video.maps.shape[2], self.rows, self.columns))
        steps = instants_BCT.shape[-1]
        places_BCT = functional.interpolate(rearrange(places, "B C T H W -> B (C H W) T"), steps, mode="linear")
        pooled_BCT = torch.cat([video.embedding, audio.embedding], 1)[..., None].expand(-1, -1, steps)
        joint: Tensor = self.joint(torch.cat([places_BCT, instants_BCT, pooled_BCT], 1))
        number: Tensor = self.out(joint.mean(-1))
        return number[:, 0]


def _channels(tower: Tower, *size: int) -> int:
    """Channels of a tower's maps of an input of some size, without computing them."""
    with torch.no_grad():
        return deepcopy(tower).to("meta").maps(torch.zeros(1, *size, device="meta")).shape[1]
