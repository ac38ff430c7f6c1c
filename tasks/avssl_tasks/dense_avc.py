"""Dense audio-visual correspondence on the sphere: match audio with the cells of whole 360-degree frames.

The multiple-instance contrast of dense sound source localization (Hamilton et al., "Separating the Chirp from the
Chat", CVPR 2024; Arandjelovic & Zisserman, "Objects that Sound", ECCV 2018), with cells weighted by their solid angle.
"""

# B clips, K crops of a clip, T frames, h and w rows and columns of cells, N = T h w cells, S time steps of the audio,
# A directions, D embedding

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from avssl.config_fields import choice
from avssl.data.augment import jitter_colour, jitter_level
from avssl.data.clip import Clip
from avssl.data.clip_options import Colour, CropOptions
from avssl.data.crops import draw_crops
from avssl.errors import InputError
from avssl.evaluation.crop_references import FRONT, LENS, bag_references, crop_views, whole_view
from avssl.evaluation.scene_truth import SceneObjects
from avssl.losses import gather, similarity_info_nce
from avssl.models.encoders import Encoders
from avssl.models.panorama import cell_solid_angles, panorama_maps
from avssl.models.tower import map_shape
from avssl.multiple_instance import LogitScale, multiple_instance_similarity
from avssl.spatial.ambisonics import direction, rotate, rotation, rotation_to_front
from avssl.spatial.energy_map import equal_area_grid, equirectangular_grid
from avssl.spatial.features import OMNIDIRECTIONAL
from avssl.spatial.spherical_harmonics import channel_count, spherical_harmonics
from avssl.task import Task

SCENE_ROTATIONS = ("none", "yaw")
BANDS = 8
"""Frequency bands of a time step of the audio, at most."""


@dataclass(frozen=True)
class DenseAvcOptions(CropOptions):
    """Panorama, crops for the pooled embeddings, augmentation and similarity."""

    height: int = 128
    """Rows of the panoramas that cells are computed from, pixels; columns are twice as many."""
    padding: int = 40
    """Circular padding of the panoramas at either side, pixels; a multiple of a cell. 40: receptive field of the small
    tower."""
    directions: int = 0
    """Directions of the audio: the sound field is rotated to each and embedded; 0: one embedding for all cells."""
    position: int = 0
    """Order of the spherical harmonics that give cells their position on the sphere; 0: cells have none."""
    activity: bool = False
    """Cells have their change over time too: mean absolute deviation of their features from the mean of the frames, by
    which what pulses with its sound differs from a silent twin. Needs several frames (`data.frames`)."""
    sharpness: float = 20.0
    """Sharpness of the soft maximum over the cells of a panorama or the crops of a clip; near 0: mean."""
    crop_weight: float = 0.5
    """Weight of the contrast of the crops' pooled embeddings, beside 1 for the cells'; above 0."""
    scene_rotation: str = choice("yaw", SCENE_ROTATIONS)
    """none, or yaw: panorama and sound field are rotated together by a random number of columns."""
    flip: float = 0.5
    """Probability that panorama and sound field are mirrored left to right, together."""
    colour: Colour = field(default_factory=Colour)
    """Colour jitter, of the panorama and of each crop."""
    level: float = 0.1
    """Largest relative change of the audio gain: a random factor in 1 ± this."""
    embedding: int = 128
    """Dimension of the projected embeddings."""
    temperature: float = 0.1
    """Softmax temperature at the beginning; it is learnt."""

    def __post_init__(self) -> None:
        """Validate field values."""
        super().__post_init__()
        if not (0 <= self.flip <= 1 and 0 <= self.level < 1):
            raise InputError(f"expected 0 <= flip <= 1 and 0 <= level < 1, got {self.flip} and {self.level}")
        for name in ("height", "sharpness", "crop_weight", "embedding", "temperature"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"expected a positive {name}, got {getattr(self, name)}")
        for name in ("padding", "directions", "position"):
            if getattr(self, name) < 0:
                raise InputError(f"expected {name} of at least 0, got {getattr(self, name)}")
        if self.padding > 2 * self.height:
            raise InputError(f"expected padding of at most the {2 * self.height} columns, got {self.padding}")


