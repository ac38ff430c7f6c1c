"""Generators by name: plug-ins of the entry-point group `avssl.generators`, ours included."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from avssl import plugins
from avssl.config import fill
from avssl.models.encoders import Encoders
from avssl_downstream.spatialize.generator import Generator
from avssl_downstream.spatialize.networks.visual_branch import VisualBranch
from avssl_downstream.spatialize.options import SpatializeOptions


def get_generator(name: str) -> type[Generator]:
    """Class of an installed generator.

    Raises:
        InputError: no generator, or more than one distribution's, has this name; its import fails; or it is no
            `Generator`.
    """
    return plugins.load_subclass(plugins.GENERATORS, name, Generator)  # type: ignore[type-abstract]


def build_generator(options: SpatializeOptions, encoders: Encoders | None) -> Generator:
    """Generator with its visual branches; the same weights for the same seed.

    Args:
        options: name and options of the generator, and choice of the visual branch.
        encoders: of a pretraining run, for the visual branch `encoders`.

    Raises:
        InputError: unknown names, options out of their range, encoders that are missing, weights that do not fit.
    """
    kind = get_generator(options.generator)
    own: Any = fill(kind.Options, options.generator_options, where=f"{options.generator}: generator_options")
    branch = partial(VisualBranch, options.visual_branch, encoders, options.visual_weights, fine_tune=options.fine_tune)
    torch.manual_seed(options.train.seed)
    return kind(own, branch)
