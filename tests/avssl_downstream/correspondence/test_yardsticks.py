"""Read-out without a trained probe, ideal observers of the very test pairs, and test clips of another manifest."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from avssl_downstream.correspondence.cosine_readout import evaluate_cosine, load_projections
from avssl_downstream.correspondence.head import Correspondence
from avssl_downstream.correspondence.options import CorrespondenceOptions
from avssl_downstream.correspondence.pair_embeddings import PairEmbeddings, PairViews, embed_pairs
from avssl_downstream.correspondence.pair_observers import observer_accuracies, observer_retrieval
from avssl_downstream.correspondence.pair_probe import other_clips
from avssl_downstream.correspondence.pair_retrieval import MOST_WINDOWS, Projections, evaluate_retrieval
from avssl_tasks.avc import Avc, AvcOptions
from avssl_tasks.avsa import Avsa, AvsaOptions
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from avssl.config import FeatureConfig, ModelConfig, RunConfig
from avssl.datasets.manifest import Manifest, read_manifest
from avssl.errors import InputError
from avssl.evaluation.ideal_observer import OBSERVERS, pair_scores, view_truth
from avssl.evaluation.scene_truth import SceneTruth
from avssl.models.encoder_factory import build_encoders
from avssl.models.runtime import single_process
from avssl.runs import run_folder
from avssl.spatial.ambisonics import rotation, rotation_to_front
from avssl.synth.synth360 import synth360
from avssl.task import Task
from avssl.train.pretrain import save_task
from avssl.train.summary_tables import DIRECTIONS


class Plain:
    """Projections that change nothing."""

    def project(self, video: Tensor, audio: Tensor, rotation: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return video, audio


def pairs_at(angles: Tensor, away: Tensor) -> PairEmbeddings:
    """Pairs of one crop and one clip each: angles of the matching and of the rotated audio from the frames."""
    count = len(angles)
    video = torch.tensor([1.0, 0.0]).expand(count, 1, 2)
    aligned, rotated = (torch.stack([each.cos(), each.sin()], -1)[:, None] for each in (angles, away))
    return PairEmbeddings(video, aligned, rotated, away, torch.arange(count))


def test_threshold_comes_from_training_pairs_and_decides_test_pairs() -> None:
    training = pairs_at(torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.9, 1.0, 1.1]))  # threshold: cosine of about .6
    test = pairs_at(torch.tensor([0.1, 0.7, 0.0]), torch.tensor([0.4, 1.5, 1.2]))
    found = evaluate_cosine(Plain(), training, test, "avsa", seed=0)
    assert math.acos((math.cos(0.3) + math.cos(0.9)) / 2) == pytest.approx(0.66, abs=0.01)
    assert found.tolist() == [True, False, True, False, True, True]


def test_cosine_of_correspondence_compares_the_pairs_of_the_probe() -> None:
    angles = torch.linspace(0, 3, 40)
    pairs = pairs_at(0 * angles, angles)._replace(video=torch.stack([angles.cos(), angles.sin()], -1)[:, None])
    aligned = pairs._replace(aligned=pairs.video)
    other = other_clips(pairs.clip, torch.arange(40), torch.Generator().manual_seed(5))
    found = evaluate_cosine(Plain(), aligned, aligned, "avc", seed=5)
    assert found[:40].all()  # a cosine of 1 matches
    assert found[40:].tolist() == (other != torch.arange(40)).tolist() == [True] * 40


def small_encoders():
    return build_encoders(ModelConfig(), FeatureConfig(name="foa-iv", mels=32))


def saved_run(folder: Path, task: Task, config: RunConfig) -> Path:
    run_folder.init_run_folder(folder, config)
    save_task(task, folder)
    return folder


@pytest.mark.parametrize("transformer", [0, 1])
def test_projections_of_a_run_are_those_that_its_loss_compares(tmp_path: Path, transformer: int) -> None:
    encoders, options = small_encoders(), {"transformer": transformer, "crops": 2}
    torch.manual_seed(0)
    task = Avsa(encoders, AvsaOptions(**options)).eval()
    run = saved_run(tmp_path / "run", task, RunConfig(task="avsa", options=options))
    loaded = load_projections(run, encoders)
    video, audio = torch.randn(5, 2, encoders.video_width), torch.randn(5, 2, encoders.audio_width)
    with torch.no_grad():
        found = functional.cosine_similarity(*loaded.project(video, audio), dim=-1)
        targets = task.video_head(video), task.audio_head(audio)
        queries = targets
        if transformer:
            queries = (
                task.video_pred_head(task.a2v_transformer(audio)),
                task.audio_pred_head(task.v2a_transformer(video)),
            )
            expected = (
                sum(functional.cosine_similarity(*each, dim=-1) for each in zip(queries, targets, strict=True)) / 2
            )
        else:
            expected = functional.cosine_similarity(*targets, dim=-1)
    torch.testing.assert_close(found, expected)


def test_a_run_without_projections_or_of_other_encoders_is_one_line(tmp_path: Path) -> None:
    encoders = small_encoders()
    run_folder.init_run_folder(tmp_path / "swap", RunConfig(task="swap"))
    with pytest.raises(InputError, match="expected a task with projections, such as avc, got swap"):
        load_projections(tmp_path / "swap", encoders)
    other = saved_run(tmp_path / "avc", Avc(encoders, AvcOptions(embedding=8)), RunConfig(task="avc"))
    with pytest.raises(InputError, match=r"task.safetensors.*other shapes"):
        load_projections(other, encoders)
    (other / "task.safetensors").unlink()
    save_file({"audio_head.weight": torch.zeros(2, 2)}, other / "task.safetensors")
    with pytest.raises(InputError, match=r"task.safetensors"):
        load_projections(other, encoders)
    with pytest.raises(InputError, match="nowhere"):
        load_projections(tmp_path / "nowhere", encoders)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("scenes")
    return read_manifest(synth360(folder, clips=6, seconds=0.5, width=64, test_share=1.0, workers=1, progress=False))


def pairs_towards_sources(clips: Manifest, truth: SceneTruth, turn: float, per_clip: int = 4) -> PairEmbeddings:
    """One crop of 120 degrees towards a source of each clip, misaligned by a yaw in degrees."""
    clip = torch.arange(len(clips)).repeat_interleave(per_clip)
    scenes = [truth.at(clips.rows[each].key, 0.25) for each in clip.tolist()]
    towards = torch.from_numpy(np.stack([each.direction[each.sounding][0] for each in scenes])).float()
    azimuth, elevation = torch.atan2(towards[:, 1], towards[:, 0]), torch.asin(towards[:, 2])
    front = rotation_to_front(azimuth, elevation)[:, None]
    lens = torch.full((len(clip), 1, 2), math.radians(60))
    views = PairViews(front, front @ rotation(torch.tensor(math.radians(turn))), lens, torch.full((len(clip),), 0.25))
    nothing = torch.zeros(len(clip), 1, 1)
    return PairEmbeddings(nothing, nothing, nothing, torch.zeros(len(clip)), clip, views)


def observed(clips: Manifest, turn: float) -> dict[str, dict[str, float]]:
    """Accuracies for one crop towards a source of each clip."""
    truth = SceneTruth(clips.root / "truth.parquet")
    pairs = pairs_towards_sources(clips, truth, turn)
    return {pairing: observer_accuracies(truth, clips, pairs, pairing, seed=0) for pairing in ("avc", "avsa")}


def test_observers_notice_a_turned_field_by_direction_alone(clips: Manifest) -> None:
    turned, same = observed(clips, 25.0)["avsa"], observed(clips, 0.0)["avsa"]
    assert same == dict.fromkeys(OBSERVERS, 0.5)
    assert [turned[name] for name in OBSERVERS] == [0.5, 1.0, 1.0, 1.0]


def test_observers_of_correspondence_are_ordered(clips: Manifest) -> None:
    kinds, directions, both, activity = observed(clips, 25.0)["avc"].values()
    assert 0.5 < kinds <= both <= activity <= 1
    assert 0.5 < directions <= both


def test_observers_retrieve_windows_by_their_scores_and_guess_among_equal_ones(clips: Manifest) -> None:
    truth = SceneTruth(clips.root / "truth.parquet")
    pairs = pairs_towards_sources(clips, truth, 25.0)
    found = observer_retrieval(truth, clips, pairs)
    scenes = [truth.at(clips.rows[each].key, 0.25) for each in pairs.clip.tolist()]
    views = view_truth(scenes, pairs.views.to_front.double().numpy(), pairs.views.lens.double().numpy())
    hits = {name: [] for name in OBSERVERS}
    for frames in range(len(scenes)):
        for name in OBSERVERS:
            scores = [pair_scores(views[audio], views[frames])[name].item() for audio in range(len(scenes))]
            best = [place for place, score in enumerate(scores) if score == max(scores)]
            hits[name].append(np.mean([pairs.clip[place] == pairs.clip[frames] for place in best]))
    for name in OBSERVERS:
        assert found[f"video_to_audio_r1{name}"] == pytest.approx(np.mean(hits[name]))
    assert 1 / 6 < found["audio_to_video_r1_ideal_kinds"] <= found["audio_to_video_r1_ideal_both"] <= 1
    assert found["audio_to_video_median_rank_ideal_both"] <= found["audio_to_video_median_rank_ideal_kinds"]


def test_observers_are_at_chance_among_windows_of_one_scene(clips: Manifest) -> None:
    truth = SceneTruth(clips.root / "truth.parquet")
    pairs = pairs_towards_sources(clips, truth, 25.0, per_clip=1)
    alike = pairs._replace(views=PairViews(*(each[[0] * 6] for each in pairs.views)))
    found = observer_retrieval(truth, replace(clips, rows=[clips.rows[0]] * 6), alike)
    for direction in DIRECTIONS:
        for name in OBSERVERS:
            assert [found[f"{direction}_r{rank}{name}"] for rank in (1, 5, 10)] == pytest.approx([1 / 6, 5 / 6, 1])
            assert found[f"{direction}_median_rank{name}"] == 3.5


def test_windows_are_spread_over_the_split_with_all_that_belongs_to_them(clips: Manifest) -> None:
    pairs = pairs_towards_sources(clips, SceneTruth(clips.root / "truth.parquet"), 25.0)
    pairs = pairs._replace(guided=torch.arange(24)[:, None] % 2 == 0, angle=torch.arange(24.0))
    few = pairs.spread(5)
    assert few.angle.tolist() == [0, 4, 9, 14, 19]
    assert few.clip.tolist() == [0, 1, 2, 3, 4]
    assert few.guided.flatten().tolist() == [True, True, False, True, False]
    assert torch.equal(few.views.to_front, pairs.views.to_front[[0, 4, 9, 14, 19]])
    assert pairs.spread(99).angle.tolist() == list(range(24))


def test_crops_of_embedded_pairs_have_their_placement(clips: Manifest) -> None:
    options = CorrespondenceOptions(
        seconds=0.5, frames=2, frame_rate=16.0, size=16, min_fov=50.0, max_fov=70.0, workers=0, crops=3
    )
    fabric, encoders = single_process("32-true"), small_encoders().eval()
    pairs = embed_pairs(encoders, clips, options, 2, fabric, "")
    views = pairs.views
    assert views is not None
    assert [each.shape for each in views] == [(12, 3, 3, 3), (12, 3, 3, 3), (12, 3, 2), (12,)]
    misalignment = views.to_front.mT @ views.misaligned
    angle = torch.acos(((misalignment.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2).clamp(-1, 1))
    torch.testing.assert_close(angle, pairs.angle[:, None].expand(-1, 3), atol=2e-3, rtol=0)
    assert views.time.min() >= 0.5 / 16  # middle of two frames
    assert ((views.lens[..., 0] > math.radians(24.9)) & (views.lens[..., 0] < math.radians(35.1))).all()
    single = pairs.single_crops().views
    assert single is not None
    assert torch.equal(single.to_front[4, 0], views.to_front[1, 1])
    assert torch.equal(single.time, views.time.repeat_interleave(3))


def test_test_clips_come_from_the_other_manifest(clips: Manifest, tmp_path: Path) -> None:
    options = CorrespondenceOptions(
        manifest=str(tmp_path), test_manifest=str(clips.root), seconds=0.5, frames=1, frame_rate=16.0, size=16,
        min_fov=50.0, max_fov=70.0,
    )  # fmt: skip
    head = Correspondence(small_encoders(), options)
    assert [row.key for row in head._clips("test")] == [row.key for row in clips]
    with pytest.raises(InputError, match=str(tmp_path)):
        head._clips("train")
    with pytest.raises(InputError, match="manifest.parquet: no clip of split 'train'"):
        Correspondence(small_encoders(), replace(options, manifest=str(clips.root)))._clips("train")


def test_retrieval_is_among_a_thousand_windows_of_all_clips() -> None:
    generator = torch.Generator().manual_seed(0)
    count = 2 * MOST_WINDOWS + 500
    same = torch.randn(count, 1, 12, generator=generator)
    pairs = PairEmbeddings(same, same, same, torch.zeros(count), torch.arange(count))
    projections = Projections(pairs, 12, 0.07)
    projections.audio.load_state_dict(projections.video.state_dict())
    found = evaluate_retrieval(projections, pairs.spread(MOST_WINDOWS))
    assert found["audio_to_video_r1"] == found["video_to_audio_median_rank"] == 1
    assert found["audio_to_video_r1_chance"] == pytest.approx(1 / MOST_WINDOWS)
    assert found["audio_to_video_median_rank_chance"] == MOST_WINDOWS / 2
