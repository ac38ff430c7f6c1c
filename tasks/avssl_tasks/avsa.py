"""Audio-visual spatial alignment (AVSA): match crops with the audio rotated to them (Morgado 2020, stage 2)."""

# B clips, K crops of a clip, Y yaws or other objects, D embedding

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from avssl.config_fields import choice
from avssl.data.clip import Clip
from avssl.data.crops import Crops
from avssl.data.object_negatives import draw_object_negatives
from avssl.errors import InputError
from avssl.evaluation.localization_scores import CHANCE
from avssl.evaluation.scene_truth import SceneObjects
from avssl.losses import NEGATIVES, alignment_accuracy, alignment_loss, further_accuracy, process_count
from avssl.metric_learning import PREFIX, alignment_negatives
from avssl.models.cross_modal_transformer import NORMS, CrossModalTransformer
from avssl.models.encoders import Encoders
from avssl.spatial.ambisonics import rotation
from avssl.spatial.features import OMNIDIRECTIONAL
from avssl_tasks.avc import Avc, AvcOptions, guided_share, mean_scalars

FURTHER = {"yaw_rotation": "yaw_acc", "object_rotation": "object_acc"}
"""Rotations of further hard negatives in a batch -> accuracy of the right one among them."""


@dataclass(frozen=True)
class AvsaOptions(AvcOptions):
    """Crops, augmentation and loss; defaults of the AVSA paper, whose code did not enforce its `min_separation`."""

    crops: int = 4
    """Crops of a clip, all at one time, at least 2."""
    min_separation: float = 36.0
    """Degrees; least angle between the centres of two crops of a clip."""
    negatives: str = choice("easy+hard", NEGATIVES)
    """easy (other clips), hard (other crops of the same clip) or easy+hard."""
    yaw_negatives: int = 0
    """Number of further hard negatives of each crop: its own audio after as many random yaws of the sound field."""
    min_yaw: float = 30.0
    """Degrees; least yaw of those negatives, either way."""
    max_yaw: float = 180.0
    """Degrees; largest yaw of those negatives, either way."""
    object_negatives: int = 0
    """Number of further hard negatives of each crop: its own audio, rotated so that as many other objects of the clip
    are where the crop shows its own; needs `crop_guide=objects`."""
    transformer: int = 0
    """Layers of the cross-modal transformers that predict one modality from the other; 2 in AVSA, 0: none."""
    transformer_norm: str = choice("post", NORMS)
    """Normalisation in those transformers: post (as published), or pre (residual branches begin at zero, so that a
    prediction begins as the crop's own embedding)."""
    relative_directions: int = 0
    """Order of the spherical harmonics of the directions between crops, bias and value of their attention; 0: none."""
    dropout: float = 0.1
    """Dropout probability in those transformers."""
    embedding_weight: float = 0.0
    """Weight of the contrast between the crops' own embeddings, beside 1 for that of the transformers' predictions;
    0: as published, embeddings are trained through the predictions alone."""

    def __post_init__(self) -> None:
        """Validate field values."""
        super().__post_init__()
        if self.crops < 2:
            raise InputError(f"expected at least 2 crops of a clip for avsa, got {self.crops}")
        if self.audio_rotation != "crop":
            raise InputError(f"expected audio_rotation=crop for avsa, got {self.audio_rotation!r}")
        self._check_transformer()
        if self.yaw_negatives < 0 or not 0 < self.min_yaw < self.max_yaw <= 180:
            found = f"{self.yaw_negatives}, {self.min_yaw:g} and {self.max_yaw:g}"
            raise InputError(f"expected yaw_negatives >= 0 and 0 < min_yaw < max_yaw <= 180 degrees, got {found}")
        if self.object_negatives < 0:
            raise InputError(f"expected object_negatives >= 0, got {self.object_negatives}")
        if self.object_negatives and self.crop_guide != "objects":
            raise InputError(f"expected crop_guide=objects with object_negatives, got {self.crop_guide!r}")
        for name in self.further_negatives():
            if self.loss.startswith(PREFIX):
                raise InputError(f"expected loss info-nce or sigmoid with {name}, got {self.loss!r}")

    def further_negatives(self) -> list[str]:
        """Names of the options that add further hard negatives."""
        return [name for name in ("yaw_negatives", "object_negatives") if getattr(self, name)]

    def _check_transformer(self) -> None:
        if self.transformer < 0 or not 0 <= self.dropout < 1:
            raise InputError(
                f"expected transformer >= 0 and 0 <= dropout < 1, got {self.transformer} and {self.dropout}"
            )
        if self.relative_directions < 0 or (self.relative_directions and not self.transformer):
            found = f"{self.relative_directions} with transformer={self.transformer}"
            raise InputError(f"expected relative_directions >= 0, and 0 without a transformer, got {found}")
        if self.embedding_weight < 0 or (self.embedding_weight and not self.transformer):
            found = f"{self.embedding_weight:g} with transformer={self.transformer}"
            raise InputError(f"expected embedding_weight >= 0, and 0 without a transformer, got {found}")


