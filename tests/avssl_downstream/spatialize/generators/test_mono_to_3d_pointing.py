"""The pointing network of mono_to_3d: contract, losses of places and stems, dry sources, that it learns by looking."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from avssl_downstream.spatialize.check_generator import check_generator
from avssl_downstream.spatialize.generators.mono_to_3d import MonoTo3D
from avssl_downstream.spatialize.generators.mono_to_3d_losses import match_tracks, place_loss, stem_loss
from avssl_downstream.spatialize.generators.mono_to_3d_options import MonoTo3DOptions
from avssl_downstream.spatialize.networks.frame_localization import PlacedTracks
from avssl_downstream.spatialize.networks.visual_branch import VisualBranch
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.stems import MOST, read_stems
from avssl_downstream.spatialize.training import _batches
from torch import Tensor
from torch.utils.data import default_collate

from avssl.config import fill
from avssl.data.clip import Clip
from avssl.datasets.manifest import Manifest, read_manifest
from avssl.errors import MissingFileError
from avssl.spatial.stft import apply_mask
from avssl.synth.mono3d.mono3d_dataset import Mono3d, Mono3dOptions
from avssl.testing import make_clips

RATE = 8000
TINY = {
    "network": "pointing",
    "sample_rate": RATE,
    "seconds": 0.5,
    "n_fft": 128,
    "window_length": 128,
    "spectrum_hop": 64,
    "hop": 0.25,
    "frames": 2,
    "frame_rate": 4.0,
    "rows": 32,
    "columns": 64,
    "bands": 32,
    "tracks": 3,
    "units": 8,
    "magnitude_weight": 0.0,
    "spatial_loss": "energy",
}


def make(**options: Any) -> MonoTo3D:
    torch.manual_seed(0)
    return MonoTo3D(fill(MonoTo3DOptions, {**TINY, **options}), partial(VisualBranch, "scratch"))


@pytest.mark.parametrize("options", [{}, {"gate": False, "mirror": True}, {"place_weight": 0.1, "stem_weight": 0.3}])
def test_the_contract_is_kept_and_w_to_the_bit(options):
    generator = make(**options)
    clips = make_clips(2, 0, generator.seconds, generator.frames, RATE)
    clips = [replace(clip, stems=torch.stack([clip.audio[0], 0 * clip.audio[0]])) for clip in clips]
    check_generator(generator, clips)
    mono = torch.stack([clip.audio[0] for clip in clips])
    frames = torch.randint(256, (2, 2, 3, 32, 64)).byte()
    assert torch.equal(generator.eval().spatialize(mono, frames)[:, 0], mono)


def test_without_frames_it_has_the_same_places_whatever_is_seen():
    torch.manual_seed(0)
    generator = MonoTo3D(fill(MonoTo3DOptions, TINY), partial(VisualBranch, "none"))
    check_generator(generator, make_clips(2, 0, generator.seconds, generator.frames, RATE))
    frames = torch.randint(256, (2, 2, 3, 32, 64)).byte()
    with torch.no_grad():
        made = [generator.eval().spatialize(torch.ones(2, generator.samples), each) for each in (frames, 0 * frames)]
    torch.testing.assert_close(*made)
    assert not generator.uses_frames


def test_tracks_times_gains_are_the_masks_of_the_channels():
    generator = make().eval()
    generator.net.localization.absent.data -= 3
    mono = 0.1 * torch.randn(2, generator.samples)
    with torch.no_grad():
        features = generator.encode_video(torch.randint(256, (2, 2, 3, 32, 64)).byte())
        tracks = generator.separated_tracks(mono, features)
        assert tracks is not None
        masks = torch.einsum("BNFT,BNOT->BOFT", tracks.masks, tracks.gains)
        spectra = apply_mask(masks, generator.stft.stft(mono)[:, None])
        made = generator.generate(mono, features)
    torch.testing.assert_close(made[:, 1:], generator.stft.istft(spectra, generator.samples), atol=1e-5, rtol=1e-3)
    torch.testing.assert_close(tracks.masks.sum(1), torch.ones(2, 65, generator.stft.frames(generator.samples)))


def test_real_masks_give_back_one_source_anywhere():
    generator = make()
    mono = 0.1 * torch.randn(generator.samples, generator=torch.Generator().manual_seed(0))
    field = torch.stack([mono, 0.4 * mono, -0.1 * mono, 0.3 * mono])[None]
    torch.testing.assert_close(generator.ideal_mask_output(field), field, atol=1e-4, rtol=1e-3)


def test_a_mirrored_window_has_mirrored_frames_and_a_negated_y():
    clip = make_clips(1, 0, 0.5, 2, RATE)[0]
    generator, plain = make(mirror=True), make()
    whole = plain.views(clip, np.random.default_rng(0))
    found = [generator.views(clip, np.random.default_rng(seed)) for seed in range(20)]
    mirrored = [each for each in found if not torch.equal(each["audio"], whole["audio"])]
    assert 5 <= len(mirrored) <= 15
    for each in mirrored:
        torch.testing.assert_close(each["audio"], whole["audio"] * torch.tensor([1.0, -1, 1, 1])[:, None])
        assert torch.equal(each["frames"], whole["frames"].flip(-1))


def test_the_density_moves_even_attention_to_the_source_and_the_mean_does_not():
    scores = torch.zeros(1, 1, 1, 3, requires_grad=True)
    places = torch.tensor([[0.4, 0, 0], [-0.4, 0, 0], [0, 0, 0]]).reshape(1, 1, 1, 3, 3)
    placed = PlacedTracks(scores.softmax(-1), places)
    power = torch.ones(1, 1, 2, 2)
    # One source in a band on the left, one in a band on the right: their mean is that of all cells.
    cross = torch.zeros(1, 3, 2, 2)
    cross[:, 0, 0], cross[:, 0, 1] = 0.4, -0.4
    place_loss(placed, torch.ones(1, 1, 2, 2), cross, power).backward()
    assert scores.grad is not None
    assert scores.grad[0, 0, 0, 0] == pytest.approx(scores.grad[0, 0, 0, 1])
    assert scores.grad[0, 0, 0, 0] < -0.02
    scores.grad = None
    gain_y = PlacedTracks(scores.softmax(-1), places).gains[0, 0, 0, 0]
    (gain_y - torch.tensor([0.4, -0.4])).square().sum().backward()
    assert float(scores.grad.abs().max()) < 1e-6


def test_stems_are_matched_by_resemblance_and_their_error_is_known():
    mix = torch.randn(1, 4, 6, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    low = torch.zeros(4, 6)
    low[:2] = 1
    stems = torch.stack([low * mix[0], (1 - low) * mix[0], 0 * mix[0]])[None]
    masks = torch.stack([1 - low, 0.75 * low, 0.25 * low])[None]
    power = mix[:, None].abs().square()
    matched = match_tracks(masks, power, stems.abs().square())
    assert matched.tolist() == [[1, 0, 0]]
    assert float(stem_loss(masks, mix, stems, matched)) == pytest.approx(0, abs=1e-6)
    wrong = torch.tensor([[1, 0, 1]])  # a quarter of the low source is missing, and is added to the other one
    share = float(stems[0, 0].abs().square().sum() / mix.abs().square().sum())
    assert float(stem_loss(masks, mix, stems, wrong)) == pytest.approx(2 * share / 16, rel=1e-4)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("P2")
    options = Mono3dOptions(
        clips=4, seconds=1.0, frame_rate=8, sample_rate=16000, width=64, height=36, type="P2", objects=2, seed=7
    )
    Mono3d(options).render(folder, workers=1, progress=False)
    return read_manifest(folder)


def batch_of(generator: MonoTo3D, clips: Manifest) -> dict[str, Tensor]:
    options = SpatializeOptions(workers=0)
    found: dict[str, Tensor] = next(_batches(generator, clips, options, 3).between(0, 1))
    return found


def test_dry_sources_of_a_window_add_up_to_its_mono_audio(scenes):
    batch = batch_of(make(stem_weight=0.3), scenes)
    assert batch["stems"].shape == (3, MOST, RATE // 2)
    assert bool((batch["stems"].square().sum(-1) > 0).sum(1).eq(2).all())
    torch.testing.assert_close(batch["stems"].sum(1), batch["audio"][:, 0], atol=1e-4, rtol=0)


def test_a_dataset_without_dry_sources_is_refused(scenes, tmp_path):
    clip = Clip(torch.zeros(1, 3, 8, 8).byte(), torch.zeros(4, 100), RATE, "a", vars(scenes.rows[0]))
    with pytest.raises(MissingFileError, match="expected the dry sources of a synthetic clip"):
        read_stems(clip, tmp_path)


def test_options_of_the_other_network_are_refused():
    for options, message in (
        ({"keypoints": 3}, "keypoints=0 with network=pointing"),
        ({"network": "published", "depth": 4, "place_weight": 1.0}, "place_weight=0 with network=published"),
        ({"network": "published", "depth": 4, "stem_weight": 1.0}, "stem_weight=0 with network=published"),
        ({"stem_weight": -1.0}, "stem_weight of at least 0"),
        ({"network": "point"}, "pointing"),
    ):
        with pytest.raises(ValueError, match=message):
            make(**options)


def disc(sign: int, seed: int) -> Clip:
    """Noise from the left (1) or the right (-1), and a disc there."""
    mono = 0.1 * torch.randn(RATE // 2, generator=torch.Generator().manual_seed(seed))
    rows, columns = np.mgrid[0:32, 0:64]
    shape = np.hypot(rows - 16, columns - (16 if sign > 0 else 48)) < 8
    frames = torch.from_numpy((255 * shape).astype(np.uint8)).expand(2, 3, -1, -1)
    return Clip(frames, torch.stack([mono, 0.25 * sign * mono, 0 * mono, 0 * mono]), RATE, f"{sign} {seed}")


@pytest.mark.heavy
def test_it_learns_by_looking_on_which_side_the_audio_is():
    generator = make(place_weight=0.03)
    optimizer = torch.optim.Adam(generator.parameters(), 3e-3)
    rng = np.random.default_rng(0)
    for step in range(40):
        clips = [disc(sign, 10 * step + each) for each in range(4) for sign in (1, -1)]
        generator(default_collate([generator.views(clip, rng) for clip in clips]))["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
    clips = [disc(sign, 9999) for sign in (1, -1)]
    generator.eval()
    with torch.no_grad():
        made = [generator.spatialize(clip.audio[:1], clip.frames[None])[0] for clip in clips]
    explained = [1 - float((each - clip.audio).square().sum() / clip.audio[1:].square().sum())
                 for each, clip in zip(made, clips, strict=True)]  # fmt: skip
    assert min(explained) > 0.7
