"""Audio-visual spatial alignment (AVSA): match crops with the audio rotated to them (Morgado 2020, stage 2)."""

# B clips, K crops of a clip, D embedding

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from avssl.config_fields import choice
from avssl.errors import InputError
from avssl.losses import NEGATIVES, alignment_accuracy, alignment_loss, process_count
from avssl.metric_learning import alignment_negatives
from avssl.models.cross_modal_transformer import CrossModalTransformer
from avssl.models.encoders import Encoders
from avssl_tasks.avc import Avc, AvcOptions, guided_share, mean_scalars


@dataclass(frozen=True)
class AvsaOptions(AvcOptions):
    """Crops, augmentation and loss; defaults of the AVSA paper, whose code did not enforce its `min_separation`."""

    crops: int = 4
    """Crops of a clip, all at one time, at least 2."""
    min_separation: float = 36.0
    """Degrees; least angle between the centres of two crops of a clip."""
    negatives: str = choice("easy+hard", NEGATIVES)
    """easy (other clips), hard (other crops of the same clip) or easy+hard."""
    transformer: int = 0
    """Layers of the cross-modal transformers that predict one modality from the other; 2 in AVSA, 0: none."""
    dropout: float = 0.1
    """Dropout probability in those transformers."""

    def __post_init__(self) -> None:
        """Validate field values."""
        super().__post_init__()
        if self.crops < 2:
            raise InputError(f"expected at least 2 crops of a clip for avsa, got {self.crops}")
        if self.audio_rotation != "crop":
            raise InputError(f"expected audio_rotation=crop for avsa, got {self.audio_rotation!r}")
        if self.transformer < 0 or not 0 <= self.dropout < 1:
            raise InputError(
                f"expected transformer >= 0 and 0 <= dropout < 1, got {self.transformer} and {self.dropout}"
            )


class Avsa(Avc):
    """Contrastive loss between each crop and the audio rotated to it, against other crops of the clip and other clips.

    Views, heads and embeddings are those of `Avc`. With transformers, the query is not a crop's own embedding but the
    one that a transformer predicts in the other modality from all crops of the clip.

    Args:
        encoders: video and audio towers.
        options: crops, augmentation, transformers, loss.
    """

    Options = AvsaOptions
    options: AvsaOptions
    accuracies: ClassVar[tuple[str, ...]] = ("avsa_acc", "avc_acc")

    def __init__(self, encoders: Encoders, options: AvsaOptions) -> None:
        super().__init__(encoders, options)
        if options.transformer:
            depth, dropout = options.transformer, options.dropout
            self.v2a_transformer = CrossModalTransformer(encoders.video_width, depth, dropout=dropout)
            self.a2v_transformer = CrossModalTransformer(encoders.audio_width, depth, dropout=dropout)
            self.audio_pred_head = nn.Linear(encoders.video_width, options.embedding)
            self.video_pred_head = nn.Linear(encoders.audio_width, options.embedding)

    def project(self, video: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Projections `(B, K, D)` that the loss compares; with transformers those of both directions, concatenated."""
        if not self.options.transformer:
            return super().project(video, audio)
        predicted = self.audio_pred_head(self.v2a_transformer(video)), self.video_pred_head(self.a2v_transformer(audio))
        parts = (predicted[0], self.video_head(video)), (self.audio_head(audio), predicted[1])
        left, right = (torch.cat([functional.normalize(each, dim=-1) for each in side], -1) for side in parts)
        return left, right

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """`loss`; `avsa_acc` among the crops of the own clip (chance 1/K), `avc_acc` among the clips (chance 1/B).

        With a miner also `mined`: the fraction of negative pairs selected.

        Accuracies are of video-to-audio retrieval.
        """
        features = (rearrange(each, "(b k) d -> b k d", k=self.options.crops) for each in self.encode(batch))
        video_features, audio_features = features
        video, audio = self.video_head(video_features), self.audio_head(audio_features)
        from_video, from_audio = video, audio
        if self.options.transformer:
            from_video = self.audio_pred_head(self.v2a_transformer(video_features))
            from_audio = self.video_pred_head(self.a2v_transformer(audio_features))
        loss = mean_scalars([self._alignment(from_video, audio), self._alignment(from_audio, video)])
        accuracy = alignment_accuracy(from_video, audio)
        return {**loss, "avsa_acc": accuracy.hard, "avc_acc": accuracy.easy, **guided_share(batch)}

    def _alignment(self, predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Loss of one retrieval direction, `(B, K, D)` in both modalities."""
        if self.metric_loss is None:
            return {"loss": alignment_loss(predicted, target, self.options.temperature, self.options.negatives)}
        clips = len(predicted) * process_count()
        negatives = alignment_negatives(clips, self.options.crops, self.options.negatives, predicted.device)
        return cast(dict[str, Tensor], self.metric_loss(predicted.flatten(0, 1), target.flatten(0, 1), negatives))
