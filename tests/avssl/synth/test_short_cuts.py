"""Which object sounds, and where, is to be found nowhere but in picture and sound of the objects themselves."""

import cv2
import numpy as np
import pytest
import torch
from scipy.stats import binom
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from avssl.spatial.ambisonics import angle_between, intensity_direction
from avssl.synth.acoustics.foa_render import render_audio
from avssl.synth.annotations.sphere import truth
from avssl.synth.backgrounds import draw_background
from avssl.synth.projection.lens import Panorama
from avssl.synth.projection.pinhole import Camera
from avssl.synth.scene import Format, describe
from avssl.synth.sources.classes import KINDS
from avssl.synth.stage.stage_dataset import Stage, StageOptions
from avssl.synth.video_render import render_frames

pytestmark = pytest.mark.heavy

SHORT = Format(seconds=1.0, width=128)


def soloist(scene):
    return next(thing for thing in scene.things if thing.sounding)


def questions(scenes):
    """What a short cut might answer: yes or no for each scene; each is yes for about half of them."""
    first = [soloist(scene) for scene in scenes]
    low_kinds = {kind.name for kind in KINDS[::2]}
    return {
        "left": np.array([np.sin(thing.path.azimuth) > 0 for thing in first]),
        "front": np.array([np.cos(thing.path.azimuth) > 0 for thing in first]),
        "above": np.array([thing.path.elevation > 0 for thing in first]),
        "kind": np.array([thing.kind in low_kinds for thing in first]),
    }


def hits(features, answers):
    """Right answers of a logistic regression on the second half of the scenes, fitted to the first half."""
    half = len(answers) // 2
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500)).fit(
        features[:half], answers[:half]
    )
    return int((probe.predict(features[half:]) == answers[half:]).sum()), len(answers) - half


def is_chance(right, asked, chance=0.5):
    """Within the interval that holds 99.9 % of a guesser's results."""
    return binom.ppf(0.0005, asked, chance) <= right <= binom.ppf(0.9995, asked, chance)


@pytest.fixture(scope="module")
def backdrops():
    scenes = [describe(21, index) for index in range(400)]
    frames = [draw_background(scene.background, Panorama(64)) for scene in scenes]
    return scenes, np.stack([cv2.resize(each, (8, 4), interpolation=cv2.INTER_AREA).ravel() / 255 for each in frames])


@pytest.mark.parametrize("question", ["left", "front", "above", "kind"])
def test_the_background_says_nothing(backdrops, question):
    scenes, features = backdrops
    assert is_chance(*hits(features, questions(scenes)[question]))


@pytest.fixture(scope="module")
def heard():
    scenes = [describe(22, index) for index in range(160)]
    return scenes, [render_audio(scene, SHORT) for scene in scenes]


@pytest.mark.parametrize("question", ["left", "front", "above", "kind"])
def test_the_overall_level_says_nothing(heard, question):
    scenes, waveforms = heard
    level = np.array([[20 * np.log10(np.sqrt((audio[0] ** 2).mean())), np.abs(audio).max()] for audio in waveforms])
    assert is_chance(*hits(level, questions(scenes)[question]))


def test_the_direction_of_audio_does_say_where(heard):
    scenes, waveforms = heard
    right = asked = 0
    for scene, audio in zip(scenes, waveforms, strict=True):
        if sum(thing.sounding for thing in scene.things) > 1:
            continue
        azimuth, elevation, _ = intensity_direction(torch.from_numpy(audio), SHORT.sample_rate)
        places = [[float(each[0]) for each in thing.path.at(np.array([0.5]))[:2]] for thing in scene.things]
        nearest = np.argmin([float(angle_between(azimuth, elevation, *place)) for place in places])
        right += scene.things[nearest].sounding
        asked += 1
    assert asked > 30
    assert right / asked > 0.85


def looks_of(thing):
    """All there is to see of an object, as numbers."""
    look, path, voice = thing.look, thing.path, thing.voice
    return np.array(
        [
            *(thing.kind == kind.name for kind in KINDS),
            *(look.radius, look.hue, look.saturation, look.value, look.trim_value, look.contrast, look.aspect),
            *(look.tilt, look.wobble, look.wobble_rate, abs(look.spin), look.pulse, look.texture_scale),
            *(path.distance, np.sin(path.azimuth), np.cos(path.azimuth), path.elevation, path.drift, thing.number),
            *(voice.rate, voice.phase, path.sway.amplitude, path.lift.amplitude, path.reach.amplitude),
        ],
        float,
    )


def picks_of_the_sounding(scenes, features):
    """How often the object that a probe finds likeliest in a scene sounds, and how often a guess would.

    Returns:
        Hits, their expectation and standard deviation under guessing.
    """
    half = len(scenes) // 2
    sounding = [np.array([thing.sounding for thing in scene.things]) for scene in scenes]
    # Within a scene only: how many objects there are says, fairly, how likely each is to sound.
    centred = [each - each.mean(0) for each in features]
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
    probe.fit(np.concatenate(centred[:half]), np.concatenate(sounding[:half]))
    picks = [
        truth[probe.decision_function(each).argmax()]
        for truth, each in zip(sounding[half:], centred[half:], strict=True)
    ]
    rates = np.array([each.mean() for each in sounding[half:]])
    return sum(picks), rates.sum(), np.sqrt((rates * (1 - rates)).sum())


