"""Heat map over a film: in sync and in place, for ambisonics, stereo and mono, and refusals in one line."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from avssl import plugins
from avssl.cli import main
from avssl.config import FeatureConfig, RunConfig, fill
from avssl.data.clip import Clip
from avssl.embedding import heat_map_overlay
from avssl.embedding.heat_map_overlay import interpolated, write_heat_map_video
from avssl.embedding.trained_task import load_dense_task
from avssl.evaluation.dense_localization import DenseTask
from avssl.media import probe, read_all_audio, read_frames, read_resampled, write_audio, write_video
from avssl.media.colour_bar import ColourBar
from avssl.media.mp4.metadata import read_spatial
from avssl.media.overlay_video import blend, colours
from avssl.models.encoder_factory import build_encoders
from avssl.runs.run_folder import write_config
from avssl.spatial.ambisonics import direction, encode
from avssl.task import Task
from avssl.train.pretrain import save_task

RATE = 16000


def make_run(folder: Path, task: str = "dense_avc", features: str = "mono-logmel", **options: Any) -> tuple[Path, Task]:
    """Run folder of an untrained task, and the task."""
    torch.manual_seed(0)
    small = {"height": 32, "padding": 8, "crops": 2, "size": 32} if task == "dense_avc" else {"crops": 2, "size": 32}
    settings = {"name": features, "mels": 32}
    config = fill(RunConfig, {"task": task, "features": settings, "options": small | options, "data": {"frames": 2}})
    kind = plugins.load(plugins.TASKS, task)
    made: Task = kind(build_encoders(config.model, fill(FeatureConfig, settings)), fill(kind.Options, config.options))
    made.encoders.geometry = made.geometry(config.data)
    made.encoders.save(folder / "encoders")
    save_task(made, folder)
    write_config(folder, asdict(config))
    return folder, made.eval()


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """Grey film of 3 s; a tone in the second second only: ambisonic, stereo and mono; a tone for one second each at 90,
    0 and -90 degrees; and the run."""
    write_video(tmp_path / "grey.mp4", [np.full((64, 128, 3), 110, np.uint8)] * 30, 10.0)
    tone = 0.2 * math.sqrt(2) * torch.sin(2 * math.pi * 440 * torch.arange(3 * RATE) / RATE)
    azimuth = torch.tensor([90.0, 0.0, -90.0]).deg2rad().repeat_interleave(RATE)
    write_audio(tmp_path / "field.wav", encode(tone, azimuth, torch.zeros(3 * RATE)), RATE)
    burst = tone * torch.arange(3).repeat_interleave(RATE).eq(1)
    write_audio(tmp_path / "burst4.wav", encode(burst, 0.0, 0.0), RATE)
    write_audio(tmp_path / "burst2.wav", torch.stack([burst, 0 * burst]), RATE)
    write_audio(tmp_path / "burst1.wav", burst[None], RATE)
    make_run(tmp_path / "run")
    return tmp_path


def faked(monkeypatch: pytest.MonkeyPatch, run: Path, compare: Any) -> None:
    """Let the run's task compare by a function of audio `(B, channels, samples)` and the directions of its cells."""
    task, dense = load_dense_task(run)

    def maps(batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        found = compare(batch["audio"], direction(*dense.grid))
        return torch.eye(len(found)), found[:, None].expand(-1, batch["frames"].shape[1], -1, -1)

    monkeypatch.setattr(dense, "compare", maps)
    monkeypatch.setattr(heat_map_overlay, "load_dense_task", lambda folder: (task, dense))


def level(audio: Tensor, cells: Tensor) -> Tensor:
    """Map of the level of W in the window, 1 for the whole second of the tone, alike in all cells."""
    return (audio[:, 0].square().mean(1) / 0.04)[:, None, None].expand(-1, *cells.shape[:2])


def test_the_map_follows_the_direction_of_the_sound_over_time(scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def towards(audio: Tensor, cells: Tensor) -> Tensor:
        intensity = torch.nn.functional.normalize((audio[:, :1] * audio[:, [3, 1, 2]]).mean(2), dim=1)
        return torch.einsum("hwx,bx->bhw", cells, intensity).clamp(min=0) ** 4

    faked(monkeypatch, scene / "run", towards)
    write_heat_map_video(
        scene / "o.mp4", scene / "grey.mp4", scene / "field.wav", scene / "run", height=64, progress=False
    )
    for time, column in ((0.5, 32), (1.5, 64), (2.5, 96)):
        image = read_frames(scene / "o.mp4", [time])[0, :, :48].float()
        red = (image[0] - image[2]).clamp(min=0).mean(0)
        angles = torch.arange(128) * math.pi / 64
        found = math.atan2(float((red * angles.sin()).sum()), float((red * angles.cos()).sum())) % (2 * math.pi)
        assert found == pytest.approx(column * math.pi / 64, abs=0.12)


@pytest.mark.parametrize("channels", [4, 2, 1])
def test_every_number_of_channels_is_drawn_in_sync_and_smooth(
    scene: Path, monkeypatch: pytest.MonkeyPatch, channels: int
) -> None:
    faked(monkeypatch, scene / "run", level)
    source, out = scene / f"burst{channels}.wav", scene / "o.mp4"
    write_heat_map_video(out, scene / "grey.mp4", source, scene / "run", height=64, progress=False)
    grey = np.full((64, 128, 3), 110, np.uint8)
    # A window of a second about 0.75 s holds a quarter of the tone; the mean of stereo has a quarter of its power.
    power = 0.25 if channels == 2 else 1.0
    for time, share in ((0.2, 0), (0.8, 0.3), (1.2, 0.7), (1.5, 1), (1.8, 0.7), (2.2, 0.3), (2.8, 0)):
        drawn = blend(grey, np.full((2, 4), power * share, np.float32), 0.7, 0.5)
        image = read_frames(out, [time])[0, :, :48].float().mean((1, 2))
        torch.testing.assert_close(image, torch.tensor(drawn.mean((0, 1))).float(), atol=6, rtol=0)
    info = probe(out)
    assert info.video is not None
    assert info.audio is not None
    assert (info.video.width, info.video.height, info.audio.channels) == (128, 64, 2)
    assert info.video.seconds == pytest.approx(3, abs=0.01)
    assert info.audio.seconds == pytest.approx(3, abs=0.01)
    assert read_spatial(out).sphere is not None
    preview, _ = read_all_audio(out)
    left, right = preview[:, 18000:30000].square().mean(1)
    assert (left > 100 * right) == (channels == 2)  # stereo stays as it was


def test_windows_have_the_trained_length_and_are_read_a_few_at_a_time(
    scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, dense = load_dense_task(scene / "run")
    shapes: list[Any] = []
    spans: list[float] = []

    def spied(path: Path, start: float, seconds: float, *more: Any) -> Tensor:
        spans.append(seconds)
        return read_resampled(path, start, seconds, *more)

    views = dense.evaluation_views

    def spied_views(clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        shapes.append((clip.audio.shape, clip.frames.shape))
        return views(clip, rng)

    monkeypatch.setattr(heat_map_overlay, "read_resampled", spied)
    monkeypatch.setattr(heat_map_overlay, "load_dense_task", lambda folder: (task, dense))
    monkeypatch.setattr(dense, "evaluation_views", spied_views)
    write_heat_map_video(scene / "o.mp4", scene / "grey.mp4", scene / "burst1.wav", scene / "run", height=64)
    assert set(shapes) == {((1, 24000), (2, 3, 64, 128))}
    assert len(shapes) == 13  # every 0.25 s of 3 s, both ends included
    assert max(spans) <= 1 + 4 * 0.25


def test_maps_are_linear_between_windows() -> None:
    maps = iter([np.full((1, 1), value, np.float32) for value in (0.0, 1.0, 0.0)])
    found = [float(each.item()) for each in interpolated(maps, hop=0.25, frame_rate=10.0)]
    np.testing.assert_allclose(found, [0, 0.4, 0.8, 0.8, 0.4], atol=1e-6)


def test_the_bar_has_the_colours_of_the_overlay_and_0_is_transparent() -> None:
    grey = np.full((320, 640, 3), 110, np.uint8)
    strengths = np.tile(np.linspace(0, 1, 640, dtype=np.float32), (320, 1))
    assert np.array_equal(blend(grey, 0 * strengths, 0.7), grey)
    drawn = ColourBar("cosine", (320, 640)).draw(grey.copy())
    changed = (drawn != 110).any(2)
    assert changed.any()
    assert not changed[:200].any()
    row = drawn[round(0.84 * 320) + 4]
    left, right = np.flatnonzero((row != 110).any(1))[[0, -1]]
    assert (left, right) == (round(0.36 * 640), round(0.36 * 640) + round(0.28 * 640) - 1)
    assert np.array_equal(row[[left, right]], colours(np.array([[0.0, 1.0]]))[0])


def test_the_loaded_task_is_the_saved_one(tmp_path: Path) -> None:
    folder, made = make_run(tmp_path / "run", features="foa-iv", directions=4, position=1)
    assert isinstance(made, DenseTask)
    task, dense = load_dense_task(folder)
    assert not task.training
    state = made.state_dict()
    assert task.state_dict().keys() == state.keys()
    assert all(torch.equal(each, state[name]) for name, each in task.state_dict().items())
    batch = {"frames": torch.randint(0, 255, (2, 1, 3, 32, 64), dtype=torch.uint8), "audio": torch.randn(2, 4, 9600)}
    batch["rotation"] = torch.eye(3).expand(2, 3, 3)
    with torch.inference_mode():
        torch.testing.assert_close(dense.compare(batch)[1], made.compare(batch)[1])


def test_command_draws_with_the_run_and_refuses_others_in_one_line(scene: Path) -> None:
    make_run(scene / "other", "avc")
    make_run(scene / "directional", features="foa-iv")
    (scene / "empty").mkdir()
    words = ["energy-overlay", str(scene / "grey.mp4"), str(scene / "made.mp4"), "--height", "64"]
    before = {each.name for each in scene.iterdir()}
    for run, audio, message in (
        ("empty", "burst1", "empty: expected the run folder of a dense task; `avssl pretrain --task dense_avc` makes"),
        ("none", "burst1", "none: expected the run folder of a dense task"),
        ("other", "burst1", "this is a run of avc"),
        ("directional", "burst2", "encoders on foa-iv, this sound is stereo; encoders on mono-logmel take it"),
        ("directional", "burst1", "this sound is mono"),
    ):
        options = ["--encoders", str(scene / run), "--audio", str(scene / f"{audio}.wav")]
        refused = CliRunner().invoke(main, [*words, *options])
        assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1), refused.stderr
        assert message in refused.stderr
        assert {each.name for each in scene.iterdir()} == before
    done = CliRunner().invoke(
        main, [*words, "--encoders", str(scene / "directional"), "--audio", str(scene / "burst4.wav")]
    )
    assert (done.exit_code, done.stdout) == (0, f"{scene / 'made.mp4'}\n")
    assert {each.name for each in scene.iterdir()} == before | {"made.mp4"}


def test_ctrl_c_leaves_nothing_behind(scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(heat_map_overlay, "blend", interrupted)
    before = {each.name for each in scene.iterdir()}
    words = ["energy-overlay", str(scene / "grey.mp4"), str(scene / "film.mp4"), "--audio", str(scene / "burst1.wav")]
    stopped = CliRunner().invoke(main, [*words, "--height", "64", "--encoders", str(scene / "run")])
    assert stopped.exit_code == 130
    assert {each.name for each in scene.iterdir()} == before
