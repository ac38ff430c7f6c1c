"""swap: swapped channels, mirrored views, controls without information, and learning."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from avssl_tasks.swap import Swap, SwapOptions, swap_left_right
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from torch import Tensor
from torch.utils.data import default_collate

from avssl.config import DataConfig, FeatureConfig, ModelConfig, fill
from avssl.data.clip import Clip
from avssl.data.clip_filter import AUDIO_CHECK_CLIPS, filter_clips
from avssl.datasets.manifest import Manifest, Row
from avssl.media import write_audio
from avssl.models.encoder_factory import build_encoders
from avssl.spatial.ambisonics import intensity_direction, mirror, stereo
from avssl.testing import check_task, make_clips

PLAIN = {"flip": 0.0, "level": 0.0, "colour": {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}}
ROW = Row("a", "train", "a.mp4", "a.wav", 0, 4, 16, 224, 128, 48000, "binaural", "", np.nan, np.nan, np.nan, "a")


def make(features: str = "stereo-phase", **options: Any) -> Swap:
    torch.manual_seed(0)
    encoders = build_encoders(ModelConfig(), FeatureConfig(name=features, hop=480, mels=64))
    return Swap(encoders, fill(SwapOptions, {"size": 32, "width": 64, "rows": 4, "columns": 8, **options}))


def views_of(task: Swap, clip: Clip, seeds: int = 12) -> list[dict[str, Tensor]]:
    return [task.views(clip, np.random.default_rng(seed)) for seed in range(seeds)]


def batch_of(task: Swap, count: int, seed: int = 0) -> dict[str, Tensor]:
    rng = np.random.default_rng(seed)
    clips = make_clips(count, seed, seconds=0.2, frames=1, channels=2)
    return default_collate([task.views(clip, rng) for clip in clips])


@pytest.mark.parametrize("features", ["mono-logmel", "stereo-logmel", "stereo-phase"])
@pytest.mark.parametrize("options", [{}, {"both_orders": True}, {"mono": True}, {"mirror_both": True}])
def test_contract_with_pairs_of_channels(features: str, options: dict[str, bool]) -> None:
    check_task(make(features, **options), make_clips(2, channels=2))


@pytest.mark.parametrize("features", ["stereo-phase", "foa-iv"])
@pytest.mark.parametrize("options", [{}, {"both_orders": True}, {"mono": True, "mirror_both": True}])
def test_contract_with_ambisonics(features: str, options: dict[str, bool]) -> None:
    check_task(make(features, **options), make_clips(2))


@pytest.mark.parametrize("model", [ModelConfig(preset="avsa"), ModelConfig(video="torchvision/resnet18")])
@pytest.mark.heavy
def test_contract_with_published_towers(model: ModelConfig) -> None:
    task = Swap(build_encoders(model, FeatureConfig(name="stereo-phase")), fill(SwapOptions, {"size": 32}))
    check_task(task, make_clips(2, seconds=0.2, frames=2, channels=2))


@pytest.mark.parametrize("channels", [2, 4])
def test_about_half_the_views_are_swapped_and_labelled_so(channels: int) -> None:
    task, clip = make(**PLAIN, max_fov=60, min_fov=60), make_clips(1, channels=channels)[0]
    views = views_of(task, clip, 64)
    assert 18 < sum(int(view["swapped"]) for view in views) < 46
    if channels == 2:
        for view in views:
            assert torch.equal(view["audio"], clip.audio.flip(0) if view["swapped"] else clip.audio)
            assert torch.equal(view["frames"], views[0]["frames"])


def test_flip_mirrors_frames_and_audio_together() -> None:
    clip = make_clips(1, channels=2)[0]
    for never, always in zip(views_of(make(**PLAIN), clip), views_of(make(**PLAIN | {"flip": 1.0}), clip), strict=True):
        assert torch.equal(always["swapped"], never["swapped"])
        assert torch.equal(always["frames"], never["frames"].flip(-1))
        assert torch.equal(always["audio"], never["audio"].flip(0))


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_perspective_frames_are_resized_whole_and_keep_left_and_right(flip: float) -> None:
    clip = make_clips(1, channels=2)[0]
    frames = torch.zeros(2, 3, 180, 320, dtype=torch.uint8)
    frames[..., :160] = 200
    view = make(**PLAIN | {"flip": flip}).views(replace(clip, frames=frames), np.random.default_rng(0))
    assert view["frames"].shape == (2, 3, 32, 64)
    left, right = view["frames"][..., :31].float().mean(), view["frames"][..., 33:].float().mean()
    assert (left, right) == ((200, 0) if not flip else (0, 200))


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_audio_of_a_360_degree_crop_is_on_the_side_of_its_visible_source(flip: float) -> None:
    task = make("foa-iv", **PLAIN | {"flip": flip}, min_fov=80, max_fov=80, min_elevation=0, max_elevation=0)
    compared = 0
    for clip in make_clips(6, seed=2):
        for view in views_of(task, clip):
            bright = (view["frames"][0].amax(0) >= 60).float().mean(0)
            if not 0.02 < bright.mean() < 0.5:
                continue
            side = float((bright * torch.linspace(1, -1, len(bright))).sum())
            azimuth, _, _ = intensity_direction(view["audio"], clip.sample_rate)
            if abs(side) > 0.5:
                compared += 1
                assert (side > 0) == (float(azimuth.sin() > 0) != float(view["swapped"]))
    assert compared > 4


@pytest.mark.heavy
def test_measured_hrirs_render_left_sources_louder_left(media_head: Path) -> None:
    task = make(**PLAIN, hrirs=str(media_head), min_fov=80, max_fov=80)
    foa_task = make("foa-iv", **PLAIN, min_fov=80, max_fov=80)
    for seed, clip in enumerate(make_clips(4, seed=3)):
        binaural, foa = (each.views(clip, np.random.default_rng(seed)) for each in (task, foa_task))
        assert binaural["audio"].shape == (2, clip.audio.shape[1])
        azimuth, _, _ = intensity_direction(foa["audio"], clip.sample_rate)
        left, right = binaural["audio"].square().mean(1)
        if abs(azimuth.sin()) > 0.4:
            assert bool(left > right) ^ bool(binaural["swapped"]) == bool(azimuth > 0) ^ bool(foa["swapped"])
    with pytest.raises(ValueError, match="features that accept 2 channels"):
        make("foa-iv", hrirs=str(media_head))


@pytest.mark.heavy
def test_binaural_audio_alone_does_not_reveal_the_swap(media_head: Path) -> None:
    task, spectra, labels = make(**PLAIN, hrirs=str(media_head)), [], []
    for seed, clip in enumerate(make_clips(40, seed=5, frames=1) * 10):
        view = task.views(clip, np.random.default_rng(seed))
        powers = torch.stft(view["audio"], 256, window=torch.hann_window(256), return_complex=True).abs().square()
        left, right = powers.mean(-1)[:, 1:].unflatten(1, (32, 4)).mean(-1).log10().numpy()
        spectra.append(left - right)
        labels.append(bool(view["swapped"]))
    # All ten views of a clip are in one fold: test clips are unseen.
    clips = np.arange(len(labels)) % 40
    accuracy = cross_val_score(LogisticRegression(max_iter=1000), spectra, labels, groups=clips, cv=GroupKFold(5))
    assert 0.4 < accuracy.mean() < 0.6


@pytest.fixture
def media_head() -> Path:
    root = Path(os.environ.get("AVSSL_TEST_MEDIA", Path(__file__).parents[3] / "shared" / "data"))
    folder = root / "free" / "hrtf" / "sadie_subject002"
    if not folder.exists():
        pytest.skip(f"no {folder}; set AVSSL_TEST_MEDIA to the folder of test media")
    return folder


def test_swap_of_foa_equals_mirror_and_swap_of_its_stereo_projections() -> None:
    foa = make_clips(1)[0].audio
    assert torch.equal(swap_left_right(foa), mirror(foa, "left-right"))
    assert torch.equal(stereo(swap_left_right(foa)), swap_left_right(stereo(foa)))


@pytest.mark.parametrize("channels", [2, 4])
def test_mono_control_is_unchanged_by_a_swap(channels: int) -> None:
    for view in views_of(make(**PLAIN, mono=True), make_clips(1, channels=channels)[0]):
        assert torch.equal(view["audio"], swap_left_right(view["audio"]))
        assert view["audio"].abs().amax() > 0.01


@pytest.mark.parametrize("channels", [2, 4])
def test_mirror_both_control_flips_frames_of_swapped_views(channels: int) -> None:
    clip = make_clips(1, channels=channels)[0]
    for plain, view in zip(views_of(make(**PLAIN), clip), views_of(make(**PLAIN, mirror_both=True), clip), strict=True):
        assert torch.equal(view["audio"], plain["audio"])
        assert torch.equal(view["frames"], plain["frames"].flip(-1) if view["swapped"] else plain["frames"])


def test_both_orders_negate_the_logit_when_audio_is_swapped() -> None:
    task = make(both_orders=True).eval()
    batch = batch_of(task, 4)
    with torch.no_grad():
        there, back = task.logits(batch), task.logits(batch | {"audio": swap_left_right(batch["audio"])})
        torch.testing.assert_close(there, -back)
        assert there.abs().min() > 1e-6
        mono = batch | {"audio": batch["audio"].mean(1, keepdim=True).expand(-1, 2, -1)}
        assert task.logits(mono).abs().max() < 1e-3 * there.abs().max()  # halves of a batch may round differently


def train(task: Swap, batches: list[dict[str, Tensor]], steps: int) -> list[float]:
    """Loss of each step of a short training."""
    optimizer = torch.optim.Adam(task.train().parameters(), 1e-3)
    losses = []
    for step in range(steps):
        optimizer.zero_grad()
        loss = task(batches[step % len(batches)])["loss"]
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize("control", ["", "mirror_both"])
@pytest.mark.heavy
def test_unseen_clips_are_classified_above_chance_unless_control(control: str) -> None:
    task = make(both_orders=True, **{control: True} if control else {})
    train(task, [batch_of(task, 16, seed) for seed in range(24)], 72)  # of fewer clips, chance decides what is learnt
    with torch.no_grad():
        accuracy = float(task.eval()(batch_of(task, 100, 99))["swap_acc"])
    assert 0.35 < accuracy < 0.65 if control else accuracy > 0.8


@pytest.mark.heavy
def test_one_order_alone_overfits_a_batch() -> None:
    task = make()
    losses = train(task, [batch_of(task, 16)], 16)
    assert losses[0] > 0.5 > 0.25 > losses[-1]


@pytest.mark.parametrize(
    ("layout", "silent", "reason"),
    [
        ("binaural", "", ""),
        ("stereo", "L", ""),
        ("ambix", "Z", ""),
        ("stereo", "L-R", "the two audio channels are identical"),
        ("mono", "", "one channel"),
        ("ambix", "Y", "audio channel Y is silent"),
        ("wxy", "YZ", "audio channel Y is silent"),
    ],
)
def test_rows_unchanged_by_a_swap_are_rejected(layout: str, silent: str, reason: str) -> None:
    found = make().reject_reason(replace(ROW, layout=layout, silent_channels=silent))
    assert (reason in found) if reason else not found


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "cache"))


def manifest_of(folder: Path, waveforms: list[Tensor], silent: str = "") -> Manifest:
    """Manifest with one clip a waveform and the same silent channels in all rows."""
    rows = []
    for index, audio in enumerate(waveforms):
        write_audio(folder / f"{index}.wav", audio, 8000)
        rows.append(replace(ROW, key=str(index), audio=f"{index}.wav", layout="stereo", silent_channels=silent))
    return Manifest(tuple(rows), folder)


def noise(channels: int, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(channels, 4000, generator=torch.Generator().manual_seed(seed))


@pytest.mark.heavy
def test_rejected_rows_are_counted_and_an_error_if_they_are_all(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clips = manifest_of(tmp_path, [noise(2)] * 5)
    rows = tuple(replace(row, silent_channels="L-R" if int(row.key) < 3 else "") for row in clips)
    kept = filter_clips(replace(clips, rows=rows), make())
    assert [row.key for row in kept] == ["3", "4"]
    [message] = caplog.messages
    assert "3 of 5 clips were rejected: swap needs left and right, the two audio channels are" in message
    with pytest.raises(ValueError, match=r"all 3 clips were rejected .* reason, 3 clips: swap needs left and right"):
        filter_clips(replace(clips, rows=rows[:3]), make())


@pytest.mark.parametrize(
    ("audio", "reason"),
    [
        (noise(2), ""),
        (noise(2) * torch.tensor([[1.0], [0.0]]), ""),
        (noise(1).expand(2, -1), "the two audio channels are identical"),
        (torch.zeros(2, 4000), "the two audio channels are identical"),
        (noise(1), "one channel"),
        (noise(4), ""),
        (noise(4) * torch.tensor([[1.0], [0.0], [0.0], [0.0]]), "all audio channels but W are silent"),
    ],
)
def test_audio_is_checked_without_silent_channels_in_the_manifest(
    tmp_path: Path, audio: Tensor, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    clips = manifest_of(tmp_path, [noise(2, seed=1), audio])
    kept = filter_clips(clips, make())
    assert [row.key for row in kept] == (["0"] if reason else ["0", "1"])
    assert [reason in line and "1 of 2 clips" in line for line in caplog.messages] == [True] * bool(reason)
    if reason:
        with pytest.raises(ValueError, match=f"all 1 clips were rejected.*{reason}"):
            filter_clips(replace(clips, rows=clips.rows[1:]), make())


def test_the_audio_of_all_clips_is_checked_once_one_of_a_sample_is_rejected(tmp_path: Path) -> None:
    clips = manifest_of(tmp_path, [noise(2), noise(1).expand(2, -1)])
    good, bad = clips
    rows = [replace(bad if index in (0, 7) else good, key=str(index)) for index in range(2 * AUDIO_CHECK_CLIPS)]
    kept = filter_clips(replace(clips, rows=tuple(rows)), make(), workers=0)
    assert [int(row.key) for row in kept] == [index for index in range(2 * AUDIO_CHECK_CLIPS) if index not in (0, 7)]


def test_missing_and_broken_hrirs_are_one_line_errors(tmp_path: Path) -> None:
    (tmp_path / "broken.sofa").write_bytes(b"no HRIRs")
    for name in ("missing.sofa", "broken.sofa"):
        with pytest.raises((ValueError, OSError), match=name) as caught:
            make(hrirs=str(tmp_path / name))
        assert "\n" not in str(caught.value)


def test_exactly_eighteen_frames_fit_into_the_papers_seconds() -> None:
    assert fill(DataConfig, {"seconds": 2.87, "frames": 18, "frame_rate": 6}).frames == 18
    with pytest.raises(ValueError, match="19 frames"):
        fill(DataConfig, {"seconds": 2.87, "frames": 19, "frame_rate": 6})


def test_one_channel_audio_is_an_error_with_its_key() -> None:
    clip = make_clips(1)[0]
    with pytest.raises(ValueError, match=r"expected audio of 2 channels, or 4 .*, got 1 \(synthetic-0-0\)"):
        make().views(replace(clip, audio=clip.audio[:1]), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"crops": 2}, "crops=1 for swap, got 2"),
        ({"flip": -0.1}, "flip"),
        ({"level": 1.0}, "level"),
        ({"width": -1}, "width >= 0"),
        ({"rows": 0}, "rows >= 1"),
        ({"mirror_bth": True}, "did you mean 'mirror_both'"),
    ],
)
def test_invalid_options_are_one_line_errors(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        fill(SwapOptions, wrong)
    assert "\n" not in str(caught.value)
