"""Mono sound and pictures to spatial sound: train a generator, measure it, use it."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from avssl.errors import InputError
from omegaconf import OmegaConf

from avssl.data.atomic import write_text
from avssl.datasets.manifest import Manifest
from avssl.head import Head
from avssl.models.encoders import Encoders
from avssl.models.runtime import single_process
from avssl.runs.reader import CONFIG, read_config
from avssl.runs.run_folder import FIGURES, add_metrics, check_same
from avssl.train.checkpoint import LAST
from avssl.train.signals import interrupting
from avssl_downstream.spatialize.apply import apply
from avssl_downstream.spatialize.evaluate import Evaluation
from avssl_downstream.spatialize.evaluation_clips import spatial_prior
from avssl_downstream.spatialize.generator import Generator
from avssl_downstream.spatialize.generator_io import read_generator, write_generator
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.plots import ClipPlots
from avssl_downstream.spatialize.registry import build_generator
from avssl_downstream.spatialize.training import evaluation_manifests, train, training_manifests

MAY_CHANGE = (
    "train.steps", "train.log_every", "train.save_every", "train.show_every", "workers", "split", "max_clips",
    "normalisation", "hop", "windows", "mix", "panorama", "target", "hrirs", "filters", "codec", "title", "published",
)  # fmt: skip
"""Settings that a run may be continued with though it was begun with others."""


class Spatialize(Head):
    """Trains a generator of spatial sound and measures it; measures a fitted one on other clips, makes files with it.

    Args:
        encoders: pretrained towers for the picture branch `encoders`, or None.
        options: generator, data, training, evaluation.

    Raises:
        InputError: see `build`.
    """

    Options = SpatializeOptions
    needs_encoders = False
    encoders: Encoders | None  # type: ignore[assignment]
    options: SpatializeOptions

    def __init__(self, encoders: Encoders | None, options: SpatializeOptions) -> None:
        if encoders is None and options.visual_branch == "encoders":
            raise InputError("visual_branch=encoders needs --encoders: a run folder, or its encoders folder")
        if encoders is not None and options.visual_branch != "encoders":
            raise InputError(
                f"expected visual_branch=encoders beside --encoders, got visual_branch={options.visual_branch}, which "
                "ignores them; set visual_branch=encoders, or leave out --encoders"
            )
        self.encoders, self.options = encoders, options
        self.generator: Generator | None = None

    @classmethod
    def load(cls, folder: Path, settings: Any) -> Spatialize:
        """A head fitted in `folder`; `settings` may change how files are made and what is measured, see `folder.FREE`.

        Raises:
            InputError: no such folder, a broken file, or settings that need another fit.
        """
        generator, options = read_generator(folder, settings)
        head = cls.__new__(cls)
        head.encoders, head.options, head.generator = None, options, generator
        return head

    def fit(self, folder: Path) -> dict[str, float]:
        """Train, save, measure; what was begun in the folder is continued.

        Leaves `config.yaml`, checkpoints, `generator.safetensors`, `config.json`, `metrics.json` and figures.

        Returns:
            What `metrics.json` holds: `test_stft` and the like of the generator, `mono_stft` and the like of what it
            must beat, settings that the numbers depend on; see `Evaluation` and `measure`.

        Raises:
            InputError: unusable data, or a folder of another run.
            OSError: something cannot be read or written.
            SystemExit: with code 0, after saving, when SIGTERM or Ctrl-C came.
        """
        check_folder(folder, self.options)
        generator = build_generator(self.options, self.encoders)
        training, further, held_out = training_manifests(generator, self.options)
        fabric = single_process(self.options.train.precision)
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / CONFIG, OmegaConf.to_yaml(OmegaConf.create(run_config(self.options))))
        found = train(generator, training, further, self.options, folder, fabric)
        write_generator(folder, generator, self.options, self.encoders)
        add_metrics(folder, found)
        self.generator = generator
        seen = training if len(training) else further
        found = self._measured(generator.to(fabric.device), seen, held_out, folder)
        return add_metrics(folder, found | {"training_clips": float(len(seen))})

    def measure(self, folder: Path) -> dict[str, float]:
        """Measure a fitted generator on the clips of `manifest` of a split, or on all where none is named or labelled.

        Leaves `config.yaml`, `metrics.json` and figures, as `fit` does. Where the manifest has clips to train on, the
        spatial prior is theirs; else there is none.

        Returns:
            What `metrics.json` holds; see `fit`.

        Raises:
            InputError: the head was not fitted, no data are named, unusable data, or a folder of another run.
            OSError: something cannot be read or written.
        """
        if self.generator is None or not self.options.manifest:
            raise InputError(f"{folder}: spatialize measures a fitted generator (--head) on a manifest (--data)")
        self.options = replace(self.options, published={})
        check_folder(folder, self.options)
        training, held_out = evaluation_manifests(self.generator, self.options)
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / CONFIG, OmegaConf.to_yaml(OmegaConf.create(run_config(self.options))))
        generator = self.generator.to(single_process(self.options.train.precision).device)
        return add_metrics(folder, self._measured(generator, training, held_out, folder))

    def apply(self, source: Path, target: Path) -> None:
        """Make a file with spatial sound of one without; see `avssl_downstream.spatialize.apply.apply`.

        Raises:
            InputError: the head was not fitted, or see there.
            OSError: see there.
        """
        if self.generator is None:
            raise InputError(f"{source}: spatialize needs a fitted generator: give its folder (--head)")
        fabric = single_process(self.options.train.precision)
        with interrupting():
            apply(source, target, self.generator.to(fabric.device).eval(), self.options, fabric)

    def _measured(self, generator: Generator, training: Manifest, held_out: Manifest, folder: Path) -> dict[str, float]:
        fabric = single_process(self.options.train.precision)
        (folder / FIGURES).mkdir(exist_ok=True)
        figures = ClipPlots(folder / FIGURES, generator, held_out)
        with interrupting():
            prior = spatial_prior(training, generator) if len(training) else None
            numbers = Evaluation(generator, prior, self.options, fabric).run(held_out, figures.add)
        return numbers | {
            "sample_rate": float(generator.sample_rate),
            "normalised_to_peak": float(self.options.normalisation == "peak"),
            "seed": float(self.options.train.seed),
        }


def run_config(options: SpatializeOptions) -> dict[str, Any]:
    """What `config.yaml` says, as `avssl report` reads it."""
    settings = asdict(options)
    title = options.title or f"{options.generator} {options.visual_branch}"
    return {"task": "spatialize", "features": {"name": options.generator}, **settings, "title": title}


def check_folder(folder: Path, options: SpatializeOptions) -> None:
    """See that a run may live in a folder; keys that are newer than the folder have their defaults.

    Raises:
        InputError: it belongs to a run of other options.
    """
    if not (folder / CONFIG).is_file():
        if (folder / LAST).is_file():
            raise InputError(f"{folder}: holds a checkpoint but no {CONFIG}; use another folder")
        return
    defaults = OmegaConf.create(run_config(SpatializeOptions()))
    before: Any = OmegaConf.to_container(OmegaConf.merge(defaults, read_config(folder)))
    check_same(folder, before, run_config(options), MAY_CHANGE)
