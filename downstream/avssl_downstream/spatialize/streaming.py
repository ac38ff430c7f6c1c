"""Spatialize a stream block by block, from a file or live, in flat memory."""

# I input channels, C output channels

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import nullcontext

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from avssl.errors import InputError
from avssl.spatial.resample import StreamResampler
from avssl_downstream.spatialize.calibration import Calibration
from avssl_downstream.spatialize.frame_features import FrameFeatures
from avssl_downstream.spatialize.generator import Generator
from avssl_downstream.spatialize.inference import WindowSchedule


class StreamingSpatializer:
    """Spatial audio from blocks of mono audio (or of a sound field of lower order) and video frames.

    The generator works at its own sample rate. Its output without the input audio is resampled to the rate of the
    stream and added to the input audio, delayed: content above the generator's band is kept, W of ambisonics is the
    input itself, bit for bit, and so are the four channels of a first-order input. Output has the positions and, after
    `finish`, the length of the input, and does not depend on how the stream is divided into blocks.

    Live use, with blocks and frames from anywhere::

        head = Spatialize.load(Path("runs/spatialize"), {})
        frames = LiveFrames(head.generator)
        spatializer = head.streaming(frames, sample_rate=48000)
        for block, image, seconds in capture():  # block float32 (1, samples), image uint8 (height, width, 3)
            frames.push(image, seconds)
            play(spatializer.push(block))  # (2, samples), up to `spatializer.delay` seconds behind; maybe empty
        play(spatializer.finish())

    Args:
        generator: fitted, in evaluation mode.
        features: visual features of the same stream. Windows wait until their frames are available.
        sample_rate: Hz, of input and output.
        schedule: hop and batch size of windows; a batch of 1 has the shortest delay.
        fabric: device and precision of the generator; None: where the generator is, float32.
        calibration: of the generator's output; None: as it is.

    Raises:
        InputError: a hop that the generator's windows do not allow.
    """

    def __init__(
        self,
        generator: Generator,
        features: FrameFeatures,
        sample_rate: int,
        schedule: WindowSchedule,
        fabric: Fabric | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        self.generator, self.features, self.fabric, self.calibration = generator, features, fabric, calibration
        self.finished = False
        self._overlap_add = schedule.overlap_add(generator, self._generate, self._ready)
        inputs, added = generator.input_channels, generator.channels - generator.input_channels
        self._down = StreamResampler(inputs, sample_rate, generator.sample_rate)
        self._up = StreamResampler(2 if generator.output == "binaural" else added, generator.sample_rate, sample_rate)
        self._input, self._low_rate_input = DelayLine(inputs), DelayLine(inputs)

    @property
    def delay(self) -> float:
        """Seconds by which output lags behind input at most, while no window waits for its frames."""
        return self._overlap_add.delay / self.generator.sample_rate + self._down.delay + self._up.delay

    def push(self, audio: Tensor | np.ndarray) -> Tensor:
        """Take the next block, and return the output that is final.

        Args:
            audio: `(I, samples)`, of any length.

        Returns:
            `(C, samples)` that follow the output before; maybe none.

        Raises:
            InputError: another number of channels, samples that are not finite, or a stream that is finished.
        """
        block = self._checked(audio)
        self._input.push(block)
        low_rate = self._down.push(block)
        self._low_rate_input.push(low_rate)
        return self._mixed(self._up.push(self._without_input(self._overlap_add.push(low_rate))))

    def finish(self) -> Tensor:
        """End the stream, and return the rest of the output, `(C, samples)`.

        Raises:
            InputError: a stream that is finished, or one without a frame.
        """
        self._check_unfinished()
        self.finished = True
        self.features.frames.close()
        low_rate = self._down.finish()
        self._low_rate_input.push(low_rate)
        generated = torch.cat([self._overlap_add.push(low_rate), self._overlap_add.finish()], 1)
        return self._mixed(torch.cat([self._up.push(self._without_input(generated)), self._up.finish()], 1))

    def _checked(self, audio: Tensor | np.ndarray) -> Tensor:
        """A copy of a block, which the caller may overwrite."""
        self._check_unfinished()
        block = torch.as_tensor(audio, dtype=torch.float32).clone()
        if block.ndim != 2 or len(block) != self.generator.input_channels:
            expected = f"({self.generator.input_channels}, samples)"
            raise InputError(f"expected audio {expected}, got {tuple(block.shape)}")
        if not bool(block.isfinite().all()):
            raise InputError("expected finite audio samples, got NaN or Inf")
        return block

    def _check_unfinished(self) -> None:
        if self.finished:
            raise InputError("expected an open stream, this one is finished; make another StreamingSpatializer")

    def _ready(self, start: int) -> bool:
        """Whether the frames of a window are available."""
        return self.features.ready(self._middle(start))

    def _middle(self, start: int) -> float:
        """Seconds at the middle of a window that begins at a sample."""
        return (start + self.generator.samples / 2) / self.generator.sample_rate

    def _generate(self, windows: Tensor, starts: list[int]) -> Tensor:
        """Spatial audio of windows `(B, I, S)`: `(B, C, S)`."""
        device = next(self.generator.parameters()).device
        with torch.no_grad(), self.fabric.autocast() if self.fabric else nullcontext():
            features = self.features.at([self._middle(each) for each in starts])
            made = self.generator.generate(windows.squeeze(1).to(device), features).float().cpu()
        return made if self.calibration is None else self.calibration(made, windows)

    def _without_input(self, generated: Tensor) -> Tensor:
        """The generator's output less the input audio: binaural `(2, samples)`, or the channels that are generated."""
        low_rate = self._low_rate_input.take(generated.shape[1])
        if self.generator.output == "binaural":
            return generated - low_rate
        return generated[self.generator.input_channels :]

    def _mixed(self, added: Tensor) -> Tensor:
        """The input audio and what is added to it, `(C, samples)`."""
        audio = self._input.take(added.shape[1])
        added = added[:, : audio.shape[1]]  # a little more at the end, where one rate is no multiple of the other
        return audio + added if self.generator.output == "binaural" else torch.cat([audio, added])


def generate_stream(spatializer: StreamingSpatializer, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
    """Spatial audio `(C, samples)` of a stream of blocks `(I, samples)`, to its end, without empty blocks."""
    for block in blocks:
        if (made := spatializer.push(block)).shape[1]:
            yield made
    if (made := spatializer.finish()).shape[1]:
        yield made


class DelayLine:
    """Audio that waits until it is taken, first in, first out.

    Args:
        channels: of the audio.
    """

    def __init__(self, channels: int) -> None:
        self._blocks: deque[Tensor] = deque()
        self._nothing = torch.zeros(channels, 0)

    def push(self, block: Tensor) -> None:
        """Add `(channels, samples)` at the end."""
        if block.shape[-1]:
            self._blocks.append(block)

    def take(self, samples: int) -> Tensor:
        """Remove and return the first samples; fewer if there are no more."""
        found, missing = [self._nothing], samples
        while missing and self._blocks:
            block = self._blocks.popleft()
            found.append(block[:, :missing])
            if block.shape[1] > missing:
                self._blocks.appendleft(block[:, missing:])
            missing -= found[-1].shape[1]
        return torch.cat(found, 1)
