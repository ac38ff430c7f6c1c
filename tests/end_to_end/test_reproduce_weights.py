"""`avssl reproduce weights`: a run, its encoders in half precision, and a card with their numbers."""

import json

import pytest
from avssl_downstream.correspondence import Correspondence
from click.testing import CliRunner

from avssl.cli import main
from avssl.models import Encoders
from avssl.models.encoder_io import find_folder
from avssl.reproduce import shipped_weights

NAME = "avsa-foa-iv-small"
STATISTICS = """row,metric,statistic,value,low,high,chance,videos,values
untrained encoders,avsa_bin,mean,0.1,0.1,0.1,0.5,18,48
"pretrained, not adapted",avsa_bin,mean,0.4372,0.382,0.486,0.5,18,48
"pretrained, not adapted",avsa_bin_among_yaws,mean,0.583,0.514,0.656,0.5,18,48
"pretrained, not adapted",avc_bin,mean,0.525,0.428,0.623,0.5,18,48
"""


@pytest.fixture
def short_recipe(short_scenes, tmp_path, monkeypatch):
    """In place of the shipped recipe, one of two steps."""
    path = tmp_path / "short.yaml"
    path.write_text(
        f"base: avsa/small\n"
        f"data: {{manifest: {short_scenes}, batch: 4, workers: 0, seconds: 0.5}}\n"
        "options: {crops: 2, size: 32}\n"
        "train: {steps: 2, precision: 32-true}\n"
        "probe: {crops: 2, epochs: 1, train_draws: 1, test_draws: 1, precision: 32-true, workers: 0}\n"
    )
    monkeypatch.setitem(shipped_weights.RECIPES, NAME, str(path))


def weights(tmp_path, *flags):
    return CliRunner().invoke(
        main, ["reproduce", "weights", "--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs"), *flags]
    )


@pytest.fixture
def probed(monkeypatch):
    """Fingerprint of the encoders and metrics of each evaluation by the correspondence head."""
    found, fit = [], Correspondence.fit

    def recorded(head, folder):
        found.append((head.encoders.fingerprint(), fit(head, folder)))
        return found[-1][1]

    monkeypatch.setattr(Correspondence, "fit", recorded)
    return found


def test_card_has_the_numbers_of_the_rounded_weights(short_recipe, probed, tmp_path):
    clips = tmp_path / "clips"
    clips.mkdir()
    (clips / "statistics.csv").write_text(STATISTICS)
    done = weights(tmp_path, "--real-clips", str(clips))
    assert done.exit_code == 0, done.output
    results = json.loads((tmp_path / "out" / "config.json").read_text())["results"]
    assert results["fingerprint"] == Encoders.from_pretrained(tmp_path / "out").fingerprint()
    assert results["AVSA-Bin, real clips, no adaptation"] == "43.7 % [38.2, 48.6], chance 50 %"
    by_rank = "58.3 % [51.4, 65.6], chance 50 %, at most 87.5 %"
    assert results["AVSA-Bin by rank, real clips, no adaptation"] == by_rank
    fingerprint, metrics = probed[-1]
    assert fingerprint == results["fingerprint"]
    shown = results["AVSA-Bin, held-out synthetic scenes"]
    assert shown.startswith(f"{100 * metrics['avsa_bin']:.1f} % [")
    assert shown.endswith(f"chance 50 %, ideal observer {100 * metrics['avsa_bin_ideal_both']:.1f} %")
    full = Encoders.from_pretrained(find_folder(tmp_path / "runs" / NAME))
    assert full.fingerprint() != results["fingerprint"]
    assert all(text in done.output for text in results.values())


def test_mistakes_are_one_line_and_nothing_is_written(short_recipe, tmp_path):
    clips = tmp_path / "clips"
    clips.mkdir()
    (clips / "statistics.csv").write_text(STATISTICS.replace("pretrained, not adapted", "scratch"))
    for flags, message in (
        (("--name", "avsa-foa-iv-smal"), "expected a name of avsa-foa-iv-small"),
        (("--real-clips", str(tmp_path / "none")), "none"),
        (("--real-clips", str(clips)), "expected the row 'pretrained, not adapted'"),
    ):
        failed = weights(tmp_path, *flags)
        assert failed.exit_code == 2, failed.output
        assert message in failed.output
        assert "Traceback" not in failed.output
        assert not (tmp_path / "out").exists()
