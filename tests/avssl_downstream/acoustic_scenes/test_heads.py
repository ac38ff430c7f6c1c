"""Heads `eigenscape` and `acoustic-scenes` on small data sets of the official layout."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from avssl_downstream.acoustic_scenes import AcousticScenes
from avssl_downstream.classification.random_baseline import random_encoders
from avssl_downstream.eigenscape import Eigenscape
from click.testing import CliRunner
from torch import Tensor

from avssl.cli.main import main
from avssl.config import FeatureConfig, ModelConfig, OptimConfig, fill
from avssl.media import write_audio, write_video
from avssl.models.encoders import Encoders
from avssl.models.geometry import InputGeometry
from avssl.runs.reader import read_config, read_metrics
from avssl.spatial.ambisonics import encode

RATE = 24000


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path_factory.mktemp("cache")))


def noise(seed: int, samples: int) -> Tensor:
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(seed))


GEOMETRY = InputGeometry(1.0, 8, 16.0, 112)


def encoders(name: str = "foa-iv") -> Encoders:
    torch.manual_seed(1)
    return Encoders(ModelConfig(), FeatureConfig(name, hop=480, mels=32), GEOMETRY).eval()


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Noise from one moving direction (Beach) or from all directions (Park), two recordings of each."""
    rng = np.random.default_rng(0)
    time = torch.arange(96000) / 48000
    for number in (1, 2):
        around = encode(noise(number, 96000), 2 * np.pi * time + number, 0.7 * torch.sin(9 * time))
        where = (rng.uniform(-1, 1, (24, 2)) * (3, 1)).tolist()
        spread = torch.stack([encode(noise(50 * number + place, 96000), *each) for place, each in enumerate(where)])
        for label, field in (("Beach", around), ("Park", spread.sum(0) / 24**0.5)):
            (tmp_path / "EigenScape" / label).mkdir(parents=True, exist_ok=True)
            path = tmp_path / "EigenScape" / label / f"{label}.{number}.wav"
            write_audio(path, torch.cat([field, torch.zeros(5, 96000)]), 48000, subtype="PCM_24")
    return tmp_path / "EigenScape"


def eigenscape(root: Path, **settings: Any) -> Any:
    small = {"root": str(root), "segment": 1.0, "window": 0.5, "hop": 0.5, "workers": 0, "missing": 0.8}
    return fill(Eigenscape.Options, {"precision": "32-true", **small, **settings})


@pytest.mark.heavy
def test_dirac_classifies_by_direction_and_a_second_run_needs_no_media(
    recordings: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "avssl")
    options = eigenscape(recordings, ablate="iv", baselines=["dirac_gmm"])
    found = Eigenscape(encoders(), options).fit(tmp_path / "out")
    assert found["accuracy_dirac_gmm"] == 1.0
    assert {"accuracy_low", "accuracy_high", "accuracy_without_iv", "accuracy_losing_iv_deviation"} <= found.keys()
    assert read_metrics(tmp_path / "out") == found
    assert read_config(tmp_path / "out")["features"] == {"name": "foa-iv"}
    with (tmp_path / "out" / "table.csv").open() as file:
        rows = [row["row"] for row in csv.DictReader(file)]
    assert rows == ["encoders", "without iv", "losing iv", "DirAC + Gaussian mixtures"]
    predicted = (tmp_path / "out" / "dirac_gmm" / "predictions.csv").read_text().splitlines()
    assert predicted[1].startswith("Beach/Beach.1.wav#0,Beach,Beach")
    shutil.move(recordings, tmp_path / "elsewhere")
    again = Eigenscape(encoders(), options).fit(tmp_path / "again")
    assert again == found
    assert caplog.text.count("recordings 6 and 8 of Park") == 2
    assert "media are gone, the cached index of EigenScape is used" in caplog.text
    assert caplog.text.count("4 of 4 files are gone, their cached embeddings are used") == 1


@pytest.mark.heavy
def test_baselines_run_without_encoders_other_options_raise(recordings: Path, tmp_path: Path) -> None:
    command = ["downstream", "eigenscape", "--data", str(recordings), "--out", str(tmp_path / "out"), "--segment", "1"]
    command += ["--workers", "0", "--missing", "0.8", "--baselines", "[logmel]", "--classifier", "knn"]
    result = CliRunner().invoke(main, [*command, "--neighbours", "1"])
    assert result.exit_code == 0, result.output
    assert "accuracy_logmel " in result.stdout
    assert "\naccuracy " not in result.stdout
    for wrong, message in (
        ({"mode": "finetune"}, "mode=finetune needs --encoders"),
        ({"ablate": "iv"}, "ablate=iv needs --encoders"),
        ({"baselines": ["random"]}, "expected --encoders or a baseline that needs none"),
    ):
        with pytest.raises(ValueError, match=message):
            Eigenscape(None, eigenscape(recordings, **wrong))


