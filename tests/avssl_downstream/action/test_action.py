"""Action recognition with an oracle of motion, without motion, and with a trainable tower."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from avssl_downstream.action import Action
from avssl_downstream.action.clip_dataset import TrainingClips
from avssl_downstream.action.options import ActionOptions
from avssl_downstream.action.video_clips import evenly_spaced_clips, read_dataset
from safetensors.torch import load_file

from avssl.config import FeatureConfig, ModelConfig, fill
from avssl.embedding.batch_inference import embed
from avssl.media import read_frames
from avssl.models.encoders import Encoders
from avssl.models.geometry import InputGeometry
from avssl.recipe_files import read_recipe, shipped_recipes
from avssl.report.runs import read_runs


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("classifier", ["logistic", "svm", "knn"])
@pytest.mark.heavy
def test_oracle_of_motion_classifies_motions(oracle: Encoders, options: Any, tmp_path: Path, classifier: str) -> None:
    found = Action(oracle, options(classifier=classifier)).fit(tmp_path / "out")
    assert found["accuracy"] > (0.8 if classifier == "knn" else 0.99)  # position affects neighbours, too
    assert found["clip_accuracy"] > 0.7
    assert (found["train_videos"], found["test_videos"], found["classes"]) == (12, 6, 2)


@pytest.mark.heavy
def test_single_frames_stay_at_chance(oracle: Encoders, options: Any, tmp_path: Path) -> None:
    found = Action(oracle, options(single_frame=True, split=0)).fit(tmp_path / "out")
    assert abs(found["accuracy"] - 0.5) < 0.2


def test_single_frame_clips_repeat_one_frame(options: Any, data_set: Path) -> None:
    settings = options(single_frame=True)
    dataset = read_dataset(settings)
    (source,) = evenly_spaced_clips(dataset, dataset.recordings[:1], settings.reading(), 5, 0)
    clips = TrainingClips([source.path], [1.0], torch.zeros(1).long(), 1, options(single_frame=True, flip=0))
    for clip in clips.read(0)["video"]:
        assert bool((clip == clip[:1]).all())


def test_clips_are_evenly_spaced_over_the_video(options: Any, data_set: Path) -> None:
    settings = options()
    dataset = read_dataset(settings)
    (source,) = evenly_spaced_clips(dataset, dataset.recordings[:1], settings.reading(), 25, 0)
    # 24 frames at 16 a second last 1.5 s, windows of 4 frames 0.25 s.
    assert source.starts == pytest.approx(np.linspace(0, 1.25, 25), abs=1e-5)
    (short,) = evenly_spaced_clips(dataset, dataset.recordings[:1], options(frames=30).reading(), 3, 0)
    assert short.starts == (0, 0, 0)


def test_video_probabilities_are_the_mean_over_clips(oracle: Encoders, options: Any, tmp_path: Path) -> None:
    settings = options(single_frame=True, C=1.0)  # where clips disagree
    Action(oracle, settings).fit(tmp_path / "out")
    state = load_file(tmp_path / "out" / "action.safetensors")
    dataset = read_dataset(settings)
    tested = [each for each in dataset.recordings if each.key in dataset.folds[0].test]
    videos = evenly_spaced_clips(dataset, tested, settings.reading(), 3, 0)
    for video, embeddings in embed(oracle.video, videos, settings.reading(), precision="32-true", workers=0):
        standard = (embeddings - state["classifier.mean"]) * state["classifier.scale"]
        clips = (standard @ state["classifier.weight"].T + state["classifier.bias"]).softmax(1)
        (row,) = (row for row in rows(tmp_path / "out" / "predictions.csv") if row["key"] == video.key)
        assert [float(row[f"p_{label}"]) for label in ("Fall", "Rise")] == pytest.approx(clips.mean(0), abs=1e-5)
        assert float(clips.std(0).max()) > 1e-4


@pytest.mark.heavy
def test_several_splits_give_mean_and_deviation(oracle: Encoders, options: Any, tmp_path: Path) -> None:
    few = {"single_frame": True, "train_clips": 1, "test_clips": 1}
    whole = Action(oracle, options(split=0, **few)).fit(tmp_path / "whole")
    alone = [Action(oracle, options(split=n, **few)).fit(tmp_path / str(n))["accuracy"] for n in (1, 2, 3)]
    assert [whole[f"accuracy_split{n}"] for n in (1, 2, 3)] == alone
    assert whole["accuracy"] == pytest.approx(np.mean(alone))
    assert whole["accuracy_deviation"] == pytest.approx(np.std(alone, ddof=1))
    assert len(rows(tmp_path / "whole" / "predictions.csv")) == 18


def test_cached_embeddings_need_no_media(oracle: Encoders, options: Any, data_set: Path, tmp_path: Path) -> None:
    first = Action(oracle, options()).fit(tmp_path / "first")
    away = data_set.rename(data_set.with_name("away"))
    try:
        again = Action(oracle, options(classifier="logistic")).fit(tmp_path / "again")
    finally:
        away.rename(data_set)
    assert again == first


@pytest.mark.heavy
def test_fine_tuning_beats_the_frozen_tower(trainable: Encoders, options: Any, tmp_path: Path) -> None:
    settings = {"optim": {"lr": 0.02}, "epochs": 8, "batch": 4, "dropout": 0.0}
    frozen = Action(trainable, options(single_frame=True)).fit(tmp_path / "frozen")
    before = {name: each.clone() for name, each in trainable.state_dict().items()}
    tuned = Action(trainable, options(mode="finetune", **settings)).fit(tmp_path / "tuned")
    assert tuned["accuracy"] == 1.0
    assert frozen["accuracy"] < 0.8
    assert tuned["steps"] == 8 * 2 * 12 // 4
    assert [run.metrics["accuracy"] for run in read_runs([tmp_path / "frozen", tmp_path / "tuned"])[0]] == [
        frozen["accuracy"],
        1.0,
    ]
    assert all(torch.equal(each, before[name]) for name, each in trainable.state_dict().items())
    # Already trained: the same folder gives the same metrics, other options raise.
    again = Action(trainable, options(mode="finetune", **settings)).fit(tmp_path / "tuned")
    assert again["accuracy"] == tuned["accuracy"]
    with pytest.raises(ValueError, match=r"belongs to another run \(options.dropout was 0.0, is 0.5\)"):
        Action(trainable, options(mode="finetune", **settings | {"dropout": 0.5})).fit(tmp_path / "tuned")


@pytest.mark.heavy
def test_fine_tuning_that_was_killed_twice_has_the_metrics_of_an_uninterrupted_one(
    trainable: Encoders, options: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"mode": "finetune", "optim": {"lr": 0.02}, "epochs": 4, "batch": 4, "save_every": 3}  # logs every 20
    whole = Action(trainable, options(**settings)).fit(tmp_path / "whole")
    between = TrainingClips.between
    for at in (8, 22):

        def killed(self: TrainingClips, start: int, stop: int, at: int = at) -> Any:
            for step, batch in zip(range(start, stop), between(self, start, stop), strict=True):
                if step == at:
                    raise KeyError("killed")
                yield batch

        monkeypatch.setattr(TrainingClips, "between", killed)
        with pytest.raises(KeyError, match="killed"):
            Action(trainable, options(**settings)).fit(tmp_path / "parts")
    monkeypatch.setattr(TrainingClips, "between", between)
    parts = Action(trainable, options(**settings)).fit(tmp_path / "parts")
    times = {"train_seconds", "clips_per_second"}
    assert list(parts) == list(whole)
    assert {name: whole[name] for name in whole.keys() - times} == {name: parts[name] for name in parts.keys() - times}
    assert {"train_loss", "steps", "accuracy"} <= whole.keys()


def test_every_epoch_has_each_video_once_in_random_order(options: Any, data_set: Path) -> None:
    paths = sorted(data_set.glob("UCF-101/*/*"))[:6]
    clips = TrainingClips(paths, [1.0] * 6, torch.arange(6), 4, options(batch=3))
    assert clips.steps == 8
    batches = list(clips.between(0, 8))
    labels = torch.cat([each["label"] for each in batches])
    assert [sorted(part.tolist()) for part in labels.split(6)] == [list(range(6))] * 4
    assert len({tuple(part.tolist()) for part in labels.split(6)}) == 4
    (later,) = clips.between(5, 6)
    assert torch.equal(later["video"], batches[5]["video"])
    assert later["video"].shape == (3, 4, 3, 32, 32)


@pytest.mark.heavy
def test_saved_head_predicts_as_the_fitted_one(options: Any, data_set: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoders = Encoders(ModelConfig(), FeatureConfig()).eval()
    for mode in ("frozen", "finetune"):
        Action(encoders, options(mode=mode, epochs=1, train_clips=1, batch=12)).fit(tmp_path / mode)
        head = Action.load(tmp_path / mode, {"workers": 0})
        head.apply(data_set / "UCF-101", tmp_path / f"{mode}.csv")
        predictions = {f"UCF-101/{row['file']}": row for row in rows(tmp_path / f"{mode}.csv")}
        assert len(predictions) == 18
        for row in rows(tmp_path / mode / "predictions.csv"):
            assert float(predictions[row["key"]]["p_Fall"]) == pytest.approx(float(row["p_Fall"]), abs=1e-4)
    head.apply(sorted(data_set.glob("UCF-101/Rise/*"))[0], tmp_path / "one.csv")
    assert [row["file"] for row in rows(tmp_path / "one.csv")] == ["v_Rise_g01_c01.avi"]
    with pytest.raises(ValueError, match="belongs to another run .options|size was 32, is 64"):
        Action.load(tmp_path / "frozen", {"size": 64, "resize": 64})


def test_missing_videos_are_counted_and_listed(
    oracle: Encoders, options: Any, data_set: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = data_set / "UCF-101" / "Rise" / "v_Rise_g09_c01.avi"
    away = path.rename(tmp_path / "away.avi")
    try:
        with pytest.raises(ValueError, match=r"18 files, 1 are missing .* --missing 0.06 would go on"):
            Action(oracle, options()).fit(tmp_path / "none")
        found = Action(oracle, options(missing=0.06)).fit(tmp_path / "out")
    finally:
        away.rename(path)
    assert (found["missing_videos"], found["train_videos"]) == (1, 11)
    assert (tmp_path / "out" / "missing.txt").read_text() == "Rise/v_Rise_g09_c01.avi\n"
    assert "continuing without 1 missing videos" in caplog.text


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"mode": "fine"}, "mode is frozen, finetune"),
        ({"layout": "ucf"}, "did you mean 'ucf101'"),
        ({"size": 64, "resize": 32}, "expected a size of at most resize=32"),
        ({"missing": 2}, "action.missing is from 0 to 1"),
        ({"batch": 0}, "action.batch: expected 1 or more, got 0"),
        ({"split": -1}, "action.split: expected 0 or more, got -1"),
    ],
)
def test_invalid_options_raise_in_one_line(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        fill(ActionOptions, wrong)
    assert "\n" not in str(caught.value)


def test_invalid_requests_raise(oracle: Encoders, options: Any, data_set: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected split4, got split1, split2, split3; split=0 takes all"):
        Action(oracle, options(split=4)).fit(tmp_path / "out")
    with pytest.raises(ValueError, match=r"needs a fitted head; give its folder \(--head\)"):
        Action(oracle, options()).apply(data_set, tmp_path / "x.csv")
    with pytest.raises(ValueError, match="no config.json"):
        Action.load(tmp_path, {})
    del oracle.video
    with pytest.raises(ValueError, match="video tower, these have none"):
        Action(oracle, options())


@pytest.mark.parametrize("name", [each for each in shipped_recipes() if each.startswith("action/")])
def test_recipe_fills_the_options(name: str) -> None:
    options = fill(ActionOptions, read_recipe(name, ActionOptions), where=name)
    assert options.mode == ("frozen" if "frozen" in name else "finetune")
    assert options.from_scratch == ("scratch" in name)
    assert options.single_frame == ("single" in name)


def test_default_is_the_published_protocol() -> None:
    published = fill(ActionOptions, read_recipe("action/full", ActionOptions), {"mode": "frozen", "train_clips": 0})
    own = Encoders(ModelConfig(), FeatureConfig(), InputGeometry(1.0, 8, 16.0, 112))
    assert published == ActionOptions().with_geometry(own)


def test_frames_of_a_clip_match_the_file(options: Any, data_set: Path) -> None:
    path = data_set / "UCF-101" / "Fall" / "v_Fall_g01_c01.avi"
    clips = TrainingClips([path], [1.0], torch.zeros(1).long(), 1, options(colour=dict.fromkeys(
        ("brightness", "contrast", "saturation", "hue"), 0.0), flip=0, batch=1))  # fmt: skip
    start = np.random.default_rng((0, 0)).uniform(0, 1.0)
    theirs = read_frames(path, [start + n / 16 for n in range(4)])
    clip = clips.read(0)["video"][0]
    # Crops have the full area of the frame here, but another aspect ratio.
    assert clip.shape == theirs.shape
    difference = (clip.float() - theirs.float()).abs().mean()
    others = (clip.float() - theirs.flip(0).float()).abs().mean()
    assert difference < others


def test_clips_default_to_the_geometry_of_the_encoders() -> None:
    own = Encoders(ModelConfig(), FeatureConfig(), InputGeometry(0.5, 3, 12.0, 64))
    reading = Action(own, ActionOptions()).options.reading()
    assert (reading.frames, reading.frame_rate, reading.size, reading.resize) == (3, 12.0, 64, 73)
    set_reading = Action(own, ActionOptions(frames=5, size=48, resize=48)).options.reading()
    assert (set_reading.frames, set_reading.frame_rate, set_reading.size, set_reading.resize) == (5, 12.0, 48, 48)


def test_encoders_without_geometry_raise_with_the_options_to_set() -> None:
    old = Encoders(ModelConfig(), FeatureConfig())
    with pytest.raises(ValueError, match=r"set frames=\.\.\., frame_rate=\.\.\., size=\.\.\., or pretrain") as caught:
        Action(old, ActionOptions())
    assert "\n" not in str(caught.value)
    assert Action(old, ActionOptions(frames=8, frame_rate=16.0, size=112)).options.resize == 128
