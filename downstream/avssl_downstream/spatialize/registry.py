"""Generators by name: plug-ins of the entry-point group `avssl.generators`, ours included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from avssl import plugins
from avssl.config import fill
from avssl.models.encoders import Encoders
from avssl_downstream.spatialize.generator import Generator
from avssl_downstream.spatialize.networks.branch_factory import BranchFactory, branch_sources, check_branches
from avssl_downstream.spatialize.options import SpatializeOptions


def get_generator(name: str) -> type[Generator]:
    """Class of an installed generator.

    Raises:
        InputError: no generator, or more than one distribution's, has this name; its import fails; or it is no
            `Generator`.
    """
    return plugins.load_subclass(plugins.GENERATORS, name, Generator)  # type: ignore[type-abstract]


def build_generator(
    options: SpatializeOptions, encoders: Encoders | None, prior: Mapping[str, Any] | None = None
) -> Generator:
    """Generator with its visual and audio branches; the same weights for the same seed.

    Args:
        options: name and options of the generator, and choice of the branches.
        encoders: of a pretraining run, for branches `encoders`.
        prior: description of the direction prior that is stored with a fitted generator, see `describe_task`.

    Raises:
        InputError: unknown names, options out of their range, encoders that are missing, do not fit or that no branch
            uses, weights that do not fit.
    """
    kind = get_generator(options.generator)
    own: Any = fill(kind.Options, options.generator_options, where=f"{options.generator}: generator_options")
    chosen = options.visual_branch, options.audio_branch
    branches = BranchFactory(*chosen, encoders, options.visual_weights, options.fine_tune, prior)
    torch.manual_seed(options.train.seed)
    generator = kind(own, branches)
    check_branches(generator, branches)
    return generator


def resolve_branches(options: SpatializeOptions, generator: Generator) -> SpatializeOptions:
    """The same options with the branches that the generator has, where they were left open."""
    visual, audio = branch_sources(generator)
    return replace(
        options,
        visual_branch=options.visual_branch or visual or "none",
        audio_branch=options.audio_branch or audio or "none",
    )
