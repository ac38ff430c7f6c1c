"""Audio embeddings predicted from crops by a transformer of `avsa`, which the paper probes as *transf*."""

from __future__ import annotations

from pathlib import Path

from avssl.config_bounds import LARGEST
from avssl.errors import InputError
from avssl.io.tensor_files import load_tensors, read_tensors
from avssl.models.cross_modal_transformer import CrossModalTransformer, form_of
from avssl.models.encoders import Encoders
from avssl.runs.run_folder import TASK

PART = "v2a_transformer."
LARGEST_FORM = {"depth": LARGEST["depth"], "relative_directions": LARGEST["order"]}


def load_transformer(run: Path, encoders: Encoders) -> CrossModalTransformer:
    """Load the transformer that a run of `avsa` trained with its encoders, in evaluation mode.

    Args:
        run: folder of the run, or its `task.safetensors`; the form is that of the parameters in it.
        encoders: of the same run; their video embeddings are its input.

    Raises:
        InputError: no such file, no transformer in it, or one of another width.
    """
    path = run / TASK if run.is_dir() else run
    state = {name.removeprefix(PART): each for name, each in read_tensors(path).items() if name.startswith(PART)}
    form = form_of(state)
    if not form.depth:
        raise InputError(
            f"{path}: expected a transformer, got none; `avssl pretrain --recipe avsa/small-transformer` trains one"
        )
    for name, most in LARGEST_FORM.items():
        if getattr(form, name) > most:
            raise InputError(f"{path}: expected a transformer of {name} {most} at most, got {getattr(form, name)}")
    transformer = CrossModalTransformer(
        encoders.video_width, form.depth, norm=form.norm, relative_directions=form.relative_directions
    )
    load_tensors(transformer, state, str(path))
    return transformer.eval()
