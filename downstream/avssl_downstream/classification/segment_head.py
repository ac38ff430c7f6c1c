"""Base of heads that classify segments: rows of encoders, ablations and baselines, cross-validated."""

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
from avssl.io.folder_lock import locks_folder
from avssl.io.interrupts import interrupt_on_signals
from avssl.models.embedder import AudioEmbedder, Embedder
from avssl.models.encoders import AudioEncoder, Encoders, VideoEncoder
from avssl.models.geometry import resolved
from avssl.runs.run_folder import add_metrics, write_config
from avssl_downstream.classification.cross_validation import Predictor, cross_validate, with_suffix
from avssl_downstream.classification.feature_ablation import ablate, ablations
from avssl_downstream.classification.logmel_baseline import logmel_statistics
from avssl_downstream.classification.missing_files import report_missing_files
from avssl_downstream.classification.options import SegmentOptions
from avssl_downstream.classification.random_baseline import random_encoders
from avssl_downstream.classification.result_table import write_table
from avssl_downstream.classification.segment_pooling import MOMENTS, pool_windows
from avssl_downstream.classification.segment_probe import probe_predictor
from avssl_downstream.classification.segments import SegmentEmbeddings, embed_windows
from avssl_downstream.classification.synthetic_fallback import synthetic_dataset_folder

RATE = 24000
"""Sample rate in Hz of the log-mel baseline without encoders."""


