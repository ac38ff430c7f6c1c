"""Groups of scenes: those of the described scenes; metrics of a group are those of its clips alone."""

import numpy as np
import pyarrow as pa
import pytest
from avssl_downstream.spatialize.evaluation_table import evaluation_table
from avssl_downstream.spatialize.metrics import ENERGY, ERROR, clip_means
from avssl_downstream.spatialize.scene_groups import group_metrics, groups_apart, read_groups, scene_groups

from avssl.errors import InputError
from avssl.io.parquet_table import write_parquet
from avssl.synth.mono3d.mono3d_dataset import Mono3d, Mono3dOptions
from avssl.synth.output_folder import TRUTH

OPTIONS = Mono3dOptions(
    clips=24, seconds=0.5, frame_rate=8, sample_rate=16000, width=32, height=18, type="P1+P2", test_type="P1+P2+P3",
    seed=7, test_share=0.5,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ground truth and no media."""
    root, world = tmp_path_factory.mktemp("groups"), Mono3d(OPTIONS)
    tables = [world.truth(world.describe(index)) for index in range(OPTIONS.clips)]
    write_parquet(root / TRUTH, pa.concat_tables(tables))
    return root


def test_groups_are_those_of_the_scenes(folder):
    world = Mono3d(OPTIONS)
    scenes = [world.describe(index) for index in range(OPTIONS.clips)]
    trained = [scene.key for index, scene in enumerate(scenes) if index % 2 == 0]
    groups = scene_groups(folder, trained, panoramic=False)
    for name in ("P1", "P2", "P3"):
        assert groups[name] == {scene.key for scene in scenes if scene.type == name}
    assert groups["trained_types"] == groups["P1"] | groups["P2"]
    for count, name in enumerate(("one_source", "two_sources", "three_sources"), 1):
        assert groups[name] == {scene.key for scene in scenes if len(scene.walkers) == count}
    assert groups["at_most_two_sources"] == groups["one_source"] | groups["two_sources"]
    depths = {scene.key: [walker.walk.at(world.form.frame_times())[:, 2] for walker in scene.walkers]
              for scene in scenes}  # fmt: skip
    assert groups["behind"] == {key for key, each in depths.items() if any(np.all(depth < 0) for depth in each)}
    assert groups["front"] == {key for key, each in depths.items() if all(np.all(depth > 0) for depth in each)}
    assert all(groups.values())
    assert not {"behind", "front"} & scene_groups(folder, [], panoramic=True).keys()


def test_recordings_have_no_groups(tmp_path):
    assert scene_groups(tmp_path, ["a"], panoramic=False) == {}


def test_broken_ground_truth_does_not_end_an_evaluation(tmp_path):
    (tmp_path / TRUTH).write_bytes(b"PAR1")
    with pytest.raises(InputError, match="ground truth of a synthetic dataset"):
        scene_groups(tmp_path, [], panoramic=False)
    assert read_groups(tmp_path, [], panoramic=False) == {}


def test_a_group_of_all_clips_or_of_those_of_another_group_is_left_out():
    groups = {"P1": frozenset("ab"), "one_source": frozenset("abz"), "P2": frozenset("c"), "P3": frozenset("z"),
              "front": frozenset("abc")}  # fmt: skip
    assert groups_apart(groups, "abc") == {"P1": frozenset("ab"), "P2": frozenset("c")}


def test_metrics_of_a_group_are_those_of_its_clips_alone():
    rng = np.random.default_rng(0)
    clips = [{ERROR: error, ENERGY: 1.0, "stft": error, "direction_error": 90 * error} for error in rng.random(6)]
    keys = list("abcdef")
    found = group_metrics({"test": clips, "seen": clips[::-1], "mono": clips}, keys, keys,
                          {"P1": frozenset("ace"), "P2": frozenset("bdf")})  # fmt: skip
    assert found["P1_clips"] == 3
    alone = clip_means(clips[::2], keys[::2])
    assert found["test_P1_explained"] == pytest.approx(1 - np.mean([clip[ERROR] for clip in clips[::2]]))
    assert {name: found[f"test_P1_{name}"] for name in alone} == alone
    assert found["seen_P2_stft"] == pytest.approx(np.mean([clip["stft"] for clip in clips[::-1][1::2]]))
    assert not any(name.startswith("mono") for name in found)
    lines = evaluation_table({"test_explained": 0.5, **found}, {}).splitlines()
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| P")]
    assert [each[:2] for each in table] == [["P1: one source", "3"], ["P2: different kinds", "3"]]
    assert table[0][2].startswith(f"{100 * found['test_P1_explained']:.1f} [")
    assert table[0][-1] == f"{found['test_P1_direction_error']:.3g}"
