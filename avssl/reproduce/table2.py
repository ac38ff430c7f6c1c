"""Wang et al. 2023, EigenScape: acoustic scenes from frozen audio embeddings of features x pretext tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from avssl.datasets.layout import Layout, load_layout
from avssl.recipe_files import shipped_recipes
from avssl.reproduce.head_runs import HeadRun, head_options
from avssl.reproduce.network_passes import Passes
from avssl.reproduce.paper_table import Source
from avssl.reproduce.published_numbers import WITHOUT_EFFECT, is_published_pretraining, is_whole_eigenscape
from avssl.reproduce.segment_table import Baseline, Protocol, SegmentTable, audio_passes

AS_PUBLISHED, BY_DEFAULT = "accuracy_published", "accuracy_default"
FROZEN, ORIGINAL = "eigenscape/frozen", "eigenscape/original"
DIRAC = "accuracy_dirac_gmm"


@dataclass(frozen=True)
class Table2(SegmentTable):
    """Features x tasks, as published and by the head's defaults."""

    name: ClassVar[str] = "table2"
    head: ClassVar[str] = "eigenscape"
    titles: ClassVar[Mapping[str, str]] = {AS_PUBLISHED: "as published", BY_DEFAULT: "by default"}
    built_in_seconds: ClassVar[float] = 8 * 8 * 60.0

    def protocols(self, task: str, row: str) -> dict[str, Protocol]:
        """As published: the recipe of the row; by default: the head's own options."""
        return {
            "published": Protocol(_recipe(task, row), {AS_PUBLISHED: "accuracy"}),
            "default": Protocol("", {BY_DEFAULT: "accuracy"}),
        }

    def baselines(self, seed: int) -> Iterator[Baseline]:
        """The baseline published with EigenScape, and statistics of the log-mel spectrogram."""
        original = self.head_run("original", "published", ORIGINAL, None, seed)
        default = self.head_run("baselines", "default", "", None, seed, baselines=["logmel", "dirac_gmm"])
        published = {AS_PUBLISHED: head_options(self.head, ORIGINAL).published[DIRAC]}
        columns = {AS_PUBLISHED: (original, DIRAC), BY_DEFAULT: (default, DIRAC)}
        yield Baseline("DirAC + Gaussian mixtures", columns, published if self._is_published(original) else {})
        yield Baseline("log-mel statistics", {BY_DEFAULT: (default, "accuracy_logmel")})

    def published(self, task: str, row: str, sources: Mapping[str, Source]) -> dict[str, float]:
        """The recipe's number, for encoders of published recipes on the whole of EigenScape."""
        found = head_options(self.head, _recipe(task, row)).published
        known = is_published_pretraining(self.grid) and self._is_published(sources[AS_PUBLISHED].run)
        return {AS_PUBLISHED: found["accuracy"]} if known and found else {}

    def layout(self) -> Layout:
        """EigenScape, with as many files missing as the user allows."""
        options = head_options(self.head, FROZEN, self.grid.layer(self.head))
        return load_layout("eigenscape")(options.layout_options())

    def passes(self, options: Any, row: str, seconds: float) -> tuple[Passes, ...]:
        """A window each hop, and each rotation."""
        hop = options.hop or options.window or self.grid.untrained(row, 0).config.data.seconds
        return (audio_passes(self.grid, row, options.rotations * seconds / hop, options.precision),)

    def _is_published(self, run: HeadRun) -> bool:
        """Whether a run has the options of its recipe, and all of EigenScape; not before it has finished."""
        return not self.grid.changed(self.head) - WITHOUT_EFFECT and is_whole_eigenscape(run)


def _recipe(task: str, row: str) -> str:
    own = f"eigenscape/{task}-{row}"
    return own if own in shipped_recipes() else FROZEN
