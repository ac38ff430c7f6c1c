"""Results are on the device of the inputs: tested on `meta`, which raises for tensors of other devices."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from avssl.config import FeatureConfig, ModelConfig
from avssl.data.augment import jitter_colour, jitter_level
from avssl.data.clip_options import Colour
from avssl.losses import alignment_accuracy, alignment_loss, info_nce
from avssl.models.encoder_factory import build_encoders
from avssl.models.optical_flow import flow_estimator, flow_to_rgb
from avssl.spatial import (
    ambisonics,
    binaural,
    binaural_cues,
    energy_map,
    features,
    loudspeakers,
    spherical_harmonics,
    stft,
)
from avssl.spatial.hrir_interpolation import fractional_delay
from avssl.spatial.metrics import spectral_error
from avssl.spatial.metrics.binaural_error import interaural, interaural_error
from avssl.spatial.metrics.direction_error import direction_error

RATE = 8000
META = torch.device("meta")


def on_meta(*shape, dtype=torch.float32):
    return torch.zeros(shape, dtype=dtype, device=META)


FOA, SECOND, PAIR = on_meta(2, 4, RATE), on_meta(2, 9, RATE), on_meta(2, 2, RATE)
TOWARDS = on_meta(5), on_meta(5)
SPECTRUM = on_meta(2, 2, 257, 51, dtype=torch.complex64)

CALLS = {
    "direction": lambda: ambisonics.direction(*TOWARDS),
    "angles": lambda: ambisonics.angles(on_meta(5, 3)),
    "angle_between numbers and tensors": lambda: ambisonics.angle_between(0.0, 1.0, 0.5, TOWARDS[0]),
    "angle_between": lambda: ambisonics.angle_between(*TOWARDS, 0.0, 1.0),
    "gains": lambda: ambisonics.gains(*TOWARDS, order=3),
    "encode": lambda: ambisonics.encode(on_meta(2, RATE), 1.0, 0.5, order=2),
    "rotation": lambda: ambisonics.rotation(TOWARDS[0], 0.3, 0.1),
    "rotation_to_front": lambda: ambisonics.rotation_to_front(*TOWARDS),
    "rotate": lambda: ambisonics.rotate(FOA, ambisonics.rotation(on_meta(2))),
    "rotate by numbers": lambda: ambisonics.rotate(FOA, ambisonics.rotation(1.0, 0.2)),
    "mirror": lambda: ambisonics.mirror(FOA, "left-right"),
    "beamform": lambda: ambisonics.beamform(FOA, 0.3, 0.1, "cardioid"),
    "stereo": lambda: ambisonics.stereo(FOA),
    "from_stereo": lambda: ambisonics.from_stereo(PAIR),
    "convert": lambda: ambisonics.convert(FOA, "fuma", "ambix"),
    "intensity_direction": lambda: ambisonics.intensity_direction(FOA, RATE),
    "rotate_yaw": lambda: spherical_harmonics.rotate_yaw(SECOND, 1.0),
    "mirror_left_right": lambda: spherical_harmonics.mirror_left_right(SECOND),
    "fractional_delay": lambda: fractional_delay(on_meta(3, 2, 65), on_meta(3, 2)),
    "convolve": lambda: binaural.convolve(on_meta(RATE), torch.zeros(2, 64)),
    "to_binaural": lambda: binaural.to_binaural(FOA, torch.zeros(2, 4, 64)),
    "direction_error": lambda: direction_error(FOA, FOA, RATE),
    "stft_distance": lambda: spectral_error.stft_distance(PAIR, PAIR),
    "published_mag": lambda: spectral_error.published_mag(PAIR, PAIR),
    "phase_distance": lambda: spectral_error.phase_distance(PAIR, PAIR),
    "log_spectral_distance": lambda: spectral_error.log_spectral_distance(PAIR, PAIR),
    "envelope_distance": lambda: spectral_error.envelope_distance(PAIR, PAIR),
    "snr": lambda: spectral_error.snr(PAIR, PAIR),
    "energy_map": lambda: energy_map.energy_map(FOA),
    "energy_towards": lambda: energy_map.energy_towards(FOA, *energy_map.equal_area_grid(12)),
    "intensity": lambda: features.intensity(SPECTRUM[:, :1].expand(-1, 4, -1, -1)),
    "interaural": lambda: interaural(PAIR, RATE),
    "interaural_error": lambda: interaural_error(PAIR, PAIR, RATE),
    "decode": lambda: loudspeakers.decode(FOA, "7.1"),
    "preview": lambda: loudspeakers.downmix_stereo(FOA),
    "istft": lambda: stft.istft(SPECTRUM, 512, 400, 160, RATE),
    "ideal_masks": lambda: stft.ideal_masks(SPECTRUM, SPECTRUM[:, :1]),
    "level": lambda: stft.level(PAIR),
    "lag_steering": lambda: binaural_cues.lag_steering(on_meta(9), 512, RATE),
    "jitter_colour": lambda: jitter_colour(
        on_meta(2, 3, 3, 8, 8, dtype=torch.uint8), Colour(), np.random.default_rng(0)
    ),
    "jitter_level": lambda: jitter_level(FOA, 0.1, np.random.default_rng(0)),
    "flow of one frame": lambda: flow_estimator()(on_meta(1, 3, 8, 8, dtype=torch.uint8)),
    "flow_to_rgb": lambda: flow_to_rgb(on_meta(3, 2, 8, 8)),
    "info_nce": lambda: info_nce(on_meta(6, 8), on_meta(6, 8)),
    "alignment_loss": lambda: alignment_loss(on_meta(6, 3, 8), on_meta(6, 3, 8), 0.07),
    "alignment_accuracy": lambda: alignment_accuracy(on_meta(6, 3, 8), on_meta(6, 3, 8)),
}


@pytest.fixture(autouse=True)
def _without_autocast(monkeypatch):
    """Autocast, which the functions only disable, does not support the meta device."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())


@pytest.mark.parametrize("name", CALLS)
def test_results_are_on_the_device_of_the_inputs(name):
    found = CALLS[name]()
    assert {each.device for each in (found if isinstance(found, tuple) else (found,))} == {META}


@pytest.mark.parametrize("name", features.names())
def test_features_follow_their_module(name):
    module = features.Features(FeatureConfig(name=name, sample_rate=RATE, n_fft=256, hop=80, mels=32)).to(META)
    assert module(on_meta(2, module.audio_channels, RATE)).device == META


@pytest.mark.parametrize("preset", ["small", "avsa"])
def test_towers_follow_their_module(preset):
    encoders = build_encoders(ModelConfig(preset=preset), FeatureConfig()).to(META).eval()
    assert encoders.audio(on_meta(2, 4, encoders.sample_rate)).device == META
    assert encoders.video(on_meta(2, 4, 3, 64, 64, dtype=torch.uint8)).device == META
