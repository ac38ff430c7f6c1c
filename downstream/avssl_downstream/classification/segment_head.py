"""What all heads that recognise scenes do: rows of encoders and of what they must beat, judged fold by fold."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn

from avssl.data.clip_options import Reading
from avssl.datasets.dataset import Dataset
from avssl.embedding.batch_inference import tower_of
from avssl.errors import InputError
from avssl.head import Head
from avssl.models.embedder import AudioEmbedder, Embedder
from avssl.models.encoders import AudioEncoder, Encoders, VideoEncoder
from avssl.models.geometry import resolved
from avssl.runs.run_folder import add_metrics, write_config
from avssl.train.signals import interrupt_on_sigterm
from avssl_downstream.acoustic_scenes.feature_ablation import ablate, ablations
from avssl_downstream.classification.cross_validation import Predict, cross_validate, named
from avssl_downstream.classification.logmel_baseline import logmel_statistics
from avssl_downstream.classification.missing_files import report_missing
from avssl_downstream.classification.options import SegmentOptions
from avssl_downstream.classification.random_baseline import random_encoders
from avssl_downstream.classification.result_table import write_table
from avssl_downstream.classification.segment_pooling import MOMENTS, pooled
from avssl_downstream.classification.segment_probe import probe
from avssl_downstream.classification.segments import Rows, embed_windows
from avssl_downstream.classification.synthetic_fallback import stand_in

RATE = 24000
"""Hz of the log-mel baseline where there are no encoders."""


class SegmentHead(Head):
    """Tells segments of recordings apart, fold by fold.

    Args:
        encoders: pretrained towers, left as they are; None: baselines alone.
        options: data, embedding, classifier, baselines.

    Raises:
        InputError: something is asked of encoders that are not given, or cannot do it; or neither they nor the options
            give a geometry.
    """

    needs_encoders = False
    name: ClassVar[str]
    """As it is registered."""
    layout = ""
    """Of the built-in stand-in."""
    encoders: Encoders | None  # type: ignore[assignment]
    options: SegmentOptions

    def __init__(self, encoders: Encoders | None, options: SegmentOptions) -> None:
        self.encoders, self.options = encoders, options
        for what, asked in (
            ("mode=finetune", options.mode == "finetune"),
            (f"ablate={options.ablate}", options.ablate),
        ):
            if asked and encoders is None:
                raise InputError(f"{what} needs --encoders: a run folder, or its encoders folder")
        if encoders is None and set(options.baselines) <= {"random"}:
            raise InputError(
                "without --encoders there are baselines alone, and none is asked for; set baselines=[logmel]"
            )
        if encoders is not None:
            for tower in options.towers:
                if not isinstance(getattr(encoders, tower, None), nn.Module):
                    raise InputError(f"{self.layout}: needs encoders with the tower {tower}, these have none")
            self._check(encoders)
            ablations(encoders.features, options.ablate)
        self.options = options.with_geometry(encoders)

    def fit(self, folder: Path) -> dict[str, float]:
        """Embed, learn and test; leave `table.csv`, `metrics.json`, `config.yaml`, and `missing.txt` of missing files.

        Beside them, and in a folder a further row, lie `confusion.png`, `classes.csv` and `predictions.csv`.

        Returns:
            What `cross_validate` gives of the encoders, and `accuracy_ROW` and the like of every further row.

        Raises:
            InputError: a data set or file that cannot be used; see the data set's reader.
            OSError: something cannot be read or written.
            SystemExit: with code 0, after saving, when SIGTERM or Ctrl-C came while fine-tuning.
        """
        root = Path(self.options.root) if self.options.root else stand_in(self.layout)
        labelled = self._labelled(root)
        report_missing(labelled, folder, "files")
        with interrupt_on_sigterm():
            rows = {
                name: cross_validate(labelled, predict, folder / name, self.options.seed)
                for name, predict in self._rows(labelled, folder)
            }
        write_table(folder, labelled, rows)
        write_config(folder, self._config(labelled))
        found = {key: value for name, row in rows.items() for key, value in (named(row, name) if name else row).items()}
        counts = {
            "segments": len(labelled.recordings),
            "missing_files": len(labelled.missing_names),
            "seed": self.options.seed,
        }
        return add_metrics(folder, found | {name: float(count) for name, count in counts.items()})

    @abstractmethod
    def _labelled(self, root: Path) -> Dataset:
        """The data set's segments and folds."""

    @abstractmethod
    def _reading(self) -> Reading:
        """How a window is read."""

    @abstractmethod
    def _rows(self, labelled: Dataset, folder: Path) -> Iterator[tuple[str, Predict]]:
        """Name of each row, none of the encoders' own, and its predictions."""

    def _check(self, encoders: Encoders) -> None:
        """Refuse encoders that cannot do what is asked."""

    def _compared(self) -> dict[str, Encoders]:
        """Encoders of each row that has some."""
        if self.encoders is None:
            return {}
        random = "random" in self.options.baselines
        return {"": self.encoders} | ({"random": random_encoders(self.encoders, self.options.seed)} if random else {})

    def _windows(self, embedder: Embedder, labelled: Dataset, reading: Reading, title: str) -> Rows:
        options, title = self.options, f"{title}, {tower_of(embedder)}"
        hop, precision, workers = resolved(options.hop), options.precision, options.workers
        return embed_windows(embedder, labelled, reading, hop, precision, workers, title)

    def _embedded(self, tower: AudioEncoder | VideoEncoder, labelled: Dataset, title: str) -> Tensor:
        """The pooled embedding of each segment by a frozen tower."""
        embedder = self._audio_embedder(tower) if isinstance(tower, AudioEncoder) else tower
        return pooled(self._windows(embedder, labelled, self._reading(), title), self.options.pool)

    def _audio_embedder(self, audio: AudioEncoder, layer: str = "") -> AudioEmbedder:
        """The embedder made of a frozen audio tower; `layer` overrides the option of that name."""
        return audio

    def _audio_rows(self, labelled: Dataset, channels: int) -> Iterator[tuple[str, Predict]]:
        """Rows of feature ablations, and of baselines of audio alone."""
        if self.encoders is not None and self.options.ablate:
            yield from self._ablated(self.encoders, labelled)
        if "logmel" in self.options.baselines:
            statistics = logmel_statistics(channels, self.encoders.sample_rate if self.encoders else RATE)
            embedder = self._audio_embedder(statistics, "embedding")
            reading = Reading(resolved(self.options.window), channels=channels)
            windows = self._windows(embedder, labelled, reading, "log-mel statistics")
            yield "logmel", probe(pooled(windows, MOMENTS), self.options)

    def _ablated(self, encoders: Encoders, labelled: Dataset) -> Iterator[tuple[str, Predict]]:
        """Maps ablated in training and test, and in test alone."""
        whole = self._embedded(encoders.audio, labelled, "encoders")
        for maps in ablations(encoders.features, self.options.ablate):
            without = self._embedded(ablate(encoders.audio, maps), labelled, f"without {maps}")
            yield f"without_{maps}", probe(without, self.options)
            yield f"losing_{maps}", probe(whole, self.options, without)

    def _config(self, labelled: Dataset) -> dict[str, object]:
        """What `config.yaml` says, as `avssl report` reads it."""
        settings = {key: value for key, value in asdict(self.options).items() if key not in ("seed", "root", "workers")}
        features = self.encoders.feature_config.name if self.encoders else "none"
        model = {"model": asdict(self.encoders.model_config)} if self.encoders else {}
        about = {
            "task": self.name,
            "features": {"name": features},
            "train": {"seed": self.options.seed},
        }
        title = self.options.title or f"{labelled.name}, {features} {self.options.mode}"
        return {**settings, **about, **model, "data_set": labelled.name, "title": title}
