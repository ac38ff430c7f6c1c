"""Generators follow the device of their weights: shown on `meta`, which refuses tensors of another device."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.registry import build_generator
from torch.nn.functional import pad
from torch.utils.data import default_collate

from avssl import plugins
from avssl.testing import make_clips

pytestmark = pytest.mark.heavy

META = torch.device("meta")
CASES = [
    *((name, {}) for name in plugins.names(plugins.GENERATORS)),
    ("foa360", {"order": 2}),
    ("foa360", {"variant": "unet"}),
    ("foa360", {"network": "pointing"}),
    ("mono_to_3d", {"keypoints": 0}),
    ("pseudo_binaural", {"separation": 0.5}),
]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_generators_follow_the_device_of_their_weights(name, options, monkeypatch):
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # knows no meta device
    generator = build_generator(SpatializeOptions(generator=name, generator_options=options), None).eval()
    clips = make_clips(2, 0, generator.seconds, generator.frames, generator.sample_rate, min(4, generator.channels))
    missing = generator.channels - len(clips[0].audio)  # of the second order
    clips = [replace(clip, audio=pad(clip.audio, (0, 0, 0, missing))) for clip in clips]
    batch = default_collate([generator.views(clip, np.random.default_rng(0)) for clip in clips])
    frames = torch.zeros(2, generator.frames, 3, *generator.size, dtype=torch.uint8)
    features = generator.encode_video(frames).to(META)  # on the CPU: OpenCV computes optical flow there
    truth = torch.stack([clip.audio for clip in clips]).to(META)
    generator.to(META)
    assert generator.generate(generator.input_audio(truth).squeeze(1), features).device == META
    assert generator.ideal_mask_output(truth).device == META
    found = generator({key: each.to(META) for key, each in batch.items()})
    assert {each.device for each in found.values()} == {META}
