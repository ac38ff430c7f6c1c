"""Example of a third-party pretext task: detect audio that is shifted in time."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from avssl.data.clip import Clip
from avssl.errors import InputError
from avssl.models.encoders import Encoders
from avssl.task import Task


@dataclass(frozen=True)
class ShiftOptions:
    """Options, filled from `options:` of a recipe."""

    share: float = 0.5
    """Time shift as a fraction of the clip, applied to half of the clips."""

    def __post_init__(self) -> None:
        """Validate field values: `InputError` is shown in one line, any other exception with its traceback."""
        if not 0 < self.share < 1:
            raise InputError(f"expected options.share between 0 and 1, got {self.share}")


class Shift(Task):
    """Binary classification of audio in sync with the frames or shifted (Owens & Efros 2018)."""

    Options = ShiftOptions

    def __init__(self, encoders: Encoders, options: ShiftOptions) -> None:
        super().__init__(encoders, options)
        self.classifier = nn.Linear(encoders.video_width + encoders.audio_width, 1)

    def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """Frames, audio, and label 1 for shifted audio; runs in a loader process."""
        shifted = bool(rng.integers(2))
        samples = round(self.options.share * clip.audio.shape[-1]) if shifted else 0
        return {"frames": clip.frames, "audio": clip.audio.roll(samples, -1), "label": torch.tensor(float(shifted))}

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Loss to minimise and accuracy to log; runs on the device."""
        video, audio = self.encoders.video(batch["frames"]), self.encoders.audio(batch["audio"])
        logit = self.classifier(torch.cat([video, audio], -1))[:, 0]
        accuracy = ((logit > 0) == (batch["label"] > 0.5)).float().mean()
        return {"loss": nn.functional.binary_cross_entropy_with_logits(logit, batch["label"]), "shift_acc": accuracy}

    def reference_scores(self, batch: dict[str, Tensor], scenes: object) -> dict[str, float]:
        """Optional: chance of the accuracy; with the ground truth of `scenes` also ideal observers."""
        return {"shift_acc_chance": 0.5}
