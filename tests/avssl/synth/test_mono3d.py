import json
import shutil
from dataclasses import dataclass, replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from click.testing import CliRunner

from avssl.cli import main
from avssl.datasets.manifest import read_manifest
from avssl.synth.canvas.compositing import Canvas
from avssl.synth.mono3d.mono3d_dataset import Mono3d, Mono3dOptions, mono3d
from avssl.synth.mono3d.mono3d_scene import Walker, WalkScene
from avssl.synth.random_walk import Walk, draw_walk
from avssl.synth.sources.source_pool import Appearance, Source

SMALL = {"width": 96, "height": 64, "progress": False}
FORM = Canvas(1.0, 96, 16.0, 24000, 64)
RED, GREEN = (255, 0, 0), (0, 255, 0)


def world(kind="mixed", form=FORM, deviation=0.2):
    sizes = {name: getattr(form, name) for name in ("seconds", "width", "height", "frame_rate", "sample_rate")}
    return Mono3d(Mono3dOptions(seed=5, type=kind, deviation=deviation, **sizes))


@dataclass(frozen=True)
class Disc(Source):
    """As high as the canvas where the size is 1, and hissing."""

    colour: tuple[int, int, int]
    image: np.ndarray
    kind: str = "disc"

    def audio(self, form):
        return np.random.default_rng(self.colour[0]).standard_normal(form.span().samples).astype(np.float32)

    def appearance(self, form):
        still = np.ones(len(form.frame_times()))
        tinted = (self.image * (np.array([*self.colour, 255]) / 255)).astype(np.uint8)
        return Appearance((tinted,), np.zeros(len(still), int), still, 0 * still, still)


def standing(*places, frames, colours=(RED, GREEN)):
    """Discs that stay where they are."""
    walks = [Walk(np.array([0.0, 9.0]), np.array([place, place], float)) for place in places]
    walkers = [Walker(Disc(*each), walk, 1.0) for *each, walk in zip(colours, frames, walks, strict=False)]
    return WalkScene(0, "P2", tuple(walkers), None, None)


def test_the_encoded_direction_is_the_true_one_from_frame_to_frame():
    scenes = world("P1", replace(FORM, seconds=2.0))
    for index in range(4):
        scene = scenes.describe(index)
        w, y, z, x = scenes.audio(scene).astype(float)
        for row in scenes.truth(scene).to_pylist()[1:]:
            middle = round(row["time"] * 24000)
            here = slice(middle - 60, middle + 60)
            intensity = np.array([(w[here] * each[here]).sum() for each in (x, y, z)])
            azimuth, elevation = np.radians([row["azimuth"], row["elevation"]])
            true = [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)]
            if np.linalg.norm(intensity) > 1e-3 * (w[here] ** 2).sum() > 1e-6:
                cosine = intensity @ true / np.linalg.norm(intensity)
                assert np.degrees(np.arccos(min(1, cosine))) < 3


@pytest.mark.parametrize("kind", ["P1", "P2", "P3"])
def test_w_is_the_sum_of_the_sources(kind):
    scenes = world(kind)
    for index in range(3):
        scene = scenes.describe(index)
        assert np.abs(scenes.audio(scene)[0] - scenes.sources(scene).sum(0)).max() < 1e-6
        assert len(scenes.sources(scene)) == len(scene.walkers)


def test_a_source_in_a_cube_corner_is_a_plane_wave_along_ambix_axes(disc):
    scenes = world()
    w, y, z, x = scenes.audio(standing((1, -1, 1), frames=[disc]))
    # To the right, above, near: right is -Y, up is +Z, near is in front.
    assert np.abs(np.stack([-y, z, x]) * np.sqrt(3) - w).max() < 1e-6
    row = scenes.truth(standing((1, -1, 1), frames=[disc])).to_pylist()[0]
    assert (row["azimuth"], row["elevation"]) == pytest.approx((-45, np.degrees(np.arcsin(1 / np.sqrt(3)))))
    assert (row["x"] > 0.5, row["y"] < 0.5) == (True, True)


