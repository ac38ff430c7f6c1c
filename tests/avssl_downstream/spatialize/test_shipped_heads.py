"""Fitted generators that come with avssl: packaged by one command, named by --head, numbers those of the file."""

import base64
import json
import logging
import re
from dataclasses import asdict
from functools import partial

import pytest
import torch
from avssl_downstream.spatialize import Spatialize
from avssl_downstream.spatialize.default_heads import FLAT, PANORAMIC, default_head
from avssl_downstream.spatialize.generator_io import write_generator
from avssl_downstream.spatialize.generators.foa360 import Foa360
from avssl_downstream.spatialize.generators.foa360_options import Foa360Options
from avssl_downstream.spatialize.networks.visual_branch import VisualBranch
from avssl_downstream.spatialize.options import SpatializeOptions
from click.testing import CliRunner
from safetensors.torch import load_file

from avssl import plugins
from avssl.cli import main
from avssl.io.hashing import sha256
from avssl.media import read_all_audio, read_resampled, write_audio, write_spatial_mp4, write_video
from avssl.models.fitted_head_scores import read_scores, worth
from avssl.models.weights_source import installed_folder
from avssl.report.html.clip_examples import Budget, clip_examples, to_two_ears
from avssl.reproduce import shipped_heads
from avssl.reproduce.head_runs import head_options
from avssl.reproduce.shipped_heads import HEAD_RECIPES, measure_again
from avssl.runs.evaluated_clips import EvaluatedClip, EvaluatedClips
from avssl.spatial.ambisonics import encode

RATE = 16000
INSTALLED = sorted(plugins.names(plugins.FITTED_HEADS))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Folder of an untrained generator, as a fit leaves it, with the metrics of its run and a path of the machine."""
    folder = tmp_path_factory.mktemp("fitted")
    own = Foa360Options(
        network="pointing", variant="no_flow", sample_rate=RATE, n_fft=512, hop=256, stft_frames=32, output_seconds=0.4,
        bands=32, tracks=3, units=16, rows=32, columns=64,
    )  # fmt: skip
    torch.manual_seed(0)
    generator = Foa360(own, partial(VisualBranch, "scratch")).eval()
    options = SpatializeOptions(
        generator="foa360", generator_options=asdict(own), visual_branch="scratch", clip_seconds=1.0,
        audio_only="/somewhere/private",
    )  # fmt: skip
    write_generator(folder, generator, options, None)
    metrics = {"test_explained": 0.25, "test_explained_low": 0.2, "test_explained_high": 0.3, "training_clips": 5}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


@pytest.fixture(scope="module")
def packaged(fitted, tmp_path_factory):
    """Output of the command, and the package that it wrote."""
    out = tmp_path_factory.mktemp("site") / "stranger_head"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shipped_heads, "SCENES", 2)
        command = ["reproduce", "weights", "--name", "foa360-small", "--head", str(fitted), "--out", str(out)]
        done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    return done.output, out


def install(package, monkeypatch, name):
    """Have a package of a head on the path, registered under a name."""
    site = package.parent
    info = site / "stranger-1.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1\n")
    entries = f"[avssl.heads]\n{name} = {package.name}\n"
    (info / "entry_points.txt").write_text(entries)
    monkeypatch.syspath_prepend(site)


@pytest.mark.heavy
def test_the_package_is_half_precision_without_paths_and_its_card_has_its_numbers(fitted, packaged):
    output, folder = packaged
    stored, full = (load_file(each / "generator.safetensors") for each in (folder, fitted))
    assert {each.dtype for each in stored.values() if each.ndim > 1 and each.is_floating_point()} == {torch.float16}
    assert all(torch.equal(stored[name], full[name].to(stored[name].dtype)) for name in full)
    assert json.loads((folder / "config.json").read_text())["options"]["audio_only"] == ""
    scores, card = read_scores(folder), (folder / "README.md").read_text()
    assert scores["weights"] == sha256(folder / "generator.safetensors")
    assert scores["worth"] == "energy explained 25 % of held-out synthetic scenes, not measured on real clips"
    assert "| held-out scenes of the run, generator | energy explained 25.0 % [20.0, 30.0] |" in card
    shown = f"energy explained {100 * scores['metrics']['test_explained']:.1f} % ["
    assert shown in card
    assert shown in output
    assert (folder / "__init__.py").read_text().startswith('"""Energy explained 25 % of held-out synthetic scenes, not')


@pytest.mark.heavy
def test_a_second_measurement_gives_the_stored_numbers(packaged):
    stored = read_scores(packaged[1])["metrics"]
    assert measure_again(packaged[1]) == pytest.approx(stored, abs=1e-4)
    assert {"test_explained", "silence_explained", "best_real_explained"} <= stored.keys()


