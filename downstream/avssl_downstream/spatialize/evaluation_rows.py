"""Audio of every row of an evaluation for one clip: the generator, baselines, and oracles."""

# B windows, I input channels, C output channels, S samples

from __future__ import annotations

import logging

import torch
from lightning_fabric import Fabric
from torch import Tensor

from avssl.datasets.manifest import Manifest, Row
from avssl.errors import InputError
from avssl.io.progress import track
from avssl.models.runtime import evaluating
from avssl_downstream.spatialize.calibration import Calibration, CalibrationClip, fit_calibration
from avssl_downstream.spatialize.clip_truth import DatasetTruth
from avssl_downstream.spatialize.evaluation_clips import clip_frames, evenly_spaced, target_audio
from avssl_downstream.spatialize.foreground import load_foreground, without_background
from avssl_downstream.spatialize.frame_features import (
    FrameCache,
    FrameFeatures,
    FrameReader,
    FrameTransform,
    RecordedFrames,
)
from avssl_downstream.spatialize.generator import CHANNELS, Generator, SeparatedTracks, mix_down, unspatialized
from avssl_downstream.spatialize.heat_map_panning import HeatMapPanning
from avssl_downstream.spatialize.inference import WindowSchedule, ideal_mask_stream
from avssl_downstream.spatialize.metrics import present_channels
from avssl_downstream.spatialize.networks.direction_prior import DirectionPrior
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.oracles import Outputs, TrackOracles, best_masks, perfect_eye
from avssl_downstream.spatialize.parametric_upmix import parametric_upmix
from avssl_downstream.spatialize.streaming import StreamingSpatializer, generate_stream

logger = logging.getLogger(__name__)

MODEL = "test"
FRAME_TRANSFORMS: dict[str, FrameTransform] = {"flipped": lambda frames: frames.flip(-1), "black": torch.zeros_like}
"""Row -> transform of its frames."""
NO_FRAMES = "the generator was trained without frames"
NO_DIRECTIONS = "binaural audio has no direction errors"
NO_SOURCES = "the generator's masks are of channels, not of sources"


