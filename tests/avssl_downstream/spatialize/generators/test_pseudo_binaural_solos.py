"""pseudo_binaural: separation of the sources of pairs, whose solos are read beside them; closed forms of its loss."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from avssl_downstream.spatialize.check_generator import check_generator
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.registry import build_generator
from avssl_downstream.spatialize.solos import source_places, views_with_solos
from avssl_downstream.spatialize.training import training_manifests

from avssl.config import DataConfig
from avssl.data.loader import read_clip
from avssl.datasets.manifest import Manifest, read_manifest
from avssl.synth.pseudo_binaural.pseudo_binaural_dataset import PseudoBinaural, PseudoBinauralOptions
from avssl.testing import make_clips

RATE, SAMPLES = 16000, 10080
SMALL = {"width": 4, "rows": 32, "columns": 64, "grid_rows": 2, "grid_columns": 4, "separation": 1.0}
READING = DataConfig(seconds=0.63, frames=1, frame_rate=10.0, frame_position="middle")


def small(**options):
    torch.manual_seed(0)
    return build_generator(SpatializeOptions(generator_options={**SMALL, "separation_of": "sources", **options}), None)


def noise(channels, seed=0):
    return 0.1 * torch.randn(channels, SAMPLES, generator=torch.Generator().manual_seed(seed))


def pair(seed=0):
    """A clip of two sources, the left one at 80 % in the left ear."""
    left, right = noise(2, seed)
    clip = make_clips(1, seconds=0.63, frames=1, sample_rate=RATE, channels=2)[0]
    audio = torch.stack([0.8 * left + 0.2 * right, 0.2 * left + 0.8 * right])
    return replace(clip, key=f"pair {seed}", audio=audio, solos=torch.stack([left, right]))


def still(generator):
    """All masks are 0."""
    for each in (generator.audio.audionet_upconvlayer5, *generator.separator.children(), *(
        (generator.fusion.lastconv_left, generator.fusion.lastconv_right) if generator.fusion else ()
    )):  # fmt: skip
        torch.nn.init.zeros_(each[0].weight)
        torch.nn.init.zeros_(each[0].bias)
    return generator


def batch_of(generator, clips):
    views = [generator.views(each, np.random.default_rng(0)) for each in clips]
    return {name: torch.stack([each[name] for each in views]) for name in views[0]}


@pytest.mark.parametrize("fusion", ["none", "assoconv", "apnet"])
@pytest.mark.parametrize("separation_of", ["sources", "sources-as-code"])
def test_contract(fusion, separation_of):
    generator = small(fusion=fusion, separation_of=separation_of)
    assert (generator.separator is not None) == (separation_of == "sources")
    check_generator(generator.train(), [pair(seed) for seed in range(3)])


def power(spectrum):
    """Mean square of real and imaginary parts of the bins that masks have."""
    return float(torch.view_as_real(spectrum[..., :256, :]).square().mean())


@pytest.mark.parametrize("fusion", ["none", "apnet"])
def test_the_loss_of_zero_masks_is_the_energy_of_both_solos(fusion):
    generator, clip = still(small(fusion=fusion, mirror=False)), pair()
    with torch.no_grad():
        found = generator(batch_of(generator, [clip]))
    divisor = 2 * clip.audio.square().mean().sqrt() / 0.1  # as the loss of left minus right
    expected = sum(power(generator.spectrum.stft(each / divisor)) for each in clip.solos)
    assert float(found["separation"]) == pytest.approx(expected, rel=1e-4)
    added = {"none": 0.0, "apnet": 0.5 * float(found.get("fusion", 0))}[fusion]
    assert float(found["loss"]) == pytest.approx(float(found["difference"]) + added + expected, rel=1e-5)


class Knowing(torch.nn.Module):
    """A separator with these masks."""

    def __init__(self, masks):
        super().__init__()
        self.masks = masks

    def forward(self, features):
        return self.masks


def test_ideal_masks_have_no_loss_since_solos_are_as_loud_as_in_the_mix():
    """The masks that the solos have in the mix, given by a separator that knows them, up to the bins it has."""
    generator, clip = small(fusion="none"), pair()
    batch = batch_of(generator, [clip])
    mix = generator.spectrum.stft(clip.audio.sum(0))[:256]
    masks = [torch.view_as_real(generator.spectrum.stft(each)[:256] / mix).movedim(-1, 0)[None] for each in clip.solos]
    generator.separator = Knowing(masks)
    with torch.no_grad():
        assert float(generator(batch)["separation"]) < 1e-6


def test_windows_without_solos_do_not_count():
    generator, clips = still(small(fusion="none")), [pair(0), pair(1)]
    recording = replace(clips[1], solos=torch.empty(0, 0), audio=3 * clips[1].audio)
    with torch.no_grad():
        alone = generator(batch_of(generator, clips[:1]))["separation"]
        mixed = generator(batch_of(generator, [clips[0], recording]))["separation"]
        none = generator(batch_of(generator, [recording, recording]))["separation"]
    assert float(mixed) == pytest.approx(float(alone), rel=1e-5)
    assert float(none) == 0.0


def test_as_in_the_code_sides_have_levels_of_their_own():
    """Zero masks: the loss is the energy of left minus right at their own level, whatever the level of the mix."""
    generator = small(fusion="none", separation_of="sources-as-code")
    torch.nn.init.zeros_(generator.audio.audionet_upconvlayer5[0].weight)
    torch.nn.init.zeros_(generator.audio.audionet_upconvlayer5[0].bias)
    clip = pair()
    solos = clip.solos / clip.solos.square().mean(1, keepdim=True).sqrt() / 10
    with torch.no_grad():
        found = [
            float(generator(batch_of(generator, [replace(clip, solos=solos, audio=gain * clip.audio)]))["separation"])
            for gain in (1.0, 0.1)
        ]
    expected = power(generator.spectrum.stft(solos[0] - solos[1]))
    assert found == pytest.approx([expected, expected], rel=1e-4)


def test_mirroring_exchanges_the_solos_with_the_ears():
    generator, clip = small(mirror=True, crop=False, colour=0.0), pair()
    turned = set()
    for seed in range(12):
        views = generator.views(clip, np.random.default_rng(seed))
        flipped = torch.equal(views["audio"], clip.audio.flip(0))
        assert torch.equal(views["solos"], clip.solos.flip(0) if flipped else clip.solos)
        turned.add(flipped)
    assert turned == {True, False}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    PseudoBinaural(
        PseudoBinauralOptions(
            clips=6, seconds=1.0, width=96, height=64, frame_rate=10, sample_rate=RATE, counts="1:2:1", seed=3
        )
    ).render(folder, workers=1, progress=False)
    return read_manifest(folder)


def read(manifest, as_code):
    """Key -> clip with its solos."""
    found = {}
    views = views_with_solos(lambda clip, rng: found.setdefault(clip.key, clip), manifest, as_code)
    for row in manifest:
        views(read_clip(row, manifest.root, READING, RATE, np.random.default_rng(5)), np.random.default_rng(0))
    return found


def test_solos_of_a_pair_sum_to_its_mix_and_are_the_sources_of_each_side(pairs):
    places, world = source_places(pairs.root), PseudoBinaural(PseudoBinauralOptions(
        clips=6, seconds=1.0, width=96, height=64, frame_rate=10, sample_rate=RATE, counts="1:2:1", seed=3
    ))  # fmt: skip
    sides = set()
    for key, clip in read(pairs, False).items():
        assert (clip.solos.sum(0) - clip.audio.sum(0)).abs().max() < 8 / 32768  # files have 16 bits
        scene = world.describe(int(key))
        assert places[key] == pytest.approx([patch.x / 96 for patch in scene.patches], abs=1e-6)
        first = round(clip.labels["start"] * RATE)
        stems = torch.from_numpy(2 * world.shares(scene))[:, first : first + SAMPLES]
        left = stems[[place < 0.5 for place in places[key]]].sum(0)
        torch.testing.assert_close(clip.solos[0], left, atol=6 / 32768, rtol=0)
        sides.add((bool(left.abs().max() > 0), bool((stems.sum(0) - left).abs().max() > 1e-4)))
    assert (True, True) in sides


def test_as_in_the_code_dry_sources_left_of_a_third_are_on_the_left(pairs):
    places = source_places(pairs.root)
    for key, clip in read(pairs, True).items():
        levels = clip.solos.square().mean(1).sqrt().tolist()
        if len(places[key]) == 1:
            torch.testing.assert_close(clip.solos / clip.solos.abs().max(), clip.audio / clip.audio.abs().max())
            assert float(clip.solos.sum(0).square().mean().sqrt()) == pytest.approx(0.1, rel=1e-3)
            continue
        left = [place < 1 / 3 for place in places[key]]
        expected = [0.1 if any(left) else 0.0, 0.1 if not all(left) else 0.0]
        assert levels == pytest.approx(expected, abs=1e-3)


def test_recordings_have_no_solos(pairs, tmp_path):
    (tmp_path / "empty").mkdir()
    views = small().views
    assert views_with_solos(views, Manifest(pairs.rows, tmp_path), False) is views


def test_training_that_separates_sources_wants_pairs(pairs, tmp_path):
    def manifests(**options):
        made = SpatializeOptions(
            manifest=str(pairs.root), generator_options={**SMALL, "separation_of": "sources"}, **options
        )
        return training_manifests(build_generator(made, None), made)

    assert [len(each) for each in manifests()] == [5, 0, 1]
    for path in pairs.root.rglob("*-shares.wav"):
        path.rename(path.with_suffix(".away"))
    try:
        with pytest.raises(ValueError, match="expected pseudo-binaural pairs beside separation_of=sources") as caught:
            manifests()
        assert "\n" not in str(caught.value)
    finally:
        for path in pairs.root.rglob("*.away"):
            path.rename(path.with_suffix(".wav"))


def test_ground_truth_of_other_sources_is_refused_in_one_line(pairs):
    views = views_with_solos(lambda clip, rng: {}, pairs, False)
    broken = replace(views, places={key: (*places, 0.5) for key, places in views.places.items()})
    clip = read_clip(pairs.rows[0], pairs.root, READING, RATE)
    with pytest.raises(ValueError, match=r"shares\.wav: expected \d sources, as in truth\.parquet, got \d"):
        broken(clip, np.random.default_rng(0))


def test_another_kind_of_separation_is_refused():
    with pytest.raises(ValueError, match="separation_of is clips, sources, sources-as-code, not 'solos'"):
        small(separation_of="solos")


def test_pairs_are_rendered_with_the_options_of_the_run(tmp_path, monkeypatch):
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path))
    size = {"width": 64, "height": 32}
    options = SpatializeOptions(
        synthetic_options={**size, "room": False},
        augment="pseudo-binaural",
        augment_options={**size, "counts": "0:0:1", "speakers": 4},
        clips=4,
        clip_seconds=0.7,
    )
    _, further, _ = training_manifests(small(), options)
    places = source_places(further.root)
    assert {len(places[row.key]) for row in further} == {3}
    assert json.loads((further.root / "scenes.json").read_text())["speakers"] == 4