def test_encoders_without_channels_or_tower_raise() -> None:
    stereo = encoders("stereo-logmel")
    stereo.features._accepted = (2,)
    with pytest.raises(ValueError, match="expected features for 4 channels, stereo-logmel takes 2"):
        Eigenscape(stereo, Eigenscape.Options())
    del stereo.video
    AcousticScenes(stereo, AcousticScenes.Options(tower="audio"))
    with pytest.raises(ValueError, match="expected encoders with the tower video, these have none"):
        AcousticScenes(stereo, AcousticScenes.Options())


@pytest.mark.heavy
def test_fine_tuned_towers_are_saved_and_reused(recordings: Path, tmp_path: Path) -> None:
    start = encoders("mono-logmel")
    before = start.fingerprint()
    options = eigenscape(recordings, mode="finetune", baselines=[], epochs=2, draws=2, batch=4, dropout=0.0)
    found = Eigenscape(start, options).fit(tmp_path / "out")
    assert start.fingerprint() == before
    tuned = Encoders.from_pretrained(tmp_path / "out" / "fold1" / "encoders")
    assert tuned.fingerprint() != before
    assert (tmp_path / "out" / "fold2" / "classifier.safetensors").is_file()
    assert Eigenscape(start, options).fit(tmp_path / "out") == found  # already trained
    with pytest.raises(ValueError, match="belongs to another run .epochs was 2, is 3"):
        Eigenscape(start, replace(options, epochs=3)).fit(tmp_path / "out")


@pytest.mark.heavy
def test_random_towers_are_fine_tuned_like_encoders(recordings: Path, tmp_path: Path) -> None:
    start = encoders("mono-logmel")
    options = eigenscape(recordings, mode="finetune", baselines=["random"], epochs=1, draws=1, batch=4)
    found = Eigenscape(start, options).fit(tmp_path / "out")
    random = random_encoders(start, options.seed)
    alone = Eigenscape(random, replace(options, baselines=[])).fit(tmp_path / "alone")
    assert found["accuracy_random"] == alone["accuracy"]
    assert found["log_loss_random"] == pytest.approx(alone["log_loss"])
    ours, theirs = (
        Encoders.from_pretrained(tmp_path / each / "fold1" / "encoders") for each in ("out/random", "alone")
    )
    assert ours.fingerprint() == theirs.fingerprint() != random.fingerprint()


@pytest.mark.heavy
def test_missing_files_are_counted_and_listed(
    tau: Path, recordings: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tau / "audio" / "bus-lisbon-0-0.wav").unlink()
    (recordings / "Park" / "Park.2.wav").rename(recordings / "Park" / "Park.3.wav")
    with pytest.raises(ValueError, match="names 8 files, 1 are missing .* --missing 0.13 would go on"):
        AcousticScenes(None, scenes(tau, tower="audio", baselines=["logmel"])).fit(tmp_path / "none")
    options = scenes(tau, tower="audio", baselines=["logmel"], missing=0.13)
    found = AcousticScenes(None, options).fit(tmp_path / "tau out")
    assert (found["missing_files"], found["segments"]) == (1, 7)
    assert (tmp_path / "tau out" / "missing.txt").read_text() == "audio/bus-lisbon-0-0.wav\n"
    few = eigenscape(recordings, baselines=["logmel"], missing=0.9)
    Eigenscape(None, few).fit(tmp_path / "eigen out")
    assert "Park.2\n" in (tmp_path / "eigen out" / "missing.txt").read_text()
    log = caplog.text
    assert "continuing without 1 missing files" in log
    assert str(tmp_path / "eigen out" / "missing.txt") in log


@pytest.fixture
def tau(tmp_path: Path) -> Path:
    """Red frames and a hum (bus), green frames and noise (park); three places in training, one in test."""
    base = tmp_path / "tau"
    for name in ("audio", "video", "evaluation_setup"):
        (base / name).mkdir(parents=True)
    lists: dict[str, list[str]] = {"train": [], "evaluate": []}
    time = torch.arange(RATE) / RATE
    for place in range(4):
        for scene, colour in (("bus", (200, 20, 20)), ("park", (20, 200, 20))):
            stem = f"{scene}-lisbon-{place}-{place}"
            hum = 0.1 * torch.sin(2 * np.pi * (100 + 5 * place) * time) + 0.01 * noise(place, RATE)
            audio = hum if scene == "bus" else noise(place, RATE)
            write_audio(base / "audio" / f"{stem}.wav", torch.stack([audio, audio.roll(3)]), RATE)
            image = np.full((36, 48, 3), colour, np.uint8)
            write_video(base / "video" / f"{stem}.mp4", [image] * 16, 16.0)
            line = f"audio/{stem}.wav\tvideo/{stem}.mp4\t{scene}"
            lists["train" if place < 3 else "evaluate"].append(line)
    for name, rows in lists.items():
        text = "\n".join(["filename_audio\tfilename_video\tscene_label", *rows])
        (base / "evaluation_setup" / f"fold1_{name}.csv").write_text(text)
    return base


def scenes(root: Path, **settings: Any) -> Any:
    small = {"root": str(root), "segment": 1.0, "window": 0.5, "hop": 0.5, "workers": 0, "frames": 2, "resize": 36}
    return fill(AcousticScenes.Options, {"precision": "32-true", "size": 32, "baselines": [], **small, **settings})


