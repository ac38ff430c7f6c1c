"""Audio-visual correspondence (AVC): match frames and audio of the same clip (Morgado 2020, stage 1)."""

# B clips, K crops of a clip, D embedding

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from avssl.config_fields import choice
from avssl.data.augment import jitter_colour, jitter_level
from avssl.data.clip import Clip
from avssl.data.clip_options import Colour, CropOptions
from avssl.data.crops import SCENE_ROTATIONS, Crops, draw_crops
from avssl.errors import InputError
from avssl.evaluation.crop_references import FRONT, crop_references, crop_views
from avssl.evaluation.scene_truth import SceneObjects
from avssl.losses import alignment_accuracy, gather_together, info_nce
from avssl.metric_learning import PREFIX, MetricLearningLoss
from avssl.models.encoders import Encoders
from avssl.models.two_threads import both
from avssl.plugins import hint
from avssl.sigmoid_loss import BIAS, SigmoidLoss
from avssl.task import Task

AUDIO_ROTATIONS = ("crop", "none")
INFO_NCE, SIGMOID = "info-nce", "sigmoid"


@dataclass(frozen=True)
class AvcOptions(CropOptions):
    """Crops, augmentation and loss; the defaults are AVSA's."""

    crops: int = 1
    """Crops of a clip, all at one time."""
    audio_rotation: str = choice("crop", AUDIO_ROTATIONS)
    """crop: sound field rotated so that the crop's centre is in front; none: as recorded."""
    scene_rotation: str = choice("yaw", SCENE_ROTATIONS)
    """none, yaw or any: random rotation of the whole scene; yaw only matters where `audio_rotation` is none."""
    flip: float = 0.5
    """Probability that a crop is mirrored left to right, frames and audio together."""
    colour: Colour = field(default_factory=Colour)
    """Colour jitter, sampled for each crop."""
    level: float = 0.1
    """Largest relative change of the audio gain: a random factor in 1 ± this."""
    embedding: int = 128
    """Dimension of the projected embeddings."""
    temperature: float = 0.07
    """Temperature, for losses that have one; of sigmoid, which learns its temperature, the initial one."""
    loss: str = INFO_NCE
    """info-nce, sigmoid (SigLIP), or a loss of pytorch-metric-learning such as pml/SupConLoss."""
    loss_options: dict[str, Any] = field(default_factory=dict)
    """Parameters of that loss: of sigmoid, the initial `bias` (-10); of pytorch-metric-learning, a value pml/NAME is a
    distance, reducer or regularizer."""
    miner: str = ""
    """Miner of pytorch-metric-learning that chooses pairs, such as pml/MultiSimilarityMiner; empty: all pairs."""
    miner_options: dict[str, Any] = field(default_factory=dict)
    """Parameters of that miner."""

    def __post_init__(self) -> None:
        """Validate field values."""
        super().__post_init__()
        if not (0 <= self.flip <= 1 and 0 <= self.level < 1):
            raise InputError(f"expected 0 <= flip <= 1 and 0 <= level < 1, got {self.flip} and {self.level}")
        if self.embedding < 1 or not self.temperature > 0:
            raise InputError(
                f"expected a positive embedding and temperature, got {self.embedding} and {self.temperature}"
            )
        self._check_loss()

    def _check_loss(self) -> None:
        own = self.loss in (INFO_NCE, SIGMOID)
        if not own and not self.loss.startswith(PREFIX):
            names = f"{INFO_NCE}, {SIGMOID} or {PREFIX}NAME"
            raise InputError(f"expected loss {names}, got {self.loss!r}{hint(self.loss, [INFO_NCE, SIGMOID])}")
        if own and (self.miner or self.miner_options or (self.loss_options and self.loss == INFO_NCE)):
            raise InputError(f"expected a loss {PREFIX}NAME with loss_options or a miner, got loss {self.loss}")
        if self.miner_options and not self.miner:
            raise InputError(f"expected a miner with miner_options, got {self.miner_options} without one")

    def metric_learning_loss(self) -> MetricLearningLoss | None:
        """Loss of pytorch-metric-learning by `loss`, or None for `info-nce` and `sigmoid`.

        Raises:
            InputError: unknown name or parameter, or a loss or miner that does not support two modalities.
        """
        if not self.loss.startswith(PREFIX):
            return None
        return MetricLearningLoss(self.loss, self.loss_options, self.miner, self.miner_options, self.temperature)

    def sigmoid_loss(self) -> SigmoidLoss | None:
        """Sigmoid loss by `loss`, or None for other losses.

        Raises:
            InputError: a parameter other than the number `bias`.
        """
        if self.loss != SIGMOID:
            return None
        bias = self.loss_options.get("bias", BIAS)
        if self.loss_options.keys() - {"bias"} or not isinstance(bias, int | float) or isinstance(bias, bool):
            raise InputError(f"expected loss_options of {SIGMOID} with a number as bias, got {self.loss_options}")
        return SigmoidLoss(self.temperature, bias)


