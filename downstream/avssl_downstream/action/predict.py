"""Predictions of a fitted head on unlabelled videos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import Tensor

from avssl.datasets.dataset import Dataset, Recording
from avssl.embedding.batch_inference import embed
from avssl_downstream.action.head_io import ActionClassifier
from avssl_downstream.action.options import ActionOptions
from avssl_downstream.action.video_clips import evenly_spaced_clips


def predict_actions(
    action_classifier: ActionClassifier, paths: Sequence[Path], options: ActionOptions
) -> Iterator[tuple[Path, Tensor]]:
    """Yield each video with its class probabilities `(classes,)`, averaged over clips.

    Args:
        action_classifier: a fitted one.
        paths: video files.
        options: number of clips, and how they are read.

    Raises:
        InputError: a video is broken.
        FileNotFoundError: a video does not exist.
    """
    recordings = tuple(Recording(str(path), str(path)) for path in paths)
    unlabelled = Dataset("", Path(), recordings, action_classifier.classes)
    videos = evenly_spaced_clips(unlabelled, recordings, options.reading(), options.test_clips, options.workers)
    embedded = embed(
        action_classifier.encoders.video,
        videos,
        options.reading(),
        precision=options.precision,
        workers=options.workers,
        title="clips",
    )
    for video, embeddings in embedded:
        yield video.path, action_classifier.classifier.probabilities(embeddings, len(action_classifier.classes)).mean(0)
