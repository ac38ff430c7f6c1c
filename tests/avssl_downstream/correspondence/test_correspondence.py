"""Probes and retrieval with oracle encoders, and with encoders without spatial information."""

import math
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import avssl_downstream
import numpy as np
import pytest
import torch
from avssl_downstream.correspondence import Correspondence
from avssl_downstream.correspondence.detection_by_angle import detection_by_angle, write_detection
from avssl_downstream.correspondence.options import CorrespondenceOptions
from avssl_downstream.correspondence.pair_embeddings import PairEmbeddings, sample_misalignment
from avssl_downstream.correspondence.pair_probe import PairBatches, evaluate_pairs, train_probe
from avssl_downstream.correspondence.pair_retrieval import ClipBatches, evaluate_retrieval, train_projections
from avssl_downstream.correspondence.transformer_predictions import load_transformer
from safetensors.torch import load_file, save_file
from scipy.spatial.transform import Rotation
from torch import Tensor, nn

from avssl import plugins
from avssl.config import fill
from avssl.datasets.manifest import Row, write_manifest
from avssl.media import write_audio, write_video
from avssl.models.cross_modal_transformer import CrossModalTransformer
from avssl.models.geometry import InputGeometry
from avssl.runs.evaluated_clips import read_evaluated_clips
from avssl.spatial.ambisonics import rotate
from avssl.testing import make_clips

RATE = 8000


class VideoOracle(nn.Module):
    """Position of the disc in a crop, and its colour."""

    def forward(self, frames: Tensor) -> Tensor:
        colour = frames.float().mean(1) / 255
        bright = (colour.amax(1) > 0.3).float()
        place = torch.linspace(1, -1, bright.shape[-1])
        amount = bright.sum((1, 2)) + 1e-3
        left, up = (bright.sum(1) @ place) / amount, (bright.sum(2) @ place) / amount
        hue = (colour[:, 0] * bright).sum((1, 2)) / amount
        return torch.stack([left, up, bright.mean((1, 2)), hue, hue**2, left**2], 1)


class AudioOracle(nn.Module):
    """Direction of arrival and pitch; or the pitch alone."""

    def __init__(self, spatial: bool) -> None:
        super().__init__()
        self.spatial = spatial

    def forward(self, audio: Tensor, rotation: Tensor) -> Tensor:
        audio = rotate(audio[:, None], rotation)
        direction = (audio[..., :1, :] * audio[..., 1:, :]).sum(-1) / audio[..., :1, :].square().sum(-1)
        power = torch.fft.rfft(audio[..., 0, :]).abs().square()
        pitch = ((power @ torch.linspace(0, 4, power.shape[-1])) / power.sum(-1))[..., None]
        return torch.cat([direction if self.spatial else 0 * direction, pitch, pitch**2], -1)


