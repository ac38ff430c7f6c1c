"""What `foa360` can be told, and the network that comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from avssl.config import check_choices, check_range, choice
from avssl.errors import InputError
from avssl.models.optical_flow import METHODS
from avssl.spatial.stft import StftConfig
from avssl_downstream.spatialize.generators.foa360_masking import (
    ComplexMasks,
    LogMagnitudeBands,
    MaskingModel,
    SteeredTrackMasks,
    TrackMasks,
    TrackMixing,
    TwoSidedSpectrum,
    WindowSizes,
)
from avssl_downstream.spatialize.networks.conv_unet import FULL, SMALL
from avssl_downstream.spatialize.networks.foa360 import AudioVisualTrunk, Foa360Net, Foa360UNet
from avssl_downstream.spatialize.networks.track_localization import TrackLocalizationNet

STREAMS = {
    "full": ("colours", "flow"),
    "no_video": (),
    "no_rgb": ("flow",),
    "no_flow": ("colours",),
    "no_separation": ("colours", "flow"),
    "unet": ("colours", "flow"),
}
"""Variant -> what it sees."""
FORMS = ("published", "small")


@dataclass(frozen=True)
class Foa360Options:
    """WindowSizes, pictures and variants; the defaults are the paper's published code."""

    variant: str = choice("full", STREAMS)
    """full, no_video, no_rgb, no_flow, no_separation (the mono sound is the only track) or unet."""
    order: int = 1
    """Of the field that is made: 1, of mono sound; 2, of a first-order field, as the paper's section 5 has it."""
    network: str = choice("published", FORMS)
    """published: two-sided spectra, fully connected localisation; small: logarithmic axes, and tracks that are kinds of
    things and point to the cells of the picture that look like them."""
    sample_rate: int = 48000
    """Hz."""
    n_fft: int = 1024
    """Samples of a short-time spectrum's window."""
    hop: int = 256
    """Samples between them."""
    stft_frames: int = 127
    """Short-time spectra of a window, which is as long as they need."""
    output_seconds: float = 0.1
    """Seconds in the middle of a window that are used."""
    bands: int = 64
    """Of the logarithmic axis of frequency, in the small form."""
    tracks: int = 32
    """That the sound is separated into."""
    units: int = 512
    """Metrics that each picture becomes; half as many as the sound does."""
    rows: int = 224
    """Of a picture."""
    columns: int = 448
    """Of a picture."""
    wrap_padding: int = 0
    """Columns by which a picture is laid around itself on either side, so that nothing ends at its edges."""
    frame_rate: float = 10.0
    """Pictures a second: flow is that from one to the next."""
    flow: str = choice("dis", METHODS)
    """dis, raft_small or raft_large."""
    flow_weights: str = ""
    """A `.safetensors` file of RAFT's."""
    yaw: bool = True
    """Turn picture and sound together at random in training."""
    mirror: bool = False
    """Exchange left and right of picture and sound, together, in half of the training windows; the paper does not."""
    min_rms: float = 0.0
    """Root mean square of W below which a window teaches nothing; the paper's is 0.2, and 0.01 for REC-STREET."""
    colour: float = 0.0
    """Brightness, contrast and saturation change by up to this in training, hue by up to a tenth of it."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        check_choices(self, "foa360")
        for name in ("sample_rate", "stft_frames", "bands", "tracks", "units", "rows", "columns", "frame_rate"):
            if not getattr(self, name) > 0:
                raise InputError(f"foa360.{name} must be positive, not {getattr(self, name)}")
        if self.order not in (1, 2):
            raise InputError(f"foa360.order is 1 or 2, not {self.order}")
        for name in ("colour", "min_rms"):
            check_range("foa360", name, getattr(self, name), 0.0, 1.0)
        if not 0 <= self.wrap_padding <= self.columns:
            raise InputError(
                f"foa360.wrap_padding is from 0 to the {self.columns} columns of a picture, not {self.wrap_padding}"
            )
        least, most = (each / self.sample_rate for each in (self._least, self.sizes.samples))
        if not least <= self.output_seconds <= most:
            raise InputError(
                f"foa360.output_seconds is from {least:.3f} s, which the loss needs, to {most:.3f} s, the window of "
                f"{self.stft_frames} spectra; not {self.output_seconds}"
            )

    @property
    def sizes(self) -> WindowSizes:
        """Of windows and their spectra."""
        return WindowSizes(
            StftConfig(self.n_fft, self.n_fft, self.hop, "none"),
            self.stft_frames,
            self.output_seconds,
            self.sample_rate,
        )

    @property
    def inputs(self) -> int:
        """Channels that come."""
        return 1 if self.order == 1 else 4

    @property
    def outputs(self) -> int:
        """Channels that are made of them."""
        return 3 if self.order == 1 else 5

    @property
    def _least(self) -> int:
        """Samples in the middle that hold a window of the loss, and one column of the spectrum wherever it lies."""
        return max(self.sizes.loss.n_fft, self.n_fft + self.hop)


def build(options: Foa360Options, streams: Sequence[int], grid: tuple[int, int]) -> MaskingModel:
    """The network of a variant.

    Args:
        options: name form, variant and sizes.
        streams: channels of the maps of each picture stream.
        grid: rows and columns of these maps.

    Raises:
        InputError: spectra too small for the layers.
    """
    bins = options.sizes.stft.bins
    axis = (
        LogMagnitudeBands(bins, options.bands, max(1.0, bins / 170))
        if options.network == "small"
        else TwoSidedSpectrum()
    )
    if options.variant == "unet":
        return ComplexMasks(options.sizes, axis, Foa360UNet(_trunk(options, streams, grid), options.outputs))
    net = _net(options, streams, grid)
    if isinstance(axis, LogMagnitudeBands):
        kind = SteeredTrackMasks if isinstance(net, TrackLocalizationNet) and options.order == 2 else TrackMasks
        return kind(options.sizes, axis, net)
    return TrackMixing(options.sizes, axis, net)


def _net(options: Foa360Options, streams: Sequence[int], grid: tuple[int, int]) -> nn.Module:
    separate = options.variant != "no_separation"
    if options.network == "small" and streams:
        return TrackLocalizationNet(_trunk(options, (), grid), streams, options.tracks, separate, options.order)
    trunk = _trunk(options, streams, grid)
    return Foa360Net(trunk, options.tracks, options.outputs, separate=separate, units=options.units)


def _trunk(options: Foa360Options, streams: Sequence[int], grid: tuple[int, int]) -> AudioVisualTrunk:
    if options.network == "small":
        size, inputs = (options.bands, options.stft_frames), options.inputs
        return AudioVisualTrunk(size, streams, inputs, SMALL, options.units, grid, norm=True)
    return AudioVisualTrunk((options.n_fft, options.stft_frames), streams, options.inputs, FULL, options.units, grid)
