"""From clips to a fitted folder and back: what is learned, kept, compared, continued and refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from avssl_downstream.spatialize import Spatialize
from avssl_downstream.spatialize.activation_maps import activation_maps
from avssl_downstream.spatialize.calibration import Calibration
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.plots import mask_magnitudes
from avssl_downstream.spatialize.registry import build_generator
from avssl_downstream.spatialize.training import training_manifests

from avssl.config import FeatureConfig, ModelConfig, OptimConfig, TrainConfig, fill
from avssl.datasets.manifest import Row, write_manifest
from avssl.media import read_all_audio, write_audio, write_video
from avssl.models.encoders import Encoders
from avssl.models.tower import pooling_tensors
from avssl.report.runs import read_runs

RATE = 16000
SECONDS = 1.0
SMALL = {
    "width": 4, "rows": 32, "columns": 64, "grid_rows": 1, "grid_columns": 2, "fusion": "none", "crop": False,
    "hop": 0.2, "colour": 0.0,
}  # fmt: skip


def write_clips(folder, count, seed=0, layout="binaural", silent=""):
    """Noise on the side of the bright half of the frame."""
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        left = index % 2
        image = np.zeros((10, 32, 64, 3), np.uint8)
        image[:, :, 32 * (1 - left) : 32 * (1 - left) + 32] = 255
        noise = torch.from_numpy(0.1 * rng.standard_normal(round(RATE * SECONDS))).float()
        write_video(folder / f"{index}.mp4", image, 10.0)
        write_audio(folder / f"{index}.wav", torch.stack([noise * left, noise * (1 - left)]) + 0.02 * noise, RATE)
        split = "test" if index >= count - 4 else "train"
        video, audio = f"{index}.mp4", f"{index}.wav"
        nan = float("nan")
        rows.append(
            Row(f"clip-{seed}-{index}", split, video, audio, 0.0, SECONDS, 10.0, 64, 32, RATE, layout, silent, nan, nan,
                nan, "")
        )  # fmt: skip
    write_manifest(folder, rows)
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("clips"), 12)


def options(clips, **changed):
    made = {
        "generator_options": SMALL,
        "manifest": str(clips),
        "batch": 4,
        "workers": 0,
        "train": TrainConfig(steps=40, precision="32-true", log_every=10, save_every=20),
        "optim": OptimConfig(lr=3e-3),
    }
    return SpatializeOptions(**(made | changed))


@pytest.fixture(scope="module")
def fitted(clips, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fitted")
    return folder, Spatialize(None, options(clips)).fit(folder)


def test_the_side_of_the_audio_is_learned_from_frames(fitted):
    _, found = fitted
    assert found["test_stft_below_mono"] > 0.5
    assert found["test_stft_below_flipped"] > 0.5
    assert found["test_stft_below_black"] > 0.3


def test_every_baseline_has_every_metric(fitted):
    _, found = fitted
    metrics = {name.removeprefix("mono_") for name in found if name.startswith("mono_")}
    assert {"stft", "env", "mag", "published_mag", "phase", "snr", "lsd", "level_error_db", "time_error_us"} <= metrics
    for method in (
        "test",
        "black",
        "flipped",
        "prior",
        "silence",
        "level_matched",
        "best_real",
        "best_complex",
        "oracle",
    ):
        assert {f"{method}_{name}" for name in metrics} <= found.keys()
    assert found["oracle_snr"] > 60
    assert found["mono_phase"] == pytest.approx(np.pi / 2, abs=0.1)
    assert found["mono_published_mag"] == pytest.approx(2 * found["mono_stft"], rel=1e-5)
    assert (found["sample_rate"], found["normalised_to_peak"], found["seed"]) == (RATE, 0.0, 0.0)


def test_energy_explained_has_an_interval_and_silence_none(fitted):
    folder, found = fitted
    assert found["silence_explained"] == 0.0
    assert found["mono_explained"] == 0.0  # both ears alike: left minus right is silent
    assert found["test_explained_low"] < found["test_explained"] < found["test_explained_high"] <= 1.0
    assert found["test_explained"] > 0.5 > found["black_explained"] > found["flipped_explained"]
    assert found["best_real_explained"] == pytest.approx(1.0, abs=1e-3)  # one source, without a room
    assert found["level_matched_env"] < 0.2 * found["mono_env"]
    lines = (folder / "evaluation.md").read_text().splitlines()
    assert lines[0].split("|")[2].strip() == "energy explained %"
    absent = dict(line.removeprefix("- no row *").split("*: ", 1) for line in lines if line.startswith("- no row"))
    assert absent["oracle: places (own masks)"] == "the generator's masks are of channels, not of sources"
    assert absent["ideal observer of kinds"] == "binaural audio has no direction errors"
    assert "expected a synthetic dataset" in absent["oracle: seen (perfect eye)"]
    assert "audio_only=FOLDER" in absent["audio only (trained without frames)"]


@pytest.fixture(scope="module")
def blind(clips, tmp_path_factory):
    """A generator trained without frames."""
    folder = tmp_path_factory.mktemp("blind")
    return folder, Spatialize(None, options(clips, visual_branch="none")).fit(folder)


def test_a_generator_trained_without_frames_does_not_find_the_side(blind):
    folder, found = blind
    assert found["test_explained"] < 0.1
    assert not {"flipped_explained", "black_explained"} & found.keys()
    text = (folder / "evaluation.md").read_text()
    assert "*flipped frames*: the generator was trained without frames" in text
    generator = Spatialize.load(folder, {}).generator
    noise = torch.randint(256, (2, 1, 3, *generator.size), dtype=torch.uint8)
    one, other = generator.encode_video(noise)
    assert torch.equal(one, other)
    assert torch.equal(one, generator.encode_video(0 * noise)[0])


def test_audio_only_is_a_row_beside_the_generator(fitted, blind, clips, tmp_path):
    head = Spatialize.load(fitted[0], {"manifest": str(clips), "audio_only": str(blind[0])})
    found = head.measure(tmp_path / "measured")
    assert found["audio_only_explained"] == pytest.approx(blind[1]["test_explained"], abs=1e-6)
    assert found["test_explained"] == pytest.approx(fitted[1]["test_explained"], abs=1e-6)
    gain = 1 - found["test_stft"] / found["audio_only_stft"]
    assert found["test_stft_below_audio_only"] == pytest.approx(gain)
    assert "audio only (trained without frames)" in head.summary


def test_audio_only_has_to_be_trained_without_frames_on_the_same_form(fitted, blind, clips, tmp_path):
    with pytest.raises(ValueError, match="expected a generator trained without frames"):
        Spatialize(None, options(clips, audio_only=str(fitted[0]))).fit(tmp_path / "a")
    with pytest.raises(ValueError, match="expected a fitted head"):
        Spatialize(None, options(clips, audio_only=str(tmp_path / "none"))).fit(tmp_path / "b")
    around = options(clips, generator="foa360", generator_options={}, audio_only=str(blind[0]))
    with pytest.raises(ValueError, match="expected a generator of foa at 48000 Hz, got one of binaural at 16000 Hz"):
        Spatialize(None, around).fit(tmp_path / "c")


def test_a_report_reads_the_folder(fitted):
    folder, found = fitted
    runs, left_out = read_runs([folder])
    assert not left_out
    assert runs[0].task == "spatialize"
    assert runs[0].metrics["test_stft"] == found["test_stft"]
    assert json.loads((folder / "metrics.json").read_text())["test_env"] == found["test_env"]
    assert {each.name.split("-")[0] for each in (folder / "figures").iterdir()} == {"spatialized", "mask", "activation"}


def test_mask_magnitudes_are_channel_gains_over_mono_and_nan_in_silence():
    noise = torch.randn(1, 8000, generator=torch.Generator().manual_seed(0))
    noise[:, 4000:] = 0
    found = mask_magnitudes(torch.cat([1.5 * noise, -0.5 * noise]), noise.expand(2, -1))
    assert found[:, :, :20].nanmean((1, 2)).tolist() == pytest.approx([1.5, 0.5])
    assert bool(found[:, :, 30:].isnan().all())
    assert not bool(found[:, :, :20].isnan().any())


def test_a_loaded_head_gives_the_same_audio(fitted, tmp_path, film, tone):
    folder, _ = fitted
    source, made = film(audio=tone()), []
    for head in (Spatialize.load(folder, {"hop": 0.1}), Spatialize.load(folder, {"hop": 0.1})):
        head.apply(source, tmp_path / "out.wav")
        made.append(read_all_audio(tmp_path / "out.wav")[0])
    assert torch.equal(*made)
    left, right = made[0].square()[:, : RATE // 2].sum(-1)
    assert left > 4 * right  # the frame is bright on the left at first, the side of the audio in the training clips


def test_the_spatial_prior_of_the_training_clips_is_applied_instead_of_the_generator(fitted, tmp_path, film, tone):
    folder, source = fitted[0], film(audio=tone())
    Spatialize.load(folder, {"method": "prior"}).apply(source, tmp_path / "prior.wav")
    gains = torch.tensor(json.loads((folder / "prior.json").read_text())["gains"])
    # Half of the training clips have 1.02 of their noise on the left, half 0.02; the mono audio has 0.52 of it.
    torch.testing.assert_close(gains, torch.ones(2, 1), atol=0.05, rtol=0)
    mono = read_all_audio(source)[0].mean(0, keepdim=True)
    torch.testing.assert_close(read_all_audio(tmp_path / "prior.wav")[0], gains @ mono, atol=1e-6, rtol=0)


def test_a_prior_that_is_not_there_or_broken_is_one_line(fitted, tmp_path, film, tone):
    source = film(audio=tone())
    for each in ("config.json", "generator.safetensors"):
        (tmp_path / each).write_bytes((fitted[0] / each).read_bytes())
    for text, why in (
        (None, "expected prior.json for method=prior"),
        ("{", "spatial prior in JSON"),
        ('{"gains": [["a"], [1]]}', "expected gains as numbers"),
        ('{"gains": [[1, 2, 3]]}', r"expected finite gains of shape \(2, 1\), got \(1, 3\)"),
        ('{"gains": [[NaN], [1]]}', "expected finite gains"),
    ):
        if text is not None:
            (tmp_path / "prior.json").write_text(text)
        with pytest.raises(ValueError, match=why) as caught:
            Spatialize.load(tmp_path, {"method": "prior"}).apply(source, tmp_path / "prior.wav")
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "prior.wav").exists()


@pytest.fixture(scope="module")
def calibrated(fitted, clips, tmp_path_factory):
    head = fitted[0]
    folder = tmp_path_factory.mktemp("calibrated")
    return folder, Spatialize.load(head, {"manifest": str(clips), "calibrate": 8}).measure(folder), head


def test_an_evaluation_has_the_calibrated_row_and_leaves_a_head(calibrated, film, tone, tmp_path):
    folder, found, head = calibrated
    assert found["calibrated_explained"] > found["prior_explained"]
    assert "generator, calibrated" in (folder / "evaluation.md").read_text()
    for name in ("config.json", "generator.safetensors"):
        assert (folder / name).read_bytes() == (head / name).read_bytes()
    source, stored = film(audio=tone()), json.loads((folder / "prior.json").read_text())["calibration"]
    made = {}
    for method in ("generator", "calibrated"):
        Spatialize.load(folder, {"method": method}).apply(source, tmp_path / f"{method}.wav")
        made[method] = read_all_audio(tmp_path / f"{method}.wav")[0]
    mono = read_all_audio(source)[0].mean(0, keepdim=True)
    wanted = Calibration(stored["level"], torch.tensor(stored["gains"]))(made["generator"], mono)
    middle = slice(1000, -1000)
    torch.testing.assert_close(made["calibrated"][:, middle], wanted[:, middle], atol=2e-3, rtol=0)


def test_a_head_without_calibration_or_clips_to_calibrate_on_is_one_line(
    calibrated, fitted, clips, film, tone, tmp_path
):
    head = fitted[0]
    source = film(audio=tone())
    with pytest.raises(ValueError, match="expected a calibration for method=calibrated, got none") as caught:
        Spatialize.load(head, {"method": "calibrated"}).apply(source, tmp_path / "made.wav")
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="expected clips of the split train to calibrate on, got none"):
        Spatialize.load(head, {"manifest": str(clips), "split": "", "calibrate": 6}).measure(tmp_path / "all")
    for name in ("config.json", "generator.safetensors", "prior.json"):
        (tmp_path / name).write_bytes((calibrated[0] / name).read_bytes())
    for text, why in (('{"level": "a"}', "expected a finite level"), ('{"level": 1, "gains": [[1]]}', "finite gains")):
        (tmp_path / "prior.json").write_text(f'{{"gains": [[1], [1]], "calibration": {text}}}')
        with pytest.raises(ValueError, match=why):
            Spatialize.load(tmp_path, {"method": "calibrated"}).apply(source, tmp_path / "made.wav")
    assert not (tmp_path / "made.wav").exists()


@pytest.mark.slow
def test_twelve_steps_are_six_and_six(clips, tmp_path):
    short = options(clips, train=TrainConfig(steps=6, precision="32-true", save_every=6))
    long = replace(short, train=replace(short.train, steps=12))
    Spatialize(None, short).fit(tmp_path / "a")
    Spatialize(None, long).fit(tmp_path / "a")
    Spatialize(None, long).fit(tmp_path / "b")
    assert (tmp_path / "a/generator.safetensors").read_bytes() == (tmp_path / "b/generator.safetensors").read_bytes()


def test_a_folder_of_another_run_is_refused(fitted, clips):
    with pytest.raises(ValueError, match=r"another run \(batch was 4, is 2\)"):
        Spatialize(None, options(clips, batch=2)).fit(fitted[0])


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"generator_options": {"width": 8}}, "fitted with generator_options.width 4, got 8"),
        ({"generator_options": {"norm": "instance"}}, "fitted with generator_options.norm batch, got instance"),
        ({"field_of_view": 60.0}, "fitted with field_of_view 90.0, got 60.0"),
        ({"generator": "asn"}, "fitted with generator pseudo_binaural, got asn"),
    ],
)
def test_settings_for_another_head_are_refused(fitted, settings, why):
    with pytest.raises(ValueError, match=why):
        Spatialize.load(fitted[0], settings)


def test_spoiled_folders_are_refused(fitted, tmp_path):
    for name, text in (("config.json", "{"), ("config.json", "{}"), ("generator.safetensors", "spoiled")):
        for each in ("config.json", "generator.safetensors"):
            (tmp_path / each).write_bytes((fitted[0] / each).read_bytes())
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match=name):
            Spatialize.load(tmp_path, {})
    with pytest.raises(ValueError, match="without config.json"):
        Spatialize.load(tmp_path / "nothing", {})


def test_folders_of_an_older_avssl_are_one_line_that_says_so(fitted, clips, tmp_path):
    for each in ("config.json", "generator.safetensors", "config.yaml"):
        (tmp_path / each).write_bytes((fitted[0] / each).read_bytes())
    for name, stated, older in (("config.json", '"version": 2', '"version": 1'), ("config.yaml", "format: 2\n", "")):
        assert stated in (tmp_path / name).read_text()
        (tmp_path / name).write_text((tmp_path / name).read_text().replace(stated, older))
    with pytest.raises(ValueError, match=r"made by an older avssl \(format 1, expected 2\); train again"):
        Spatialize.load(tmp_path, {})
    with pytest.raises(ValueError, match=r"made by an older avssl \(format 1, expected 2\); train again"):
        Spatialize(None, options(clips)).fit(tmp_path)


@pytest.mark.heavy
def test_a_generator_around_encoders_is_loaded_without_them(clips, tmp_path):
    torch.manual_seed(1)
    encoders = Encoders(ModelConfig(), FeatureConfig())
    settings = options(clips, visual_branch="encoders", train=TrainConfig(steps=1, precision="32-true"), max_clips=1)
    head = Spatialize(encoders, settings)
    head.fit(tmp_path)
    weights, unused = Spatialize.load(tmp_path, {}).generator.state_dict(), pooling_tensors(head.generator)
    kept = {name: each for name, each in head.generator.state_dict().items() if name not in unused}
    assert all(torch.equal(weights[name], each.cpu()) for name, each in kept.items())
    with pytest.raises(ValueError, match="--encoders"):
        Spatialize(None, settings)


def test_real_and_further_clips_are_mixed_in_the_share_asked_for(clips, tmp_path):
    from avssl_downstream.spatialize.training import MixedBatches, _batches

    more = write_clips(tmp_path, 6, seed=1)
    settings = options(clips, augment=str(more), augment_share=0.25, train_share=0.5)
    generator = build_generator(settings, None)
    training, further, held_out = training_manifests(generator, settings)
    assert (len(training), len(further), len(held_out)) == (4, 2, 4)
    assert {row.split for row in further} == {"train"}
    again = training_manifests(generator, replace(settings, train=replace(settings.train, seed=5)))[0]
    assert [row.key for row in again] == [row.key for row in training]
    streams = [_batches(generator, training, settings, 3), _batches(generator, further, settings, 1)]
    batch = next(MixedBatches(streams).between(0, 2))
    assert batch["audio"].shape[0] == 4
    alone = next(streams[1].between(0, 1))
    assert torch.equal(batch["audio"][3:], alone["audio"])


def test_unusable_clips_are_refused(tmp_path):
    for name, layout, silent, why in (("a", "ambix", "", "needs binaural"), ("b", "stereo", "L-R", "identical")):
        (tmp_path / name).mkdir()
        settings = options(write_clips(tmp_path / name, 6, layout=layout, silent=silent))
        with pytest.raises(ValueError, match=why):
            training_manifests(build_generator(settings, None), settings)


def test_a_split_without_clips_is_refused(clips):
    settings = options(clips, split="val")
    with pytest.raises(ValueError, match="expected clips of split 'val' to evaluate, got clips of"):
        training_manifests(build_generator(settings, None), settings)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="did you mean 'foa360'"):
        fill(SpatializeOptions, {"generator": "foa36"})
    with pytest.raises(ValueError, match="peak"):
        fill(SpatializeOptions, {"normalisation": "rms"})
    with pytest.raises(ValueError, match="expected training clips, got train_share=0"):
        fill(SpatializeOptions, {"train_share": 0.0})


def test_activation_maps_are_high_where_frames_change():
    generator = build_generator(
        SpatializeOptions(generator_options={**SMALL, "columns": 256, "rows": 128}), None
    ).eval()
    black = torch.zeros(1, 3, 128, 256, dtype=torch.uint8)
    bright = black.clone()
    bright[..., 32:96, :64] = 255
    plain, found = (activation_maps(generator, each)["visual_branch"] for each in (black, bright))
    changed = (found - plain).abs()
    assert changed.ndim == 2
    assert changed[:, : changed.shape[1] // 2].sum() > 2 * changed[:, changed.shape[1] // 2 :].sum()