def test_the_nearer_hides_the_farther_whoever_comes_first(disc):
    near, far = (0, 0, 0.9), (0, 0, 0.4)
    for places, colours in (((near, far), (RED, GREEN)), ((far, near), (GREEN, RED))):
        scene = standing(*places, frames=[disc, disc], colours=colours)
        image = next(world().frames(scene))
        assert tuple(image[32, 48]) == RED
        assert not (image[..., 1] > 40).any()
        seen = {row["z"]: row["visible"] for row in world().truth(scene).to_pylist()}
        assert (seen[np.float32(0.9)], seen[np.float32(0.4)]) == (pytest.approx(1, abs=0.02), 0)


def test_half_of_what_a_disc_hides_is_told(disc):
    scene = standing((0, 0, 0.8), (0.2, 0, 0.7), frames=[disc, disc])
    rows = world().truth(scene).to_pylist()
    frame = next(world().frames(scene)).astype(int)
    alone = next(world().frames(replace(scene, walkers=scene.walkers[1:]))).astype(int)
    counted = (frame[..., 1] > 127).sum() / (alone[..., 1] > 127).sum()
    assert rows[1]["visible"] == pytest.approx(counted, abs=0.04)


def test_who_is_behind_the_viewer_is_heard_and_not_seen(disc):
    scene = standing((0.3, 0.1, -0.5), frames=[disc])
    assert not any(frame.any() for frame in world().frames(scene))
    row = world().truth(scene).to_pylist()[0]
    assert (row["visible"], row["x_min"], row["x_max"], row["sounding"]) == (0, 0, 0, True)
    assert np.abs(row["azimuth"]) > 90
    assert world().audio(scene)[3].std() > 0


def test_size_follows_the_arc_tangent_of_depth_and_the_box_holds_what_is_drawn(disc):
    form = Canvas(0.25, 320, 16.0, 24000, 256)
    for depth in (0.2, 0.5, 1.0):
        scene = standing((0.1, -0.1, depth), frames=[disc])
        drawn = next(world(form=form).frames(scene))[..., 0] > 127
        columns, rows = np.flatnonzero(drawn.any(0)), np.flatnonzero(drawn.any(1))
        assert len(columns) == pytest.approx(np.arctan(depth) * 256, abs=3)
        row = world(form=form).truth(scene).to_pylist()[0]
        assert (columns[0], columns[-1] + 1) == pytest.approx((row["x_min"] * 320, row["x_max"] * 320), abs=2)
        assert (rows[0], rows[-1] + 1) == pytest.approx((row["y_min"] * 256, row["y_max"] * 256), abs=2)


@pytest.mark.heavy
def test_objects_leave_the_frame_by_the_deviation_and_no_farther():
    far = [world("P1", replace(FORM, seconds=8.0), deviation).truth(scene)["x"].to_numpy()
           for deviation in (0.0, 0.5)
           for scene in map(world("P1", replace(FORM, seconds=8.0)).describe, range(20))]  # fmt: skip
    inside, beyond = np.concatenate(far[:20]), np.concatenate(far[20:])
    assert (inside.min() >= 0, inside.max() <= 1) == (True, True)
    assert -0.25 <= beyond.min() < 0
    assert 1 < beyond.max() <= 1.25
    assert beyond - 0.5 == pytest.approx(1.5 * (inside - 0.5), abs=1e-5)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 1.0])
def test_walks_are_as_fine_fast_and_wide_as_asked(fraction):
    rng = np.random.default_rng(0)
    walks = [draw_walk(rng, 10.0, 160, fraction, 0.3) for _ in range(50)]
    steps = np.concatenate([np.abs(np.diff(walk.places, axis=0)) for walk in walks])
    assert {len(walk.times) for walk in walks} == {round(160 * fraction)}
    assert 0.29 < steps.max() <= 0.3
    assert 0.99 < np.abs(np.concatenate([walk.places for walk in walks])).max() <= 1
    walk = walks[0]
    between = walk.at((walk.times[1:] + walk.times[:-1]) / 2)
    assert between == pytest.approx((walk.places[1:] + walk.places[:-1]) / 2)


def test_types_are_what_they_are_called():
    for index in range(12):
        casts = {kind: [each.actor.kind for each in world(kind).describe(index).walkers] for kind in ("P1", "P2", "P3")}
        assert len(casts["P1"]) == 1
        assert 2 <= len(set(casts["P2"])) == len(casts["P2"]) <= 3
        assert len(set(casts["P3"])) == 1 < len(casts["P3"]) <= 3
        scene = world("P4").describe(index)
        assert [walker.gain == 0 for walker in scene.walkers] == [False] * (len(scene.walkers) - 1) + [True]
        assert next(world("P4").frames(scene)).mean() > 20
    found = {world().describe(index).type for index in range(40)}
    assert found == {"P1", "P2", "P3", "P4"}


