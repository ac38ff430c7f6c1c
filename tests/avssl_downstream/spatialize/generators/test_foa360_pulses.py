"""foa360: in windows of training and of inference, frames are in step with the audio that their objects pulse with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from avssl_downstream.spatialize.evaluation_clips import clip_frames, target_audio
from avssl_downstream.spatialize.frame_features import FrameFeatures, RecordedFrames
from avssl_downstream.spatialize.inference import WindowSchedule
from avssl_downstream.spatialize.networks.pulse_scores import COURSES, PulseScores
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.registry import build_generator
from avssl_downstream.spatialize.training import optimizer_options
from einops import rearrange

from avssl.data.loader import read_clip
from avssl.datasets.manifest import read_manifest
from avssl.recipe_files import resolve
from avssl.spatial.stft import level
from avssl.synth.scene import describe
from avssl.synth.synth360 import synth360
from avssl.train.optim import optimizer

SEED, SCENES = 11, 40
OWN = {
    "network": "pointing", "sample_rate": 24000, "n_fft": 1024, "hop": 512, "stft_frames": 48, "output_seconds": 0.75,
    "bands": 16, "tracks": 4, "units": 4, "rows": 64, "columns": 128, "wrap_padding": 8, "frame_rate": 16,
    "pulse_frames": 13, "yaw": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """A manifest of scenes, and of those with one source its number."""
    out = tmp_path_factory.mktemp("scenes")
    synth360(out, SCENES, 1.6, SEED, width=128, workers=1, progress=False)
    sounding = {index: [each for each in describe(SEED, index).things if each.sounding] for index in range(SCENES)}
    return read_manifest(out), {index: each[0] for index, each in sounding.items() if len(each) == 1}


@pytest.fixture(scope="module")
def generator():
    torch.manual_seed(0)
    return build_generator(SpatializeOptions(generator="foa360", generator_options=OWN), None)


def scores_of(generator, audio, courses):
    """Scores of the cells `(h, w)` by the chroma of their neighbourhood, of one window."""
    sizes = generator.options.sizes
    found = PulseScores(COURSES * 13, 13, 1, (16, 48), 24000 / (512 * 16))
    found.weights.data[:, 3] = 1
    magnitude = generator.model.magnitude(sizes.stft.stft(audio[None] / level(audio[None])))
    with torch.no_grad():
        return rearrange(found(magnitude, courses[None]), "1 1 (h w) -> h w", h=generator.cells[0])


def at_source(scores, thing, seconds):
    rows, columns = scores.shape
    azimuth, elevation, _ = (float(each[0]) for each in thing.path.at(np.array([seconds])))
    row, column = int((0.5 - elevation / np.pi) * rows), int((0.5 - azimuth / (2 * np.pi)) % 1 * columns)
    return float(scores[min(row, rows - 1), column])


def in_step(found):
    """Most of them; sources whose level hardly changes have a score of about 0."""
    return np.mean(found) > 0.08 and np.mean(np.array(found) > 0) > 0.7


def test_windows_of_training(scenes, generator):
    manifest, sources = scenes
    data = SpatializeOptions(generator="foa360", generator_options=OWN).data(generator, 1)
    right, late = [], []
    for index, thing in sources.items():
        clip = read_clip(manifest.rows[index], manifest.root, data, 24000, np.random.default_rng(index))
        views, middle = generator.views(clip, np.random.default_rng(0)), clip.labels["start"] + generator.seconds / 2
        for found, courses in ((right, views["courses"]), (late, shifted(views["courses"]))):
            found.append(at_source(scores_of(generator, views["audio"][:1], courses), thing, middle))
    assert in_step(right)
    assert np.mean(late) < 0.3 * np.mean(right)  # with the frames of a sixteenth of a second later


def shifted(courses):
    return rearrange(rearrange(courses, "(C T) h w -> C T h w", T=13).roll(-1, 1), "C T h w -> (C T) h w")


def test_windows_of_inference(scenes, generator):
    manifest, sources = scenes
    found = []
    for index, thing in sources.items():
        row = manifest.rows[index]
        frames = RecordedFrames(generator, clip_frames(row, manifest), row.seconds)
        features = FrameFeatures(generator, frames)

        def window(windows, starts, features=features, thing=thing):
            for each, start in zip(windows, starts, strict=True):
                middle = (start + generator.samples / 2) / 24000
                if 0.5 < middle < 1.1:  # frames before and after it are of the clip
                    planes = features.at([middle])[0, -COURSES * 13 :]
                    found.append(at_source(scores_of(generator, each, planes), thing, middle))
            return windows.expand(-1, 4, -1)

        WindowSchedule(0.0, 1).process(generator, window, target_audio(row, manifest, generator)[:1])
    assert in_step(found)


@pytest.mark.parametrize("variant", ["", "-no-flow", "-no-rgb", "-no-separation", "-no-video", "-unet"])
@pytest.mark.parametrize("own", [{}, {"generator_options": {"pulse_frames": 0}}, {"visual_branch": "none"}])
def test_pulses_have_a_rate_of_their_own_where_there_are_any(variant, own):
    options = resolve(SpatializeOptions, f"spatialize/foa360-pointing{variant}", own)
    network = build_generator(options, None)
    groups = optimizer(network, optimizer_options(network, options)).param_groups
    rates = {group["multiplier"]: len(group["params"]) for group in groups}
    assert rates.get(5.0, 0) == (2 if not own and variant not in ("-no-rgb", "-no-video", "-unet") else 0)