@pytest.mark.heavy
def test_scenes_are_classified_by_audio_video_and_both(tau: Path, tmp_path: Path) -> None:
    options = scenes(tau, upmix=True, baselines=["random", "logmel"])
    found = AcousticScenes(encoders(), options).fit(tmp_path / "out")
    for row in ("", "_audio", "_video", "_late", "_random", "_random_video", "_logmel"):
        assert found[f"accuracy{row}"] == 1.0, row
    assert 0 <= found["log_loss_late"] < found["log_loss_audio"]
    assert found["segments"] == 8


def test_ambisonic_encoders_take_stereo_only_with_upmix(tau: Path) -> None:
    with pytest.raises(ValueError, match="expected features for 2 channels, foa-iv takes 4; set upmix=true") as caught:
        AcousticScenes(encoders(), scenes(tau))
    assert "\n" not in str(caught.value)
    AcousticScenes(encoders(), scenes(tau, tower="video"))
    AcousticScenes(encoders("stereo-logmel"), scenes(tau))


def test_upmix_then_stereo_downmix_is_the_identity(tau: Path) -> None:
    from avssl.data.window_reader import read_window_audio
    from avssl.spatial.ambisonics import stereo

    path = next((tau / "audio").iterdir())
    options = scenes(tau, upmix=True).with_geometry(encoders())
    field = read_window_audio(path, 0.0, options.reading(encoders()), RATE)
    plain = read_window_audio(path, 0.0, options.reading(encoders("stereo-logmel")), RATE)
    assert field.shape[0] == 4
    assert not field[2:].any()
    assert torch.allclose(stereo(field), plain, atol=1e-6)


@pytest.mark.heavy
def test_both_towers_are_fine_tuned(tau: Path, tmp_path: Path) -> None:
    options = scenes(tau, mode="finetune", epochs=1, draws=1, batch=3, optim=OptimConfig(lr=1e-4))
    start = encoders("stereo-logmel")
    AcousticScenes(start, options).fit(tmp_path)
    tuned = Encoders.from_pretrained(tmp_path / "fold1" / "encoders")
    for tower in ("audio", "video"):
        pairs = zip(getattr(start, tower).parameters(), getattr(tuned, tower).parameters(), strict=True)
        assert any(not torch.equal(*pair) for pair in pairs), tower


@pytest.mark.parametrize(
    ("kind", "wrong", "message"),
    [
        (Eigenscape, {"folds": "leave-one"}, "did you mean 'leave-one-out'"),
        (Eigenscape, {"baselines": ["dirac"]}, "baselines is random, logmel, dirac_gmm, not 'dirac'"),
        (Eigenscape, {"ablate": "level maps"}, "ablate is iv, level, dipoles, space, all, not 'level maps'"),
        (Eigenscape, {"ablate": "iv", "mode": "finetune"}, "ablate=iv requires mode=frozen"),
        (Eigenscape, {"segment": 0}, "segment.* a length above 0"),
        (Eigenscape, {"missing": 1.5}, "missing is from 0 to 1"),
        (Eigenscape, {"hop": 0}, "hop: expected a number above 0"),
        (Eigenscape, {"swap_parks": True}, "did you mean 'swap_park'"),
        (AcousticScenes, {"tower": "sound"}, "tower is audio, video, both, not 'sound'"),
        (AcousticScenes, {"size": 200, "resize": 128}, "expected a size of at most resize=128"),
        (AcousticScenes, {"dropout": 1.0}, "0 <= dropout < 1"),
    ],
)
def test_invalid_options_raise_in_one_line(kind: Any, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        fill(kind.Options, wrong)
    assert "\n" not in str(caught.value)


def test_windows_default_to_the_geometry_of_the_encoders() -> None:
    own = Encoders(ModelConfig(), FeatureConfig("stereo-logmel"), InputGeometry(0.5, 3, 12.0, 64))
    reading = AcousticScenes(own, AcousticScenes.Options())._reading()
    assert (reading.seconds, reading.frames, reading.frame_rate) == (0.5, 3, 12.0)
    assert (reading.size, reading.resize) == (64, 73)
    head = AcousticScenes(own, AcousticScenes.Options(window=2.0, frames=1, size=0, resize=36))
    assert head.options.hop == 2.0
    assert (head._reading().frames, head._reading().size, head._reading().resize) == (1, 0, 36)


def test_encoders_need_only_the_geometry_of_towers_in_use() -> None:
    old = Encoders(ModelConfig(), FeatureConfig("foa-iv"))
    assert Eigenscape(old, Eigenscape.Options(window=0.5)).options.hop == 0.5
    with pytest.raises(ValueError, match=r"set window=\.\.\., or pretrain them again"):
        Eigenscape(old, Eigenscape.Options())
    assert AcousticScenes(old, AcousticScenes.Options(tower="audio", window=0.5, upmix=True))._reading().seconds == 0.5
    with pytest.raises(ValueError, match=r"set frames=\.\.\., frame_rate=\.\.\., size=\.\.\."):
        AcousticScenes(old, AcousticScenes.Options(window=0.5, upmix=True))
    assert AcousticScenes(None, AcousticScenes.Options(baselines=["logmel"])).options.window == 1.0
