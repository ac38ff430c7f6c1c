"""Dry sources of synthetic clips as training targets."""

# K sources, S samples

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.nn.functional import pad

from avssl.data.clip import Clip
from avssl.errors import InputError, MissingFileError
from avssl.media import read_resampled
from avssl.synth.render_dataset import sources_path

MOST = 6
"""Sources of a scene at most; batches need as many of every clip."""

Views = Callable[[Clip, np.random.Generator], dict[str, Tensor]]


@dataclass(frozen=True)
class ViewsWithStems:
    """Views of clips that have their dry sources, see `Clip.stems`.

    Args:
        views: of a generator.
        root: folder that the paths of clips start from.
    """

    views: Views
    root: Path

    def __call__(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """See `Generator.views`.

        Raises:
            MissingFileError: a dataset without dry sources.
        """
        return self.views(replace(clip, stems=read_stems(clip, self.root)), rng)


def read_stems(clip: Clip, root: Path) -> Tensor:
    """Dry sources of a clip's window, `(MOST, S)`, silent ones in the place of those that there are not.

    Args:
        clip: read from a manifest.
        root: folder that its paths start from.

    Raises:
        MissingFileError: a dataset without dry sources.
    """
    path = sources_path(root / str(clip.labels["audio"]))
    if not path.is_file():
        raise MissingFileError(
            f"{path}: expected the dry sources of a synthetic clip, got no such file; set stem_weight=0, or render "
            "mono3d or stage"
        )
    stems = read_sources(path, clip)
    if len(stems) > MOST:
        raise InputError(f"{path}: expected at most {MOST} sources for stem_weight, got {len(stems)}")
    return pad(stems, (0, 0, 0, MOST - len(stems)))


def read_sources(path: Path, clip: Clip) -> Tensor:
    """All channels of a file beside a clip's audio, `(K, S)`, over the clip's window."""
    samples, rate = clip.audio.shape[-1], clip.sample_rate
    seconds = min(samples / rate, float(clip.labels["seconds"]))
    found = read_resampled(path, float(clip.labels["start"]), seconds, rate)[:, :samples]
    return pad(found, (0, samples - found.shape[1]))
