"""swap: what is exchanged, what is mirrored, what nobody could tell, and that it is learned."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from avssl_tasks.swap import Swap, SwapOptions, exchanged
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
def test_contract_with_published_towers(model: ModelConfig) -> None:
    task = Swap(build_encoders(model, FeatureConfig(name="stereo-phase")), fill(SwapOptions, {"size": 32}))
    check_task(task, make_clips(2, seconds=0.2, frames=2, channels=2))


@pytest.mark.parametrize("channels", [2, 4])
def test_about_half_the_views_are_exchanged_and_say_so(channels: int) -> None:
    task, clip = make(**PLAIN, max_fov=60, min_fov=60), make_clips(1, channels=channels)[0]
    views = views_of(task, clip, 64)
    assert 18 < sum(int(view["swapped"]) for view in views) < 46
    if channels == 2:
        for view in views:
            assert torch.equal(view["audio"], clip.audio.flip(0) if view["swapped"] else clip.audio)
            assert torch.equal(view["frames"], views[0]["frames"])


def test_the_only_flip_is_of_image_and_audio_together() -> None:
    clip = make_clips(1, channels=2)[0]
    for never, always in zip(views_of(make(**PLAIN), clip), views_of(make(**PLAIN | {"flip": 1.0}), clip), strict=True):
        assert torch.equal(always["swapped"], never["swapped"])
        assert torch.equal(always["frames"], never["frames"].flip(-1))
        assert torch.equal(always["audio"], never["audio"].flip(0))


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_an_ordinary_image_is_squeezed_whole_and_its_sides_stay(flip: float) -> None:
    clip = make_clips(1, channels=2)[0]
    frames = torch.zeros(2, 3, 180, 320, dtype=torch.uint8)
    frames[..., :160] = 200
    view = make(**PLAIN | {"flip": flip}).views(replace(clip, frames=frames), np.random.default_rng(0))
    assert view["frames"].shape == (2, 3, 32, 64)
    left, right = view["frames"][..., :31].float().mean(), view["frames"][..., 33:].float().mean()
    assert (left, right) == ((200, 0) if not flip else (0, 200))


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_a_crop_of_360_degrees_hears_what_it_sees_on_the_side_where_it_sees_it(flip: float) -> None:
    task = make("foa-iv", **PLAIN | {"flip": flip}, min_fov=80, max_fov=80, min_elevation=0, max_elevation=0)
    told = 0
    for clip in make_clips(6, seed=2):
        for view in views_of(task, clip):
            bright = (view["frames"][0].amax(0) >= 60).float().mean(0)
            if not 0.02 < bright.mean() < 0.5:
                continue
            side = float((bright * torch.linspace(1, -1, len(bright))).sum())
            azimuth, _, _ = intensity_direction(view["audio"], clip.sample_rate)
            if abs(side) > 0.5:
                told += 1
                assert (side > 0) == (float(azimuth.sin() > 0) != float(view["swapped"]))
    assert told > 4


def test_ears_of_a_real_head_hear_the_left_on_the_left(media_head: Path) -> None:
    task = make(**PLAIN, hrirs=str(media_head), min_fov=80, max_fov=80)
    field = make("foa-iv", **PLAIN, min_fov=80, max_fov=80)
    for seed, clip in enumerate(make_clips(4, seed=3)):
        ears, foa = (each.views(clip, np.random.default_rng(seed)) for each in (task, field))
        assert ears["audio"].shape == (2, clip.audio.shape[1])
        azimuth, _, _ = intensity_direction(foa["audio"], clip.sample_rate)
        left, right = ears["audio"].square().mean(1)
        if abs(azimuth.sin()) > 0.4:
            assert bool(left > right) ^ bool(ears["swapped"]) == bool(azimuth > 0) ^ bool(foa["swapped"])
    with pytest.raises(ValueError, match="do not start from 2 channels"):
        make("foa-iv", hrirs=str(media_head))


def test_audio_of_a_real_head_alone_does_not_reveal_the_exchange(media_head: Path) -> None:
    task, spectra, labels = make(**PLAIN, hrirs=str(media_head)), [], []
    for seed, clip in enumerate(make_clips(40, seed=5, frames=1) * 10):
        view = task.views(clip, np.random.default_rng(seed))
        powers = torch.stft(view["audio"], 256, window=torch.hann_window(256), return_complex=True).abs().square()
        left, right = powers.mean(-1)[:, 1:].unflatten(1, (32, 4)).mean(-1).log10().numpy()
        spectra.append(left - right)
        labels.append(bool(view["swapped"]))
    # Of every ten views of a clip all are in one fold: what is asked about is unseen.
    clips = np.arange(len(labels)) % 40
    told = cross_val_score(LogisticRegression(max_iter=1000), spectra, labels, groups=clips, cv=GroupKFold(5))
    assert 0.4 < told.mean() < 0.6


@pytest.fixture
def media_head() -> Path:
    root = Path(os.environ.get("AVSSL_TEST_MEDIA", Path(__file__).parents[3] / "shared" / "data"))
    found = root / "free" / "hrtf" / "sadie_subject002"
    if not found.exists():
        pytest.skip(f"no {found}; set AVSSL_TEST_MEDIA to the folder of test media")
    return found


def test_exchange_of_a_field_is_the_exchange_of_its_projections_to_the_sides() -> None:
    foa = make_clips(1)[0].audio
    assert torch.equal(exchanged(foa), mirror(foa, "left-right"))
    assert torch.equal(stereo(exchanged(foa)), exchanged(stereo(foa)))


@pytest.mark.parametrize("channels", [2, 4])
def test_mono_audio_is_the_same_exchanged_or_not(channels: int) -> None:
    for view in views_of(make(**PLAIN, mono=True), make_clips(1, channels=channels)[0]):
        assert torch.equal(view["audio"], exchanged(view["audio"]))
        assert view["audio"].abs().amax() > 0.01


@pytest.mark.parametrize("channels", [2, 4])
def test_mirrored_both_is_the_mirror_image_of_what_was_not(channels: int) -> None:
    clip = make_clips(1, channels=channels)[0]
    for plain, view in zip(views_of(make(**PLAIN), clip), views_of(make(**PLAIN, mirror_both=True), clip), strict=True):
        assert torch.equal(view["audio"], plain["audio"])
        assert torch.equal(view["frames"], plain["frames"].flip(-1) if view["swapped"] else plain["frames"])


def test_both_orders_negate_when_the_audio_is_exchanged() -> None:
    task = make(both_orders=True).eval()
    batch = batch_of(task, 4)
    with torch.no_grad():
        there, back = task.logits(batch), task.logits(batch | {"audio": exchanged(batch["audio"])})
        torch.testing.assert_close(there, -back)
        assert there.abs().min() > 1e-6
        mono = batch | {"audio": batch["audio"].mean(1, keepdim=True).expand(-1, 2, -1)}
        assert task.logits(mono).abs().max() < 1e-3 * there.abs().max()  # halves of a batch may round differently


def trained(task: Swap, batches: list[dict[str, Tensor]], steps: int) -> list[float]:
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
def test_unseen_clips_are_told_right_and_those_of_the_control_are_not(control: str) -> None:
    task = make(both_orders=True, **{control: True} if control else {})
    trained(task, [batch_of(task, 16, seed) for seed in range(6)], 24)
    with torch.no_grad():
        reached = float(task.eval()(batch_of(task, 100, 6))["swap_acc"])
    assert 0.35 < reached < 0.65 if control else reached > 0.8


def test_one_order_alone_learns_a_batch_by_heart() -> None:
    task = make()
    losses = trained(task, [batch_of(task, 16)], 16)
    assert losses[0] > 0.5 > 0.25 > losses[-1]


@pytest.mark.parametrize(
    ("layout", "silent", "reason"),
    [
        ("binaural", "", ""),
        ("stereo", "L", ""),
        ("ambix", "Z", ""),
        ("stereo", "L-R", "the two channels of the sound are identical"),
        ("mono", "", "one channel"),
        ("ambix", "Y", "Y of the sound is silent"),
        ("wxy", "YZ", "Y of the sound is silent"),
    ],
)
def test_rows_in_which_an_exchange_changes_nothing_are_refused(layout: str, silent: str, reason: str) -> None:
    found = make().reject_reason(replace(ROW, layout=layout, silent_channels=silent))
    assert (reason in found) if reason else not found


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "cache"))


def manifest_of(folder: Path, waveforms: list[Tensor], silent: str = "") -> Manifest:
    """A clip a sound; of them all, the rows say the same."""
    rows = []
    for index, audio in enumerate(waveforms):
        write_audio(folder / f"{index}.wav", audio, 8000)
        rows.append(replace(ROW, key=str(index), audio=f"{index}.wav", layout="stereo", silent_channels=silent))
    return Manifest(tuple(rows), folder)


def noise(channels: int, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(channels, 4000, generator=torch.Generator().manual_seed(seed))


def test_rejected_rows_are_counted_and_an_error_if_they_are_all(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clips = manifest_of(tmp_path, [noise(2)] * 5)
    rows = tuple(replace(row, silent_channels="L-R" if int(row.key) < 3 else "") for row in clips)
    kept = filter_clips(replace(clips, rows=rows), make())
    assert [row.key for row in kept] == ["3", "4"]
    [message] = caplog.messages
    assert "3 of 5 clips were rejected: swap needs left and right, the two channels of the sound are" in message
    with pytest.raises(ValueError, match=r"all 3 clips were rejected .* reason, 3 clips: swap needs left and right"):
        filter_clips(replace(clips, rows=rows[:3]), make())


@pytest.mark.parametrize(
    ("audio", "reason"),
    [
        (noise(2), ""),
        (noise(2) * torch.tensor([[1.0], [0.0]]), ""),
        (noise(1).expand(2, -1), "the two channels of the sound are identical"),
        (torch.zeros(2, 4000), "the two channels of the sound are identical"),
        (noise(1), "one channel"),
        (noise(4), ""),
        (noise(4) * torch.tensor([[1.0], [0.0], [0.0], [0.0]]), "only the first channel sounds"),
    ],
)
def test_audio_is_checked_where_the_manifest_does_not_say(
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


def test_a_head_that_is_not_there_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "broken.sofa").write_bytes(b"no head")
    for name in ("missing.sofa", "broken.sofa"):
        with pytest.raises((ValueError, OSError), match=name) as caught:
            make(hrirs=str(tmp_path / name))
        assert "\n" not in str(caught.value)


def test_the_papers_eighteen_frames_fit_into_its_seconds_and_no_more() -> None:
    assert fill(DataConfig, {"seconds": 2.87, "frames": 18, "frame_rate": 6}).frames == 18
    with pytest.raises(ValueError, match="19 frames"):
        fill(DataConfig, {"seconds": 2.87, "frames": 19, "frame_rate": 6})


def test_audio_of_one_channel_is_refused_with_its_key() -> None:
    clip = make_clips(1)[0]
    with pytest.raises(ValueError, match="made-0-0: swap needs sound of 2 channels, or of 4 .*, this has 1"):
        make().views(replace(clip, audio=clip.audio[:1]), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"crops": 2}, "crops is 1, not 2"),
        ({"flip": -0.1}, "flip"),
        ({"level": 1.0}, "level"),
        ({"width": -1}, "width is not negative"),
        ({"rows": 0}, "at least 1"),
        ({"mirror_bth": True}, "did you mean 'mirror_both'"),
    ],
)
def test_options_without_a_meaning_are_refused_in_one_line(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        fill(SwapOptions, wrong)
    assert "\n" not in str(caught.value)
