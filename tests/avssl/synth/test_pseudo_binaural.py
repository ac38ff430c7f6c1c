import json
import os
from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile
import torch

from avssl.config import DataConfig
from avssl.datasets.manifest import read_manifest
from avssl.media.hrir_files import read_hrirs
from avssl.spatial.ambisonics import encode, gains
from avssl.spatial.binaural import render, spherical_head
from avssl.synth.acoustics.pseudo_binaural_render import ARCS, WAYS, Loudspeakers, hear
from avssl.synth.backdrop import Backdrop, clone
from avssl.synth.canvas.compositing import Canvas, Spot, paste
from avssl.synth.pseudo_binaural.patch_layout import fitted, read_counts, side_by_side
from avssl.synth.pseudo_binaural.pseudo_binaural_dataset import PseudoBinaural, PseudoBinauralOptions, pseudo_binaural
from avssl.synth.sources.source_pool import BuiltInSources, Source
from avssl.synth.stage.stage_dataset import stage
from avssl.train import data_source as worlds

SMALL = {"width": 96, "height": 64, "progress": False}
FORM = Canvas(0.5, 96, 16.0, 24000, 64)
MEDIA = Path(os.environ.get("AVSSL_TEST_MEDIA", Path(__file__).parents[4] / "shared" / "data"))


def world(way="ambisonic", fov=120.0, form=FORM, backdrop=Backdrop(), by_loudness=False, head=""):  # noqa: B008
    sizes = {name: getattr(form, name) for name in ("seconds", "width", "height", "frame_rate", "sample_rate")}
    looks = {"background": backdrop.name, "blend": backdrop.blend, "size_by_loudness": by_loudness}
    return PseudoBinaural(PseudoBinauralOptions(seed=5, fov=fov, way=way, hrirs=head, **looks, **sizes))


@pytest.mark.heavy
def test_patches_never_overlap_and_lie_whole_on_the_canvas():
    scenes = world(form=replace(FORM, seconds=0.25, sample_rate=16000))
    counted = Counter()
    for index in range(150):
        scene = scenes.describe(index)
        counted[len(scene.patches)] += 1
        edges = sorted((patch.x - patch.side / 2, patch.x + patch.side / 2) for patch in scene.patches)
        assert all(left[1] <= right[0] + 1e-9 for left, right in pairwise(edges))
        assert edges[0][0] >= -1e-9
        assert edges[-1][1] <= 96 + 1e-9
        assert all(patch.side / 2 <= patch.y + 1e-9 <= 64 - patch.side / 2 + 2e-9 for patch in scene.patches)
        assert len({patch.actor.kind for patch in scene.patches}) == len(scene.patches)
    assert [counted[count] / 150 for count in (1, 2, 3)] == pytest.approx([0.4, 0.5, 0.1], abs=0.12)


def test_places_are_uniform_and_no_order_is_preferred():
    rng = np.random.default_rng(0)
    alone = np.array([side_by_side(rng, np.array([20.0]), 100)[0] for _ in range(4000)])
    assert np.quantile(alone, [0, 0.25, 0.5, 0.75, 1]) == pytest.approx([10, 30, 50, 70, 90], abs=2)
    pairs = np.array([side_by_side(rng, np.array([60.0, 20.0]), 100) for _ in range(4000)])
    assert (pairs[:, 0] < pairs[:, 1]).mean() == pytest.approx(0.5, abs=0.03)
    tight = side_by_side(rng, np.array([50.0, 30.0, 20.0]), 100)
    assert min(tight - np.array([25, 15, 10])) == pytest.approx(0)
    assert max(tight + np.array([25, 15, 10])) == pytest.approx(100)


def test_no_patch_and_no_frame_goes_beyond_its_place():
    for index in range(6):
        scene = world().describe(index)
        rows = world().truth(scene).to_pylist()
        for row in rows:
            patch = scene.patches[row["object"]]
            assert row["x_min"] * 96 >= patch.x - patch.side / 2 - 1e-4
            assert row["x_max"] * 96 <= patch.x + patch.side / 2 + 1e-4
            assert row["visible"] > 0.93
        drawn = np.max([frame.max(-1) for frame in world().frames(scene)], axis=0) > 60
        columns = np.flatnonzero(drawn.any(0)) + 0.5
        assert all(any(abs(patch.x - x) <= patch.side / 2 + 1 for patch in scene.patches) for x in columns)