def test_ambient_audio_lies_below_the_sources_and_all_around():
    scenes = world("P4", replace(FORM, seconds=2.0))
    scene = scenes.describe(1)
    rest = scenes.audio(scene)[0] - scenes.sources(scene).sum(0)
    ratio = 10 * np.log10(scenes.sources(scene).sum(0).var() / rest.var())
    assert ratio == pytest.approx(scene.around.noise, abs=0.5)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    out = tmp_path_factory.mktemp("world")
    mono3d(out, 4, 1.0, 5, workers=1, **SMALL)
    return out


@pytest.mark.heavy
def test_the_same_seed_gives_the_same_world_whatever_the_number_of_processes(rendered, tmp_path, same_content):
    mono3d(tmp_path, 5, 1.0, 5, workers=2, **SMALL)
    media = [f"media/{clip:05d}.{suffix}" for clip in range(4) for suffix in ("wav", "mp4")]
    for name in ("truth.parquet", "scenes.json", *media):
        same_content(tmp_path / name, rendered / name)


def test_media_are_what_the_manifest_says(rendered):
    for row in read_manifest(rendered):
        assert (row.layout, row.width, row.height, row.seconds) == ("ambix", 96, 64, 1.0)
        audio = soundfile.info(rendered / row.audio)
        assert (audio.channels, audio.samplerate) == (4, 24000)
        heard, sources = (soundfile.read(rendered / f"media/{row.key}{end}.wav")[0] for end in ("", "-sources"))
        if world().describe(int(row.key)).around is None:
            assert np.abs(heard[:, 0] - sources.reshape(24000, -1).sum(1)).max() <= 3 / 32768
    assert {"key", "type", "z", "visible"} < set(pq.read_table(rendered / "truth.parquet").column_names)


def test_an_interrupted_world_is_continued(rendered, tmp_path):
    out = tmp_path / "world"
    shutil.copytree(rendered, out)
    for name in ("manifest.parquet", "media/00001.mp4", "media/00003-sources.wav"):
        (out / name).unlink()
    mono3d(out, 4, 1.0, 5, workers=1, **SMALL)
    for path in sorted(rendered.rglob("*.*")):
        assert (out / path.relative_to(rendered)).read_bytes() == path.read_bytes()
    with pytest.raises(ValueError, match="expected step 0.25, which it was written with, got 0.1"):
        mono3d(out, 4, 1.0, 5, step=0.1, **SMALL)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "P6"}, "type is mixed, or one or more of P1, P2, P3, P4, P5 joined by [+], not 'P6'"),
        ({"type": "P1+P1"}, "type is mixed, or one or more of .*, not 'P1[+]P1'"),
        ({"test_type": "P1,P2"}, "test_type is mixed, or one or more of .*, not 'P1,P2'"),
        ({"objects": 1}, "objects is from 2 to 6, not 1"),
        ({"depth": "left"}, "depth is all, front, behind, not 'left'"),
        ({"fraction": 0.0}, "fraction is above 0"),
        ({"fraction": float("nan")}, "fraction"),
        ({"step": -1.0}, "step is not negative"),
        ({"deviation": float("inf")}, "deviation"),
        ({"width": 33}, "width"),
        ({"seconds": 0.0}, "seconds"),
    ],
)
def test_numbers_without_meaning_are_refused(tmp_path, change, message):
    settings = {"clips": 1, "seconds": 1.0, "seed": 0} | SMALL | change
    with pytest.raises(ValueError, match=f"^mono3d: .*{message}"):
        mono3d(tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


@pytest.mark.heavy
def test_the_command_prints_the_manifest(tmp_path):
    options = {"clips": 1, "seconds": 0.25, "width": 64, "height": 32, "type": "P2", "workers": 1, "step": 0.1}
    flags = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    done = CliRunner().invoke(main, ["synth", "mono3d", str(tmp_path / "out"), *flags])
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{tmp_path / 'out' / 'manifest.parquet'}\n"
    settings = json.loads((tmp_path / "out" / "scenes.json").read_text())
    assert (settings["type"], settings["step"], settings["sources"]) == ("P2", 0.1, "built-in")
