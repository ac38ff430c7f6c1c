import json

import pytest
from click.testing import CliRunner

from avssl.cli import main
from avssl.study.answers import Answers
from avssl.study.study_folder import read_study


def _run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def _tracks(films):
    """Options for the tracks of films."""
    for film in films:
        yield from ("--film", f"{film.name}={film.video}")
        for condition, path in film.tracks.items():
            yield from ("--track", f"{film.name}:{condition}={path}")


def test_a_study_is_made_answered_reported_and_exported(films, tmp_path):
    done = _run(
        "study", "make", tmp_path / "study", *_tracks(films), "--title", "Rooms", "--attention-checks", 0, "--no-back"
    )
    assert done.exit_code == 0, done.output
    assert done.output == f"{tmp_path / 'study'}: 3 films, conditions recorded, ours, mono\n"
    study = read_study(tmp_path / "study")
    assert (study.spec.title, study.spec.go_back, study.spec.attention_checks) == ("Rooms", False, 0)
    with Answers(study) as answers:
        one = answers.join()
        for trial in range(3):
            one = answers.answer(one, trial, "real", 1.0, False)
    done = _run("study", "report", tmp_path / "study", "--out", tmp_path / "report")
    assert done.exit_code == 0, done.output
    assert "| all | recorded | 100.0 % | 20.7 to 100.0 % | 1 |" in done.output
    assert json.loads((tmp_path / "report" / "report.json").read_text())["participants"] == 1
    done = _run("study", "export", tmp_path / "study", tmp_path / "answers.csv")
    assert done.output == f"{tmp_path / 'answers.csv'}: 3 answers\n"
    assert len((tmp_path / "answers.csv").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["make", "OUT"], "expected --design FILE, or --film NAME=FILE and --track NAME:CONDITION=FILE, got none"),
        (
            ["make", "OUT", "--design", "d.yaml", "--seed", "1"],
            "expected --design, or a design by other options, got both",
        ),
        (["make", "OUT", "--design", "d.yaml"], "d.yaml: expected the design of a study"),
        (["make", "OUT", "--film", "x"], "--film: expected NAME=FILE, got 'x'"),
        (["make", "OUT", "--film", "a=a.mp4", "--track", "b:c=d"], "--track: expected NAME:CONDITION=FILE of a --film"),
        (["serve", "OUT"], "OUT: expected a study folder with study.json, found none"),
        (["report", "OUT"], "OUT: expected a study folder with study.json, found none"),
    ],
)
def test_wrong_options_are_one_line_and_write_nothing(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    done = _run("study", *words)
    assert done.exit_code == 2
    assert message in done.output
    assert len(done.output.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
