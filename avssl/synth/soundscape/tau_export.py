"""Export in the layout of TAU Urban Audio-Visual Scenes: clips with video and binaural audio."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from avssl.datasets.layouts.tau import SETUP
from avssl.media import write_video
from avssl.media.wav_writer import write_wav
from avssl.spatial.binaural import to_binaural
from avssl.synth.acoustics.binaural_render import field_filters
from avssl.synth.canvas.compositing import Canvas
from avssl.synth.intact_files import is_intact
from avssl.synth.soundscape.eigenscape_classes import describe
from avssl.synth.soundscape.eigenscape_export import Tree
from avssl.synth.soundscape.tau_classes import AUDIO, SIGHTS
from avssl.synth.soundscape.urban_video import draw_vista, render_vista

SEGMENTS = 2
"""Number of clips of each location."""
TESTED = 3
"""Every third location is a test location."""
CITIES = ("amsterdam", "barcelona", "helsinki", "lisbon", "london", "lyon", "madrid", "milan", "paris", "prague",
          "stockholm", "vienna")  # fmt: skip
SIZE, FRAME_RATE = (160, 96), 10.0
"""Width and height of the frames in pixels, and frame rate in Hz."""
HEAD = "filename_audio\tfilename_video\tscene_label"


class Tau(Tree):
    """`audio/{scene}-{city}-{location}-{segment}.wav` for two ears, `video/` of the same names, and a fold."""

    layout = "tau"
    class_samplers = AUDIO
    marks = ("audio", "video", SETUP)
    least = 2

    def files(self, label: str, number: int) -> list[str]:
        """Audio of all clips, then video."""
        names = _names(label, number)
        return [f"audio/{name}.wav" for name in names] + [f"video/{name}.mp4" for name in names]

    def record(self, out: Path, label: str, number: int) -> None:
        """The clips of a place, one after the other."""
        paths = [out / name for name in self.files(label, number)]
        class_samplers, videos = paths[:SEGMENTS], paths[SEGMENTS:]
        if not all(map(is_intact, class_samplers)):
            rendered = self._render_recording(label, number)
            for path, audio in zip(class_samplers, np.array_split(rendered, SEGMENTS, axis=1), strict=True):
                write_wav(path, [audio], self.sample_rate, "PCM_24")
        for segment, path in enumerate(videos):
            if not is_intact(path):
                self._film(path, label, number, segment)

    def _render_recording(self, label: str, number: int) -> np.ndarray:
        """Left and right in all clips of a place."""
        seconds = SEGMENTS * self.seconds
        blocks = describe(AUDIO, label, self.seed, number, seconds).blocks(seconds, self.sample_rate, 1)
        field = torch.from_numpy(np.concatenate(list(blocks), 1))
        return np.asarray(to_binaural(field, field_filters("", self.sample_rate)).numpy())

    def _film(self, path: Path, label: str, number: int, segment: int) -> None:
        form = Canvas(self.seconds, SIZE[0], FRAME_RATE, self.sample_rate, SIZE[1])
        place = np.random.default_rng((self.seed, list(SIGHTS).index(label), number, len(SIGHTS)))
        background, family = int(place.integers(2**31)), str(place.choice(SIGHTS[label].surroundings))
        rng = np.random.default_rng((background, segment))
        write_video(path, render_vista(draw_vista(rng, SIGHTS[label], background, family, form), form), FRAME_RATE)

    def lists(self, classes: Sequence[str], places: int) -> dict[str, str]:
        """Which places are trained on, and which are tested."""
        rows: dict[str, list[str]] = {"train": [HEAD], "evaluate": [HEAD]}
        for label in classes:
            for number in range(1, places + 1):
                fold = "train" if number % min(TESTED, places) else "evaluate"
                rows[fold] += [f"audio/{name}.wav\tvideo/{name}.mp4\t{label}" for name in _names(label, number)]
        rows["test"] = [row.rpartition("\t")[0] for row in rows["evaluate"]]
        return {f"{SETUP}/fold1_{fold}.csv": "\n".join(lines) + "\n" for fold, lines in rows.items()}


def _names(label: str, number: int) -> list[str]:
    """Names of the clips of a location, without suffix."""
    location = 1000 * (list(AUDIO).index(label) + 1) + number
    city = CITIES[number % len(CITIES)]
    return [f"{label}-{city}-{location}-{SEGMENTS * location + segment}" for segment in range(SEGMENTS)]