class Oracle(nn.Module):
    """Encoders without training."""

    sample_rate, video_width, geometry = RATE, 6, InputGeometry(1.0, 8, 16.0, 112, 25.0, 76.3)

    def __init__(self, spatial: bool = True) -> None:
        super().__init__()
        self.video, self.audio = VideoOracle(), AudioOracle(spatial)
        self.weight = nn.Parameter(torch.zeros(1))


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Media files of sounding discs: 40 clips for training, 16 for test."""
    folder = tmp_path_factory.mktemp("discs")
    rows = []
    for index, clip in enumerate(make_clips(56, seed=1, seconds=0.6, frames=5, sample_rate=RATE)):
        key, split = f"{index:03d}", "train" if index < 40 else "test"
        write_video(folder / f"{key}.mp4", (frame.permute(1, 2, 0).numpy() for frame in clip.frames), 10.0)
        write_audio(folder / f"{key}.wav", clip.audio, RATE)
        files = f"{key}.mp4", f"{key}.wav", 0.0, 0.5
        rows.append(Row(key, split, *files, 10.0, 64, 32, RATE, "ambix", "", math.nan, math.nan, 1.0, key))
    write_manifest(folder, rows)
    return folder


def options(discs: Path, **changes: Any) -> CorrespondenceOptions:
    small = {"manifest": str(discs), "size": 24, "frames": 1, "frame_rate": 10.0, "seconds": 0.3, "workers": 0}
    quick = {"train_draws": 16, "epochs": 12, "precision": "32-true", "min_fov": 70.0, "max_fov": 76.0}
    return fill(CorrespondenceOptions, small, quick, changes)


def test_detection_is_counted_by_angle_beside_false_alarms(tmp_path: Path) -> None:
    angle = torch.tensor([1.0, 19.0, 21.0, 179.0, 180.0]).deg2rad()
    noticed, aligned = torch.tensor([False, True, True, True, False]), torch.tensor([True, True, False, True, True])
    found = detection_by_angle(noticed, angle, aligned)
    assert [each[:3] for each in found] == [(0, 0, 5), (0, 20, 2), (20, 40, 1), (160, 180, 2)]
    assert [each.detected for each in found] == pytest.approx([0.2, 0.5, 1.0, 0.5])
    write_detection(tmp_path / "table.csv", found)
    assert (tmp_path / "table.csv").read_text().splitlines() == [
        "from_degrees,to_degrees,pairs,detected",
        "0.0,0.0,5,0.2",
        "0.0,20.0,2,0.5",
        "20.0,40.0,1,1",
        "160.0,180.0,2,0.5",
    ]


@pytest.mark.heavy
def test_probes_and_retrieval_with_oracles_beat_chance(discs: Path, tmp_path: Path) -> None:
    found = Correspondence(Oracle(), options(discs, min_misalignment=60.0)).fit(tmp_path)
    assert found["avsa_bin"] > 0.85
    assert found["avc_bin"] > 0.8
    assert found["avsa_bin"] > found["avsa_bin_1"] > 0.6
    for name in ("avc_bin", "avsa_bin", "avc_bin_1", "avsa_bin_1"):
        assert found[f"{name}_low"] <= found[name] <= found[f"{name}_high"]
    assert (tmp_path / "avsa_bin_by_angle.png").stat().st_size > 1000
    heading, aligned, *misaligned = (tmp_path / "avsa_bin_by_angle.csv").read_text().splitlines()
    assert heading == "from_degrees,to_degrees,pairs,detected"
    assert sum(int(row.split(",")[2]) for row in misaligned) == int(aligned.split(",")[2])
    assert load_file(tmp_path / "avsa_bin.safetensors")["layers.0.weight"].shape == (512, 11)
    for direction in ("audio_to_video", "video_to_audio"):
        assert [found[f"{direction}_r{rank}_chance"] for rank in (1, 5)] == pytest.approx([1 / 16, 0.28], abs=0.01)
        for name in ("r1", "r5", "r10", "map_r"):
            assert found[f"{direction}_{name}"] > 1.5 * found[f"{direction}_{name}_chance"]
    assert load_file(tmp_path / "retrieval.safetensors")["audio.weight"].shape == (128, 5)
    clips = read_evaluated_clips(tmp_path)
    assert clips is not None
    assert np.mean([each.score for each in clips.clips]) == pytest.approx(found["avsa_bin"])
    assert [clips.embeddings(tower)[1].shape[0] for tower in ("audio", "video")] == [len(clips.clips)] * 2


@pytest.mark.heavy
def test_alignment_without_direction_stays_at_chance(discs: Path, tmp_path: Path) -> None:
    found = Correspondence(Oracle(spatial=False), options(discs, crops=1)).fit(tmp_path)
    assert abs(found["avsa_bin"] - 0.5) < 0.1
    assert found["avsa_bin"] == found["avsa_bin_1"]


@pytest.mark.heavy
def test_metrics_repeat_and_encoders_do_not_change(discs: Path, tmp_path: Path) -> None:
    encoders = Oracle()
    encoders.audio.eval()
    modes = [each.training for each in encoders.modules()]
    settings = options(discs, train_draws=2, epochs=2)
    first, again = (Correspondence(encoders, settings).fit(tmp_path / name) for name in ("a", "b"))
    assert first == again
    assert [each.training for each in encoders.modules()] == modes


def saved_transformer(path: Path, width: int = 6, **form: Any) -> CrossModalTransformer:
    """Transformer with random weights, saved as in a run folder of `avsa`."""
    torch.manual_seed(1)
    made = CrossModalTransformer(width, **form).eval()
    for each in made.parameters():
        nn.init.normal_(each, std=0.3)
    save_file({f"v2a_transformer.{name}": each for name, each in made.state_dict().items()}, path)
    return made


@pytest.mark.heavy
@pytest.mark.parametrize("form", [{"depth": 2}, {"depth": 1, "norm": "pre", "relative_directions": 2}])
def test_transformer_predictions_replace_video_embeddings(discs: Path, tmp_path: Path, form: dict[str, Any]) -> None:
    run = tmp_path / "run"
    run.mkdir()
    made = saved_transformer(run / "task.safetensors", **form)
    settings = options(discs, train_draws=4, epochs=4, crops=2, min_misalignment=60.0)
    head = Correspondence(Oracle(), replace(settings, transformer=str(run)))
    found = head.fit(tmp_path / "with")
    plain = Correspondence(Oracle(), settings).fit(tmp_path / "without")
    assert found.items() > plain.items()
    training, test = head._embed({name: head._clips(name) for name in ("train", "test")})
    training, test = (each._replace(video=made(each.video, each.rotation).detach()) for each in (training, test))
    aligned_correct, misaligned_correct = evaluate_pairs(
        train_probe(training, "avsa", settings, ""), test, "avsa", settings.seed
    )
    assert found["avsa_bin_transf"] == pytest.approx(
        torch.cat([aligned_correct, misaligned_correct]).float().mean().item()
    )
    assert (tmp_path / "with" / "avsa_bin_transf.safetensors").is_file()
    one = Correspondence(Oracle(), replace(settings, transformer=str(run / "task.safetensors"), crops=1)).fit(tmp_path)
    assert one["avc_bin_transf_1_low"] == one["avc_bin_transf_low"]


def test_missing_transformer_or_another_width_raises(discs: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    head = Correspondence(Oracle(), options(discs, transformer=str(run)))
    with pytest.raises(ValueError, match=r"task.safetensors: expected a safetensors file"):
        head.fit(tmp_path / "out")
    save_file({"video_head.weight": torch.zeros(2, 2)}, run / "task.safetensors")
    with pytest.raises(ValueError, match="expected a transformer, got none"):
        head.fit(tmp_path / "out")
    saved_transformer(run / "task.safetensors", width=8)
    with pytest.raises(ValueError, match="other shapes"):
        head.fit(tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "form", [{"depth": 3}, {"norm": "pre"}, {"relative_directions": 3}, {"norm": "pre", "relative_directions": 1}]
)
def test_loaded_transformer_has_the_form_of_its_file(tmp_path: Path, form: dict[str, Any]) -> None:
    made = saved_transformer(tmp_path / "task.safetensors", **form)
    loaded = load_transformer(tmp_path, Oracle())  # type: ignore[arg-type]
    crops, rotation = torch.randn(3, 4, 6), torch.from_numpy(Rotation.random(12, rng=0).as_matrix()).float()
    given = crops, rotation.view(3, 4, 3, 3)
    assert torch.equal(loaded(*given), made(*given))


@pytest.mark.parametrize(("form", "most"), [({"depth": 129}, "depth 128"), ({"relative_directions": 129}, "129")])
def test_transformer_of_absurd_size_raises(tmp_path: Path, form: dict[str, Any], most: str) -> None:
    names = {f"transformer.{layer}.x": torch.zeros(1) for layer in range(form.get("depth", 1))}
    names["transformer.0.attention.direction_bias.weight"] = torch.zeros(
        1, (form.get("relative_directions", 1) + 1) ** 2 - 1
    )
    save_file({f"v2a_transformer.{name}": each for name, each in names.items()}, tmp_path / "task.safetensors")
    with pytest.raises(ValueError, match=most):
        load_transformer(tmp_path, Oracle())  # type: ignore[arg-type]


def test_rotations_of_pairs_bring_the_centre_of_their_crop_to_the_front(discs: Path) -> None:
    head = Correspondence(Oracle(), options(discs, train_draws=2, crops=3, per_window=2))
    pairs, _ = head._embed({name: head._clips(name) for name in ("train", "test")})
    torch.testing.assert_close(pairs.rotation @ pairs.rotation.mT, torch.eye(3).expand(len(pairs.clip), 3, 3, 3))
    # A crop's audio embedding holds the direction of arrival (y, z, x) in its frame: back in the clip's, all agree.
    arrival = pairs.aligned[..., [2, 0, 1]]
    in_clip = (pairs.rotation.mT @ arrival[..., None]).squeeze(-1)
    torch.testing.assert_close(in_clip, in_clip[:, :1].expand(-1, 3, -1), atol=1e-3, rtol=1e-3)
    singles = pairs.single_crops()
    assert torch.equal(singles.rotation[:, 0], pairs.rotation.flatten(0, 1))
    assert torch.equal(singles.clip, pairs.clip.repeat_interleave(3))


@pytest.mark.heavy
def test_retrieval_matches_explicit_ranking(discs: Path, tmp_path: Path) -> None:
    head = Correspondence(Oracle(), options(discs, train_draws=2, epochs=2, crops=2))
    found = head.fit(tmp_path)
    training, test = head._embed({name: head._clips(name) for name in ("train", "test")})
    projections = train_projections(training, head.options, "")
    video, audio = projections.project("video", test.video), projections.project("audio", test.aligned)
    scores = torch.stack([(one * audio).sum(-1).mean(-1) for one in video.double()])  # (video, audio), over the crops
    ranks = (test.clip == test.clip[:, None])[torch.arange(len(scores))[:, None], scores.argsort(1, descending=True)]
    for rank in (1, 5, 10):
        expected = ranks[:, :rank].any(1).double().mean().item()
        assert found[f"video_to_audio_r{rank}"] == pytest.approx(expected, abs=2 / len(scores))


def test_retrieval_of_noise_stays_at_chance() -> None:
    pairs = oracle_pairs(40, 4)
    generator = torch.Generator().manual_seed(1)
    noise = pairs._replace(aligned=torch.randn(pairs.aligned.shape, generator=generator))
    settings = CorrespondenceOptions(epochs=4)
    found = evaluate_retrieval(train_projections(oracle_pairs(60, 4), settings, ""), noise)
    for name in ("r1", "r5", "r10"):
        assert found[f"audio_to_video_{name}"] == pytest.approx(found[f"audio_to_video_{name}_chance"], abs=0.1)


def test_batch_of_projections_has_each_clip_once() -> None:
    pairs = oracle_pairs(12, 5)
    pairs = pairs._replace(video=pairs.clip[:, None, None].expand(-1, 3, 1))
    batches = ClipBatches(pairs, 8, 0)
    clips = [batch["video"][:, 0, 0].tolist() for batch in batches.between(0, 30)]
    assert all(len(set(each)) == 8 for each in clips)
    assert {clip for each in clips for clip in each} == set(range(12))
    assert torch.equal(next(iter(batches.between(7, 8)))["audio"], list(batches.between(0, 8))[7]["audio"])
    assert batches.steps(3) == 3 * (60 // 8)


def oracle_pairs(clips: int = 30, each: int = 6, noise: float = 0.1) -> PairEmbeddings:
    """Pairs whose video and audio share a code of the clip and a direction of the draw."""
    generator = torch.Generator().manual_seed(clips)
    count = clips * each
    clip = torch.arange(clips).repeat_interleave(each)
    code = torch.rand(clips, 1, 1, generator=generator)[clip].expand(count, 3, 1)
    where = torch.rand(count, 3, 1, generator=generator)
    away = torch.rand(count, 3, 1, generator=generator)
    angle = math.pi * torch.rand(count, generator=generator)
    video, aligned, rotated = (torch.cat([code, place], -1) for place in (where, where, away))
    aligned = aligned + noise * torch.randn(aligned.shape, generator=generator)
    return PairEmbeddings(video, aligned, rotated, angle, clip)


def test_mismatched_audio_is_of_another_clip_or_rotated() -> None:
    pairs = oracle_pairs()
    for pairing, position in (("avc", 0), ("avsa", 1)):
        labels = []
        for batch in PairBatches(pairs, pairing, 32, 0).between(0, 20):
            same_clip = (batch["video"][..., 0] - batch["audio"][..., 0]).abs().mean(1) < 0.3
            wrong = batch["label"] == 1
            labels.append(wrong)
            difference = (batch["video"][..., position] - batch["audio"][..., position]).abs().mean(1)
            assert difference[wrong].mean() > 2 * difference[~wrong].mean()
            assert bool(same_clip[~wrong].all())
            if pairing == "avsa":
                assert torch.equal(batch["video"][wrong][..., 0], batch["audio"][wrong][..., 0])
        assert abs(float(torch.cat(labels).float().mean()) - 0.5) < 0.06


def test_epoch_has_each_pair_once_and_batches_depend_on_the_step() -> None:
    pairs = oracle_pairs(8, 4)._replace(video=torch.arange(32.0)[:, None, None].expand(32, 3, 1))
    batches = PairBatches(pairs, "avsa", 8, 3)
    order = torch.cat([batch["video"][:, 0, 0] for batch in batches.between(4, 8)])
    assert sorted(order.tolist()) == list(range(32))
    later = next(iter(batches.between(6, 7)))
    assert torch.equal(later["video"], list(batches.between(4, 8))[2]["video"])


@pytest.mark.heavy
def test_probe_generalises_to_new_clips() -> None:
    settings = CorrespondenceOptions(epochs=30)
    probe = train_probe(oracle_pairs(60), "avsa", settings, "test")
    correct = torch.cat(evaluate_pairs(probe, oracle_pairs(25), "avsa", 0))
    assert float(correct.float().mean()) > 0.75


def test_single_crops_keep_their_clip_and_angle() -> None:
    pairs = oracle_pairs(3, 2)
    single = pairs.single_crops()
    assert single.video.shape == (18, 1, 2)
    assert single.clip.tolist() == [clip for clip in (0, 0, 1, 1, 2, 2) for _ in range(3)]
    assert torch.equal(single.rotated[4, 0], pairs.rotated[1, 1])
    assert torch.equal(single.angle[3:6], pairs.angle[1].expand(3))


@pytest.mark.parametrize(("kind", "smallest"), [("yaw", 0.0), ("yaw", 90.0), ("pitch-yaw", 30.0), ("any", 150.0)])
def test_misalignments_have_the_minimum_angle(kind: str, smallest: float) -> None:
    settings = CorrespondenceOptions(misalignment=kind, min_misalignment=smallest)
    rng = np.random.default_rng(0)
    rotations = torch.stack([sample_misalignment(settings, rng) for _ in range(300)])
    traces = rotations.diagonal(dim1=1, dim2=2).sum(1)
    degrees = torch.rad2deg(torch.acos(((traces - 1) / 2).clamp(-1, 1)))
    assert smallest - 0.1 <= degrees.min() < smallest + 40
    assert degrees.max() > 170


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"misalignment": "roll"}, "misalignment is yaw, pitch-yaw, any"),
        ({"min_misalignment": 180}, "min_misalignment < 180"),
        ({"epochs": 0}, "epochs: expected 1 or more"),
        ({"retrieval_batch": 1}, "expected retrieval_batch >= 2"),
        ({"avsa": {"schedule": "cosin"}}, "did you mean 'cosine'"),
        ({"crops": 40, "min_separation": 50}, "do not fit"),
        ({"min_misalignmend": 1}, "did you mean 'min_misalignment'"),
    ],
)
def test_invalid_options_raise_in_one_line(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        fill(CorrespondenceOptions, wrong)
    assert "\n" not in str(caught.value)


def test_manifest_without_needed_clips_raises(discs: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give a manifest"):
        Correspondence(Oracle(), CorrespondenceOptions()).fit(tmp_path)
    from avssl.datasets.manifest import read_manifest

    rows = [replace(row, split="train") for row in read_manifest(discs)]
    write_manifest(discs / "train_only.parquet", rows)
    with pytest.raises(ValueError, match="no clip of split 'test'"):
        Correspondence(Oracle(), options(discs / "train_only.parquet")).fit(tmp_path)


def test_every_head_folder_is_registered_under_its_name() -> None:
    folder = Path(avssl_downstream.__path__[0])
    found = {path.parent.name for path in folder.glob("*/head.py")}
    registered = {entry.value.split(":")[0]: entry.name for entry in entry_points(group=plugins.HEADS)}
    ours = {module.split(".")[1]: name for module, name in registered.items() if module.startswith("avssl_downstream.")}
    assert ours == {name: name.replace("_", "-") for name in found}, "pip install -e . again"


def test_fit_without_clips_creates_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs clips"):
        Correspondence(Oracle(), CorrespondenceOptions()).fit(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_draws_default_to_the_geometry_of_the_encoders() -> None:
    encoders = Oracle()
    encoders.geometry = InputGeometry(0.5, 3, 12.0, 64, 40.0, 80.0)
    found = Correspondence(encoders, CorrespondenceOptions(frames=2)).options
    assert (found.seconds, found.frames, found.frame_rate) == (0.5, 2, 12.0)
    assert (found.size, found.min_fov, found.max_fov) == (64, 40.0, 80.0)
    encoders.geometry = InputGeometry(0.5, 3, 12.0)  # of a task that does not crop
    with pytest.raises(ValueError, match=r"set size=\.\.\., min_fov=\.\.\., max_fov=\.\.\."):
        Correspondence(encoders, CorrespondenceOptions())