def test_the_looks_of_an_object_do_not_say_whether_it_waveforms():
    scenes = [describe(23, index) for index in range(800)]
    found, expected, deviation = picks_of_the_sounding(
        scenes, [np.stack([*map(looks_of, scene.things)]) for scene in scenes]
    )
    assert abs(found - expected) < 3.3 * deviation


def test_rendered_frames_do_not_say_which_object_waveforms():
    form = Format(seconds=0.5, width=128)
    scenes = [describe(24, index) for index in range(80)]
    features = [_measured(scene, form) for scene in scenes]
    found, expected, deviation = picks_of_the_sounding(scenes, features)
    assert abs(found - expected) < 3.3 * deviation


def _measured(scene, form):
    """Mean colour, contrast and change in time inside each object's box, read from the frames."""
    frames = np.stack(list(render_frames(scene, form))).astype(float)
    frames = np.concatenate([frames, frames], axis=2)
    rows = truth(scene, form).slice(0, len(scene.things)).to_pylist()
    measured = []
    for row in rows:
        height, width = form.width // 2, form.width
        top, bottom = int(row["top"] * height), int(row["bottom"] * height) + 1
        left, right = int(row["left"] * width), int(row["right"] * width) + 1
        inside = frames[:, top:bottom, left:right]
        size = [row["right"] - row["left"], row["bottom"] - row["top"], row["azimuth"], row["elevation"]]
        measured.append([*inside.mean((0, 1, 2)), *inside.std((0, 1, 2)), inside.std(0).mean(), *size])
    return np.array(measured)


@pytest.fixture(scope="module")
def staged():
    """Scenes on the stage, their second second of sound, and coins that say where its ears are exchanged."""
    stage = Stage(StageOptions(seed=31, seconds=2.0, width=112, height=64, frame_rate=0.5))
    scenes = [stage.describe(index) for index in range(160)]
    waveforms = [stage.audio(scene)[:, stage.form.sample_rate :] for scene in scenes]
    return stage, scenes, waveforms, np.random.default_rng(0).random(len(scenes)) < 0.5


def lag(audio):
    """Samples by which the left ear hears later than the right, at most 1 ms: the peak of their cross-correlation."""
    size = 2 * audio.shape[1]
    left, right = np.fft.rfft(audio, size)
    likeness = np.fft.irfft(left * right.conj(), size)
    return int(np.roll(likeness, 24)[:49].argmax()) - 24


@pytest.mark.slow
def test_ears_and_truth_together_tell_whether_the_ears_were_exchanged(staged):
    stage, scenes, waveforms, exchanged = staged
    right = []
    for scene, audio, coin in zip(scenes, waveforms, exchanged, strict=True):
        rows = stage.truth(scene).to_pylist()
        sides = {np.sign(row["azimuth"]) for row in rows if row["sounding"]}
        assert len(sides) == 1
        heard = -np.sign(lag(audio[::-1] if coin else audio))
        right.append((heard not in sides) == coin)
    assert np.mean(right) >= 0.95


def test_half_of_the_stages_are_mirrored():
    stage = Stage(StageOptions(seed=32))
    assert is_chance(sum(stage.describe(index).mirrored for index in range(1000)), 1000)


def test_audio_alone_does_not_tell_that_the_ears_were_exchanged(staged):
    _, scenes, waveforms, exchanged = staged
    heard = [audio[::-1] if coin else audio for audio, coin in zip(waveforms, exchanged, strict=True)]
    features = np.stack([*map(_two_ears, heard)])
    assert is_chance(*hits(features, exchanged))
    # The same features do say on which side it sounds.
    right, asked = hits(features, np.array([scene.mirrored for scene in scenes]) != exchanged)
    assert right / asked > 0.95


def _two_ears(audio):
    """Time difference, levels and level differences in eight bands, peaks."""
    bands = np.log((np.abs(np.fft.rfft(audio))[:, :12000] ** 2).reshape(2, 8, -1).mean(-1) + 1e-9)
    return np.array([lag(audio), *bands[0], *bands[1], *(bands[0] - bands[1]), *np.abs(audio).max(1)])


def test_frames_alone_do_not_tell_that_they_were_mirrored(staged):
    stage, scenes, _, mirrored = staged
    frames = [next(iter(stage.frames(scene))) for scene in scenes]
    thumbnails = [
        cv2.resize(np.ascontiguousarray(each[:, ::-1] if coin else each), (14, 8), interpolation=cv2.INTER_AREA)
        for each, coin in zip(frames, mirrored, strict=True)
    ]
    assert is_chance(*hits(np.stack(thumbnails).reshape(len(scenes), -1) / 255, mirrored))