class Projection(nn.Module):
    """Linear projection with batch normalisation, as the last layer of MoCo v3's heads (Chen, Xie & He 2021).

    Pooled embeddings of rectified features all point one way; centred, they differ from the first step on.

    Args:
        width: input dimension.
        embedding: output dimension.
    """

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, embedding, bias=False)
        self.norm = nn.BatchNorm1d(embedding, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        """`(..., width)` to `(..., embedding)`; all leading axes are rows of the batch."""
        rows = self.linear(x)
        normalised: Tensor = self.norm(rows.flatten(0, -2))
        return normalised.view(rows.shape)


class DenseAvc(Task):
    """InfoNCE both ways between the audio of a clip and its whole panorama, over the clips of the batch.

    The video tower's feature maps of the equirectangular frames give one embedding a cell, those of the audio tower one
    a time step, to which `directions` add one for each direction. The similarity of a panorama and a time step is the
    soft maximum of their cosines over the sphere, weighted by solid angle, so that one object is not lost in its
    surroundings; that of a panorama and an audio is its mean over the time steps, so that sources which sound in turn
    are found one by one. The same contrast over the pooled embeddings of crops trains the encoders as heads use them.

    Args:
        encoders: video and audio towers; the video tower has feature maps.
        options: panorama, crops, augmentation, similarity.

    Raises:
        InputError: `directions` with features that no rotation of the sound field changes, or padding that is no
            multiple of a cell.
    """

    grid: tuple[Tensor, Tensor]
    """Azimuth and elevation `(h, w)` of the centres of the cells, radians."""
    Options = DenseAvcOptions
    options: DenseAvcOptions

    def __init__(self, encoders: Encoders, options: DenseAvcOptions) -> None:
        super().__init__(encoders, options)
        if options.directions and encoders.features.name in OMNIDIRECTIONAL:
            raise InputError(f"expected directions=0 with features {encoders.features.name}, got {options.directions}")
        maps, _, *grid = map_shape(encoders.video.tower, 3, 16, options.height, 2 * options.height)
        self.grid = equirectangular_grid(*grid)
        self.frame_size = options.height, 2 * options.height
        self.embedding, self.sharpness = options.embedding, options.sharpness
        if options.padding * grid[1] % (2 * options.height):
            cell = 2 * options.height / grid[1]
            raise InputError(f"expected padding in multiples of the {cell:g} pixels of a cell, got {options.padding}")
        features = encoders.features
        channels, _, bands = map_shape(encoders.audio.tower, features.maps, 128, features.config.mels)
        self.time_head = Projection(channels * min(bands, BANDS), options.embedding)
        self.cell_head = nn.Linear(maps, options.embedding)
        self.video_head = Projection(encoders.video_width, options.embedding)
        self.audio_head = Projection(encoders.audio_width, options.embedding)
        if options.directions:
            self.direction_head = Projection(encoders.audio_width, options.embedding)
        if options.position:
            harmonics = channel_count(options.position) - 1
            self.position_head = nn.Linear(harmonics, options.embedding, bias=False)
        if options.activity:
            self.activity_head = nn.Linear(maps, options.embedding, bias=False)
        self.cell_scale, self.crop_scale = LogitScale(options.temperature), LogitScale(options.temperature)

    def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """Panorama and sound field, rotated and mirrored together, and crops of the clip.

        Returns:
            `frames` uint8 `(time, 3, height, 2 height)`, `audio` float32 `(channels, samples)`, `rotation` `(3, 3)` of
            the sound field, `crops` uint8 `(K, time, 3, size, size)`, `crop_rotation` `(K, 3, 3)` to their centres, and
            those of `crop_views`.

        Raises:
            InputError: audio neither ambiX of order 1 nor, without `directions`, of one channel, or with `activity` a
                single frame.
        """
        options = self.options
        views, columns = self.evaluation_views(clip, rng), 2 * options.height
        turn = int(rng.integers(columns)) if options.scene_rotation == "yaw" else 0
        matrix, frames = rotation(2 * math.pi * turn / columns), views["frames"].roll(-turn, -1)
        if rng.random() < options.flip:
            matrix, frames = torch.diag(torch.tensor([1.0, -1.0, 1.0])) @ matrix, frames.flip(-1)
        crops = draw_crops(options, rng, "none", options.flip, clip.objects)
        return {
            "frames": jitter_colour(frames[None], options.colour, rng)[0],
            "audio": jitter_level(clip.audio, options.level, rng),
            "rotation": matrix,
            "crops": jitter_colour(crops.frames(clip.frames, options.size), options.colour, rng),
            "crop_rotation": crops.to_front(),
            **crop_views(crops),
        }

    def evaluation_views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """Panorama and sound field as recorded: `frames`, `audio` and `rotation` of `views`.

        Raises:
            InputError: as `views`.
        """
        if len(clip.audio) != 4 and (len(clip.audio) != 1 or self.options.directions):
            mono = "" if self.options.directions else ", or 1"
            raise InputError(f"expected ambiX audio of order 1, 4 channels{mono}, got {len(clip.audio)} ({clip.key})")
        if self.options.activity and len(clip.frames) < 2:
            raise InputError(f"expected data.frames of 2 or more with activity, got {len(clip.frames)}")
        frames = resized(clip.frames, self.options.height, 2 * self.options.height)
        return {"frames": frames, "audio": clip.audio, "rotation": torch.eye(3)}

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """`loss` and its parts `cell_loss` and `crop_loss`; `avc_acc` and `crop_acc`: retrieval accuracy; temperature.

        Accuracies are of audio retrieval by frames, among the clips of the batch: by panoramas, and by crops.
        """
        audio, crop_audio = self.embed_audio(batch["audio"], batch["rotation"], batch["crop_rotation"])
        by_cells = self._similarity(audio, self.embed_cells(batch["frames"]))
        by_crops = self._crop_similarity(crop_audio, self.embed_crops(batch["crops"]))
        cell_loss = similarity_info_nce(self.cell_scale(by_cells))
        crop_loss = similarity_info_nce(self.crop_scale(by_crops))
        return {
            "loss": cell_loss + self.options.crop_weight * crop_loss,
            "cell_loss": cell_loss,
            "crop_loss": crop_loss,
            "avc_acc": retrieval_accuracy(by_cells),
            "crop_acc": retrieval_accuracy(by_crops),
            "temperature": self.cell_scale.temperature.detach(),
        }

    def embeddings(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Projected pooled embeddings: `video` of the crops, `(B K, D)`, and `audio`, `(B, D)`."""
        audio, _ = self.embed_audio(batch["audio"], batch["rotation"])
        return {"video": self.embed_crops(batch["crops"]).flatten(0, 1), "audio": audio.flatten(1, -2).mean(1)}

    def project(self, video: Tensor, audio: Tensor, rotation: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Projections `(..., D)` of tower outputs `(..., width)` of crops and of the audio rotated to them."""
        content: Tensor = self.audio_head(audio)
        return self.video_head(video), content + self.direction_head(audio) if self.options.directions else content

    def reference_scores(self, batch: dict[str, Tensor], scenes: Sequence[SceneObjects] | None) -> dict[str, float]:
        """Chance and ideal observers of the accuracies; see `avssl.evaluation.crop_references`."""
        directed, clips = bool(self.options.directions), len(batch["frames"])
        panorama = {FRONT: batch["rotation"][:, None], LENS: whole_view()[LENS].expand(clips, 1, 2)}
        by_panorama = bag_references(panorama, scenes, "avc_acc", directed)
        return by_panorama | bag_references(batch, scenes, "crop_acc", directed)

    def compare(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Similarity of every audio and every panorama of a batch, and the heat map of each clip: what sounds where.

        Args:
            batch: `frames`, `audio` and `rotation` as of `evaluation_views`.

        Returns:
            `(B, B)`, audio by panorama; and `(B, T, h, w)`, cosine of each cell and the audio of its own clip.
        """
        audio, _ = self.embed_audio(batch["audio"], batch["rotation"])
        cells = self.embed_cells(batch["frames"])
        return self._similarity(audio, cells), heat_maps(audio, cells)

    def embed_cells(self, frames: Tensor) -> Tensor:
        """Embeddings `(B, T, h, w, D)` of the cells of panoramas uint8 `(B, T, 3, height, 2 height)`."""
        maps = panorama_maps(self.encoders.video, frames, self.options.padding)
        cells: Tensor = self.cell_head(maps.movedim(1, -1))
        if self.options.activity:
            cells = cells + self.activity_head(mean_deviation(maps).movedim(1, -1))[:, None]
        if not self.options.position:
            return cells
        harmonics = spherical_harmonics(direction(*self.grid), self.options.position)[..., 1:]
        position: Tensor = self.position_head(harmonics.to(cells))
        return cells + position

    def embed_crops(self, crops: Tensor) -> Tensor:
        """Pooled embeddings `(B, K, D)` of crops uint8 `(B, K, time, 3, size, size)`."""
        embedding: Tensor = self.video_head(self.encoders.video(crops))
        return embedding

    def embed_audio(self, audio: Tensor, matrix: Tensor, crop_rotation: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Embeddings of the audio for the cells and for the crops.

        Args:
            audio: `(B, channels, samples)`.
            matrix: `(B, 3, 3)` rotation of the sound field of each clip.
            crop_rotation: `(B, K, 3, 3)` rotations to the centres of the crops; None: no crops.

        Returns:
            `(B, S, D)`, or with `directions` one a cell, `(B, S, h w, D)`; and `(B, D)`, or with `directions`
            `(B, K, D)`.
        """
        if not self.options.directions:
            rotated = audio if audio.shape[1] == 1 else rotate(audio, matrix)
            encoded = self.encoders.audio.forward_features(rotated)
            return self.time_head(time_steps(encoded.maps)), self.audio_head(encoded.embedding)
        azimuth, elevation = equal_area_grid(self.options.directions)
        matrices = rotation_to_front(azimuth, elevation).to(matrix) @ matrix[:, None]
        matrices = matrices if crop_rotation is None else torch.cat([matrices, crop_rotation], 1)
        encoded = self.encoders.audio.forward_features(audio, matrices)
        embedding, maps = (each.reshape(*matrices.shape[:2], *each.shape[1:]) for each in encoded)
        towards, to_crops = embedding[:, : len(azimuth)], embedding[:, len(azimuth) :]
        directional = self.nearness(azimuth, elevation).to(embedding) @ self.direction_head(towards)
        content = self.time_head(time_steps(maps[:, : len(azimuth)].mean(1)))
        return (
            content[:, :, None] + directional[:, None],
            self.audio_head(to_crops) + self.direction_head(to_crops),
        )

    def embed_times(self, audio: Tensor) -> Tensor:
        """Embeddings `(B, S, D)` of the time steps of mono audio `(B, 1, samples)`; not with `directions`."""
        times: Tensor = self.time_head(time_steps(self.encoders.audio.maps(audio)))
        return times

    def _similarity(self, audio: Tensor, cells: Tensor) -> Tensor:
        """`(B, B)` of all processes: audio by panorama, soft maximum over cells of all frames, mean over time steps."""
        steps, times = audio.shape[1], cells.shape[1]
        solid_angles = cell_solid_angles(*cells.shape[2:4]).flatten()
        bags = gather(rearrange(cells, "b t h w d -> b (t h w) d").contiguous())
        queries = audio if audio.ndim == 3 else audio.repeat(1, 1, times, 1)
        found = multiple_instance_similarity(
            gather(queries.flatten(0, 1)), bags, self.options.sharpness, solid_angles.to(bags).repeat(times)
        )
        return rearrange(found, "(b s) c -> b s c", s=steps).mean(1)

    def _crop_similarity(self, audio: Tensor, crops: Tensor) -> Tensor:
        """`(B, B)` of all processes: audio by clip, soft maximum over the clip's crops."""
        return multiple_instance_similarity(gather(audio), gather(crops), self.options.sharpness)

    def nearness(self, azimuth: Tensor, elevation: Tensor) -> Tensor:
        """Weights `(h w, A)` of the directions for each cell: von Mises-Fisher, as wide as half their spacing."""
        cosine = direction(*self.grid).flatten(0, 1) @ direction(azimuth, elevation).mT
        return (cosine * len(azimuth) / math.pi).softmax(-1)


def resized(frames: Tensor, height: int, width: int) -> Tensor:
    """Resize frames uint8 `(time, 3, height, width)` by area averaging; of that size they are returned as they are."""
    if frames.shape[-2:] == (height, width):
        return frames
    planes = [
        cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA) for plane in frames.flatten(0, 1).numpy()
    ]
    return torch.from_numpy(np.stack(planes)).view(*frames.shape[:2], height, width)


def mean_deviation(maps: Tensor) -> Tensor:
    """Mean absolute deviation over time `(B, C, h, w)` of feature maps `(B, C, T, h, w)`; 0 where nothing changes."""
    return (maps - maps.mean(2, keepdim=True)).abs().mean(2)


def time_steps(maps: Tensor) -> Tensor:
    """Features `(B, S, C bands)` of the time steps of maps `(B, C, S, bands)`, means over at most `BANDS` bands."""
    pooled = functional.adaptive_avg_pool2d(maps, (maps.shape[2], min(maps.shape[3], BANDS)))
    return rearrange(pooled, "b c s f -> b s (c f)")


def heat_maps(audio: Tensor, cells: Tensor) -> Tensor:
    """Cosine `(B, T, h, w)` of cells `(B, T, h, w, D)` and the audio of the same clip, mean over its time steps.

    Args:
        audio: `(B, S, D)`, or one for each cell `(B, S, h w, D)`.
        cells: cells of all frames.
    """
    mean = functional.normalize(audio.float(), dim=-1).mean(1)
    unit = functional.normalize(cells.float(), dim=-1)
    own = mean[:, None, None, None] if mean.ndim == 2 else rearrange(mean, "b (h w) d -> b 1 h w d", h=cells.shape[2])
    return (unit * own).sum(-1)


@torch.no_grad()
def retrieval_accuracy(similarity: Tensor) -> Tensor:
    """Fraction of columns (frames) of a square matrix whose own row (audio) scores at least as high as all others."""
    return (similarity.diagonal() >= similarity.amax(0)).float().mean()
