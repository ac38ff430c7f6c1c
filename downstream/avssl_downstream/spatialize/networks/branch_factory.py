"""Makes the visual and audio branches of a generator, of the kind that the user chose."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from avssl.errors import InputError
from avssl.models.encoders import Encoders
from avssl_downstream.spatialize.networks.audio_branch import AudioBranch, accepts
from avssl_downstream.spatialize.networks.resnet_trunk import LAYERS
from avssl_downstream.spatialize.networks.visual_branch import VisualBranch

logger = logging.getLogger(f"avssl.{__name__}")
NO_AUDIO_TOWER = "none"


@dataclass(frozen=True)
class BranchFactory:
    """Makes branches, each with its own weights."""

    visual: str = ""
    """Source of `VisualBranch`; empty: encoders if there are any, else scratch."""
    audio: str = ""
    """Source of `AudioBranch`, or none; empty: encoders if there are any and their features accept the audio, else
    none."""
    encoders: Encoders | None = None
    """Of a pretraining run."""
    weights: str = ""
    """Of a visual branch of torchvision or timm, see `VisualBranch`."""
    fine_tune: bool = True
    """Train the branches' networks too."""
    prior: Mapping[str, Any] | None = None
    """Description of the direction prior that is stored with a fitted generator."""

    def __call__(self, stages: int = len(LAYERS)) -> VisualBranch:
        """A new visual branch; `stages` layers of a torchvision ResNet."""
        source = self.visual or ("scratch" if self.encoders is None else "encoders")
        return VisualBranch(source, self.encoders, self.weights, stages, self.fine_tune)

    def audio_branch(self, channels: int, sample_rate: int, seconds: float) -> AudioBranch | None:
        """A new audio branch, see `AudioBranch`; None for none."""
        source = self.audio or self._usual(channels)
        if source == NO_AUDIO_TOWER:
            return None
        return AudioBranch(source, self.encoders, channels, sample_rate, seconds, self.fine_tune)

    def _usual(self, channels: int) -> str:
        if self.encoders is None:
            return NO_AUDIO_TOWER
        if accepts(self.encoders, channels):
            return "encoders"
        features = self.encoders.features
        logger.warning(
            "the audio tower of the encoders is not used (audio_branch=none): its features, %s, take %s channels, the "
            "generator has %d",
            features.name,
            " or ".join(map(str, features.accepted)),
            channels,
        )
        return NO_AUDIO_TOWER


def branch_sources(generator: nn.Module) -> tuple[str, str]:
    """Sources of the visual and the audio branches that a generator has; empty for none."""
    visual, audio = "", ""
    for each in generator.modules():
        visual = each.source if isinstance(each, VisualBranch) else visual
        audio = each.source if isinstance(each, AudioBranch) else audio
    return visual, audio


def check_branches(generator: nn.Module, factory: BranchFactory) -> None:
    """Check that a generator has the branches that were asked for, and that encoders are of effect.

    Raises:
        InputError: a branch that it does not have, or encoders that no branch uses.
    """
    asked, found = (factory.visual, factory.audio), branch_sources(generator)
    missing = [
        f"{name}={wanted}"
        for name, wanted, has in zip(("visual_branch", "audio_branch"), asked, found, strict=True)
        if wanted != has and (wanted == "encoders" or (wanted == "scratch" and name == "audio_branch"))
    ]
    if missing:
        raise InputError(f"expected a generator with a branch for {missing[0]}, got one without; set it to none")
    explicit = all(asked) and "scratch" in asked
    if factory.encoders is not None and "encoders" not in found and not explicit:
        raise InputError(
            f"expected a branch of the generator to use --encoders, got visual_branch={found[0] or 'none'} and "
            f"audio_branch={found[1] or 'none'}; set one of them to encoders, or leave out --encoders"
        )
