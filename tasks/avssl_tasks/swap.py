"""Are left and right exchanged? (Yang, Russell & Salamon, "Telling Left from Right", CVPR 2020; Lu et al. 2019)."""

# B clips

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from avssl.data.augment import Colour, jitter_colour, jitter_level
from avssl.data.clip import Clip
from avssl.data.crops import CropOptions, draw_crops
from avssl.datasets.audio_stats import SAME_DB
from avssl.datasets.manifest import Row
from avssl.errors import InputError
from avssl.media.hrir_files import read_hrirs
from avssl.models.encoders import Encoders
from avssl.models.fusion import Fusion
from avssl.models.tower import TowerOutput
from avssl.spatial.ambisonics import mirror, rotate
from avssl.spatial.binaural import ambisonic_filters, to_binaural
from avssl.task import Task

ONE = "swap needs left and right, the sound has one channel"
SAME = "swap needs left and right, the two channels of the sound are identical"


@dataclass(frozen=True)
class SwapOptions(CropOptions):
    """The view, augmentation, classifier and controls; the sizes are the paper's. Crops are cut of 360 degrees only."""

    crops: int = 1
    """Views of one instant: 1."""
    size: int = 224
    """Pixels of a side; of an ordinary picture, which is squeezed and never cut, pixels from top to bottom."""
    width: int = 0
    """Pixels from left to right of an ordinary picture; 0: as many as from top to bottom."""
    flip: float = 0.5
    """Probability that picture and sound are mirrored left to right, together."""
    colour: Colour = field(default_factory=Colour)
    """Colour jitter."""
    level: float = 0.1
    """Sound is multiplied by 1 plus or minus up to this."""
    hrirs: str = ""
    """Of 360 degrees: responses of a head that listens, a SOFA file or a folder, half of the time mirrored;
    empty: W + Y and W - Y."""
    rows: int = 7
    """Of places in the picture that the classifier looks at."""
    columns: int = 7
    """Likewise."""
    both_orders: bool = False
    """Hear the sound as it comes and exchanged, and compare; False: as it comes, as the paper has it."""
    mono: bool = False
    """Control: left and right are both their mean, so that nothing can be learned."""
    mirror_both: bool = False
    """Control: where the sound is exchanged the picture is mirrored too, so that nothing can be learned."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        super().__post_init__()
        if self.crops != 1:
            raise InputError(f"swap judges one view of a clip: crops is 1, not {self.crops}")
        if not (0 <= self.flip <= 1 and 0 <= self.level < 1):
            raise InputError(f"0 <= flip <= 1 and 0 <= level < 1, not {self.flip} and {self.level}")
        if self.width < 0 or self.rows < 1 or self.columns < 1:
            sizes = f"{self.width}, {self.rows} and {self.columns}"
            raise InputError(f"width is not negative, rows and columns are at least 1, not {sizes}")


class Swap(Task):
    """Binary cross-entropy on whether the ears were exchanged, from pictures and sound joined instant by instant.

    Two channels go with ordinary pictures, ambiX of order 1 with 360 degrees, of which a crop is cut and the sound
    turned to it. Exchanged is left with right, or Y with -Y.

    Args:
        encoders: the shared towers.
        options: view, augmentation, classifier, controls.

    Raises:
        InputError: the features cannot start from the two ears that `hrirs` gives, or these cannot be read.
    """

    Options = SwapOptions
    options: SwapOptions

    def __init__(self, encoders: Encoders, options: SwapOptions) -> None:
        super().__init__(encoders, options)
        self.fusion = Fusion(encoders, options.rows, options.columns)
        # No buffer: `views` stays on the CPU while the task moves to the device.
        self._ears = _ears(options.hrirs, encoders) if options.hrirs else None

    def reject_reason(self, row: Row) -> str:
        """Rejects clips whose audio does not change when left and right are swapped, by their manifest row."""
        if row.layout == "mono":
            return ONE
        if "L-R" in row.silent_channels:
            return SAME
        return "swap needs left and right, Y of the sound is silent" if "Y" in row.silent_channels else ""

    def reject_audio_reason(self, audio: Tensor) -> str:
        """Rejects the same clips by their audio, for manifests that do not list silent channels."""
        if len(audio) == 1:
            return ONE
        signals = torch.stack([audio[0] + audio[1], audio[0] - audio[1]] if len(audio) == 2 else [*audio])
        total, *sides = signals.double().square().sum(-1).tolist()
        if any(side > total * 10 ** (SAME_DB / 10) for side in sides):
            return ""
        return SAME if len(audio) == 2 else "swap needs left and right, only the first channel sounds"

    def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """One view, its sound, and whether left and right of it were exchanged.

        Returns:
            `frames` uint8 `(time, 3, height, width)`, `audio` float32 `(2 or 4, samples)`, `swapped` 0 or 1.

        Raises:
            InputError: the clip's sound has neither two channels nor ambiX's four.
        """
        if len(clip.audio) not in (2, 4):
            raise InputError(
                f"{clip.key}: swap needs sound of 2 channels, or of 4 (ambiX of order 1), this has {len(clip.audio)}"
            )
        frames, audio = self._ordinary(clip, rng) if len(clip.audio) == 2 else self._crop(clip, rng)
        frames = jitter_colour(frames[None], self.options.colour, rng)[0]
        audio = jitter_level(audio, self.options.level, rng)
        swapped = bool(rng.random() < 0.5)
        if self.options.mono:
            audio = (audio + exchanged(audio)) / 2
        if swapped:
            audio = exchanged(audio)
            frames = frames.flip(-1) if self.options.mirror_both else frames
        return {"frames": frames, "audio": audio, "swapped": torch.tensor(float(swapped))}

    def embeddings(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """What the towers make of a batch, `video` and `audio`, each `(B, width)`."""
        return {"video": self.encoders.video(batch["frames"]), "audio": self.encoders.audio(batch["audio"])}

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """`loss`, and `swap_acc`: how often it is told whether the sound was exchanged (chance 1/2)."""
        logit, swapped = self.logits(batch).float(), batch["swapped"]
        loss = functional.binary_cross_entropy_with_logits(logit, swapped.float())
        return {"loss": loss, "swap_acc": ((logit > 0) == (swapped > 0.5)).float().mean()}

    def logits(self, batch: dict[str, Tensor]) -> Tensor:
        """Log-odds `(B,)` that the sound of a batch of views was exchanged."""
        video, waveform = self.encoders.video.forward_features(batch["frames"]), batch["audio"]
        if not self.options.both_orders:
            number: Tensor = self.fusion(video, self.encoders.audio.forward_features(waveform))
            return number
        audio = self.encoders.audio.forward_features(torch.cat([waveform, exchanged(waveform)]))
        as_is, other = self.fusion(TowerOutput(*(torch.cat([each, each]) for each in video)), audio).chunk(2)
        difference: Tensor = as_is - other
        return difference

    def _ordinary(self, clip: Clip, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        size = (self.options.size, self.options.width or self.options.size)
        frames = functional.interpolate(clip.frames, size, mode="bilinear", antialias=True)
        return (frames.flip(-1), exchanged(clip.audio)) if rng.random() < self.options.flip else (frames, clip.audio)

    def _crop(self, clip: Clip, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        crops = draw_crops(self.options, rng, flip=self.options.flip, objects=clip.objects)
        audio = rotate(clip.audio, crops.to_front()[0])
        heard = audio if self._ears is None else _worn(audio, self._ears, rng)
        return crops.frames(clip.frames, self.options.size)[0], heard


def exchanged(audio: Tensor) -> Tensor:
    """Sound with left and right exchanged: `(..., 2, samples)`, or ambiX `(..., 4, samples)`, whose Y changes sign."""
    return audio.flip(-2) if audio.shape[-2] == 2 else mirror(audio, "left-right")


def _worn(foa: Tensor, ears: Tensor, rng: np.random.Generator) -> Tensor:
    """What a head hears `(2, samples)` that is worn either way round: as measured, or as its own mirror image.

    No head is that, and a mirror of the field does not mirror the head: which ear is which would be told from the sound
    alone, whatever is seen.
    """
    if rng.random() < 0.5:
        return exchanged(to_binaural(exchanged(foa), ears))
    return to_binaural(foa, ears)


def _ears(path: str, encoders: Encoders) -> Tensor:
    """Filters `(2, 4, taps)` from ambiX to two ears."""
    if 2 not in encoders.features.accepted:
        raise InputError(f"hrirs give 2 ears, and features {encoders.features.name} do not start from 2 channels")
    return ambisonic_filters(read_hrirs(Path(path)).at(encoders.sample_rate))
