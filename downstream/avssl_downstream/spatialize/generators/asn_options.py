"""Options of the generator `asn`."""

from __future__ import annotations

from dataclasses import dataclass, field

from avssl.config import check_choices, check_range
from avssl.config_fields import choice
from avssl.errors import InputError
from avssl.models.optical_flow import METHODS
from avssl.spatial.stft import MASKS, StftConfig
from avssl_downstream.spatialize.networks.asn import FULL, SMALL

NETWORKS = {"full": FULL, "small": SMALL}


def _published() -> StftConfig:
    return StftConfig(2048, 1764, 441)


@dataclass(frozen=True)
class AsnOptions:
    """Masks, discriminator, STFT, frames, augmentation; defaults as in the paper, where it states them."""

    target_mask: str = choice("sqrt_power", MASKS)
    """Masks: sqrt_power as published (3 dB too loud where both channels are equal), amplitude_over_mix, or complex."""
    classifier: float = 0.1
    """Weight of the loss of the channel order discriminator; 0: none."""
    weight_by_magnitude: bool = False
    """Weight the mask loss of each bin by the magnitude of the mix; the paper weights all bins equally."""
    mirror: float = 0.5
    """Probability that frames and channels are mirrored, together, in training."""
    colour: float = 0.0
    """Colour jitter in training: largest change of brightness and saturation."""
    flow: str = choice("dis", ("", *METHODS))
    """Optical flow as a second image stream: dis, raft_small or raft_large; empty: RGB frames only."""
    flow_weights: str = ""
    """Weights of RAFT, a `.safetensors` file; not stored with the generator, and needed whenever it is used."""
    max_flow: float = 16.0
    """Optical flow at full scale, pixels per frame."""
    network: str = choice("full", NETWORKS)
    """Layers: full (those of Morgado et al. 2018) or small (for two CPU cores)."""
    batch_norm: bool = False
    """Batch norm in the U-Net."""
    sample_rate: int = 44100
    """Hz."""
    spectrum: StftConfig = field(default_factory=_published)
    """STFT: windows of 40 ms every 10 ms. The paper also states 44 frames per second: a hop of 1002."""
    bands: int = 1025
    """Log-frequency bands."""
    min_bin: float = 1.0
    """STFT bin of the lowest band."""
    compression: float = 1.0
    """Exponent of magnitudes at the input of the networks."""
    seconds: float = 1.0
    """Seconds of a window."""
    hop: float = 0.5
    """Seconds between windows in inference."""
    frames: int = 10
    """Frames of a window."""
    frame_rate: float = 10.0
    """Frames per second."""
    rows: int = 224
    """Rows of a frame, pixels."""
    columns: int = 448
    """Columns of a frame, pixels."""
    grid_rows: int = 7
    """Rows to which visual feature maps are pooled."""
    grid_columns: int = 14
    """Columns to which visual feature maps are pooled."""

    def __post_init__(self) -> None:
        """Validate field values."""
        check_choices(self, "asn")
        for name, least, most in (("classifier", 0, 100), ("mirror", 0, 1), ("colour", 0, 1), ("compression", 0.1, 1)):
            check_range("asn", name, getattr(self, name), least, most)
        for name in ("sample_rate", "frames", "rows", "columns", "grid_rows", "grid_columns"):
            if getattr(self, name) < 1:
                raise InputError(f"expected asn.{name} of at least 1, got {getattr(self, name)}")
        for name in ("seconds", "frame_rate", "max_flow"):
            if not getattr(self, name) > 0:
                raise InputError(f"expected asn.{name} above 0, got {getattr(self, name)}")
        if not 0 < self.hop <= self.seconds / 2:
            raise InputError(
                f"expected asn.hop above 0 and up to {self.seconds / 2:g} s, half of a window, got {self.hop}"
            )
