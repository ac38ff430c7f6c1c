"""Build a generator from the options of the head."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from avssl.config import fill
from avssl.models.encoders import Encoders
from avssl_downstream.spatialize.generator import Generator
from avssl_downstream.spatialize.generators import find
from avssl_downstream.spatialize.networks.visual_branch import VisualBranch
from avssl_downstream.spatialize.options import SpatializeOptions


def build(options: SpatializeOptions, encoders: Encoders | None) -> Generator:
    """A generator with its visual branches; the same weights for the same seed.

    Args:
        options: name, options of the generator, visual branch.
        encoders: of a pretraining run, for `visual_branch=encoders`.

    Raises:
        InputError: unknown names, options out of their range, encoders that are missing, weights that do not fit.
    """
    kind = find(options.generator)
    own: Any = fill(kind.Options, options.generator_options, where=f"{options.generator}: generator_options")
    branch = partial(VisualBranch, options.visual_branch, encoders, options.visual_weights, fine_tune=options.fine_tune)
    torch.manual_seed(options.train.seed)
    return kind(own, branch)
