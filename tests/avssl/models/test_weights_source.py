"""Encoders by name: those that come with avssl, and those of another distribution."""

import json

import pytest
import torch
from safetensors.torch import load_file

from avssl import plugins
from avssl.config import FeatureConfig, ModelConfig
from avssl.errors import InputError
from avssl.models import Encoders, build_encoders
from avssl.models.encoder_io import find_folder
from avssl.models.weights_source import installed_folder, is_folder
from avssl.reproduce.shipped_weights import FINGERPRINT, RECIPES

NAMES = sorted(plugins.names(plugins.ENCODERS))


@pytest.fixture(scope="module")
def encoders():
    torch.manual_seed(0)
    return build_encoders(ModelConfig(), FeatureConfig(name="foa-iv", mels=16)).eval()


def test_every_registered_name_has_a_recipe_that_makes_it():
    assert set(RECIPES) <= set(NAMES)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_numbers_of_the_card_were_measured_with_the_weights_of_the_file(name):
    folder = installed_folder(name)
    config = json.loads((folder / "config.json").read_text())
    assert config["results"][FINGERPRINT] == Encoders.from_pretrained(name).fingerprint()
    card = (folder / "README.md").read_text()
    assert all(f"| {title} | {text} |" in card for title, text in config["results"].items())
    assert any("real clips" in title for title in config["results"])


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_installed_encoders_are_small_files_in_half_precision(name):
    path = installed_folder(name) / "model.safetensors"
    assert path.stat().st_size < 8e6
    assert {each.dtype for each in load_file(path).values() if each.ndim > 1} == {torch.float16}


def test_half_precision_changes_embeddings_by_its_rounding(encoders, tmp_path):
    encoders.save(tmp_path, half=True)
    stored = Encoders.from_pretrained(tmp_path)
    audio, frames = torch.randn(2, 4, 12000) / 10, torch.randint(0, 256, (2, 1, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        for ours, theirs in (
            (stored.audio(audio), encoders.audio(audio)),
            (stored.video(frames), encoders.video(frames)),
        ):
            assert 0 < (ours - theirs).norm() / theirs.norm() < 2e-3  # 2^-11 = 5e-4 a layer
    assert torch.equal(stored.features.std, encoders.features.std)


def test_a_folder_goes_before_a_name(encoders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not is_folder(NAMES[0])
    encoders.save(tmp_path / NAMES[0])
    assert find_folder(NAMES[0]).resolve() == tmp_path / NAMES[0]


def test_names_of_another_distribution_are_found(encoders, tmp_path, monkeypatch):
    package = tmp_path / "stranger_weights"
    encoders.save(package / "best")
    (package / "__init__.py").touch()
    (package / "best" / "__init__.py").write_text('"""Encoders of a stranger."""')
    info = tmp_path / "stranger_weights-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger-weights\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[avssl.encoders]\nstrangers-best = stranger_weights.best\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert Encoders.from_pretrained("strangers-best").fingerprint() == encoders.fingerprint()


def test_an_unknown_name_lists_the_installed_ones():
    with pytest.raises(InputError, match=f"expected a folder, or no .*did you mean '{NAMES[0]}'"):
        Encoders.from_pretrained(NAMES[0][:-1])