class Avsa(Avc):
    """Contrastive loss between each crop and the audio rotated to it, against other crops of the clip and other clips.

    Views, heads and embeddings are those of `Avc`. With transformers, the query is not a crop's own embedding but the
    one that a transformer predicts in the other modality from all crops of the clip.

    With `yaw_negatives`, the candidates of a crop also hold its own audio after further yaws: the misalignments of
    AVSA-Bin, dense over the circle, for the price of the audio tower alone. With `object_negatives`, they also hold it
    with other objects in the place of the crop's own, or a random direction where a clip has too few.

    Args:
        encoders: video and audio towers.
        options: crops, augmentation, negatives, transformers, loss.

    Raises:
        InputError: `yaw_negatives` or `object_negatives` with features that no rotation of the sound field changes.
    """

    Options = AvsaOptions
    options: AvsaOptions
    accuracies: ClassVar[tuple[str, ...]] = ("avsa_acc", "avc_acc")

    def __init__(self, encoders: Encoders, options: AvsaOptions) -> None:
        super().__init__(encoders, options)
        for name in options.further_negatives() if encoders.features.name in OMNIDIRECTIONAL else ():
            found = f"{encoders.features.name}, got {getattr(options, name)}"
            raise InputError(f"expected {name}=0 with features {found}")
        if options.transformer:
            self.v2a_transformer = self._transformer(encoders.video_width)
            self.a2v_transformer = self._transformer(encoders.audio_width)
            self.audio_pred_head = nn.Linear(encoders.video_width, options.embedding)
            self.video_pred_head = nn.Linear(encoders.audio_width, options.embedding)
        if options.transformer and options.transformer_norm == "pre":  # begins as the task without transformers
            self.audio_pred_head.load_state_dict(self.video_head.state_dict())
            self.video_pred_head.load_state_dict(self.audio_head.state_dict())

    def _transformer(self, width: int) -> CrossModalTransformer:
        own = self.options
        return CrossModalTransformer(
            width,
            own.transformer,
            dropout=own.dropout,
            norm=own.transformer_norm,
            relative_directions=own.relative_directions,
        )

    def crop_tensors(self, clip: Clip, crops: Crops, rng: np.random.Generator) -> dict[str, Tensor]:
        """Views of `Avc`; with `yaw_negatives` also `yaw_rotation`, `(K, Y, 3, 3)`: to each crop after each yaw.

        The yaws from `min_yaw` to `max_yaw`, either way, are cut in Y parts, with a random yaw in each. With
        `object_negatives` also `object_rotation`, `(K, Y, 3, 3)`, and `of_object`, bool `(K, Y)`; see
        `avssl.data.object_negatives`.
        """
        views = super().crop_tensors(clip, crops, rng)
        if count := self.options.yaw_negatives:
            least, most = math.radians(self.options.min_yaw), math.radians(self.options.max_yaw)
            places = (np.arange(count) + rng.random((self.options.crops, count))) / count * (2 * most - 2 * least)
            yaws = least + places + np.where(places < most - least, 0.0, 2 * math.pi - 2 * most)
            views["yaw_rotation"] = views["rotation"][:, None] @ rotation(torch.from_numpy(yaws).float())
        if count := self.options.object_negatives:
            negatives = draw_object_negatives(crops, clip.objects, count, rng)
            views |= {"object_rotation": negatives.rotations, "of_object": negatives.of_objects}
        return views

    def project(self, video: Tensor, audio: Tensor, rotation: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Projections `(B, K, D)` that the loss compares; with transformers those of both directions, concatenated.

        Args:
            video: tower outputs of the crops.
            audio: tower outputs of the audio.
            rotation: `(B, K, 3, 3)` rotations of the sound field to the crops, needed by relative directions.
        """
        if not self.options.transformer:
            return super().project(video, audio)
        from_video, from_audio = self._predict(video, audio, rotation)
        parts = (from_video, self.video_head(video)), (self.audio_head(audio), from_audio)
        left, right = (torch.cat([functional.normalize(each, dim=-1) for each in side], -1) for side in parts)
        return left, right

    def _predict(self, video: Tensor, audio: Tensor, rotation: Tensor | None) -> tuple[Tensor, Tensor]:
        """Projections of the audio predicted from video, and of the video predicted from audio."""
        from_video = self.audio_pred_head(self.v2a_transformer(video, rotation))
        return from_video, self.video_pred_head(self.a2v_transformer(audio, rotation))

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """`loss`; `avsa_acc` among the crops of the own clip (chance 1/K), `avc_acc` among the clips (chance 1/B).

        With `yaw_negatives` also `yaw_acc`, among the own audio and its further yaws (chance 1/(1 + Y)); with
        `object_negatives` also `object_acc`, and `object_negatives`: their share, the others are random directions.
        With `embedding_weight` also `embedding_loss`, which `loss` holds by that weight. With a miner also `mined`: the
        fraction of negative pairs selected; with `sigmoid` its `temperature` and `bias`; with guided crops
        `guided_crops`: their share, the others are random.

        Accuracies are of video-to-audio retrieval.
        """
        return self.contrast(self.embed(batch), batch)

    def embed(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Embeddings `(B, K, D)`, each from its own clip alone: `video` and `audio`.

        With transformers also those that they predict, `from_video` and `from_audio`; with further negatives also
        theirs, `(B, K, Y, D)`, by names of `FURTHER`.
        """
        video, audio, further = self._encode(batch)
        found = {"video": self.video_head(video), "audio": self.audio_head(audio)}
        if self.options.transformer:
            predicted = self._predict(video, audio, batch["rotation"])
            found |= dict(zip(("from_video", "from_audio"), predicted, strict=True))
        return found | further

    def contrast(self, embeddings: dict[str, Tensor], batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Scalars of `forward` from the embeddings of `embed`."""
        found, gathered = self.gathered(embeddings)
        video, audio = found["video"], found["audio"]
        from_video, from_audio = found.get("from_video", video), found.get("from_audio", audio)
        further = {name: found[name] for name in FURTHER if name in found}
        negatives = torch.cat(list(further.values()), 2) if further else None
        both_ways = (from_video, audio, gathered, negatives), (from_audio, video, gathered)
        loss = mean_scalars([self._alignment(*each) for each in both_ways])
        if weight := self.options.embedding_weight:
            own = (video, audio, gathered, negatives), (audio, video, gathered)
            loss["embedding_loss"] = mean_scalars([self._alignment(*each) for each in own])["loss"]
            loss["loss"] = loss["loss"] + weight * loss["embedding_loss"]
        accuracy = alignment_accuracy(from_video, audio, gathered=gathered)
        scalars = {**loss, "avsa_acc": accuracy.hard, "avc_acc": accuracy.easy, **guided_share(batch)}
        for name, each in further.items():
            scalars[FURTHER[name]] = further_accuracy(from_video, audio, each, gathered=gathered)
        return scalars | ({"object_negatives": batch["of_object"].float().mean()} if "of_object" in batch else {})

    def reference_scores(self, batch: dict[str, Tensor], scenes: Sequence[SceneObjects] | None) -> dict[str, float]:
        """References of `Avc`, and chance of the accuracies among further negatives."""
        further = {accuracy: batch[name] for name, accuracy in FURTHER.items() if name in batch}
        chance = {f"{accuracy}{CHANCE}": 1 / (1 + each.shape[2]) for accuracy, each in further.items()}
        return super().reference_scores(batch, scenes) | chance

    def _encode(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Tower outputs `(B, K, width)` of video and audio, and audio embeddings `(B, K, Y, D)` by names of `FURTHER`.

        All audio passes through the tower together, so that batch normalisation does not tell rotations apart.
        """
        frames, audio, rotation = batch["frames"], batch["audio"], batch["rotation"]
        further = {name: batch[name] for name in FURTHER if name in batch}
        if not further:
            return *self.encode_both(frames, audio, rotation), {}
        rotations = torch.cat([rotation[:, :, None], *further.values()], 2)
        video, encoded = self.encode_both(frames, audio, rotations.flatten(1, 2))
        encoded = rearrange(encoded, "b (k y) d -> b k y d", k=rotations.shape[1])
        parts = torch.split(self.audio_head(encoded[:, :, 1:]), [each.shape[2] for each in further.values()], 2)
        return video, encoded[:, :, 0], dict(zip(further, parts, strict=True))

    def _alignment(
        self, predicted: Tensor, target: Tensor, gathered: bool, further: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Loss of one retrieval direction, `(B, K, D)` in both modalities, `(B, K, Y, D)` further negatives."""
        options = self.options
        if self.sigmoid_loss is not None:
            return self.sigmoid_loss.alignment(predicted, target, options.negatives, further, gathered=gathered)
        if self.metric_loss is None:
            own = options.temperature, options.negatives, further
            return {"loss": alignment_loss(predicted, target, *own, gathered=gathered)}
        clips = len(predicted) * process_count()
        negatives = alignment_negatives(clips, options.crops, options.negatives, predicted.device)
        return cast(dict[str, Tensor], self.metric_loss(predicted.flatten(0, 1), target.flatten(0, 1), negatives))
