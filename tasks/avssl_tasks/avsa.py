"""Audio-visual spatial alignment: which sound was heard in the direction of which crop? (Morgado 2020, stage 2)."""

# B clips, K crops of a clip, D embedding

from __future__ import annotations

from dataclasses import dataclass

from einops import rearrange
from torch import Tensor

from avssl.losses import NEGATIVES, alignment_accuracy, alignment_loss
from avssl.plugins import hint
from avssl_tasks.avc import Avc, AvcOptions


@dataclass(frozen=True)
class AvsaOptions(AvcOptions):
    """Crops, augmentation and loss; the defaults are AVSA's, the angle between crops the one that it meant to keep."""

    crops: int = 4
    """Crops of one instant, at least 2."""
    least_angle: float = 36.0
    """Degrees between the centres of any two crops of a clip."""
    negatives: str = "easy+hard"
    """easy (other clips), hard (other crops of the own clip) or easy+hard."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        super().__post_init__()
        if self.crops < 2:
            raise ValueError(f"avsa tells crops of one clip apart and needs at least 2, not {self.crops}")
        if self.sound != "rotate":
            raise ValueError(f"avsa hears each crop with the sound turned to it: sound is rotate, not {self.sound!r}")
        if self.negatives not in NEGATIVES:
            known = ", ".join(NEGATIVES)
            raise ValueError(f"negatives are {known}, not {self.negatives!r}{hint(self.negatives, NEGATIVES)}")


class Avsa(Avc):
    """Each crop must find its own sound, and each sound its crop, among the own clip's crops and the other clips.

    Views, heads and embeddings are those of `Avc`.
    """

    Options = AvsaOptions
    options: AvsaOptions

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """`loss`; `avsa_acc` among the crops of the own clip (chance 1/K), `avc_acc` among the clips (chance 1/B)."""
        found = self.embeddings(batch)
        video, audio = (rearrange(found[name], "(b k) d -> b k d", k=self.options.crops) for name in ("video", "audio"))
        settings = self.options.temperature, self.options.negatives
        loss = (alignment_loss(video, audio, *settings) + alignment_loss(audio, video, *settings)) / 2
        accuracy = alignment_accuracy(video, audio)
        return {"loss": loss, "avsa_acc": accuracy.hard, "avc_acc": accuracy.easy}
