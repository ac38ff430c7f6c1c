import json

import numpy as np
import pytest

from avssl.errors import InputError, MissingFileError, OutputError
from avssl.media import read_all_audio, write_audio
from avssl.study.study_folder import check_bursts, make_study, read_study
from avssl.study.study_spec import StudyFilm, StudySpec, read_spec
from avssl.study.trial_order import CHECK

DESIGN = """
title: Rooms
question: preference
pairs: [[ours, mono]]
go_back: false
films:
  - {name: street, video: street.mp4, tracks: {ours: street-ours.wav, mono: street-mono.wav}}
  - {video: river.mp4, tracks: {ours: river-ours.wav, mono: river-mono.wav}}
"""


def test_a_study_folder_needs_nothing_outside_it(films, tmp_path):
    made = make_study(StudySpec(films, seed=3), tmp_path / "made", progress=False)
    (tmp_path / "made").rename(tmp_path / "moved")
    moved = read_study(tmp_path / "moved")
    assert [film.name for film in moved.spec.films] == ["street", "concert", "river"]
    assert moved.spec.seed == made.spec.seed == 3
    for number, film in enumerate(moved.spec.films):
        for condition, path in film.tracks.items():
            assert path.is_relative_to(tmp_path / "moved")
            assert path.read_bytes() == films[number].tracks[condition].read_bytes()
            assert condition not in path.name
    path, layout = moved.track(1, CHECK)
    assert layout == "ambix"
    assert read_all_audio(path)[0].shape == (4, 96000)


def test_checks_are_plane_waves_from_changing_sides():
    bursts = check_bursts(4.0, 8000, 4)
    w, y, z, x = bursts.T
    np.testing.assert_allclose(y**2 + z**2 + x**2, w**2, atol=1e-7)
    azimuths = [np.arctan2(y[at], x[at]) for at in range(100, 32000, 6400)]
    turns = np.abs(np.angle(np.exp(1j * np.diff(azimuths))))
    assert len(azimuths) == 5
    assert np.all((turns > 2) | np.isclose(turns, np.pi - 2.4, atol=0.8))
    assert np.sqrt((w[:3200] ** 2).mean()) == pytest.approx(0.05, rel=0.05)
    assert not w[3200:6400].any()


def test_a_design_is_read_from_yaml_with_paths_beside_it(films):
    folder = films[0].video.parent
    (folder / "design.yaml").write_text(DESIGN)
    spec = read_spec(folder / "design.yaml")
    assert (spec.title, spec.question, spec.pairs, spec.go_back) == ("Rooms", "preference", (("ours", "mono"),), False)
    assert [film.name for film in spec.films] == ["street", "river"]
    assert spec.films[1].tracks["mono"] == folder / "river-mono.wav"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title: Rooms", "titel: Rooms", r"got titel \(did you mean 'title'\?\)"),
        ("preference", "taste", "expected real-or-fake or preference as 'question', got taste"),
        ("go_back: false", "go_back: 1", "expected true or false as 'go_back', got 1"),
        ("[[ours, mono]]", "[[ours, best]]", "expected two of the conditions ours, mono as a pair"),
        ("river-mono.wav", "gone.wav", r"gone\.wav: expected a sound track, there is no such file"),
        ("mono: river-mono.wav", "loud: river-mono.wav", "film 'river': expected a track for each of ours, mono, got"),
        ("video: river.mp4", "video: street.mp4", "expected a name of its own for each film, got street twice"),
        ("{video: river.mp4, ", "{", "film 1: expected 'name', 'video' and 'tracks'"),
        ("films:", "firms:", "expected the keys"),
        ("title: Rooms", "consent: ''", "expected a consent text"),
    ],
)
def test_a_wrong_design_is_one_line_with_file_and_row(films, old, new, message):
    path = films[0].video.parent / "wrong.yaml"
    path.write_text(DESIGN.replace(old, new))
    with pytest.raises(InputError, match=message) as error:
        read_spec(path)
    assert str(path.parent) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_track_of_another_length_or_without_sound_leaves_nothing_behind(films, tmp_path):
    film = films[0]
    write_audio(tmp_path / "short.wav", np.zeros((4, 48000)), 48000)
    cases = (
        (tmp_path / "short.wav", "expected a track as long as its film, 2.00 s, got 1.00 s"),
        (film.video, "expected the sound track 'mono' of 'street', got a file without sound"),
    )
    for path, message in cases:
        wrong = StudyFilm("street", film.video, {"recorded": film.tracks["recorded"], "mono": path})
        with pytest.raises(InputError, match=message):
            make_study(StudySpec((wrong,)), tmp_path / "study", progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["short.wav"]


def test_a_folder_with_something_in_it_is_left_alone(films, tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(OutputError, match="expected a folder that is not there or empty, got something in it"):
        make_study(StudySpec(films), tmp_path, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_study_file_that_leads_outside_or_is_broken_is_refused(study):
    path = study.folder / "study.json"
    note = json.loads(path.read_text())
    for change, message in (
        (
            lambda films: films[0].update(video="../secret.mp4"),
            "expected files in the folder of the study, got ../secret",
        ),
        (
            lambda films: films[0].update(video="/etc/passwd"),
            "expected files in the folder of the study, got /etc/passwd",
        ),
        (lambda films: films[0].update(video="media/gone.mp4"), "expected the file media/gone.mp4 of the study"),
        (lambda films: films[0].pop("tracks"), "expected a study as `avssl study make` writes it"),
    ):
        changed = json.loads(json.dumps(note))
        change(changed["films"])
        path.write_text(json.dumps(changed))
        with pytest.raises(InputError, match=message):
            read_study(study.folder)
    with pytest.raises(MissingFileError, match="expected a study folder with study.json, found none"):
        read_study(study.folder.parent)