class SegmentHead(Head):
    """Classify segments of recordings by cross-validation.

    Args:
        encoders: pretrained towers, never modified; None: baselines only.
        options: data, embedding, classifier, baselines.

    Raises:
        InputError: the options need encoders and there are none, or they do not fit; or neither they nor the options
            have a geometry.
    """

    needs_encoders = False
    name: ClassVar[str]
    """Registered name of the head."""
    layout = ""
    """Layout of the synthetic dataset."""
    encoders: Encoders | None  # type: ignore[assignment]
    options: SegmentOptions

    def __init__(self, encoders: Encoders | None, options: SegmentOptions) -> None:
        self.encoders, self.options = encoders, options
        for option, chosen in (
            ("mode=finetune", options.mode == "finetune"),
            (f"ablate={options.ablate}", options.ablate),
        ):
            if chosen and encoders is None:
                raise InputError(f"{option} needs --encoders; give a run folder, or its encoders folder")
        if encoders is None and set(options.baselines) <= {"random"}:
            raise InputError("expected --encoders or a baseline that needs none, got neither; set baselines=[logmel]")
        if encoders is not None:
            for tower in options.towers:
                if not isinstance(getattr(encoders, tower, None), nn.Module):
                    raise InputError(f"{self.name}: expected encoders with the tower {tower}, these have none")
            self._check(encoders)
            ablations(encoders.features, options.ablate)
        self.options = options.with_geometry(encoders)
        self._pooled: dict[str, Tensor] = {}

    @classmethod
    def takes_encoders(cls, options: SegmentOptions) -> bool:
        """Unless all rows are baselines that need none."""
        needed = not options.baselines or "random" in options.baselines
        return needed or options.mode == "finetune" or bool(options.ablate)

    @locks_folder
    def fit(self, folder: Path) -> dict[str, float]:
        """Embed, fit and test; write `table.csv`, `metrics.json`, `config.yaml`, and `missing.txt` if needed.

        Also writes `confusion.png`, `classes.csv`, `predictions.csv` and `evaluated.parquet`, in one subfolder for each
        further row.

        Returns:
            Metrics of `cross_validate` for the encoders, and `accuracy_ROW` and others for every further row.

        Raises:
            InputError: an invalid data set or file; see the layout.
            OSError: a file cannot be read or written.
            SystemExit: code 0, after saving a checkpoint, on SIGTERM, SIGHUP or Ctrl-C.
        """
        root = Path(self.options.root) if self.options.root else synthetic_dataset_folder(self.layout)
        dataset = self._read_dataset(root)
        report_missing_files(dataset, folder, "files")
        with interrupt_on_signals():
            rows = {
                name: cross_validate(dataset, predict, folder / name, self.options.seed, None if name else self._pooled)
                for name, predict in self._rows(dataset, folder)
            }
        write_table(folder, dataset, rows)
        write_config(folder, self._config(dataset))
        metrics = {
            key: value for name, row in rows.items() for key, value in (with_suffix(row, name) if name else row).items()
        }
        counts = {
            "segments": len(dataset.recordings),
            "classes": len(dataset.classes),
            "missing_files": len(dataset.missing_names),
            "seed": self.options.seed,
        }
        return add_metrics(folder, metrics | {name: float(count) for name, count in counts.items()})

    @abstractmethod
    def _read_dataset(self, root: Path) -> Dataset:
        """Read the data set's segments and folds."""

    @abstractmethod
    def _reading(self) -> Reading:
        """How a window is read."""

    @abstractmethod
    def _rows(self, dataset: Dataset, folder: Path) -> Iterator[tuple[str, Predictor]]:
        """Name of each row (empty: the encoders) and its predictor."""

    def _check(self, encoders: Encoders) -> None:
        """Raise InputError if the encoders do not fit the options."""

    def _encoder_rows(self) -> dict[str, Encoders]:
        """Rows with encoders: the given ones, and random ones if chosen."""
        if self.encoders is None:
            return {}
        random = "random" in self.options.baselines
        return {"": self.encoders} | ({"random": random_encoders(self.encoders, self.options.seed)} if random else {})

    def _windows(self, embedder: Embedder, dataset: Dataset, reading: Reading, title: str) -> SegmentEmbeddings:
        options, title = self.options, f"{title}, {tower_of(embedder)}"
        hop, precision, workers = resolved(options.hop), options.precision, options.workers
        return embed_windows(embedder, dataset, reading, hop, precision, workers, title)

    def _embedded(self, tower: AudioEncoder | VideoEncoder, dataset: Dataset, title: str) -> Tensor:
        """Pooled embedding of each segment by a frozen tower."""
        embedder = self._audio_embedder(tower) if isinstance(tower, AudioEncoder) else tower
        pooled = pool_windows(self._windows(embedder, dataset, self._reading(), title), self.options.pool)
        name = tower_of(embedder)
        if tower is getattr(self.encoders, name, None):
            self._pooled[name] = pooled
        return pooled

    def _audio_embedder(self, audio: AudioEncoder, layer: str = "") -> AudioEmbedder:
        """Embedder from a frozen audio tower; `layer` overrides the option of that name."""
        return audio

    def _audio_rows(self, dataset: Dataset, channels: int) -> Iterator[tuple[str, Predictor]]:
        """SegmentEmbeddings of feature ablations, and of baselines of audio alone."""
        if self.encoders is not None and self.options.ablate:
            yield from self._ablated(self.encoders, dataset)
        if "logmel" in self.options.baselines:
            statistics = logmel_statistics(channels, self.encoders.sample_rate if self.encoders else RATE)
            embedder = self._audio_embedder(statistics, "embedding")
            reading = Reading(resolved(self.options.window), channels=channels)
            windows = self._windows(embedder, dataset, reading, "log-mel statistics")
            yield "logmel", probe_predictor(pool_windows(windows, MOMENTS), self.options)

    def _ablated(self, encoders: Encoders, dataset: Dataset) -> Iterator[tuple[str, Predictor]]:
        """Rows with maps ablated in training and test, and in test only."""
        full = self._embedded(encoders.audio, dataset, "encoders")
        for maps in ablations(encoders.features, self.options.ablate):
            ablated = self._embedded(ablate(encoders.audio, maps), dataset, f"without {maps}")
            yield f"without_{maps}", probe_predictor(ablated, self.options)
            yield f"losing_{maps}", probe_predictor(full, self.options, ablated)

    def _config(self, dataset: Dataset) -> dict[str, object]:
        """Content of `config.yaml` for `avssl report`."""
        settings = {key: value for key, value in asdict(self.options).items() if key not in ("seed", "root", "workers")}
        features = self.encoders.feature_config.name if self.encoders else "none"
        model = {"model": asdict(self.encoders.model_config)} if self.encoders else {}
        about = {
            "task": self.name,
            "features": {"name": features},
            "train": {"seed": self.options.seed},
        }
        title = self.options.title or f"{dataset.name}, {features} {self.options.mode}"
        return {**settings, **about, **model, "data_set": dataset.name, "title": title}
