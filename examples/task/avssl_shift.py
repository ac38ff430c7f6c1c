"""A pretext task in a distribution of its own: was the sound shifted in time?"""

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
    """A recipe's `options:` fills these."""

    share: float = 0.5
    """Part of the clip by which the sound of half of the clips is shifted."""

    def __post_init__(self) -> None:
        """Validate the share: `InputError` is shown in one line, any other exception with its traceback."""
        if not 0 < self.share < 1:
            raise InputError(f"expected options.share between 0 and 1, got {self.share}")


class Shift(Task):
    """Tells sound that runs with the picture from sound that was shifted (Owens & Efros 2018)."""

    Options = ShiftOptions

    def __init__(self, encoders: Encoders, options: ShiftOptions) -> None:
        super().__init__(encoders, options)
        self.answer = nn.Linear(encoders.video_width + encoders.audio_width, 1)

    def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """Frames, sound, and whether that was shifted; drawn in a loader process."""
        shifted = bool(rng.integers(2))
        samples = round(self.options.share * clip.audio.shape[-1]) if shifted else 0
        return {"frames": clip.frames, "audio": clip.audio.roll(samples, -1), "label": torch.tensor(float(shifted))}

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The loss to minimise and an accuracy to log; runs on the device."""
        seen, heard = self.encoders.video(batch["frames"]), self.encoders.audio(batch["audio"])
        logit = self.answer(torch.cat([seen, heard], -1))[:, 0]
        right = ((logit > 0) == (batch["label"] > 0.5)).float().mean()
        return {"loss": nn.functional.binary_cross_entropy_with_logits(logit, batch["label"]), "shift_acc": right}