@pytest.mark.parametrize("fov", [60.0, 120.0, 180.0])
def test_directions_follow_the_place_in_the_image(fov):
    for index in range(10):
        for row in world(fov=fov).truth(world(fov=fov).describe(index)).to_pylist():
            assert row["azimuth"] == pytest.approx((0.5 - row["x"]) * fov, abs=1e-4)
            assert row["elevation"] == pytest.approx((0.5 - row["y"]) * 90, abs=1e-4)


@pytest.mark.parametrize("way", WAYS)
def test_a_mirrored_scene_has_its_ears_exchanged(way):
    scenes = world(way)
    for index in range(3):
        scene = scenes.describe(index)
        patches = [replace(each, x=96 - each.x, azimuth=-each.azimuth) for each in scene.patches]
        here, there = scenes.audio(scene), scenes.audio(replace(scene, patches=tuple(patches)))
        assert np.abs(here[::-1] - there).max() < 2e-5


def test_a_scene_is_heard_once_though_its_sources_are_written_too(tmp_path, monkeypatch):
    from avssl.synth.pseudo_binaural import pseudo_binaural_dataset as module

    heard, convolve = [], module.hear

    def counted(audio, *more):
        heard.append(len(audio))
        return convolve(audio, *more)

    monkeypatch.setattr(module, "hear", counted)
    pseudo_binaural(tmp_path, 3, 0.5, 5, workers=1, **SMALL)
    sources = [soundfile.info(path).channels for path in sorted(tmp_path.rglob("*-sources.wav"))]
    assert len(sources) == 3
    assert len(heard) == sum(sources)


def test_a_source_on_the_left_is_louder_in_the_left_ear_and_comes_there_first():
    noise = np.random.default_rng(0).standard_normal(4800).astype(np.float32)
    for way in WAYS:
        left, right = hear(noise, way, np.radians(60), 0.0, spherical_head(24000))
        assert left.std() > 1.1 * right.std()


def test_ways_are_those_of_the_paper():
    noise = torch.randn(2400, generator=torch.Generator().manual_seed(0))
    azimuth, elevation, head = 0.7, -0.4, spherical_head(24000)
    field = encode(noise, azimuth, elevation)
    w, y, _, x = field
    speakers = [-np.pi + k * np.pi / 4 for k in range(8)]
    decoded = sum(render(w + y * np.sin(angle) + x * np.cos(angle), angle, 0.0, head) for angle in speakers)
    expected = {
        "direct": render(noise, azimuth, elevation, head),
        "ambisonic": decoded,
        "ambidirect": torch.stack([w + y, w - y]) / 2,
    }
    for way, audio in expected.items():
        heard = hear(noise.numpy(), way, azimuth, elevation, head)
        assert np.abs(heard - audio.numpy()).max() < 1e-4 * audio.abs().max()