class EvaluationRows:
    """Computes the audio of every row; `absent` says which rows there are not, and why.

    Args:
        generator: on the fabric's device.
        prior: gains from input to output channels, `(C, I)`; None without training clips.
        options: window schedule.
        fabric: device and precision.
        audio_only: generator of the same output that was trained without frames; None: no such row.
        heat_map: dense task whose heat map is a generator by itself; None: no such row.
    """

    def __init__(
        self,
        generator: Generator,
        prior: Tensor | None,
        options: SpatializeOptions,
        fabric: Fabric,
        audio_only: Generator | None = None,
        heat_map: DirectionPrior | None = None,
    ) -> None:
        self.generator, self.prior, self.fabric, self.audio_only = generator, prior, fabric, audio_only
        self.schedule = WindowSchedule(options.hop, options.windows)
        self.foreground = load_foreground(options.segmenter, generator)
        self.heat_map = None if heat_map is None else HeatMapPanning(heat_map.to(fabric.device), fabric)
        self.calibration: Calibration | None = None
        self.absent: dict[str, str] = {}
        """Row -> reason why it is absent."""
        with evaluating(generator):
            self._masks, self._tracks = self._probe()

    def calibrate(self, training: Manifest, most: int) -> Calibration:
        """Fit the calibration of the row `calibrated` on training clips, evenly spaced.

        Args:
            training: clips that are not evaluated.
            most: number of them at most.

        Raises:
            InputError: all of them are silent, or one cannot be read.
        """
        with evaluating(self.generator):
            clips = track(evenly_spaced(training.rows, most), "calibration", "clips")
            self.calibration = fit_calibration(self._calibration_clip(row, training) for row in clips)
        return self.calibration

    def outputs(
        self,
        row: Row,
        manifest: Manifest,
        target: Tensor,
        other: Tensor | None = None,
        truth: DatasetTruth | None = None,
    ) -> Outputs:
        """Audio `(C, S)` of each row for a clip.

        Args:
            row: the clip.
            manifest: that it is of.
            target: its true audio.
            other: true audio of another clip, for `deaf`; of any length.
            truth: of the synthetic dataset, for oracles.
        """
        frames = without_background(self.foreground, clip_frames(row, manifest), (row.height, row.width))
        audio, reader = self.generator.input_audio(target), FrameCache(frames)
        features = self._features(self.generator, reader, row.seconds, keep=True)
        outputs = {MODEL: self._generated(self.generator, features, audio)}
        if self.calibration is not None:
            outputs["calibrated"] = self.calibration(outputs[MODEL], audio)
        outputs |= self._without_network(target, audio) | self._altered_frames(audio, reader, row.seconds)
        if self.audio_only is not None:
            # Another reader: its frames may have another size and rate.
            unused = self._features(self.audio_only, clip_frames(row, manifest), row.seconds)
            outputs["audio_only"] = self._generated(self.audio_only, unused, audio)
        if self.heat_map is not None:
            outputs["heat_map"] = self.heat_map.audio(audio, clip_frames(row, manifest), row.seconds)
        if self._masks and other is not None:
            outputs["deaf"] = self._deaf(features, audio, self.generator.input_audio(other))
        return outputs | self._oracles(row, target, audio, features, truth)

    def explain(self, clips: int, truth_reason: str) -> None:
        """Fill `absent` for an evaluation of some clips.

        Args:
            clips: how many there are.
            truth_reason: why there is no ground truth; empty where there is.
        """
        reasons = {
            "prior": "no training clips" * (self.prior is None),
            "calibrated": "no training clips to calibrate on (calibrate=CLIPS)" * (self.calibration is None),
            "audio_only": "no folder of a generator trained without frames (audio_only=FOLDER)"
            * (self.audio_only is None),
            "heat_map": "no run of a dense task (heat_map=RUN)" * (self.heat_map is None) if self._pans else "",
            **dict.fromkeys(FRAME_TRANSFORMS, NO_FRAMES * (not self.generator.uses_frames)),
            "deaf": "the generator has no masks" if not self._masks else "a single clip" * (clips < 2),
            "places": truth_reason if self._tracks else NO_SOURCES,
            "masks": truth_reason if self._tracks else NO_SOURCES,
            "seen": truth_reason,
            "observer": truth_reason if self.generator.output != "binaural" else NO_DIRECTIONS,
        }
        self.absent = {name: reason for name, reason in reasons.items() if reason}

    def _calibration_clip(self, row: Row, manifest: Manifest) -> CalibrationClip:
        target = target_audio(row, manifest, self.generator)
        frames = without_background(self.foreground, clip_frames(row, manifest), (row.height, row.width))
        audio = self.generator.input_audio(target)
        made = self._generated(self.generator, self._features(self.generator, frames, row.seconds), audio)
        return CalibrationClip(made, audio, target, present_channels(target, "Z" in row.silent_channels))

    @property
    def _pans(self) -> bool:
        """Whether the heat map of a dense task could be a generator of the same output."""
        return self.generator.output == "foa" and self.generator.panoramic

    def _without_network(self, target: Tensor, audio: Tensor) -> Outputs:
        """Rows that need no generator: silence and mono audio at several levels, and the best masks."""
        mono = mix_down(target)[None]
        plain = unspatialized(audio, len(target))
        found = {"silence": plain, "mono": mono.expand_as(target), "level_matched": level_matched(target)}
        if len(target) == 4:
            found["ahead"] = ahead(target)
        if self.prior is not None:
            found["prior"] = self.prior @ audio
        if len(target) == CHANNELS["second-order"]:
            found["parametric"] = parametric_upmix(audio, self.generator.mask_stft)
        ideal = {"oracle": ideal_mask_stream(self.generator, target, self.schedule)}
        return found | best_masks(target, self.generator.mask_stft) | ideal

    def _altered_frames(self, audio: Tensor, reader: FrameReader, seconds: float) -> Outputs:
        if not self.generator.uses_frames:
            return {}
        changed = {
            name: self._features(self.generator, reader, seconds, change) for name, change in FRAME_TRANSFORMS.items()
        }
        return {name: self._generated(self.generator, features, audio) for name, features in changed.items()}

    def _deaf(self, features: FrameFeatures, audio: Tensor, other: Tensor) -> Tensor:
        """Output with the masks of other audio, which is repeated or cut to the length."""
        inputs, samples = self.generator.input_channels, audio.shape[-1]
        repeated = other.repeat(1, -(-samples // other.shape[-1]))[:, :samples]

        def deaf(windows: Tensor, starts: list[int]) -> Tensor:
            with torch.no_grad(), self.fabric.autocast():
                mono, masking = (
                    each.squeeze(1).to(self.fabric.device) for each in (windows[:, :inputs], windows[:, inputs:])
                )
                made = self.generator.generate_with_masks_of(mono, masking, features.at(self._middles(starts)))
            assert made is not None
            return made.float().cpu()

        return self.schedule.process(self.generator, deaf, torch.cat([audio, repeated]))

    def _oracles(
        self, row: Row, target: Tensor, audio: Tensor, features: FrameFeatures, truth: DatasetTruth | None
    ) -> Outputs:
        """Rows that need the ground truth of a scene."""
        if truth is None:
            return {}
        clip = truth.of(row, target)
        found = perfect_eye(clip, target, self.generator.mask_stft)
        if self._tracks:
            oracles = TrackOracles(
                self.generator, clip, lambda windows, starts: self._separated(features, windows, starts)
            )
            both = torch.cat([audio, clip.sources])
            found["places"] = self.schedule.process(self.generator, oracles.places, both)
            found["masks"] = self.schedule.process(self.generator, oracles.masks, both)
        return found

    def _separated(self, features: FrameFeatures, windows: Tensor, starts: list[int]) -> SeparatedTracks:
        """Tracks of windows `(B, I, S)`, on the CPU."""
        with torch.no_grad(), self.fabric.autocast():
            mono = windows.squeeze(1).to(self.fabric.device)
            tracks = self.generator.separated_tracks(mono, features.at(self._middles(starts)))
        assert tracks is not None
        return SeparatedTracks(*(each.float().cpu() for each in tracks))

    def _middles(self, starts: list[int]) -> list[float]:
        """Seconds at the middles of windows that begin at some samples."""
        return [(each + self.generator.samples / 2) / self.generator.sample_rate for each in starts]

    def _features(
        self,
        generator: Generator,
        reader: FrameReader,
        seconds: float,
        change: FrameTransform | None = None,
        keep: bool = False,
    ) -> FrameFeatures:
        return FrameFeatures(generator, RecordedFrames(generator, reader, seconds), change, keep)

    def _generated(self, generator: Generator, features: FrameFeatures, audio: Tensor) -> Tensor:
        """Output of a generator for the whole input audio `(I, S)` of a clip."""
        spatializer = StreamingSpatializer(generator, features, self.generator.sample_rate, self.schedule, self.fabric)
        return torch.cat(list(generate_stream(spatializer, [audio])), 1)

    def _probe(self) -> tuple[bool, bool]:
        """Whether the generator has masks, and tracks of sources, found by a silent window with black frames."""
        generator, device = self.generator, self.fabric.device
        frames = torch.zeros(1, generator.frames, 3, *generator.size, dtype=torch.uint8, device=device)
        silent = torch.zeros(1, generator.input_channels, generator.samples, device=device).squeeze(1)
        with torch.no_grad(), self.fabric.autocast():
            features = generator.encode_video(frames)
            masks = generator.generate_with_masks_of(silent, silent, features)
            tracks = generator.separated_tracks(silent, features)
        return masks is not None, tracks is not None


def ahead(target: Tensor) -> Tensor:
    """A plane wave from straight ahead, ambiX `(4, S)`: most films are shot with the action in front."""
    mono = target[:1]
    return torch.cat([mono, torch.zeros_like(target[1:3]), mono])


def level_matched(target: Tensor) -> Tensor:
    """Mono audio in every channel, each at the level that the true channel has in the clip; it has no direction."""
    mono = mix_down(target)[None]
    level = target.square().mean(-1, keepdim=True).sqrt() / mono.square().mean(-1, keepdim=True).sqrt().clamp(min=1e-9)
    return mono * level


def read_truth(manifest: Manifest, generator: Generator) -> tuple[DatasetTruth | None, str]:
    """Ground truth beside a manifest; or None, and the reason why its sources are not known, a broken file too.

    The reason stands below the table of the evaluation, which follows a training and is not given up for it.
    """
    try:
        return DatasetTruth(manifest.root, generator), ""
    except InputError as error:
        logger.info("no oracles of sources: %s", error)
        return None, str(error)