@pytest.mark.heavy
def test_a_packaged_head_is_listed_and_the_default_for_its_films(packaged, tmp_path, monkeypatch, caplog):
    install(packaged[1], monkeypatch, "strangers-small")
    monkeypatch.setattr("avssl_downstream.spatialize.default_heads.PANORAMIC", "strangers-small")
    monkeypatch.chdir(tmp_path)
    listed = CliRunner().invoke(main, ["list"]).output
    section = listed.partition("fitted heads:")[2].partition("input features:")[0]
    assert "strangers-small" in section
    assert all((name in section) == (name in INSTALLED) for name in HEAD_RECIPES)
    film = tmp_path / "film.mp4"
    frames = torch.randint(0, 255, (8, 64, 128, 3), dtype=torch.uint8).numpy()
    write_video(tmp_path / "silent.mp4", list(frames), 8)
    noise = 0.1 * torch.randn(1, RATE, generator=torch.Generator().manual_seed(0))
    write_spatial_mp4(film, tmp_path / "silent.mp4", [noise], RATE, panoramic=True)
    made = []
    for name, flags in (("bare", []), ("named", ["--head", "strangers-small"]), ("path", ["--head", str(packaged[1])])):
        with caplog.at_level(logging.INFO, "avssl"):
            command = ["downstream", "spatialize", "--input", str(film), "--output", f"{name}.wav", *flags]
            done = CliRunner().invoke(main, command)
        assert done.exit_code == 0, done.output
        made.append(read_all_audio(tmp_path / f"{name}.wav")[0])
        said = f"head: strangers-small, which comes with avssl ({worth(packaged[1])}); --head names others"
        assert (said in [each.getMessage() for each in caplog.records]) == (name == "bare")
        caplog.clear()
    assert made[0].shape[0] == 4
    assert torch.equal(made[0], made[1])
    assert torch.equal(made[0], made[2])


@pytest.mark.heavy
def test_examples_of_a_report_have_the_sound_that_the_head_makes(fitted, tmp_path):
    frames = torch.randint(0, 255, (8, 64, 128, 3), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    write_video(tmp_path / "v.mp4", list(frames.numpy()), 8)
    noise = torch.randn(32000, generator=torch.Generator().manual_seed(0))
    write_audio(tmp_path / "a.wav", encode(0.1 * noise, 1.0, 0.0), 32000)
    clip = EvaluatedClip("clip", 0.5, video="v.mp4", audio="a.wav", seconds=1.0)
    page = clip_examples(EvaluatedClips((clip,), tmp_path, "explained"), 1, Budget(), fitted)
    shown = re.search(r"generated <audio[^>]*data:audio/mpeg;base64,([^\"]*)", page)[1]
    (tmp_path / "shown.mp3").write_bytes(base64.b64decode(shown))
    write_spatial_mp4(tmp_path / "film.mp4", tmp_path / "v.mp4", [0.1 * noise[None]], 32000, panoramic=True)
    Spatialize.load(fitted, {}).apply(tmp_path / "film.mp4", tmp_path / "made.wav")
    expected = to_two_ears(read_resampled(tmp_path / "made.wav", 0.0, 1.0, 32000))
    decoded = read_resampled(tmp_path / "shown.mp3", 0.0, 1.0, 32000)
    low = torch.fft.rfft(torch.stack([decoded, expected])[:, :, 4000:28000])[..., 100:5000]  # mp3 cuts high bands
    assert float((low[0] * low[1].conj()).sum().real / (low[0].norm() * low[1].norm())) > 0.9


def test_without_a_package_and_for_other_names_errors_are_one_line(tmp_path, monkeypatch):
    write_video(tmp_path / "flat.mp4", [torch.zeros(36, 64, 3, dtype=torch.uint8).numpy()] * 4, 8)
    monkeypatch.setattr("avssl_downstream.spatialize.default_heads.FLAT", "nothing-of-this-name")
    assert default_head(tmp_path / "flat.mp4") == ""
    assert default_head(tmp_path / "none.mp4") == ""
    command = ["downstream", "spatialize", "--input", str(tmp_path / "flat.mp4"), "--output", str(tmp_path / "o.wav")]
    for flags, message in (
        ([], "name its folder (--head)"),
        (["--head", "foa-small"], "expected a folder, or no fitted"),
    ):
        failed = CliRunner().invoke(main, [*command, *flags])
        assert failed.exit_code == 2
        assert message in failed.stderr
        assert len(failed.stderr.strip().splitlines()[-1:]) == 1


def test_mistakes_of_the_command_write_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    for flags, message in (
        (["--name", "foa360-smal"], "expected a name of"),
        (
            ["--head", str(tmp_path / "empty")],
            "beside --name asn-small or foa360-small or mono_to_3d-small or pseudo_binaural-small",
        ),
        (["--name", "foa360-small", "--head", str(tmp_path / "empty")], "a folder without config.json"),
    ):
        failed = CliRunner().invoke(main, ["reproduce", "weights", "--out", str(tmp_path / "out"), *flags])
        assert failed.exit_code == 2, failed.output
        assert message in failed.stderr
        assert not list(tmp_path.glob("out*/*"))


def test_every_registered_head_has_a_recipe_of_a_generator_of_its_own():
    kinds = {name: head_options("spatialize", recipe).generator for name, recipe in HEAD_RECIPES.items()}
    assert all(name == f"{kind}-small" for name, kind in kinds.items())
    assert {PANORAMIC, FLAT} <= set(INSTALLED) <= set(HEAD_RECIPES)


@pytest.mark.parametrize("name", INSTALLED)
def test_the_card_is_that_of_the_file(name):
    folder = installed_folder(name, plugins.FITTED_HEADS)
    scores = read_scores(folder)
    assert scores["weights"] == sha256(folder / "generator.safetensors")
    assert (folder / "generator.safetensors").stat().st_size < 12e6
    assert isinstance(Spatialize.load(folder, {}), Spatialize)
    assert scores["worth"][1:] in (folder / "__init__.py").read_text()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", INSTALLED)
def test_numbers_of_the_card_are_those_of_the_file(name):
    folder = installed_folder(name, plugins.FITTED_HEADS)
    found, stored = measure_again(folder), read_scores(folder)["metrics"]
    assert found.keys() == stored.keys()
    for metric, value in stored.items():  # video encoders and optical flow round differently on other processors
        angle = metric.endswith(("degrees", "direction_error"))
        assert found[metric] == pytest.approx(value, rel=1e-2, abs=0.25 if angle else 5e-3), metric
