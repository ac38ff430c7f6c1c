"""Parts of the heads that classify segments against closed forms, scikit-learn and plain arithmetic."""

import math
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from avssl_downstream.classification.cross_validation import (
    Split,
    aggregate_recordings,
    cross_validate,
    late_fusion,
    with_suffix,
)
from avssl_downstream.classification.feature_ablation import ablate, ablations
from avssl_downstream.classification.logmel_baseline import logmel_statistics
from avssl_downstream.classification.options import ABLATIONS
from avssl_downstream.classification.random_baseline import random_encoders
from avssl_downstream.classification.rotation_pooling import pool_over_time, pool_rotations
from avssl_downstream.classification.segment_pooling import MOMENTS, pool_windows
from avssl_downstream.classification.segments import group_by_segment, window_sources, window_starts
from avssl_downstream.eigenscape import Eigenscape
from sklearn.metrics import accuracy_score
from torch import Tensor

from avssl.config import FeatureConfig, ModelConfig
from avssl.datasets.dataset import Dataset, Fold, Recording
from avssl.models.embedder import AudioEmbedder
from avssl.models.encoders import Encoders
from avssl.runs.evaluated_clips import read_evaluated_clips
from avssl.spatial.ambisonics import encode, rotate, rotation


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def encoders(name: str = "foa-iv") -> Encoders:
    torch.manual_seed(1)
    return Encoders(ModelConfig(), FeatureConfig(name, hop=480, mels=32)).eval()


@pytest.mark.parametrize(
    ("seconds", "window", "hop", "count"), [(30, 1, 1, 30), (30, 1, 0.5, 59), (2, 3, 1, 1), (1, 0.1, 0.1, 10)]
)
def test_windows_fill_the_segment_and_stay_inside(seconds: float, window: float, hop: float, count: int) -> None:
    starts = window_starts(Recording("a", label="x", start=60.0, seconds=seconds), window, hop)
    assert len(starts) == count
    assert starts[0] == 60.0
    assert count == 1 or starts[-1] + window <= 60 + seconds + 1e-6
    assert np.allclose(np.diff(starts), hop)


def test_windows_are_read_once_a_file_and_grouped_by_segment(tmp_path: Path) -> None:
    parts = [
        Recording(f"{name}#{start}", label="x", audio=name, start=start, seconds=10)
        for name in "ab"
        for start in (0.0, 10.0)
    ]
    dataset = Dataset("set", tmp_path, tuple(parts), ("x",))
    files = window_sources(parts, dataset, "audio", 1.0, 2.0)
    assert [each.key for each in files] == ["a", "b"]
    assert files[0].starts == (0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0)
    found = [torch.tensor(each.starts)[:, None] + 100 * place for place, each in enumerate(files)]
    rows = group_by_segment(files, found, parts, "audio", 1.0, 2.0)
    assert [row[:, 0].tolist() for row in rows[1:3]] == [
        [10.0, 12.0, 14.0, 16.0, 18.0],
        [100.0, 102.0, 104.0, 106.0, 108.0],
    ]


def test_pooling_is_mean_maximum_and_deviation() -> None:
    windows = [noise(5, 3), noise(2, 3, seed=1)]
    assert torch.allclose(pool_windows(windows, "mean"), torch.stack([each.mean(0) for each in windows]))
    assert torch.allclose(pool_windows(windows, "mean+max")[0, 3:], windows[0].max(0).values)
    assert torch.allclose(pool_windows(windows, "mean+std")[1, 3:], windows[1].std(0, correction=0))


def test_moments_give_mean_and_deviation_of_the_log_mel_spectrogram() -> None:
    audio, baseline = noise(3, 4, 24000), logmel_statistics(4, 24000)
    with torch.no_grad():
        row = pool_windows([baseline(audio)], MOMENTS)[0]
        maps = baseline.features(audio).movedim(0, 1).flatten(1, 2)  # each channel's frames, all windows together
    assert torch.allclose(row[: 4 * 64], maps.mean(1).flatten(), atol=1e-4)
    assert torch.allclose(row[4 * 64 :], maps.std(1, correction=0).flatten(), atol=1e-3)


