"""Small films and tracks for studies."""

from __future__ import annotations

import numpy as np
import pytest

from avssl.media import write_audio, write_video
from avssl.study.study_folder import make_study
from avssl.study.study_spec import StudyFilm, StudySpec

CONDITIONS = ("recorded", "ours", "mono")
SECONDS = 2


def write_film(folder, name, color, seconds=SECONDS):
    """A film of one colour, and a first-order track a condition."""
    frames = [np.full((64, 128, 3), color, np.uint8) for _ in range(8 * seconds)]
    write_video(folder / f"{name}.mp4", frames, 8)
    times = np.arange(48000 * seconds) / 48000
    for number, condition in enumerate(CONDITIONS):
        tone = 0.1 * np.sin(2 * np.pi * (300 + 100 * number) * times)
        write_audio(folder / f"{name}-{condition}.wav", tone * np.array([[1], [0.5], [0], [0.5]]), 48000)
    tracks = {condition: folder / f"{name}-{condition}.wav" for condition in CONDITIONS}
    return StudyFilm(name, folder / f"{name}.mp4", tracks)


@pytest.fixture(scope="session")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    return tuple(write_film(folder, name, 40 * number) for number, name in enumerate(("street", "concert", "river")))


@pytest.fixture
def study(films, tmp_path):
    return make_study(StudySpec(films, title="Rooms"), tmp_path / "study", progress=False)


@pytest.fixture
def preference(films, tmp_path):
    return make_study(StudySpec(films, question="preference", attention_checks=1), tmp_path / "study", progress=False)
