"""Detect swapped left and right channels (Yang, Russell & Salamon, "Telling Left from Right", CVPR 2020; Lu 2019)."""

# B clips

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from avssl.data.augment import jitter_colour, jitter_level
from avssl.data.clip import Clip
from avssl.data.clip_options import Colour, CropOptions
from avssl.data.crops import draw_crops
from avssl.datasets.audio_stats import SAME_DB
from avssl.datasets.manifest import Row
from avssl.errors import InputError
from avssl.evaluation.crop_references import crop_views, swap_references, whole_view
from avssl.evaluation.scene_truth import SceneObjects
from avssl.media.hrir_files import read_hrirs
from avssl.models.encoders import Encoders
from avssl.models.fusion import Fusion
from avssl.models.tower import TowerOutput
from avssl.spatial.ambisonics import mirror, rotate
from avssl.spatial.binaural import ambisonic_filters, to_binaural
from avssl.task import Task

MONO = "swap needs left and right, the audio has one channel"
IDENTICAL = "swap needs left and right, the two audio channels are identical"


@dataclass(frozen=True)
class SwapOptions(CropOptions):
    """View, augmentation, classifier and controls; sizes are the paper's. Crop options apply to 360 degrees only."""

    crops: int = 1
    """Views of a clip: 1."""
    size: int = 224
    """Pixels; side of a crop. Height of perspective frames, which are resized whole."""
    width: int = 0
    """Pixels; width of perspective frames; 0: as `size`."""
    flip: float = 0.5
    """Probability that frames and audio are mirrored left to right, together."""
    colour: Colour = field(default_factory=Colour)
    """Colour jitter."""
    level: float = 0.1
    """Largest relative change of the audio gain: a random factor in 1 ± this."""
    hrirs: str = ""
    """HRIRs (SOFA file or folder) for binaural rendering of 360-degree clips, mirrored half of the time;
    empty: W + Y and W - Y."""
    rows: int = 7
    """Rows of the visual feature map that the classifier reads."""
    columns: int = 7
    """Columns of the visual feature map that the classifier reads."""
    both_orders: bool = False
    """Classify by the difference of the logits of original and swapped audio; False: one logit, as in the paper."""
    mono: bool = False
    """Control: both channels are replaced by their mean, so that nothing can be learned."""
    mirror_both: bool = False
    """Control: frames are mirrored wherever the audio is swapped, so that nothing can be learned."""

    def __post_init__(self) -> None:
        """Validate field values."""
        super().__post_init__()
        if self.crops != 1:
            raise InputError(f"expected crops=1 for swap, got {self.crops}")
        if not (0 <= self.flip <= 1 and 0 <= self.level < 1):
            raise InputError(f"expected 0 <= flip <= 1 and 0 <= level < 1, got {self.flip} and {self.level}")
        if self.width < 0 or self.rows < 1 or self.columns < 1:
            sizes = f"{self.width}, {self.rows} and {self.columns}"
            raise InputError(f"expected width >= 0, rows >= 1 and columns >= 1, got {sizes}")


