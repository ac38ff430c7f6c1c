"""Ideal observers on hand-made scenes whose accuracies are known in closed form, and placement against real crops."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from avssl.data.clip_options import CropOptions
from avssl.data.crops import draw_crops
from avssl.evaluation.crop_references import (
    crop_references,
    crop_views,
    swap_references,
    truth_in_crops,
    whole_view,
)
from avssl.evaluation.ideal_observer import ACTIVITY, BOTH, DIRECTIONS, KINDS, OBSERVERS, WHOLE, pair_scores, within
from avssl.evaluation.reference_scores import ReferenceTask, measured
from avssl.evaluation.scene_truth import SceneObjects
from avssl.spatial.ambisonics import direction, rotation_to_front

ACCURACIES = ("avc_acc", "avsa_acc")
FOUR = 4
"""Clips of a batch."""


def scene(*objects: tuple[int, float, bool], elevation: float = 0.0, radius: float = 5.0) -> SceneObjects:
    """Objects `(kind, azimuth in degrees, whether it sounds)`, all visible."""
    kinds, azimuths, sounding = (np.array(each) for each in zip(*objects, strict=True))
    places = direction(torch.from_numpy(np.radians(azimuths.astype(float))), torch.tensor(math.radians(elevation)))
    count = len(kinds)
    return SceneObjects(
        kinds, sounding.astype(bool), np.ones(count, bool), places.double().numpy(), np.full(count, np.radians(radius))
    )


def looking(*azimuths: float, field: float = 60.0, clips: int = 1) -> dict[str, Tensor]:
    """Square crops towards some azimuths, the same for every clip of a batch."""
    centres = torch.tensor(azimuths).deg2rad()
    front = rotation_to_front(centres, torch.zeros(len(azimuths)))
    lens = torch.full((len(azimuths), 2), math.radians(field / 2))
    return {"crop_to_front": front.expand(clips, -1, 3, 3), "crop_lens": lens.expand(clips, -1, 2)}


def references(scenes: list[SceneObjects], *azimuths: float) -> dict[str, float]:
    return crop_references(looking(*azimuths, clips=len(scenes)), scenes, ACCURACIES, rotated=True)


def of_observers(found: dict[str, float], metric: str) -> dict[str, float]:
    return {name: found[metric + name] for name in OBSERVERS}


def test_each_observer_tells_clips_apart_by_what_differs() -> None:
    of_one_kind = [scene((0, angle, True)) for angle in (-20, -5, 5, 20)]
    found = of_observers(references(of_one_kind, 0), "avc_acc")
    assert found == {KINDS: 1 / FOUR, DIRECTIONS: 1, BOTH: 1, ACTIVITY: 1}
    in_one_place = [scene((kind, 10, True)) for kind in range(FOUR)]
    found = of_observers(references(in_one_place, 0), "avc_acc")
    assert found == {KINDS: 1, DIRECTIONS: 1 / FOUR, BOTH: 1, ACTIVITY: 1}


def test_two_kinds_in_two_places_leave_a_guess_among_those_alike() -> None:
    scenes = [scene((kind, angle, True)) for kind in (0, 1) for angle in (-10, 10) for _ in range(3)]
    found = of_observers(references(scenes, 0), "avc_acc")
    assert found == pytest.approx({KINDS: 1 / 6, DIRECTIONS: 1 / 6, BOTH: 1 / 3, ACTIVITY: 1 / 3})


def test_sources_outside_the_crops_leave_chance() -> None:
    scenes = [scene((kind, 180, True)) for kind in range(FOUR)]
    found = references(scenes, 0)
    assert of_observers(found, "avc_acc") == dict.fromkeys(OBSERVERS, 1 / FOUR)
    assert found["avc_acc_chance"] == 1 / FOUR


def test_rotated_audio_of_a_clip_differs_in_direction_only() -> None:
    found = references([scene((0, 3, True), (1, 170, False))], 0, 90, 180)
    assert found["avsa_acc_chance"] == pytest.approx(1 / 3)
    # The crop ahead shows the source: certain. The others show none, so audio of the crop ahead contradicts them: a
    # guess between two remains.
    expected = (1 + 1 / 2 + 1 / 2) / 3
    assert found["avsa_acc_ideal_kinds"] == pytest.approx(1 / 3)
    for name in (DIRECTIONS, BOTH, ACTIVITY):
        assert found["avsa_acc" + name] == pytest.approx(expected)


def test_crops_of_audio_that_is_not_rotated_have_an_observer_of_kinds_only() -> None:
    scenes = [scene((kind, 10, True)) for kind in range(FOUR)]
    found = crop_references(looking(0, 40, clips=FOUR), scenes, ACCURACIES, rotated=False)
    assert set(found) == {f"{metric}{end}" for metric in ("avc_acc", "avsa_acc") for end in ("_chance", KINDS)}


def test_without_truth_there_is_only_chance() -> None:
    found = crop_references(looking(0, 40, clips=8), None, ACCURACIES, rotated=True)
    assert found == {"avc_acc_chance": 1 / 8, "avsa_acc_chance": 1 / 2}
    assert swap_references(whole(), None, informative=True) == {"swap_acc_chance": 0.5}


def test_an_object_that_sounds_in_view_needs_a_source_for_the_observer_of_activity() -> None:
    video = [scene((0, 10, True), (0, -10, False)), scene((0, 10, False), (0, -10, True))]
    found = truth_in_crops(looking(0, clips=2), video)
    scores = {name: each[:, 0] for name, each in pair_scores(found[[0, 0]], found[[0, 1]]).items()}
    right, twin = 0, 1
    for name in (KINDS, DIRECTIONS, BOTH):
        assert scores[name][right] == scores[name][twin]
    assert scores[ACTIVITY][right] > scores[ACTIVITY][twin]


def test_a_kind_that_sounds_elsewhere_speaks_against_a_silent_object_of_it() -> None:
    audio = truth_in_crops(looking(0), [scene((0, 170, True))])
    same, other = (truth_in_crops(looking(0), [scene((kind, 10, False))]) for kind in (0, 1))
    found = {name: [pair_scores(audio, each)[name].item() for each in (same, other)] for name in (DIRECTIONS, BOTH)}
    assert found[DIRECTIONS][0] == found[DIRECTIONS][1]
    assert found[BOTH][0] < found[BOTH][1] < 0


def test_a_view_of_the_whole_sphere_must_show_every_kind_that_sounds() -> None:
    scenes = [scene((0, 0, True), (1, 90, False)), scene((1, 0, True))]
    batch = {name: each.expand(2, *each.shape[1:]) for name, each in whole().items()}
    truth = truth_in_crops(batch, scenes)
    scores = pair_scores(truth[None, :, 0], truth[:, None, 0])[KINDS]
    assert (scores > 0).tolist() == [[True, True], [False, True]]  # frames by audio


def whole(mirrored: bool = False) -> dict[str, Tensor]:
    return {name: each[None] for name, each in whole_view(mirrored).items()}


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ((), {KINDS: 0.5, DIRECTIONS: 1, BOTH: 1, ACTIVITY: 1}),
        ((1, -30, False), {KINDS: 0.5, DIRECTIONS: 0.5, BOTH: 1, ACTIVITY: 1}),
        ((0, -30, False), {KINDS: 0.5, DIRECTIONS: 0.5, BOTH: 0.5, ACTIVITY: 1}),
        ((0, -30, True), {KINDS: 0.5, DIRECTIONS: 0.5, BOTH: 0.5, ACTIVITY: 0.5}),
    ],
    ids=["alone", "other kind opposite", "silent twin opposite", "sounding twin opposite"],
)
@pytest.mark.parametrize("mirrored", [False, True])
def test_swapped_channels_are_noticed_unless_the_mirror_image_fits(other, expected, mirrored) -> None:
    scenes = [scene((0, 30, True), *([other] if other else []))]
    found = swap_references(whole(mirrored), scenes, informative=True)
    assert of_observers(found, "swap_acc") == expected
    assert swap_references(whole(mirrored), scenes, informative=False) == {"swap_acc_chance": 0.5}


def test_a_source_straight_ahead_cannot_be_swapped() -> None:
    found = swap_references(whole(), [scene((0, 0, True))], informative=True)
    assert of_observers(found, "swap_acc") == dict.fromkeys(OBSERVERS, 0.5)


def test_placement_in_a_view_is_that_of_rendered_crops() -> None:
    """A white dot in a panorama is in a crop where the truth says so, on the side where it says so."""
    rng, size, agree = np.random.default_rng(0), 48, 0
    rows, columns = np.indices((128, 256))
    grid = direction(
        torch.from_numpy(np.pi - 2 * np.pi * (columns + 0.5) / 256),
        torch.from_numpy(np.pi / 2 - np.pi * (rows + 0.5) / 128),
    ).numpy()
    for _ in range(40):
        objects = scene((0, rng.uniform(-180, 180), True), elevation=rng.uniform(-40, 40), radius=4.0)
        frame = torch.zeros(1, 3, 128, 256, dtype=torch.uint8)
        frame[:, :, torch.from_numpy(grid @ objects.direction[0] > np.cos(np.radians(4)))] = 255
        crops = draw_crops(CropOptions(crops=6, min_fov=70), rng, "any", flip=0.5)
        shown = crops.frames(frame, size)[:, 0, 0].float() / 255
        truth = truth_in_crops({name: each[None] for name, each in crop_views(crops).items()}, [objects])
        inside = within(truth.direction, truth.lens, -np.radians(5))[0, :, 0]
        for image, seen, well_inside, place in zip(
            shown, truth.seen[0, :, 0], inside, truth.direction[0, :, 0], strict=True
        ):
            assert bool(image.any()) <= seen  # an object whose part is in view is seen
            if well_inside:
                assert image.any()
                column, row = (float((image.sum(axis) * torch.arange(size)).sum() / image.sum()) for axis in (0, 1))
                middle = (size - 1) / 2
                for offset, along in ((middle - column, place[1]), (middle - row, place[2])):
                    assert abs(offset) < 2 or np.sign(offset) == np.sign(along)
                agree += 1
    assert agree > 15


def test_a_whole_view_holds_every_direction() -> None:
    everywhere = np.random.default_rng(0).standard_normal((1, 100, 3))
    assert within(everywhere, np.array([WHOLE])).all()


def test_the_protocol_asks_for_one_method() -> None:
    class Stating:
        def reference_scores(self, batch, scenes):
            return {}

    assert isinstance(Stating(), ReferenceTask)
    assert not isinstance(object(), ReferenceTask)
    names = ("avc_acc", "avc_acc_chance", "peak_ideal", "avc_acc_ideal_both", "r1_any_object")
    assert [measured(each) for each in names] == ["avc_acc", "avc_acc", "peak", "avc_acc", "r1"]
