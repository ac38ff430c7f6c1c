"""TAU Urban Audio-Visual Scenes 2021: acoustic scenes from frozen audio, video and both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from avssl.datasets.layout import Layout, load_layout
from avssl.datasets.layouts.tau import TauOptions
from avssl.reproduce.encoder_runs import tower_passes
from avssl.reproduce.head_runs import head_options
from avssl.reproduce.network_passes import Passes
from avssl.reproduce.segment_table import Baseline, Protocol, SegmentTable, audio_passes

RECIPES = {"small": "acoustic_scenes/small", "full": "acoustic_scenes/both"}
AUDIO = "accuracy_audio"


@dataclass(frozen=True)
class TauTable(SegmentTable):
    """Features x tasks: audio, video, both embeddings concatenated, and probabilities of both multiplied."""

    name: ClassVar[str] = "tau"
    head: ClassVar[str] = "acoustic-scenes"
    titles: ClassVar[Mapping[str, str]] = {
        AUDIO: "audio", "accuracy_video": "video", "accuracy_both": "both", "accuracy_late": "late fusion",
    }  # fmt: skip
    built_in_seconds: ClassVar[float] = 10 * 8 * 2 * 10.0

    def protocols(self, task: str, row: str) -> dict[str, Protocol]:
        """One run gives all columns."""
        columns = {name: name for name in self.titles} | {"accuracy_both": "accuracy"}
        return {"both": Protocol(RECIPES[self.grid.size], columns)}

    def baselines(self, seed: int) -> Iterator[Baseline]:
        """Statistics of the log-mel spectrogram of both channels."""
        options = {"tower": "audio", "baselines": ["logmel"]}
        run = self.head_run("baselines", "audio", RECIPES[self.grid.size], None, seed, **options)
        yield Baseline("log-mel statistics", {AUDIO: (run, "accuracy_logmel")})

    def layout(self) -> Layout:
        """TAU, with as many files missing as the user allows."""
        options = head_options(self.head, RECIPES[self.grid.size], self.grid.layer(self.head))
        return load_layout("tau")(TauOptions(options.missing, ("audio", "video"), options.segment))

    def passes(self, options: Any, row: str, seconds: float) -> tuple[Passes, ...]:
        """A window each hop, through both towers."""
        config = self.grid.untrained(row, 0).config
        windows = seconds / (options.hop or options.window or config.data.seconds)
        return audio_passes(self.grid, row, windows, options.precision), tower_passes(config, "video", windows)
