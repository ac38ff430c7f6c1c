"""What ASN can be told."""

from __future__ import annotations

from dataclasses import dataclass, field

from avssl.config import check_choices, check_range, choice
from avssl.errors import InputError
from avssl.models.optical_flow import METHODS
from avssl.spatial.stft import MASKS, StftConfig
from avssl_downstream.spatialize.networks.asn import FULL, SMALL

NETWORKS = {"full": FULL, "small": SMALL}


def _published() -> StftConfig:
    return StftConfig(2048, 1764, 441)


@dataclass(frozen=True)
class AsnOptions:
    """Masks, classifier, spectra, pictures; the defaults are the paper's, or what it leaves open."""

    target_mask: str = choice("sqrt_power", MASKS)
    """Masks: sqrt_power as published, which is 3 dB too loud where the ears agree; amplitude_over_mix; or complex."""
    classifier: float = 0.1
    """Weight of telling the order of the ears; 0: there is no classifier."""
    weight_by_magnitude: bool = False
    """Errors of the masks count by the mix's magnitude; the paper has every band and window count alike."""
    mirror: float = 0.5
    """Probability that pictures and ears are mirrored, together, in training."""
    colour: float = 0.0
    """Brightness and saturation change by up to this in training."""
    flow: str = choice("dis", ("", *METHODS))
    """Optical flow as a second stream of pictures: dis, raft_small or raft_large; empty: colours alone."""
    flow_weights: str = ""
    """A `.safetensors` file of RAFT's weights; it is no part of the generator, and needed whenever that is used."""
    max_flow: float = 16.0
    """Pixels between two pictures that are full scale."""
    network: str = choice("full", NETWORKS)
    """full (SAG's layers) or small (two CPU cores)."""
    batch_norm: bool = False
    """Batch norm in the network."""
    sample_rate: int = 44100
    """Hz."""
    spectrum: StftConfig = field(default_factory=_published)
    """Windows of 40 ms every 10 ms. Elsewhere the paper says 44 a second: a hop of 1002."""
    bands: int = 1025
    """Of the logarithmic axis."""
    min_bin: float = 1.0
    """Bin of the lowest band."""
    compression: float = 1.0
    """Networks get magnitudes to this power."""
    seconds: float = 1.0
    """Of a window."""
    hop: float = 0.5
    """Seconds between the windows of a whole file."""
    frames: int = 10
    """Pictures of a window."""
    frame_rate: float = 10.0
    """Pictures a second."""
    rows: int = 224
    """Of a picture."""
    columns: int = 448
    """Of a picture."""
    grid_rows: int = 7
    """That the pictures' maps are averaged into."""
    grid_columns: int = 14
    """Likewise."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        check_choices(self, "asn")
        for name, least, most in (("classifier", 0, 100), ("mirror", 0, 1), ("colour", 0, 1), ("compression", 0.1, 1)):
            check_range("asn", name, getattr(self, name), least, most)
        for name in ("sample_rate", "frames", "rows", "columns", "grid_rows", "grid_columns"):
            if getattr(self, name) < 1:
                raise InputError(f"asn.{name} is at least 1, not {getattr(self, name)}")
        for name in ("seconds", "frame_rate", "max_flow"):
            if not getattr(self, name) > 0:
                raise InputError(f"asn.{name} must be positive, not {getattr(self, name)}")
        if not 0 < self.hop <= self.seconds / 2:
            raise InputError(f"asn.hop is above 0 and at most half of the {self.seconds} s of a window, not {self.hop}")
