"""Options of the generator `foa360`, and the network that they select."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import nn

from avssl.config import check_choices, check_range
from avssl.config_fields import choice
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
from avssl_downstream.spatialize.networks.track_localization import PointingParts, TrackLocalizationNet

STREAMS = {
    "full": ("rgb", "flow"),
    "no_video": (),
    "no_rgb": ("flow",),
    "no_flow": ("rgb",),
    "no_separation": ("rgb", "flow"),
    "unet": ("rgb", "flow"),
}
"""Variant -> image streams."""
NETWORKS = ("published", "pointing")
POINTING = ("gate", "solid_angle", "centred_cells", "pulse_frames", "direction_weight", "direction_prior")
"""Options of the network pointing alone."""
ABOVE_ZERO = (
    "sample_rate", "stft_frames", "bands", "tracks", "units", "rows", "columns", "frame_rate", "direction_steps",
    "direction_concentration",
)  # fmt: skip


@dataclass(frozen=True)
class Foa360Options:
    """Network, STFT, window, frames, augmentation; the defaults are those of the published code."""

    variant: str = choice("full", STREAMS)
    """Ablation of the paper: full, no_video, no_rgb, no_flow, no_separation (mono is the only track) or unet."""
    order: int = 1
    """Ambisonic order of the output: 1, from mono; 2, from first order (section 5 of the paper)."""
    network: str = choice("published", NETWORKS)
    """published: two-sided spectra, fully connected localization; pointing, a form of our own: log-frequency bands, one
    track per source class, localized by attention over the frame."""
    sample_rate: int = 48000
    """Hz."""
    n_fft: int = 1024
    """Samples of an STFT window."""
    hop: int = 256
    """Samples between STFT windows."""
    stft_frames: int = 127
    """STFT frames of a window, which sets its length."""
    output_seconds: float = 0.1
    """Seconds in the middle of a window that are output; the rest is context."""
    bands: int = 64
    """Log-frequency bands of the network pointing."""
    tracks: int = 32
    """Separated tracks."""
    width: float = 1.0
    """Channels of the published network's layers relative to the paper's, 1/32 to 1."""
    units: int = 512
    """Dimensions of the visual features of each stream; audio features have twice as many."""
    rows: int = 224
    """Rows of a frame, pixels."""
    columns: int = 448
    """Columns of a frame, pixels."""
    wrap_padding: int = 0
    """Columns of circular padding at the left and right edge of a frame, pixels."""
    frame_rate: float = 10.0
    """Frames per second; optical flow is that between neighbouring frames."""
    flow: str = choice("dis", METHODS)
    """Optical flow estimator: dis, raft_small or raft_large."""
    flow_weights: str = ""
    """Weights of RAFT, a `.safetensors` file."""
    yaw: bool = True
    """Rotate frames and audio together about the vertical, at random, in training."""
    mirror: bool = False
    """Mirror frames and audio together in half of the training windows; not in the paper."""
    min_rms: float = 0.0
    """RMS of W below which a training window is ignored; 0.2 in the paper, 0.01 for REC-STREET."""
    gate: bool = False
    """Only source classes that are in the frame take part in the masks; the first track is the room, always open and
    without direction. This and the following options are of the network pointing; without effect in the variants
    no_video and unet, which have no attention."""
    solid_angle: bool = False
    """Weight the cells of a frame by their solid angle: attention starts uniform over the sphere."""
    centred_cells: bool = False
    """Shift frames so that the receptive field of a cell is centred on it, along the columns."""
    pulse_frames: int = 0
    """Frames of a window in which brightness and chroma of every cell and of its neighbourhood are compared with the
    level of the audio, which tells the sounding one of two objects of a class; 0: none, else 3 or more. Half of
    output_seconds should be a multiple of 1/frame_rate: windows of inference are then in step with the frames. Not in
    the variant no_rgb."""
    direction_weight: float = 0.0
    """Weight of the negative log-likelihood of true directions at the start of the training; 0: only spectra."""
    direction_steps: int = 1000
    """Training steps in which that weight falls to 0, linearly."""
    direction_concentration: float = 10.0
    """Concentration of the von Mises-Fisher distribution of directions about the centre of a cell."""
    direction_prior: str = ""
    """Run folder of `avssl pretrain --task dense_avc` on mono audio and single frames: its heat map, frozen, adds to
    the attention of every track at each time step, with a scale that is learnt. Its weights are stored with the fitted
    generator. Empty: none. An error in variants without attention or RGB frames, and for order 2."""
    colour: float = 0.0
    """Colour jitter in training: largest change of brightness, contrast and saturation; a tenth of it for hue."""

    def __post_init__(self) -> None:
        """Validate field values."""
        check_choices(self, "foa360")
        self._check_pointing()
        for name in ABOVE_ZERO:
            if not getattr(self, name) > 0:
                raise InputError(f"expected foa360.{name} above 0, got {getattr(self, name)}")
        if self.order not in (1, 2):
            raise InputError(f"expected foa360.order 1 or 2, got {self.order}")
        check_range("foa360", "width", self.width, 1 / 32, 1.0)
        for name in ("colour", "min_rms"):
            check_range("foa360", name, getattr(self, name), 0.0, 1.0)
        if not 0 <= self.wrap_padding <= self.columns:
            raise InputError(
                f"expected foa360.wrap_padding of 0 to {self.columns}, the columns of a frame, got {self.wrap_padding}"
            )
        least, most = (each / self.sample_rate for each in (self._least_output, self.sizes.samples))
        if not least <= self.output_seconds <= most:
            raise InputError(
                f"expected foa360.output_seconds of {least:.3f} (a window of the loss) to {most:.3f} s (a window of "
                f"{self.stft_frames} STFT frames), got {self.output_seconds}"
            )

    def _check_pointing(self) -> None:
        """Check the options that are of the network pointing."""
        if self.pulse_frames and self.pulse_frames < 3:
            raise InputError(f"expected foa360.pulse_frames 0 or at least 3, got {self.pulse_frames}")
        check_range("foa360", "direction_weight", self.direction_weight, 0.0, 1000.0)
        given = [name for name in POINTING if getattr(self, name)]
        if given and self.network != "pointing":
            raise InputError(
                f"expected foa360.network=pointing beside foa360.{given[0]}, got network={self.network}, which has no "
                f"attention; set network=pointing, or leave out {given[0]}"
            )
        for name in ("direction_weight", "direction_prior"):
            if getattr(self, name) and self.order != 1:
                raise InputError(f"expected foa360.order 1 beside foa360.{name}, got {self.order}")
        if self.direction_prior and ("rgb" not in STREAMS[self.variant] or self.variant == "unet"):
            raise InputError(
                f"expected a variant with RGB frames and attention beside foa360.direction_prior, got variant="
                f"{self.variant}; set direction_prior= to nothing"
            )

    @property
    def parts(self) -> PointingParts:
        """Parts of the network pointing."""
        pulses = self.pulse_frames if "rgb" in STREAMS[self.variant] and self.variant != "unet" else 0
        step = self.sample_rate / (self.hop * self.frame_rate)
        return PointingParts(self.gate, self.solid_angle, pulses, step, bool(self.direction_prior))

    @property
    def sizes(self) -> WindowSizes:
        """Sizes of windows and their spectrograms."""
        stft = StftConfig(self.n_fft, self.n_fft, self.hop, "none")
        return WindowSizes(stft, self.stft_frames, self.output_seconds, self.sample_rate)

    @property
    def inputs(self) -> int:
        """I, input channels."""
        return 1 if self.order == 1 else 4

    @property
    def outputs(self) -> int:
        """O, generated channels."""
        return 3 if self.order == 1 else 5

    @property
    def _least_output(self) -> int:
        """Samples that contain an STFT window of the loss, and one STFT window of the network in any position."""
        return max(self.sizes.loss.n_fft, self.n_fft + self.hop)


def build(
    options: Foa360Options, streams: Sequence[int], grid: tuple[int, int], tower: int = 0, pulses: bool = False
) -> MaskingModel:
    """The network of a variant.

    Args:
        options: network, variant and sizes.
        streams: channels of each image stream's feature maps.
        grid: rows and columns of these feature maps.
        tower: channels of the features of an audio tower; 0: none.
        pulses: the last stream is of courses of cells.

    Raises:
        InputError: spectrograms too small for the layers.
    """
    bins = options.sizes.stft.bins
    pointing = options.network == "pointing"
    axis = LogMagnitudeBands(bins, options.bands, max(1.0, bins / 170)) if pointing else TwoSidedSpectrum()
    if options.variant == "unet":
        return ComplexMasks(options.sizes, axis, Foa360UNet(_trunk(options, streams, grid, tower), options.outputs))
    net = _net(options, streams, grid, tower, pulses)
    if isinstance(axis, LogMagnitudeBands):
        steered = isinstance(net, TrackLocalizationNet) and options.order == 2
        return (SteeredTrackMasks if steered else TrackMasks)(options.sizes, axis, net)
    return TrackMixing(options.sizes, axis, net)


def _net(options: Foa360Options, streams: Sequence[int], grid: tuple[int, int], tower: int, pulses: bool) -> nn.Module:
    separate = options.variant != "no_separation"
    if options.network == "pointing" and streams:
        trunk, parts = _trunk(options, (), grid, tower), options.parts if pulses else replace(options.parts, pulses=0)
        return TrackLocalizationNet(trunk, streams, options.tracks, separate, options.order, parts)
    trunk = _trunk(options, streams, grid, tower)
    return Foa360Net(trunk, options.tracks, options.outputs, separate=separate, units=options.units)


def _trunk(options: Foa360Options, streams: Sequence[int], grid: tuple[int, int], tower: int) -> AudioVisualTrunk:
    if options.network == "pointing":
        size, inputs = (options.bands, options.stft_frames), options.inputs
        return AudioVisualTrunk(size, streams, inputs, SMALL, options.units, grid, norm=True, tower=tower)
    layers = tuple(replace(each, channels=round(each.channels * options.width)) for each in FULL)
    size = options.n_fft, options.stft_frames
    return AudioVisualTrunk(size, streams, options.inputs, layers, options.units, grid, tower=tower)