@pytest.fixture(scope="module")
def both_sides():
    """Scenes of the stage with sources on both sides, and their audio."""
    stage = Stage(StageOptions(seed=33, seconds=0.5, sample_rate=16000, sides="both"))
    scenes = [stage.describe(index) for index in range(80)]
    return scenes, [stage.audio(scene) for scene in scenes]


def sides_of(scene):
    """Side of each source after a quarter of a second, 1 on the left."""
    sources = [thing for thing in scene.things if thing.sounding]
    return np.sign([thing.path.at(np.array(0.25))[0] for thing in sources]) * (-1 if scene.mirrored else 1)


def stage_questions(scenes):
    """As `questions`: side of the first source; whether two sources, of scenes with two, are on the same side."""
    sides = [*map(sides_of, scenes)]
    two = np.array([len(each) == 2 for each in sides])
    return {
        "left": (np.ones(len(scenes), bool), np.array([each[0] > 0 for each in sides])),
        "alike": (two, np.array([each[0] == each[-1] for each in sides])),
    }


@pytest.mark.parametrize("question", ["left", "alike"])
def test_the_level_says_nothing_about_the_sides(both_sides, question):
    scenes, waveforms = both_sides
    chosen, answers = stage_questions(scenes)[question]
    level = np.array([[20 * np.log10(np.sqrt((audio**2).mean())), np.abs(audio).max()] for audio in waveforms])
    asked = answers[chosen]
    chance = max(asked.mean(), 1 - asked.mean())
    assert is_chance(*hits(level[chosen], asked), chance)


def test_the_background_says_nothing_about_the_sides():
    stage = Stage(StageOptions(seed=34, sides="both"))
    scenes = [stage.describe(index) for index in range(300)]
    lens = Camera(64, 32, np.pi / 2)
    frames = [draw_background(scene.background, lens)[:, :: -1 if scene.mirrored else 1] for scene in scenes]
    small = [cv2.resize(np.ascontiguousarray(each), (8, 4), interpolation=cv2.INTER_AREA) for each in frames]
    features = np.stack(small).reshape(len(scenes), -1) / 255
    left = np.array([sides_of(scene)[0] > 0 for scene in scenes])
    assert is_chance(*hits(features, left))


def test_the_looks_of_an_object_on_the_stage_do_not_say_whether_it_sounds():
    stage = Stage(StageOptions(seed=35, sides="both"))
    scenes = [scene for scene in map(stage.describe, range(1200)) if not all(each.sounding for each in scene.things)]
    features = [np.stack([*map(looks_of, scene.things)]) for scene in scenes]
    found, expected, deviation = picks_of_the_sounding(scenes, features)
    assert abs(found - expected) < 3.3 * deviation


def twins(scene):
    """The two objects of one kind, or nothing."""
    kinds = [thing.kind for thing in scene.things]
    return [thing for thing in scene.things if kinds.count(thing.kind) == 2]


def test_one_frame_does_not_say_which_twin_sounds():
    stage = Stage(StageOptions(seed=36, seconds=0.25, width=112, height=64, frame_rate=4.0, sides="both"))
    scenes = [scene for scene in map(stage.describe, range(200)) if twins(scene)]
    features = []
    for scene in scenes:
        frames = np.stack(list(stage.frames(scene))).astype(float)
        inside = [_inside(frames, stage.truth(scene), thing.number)[0] for thing in twins(scene)]
        features.append(np.concatenate([[*each.mean((0, 1)), *each.std((0, 1)), each.size] for each in inside]))
    assert is_chance(*hits(np.stack(features), np.array([twins(scene)[0].sounding for scene in scenes])))


def test_pulsing_in_time_with_the_sound_does_say_which_twin_sounds():
    small = {"sample_rate": 16000, "width": 112, "height": 64, "room": False}
    stage = Stage(StageOptions(seed=37, seconds=1.5, sides="both", **small))
    right = []
    for scene in (each for each in map(stage.describe, range(400)) if len(each.things) == 2 and twins(each)):
        frames, truth = np.stack(list(stage.frames(scene))).astype(float), stage.truth(scene)
        envelope = _envelope(stage.audio(scene), len(frames))
        brightness = [[box.mean() for box in _inside(frames, truth, thing.number)] for thing in scene.things]
        likeness = [np.corrcoef(each, envelope)[0, 1] for each in brightness]
        right.append(scene.things[int(np.argmax(likeness))].sounding)
    assert len(right) > 20
    assert np.mean(right) > 0.75


def _inside(frames, truth, number):
    """Pixels of an object's box, frame by frame."""
    rows = [row for row in truth.to_pylist() if row["object"] == number]
    height, width = frames.shape[1:3]
    return [
        frame[int(row["y_min"] * height) : int(row["y_max"] * height) + 1,
              int(row["x_min"] * width) : int(row["x_max"] * width) + 1]
        for frame, row in zip(frames, rows, strict=True)
    ]  # fmt: skip


def _envelope(audio, frames):
    """Loudness of each frame's stretch of the audio."""
    stretches = audio[:, : audio.shape[1] // frames * frames].reshape(2, frames, -1)
    return (stretches**2).mean((0, 2)) ** 0.25
