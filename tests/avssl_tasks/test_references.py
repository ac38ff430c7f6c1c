"""Ideal observers of the built-in tasks on views of clips with one known source."""

from typing import Any

import numpy as np
import pytest
import torch
from avssl_tasks.avc import Avc, AvcOptions
from avssl_tasks.avsa import Avsa, AvsaOptions
from avssl_tasks.dense_avc import DenseAvc, DenseAvcOptions
from avssl_tasks.swap import Swap, SwapOptions
from torch import Tensor
from torch.utils.data import default_collate

from avssl.config import FeatureConfig, ModelConfig
from avssl.data.clip import Clip
from avssl.evaluation.ideal_observer import BOTH, DIRECTIONS, KINDS
from avssl.evaluation.scene_truth import SceneObjects
from avssl.models.encoder_factory import build_encoders
from avssl.spatial.ambisonics import direction
from avssl.task import Task
from avssl.testing import make_clips

COUNT = 4
GUIDED = {"crop_guide": "objects", "size": 16}


def encoders(features: str = "foa-iv"):
    return build_encoders(ModelConfig(), FeatureConfig(name=features, mels=32))


def scene(clip: Clip, kind: int) -> SceneObjects:
    """The disc of a clip of `make_clips`, which sounds."""
    azimuth, elevation, _ = clip.objects[0].double()
    place = direction(azimuth, elevation).numpy()[None]
    return SceneObjects(np.array([kind]), np.ones(1, bool), np.ones(1, bool), place, np.full(1, 0.2))


def stated(task: Task, kinds: list[int], channels: int = 4, seed: int = 0) -> dict[str, float]:
    clips = make_clips(len(kinds), seed=seed, seconds=0.2, frames=1, channels=channels)
    views = [task.views(clip, np.random.default_rng(place)) for place, clip in enumerate(clips)]
    batch: dict[str, Tensor] = default_collate(views)
    scenes = [scene(*each) for each in zip(clips, kinds, strict=True)]
    found = task.reference_scores(batch, scenes)  # type: ignore[operator]
    with torch.no_grad():
        scalars = task.eval()(batch)
    chance = task.reference_scores(batch, None)  # type: ignore[operator]
    assert {name.partition("_ideal")[0].removesuffix("_chance") for name in found} <= set(scalars)
    assert chance == {name: value for name, value in found.items() if name.endswith("_chance")}
    return found


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_crops_centred_on_the_source_leave_the_kind_alone(flip: float) -> None:
    task = Avc(encoders(), AvcOptions(**GUIDED, flip=flip, scene_rotation="any"))
    different, alike = (stated(task, kinds) for kinds in (list(range(COUNT)), [0] * COUNT))
    assert [different["avc_acc" + each] for each in (KINDS, DIRECTIONS, BOTH)] == [1, 1 / COUNT, 1]
    assert [alike["avc_acc" + each] for each in (KINDS, DIRECTIONS, BOTH)] == [1 / COUNT] * 3


def test_recorded_audio_says_nothing_of_where_a_crop_is() -> None:
    task = Avc(encoders(), AvcOptions(**GUIDED, audio_rotation="none"))
    assert set(stated(task, [0] * COUNT)) == {"avc_acc_chance", "avc_acc_ideal_kinds"}


def test_one_of_two_crops_shows_the_source_and_direction_tells_which() -> None:
    task = Avsa(encoders(), AvsaOptions(**GUIDED, crops=2, max_fov=40, min_separation=90))
    found = stated(task, [0] * COUNT)
    assert found["avsa_acc_chance"] == found["avsa_acc" + KINDS] == 0.5
    assert found["avsa_acc" + DIRECTIONS] == found["avsa_acc" + BOTH] == 1


@pytest.mark.parametrize(("options", "directed"), [({}, False), ({"directions": 4}, True)])
def test_panoramas_show_every_kind_and_directions_where_the_audio_has_them(
    options: dict[str, Any], directed: bool
) -> None:
    task = DenseAvc(encoders(), DenseAvcOptions(height=32, padding=0, size=32, **options))
    alike = stated(task, [0] * COUNT)
    assert stated(task, list(range(COUNT)))["avc_acc" + KINDS] == 1
    assert alike["avc_acc" + KINDS] == alike["crop_acc" + KINDS] == alike["avc_acc_chance"] == 1 / COUNT
    assert (DIRECTIONS in "".join(alike)) == directed
    if directed:
        assert alike["avc_acc" + DIRECTIONS] == 1


@pytest.mark.parametrize(("channels", "features"), [(4, "foa-iv"), (2, "stereo-phase")])
def test_swaps_are_noticed_by_direction_except_in_the_controls(channels: int, features: str) -> None:
    made = encoders(features)
    wide = {"size": 32, "rows": 2, "columns": 2, "min_fov": 170, "max_fov": 170}
    found = stated(Swap(made, SwapOptions(**wide, crop_guide="objects")), [0] * COUNT, channels)
    assert found["swap_acc" + KINDS] == found["swap_acc_chance"] == 0.5
    # Centred on the source its mirror image fits as well; in whole frames it does not.
    assert found["swap_acc" + DIRECTIONS] == (0.5 if channels == 4 else 1)
    for control in ("mono", "mirror_both"):
        assert set(stated(Swap(made, SwapOptions(**wide, **{control: True})), [0, 0], channels)) == {"swap_acc_chance"}
