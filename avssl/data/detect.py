"""Objects of every clip of a manifest: looked for once, kept beside it."""

from __future__ import annotations

from pathlib import Path


def detect(
    folder: Path,
    model: str,
    *,
    rate: float = 2.0,
    views: str | None = None,
    least_score: float = 0.25,
    progress: bool = True,
) -> Path:
    """Look for objects in the clips of a manifest and write `objects-<model>.parquet` beside it.

    What an earlier, interrupted run of the same model found is kept; clips that are new are added.

    Args:
        folder: holds `manifest.parquet`.
        model: a path, `torchvision/NAME:PATH`, or `truth` of a made-up world.
        rate: frames looked at a second.
        views: viewports (overlapping views of a camera, and the whole frame), equirect (the whole frame alone), or
            None: what suits the detector.
        least_score: objects of a lower score are left out.
        progress: whether a bar shows how far it is.

    Returns:
        The parquet file; `objects.read(folder, model)` reads it.

    Raises:
        ValueError: no such model, one that cannot be read, or the folder holds another model's objects of that name.
        OSError: the files cannot be written.
    """
    raise ValueError(f"{model}: detectors are not installed yet")
