"""Audio-visual spatial alignment: which sound was heard in the direction of which crop? (Morgado 2020, stage 2)."""

# B clips, K crops of a clip, D embedding

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from einops import rearrange
from torch import Tensor, nn

from avssl.config import choice
from avssl.errors import InputError
from avssl.losses import NEGATIVES, alignment_accuracy, alignment_loss, processes
from avssl.metric_learning import alignment_negatives
from avssl.models.cross_modal_transformer import CrossModalTransformer
from avssl.models.encoders import Encoders
from avssl_tasks.avc import Avc, AvcOptions, mean_scalars


@dataclass(frozen=True)
class AvsaOptions(AvcOptions):
    """Crops, augmentation and loss; the defaults are AVSA's, the angle between crops the one that it meant to keep."""

    crops: int = 4
    """Crops of one instant, at least 2."""
    min_separation: float = 36.0
    """Degrees between the centres of any two crops of a clip."""
    negatives: str = choice("easy+hard", NEGATIVES)
    """easy (other clips), hard (other crops of the own clip) or easy+hard."""
    transformer: int = 0
    """Layers that translate each modality's crops to the other's before they are compared, AVSA's 2; 0: none."""
    dropout: float = 0.1
    """Share of what each attention and perceptron of those layers adds that is dropped in training."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        super().__post_init__()
        if self.crops < 2:
            raise InputError(f"avsa tells crops of one clip apart and needs at least 2, not {self.crops}")
        if self.audio != "rotate":
            raise InputError(f"avsa hears each crop with the sound turned to it: sound is rotate, not {self.audio!r}")
        if self.transformer < 0 or not 0 <= self.dropout < 1:
            raise InputError(f"transformer >= 0 and 0 <= dropout < 1, not {self.transformer} and {self.dropout}")


class Avsa(Avc):
    """Each crop must find its own sound, and each sound its crop, among the own clip's crops and the other clips.

    Views, heads and embeddings are those of `Avc`. With transformers, it is not a crop's own embedding that searches,
    but the one that a transformer predicts in the other modality, from all crops of the clip.

    Args:
        encoders: the shared towers.
        options: crops, augmentation, transformers, loss.
    """

    Options = AvsaOptions
    options: AvsaOptions

    def __init__(self, encoders: Encoders, options: AvsaOptions) -> None:
        super().__init__(encoders, options)
        if options.transformer:
            depth, dropout = options.transformer, options.dropout
            self.v2a_transformer = CrossModalTransformer(encoders.video_width, depth, dropout=dropout)
            self.a2v_transformer = CrossModalTransformer(encoders.audio_width, depth, dropout=dropout)
            self.audio_pred_head = nn.Linear(encoders.video_width, options.embedding)
            self.video_pred_head = nn.Linear(encoders.audio_width, options.embedding)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """`loss`; `avsa_acc` among the crops of the own clip (chance 1/K), `avc_acc` among the clips (chance 1/B).

        With a miner also `mined`: the share of negative pairs that it kept.

        Accuracies are of finding the sound from the picture.
        """
        seen, heard = (rearrange(each, "(b k) d -> b k d", k=self.options.crops) for each in self.encoded(batch))
        video, audio = self.video_head(seen), self.audio_head(heard)
        from_video, from_audio = video, audio
        if self.options.transformer:
            from_video = self.audio_pred_head(self.v2a_transformer(seen))
            from_audio = self.video_pred_head(self.a2v_transformer(heard))
        loss = mean_scalars([self._alignment(from_video, audio), self._alignment(from_audio, video)])
        accuracy = alignment_accuracy(from_video, audio)
        return {**loss, "avsa_acc": accuracy.hard, "avc_acc": accuracy.easy}

    def _alignment(self, predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Loss in one direction, of `(B, K, D)` in both modalities."""
        if self.metric_loss is None:
            return {"loss": alignment_loss(predicted, target, self.options.temperature, self.options.negatives)}
        clips = len(predicted) * processes()
        negatives = alignment_negatives(clips, self.options.crops, self.options.negatives, predicted.device)
        return cast(dict[str, Tensor], self.metric_loss(predicted.flatten(0, 1), target.flatten(0, 1), negatives))
