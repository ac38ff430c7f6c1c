"""The dataset model, its index on disk, and what `prepare` and the head `action` do with a layout that does not fit."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from avssl_downstream.action.options import ActionOptions
from avssl_downstream.action.video_clips import read_dataset

from avssl.datasets.dataset import Dataset, Fold, Recording, check_missing, fold_by_groups
from avssl.datasets.layout import Layout
from avssl.datasets.layouts.eigenscape import CLASSES
from avssl.datasets.layouts.files import Files
from avssl.datasets.layouts.tau import Tau, TauOptions
from avssl.datasets.manifest import read_manifest
from avssl.datasets.prepare import prepare
from avssl.synth.soundscape.soundscape_dataset import ambience
from avssl.testing import check_layout

DATASET = Dataset(
    "set",
    Path("/root of all"),
    (Recording("a", "a.mp4", label="x", group="1"), Recording("b#2", audio="b\udce9.wav", start=2.0, seconds=0.5)),
    ("x",),
    (Fold("1", ("a",), ("b#2",)),),
    {"audio": ("c",), "ids": ("d", "e")},
    "lists/split1",
    {"lists/split1": {"test": 3, "train": 1}},
)


def test_a_saved_index_is_read_back_whole(tmp_path: Path) -> None:
    DATASET.save(tmp_path / "set.json")
    assert Dataset.load(tmp_path / "set.json") == DATASET


@pytest.mark.parametrize("change", [{"recordings": [{"kye": "a"}]}, {"folds": 3}, {"examples": []}, {"missing": ["a"]}])
def test_an_index_of_another_form_is_refused_in_a_line(tmp_path: Path, change: dict[str, object]) -> None:
    DATASET.save(tmp_path / "set.json")
    (tmp_path / "set.json").write_text(json.dumps(json.loads((tmp_path / "set.json").read_text()) | change))
    with pytest.raises(ValueError, match=r"set\.json: expected the index of a data set") as caught:
        Dataset.load(tmp_path / "set.json")
    assert "\n" not in str(caught.value)


def test_missing_names_of_all_kinds_count_against_the_share() -> None:
    assert DATASET.missing_names == ("c", "d", "e")
    check_missing(DATASET, 0.6, "lists")
    with pytest.raises(ValueError, match=r"lists: names 5 files, 3 are missing .*'c'; --missing 0\.60 would go on"):
        check_missing(DATASET, 0.59, "lists")


def test_a_fold_by_groups_keeps_the_order_of_recordings() -> None:
    recordings = [Recording(key, group=group) for key, group in zip("abcd", "1213", strict=True)]
    assert fold_by_groups("1", recordings, {"1"}) == Fold("1", ("b", "d"), ("a", "c"))


@pytest.fixture(scope="module")
def tau(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tau")
    size = {"recordings": 2, "seconds": 1.0, "sample_rate": 24000, "classes": ["bus", "park"]}
    return ambience(folder, "tau", **size, workers=1, progress=False)


@pytest.mark.heavy
def test_a_labelled_layout_is_prepared_too(tau: Path, tmp_path: Path) -> None:
    found = check_layout(Tau(TauOptions(seconds=1.0)), tau)
    report = prepare(tau, tmp_path / "out", "tau", height=32, workers=1, progress=False)
    assert (report.failed, report.done) == (0, len(found.recordings))
    rows = read_manifest(tmp_path / "out").rows
    assert {(row.layout, row.height) for row in rows} == {("binaural", 32)}
    assert [row.key for row in rows] == sorted(each.key for each in found.recordings)


def test_prepare_refuses_recordings_without_video(tmp_path: Path) -> None:
    for label in CLASSES:
        for number in (1, 2):
            soundfile.write(tmp_path / f"{label}.{number}.wav", np.zeros((480, 4)), 48000)
    message = "expects recordings with video and audio, those of the layout eigenscape have no video"
    with pytest.raises(ValueError, match=message) as caught:
        prepare(tmp_path, tmp_path / "out", "eigenscape", progress=False)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_action_refuses_a_layout_without_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.mp4").touch()
    with pytest.raises(ValueError, match="action expects labelled videos, got 'a'"):
        read_dataset(ActionOptions(root=str(tmp_path / "set"), layout="files"))


class Lying(Files):
    """Returns what `found` says."""

    found: Dataset

    def read(self, root: Path, exclude: Path | None = None) -> Dataset:
        return self.found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recordings": ()}, "expected recordings from read, got none"),
        ({"recordings": (Recording("a", "a.mp4"), Recording("A", "a.mp4"))}, "got 'a' twice"),
        ({"recordings": (Recording("a", "b.mp4"),)}, "expected 'b.mp4' below"),
        ({"recordings": (Recording("a", "/a.mp4"),)}, "expected a path relative to the root, got '/a.mp4'"),
        ({"recordings": (Recording("a", "a.mp4", label="y"),)}, "expected a label among .* got 'y'"),
        (
            {"recordings": (Recording("a", "a.mp4", split="dev"),)},
            "expected split train, val, test or empty, got 'dev'",
        ),
        ({"recordings": (Recording("a"),)}, "'a': expected video or audio, got neither"),
        ({"folds": (Fold("1", ("a",), ("c",)),)}, "fold '1': expected keys of recordings, got 'c'"),
        ({"folds": (Fold("1", ("a",), ("a",)),)}, "expected disjoint parts, got 'a' in both"),
        ({"folds": (Fold("1", ("a",), ("b",)),)}, "expected groups in one part, got 'g' in both"),
    ],
)
def test_a_broken_clause_of_a_layouts_contract_is_named(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    (tmp_path / "a.mp4").touch()
    both = (Recording("a", "a.mp4", label="x", group="g"), Recording("b", "a.mp4", label="x", group="g"))
    layout: Layout = Lying()
    layout.found = replace(Dataset("set", tmp_path, both, ("x",)), **change)  # type: ignore[attr-defined, arg-type]
    with pytest.raises(AssertionError, match=message):
        check_layout(layout, tmp_path)
