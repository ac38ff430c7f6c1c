"""Audio embeddings predicted from crops by a transformer of `avsa`, which the paper probes as *transf*."""

from __future__ import annotations

from pathlib import Path

from avssl.config_bounds import LARGEST
from avssl.errors import InputError
from avssl.io.tensor_files import load_tensors, read_tensors
from avssl.models.cross_modal_transformer import CrossModalTransformer
from avssl.models.encoders import Encoders
from avssl.runs.run_folder import TASK

PART = "v2a_transformer."
LAYER = "transformer"


def load_transformer(run: Path, encoders: Encoders) -> CrossModalTransformer:
    """Load the transformer that a run of `avsa` trained with its encoders, in evaluation mode.

    Args:
        run: folder of the run, or its `task.safetensors`.
        encoders: of the same run; their video embeddings are its input.

    Raises:
        InputError: no such file, no transformer in it, or one of another width.
    """
    path = run / TASK if run.is_dir() else run
    state = {name.removeprefix(PART): each for name, each in read_tensors(path).items() if name.startswith(PART)}
    depth = len({name.split(".")[1] for name in state if name.startswith(LAYER)})
    if not depth:
        raise InputError(
            f"{path}: expected a transformer, got none; `avssl pretrain --recipe avsa/small-transformer` trains one"
        )
    if depth > LARGEST[LAYER]:
        raise InputError(f"{path}: expected a transformer of at most {LARGEST[LAYER]} layers, got {depth}")
    transformer = CrossModalTransformer(encoders.video_width, depth)
    load_tensors(transformer, state, str(path))
    return transformer.eval()
