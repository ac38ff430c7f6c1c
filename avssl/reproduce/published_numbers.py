"""Published numbers of the tables, and whether a run is of the published method on the published data."""

from __future__ import annotations

from pathlib import Path

from avssl.datasets.prepare_journal import ENTRIES
from avssl.io.jsonl_journal import read_journal
from avssl.reproduce.grid import PRETRAIN, Grid
from avssl.reproduce.head_runs import HeadRun

WITHOUT_EFFECT = {
    "data.workers", "data.decoded", "data.decoded_gb", "probe.workers", "train.log_every", "train.save_every",
    "train.show_every", "workers", "save_every",
}  # fmt: skip
"""Settings that change no number."""
TABLE1 = {
    "baseline": {"ucf101": (0.363, 0.659), "hmdb51": (0.231, 0.320)},
    "yolo": {"ucf101": (0.357, 0.650), "hmdb51": (0.230, 0.329)},
    "iv": {"ucf101": (0.369, 0.676), "hmdb51": (0.227, 0.333)},
    "iv-yolo": {"ucf101": (0.375, 0.662), "hmdb51": (0.240, 0.324)},
    "beam": {"ucf101": (0.371, 0.659), "hmdb51": (0.221, 0.318)},
    "beam-yolo": {"ucf101": (0.404, 0.669), "hmdb51": (0.242, 0.342)},
}
"""Wang et al. 2023, Table 1: row of `avsa` -> data set -> accuracy, frozen and fine-tuned."""
SPLITS = {"ucf101": ("UCF101", 101, 9537, 3783), "hmdb51": ("HMDB51", 51, 3570, 1530)}
"""Data set -> its name in results, classes, and videos of split 1 to train on and to test."""
EIGENSCAPE = ("EigenScape", 1280)
"""Its name in results, and its segments of 30 s: 64 recordings of ten minutes."""


def is_published_pretraining(grid: Grid) -> bool:
    """Whether encoders are made by the published recipes, unchanged, from the clips of YT-360."""
    return grid.size == "full" and not grid.changed(PRETRAIN) - WITHOUT_EFFECT and is_yt360(grid.manifest)


def is_yt360(manifest: str) -> bool:
    """Whether `avssl prepare --layout yt360` wrote a manifest."""
    path = Path(manifest)
    settings, _ = read_journal((path if path.is_dir() else path.parent) / ENTRIES, dict) if manifest else (None, {})
    return settings is not None and settings.get("layout") == "yt360"


def is_whole_action_set(run: HeadRun, name: str) -> bool:
    """Whether a finished run of the head `action` had all videos of split 1 of UCF101 or HMDB51."""
    metrics, (title, classes, train, test) = run.metrics(), SPLITS[name]
    counts = (metrics.get("classes"), metrics.get("train_videos"), metrics.get("test_videos"))
    return run.data_set() == title and counts == (classes, train, test)


def is_whole_eigenscape(run: HeadRun) -> bool:
    """Whether a finished run of the head `eigenscape` had all segments of EigenScape."""
    title, segments = EIGENSCAPE
    return run.data_set() == title and run.metrics().get("segments") == segments
