"""Contract of every installed task; avc and avsa learn their task."""

from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import avssl_tasks
import numpy as np
import pytest
import torch
from avssl_tasks.avc import Avc
from avssl_tasks.avsa import Avsa
from torch import Tensor
from torch.utils.data import default_collate

from avssl import plugins
from avssl.config import FeatureConfig, ModelConfig, fill
from avssl.models.encoder_factory import build_encoders
from avssl.task import Task
from avssl.testing import check_task, make_clips

FEATURES = ["mono-logmel", "stereo-logmel", "stereo-phase", "foa-logmel", "foa-iv", "beam-logmel", "beam-ratio"]


def make(kind: Any, features: str = "foa-iv", **options: Any) -> Task:
    torch.manual_seed(0)
    encoders = build_encoders(ModelConfig(), FeatureConfig(name=features))
    return kind(encoders, fill(kind.Options, {"size": 32, **options}))


def batch_of(task: Task, count: int = 4, seed: int = 0) -> dict[str, Tensor]:
    rng = np.random.default_rng(seed)
    return default_collate([task.views(clip, rng) for clip in make_clips(count, seed)])


@pytest.mark.parametrize("name", plugins.names(plugins.TASKS))
@pytest.mark.parametrize("features", FEATURES)
def test_installed_tasks_keep_the_contract_with_every_feature(name: str, features: str) -> None:
    kind = plugins.load(plugins.TASKS, name)
    torch.manual_seed(0)
    encoders = build_encoders(ModelConfig(), FeatureConfig(name=features))
    check_task(kind(encoders, fill(kind.Options, {})), make_clips(2))


def test_every_file_of_tasks_is_registered_under_its_name() -> None:
    files = {path.stem for path in Path(avssl_tasks.__path__[0]).glob("*.py")} - {"__init__"}
    registered = {entry.value.split(":")[0]: entry.name for entry in entry_points(group=plugins.TASKS)}
    assert files <= {module.removeprefix("avssl_tasks.") for module in registered}, "pip install -e . again"
    assert all(
        name == module.rsplit(".", 1)[1] for module, name in registered.items() if module.startswith("avssl_tasks.")
    )


@pytest.mark.parametrize("kind", [Avc, Avsa])
@pytest.mark.parametrize("scene_rotation", ["none", "yaw", "any"])
def test_views_differ_with_the_seed_and_hold_the_audio_once(kind: Any, scene_rotation: str) -> None:
    task = make(kind, scene_rotation=scene_rotation)
    clip = make_clips(1)[0]
    one, other = (task.views(clip, np.random.default_rng(seed)) for seed in (0, 1))
    crops = task.options.crops
    assert one["frames"].shape == (crops, 4, 3, 32, 32)
    assert one["frames"].dtype == torch.uint8
    assert one["audio"].shape == clip.audio.shape
    assert one["rotation"].shape == (crops, 3, 3)
    assert all(not torch.equal(one[name], other[name]) for name in one)


def test_avc_of_one_crop_and_avsa_with_easy_negatives_are_the_same_loss() -> None:
    task = make(Avsa, crops=2, negatives="easy").eval()
    batch = batch_of(task)
    same = make(Avc, crops=2).eval()
    same.load_state_dict(task.state_dict())
    torch.testing.assert_close(task(batch)["loss"], same(batch)["loss"])


def test_avsa_embeddings_depend_on_rotation_only_with_spatial_features() -> None:
    batch = batch_of(make(Avsa), 2)
    rotated = {**batch, "rotation": batch["rotation"].roll(1, 1)}
    for features, changes in (("mono-logmel", False), ("foa-iv", True), ("beam-logmel", True), ("beam-ratio", True)):
        task = make(Avsa, features).eval()
        before, after = task.embeddings(batch)["audio"], task.embeddings(rotated)["audio"]
        assert torch.allclose(before, after, atol=1e-5) is not changes, features


@pytest.mark.parametrize("kind", [Avc, Avsa])
@pytest.mark.heavy
def test_a_few_steps_on_one_batch_align_matching_pairs(kind: Any) -> None:
    task = make(kind, flip=0.0, size=64)
    batch = batch_of(task, 6)
    optimizer = torch.optim.Adam(task.parameters(), 1e-3)
    first = task(batch)
    for _ in range(70):
        optimizer.zero_grad()
        task(batch)["loss"].backward()
        optimizer.step()
    last = task(batch)
    assert last["loss"] < 0.7 * first["loss"]
    chance = {"avc_acc": 1 / 6, "avsa_acc": 1 / task.options.crops}
    for name in last.keys() - {"loss"}:
        assert last[name] > 1.8 * chance[name], name


def test_audio_that_is_not_ambix_is_an_error_with_its_key() -> None:
    clip = make_clips(1)[0]
    with pytest.raises(ValueError, match=r"ambiX audio of order 1, 4 channels, got 2 \(synthetic-0-0\)"):
        make(Avsa).views(type(clip)(clip.frames, clip.audio[:2], clip.sample_rate, clip.key), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("kind", "wrong", "message"),
    [
        (Avsa, {"crops": 1}, "at least 2"),
        (Avsa, {"crops": 60}, "60 crops do not fit"),
        (Avsa, {"negatives": "hrad"}, "did you mean 'hard'"),
        (Avsa, {"audio_rotation": "none"}, "audio_rotation=crop"),
        (Avc, {"audio_rotation": "crops"}, "did you mean 'crop'"),
        (Avc, {"scene_rotation": "pitch"}, "scene_rotation is"),
        (Avc, {"flip": 1.5}, "flip"),
        (Avc, {"temperature": 0}, "temperature"),
        (Avc, {"colour": {"hues": 1}}, "hues"),
        (Avc, {"temprature": 1}, "did you mean 'temperature'"),
    ],
)
def test_invalid_options_are_one_line_errors(kind: Any, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        fill(kind.Options, wrong)
    assert "\n" not in str(caught.value)
