"""AVC-Bin and AVSA-Bin: binary audio-visual correspondence and spatial alignment, frozen encoders (Morgado 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from avssl.data.clip_options import CROP_GUIDES
from avssl.datasets.manifest import Manifest, read_manifest
from avssl.errors import InputError
from avssl.evaluation.bootstrap import accuracy_interval
from avssl.evaluation.projecting_task import ProjectingTask
from avssl.evaluation.scene_truth import SceneTruth, read_scene_truth
from avssl.head import Head
from avssl.io.atomic import durably_replacing
from avssl.io.folder_lock import locks_folder
from avssl.models.encoders import Encoders
from avssl.models.runtime import evaluating, single_process
from avssl.runs.evaluated_clips import write_evaluated_clips
from avssl_downstream.correspondence.cosine_readout import evaluate_cosine, load_projections
from avssl_downstream.correspondence.detection_by_angle import detection_by_angle, plot_detection, write_detection
from avssl_downstream.correspondence.fold_scores import fold_scores
from avssl_downstream.correspondence.options import BOTH, CorrespondenceOptions
from avssl_downstream.correspondence.pair_clips import evaluated_pairs
from avssl_downstream.correspondence.pair_embeddings import PairEmbeddings, embed_pairs
from avssl_downstream.correspondence.pair_observers import observer_accuracies, observer_retrieval
from avssl_downstream.correspondence.pair_probe import PAIRINGS, evaluate_pairs, train_probe
from avssl_downstream.correspondence.pair_retrieval import MOST_WINDOWS, evaluate_retrieval, train_projections
from avssl_downstream.correspondence.transformer_predictions import load_transformer

Values = list[tuple[str, float]]
"""Key of a clip and a score, for each of its pairs."""
GUIDED = "guided_"
"""Prefix of the metrics on guided crops, with `crop_guide=both`."""


class Correspondence(Head):
    """Probes of frozen embeddings, trained on the train split and evaluated on the test split.

    AVC-Bin classifies pairs as audio of the same or of another clip; AVSA-Bin as aligned or with a rotated sound field.
    Chance is one half in both. Retrieval trains linear projections to a common space, and retrieves pairs of the test
    split by cosine similarity.

    Args:
        encoders: pretrained towers; never modified.
        options: crops, misalignment, probe.

    Raises:
        InputError: neither the encoders nor the options have a geometry.
    """

    Options = CorrespondenceOptions
    options: CorrespondenceOptions

    def __init__(self, encoders: Encoders, options: CorrespondenceOptions) -> None:
        super().__init__(encoders, options.with_geometry(encoders))
        self._correct: dict[str, tuple[Tensor, Tensor]] = {}

    @locks_folder
    def fit(self, folder: Path) -> dict[str, float]:
        """Train and evaluate; write probes, projections, `avsa_bin_by_angle` (csv and png) and `evaluated.parquet`.

        With `crop_guide=both`, on random crops, and in the folder `guided` on crops guided by objects.

        Returns:
            Accuracies `avc_bin` and `avsa_bin` with all crops, `avc_bin_1` and `avsa_bin_1` with one; with a
            transformer also those of its predictions, `avc_bin_transf` and others; each with `_low` and `_high`, the
            95 % interval over clips; with projections also `avc_bin_cosine` and `avsa_bin_cosine`. Where the test clips
            have ground truth, ideal observers on the same pairs, `avc_bin_ideal_kinds` and others. Retrieval among
            pairs of the test clips: `audio_to_video_r1`, `_r5`, `_r10`, `_map_r`, `_median_rank`, and
            `video_to_audio_r1` and others, each with its `_chance`, and of ideal observers all but MAP@R. With guided
            crops `object_share`, the share of crops that objects guide. With `crop_guide=both` all of them also on
            guided crops, `guided_avc_bin` and others.

        Raises:
            InputError: no manifest, a split with fewer than two clips, or a transformer or projections that do not fit.
        """
        if self.options.crop_guide == BOTH:
            return self._fit_both(folder)
        splits = {name: self._clips(name) for name in ("train", "test")}
        predict = load_transformer(Path(self.options.transformer), self.encoders) if self.options.transformer else None
        task = load_projections(Path(self.options.projections), self.encoders) if self.options.projections else None
        truth = read_scene_truth(splits["test"].root)
        training, test = self._embed(splits)
        beside = self._observers("", truth, splits["test"], test) | self._cosines(task, training, test)
        if self.options.crop_guide == "objects" and test.guided is not None:
            beside["object_share"] = test.guided.float().mean().item()
        metrics = self._scores("", training, test, folder)
        write_evaluated_clips(folder, evaluated_pairs(splits["test"], test, self._correct["avsa_bin"], truth))
        if predict:
            metrics |= self._scores(
                "_transf", training.with_predictions(predict), test.with_predictions(predict), folder
            )
        windows = test.spread(MOST_WINDOWS)
        beside |= self._retrieval(training, windows, folder)
        if truth is not None:
            beside |= observer_retrieval(truth, splits["test"], windows)
        training, test = training.single_crops(), test.single_crops()
        beside |= self._observers("_1", truth, splits["test"], test)
        if self.options.crops == 1:
            return metrics | {_single_crop_name(name): value for name, value in metrics.items()} | beside
        metrics |= self._scores("_1", training, test)
        if predict:
            metrics |= self._scores("_transf_1", training.with_predictions(predict), test.with_predictions(predict))
        return metrics | beside

    def _fit_both(self, folder: Path) -> dict[str, float]:
        """Metrics on random crops, and on guided ones with a prefix."""
        random, guided = (
            Correspondence(self.encoders, replace(self.options, crop_guide=guide)) for guide in CROP_GUIDES
        )
        found = random.fit(folder)
        return found | {f"{GUIDED}{name}": value for name, value in guided.fit(folder / "guided").items()}

    def fold_scores(self, training: Manifest, test: Manifest, videos: Mapping[str, str]) -> dict[str, Values]:
        """Score the clips of a fold over videos by probes that are fitted to its training clips; writes nothing.

        Args:
            training: clips to fit probes and projections to.
            test: clips of other videos.
            videos: key of a clip -> name of its video.

        Returns:
            Scores of `avssl_downstream.correspondence.fold_scores` by name: key of a clip and value, for each pair.
        """
        index = {name: place for place, name in enumerate(sorted(set(videos.values())))}
        splits = {"train": training, "test": test}
        pairs, keys = self._embed(splits), [row.key for row in test]
        fitted, scored = (
            each._replace(clip=torch.tensor([index[videos[row.key]] for row in clips])[each.clip])
            for each, clips in zip(pairs, splits.values(), strict=True)
        )
        found = fold_scores(fitted, scored, self.options)
        of_pairs = [keys[place] for place in pairs[1].clip.tolist()]
        return {name: list(zip(of_pairs, each.tolist(), strict=True)) for name, each in found.items()}

    def _retrieval(self, training: PairEmbeddings, test: PairEmbeddings, folder: Path) -> dict[str, float]:
        projections = train_projections(training, self.options, "retrieval")
        with durably_replacing(folder / "retrieval.safetensors") as part:
            save_file(projections.state_dict(), part)
        return evaluate_retrieval(projections, test)

    def _observers(
        self, suffix: str, truth: SceneTruth | None, clips: Manifest, test: PairEmbeddings
    ) -> dict[str, float]:
        """Accuracies of ideal observers, with a suffix to the names of the pairings; none without ground truth."""
        if truth is None:
            return {}
        return {
            f"{pairing}_bin{suffix}{observer}": accuracy
            for pairing in PAIRINGS
            for observer, accuracy in observer_accuracies(truth, clips, test, pairing, self.options.seed).items()
        }

    def _cosines(self, task: ProjectingTask | None, training: PairEmbeddings, test: PairEmbeddings) -> dict[str, float]:
        """Accuracies without a trained probe; none without projections."""
        metrics: dict[str, float] = {}
        for pairing in PAIRINGS if task else ():
            assert task is not None
            correct = evaluate_cosine(task, training, test, pairing, self.options.seed)
            metrics |= self._interval(f"{pairing}_bin_cosine", correct, test)
        return metrics

    def _scores(
        self, suffix: str, training: PairEmbeddings, test: PairEmbeddings, folder: Path | None = None
    ) -> dict[str, float]:
        """Metrics of both pairings, with a suffix to their names."""
        metrics: dict[str, float] = {}
        for pairing in PAIRINGS:
            metrics |= self._score(f"{pairing}_bin{suffix}", pairing, training, test, folder)
        return metrics

    def _clips(self, split: str) -> Manifest:
        if not self.options.manifest:
            raise InputError("correspondence needs clips; give a manifest.parquet or its folder (--data)")
        path = (split == "test" and self.options.test_manifest) or self.options.manifest
        clips = read_manifest(path, split)
        if len(clips) < 2:
            raise InputError(f"{path}: expected 2 or more clips in split {split!r}, got {len(clips)}")
        return clips

    def _embed(self, splits: dict[str, Manifest]) -> tuple[PairEmbeddings, PairEmbeddings]:
        """Embeddings of the training and of the test split."""
        fabric = single_process(self.options.precision)
        counts = {"train": self.options.train_draws, "test": self.options.test_draws}
        with evaluating(self.encoders.to(fabric.device)):
            training, test = (
                embed_pairs(self.encoders, clips, self.options, counts[name], fabric, f"embedding {name} clips")
                for name, clips in splits.items()
            )
        return training, test

    def _score(
        self, name: str, pairing: str, training: PairEmbeddings, test: PairEmbeddings, folder: Path | None
    ) -> dict[str, float]:
        """Train and evaluate one probe."""
        probe = train_probe(training, pairing, self.options, name)
        self._correct[name] = evaluate_pairs(probe, test, pairing, self.options.seed)
        aligned_correct, misaligned_correct = self._correct[name]
        if folder is not None:
            with durably_replacing(folder / f"{name}.safetensors") as part:
                save_file(probe.state_dict(), part)
            if pairing == "avsa":
                found = detection_by_angle(misaligned_correct, test.angle, aligned_correct)
                for kind, write in (("csv", write_detection), ("png", plot_detection)):
                    with durably_replacing(folder / f"{name}_by_angle.{kind}") as part:
                        write(part, found)
        return self._interval(name, torch.cat([aligned_correct, misaligned_correct]), test)

    def _interval(self, name: str, correct: Tensor, test: PairEmbeddings) -> dict[str, float]:
        """Accuracy with its interval, of decisions on the matching and then on the mismatched pairs."""
        settings = self.options.bootstrap, self.options.seed
        mean, low, high = accuracy_interval(correct, test.clip.repeat(2), *settings)
        return {name: mean, f"{name}_low": low, f"{name}_high": high}


def _single_crop_name(name: str) -> str:
    """Name of a metric with one crop: `avc_bin_low` -> `avc_bin_1_low`."""
    stem, end = next((name.removesuffix(each), each) for each in ("_low", "_high", "") if name.endswith(each))
    return f"{stem}_1{end}"
