"""Options of the generator `mono_to_3d`."""

from __future__ import annotations

from dataclasses import dataclass

from avssl.config import check_choices
from avssl.config_fields import choice
from avssl.errors import InputError
from avssl.spatial.stft import StftConfig

SPATIAL_LOSSES = ("signed", "barred", "energy")
NETWORKS = ("published", "pointing")
UNET_ONLY = ("keypoints",)
POINTING_ONLY = ("place_weight", "stem_weight")
"""Options of one network; with the other one they have to be 0."""


@dataclass(frozen=True)
class MonoTo3DOptions:
    """Network, STFT, window, frames, losses; the defaults are those of the paper, but for `spatial_loss`."""

    network: str = choice("published", NETWORKS)
    """published: a U-Net of complex masks of X, Y and Z; pointing: real masks, one track per kind of source, located
    by attention over the cells of every frame, with nearness by apparent size."""
    sample_rate: int = 16000
    """Hz."""
    seconds: float = 4.0
    """Seconds of a window."""
    n_fft: int = 512
    """Samples of the Fourier transform."""
    window_length: int = 400
    """Samples of an STFT window."""
    spectrum_hop: int = 160
    """Samples between STFT windows."""
    hop: float = 1.0
    """Seconds between windows in inference."""
    frames: int = 8
    """Frames of a window."""
    frame_rate: float = 2.0
    """Frames per second."""
    rows: int = 300
    """Rows of a frame, pixels."""
    columns: int = 300
    """Columns of a frame, pixels."""
    stages: int = 4
    """Layers of a torchvision ResNet as visual branch; the paper keeps 3."""
    keypoints: int = 0
    """Keypoints whose image coordinates are appended to the visual features (see `networks.spatial_softmax`); 0: none,
    as in the paper, which takes longer to train."""
    width: int = 64
    """Channels of the U-Net after its first halving."""
    visual_width: int = 1024
    """Output channels of the visual layers."""
    depth: int = 7
    """Halvings of the U-Net."""
    bands: int = 64
    """Log-frequency bands of the pointing network."""
    tracks: int = 16
    """Tracks of the pointing network."""
    units: int = 64
    """Half the dimensions of the audio features of the pointing network."""
    gate: bool = True
    """Raise the masks of tracks that are in the frames; pointing network."""
    magnitude_weight: float = 1.0
    """Weight of the two magnitude losses, 1 in the paper. They cannot tell a mask from its negative and keep a wrong
    sign; smaller weights allow short trainings to correct it."""
    spatial_loss: str = choice("signed", SPATIAL_LOSSES)
    """Loss of real and imaginary parts: barred, of their absolute values as in the paper's formula, without a
    difference of left and right; signed, without the bars; or energy, the squared error over the energy of the mix,
    which converges faster."""
    min_norm: float = 0.1
    """Least norm by which the error of a channel is divided, as a share of the norm of the mix; 0 in the paper, where
    silent channels count without limit."""
    place_weight: float = 0.0
    """Weight of the negative log density of the true gains of each band, a mixture over tracks and cells; pointing
    network."""
    stem_weight: float = 0.0
    """Weight of the squared error of separated sources, each made of the tracks that most resemble it; pointing
    network. Synthetic datasets that write their dry sources only: mono3d, stage."""
    mirror: bool = False
    """Mirror frames and audio together in half of the training windows; not in the paper."""

    def __post_init__(self) -> None:
        """Validate field values."""
        for name in ("sample_rate", "seconds", "hop", "frames", "frame_rate", "rows", "columns", "width", "tracks"):
            if not getattr(self, name) > 0:
                raise InputError(f"expected mono_to_3d.{name} above 0, got {getattr(self, name)}")
        check_choices(self, "mono_to_3d")
        self._check_weights()
        if self.hop > self.seconds / 2:
            raise InputError(
                f"expected mono_to_3d.hop of at most {self.seconds / 2:g} s, half of a window, got {self.hop}"
            )
        columns = self.spectrum.frames(round(self.seconds * self.sample_rate))
        if self.network == "published" and min(self.spectrum.bins, columns) < 2**self.depth:
            raise InputError(
                f"expected at least {2**self.depth} bins and frames of spectrogram for {self.depth} halvings "
                f"(mono_to_3d.depth), got {self.spectrum.bins} and {columns}"
            )

    def _check_weights(self) -> None:
        for name in ("magnitude_weight", "min_norm", "place_weight", "stem_weight", "keypoints"):
            if getattr(self, name) < 0:
                raise InputError(f"expected mono_to_3d.{name} of at least 0, got {getattr(self, name)}")
        network, others = ("pointing", UNET_ONLY) if self.network == "pointing" else ("published", POINTING_ONLY)
        for name in others:
            if getattr(self, name):
                raise InputError(
                    f"expected mono_to_3d.{name}=0 with network={network}, which has none, got {getattr(self, name)}"
                )

    @property
    def spectrum(self) -> StftConfig:
        """The STFT."""
        return StftConfig(self.n_fft, self.window_length, self.spectrum_hop)