@pytest.mark.parametrize("count", [4, 8, 11])
def test_the_inverse_of_a_circle_is_its_projection_with_twice_the_direction(count):
    """In closed form: encoders of a regular circle are orthogonal, of energy N for W and N / 2 for Y and X."""
    field = gains(torch.tensor([0.7]), torch.tensor([-0.4]))[0].double()
    rig = Loudspeakers(count, decoder="pinv")
    w, y, _, x = field
    expected = (w + 2 * (y * rig.azimuths.sin() + x * rig.azimuths.cos())) / count
    torch.testing.assert_close(rig.shares(field), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("arc", ARCS)
def test_loudspeakers_of_the_inverse_give_the_field_back(arc):
    field = gains(torch.tensor([0.7]), torch.tensor([0.0]))[0].double()
    rig = Loudspeakers(5, arc, "pinv")
    made = gains(rig.azimuths, torch.zeros(5, dtype=torch.float64)).T @ rig.shares(field)
    torch.testing.assert_close(made, field, atol=1e-6, rtol=0)


def test_loudspeakers_in_front_are_from_right_to_left_of_the_head():
    assert np.degrees(Loudspeakers(5, "frontal").azimuths) == pytest.approx([-90, -45, 0, 45, 90])
    noise, head = torch.randn(2400, generator=torch.Generator().manual_seed(0)), spherical_head(24000)
    w, y, _, x = encode(noise, 0.7, -0.4)
    angles = np.radians([-90, -45, 0, 45, 90])
    expected = sum(render(w + y * np.sin(angle) + x * np.cos(angle), angle, 0.0, head) for angle in angles)
    heard = hear(noise.numpy(), "ambisonic", 0.7, -0.4, head, Loudspeakers(5, "frontal"))
    assert np.abs(heard - expected.numpy()).max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize(
    ("counts", "shares"),
    [("4:5:1", [0.4, 0.5, 0.1]), ("0:1:0", [0, 1, 0]), ("1:1", [0.5, 0.5]), ("0:0:0:2", [0, 0, 0, 1])],
)
def test_the_number_of_sources_has_its_ratio(counts, shares):
    assert read_counts(counts) == pytest.approx(shares)
    scenes = PseudoBinaural(PseudoBinauralOptions(counts=counts, seconds=0.25, sample_rate=16000))
    found = Counter(len(scenes.describe(index).patches) for index in range(30))
    assert {count for count in found if found[count]} <= {index + 1 for index, share in enumerate(shares) if share}
    assert len(found) == sum(share > 0 for share in shares)


@pytest.mark.parametrize("counts", ["", "4:5:x", "0:0", "-1:2", "1:1:1:1:1:1:1", "1.5:1"])
def test_a_ratio_that_is_none_is_refused(counts, tmp_path):
    with pytest.raises(ValueError, match="counts is up to 6 whole numbers such as 4:5:1") as caught:
        PseudoBinaural(PseudoBinauralOptions(clips=1, counts=counts)).render(tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_only_changed_settings_of_loudspeakers_and_counts_are_written():
    assert not {"speakers", "arc", "decoder", "counts"} & world().settings().keys()
    options = PseudoBinauralOptions(speakers=5, arc="frontal", decoder="pinv", counts="1:1:1")
    found = PseudoBinaural(options).settings()
    assert {name: found[name] for name in ("speakers", "arc", "decoder", "counts")} == {
        "speakers": 5, "arc": "frontal", "decoder": "pinv", "counts": "1:1:1",
    }  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_shares_of_the_sources_are_the_mean_of_both_ears(way):
    scenes = world(way)
    scene = next(each for each in map(scenes.describe, range(20)) if len(each.patches) == 3)
    shares = scenes.shares(scene)
    assert shares.shape == scenes.sources(scene).shape == (3, 12000)
    assert np.abs(shares.sum(0) - scenes.audio(scene).mean(0)).max() < 1e-6
    stems = scenes.stems(scene)
    assert all(np.abs(shares[number] - stems[number].mean(0)).max() < 1e-6 for number in stems)


@dataclass(frozen=True)
class Click(Source):
    """A single sample that the scene begins with."""

    kind: str = "click"

    def audio(self, form):
        audio = np.zeros(form.span().samples, np.float32)
        audio[-len(form.sample_times())] = 1
        return audio

    def appearance(self, form):
        return BuiltInSources().trio(np.random.default_rng(0), 0, 1, form)[0].appearance(form)


@pytest.mark.parametrize("way", WAYS)
def test_no_onset_is_lost(way):
    scenes = world(way)
    scene = scenes.describe(0)
    patch = replace(scene.patches[0], actor=Click(), azimuth=0.3)
    heard = scenes.audio(replace(scene, patches=(patch,)))
    first = (np.abs(heard) > 0.1 * np.abs(heard).max()).argmax(1)
    assert first.max() < 0.001 * 24000
    assert (heard[:, :48] ** 2).sum() > 0.8 * (heard**2).sum()


def test_left_plus_right_has_its_level_unless_peaks_forbid_it():
    for index in range(6):
        heard = world().audio(world().describe(index))
        level = np.sqrt(((heard[0] + heard[1]) ** 2).mean())
        assert level == pytest.approx(0.1, rel=1e-3) or (level < 0.1 and np.abs(heard).max() <= 0.9001)


def test_sources_apart_make_the_audio():
    scenes = world("direct")
    scene = scenes.describe(3)
    lone = [replace(scene, patches=(patch,)) for patch in scene.patches]
    total = sum(scenes.audio(each) / scenes.sources(each).std() for each in lone)
    ratio = scenes.sources(scene).std(1)
    assert ratio == pytest.approx(ratio.mean(), rel=0.05)
    assert np.corrcoef(total.ravel(), scenes.audio(scene).ravel())[0, 1] > 0.999


@pytest.mark.parametrize("form", ["sofa", "cipic_subject03_wav", "sadie_subject002"])
def test_real_heads_hear_the_left_on_the_left_at_any_rate(form):
    folder = MEDIA / "free/hrtf"
    found = sorted(folder.glob("sofa/*.sofa"))[:1] if form == "sofa" else sorted(folder.glob(form))
    if not found:
        pytest.skip(f"no {form} in {folder}; set AVSSL_TEST_MEDIA to the folder of test media")
    for rate in (16000, 48000):
        head = read_hrirs(found[0]).resample(rate)
        noise = np.random.default_rng(0).standard_normal(rate // 4).astype(np.float32)
        for way in ("direct", "ambisonic"):
            left, right = hear(noise, way, np.radians(60), 0.0, head)
            assert left.std() > 1.15 * right.std()
        left, right = hear(noise, "direct", np.radians(60), 0.0, head)
        size = 2 * len(noise)
        lag = np.fft.irfft(np.fft.rfft(right, size) * np.fft.rfft(left, size).conj())[: rate // 500].argmax() / rate
        assert 0.0003 < lag < 0.0008


def test_patches_are_sized_as_the_paper_does_it():
    form = Canvas(1.0, 640, 16.0, 24000, 360)
    one = np.ones(1)
    assert fitted(np.array([100.0]), one, form, one) == pytest.approx(100)
    assert fitted(np.array([100.0]), 2 * one, form, one) == pytest.approx(50)
    assert fitted(np.array([100.0]), 0.5 * one, form, 0.8 * one) == pytest.approx(160)
    assert fitted(np.array([100.0]), 1e-3 * one, form, one) == pytest.approx(320)
    assert fitted(np.full(3, 400.0), np.ones(3), form, np.ones(3)).sum() == pytest.approx(640)


def test_loud_recordings_have_small_patches():
    plain, scaled = world(), world(by_loudness=True)
    pairs = [zip(plain.describe(k).patches, scaled.describe(k).patches, strict=True) for k in range(25)]
    shares = np.array([(mine.side / own.side, mine.actor.loudness(FORM)) for both in pairs for own, mine in both])
    assert np.corrcoef(np.log(shares.T))[0, 1] < -0.5


def test_colours_of_a_background_stay_red_green_and_blue(tmp_path):
    cv2.imwrite(str(tmp_path / "red.png"), np.full((40, 50, 3), (0, 0, 200), np.uint8))
    for blend in ("poisson", "paste"):
        scenes = world(backdrop=Backdrop(str(tmp_path / "red.png"), blend))
        scene = scenes.describe(0)
        frame = next(scenes.frames(replace(scene, patches=scene.patches[:1])))
        edge = 0 if scene.patches[0].x > 48 else -1
        assert tuple(frame[0, edge]) == (200, 0, 0)


def test_poisson_blending_keeps_gradients_and_takes_the_colours_of_the_frame():
    flat = np.full((64, 64, 4), (200, 40, 90, 255), np.uint8)
    step = flat.copy()
    step[:, 32:, :3] = np.array((200, 40, 90)) - 30
    for x in (15.0, 48.0, 81.0):
        frame = np.full((64, 96, 3), 120, np.uint8)
        clone(frame, flat, Spot(x, 32, 30))
        assert np.abs(frame.astype(int) - 120).max() <= 1
        clone(frame, step, Spot(x, 32, 30))
        middle = frame[32].astype(int)
        jump = middle[round(x) + 3] - middle[round(x) - 3]
        assert jump == pytest.approx(-30, abs=12)


def test_poisson_blending_leaves_patches_where_pasting_puts_them():
    rng = np.random.default_rng(0)
    image = np.dstack([rng.integers(0, 255, (64, 64, 3)), np.full((64, 64), 255)]).astype(np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 2)
    for spot in (Spot(40.5, 30, 24), Spot(13, 51, 25), Spot(84, 12.5, 24)):
        frames = [np.full((64, 96, 3), 128, np.uint8) for _ in range(2)]
        paste(frames[0], image, spot)
        clone(frames[1], image, spot)
        inner = np.s_[int(spot.y) - 7 : int(spot.y) + 7, int(spot.x) - 7 : int(spot.x) + 7]
        one, other = (np.diff(frame[inner].astype(float), axis=1).ravel() for frame in frames)
        assert np.corrcoef(one, other)[0, 1] > 0.95


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    out = tmp_path_factory.mktemp("world")
    pseudo_binaural(out, 3, 0.5, 5, workers=1, **SMALL)
    return out


@pytest.mark.heavy
def test_the_same_seed_gives_the_same_world_whatever_the_number_of_processes(rendered, tmp_path, same_content):
    pseudo_binaural(tmp_path, 4, 0.5, 5, workers=2, **SMALL)
    media = [f"media/{clip:05d}.{suffix}" for clip in range(3) for suffix in ("wav", "mp4")]
    for name in ("truth.parquet", "scenes.json", *media):
        same_content(tmp_path / name, rendered / name)


def test_media_are_what_the_manifest_says(rendered):
    for row in read_manifest(rendered):
        assert (row.layout, row.width, row.height, row.seconds) == ("binaural", 96, 64, 0.5)
        assert np.isnan([row.azimuth, row.elevation, row.diffuseness]).all()
        heard = soundfile.info(rendered / row.audio)
        apart = soundfile.info(rendered / f"media/{row.key}-sources.wav")
        assert (heard.channels, heard.frames, apart.frames) == (2, 12000, 12000)
        assert apart.channels == len(world().describe(int(row.key)).patches)
        shares, _ = soundfile.read(rendered / f"media/{row.key}-shares.wav", always_2d=True)
        left_right, _ = soundfile.read(rendered / row.audio)
        assert np.abs(shares.sum(1) - left_right.mean(1)).max() < 3 / 32768  # of 16 bits each


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fov": 0.0}, "fov is above 0 and at most 180 degrees, not 0"),
        ({"fov": float("nan")}, "fov"),
        ({"speakers": 1}, "speakers is from 2 to 64, not 1"),
        ({"arc": "half"}, "arc is full or frontal, not 'half'"),
        ({"decoder": "inverse"}, "decoder is transpose or pinv, not 'inverse'"),
        ({"way": "direct", "arc": "frontal"}, "speakers, arc and decoder are of way=ambisonic, not 'direct'"),
        ({"way": "stereo"}, "way is ambisonic, direct, ambidirect, not 'stereo'"),
        ({"blend": "alpha"}, "blend is poisson or paste, not 'alpha'"),
        ({"height": 63}, "height"),
        ({"background": "gone.png"}, "gone.png"),
        ({"hrirs": Path("gone.sofa")}, "gone.sofa"),
    ],
)
def test_what_has_no_meaning_is_refused_before_anything_is_written(tmp_path, change, message):
    settings = {"clips": 1, "seconds": 1.0, "seed": 0} | SMALL | change
    with pytest.raises((ValueError, OSError), match=message) as caught:
        pseudo_binaural(tmp_path / "out", **settings)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_pairs_for_the_stage_are_a_built_in_world_as_wide_as_the_stage(tmp_path, monkeypatch):
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path))
    config = DataConfig(
        synthetic_dataset="pseudo-binaural-stage", clips=1, clip_seconds=0.5, seconds=0.5, frames=1, frame_rate=2.0
    )
    _, manifest = worlds.clips(config, 16000, progress=False)
    settings = json.loads((manifest.root / "scenes.json").read_text())
    wanted = {"fov": 90.0, "way": "direct", "background": "drawn", "blend": "paste", "width": 224, "height": 128}
    assert wanted.items() <= settings.items()
    own = stage(tmp_path / "stage", 1, 0.5, 0, frame_rate=2.0, sample_rate=16000, progress=False).parent
    both = json.loads((own / "scenes.json").read_text())
    assert {key: both[key] for key in ("fov", "width", "height")} == {
        key: settings[key] for key in ("fov", "width", "height")
    }