class Swap(Task):
    """Binary classification of swapped channels, from video and audio features fused frame by frame.

    Two-channel audio goes with perspective frames, ambiX of order 1 with 360-degree frames, of which a crop is taken
    and the sound field rotated to it. Swapping exchanges left and right, or Y and -Y.

    Args:
        encoders: video and audio towers.
        options: view, augmentation, classifier, controls.

    Raises:
        InputError: features that do not accept two channels with `hrirs`, or HRIRs that cannot be read.
    """

    Options = SwapOptions
    options: SwapOptions

    def __init__(self, encoders: Encoders, options: SwapOptions) -> None:
        super().__init__(encoders, options)
        self.fusion = Fusion(encoders, options.rows, options.columns)
        # No buffer: `views` stays on the CPU while the task moves to the device.
        self._filters = _binaural_filters(options.hrirs, encoders) if options.hrirs else None

    def reject_reason(self, row: Row) -> str:
        """Rejects clips whose audio does not change when left and right are swapped, by their manifest row."""
        if row.layout == "mono":
            return MONO
        if "L-R" in row.silent_channels:
            return IDENTICAL
        return "swap needs left and right, the audio channel Y is silent" if "Y" in row.silent_channels else ""

    def reject_audio_reason(self, audio: Tensor) -> str:
        """Rejects the same clips by their audio, for manifests that do not list silent channels."""
        if len(audio) == 1:
            return MONO
        signals = torch.stack([audio[0] + audio[1], audio[0] - audio[1]] if len(audio) == 2 else [*audio])
        total, *sides = signals.double().square().sum(-1).tolist()
        if any(side > total * 10 ** (SAME_DB / 10) for side in sides):
            return ""
        return IDENTICAL if len(audio) == 2 else "swap needs left and right, all audio channels but W are silent"

    def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """Frames of one view, its audio, and whether left and right are swapped.

        Returns:
            `frames` uint8 `(time, 3, height, width)`, `audio` float32 `(2 or 4, samples)`, `swapped` 0 or 1; and the
            placement of the view, for evaluation.

        Raises:
            InputError: audio with neither two channels nor ambiX's four.
        """
        if len(clip.audio) not in (2, 4):
            raise InputError(
                f"expected audio of 2 channels, or 4 (ambiX of order 1), got {len(clip.audio)} ({clip.key})"
            )
        frames, audio, place = self._perspective(clip, rng) if len(clip.audio) == 2 else self._crop(clip, rng)
        frames = jitter_colour(frames[None], self.options.colour, rng)[0]
        audio = jitter_level(audio, self.options.level, rng)
        swapped = bool(rng.random() < 0.5)
        if self.options.mono:
            audio = (audio + swap_left_right(audio)) / 2
        if swapped:
            audio = swap_left_right(audio)
            frames = frames.flip(-1) if self.options.mirror_both else frames
        return {"frames": frames, "audio": audio, "swapped": torch.tensor(float(swapped)), **place}

    def embeddings(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Tower outputs of a batch, `video` and `audio`, each `(B, width)`."""
        return {"video": self.encoders.video(batch["frames"]), "audio": self.encoders.audio(batch["audio"])}

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """`loss`, and `swap_acc`: classification accuracy (chance 1/2)."""
        logit, swapped = self.logits(batch).float(), batch["swapped"]
        loss = functional.binary_cross_entropy_with_logits(logit, swapped.float())
        return {"loss": loss, "swap_acc": ((logit > 0) == (swapped > 0.5)).float().mean()}

    def logits(self, batch: dict[str, Tensor]) -> Tensor:
        """Logits `(B,)` of swapped audio, for a batch of views."""
        video, waveform = self.encoders.video.forward_features(batch["frames"]), batch["audio"]
        if not self.options.both_orders:
            logit: Tensor = self.fusion(video, self.encoders.audio.forward_features(waveform))
            return logit
        audio = self.encoders.audio.forward_features(torch.cat([waveform, swap_left_right(waveform)]))
        original, other = self.fusion(TowerOutput(*(torch.cat([each, each]) for each in video)), audio).chunk(2)
        difference: Tensor = original - other
        return difference

    def reference_scores(self, batch: dict[str, Tensor], scenes: Sequence[SceneObjects] | None) -> dict[str, float]:
        """Chance and ideal observers of the accuracy; see `avssl.evaluation.crop_references`."""
        return swap_references(batch, scenes, informative=not (self.options.mono or self.options.mirror_both))

    def _perspective(self, clip: Clip, rng: np.random.Generator) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        size = (self.options.size, self.options.width or self.options.size)
        frames = functional.interpolate(clip.frames, size, mode="bilinear", antialias=True)
        flipped = rng.random() < self.options.flip
        place = whole_view(mirrored=flipped)
        return (frames.flip(-1), swap_left_right(clip.audio), place) if flipped else (frames, clip.audio, place)

    def _crop(self, clip: Clip, rng: np.random.Generator) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        crops = draw_crops(self.options, rng, flip=self.options.flip, objects=clip.objects)
        audio = rotate(clip.audio, crops.to_front()[0])
        if self._filters is not None:
            audio = _render_binaural(audio, self._filters, rng)
        return crops.frames(clip.frames, self.options.size)[0], audio, crop_views(crops)


def swap_left_right(audio: Tensor) -> Tensor:
    """Swap left and right: of `(..., 2, samples)` the channels, of ambiX `(..., 4, samples)` the sign of Y."""
    return audio.flip(-2) if audio.shape[-2] == 2 else mirror(audio, "left-right")


def _render_binaural(foa: Tensor, filters: Tensor, rng: np.random.Generator) -> Tensor:
    """Binaural audio `(2, samples)`, by the measured head or, with probability 1/2, by its mirror image.

    Heads are not symmetric, and mirroring the sound field does not mirror the head: without this, the audio alone would
    reveal which ear is which.
    """
    if rng.random() < 0.5:
        return swap_left_right(to_binaural(swap_left_right(foa), filters))
    return to_binaural(foa, filters)


def _binaural_filters(path: str, encoders: Encoders) -> Tensor:
    """Binaural decoding filters `(2, 4, taps)` for ambiX."""
    if 2 not in encoders.features.accepted:
        raise InputError(f"expected features that accept 2 channels with hrirs, got {encoders.features.name}")
    return ambisonic_filters(read_hrirs(Path(path)).resample(encoders.sample_rate))