@pytest.mark.parametrize("maps", ["iv", "level", "dipoles", "space"])
def test_ablation_zeroes_the_chosen_maps_and_changes_the_fingerprint(maps: str) -> None:
    whole, audio = encoders(), noise(2, 4, 24000)
    whole.fit_features([audio])
    encoder = ablate(whole.audio, maps)
    before, after = whole.features(audio), encoder.features(audio)
    ablated = {"iv": [4, 5, 6], "level": [0, 1, 2, 3], "dipoles": [1, 2, 3], "space": [1, 2, 3, 4, 5, 6]}[maps]
    kept = [place for place in range(7) if place not in ablated]
    assert not after[:, ablated].any()
    assert torch.equal(after[:, kept], before[:, kept])
    assert encoder.fingerprint() != whole.audio.fingerprint()
    assert torch.equal(whole.features(audio), before)
    with torch.no_grad():
        torch.testing.assert_close(encoder(audio), whole.audio.tower(after), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("layer", ["early", "embedding"])
def test_ablated_and_pooled_encoders_stay_on_the_device(layer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # does not support the meta device
    audio, waveform = encoders().to("meta").audio, torch.zeros(2, 4, 24000, device="meta")
    for made in (ablate(audio, "iv"), pool_rotations(audio, 4, layer)):
        assert made(waveform).device == torch.device("meta")


def test_ablating_direction_of_log_mels_raises() -> None:
    with pytest.raises(ValueError, match="foa-logmel has log-mel maps alone"):
        ablate(encoders("foa-logmel").audio, "iv")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("foa-iv", ("iv", "level", "dipoles", "space")),
        ("foa-logmel", ("dipoles",)),
        ("stereo-phase", ("iv", "level")),
        ("beam-ratio", ("iv", "level")),
    ],
)
def test_all_ablations_are_partial_and_differ(name: str, found: tuple[str, ...]) -> None:
    features = encoders(name).features
    assert ablations(features, "all") == found
    assert ablations(features, "") == ()
    assert ablations(encoders("foa-logmel").features, "space") == ("space",)
    for maps in set(ABLATIONS) - {*found, "space" if features.levels == 4 else ""}:
        with pytest.raises(ValueError, match=f"ablate={maps}: expected .* {name} has"):
            ablations(features, maps)


def test_ablation_without_such_maps_raises_before_reading() -> None:
    with pytest.raises(ValueError, match="ablate=all: expected .* mono-logmel has none"):
        Eigenscape(encoders("mono-logmel"), Eigenscape.Options(ablate="all"))


@pytest.mark.parametrize("layer", ["embedding", "early"])
def test_rotation_pooling_is_invariant_to_rotation_by_a_step(layer: str) -> None:
    field = encode(noise(24000), torch.tensor(0.4), torch.tensor(0.2))
    plain = encoders().audio
    invariant = pool_rotations(encoders().audio, 4, layer)
    with torch.no_grad():
        found = [invariant(rotate(field, rotation(torch.tensor(angle)))[None]) for angle in (0.0, math.pi / 2)]
        once = [plain(rotate(field, rotation(torch.tensor(angle)))[None]) for angle in (0.0, math.pi / 2)]
    assert torch.allclose(*found, atol=1e-4)
    assert not torch.allclose(*once, atol=1e-2)
    assert found[0].shape == (1, invariant.width)
    assert isinstance(invariant, AudioEmbedder)


def test_rotations_are_averaged_and_early_maps_are_of_the_first_block() -> None:
    plain, field = encoders().audio, noise(2, 4, 24000)
    assert pool_rotations(plain, 1, "embedding") is plain
    with torch.no_grad():
        early = pool_over_time(plain.tower.stages[:4](plain.features(field)), 8)
        found = pool_rotations(plain, 1, "early")(field)
        rotated = [plain(rotate(field, rotation(torch.tensor(2 * math.pi * k / 3)))) for k in range(3)]
        mean = pool_rotations(plain, 3, "embedding")(field)
    assert torch.allclose(found, early, atol=1e-5)
    assert torch.allclose(mean, torch.stack(rotated).mean(0), atol=1e-4)


