"""Audio-visual fusion per time step, for binary classification of clips (Yang, Russell & Salamon, CVPR 2020)."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from avssl.models.encoders import Encoders
from avssl.models.tower import TowerOutput, map_shape

# B clips, C channels, T time steps, H and W rows and columns of the feature map, F frequency bands

VISUAL_CHANNELS, AUDIO_CHANNELS, HIDDEN, BANDS = 16, 256, 512, 8
"""Channels per visual cell, per audio time step, and of the hidden layers; frequency bands: those of the paper."""


class Fusion(nn.Module):
    """Classifier of video and audio features that keeps position in the frame and time.

    Each cell of the visual map is projected to 16 channels and each audio time step to 256; they are concatenated at
    the time steps of the audio, pass two layers of 512, and are averaged over time. The pooled embeddings of both
    towers are concatenated at every time step, so that they are trained too.

    Args:
        encoders: source of the feature maps and embeddings.
        rows: rows of the grid that visual maps are averaged into.
        columns: columns of that grid.
    """

    def __init__(self, encoders: Encoders, rows: int = 7, columns: int = 7) -> None:
        super().__init__()
        self.rows, self.columns = rows, columns
        visual = map_shape(encoders.video.tower, 3, 16, 128, 128)[0]
        audio = map_shape(encoders.audio.tower, encoders.features.maps, 128, 128)[0]
        projection = nn.Conv3d(visual, VISUAL_CHANNELS, 1, bias=False)
        self.visual_projection = nn.Sequential(projection, nn.BatchNorm3d(VISUAL_CHANNELS), nn.ReLU())
        self.audio_projection = nn.Sequential(nn.Conv2d(audio, AUDIO_CHANNELS, (1, BANDS)), nn.ReLU())
        width = VISUAL_CHANNELS * rows * columns + AUDIO_CHANNELS + encoders.video_width + encoders.audio_width
        self.joint = nn.Sequential(nn.Conv1d(width, HIDDEN, 1), nn.ReLU(), nn.Conv1d(HIDDEN, HIDDEN, 1), nn.ReLU())
        self.out = nn.Linear(HIDDEN, 1)

    def forward(self, video: TowerOutput, audio: TowerOutput) -> Tensor:
        """Logits `(B,)` from the outputs of both towers."""
        bands = functional.adaptive_avg_pool2d(audio.maps, (audio.maps.shape[2], BANDS))
        audio_BCT = self.audio_projection(bands).squeeze(-1)
        grid = (video.maps.shape[2], self.rows, self.columns)
        cells = functional.adaptive_avg_pool3d(self.visual_projection(video.maps), grid)
        steps = audio_BCT.shape[-1]
        cells_BCT = functional.interpolate(rearrange(cells, "B C T H W -> B (C H W) T"), steps, mode="linear")
        pooled_BCT = torch.cat([video.embedding, audio.embedding], 1)[..., None].expand(-1, -1, steps)
        joint: Tensor = self.joint(torch.cat([cells_BCT, audio_BCT, pooled_BCT], 1))
        logit: Tensor = self.out(joint.mean(-1))
        return logit[:, 0]
