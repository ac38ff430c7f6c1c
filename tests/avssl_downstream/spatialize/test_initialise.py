"""Training starts from the weights of a fitted generator of the same networks; others are refused in one line."""

import pytest
import torch
from avssl_downstream.spatialize.generator_io import initialise, write_generator
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.registry import build_generator

from avssl.config import TrainConfig
from avssl.errors import InputError
from avssl.models.tower import pooling_tensors

OWN = {
    "network": "pointing", "variant": "no_flow", "sample_rate": 16000, "n_fft": 512, "hop": 256, "stft_frames": 32,
    "output_seconds": 0.4, "bands": 32, "tracks": 3, "units": 16, "rows": 32, "columns": 64,
}  # fmt: skip


def options(seed: int = 0, **own: object) -> SpatializeOptions:
    return SpatializeOptions(generator="foa360", generator_options={**OWN, **own}, train=TrainConfig(seed=seed))


def test_weights_are_those_of_the_fitted_generator(tmp_path):
    fitted, other = build_generator(options(0), None), build_generator(options(1), None)
    write_generator(tmp_path, fitted, options(0), None)
    name = "model.net.localization.scores.weight"
    assert not torch.equal(other.state_dict()[name], fitted.state_dict()[name])
    initialise(other, tmp_path)
    for name, tensor in fitted.state_dict().items():
        if name in pooling_tensors(fitted):
            continue
        torch.testing.assert_close(other.state_dict()[name], tensor, rtol=0, atol=0)


def test_other_networks_and_folders_are_refused(tmp_path):
    write_generator(tmp_path, build_generator(options(), None), options(), None)
    for other, folder, message in (
        (build_generator(options(tracks=4), None), tmp_path, "generator.safetensors"),
        (build_generator(SpatializeOptions(generator="mono_to_3d"), None), tmp_path, "fitted MonoTo3D, got Foa360"),
        (build_generator(options(), None), tmp_path / "none", "expected a fitted head"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            initialise(other, folder)
        assert "\n" not in str(caught.value)