def test_pooling_over_time_keeps_bands() -> None:
    maps = torch.zeros(1, 2, 5, 16)
    maps[0, 0, 2, 4:6], maps[0, 1, :, 15] = 5.0, 1.0
    mean, most = pool_over_time(maps, 8).reshape(2, 2, 8)
    wanted = torch.zeros(2, 2, 8)
    wanted[0, 0, 2], wanted[1, 0, 2], wanted[:, 1, 7] = 1.0, 5.0, 0.5
    assert torch.allclose(torch.stack([mean, most]), wanted)


def test_fingerprints_of_rotation_pooling_differ() -> None:
    kinds = [(1, "embedding"), (1, "early"), (4, "early"), (4, "embedding"), (8, "early")]
    assert len({pool_rotations(encoders().audio, *kind).fingerprint() for kind in kinds}) == len(kinds)
    with pytest.raises(ValueError, match="layer"):
        pool_rotations(encoders().audio, 1, "last")
    stereo = Encoders(ModelConfig(), FeatureConfig("stereo-logmel", hop=480, mels=32))
    assert pool_rotations(stereo.audio, 4, "embedding").width  # of a field, by W + Y and W - Y


def test_random_encoders_share_only_features_and_architecture() -> None:
    whole = encoders()
    whole.fit_features([noise(2, 4, 24000)])
    state = torch.get_rng_state()
    one, again, other = (random_encoders(whole, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one.features.mean, whole.features.mean)
    assert one.fingerprint() == again.fingerprint() != other.fingerprint()
    assert {name: each.shape for name, each in one.state_dict().items()} == {
        name: each.shape for name, each in whole.state_dict().items()
    }


def dataset(tmp_path: Path) -> Dataset:
    """Four recordings of three segments, two classes, two folds."""
    examples = tuple(
        Recording(f"{name}#{part}", label="ab"[number % 2], group=name)
        for number, name in enumerate("wxyz")
        for part in range(3)
    )
    keys = [each.key for each in examples]
    folds = (Fold("fold1", tuple(keys[:6]), tuple(keys[6:])), Fold("fold2", tuple(keys[6:]), tuple(keys[:6])))
    return Dataset("set", tmp_path, examples, ("a", "b"), folds)


def test_cross_validation_agrees_with_scikit_learn(tmp_path: Path) -> None:
    scores = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.4, 0.6]] * 4, dtype=torch.float64)
    scores[3:6], scores[9:12] = scores[3:6].flip(1), torch.tensor([0.7, 0.3])  # recording z is misclassified
    found = cross_validate(dataset(tmp_path), lambda split: scores[split.test], tmp_path, 0)
    truth = [0, 0, 0, 1, 1, 1] * 2
    per_fold = [accuracy_score(truth[part], scores[part].argmax(1)) for part in (slice(6, 12), slice(0, 6))]
    assert found["accuracy"] == pytest.approx(np.mean(per_fold))
    assert found["accuracy_deviation"] == pytest.approx(np.std(per_fold, ddof=1))
    assert found["recording_accuracy"] == pytest.approx(3 / 4)
    assert found["accuracy_low"] <= found["accuracy"] <= found["accuracy_high"]
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 13
    assert with_suffix(found, "other")["accuracy_other_low"] == found["accuracy_low"]
    clips = read_evaluated_clips(tmp_path)
    assert np.mean([each.label == each.predicted for each in clips.clips]) == pytest.approx(np.mean(per_fold))
    assert clips.clips[0].key == "y#0"
    assert clips.clips[0].score == pytest.approx(0.9)


def test_recording_probabilities_are_the_product_over_segments() -> None:
    scores = torch.tensor([[0.8, 0.2], [0.3, 0.7], [0.1, 0.9]], dtype=torch.float64)
    label, found = aggregate_recordings(torch.tensor([0, 0, 1]), scores, ["one", "one", "two"])
    assert label.tolist() == [0, 1]
    product = scores[0] * scores[1]
    assert torch.allclose(found, torch.stack([product / product.sum(), scores[2]]))


def test_late_fusion_multiplies_probabilities() -> None:
    one, other = (
        torch.rand(4, 3, generator=torch.Generator().manual_seed(seed)).double().softmax(1) for seed in (0, 1)
    )
    split = Split("fold1", torch.arange(1), torch.arange(4), torch.zeros(4), 3)
    product = one * other
    assert torch.allclose(late_fusion([lambda _: one, lambda _: other])(split), product / product.sum(1, keepdim=True))