class Avc(Task):
    """Symmetric cross-modal InfoNCE against the other clips of the batch, or another loss by name.

    Args:
        encoders: video and audio towers.
        options: crops, augmentation, loss.

    Raises:
        InputError: unknown loss or miner, or one that does not support two modalities.
    """

    Options = AvcOptions
    options: AvcOptions
    accuracies: ClassVar[tuple[str, ...]] = ("avc_acc",)
    """Accuracies that `forward` returns."""

    def __init__(self, encoders: Encoders, options: AvcOptions) -> None:
        super().__init__(encoders, options)
        self.video_head = nn.Linear(encoders.video_width, options.embedding)
        self.audio_head = nn.Linear(encoders.audio_width, options.embedding)
        self.metric_loss, self.sigmoid_loss = options.metric_learning_loss(), options.sigmoid_loss()

    def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """Crops at one time, the audio once, and per crop the matrix that rotates the sound field to its centre.

        Returns:
            `frames` uint8 `(K, time, 3, size, size)`, `audio` float32 `(4, samples)`, `rotation` `(K, 3, 3)`; with
            `crop_guide=objects` also `guided` bool `(K,)`, false of random crops; and those of `crop_views`.

        Raises:
            InputError: audio not ambiX of order 1, or object directions not finite.
        """
        if len(clip.audio) != 4:
            raise InputError(f"expected ambiX audio of order 1, 4 channels, got {len(clip.audio)} ({clip.key})")
        crops = draw_crops(self.options, rng, self.options.scene_rotation, self.options.flip, clip.objects)
        return self.crop_tensors(clip, crops, rng)

    def crop_tensors(self, clip: Clip, crops: Crops, rng: np.random.Generator) -> dict[str, Tensor]:
        """Views of a clip in given crops."""
        guided = {"guided": crops.guides >= 0} if self.options.crop_guide == "objects" else {}
        placement = crop_views(crops)
        return {
            "frames": jitter_colour(crops.frames(clip.frames, self.options.size), self.options.colour, rng),
            "audio": jitter_level(clip.audio, self.options.level, rng),
            "rotation": placement[FRONT] if self.options.audio_rotation == "crop" else crops.to_world(),
            **guided,
            **placement,
        }

    def encode(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Video and audio tower outputs, each `(B K, width)`, the crops of a clip adjacent."""
        video, audio = self.encode_both(batch["frames"], batch["audio"], batch["rotation"])
        return video.flatten(0, 1), audio.flatten(0, 1)

    def encode_both(self, frames: Tensor, audio: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor]:
        """`encode_frames` and `encode_audio`, in two threads where that is faster."""
        return both(
            lambda: self.encode_frames(frames),
            lambda: self.encode_audio(audio, rotation),
            random=self.encoders.video.tower.random and self.encoders.audio.tower.random,
        )

    def encode_frames(self, frames: Tensor) -> Tensor:
        """Video tower outputs `(B, K, width)` of crops uint8 `(B, K, time, 3, size, size)`."""
        video: Tensor = self.encoders.video(frames.flatten(0, 1))
        return rearrange(video, "(b k) d -> b k d", k=frames.shape[1])

    def encode_audio(self, audio: Tensor, rotation: Tensor) -> Tensor:
        """Audio tower outputs `(B, R, width)` of sound fields `(B, 4, samples)`, each by R rotations `(B, R, 3, 3)`."""
        encoded: Tensor = self.encoders.audio(audio, rotation)
        return encoded

    def embeddings(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Projected embeddings of both modalities, the crops of a clip adjacent.

        Returns:
            `video` and `audio`, each `(B K, D)`.
        """
        video, audio = self.encode(batch)
        return {"video": self.video_head(video), "audio": self.audio_head(audio)}

    def project(self, video: Tensor, audio: Tensor, rotation: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Projections `(..., D)` that the loss compares by cosine, of tower outputs `(..., width)`.

        Args:
            video: of the crops.
            audio: rotated to them.
            rotation: `(..., 3, 3)` rotations of the sound field to the crops; not used here.
        """
        return self.video_head(video), self.audio_head(audio)

    def reference_scores(self, batch: dict[str, Tensor], scenes: Sequence[SceneObjects] | None) -> dict[str, float]:
        """Chance and ideal observers of the accuracies; see `avssl.evaluation.crop_references`."""
        return crop_references(batch, scenes, self.accuracies, self.options.audio_rotation == "crop")

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """`loss`, and `avc_acc`: retrieval accuracy of the matching audio among the same crop of all clips.

        With a miner also `mined`: the fraction of negative pairs selected; with `sigmoid` its `temperature` and `bias`;
        with guided crops `guided_crops`: their share, the others are random.
        """
        return self.contrast(self.embed(batch), batch)

    def embed(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Projected embeddings `(B, K, D)` of both modalities, `video` and `audio`, each from its own clip alone."""
        crops = self.options.crops
        return {name: rearrange(each, "(b k) d -> b k d", k=crops) for name, each in self.embeddings(batch).items()}

    def contrast(self, embeddings: dict[str, Tensor], batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Scalars of `forward` from the embeddings of `embed`."""
        found, gathered = self.gathered(embeddings)
        video, audio = found["video"], found["audio"]
        losses = [self._crop_loss(a, b, gathered) for a, b in zip(video.unbind(1), audio.unbind(1), strict=True)]
        accuracy = alignment_accuracy(video, audio, gathered=gathered).easy
        return {**mean_scalars(losses), "avc_acc": accuracy, **guided_share(batch)}

    def gathered(self, embeddings: dict[str, Tensor]) -> tuple[dict[str, Tensor], bool]:
        """Embeddings of all processes, by one collective, and True; as given, and False, for losses that gather."""
        if self.metric_loss is not None:
            return embeddings, False
        return dict(zip(embeddings, gather_together(*embeddings.values()), strict=True)), True

    def _crop_loss(self, video: Tensor, audio: Tensor, gathered: bool) -> dict[str, Tensor]:
        """Loss of one crop per clip, `(B, D)` in both modalities, averaged over both directions."""
        if self.sigmoid_loss is not None:
            return self.sigmoid_loss.pairs(video, audio, gathered=gathered)
        if self.metric_loss is None:
            return {"loss": info_nce(video, audio, self.options.temperature, gathered=gathered)}
        return mean_scalars([self.metric_loss(video, audio), self.metric_loss(audio, video)])


def guided_share(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """`guided_crops`: share of crops that objects guide; nothing where no crop is to be guided."""
    return {"guided_crops": batch["guided"].float().mean()} if "guided" in batch else {}


def mean_scalars(scalars: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Mean of each scalar."""
    return {name: torch.stack([each[name] for each in scalars]).mean() for name in scalars[0]}
