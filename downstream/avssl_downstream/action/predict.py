"""What is done in videos that belong to no data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import Tensor

from avssl.datasets.dataset import Dataset, Recording
from avssl.embedding.batch_inference import embed
from avssl_downstream.action.head_io import ActionClassifier
from avssl_downstream.action.options import ActionOptions
from avssl_downstream.action.video_clips import spread


def predict_actions(
    recogniser: ActionClassifier, paths: Sequence[Path], options: ActionOptions
) -> Iterator[tuple[Path, Tensor]]:
    """Videos with the probabilities `(classes,)` of each, the mean over clips.

    Args:
        recogniser: that was fitted.
        paths: of videos.
        options: how many clips, and how they are read.

    Raises:
        InputError: a video is broken.
        FileNotFoundError: there is none.
    """
    examples = tuple(Recording(str(path), str(path)) for path in paths)
    unknown = Dataset("", Path(), examples, recogniser.classes)
    videos = spread(unknown, examples, options.reading(), options.test_clips, options.workers)
    run = embed(
        recogniser.encoders.video,
        videos,
        options.reading(),
        precision=options.precision,
        workers=options.workers,
        title="clips",
    )
    for video, embeddings in run:
        yield video.path, recogniser.classifier.probabilities(embeddings, len(recogniser.classes)).mean(0)
