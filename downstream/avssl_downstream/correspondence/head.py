"""AVC-Bin and AVSA-Bin: what frozen encoders know of which sound belongs to which picture (Morgado 2020)."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from avssl.datasets.manifest import Manifest, read_manifest
from avssl.errors import InputError
from avssl.evaluation.bootstrap import accuracy_interval
from avssl.head import Head
from avssl.io.atomic import durably_replacing
from avssl.models.encoders import Encoders
from avssl.models.runtime import evaluating, single_process
from avssl_downstream.correspondence.angle_plot import draw_angles
from avssl_downstream.correspondence.options import CorrespondenceOptions
from avssl_downstream.correspondence.pair_probe import PAIRINGS, evaluate_pairs, train
from avssl_downstream.correspondence.pair_sampling import PairSampler, embed
from avssl_downstream.correspondence.transformer_predictions import audio_of_frames
from avssl_downstream.correspondence.window_retrieval import evaluate_retrieval, train_projections


class Correspondence(Head):
    """Trains a probe on frozen embeddings of the train split, and asks it about the test split.

    AVC-Bin: is the sound of this clip, or of another? AVSA-Bin: is it where the picture says, or was the whole sound
    field turned? Chance is one half in both. Retrieval: linear projections to one space, trained on the train split, in
    which draws of the test split are found by cosine similarity.

    Args:
        encoders: pretrained towers; left as they are.
        options: crops, misalignment, probe.

    Raises:
        InputError: neither the encoders nor the options give a geometry.
    """

    Options = CorrespondenceOptions
    options: CorrespondenceOptions

    def __init__(self, encoders: Encoders, options: CorrespondenceOptions) -> None:
        super().__init__(encoders, options.with_geometry(encoders))

    def fit(self, folder: Path) -> dict[str, float]:
        """Train and evaluate; leave the weights of probes and projections, and `avsa_bin_by_angle.png`.

        Returns:
            `avc_bin` and `avsa_bin` with all crops, `avc_bin_1` and `avsa_bin_1` with one; with a transformer the same
            of what it predicts, as `avc_bin_transf` and so on; beside each `_low` and `_high`, the 95 % interval over
            clips. Retrieval among all draws of the test clips: `audio_to_video_r1`, `_r5`, `_r10` and `_map_r`, and
            `video_to_audio_r1` and so on, each with its `_chance`.

        Raises:
            InputError: no manifest, a split with fewer than two clips, or a transformer that does not fit.
        """
        splits = {name: self._clips(name) for name in ("train", "test")}
        predict = audio_of_frames(Path(self.options.transformer), self.encoders) if self.options.transformer else None
        folder.mkdir(parents=True, exist_ok=True)
        training, test = self._embed(splits)
        found = self._scores("", training, test, folder)
        if predict:
            found |= self._scores("_transf", training.predicted(predict), test.predicted(predict), folder)
        retrieved = self._retrieval(training, test, folder)
        if self.options.crops == 1:
            return found | {_of_one(name): value for name, value in found.items()} | retrieved
        training, test = training.single(), test.single()
        found |= self._scores("_1", training, test)
        if predict:
            found |= self._scores("_transf_1", training.predicted(predict), test.predicted(predict))
        return found | retrieved

    def _retrieval(self, training: PairSampler, test: PairSampler, folder: Path) -> dict[str, float]:
        projections = train_projections(training, self.options, "retrieval")
        with durably_replacing(folder / "retrieval.safetensors") as part:
            save_file(projections.state_dict(), part)
        return evaluate_retrieval(projections, test)

    def _scores(
        self, end: str, training: PairSampler, test: PairSampler, folder: Path | None = None
    ) -> dict[str, float]:
        """Of both pairings, under their names and this ending."""
        found: dict[str, float] = {}
        for pairing in PAIRINGS:
            found |= self._score(f"{pairing}_bin{end}", pairing, training, test, folder)
        return found

    def _clips(self, split: str) -> Manifest:
        if not self.options.manifest:
            raise InputError("correspondence needs clips: give a manifest.parquet or its folder (--data)")
        clips = read_manifest(self.options.manifest, split)
        if len(clips) < 2:
            raise InputError(f"{self.options.manifest}: split {split!r} has {len(clips)} clip, correspondence needs 2")
        return clips

    def _embed(self, splits: dict[str, Manifest]) -> tuple[PairSampler, PairSampler]:
        """Draws of training and of test."""
        fabric = single_process(self.options.precision)
        counts = {"train": self.options.train_draws, "test": self.options.test_draws}
        with evaluating(self.encoders.to(fabric.device)):
            training, test = (
                embed(self.encoders, clips, self.options, counts[name], fabric, f"embedding {name} clips")
                for name, clips in splits.items()
            )
        return training, test

    def _score(
        self, name: str, pairing: str, training: PairSampler, test: PairSampler, folder: Path | None
    ) -> dict[str, float]:
        """Train one probe and measure it."""
        probe = train(training, pairing, self.options, name)
        kept, noticed = evaluate_pairs(probe, test, pairing, self.options.seed)
        if folder is not None:
            with durably_replacing(folder / f"{name}.safetensors") as part:
                save_file(probe.state_dict(), part)
            if pairing == "avsa":
                with durably_replacing(folder / f"{name}_by_angle.png") as part:
                    draw_angles(part, noticed, test.angle, kept)
        settings = self.options.bootstrap, self.options.seed
        mean, low, high = accuracy_interval(torch.cat([kept, noticed]), test.clip.repeat(2), *settings)
        return {name: mean, f"{name}_low": low, f"{name}_high": high}


def _of_one(name: str) -> str:
    """The name of a number, or of an end of its interval, that is of one crop: `avc_bin_low` -> `avc_bin_1_low`."""
    stem, end = next((name.removesuffix(each), each) for each in ("_low", "_high", "") if name.endswith(each))
    return f"{stem}_1{end}"
