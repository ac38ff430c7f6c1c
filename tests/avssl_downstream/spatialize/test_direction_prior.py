"""Direction prior: the heat map of a dense task in the attention of foa360, in a saved head, and as a generator."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from avssl_downstream.spatialize import heat_map_panning
from avssl_downstream.spatialize.evaluation_rows import EvaluationRows
from avssl_downstream.spatialize.generator_io import (
    CONFIG,
    WEIGHTS,
    initial_prior,
    initialise,
    read_generator,
    write_generator,
)
from avssl_downstream.spatialize.generators.foa360 import Foa360
from avssl_downstream.spatialize.generators.foa360_direction_loss import BLOCK, negative_log_likelihood
from avssl_downstream.spatialize.head import read_heat_map
from avssl_downstream.spatialize.heat_map_panning import GAIN, HeatMapPanning
from avssl_downstream.spatialize.networks.direction_prior import load_direction_prior
from avssl_downstream.spatialize.networks.foa360 import LocalizedTracks
from avssl_downstream.spatialize.networks.track_localization import TrackLocalization, cell_gains, scaled_log_density
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.registry import build_generator
from torch.utils.data import default_collate

from avssl import plugins
from avssl.config import FeatureConfig, RunConfig, fill
from avssl.errors import InputError
from avssl.models.encoder_factory import build_encoders
from avssl.models.panorama import cell_solid_angles
from avssl.models.runtime import single_process
from avssl.runs.run_folder import write_config
from avssl.testing import make_clips
from avssl.train.pretrain import save_task

RATE = 16000
OWN = {
    "network": "pointing", "variant": "no_flow", "sample_rate": RATE, "n_fft": 512, "hop": 256, "stft_frames": 32,
    "output_seconds": 0.4, "bands": 32, "tracks": 3, "units": 16, "rows": 32, "columns": 64, "wrap_padding": 8,
    "gate": True, "solid_angle": True, "direction_weight": 1.0,
}  # fmt: skip


def make_run(folder: Path, task: str = "dense_avc", features: str = "mono-logmel", frames: int = 1) -> Path:
    """Run folder of an untrained task, on windows of half a second."""
    torch.manual_seed(0)
    small = {"height": 32, "padding": 8, "crops": 2, "size": 32} if task == "dense_avc" else {"crops": 2, "size": 32}
    settings = {"name": features, "mels": 32, "sample_rate": RATE}
    data = {"frames": frames, "seconds": 0.5}
    config = fill(RunConfig, {"task": task, "features": settings, "options": small, "data": data})
    kind = plugins.load(plugins.TASKS, task)
    made = kind(build_encoders(config.model, fill(FeatureConfig, settings)), fill(kind.Options, config.options))
    made.encoders.geometry = made.geometry(config.data)
    made.encoders.save(folder / "encoders")
    save_task(made, folder)
    write_config(folder, asdict(config))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "dense")


def options(prior: Path | str = "", **own: Any) -> SpatializeOptions:
    return SpatializeOptions(generator="foa360", generator_options={**OWN, "direction_prior": str(prior), **own})


def build(prior: Path | str = "", **own: Any) -> Foa360:
    made = build_generator(options(prior, **own), None)
    assert isinstance(made, Foa360)
    return made


@pytest.mark.parametrize("scale", [0.0, 1.0, 7.0])
def test_the_mean_density_over_the_sphere_is_one(scale):
    torch.manual_seed(0)
    density = scaled_log_density(3 * torch.randn(2, 3, 4, 8), torch.full((5,), scale)).exp()
    share = cell_solid_angles(4, 8).flatten() / (4 * math.pi)
    assert density.shape == (2, 3, 5, 32)
    torch.testing.assert_close(density @ share, torch.ones(2, 3, 5))


def test_an_even_prior_leaves_attention_as_it_is():
    torch.manual_seed(0)
    localization, maps = TrackLocalization(5, 3, solid_angle=True, prior=True), torch.randn(2, 5, 4, 8)
    found = localization.attention(maps, None, torch.full((2, 6, 4, 8), 3.0))
    torch.testing.assert_close(found, localization.attention(maps)[:, None].expand(-1, 6, -1, -1))


def test_tracks_point_to_the_cell_of_each_time_step():
    localization = TrackLocalization(5, 3, prior=True)
    torch.nn.init.constant_(localization.absent, -40.0)
    prior, cells = torch.zeros(1, 2, 4, 8), cell_gains((4, 8))
    prior[0, 0, 1, 2] = prior[0, 1, 2, 7] = 60.0
    directions = localization.directions(localization.attention(torch.zeros(1, 5, 4, 8), None, prior), (4, 8))
    for step, cell in enumerate((1 * 8 + 2, 2 * 8 + 7)):
        for track in range(3):
            torch.testing.assert_close(directions[0, step, :, track], cells[cell], atol=1e-5, rtol=0)


def test_the_direction_loss_of_time_steps_is_the_mean_of_theirs():
    torch.manual_seed(0)
    attention = torch.rand(2, 2, 3, 33).softmax(-1)
    intensity = torch.nn.functional.normalize(torch.randn(2, 3, 4, 8 * BLOCK), dim=1)
    summed = intensity.unflatten(-1, (-1, BLOCK)).mean(-1)  # one direction of length 1 in each block
    intensity = torch.nn.functional.normalize(summed, dim=1).repeat_interleave(BLOCK, -1)
    masks = torch.rand(2, 3, 4, 8 * BLOCK).softmax(1)
    valid, half = torch.ones(2, dtype=torch.bool), 4 * BLOCK

    def loss(weights, part):
        tracks = LocalizedTracks(torch.empty(0), torch.empty(0), masks[..., part], weights)
        return negative_log_likelihood(tracks, intensity[..., part], (4, 8), valid, 10.0)

    whole = loss(attention, slice(None))
    first, second = loss(attention[:, 0], slice(half)), loss(attention[:, 1], slice(half, None))
    torch.testing.assert_close(whole, (first + second) / 2)
    assert abs(first - second) > 1e-3


def test_its_logits_are_the_heat_map_of_the_task(run):
    prior = load_direction_prior(run, RATE, "heat_map")
    clip = make_clips(1, 0, 0.5, 1, RATE)[0]
    clip = replace(clip, audio=clip.audio[:1])
    views = default_collate([prior.task.evaluation_views(clip, np.random.default_rng(0))])
    with torch.no_grad():
        _, heat_map = prior.task.compare(views)
        planes = prior.planes(views["frames"][:, 0], (8, 16))
        found = prior(clip.audio, planes)
        half = prior(clip.audio, prior.planes(views["frames"][:, 0], (4, 8)))
    assert heat_map.shape == (1, 1, 4, 8) or heat_map.shape == (1, 1, 8, 16)
    wanted = torch.nn.functional.adaptive_avg_pool2d(20 * heat_map, (8, 16))
    torch.testing.assert_close(found.mean(1, keepdim=True), wanted, atol=1e-4, rtol=1e-4)
    coarse = torch.nn.functional.adaptive_avg_pool2d(20 * heat_map, (4, 8))
    torch.testing.assert_close(half.mean(1, keepdim=True), coarse, atol=1e-4, rtol=1e-4)


def test_it_is_frozen_and_its_scale_is_learnt(run):
    generator, plain = build(run), build()
    own = plain.state_dict()
    assert all(torch.equal(each, own[name]) for name, each in generator.state_dict().items() if name in own)
    assert set(own) == {name for name in generator.state_dict() if "prior" not in name}
    generator.train()
    clips = make_clips(2, 0, generator.samples / RATE, generator.frames, RATE)
    batch = default_collate([generator.views(each, np.random.default_rng(0)) for each in clips])
    generator(batch)["loss"].backward()
    scale = generator.model.net.localization.prior_scale
    assert scale.tolist() == [1.0, 1.0, 1.0]
    assert scale.grad[1:].abs().min() > 0
    assert all(each.grad is None for each in generator.direction_prior.parameters())
    assert not any(each.training for each in generator.direction_prior.modules())


def test_training_goes_on_from_a_saved_head_without_the_run(run, tmp_path):
    head = tmp_path / "head"
    write_generator(head, build(run).eval(), options(run), None)
    fitted, stored = read_generator(head, {})
    named = replace(stored, init=str(head))
    generator = build_generator(named, None, initial_prior(named))
    initialise(generator, head)
    own = generator.state_dict()
    assert all(torch.equal(own[name], each) for name, each in fitted.state_dict().items())
    other = replace(named, generator_options=stored.generator_options | {"direction_prior": str(run)})
    assert initial_prior(other) is None
    assert initial_prior(replace(stored, init="")) is None
    with pytest.raises(InputError, match="expected a fitted head"):
        initial_prior(replace(stored, init=str(tmp_path / "none")))


@pytest.mark.parametrize("own", [{}, {"variant": "no_separation"}, {"pulse_frames": 4}])
def test_a_saved_head_works_without_the_run_and_names_no_path(run, tmp_path, own):
    copy = tmp_path / "runs" / "dense"
    shutil.copytree(run, copy)
    generator = build(copy, **own).eval()
    write_generator(tmp_path / "head", generator, options(copy, **own), None)
    shutil.rmtree(copy)
    assert str(tmp_path) not in (tmp_path / "head" / CONFIG).read_text()
    assert str(tmp_path).encode() not in (tmp_path / "head" / WEIGHTS).read_bytes()
    loaded, fitted = read_generator(tmp_path / "head", {})
    assert fitted.generator_options["direction_prior"] == "dense"
    frames = torch.randint(256, (2, generator.frames, 3, 32, 64)).byte()
    mono = 0.1 * torch.randn(2, generator.samples)
    with torch.no_grad():
        wanted = generator.spatialize(mono, frames)
        torch.testing.assert_close(loaded.spatialize(mono, frames), wanted, rtol=0, atol=0)
        loaded.model.net.localization.prior_scale.zero_()
        assert (loaded.spatialize(mono, frames) - wanted).abs().max() > 1e-4
    with pytest.raises(InputError, match=r"\A.*fitted with generator_options.direction_prior dense, got other.*\Z"):
        read_generator(tmp_path / "head", {"generator_options": {"direction_prior": "other"}})
    config = json.loads((tmp_path / "head" / CONFIG).read_text())
    (tmp_path / "head" / CONFIG).write_text(json.dumps(config | {"direction_prior": None}))
    with pytest.raises(InputError, match=r"\A.*expected a section direction_prior, got none.*\Z"):
        read_generator(tmp_path / "head", {})


def test_what_cannot_be_honoured_is_an_error_of_one_line(run, tmp_path):
    other = make_run(tmp_path / "avsa", "avsa", "foa-iv")
    foa, film = make_run(tmp_path / "foa", features="foa-iv"), make_run(tmp_path / "film", frames=2)
    cases: list[tuple[Path | str, dict[str, Any], str]] = [
        (tmp_path / "none", {}, "foa360.direction_prior=.*none: expected the run folder of a dense task"),
        (other, {}, "this is a run of avsa"),
        (foa, {}, "expected a dense task of mono audio, .* got one on foa-iv"),
        (film, {}, "single frames .data.frames=1., got one on 2 frames"),
        (run, {"variant": "no_video"}, "variant with RGB frames and attention .* got variant=no_video"),
        (run, {"variant": "no_rgb"}, "got variant=no_rgb"),
        (run, {"variant": "unet"}, "got variant=unet"),
        (run, {"order": 2, "direction_weight": 0.0}, "foa360.order 1 beside foa360.direction_prior, got 2"),
        (run, dict.fromkeys(("gate", "solid_angle"), False) | {"direction_weight": 0.0, "network": "published"},
         "network=pointing beside foa360.direction_prior"),
    ]  # fmt: skip
    for prior, own, message in cases:
        with pytest.raises(InputError, match=message) as caught:
            build(prior, **own)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="expected a visual branch .* got visual_branch=none"):
        build_generator(replace(options(run), visual_branch="none"), None)
    stereo = SpatializeOptions(generator="asn", heat_map=str(run))
    with pytest.raises(InputError, match=r"\Aheat_map=.*: expected a generator of first-order ambisonics"):
        read_heat_map(build_generator(SpatializeOptions(generator="mono_to_3d"), None), stereo)


def test_the_heat_map_alone_pans_all_audio_to_its_mean_direction(run, monkeypatch):
    prior, fabric = load_direction_prior(run, RATE, "heat_map"), single_process("32-true")
    unit = torch.eye(prior.width)
    cells = unit[1].expand(1, 1, 4, 8, -1).clone()
    cells[0, 0, 1, 6] = unit[0]
    monkeypatch.setattr(prior.task, "sharpness", 60.0)
    monkeypatch.setattr(type(prior), "cells", lambda self, frames: cells.expand(len(frames), -1, -1, -1, -1))
    monkeypatch.setattr(type(prior), "times", lambda self, audio: unit[0].expand(len(audio), 3, -1))
    asked: list[float] = []

    def reader(times, size):
        asked.extend(times)
        return [np.zeros((*size, 3), np.uint8)] * len(times)

    mono = 0.1 * torch.randn(1, 30000)
    made = HeatMapPanning(prior, fabric).audio(mono, reader, 30000 / RATE)
    torch.testing.assert_close(made[:1], mono, atol=1e-6, rtol=1e-5)
    wanted = GAIN * cell_gains((4, 8))[1 * 8 + 6]
    torch.testing.assert_close(made[1:], wanted[:, None] * mono, atol=1e-5, rtol=1e-4)
    assert asked[:2] == pytest.approx([0.25, 0.5])  # windows of half a second, overlapping by half


def test_the_row_is_of_the_run_or_of_the_generators_prior(run, monkeypatch):
    seen = []
    monkeypatch.setattr(heat_map_panning.HeatMapPanning, "audio", lambda self, mono, *more: seen.append(mono) or mono)
    plain, own = build(), build(run)
    assert read_heat_map(plain, options()) is None
    assert read_heat_map(own, options(run)) is own.direction_prior
    named = read_heat_map(plain, replace(options(), heat_map=str(run)))
    fabric = single_process("32-true")
    rows = EvaluationRows(plain, None, options(), fabric, None, named)
    rows.explain(2, "")
    assert "heat_map" not in rows.absent
    without = EvaluationRows(plain, None, options(), fabric)
    without.explain(2, "")
    assert without.absent["heat_map"] == "no run of a dense task (heat_map=RUN)"
