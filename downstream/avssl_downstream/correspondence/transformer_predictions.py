"""The sound that a transformer of `avsa` predicts from the crops of a clip, which the paper probes as *transf*."""

from __future__ import annotations

from pathlib import Path

from avssl.errors import InputError
from avssl.models.cross_modal_transformer import CrossModalTransformer
from avssl.models.encoder_io import load_tensors, read_tensors
from avssl.models.encoders import Encoders
from avssl.runs.run_folder import TASK

PART = "v2a_transformer."
LAYER = "transformer"


def audio_of_frames(run: Path, encoders: Encoders) -> CrossModalTransformer:
    """The transformer that a run of `avsa` trained beside its encoders, in evaluation mode.

    Args:
        run: folder of the run, or its `task.safetensors`.
        encoders: whose pictures' embeddings it takes.

    Raises:
        InputError: no such file, no transformer in it, or one of other encoders' width.
    """
    path = run / TASK if run.is_dir() else run
    state = {name.removeprefix(PART): each for name, each in read_tensors(path).items() if name.startswith(PART)}
    depth = len({name.split(".")[1] for name in state if name.startswith(LAYER)})
    if not depth:
        raise InputError(f"{path}: holds no transformer, which `avssl pretrain --recipe avsa/small-transformer` trains")
    found = CrossModalTransformer(encoders.video_width, depth)
    load_tensors(found, state, str(path))
    return found.eval()
