"""Table of an evaluation: energy explained first, rows that are absent with their reason."""

from avssl_downstream.spatialize.evaluation_table import evaluation_table

METRICS = {
    "test_stft": 0.5,
    "test_explained": 0.1234,
    "test_explained_low": -0.0004,
    "test_explained_high": 0.2,
    "silence_stft": 0.57,
    "silence_explained": 0.0,
    "test_direction_error": 45.67,
    "chance_direction_error": 90.0,
    "seen_explained": 0.8,
}


def test_energy_explained_is_the_first_column():
    lines = evaluation_table(METRICS, {"deaf": "a single clip"}).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert cells[0] == ["", "energy explained %", "direction error °", "STFT"]
    assert cells[2] == ["generator", "12.3 [0.0, 20.0]", "45.7", "0.5"]
    assert cells[3] == ["silence", "0.0 [0.0, 0.0]", "-", "0.57"]
    assert cells[4] == ["chance", "-", "90", "-"]
    assert cells[5][:2] == ["oracle: seen (perfect eye)", "80.0 [80.0, 80.0]"]
    assert lines[-1] == "- no row *deaf (masks of another clip)*: a single clip"
    assert len({len(line) for line in lines if line.startswith("|")}) == 1


def test_silence_in_second_order_is_called_plainly_decoded_first_order():
    lines = evaluation_table({**METRICS, "parametric_stft": 0.3}, {}).splitlines()
    labels = [line.split("|")[1].strip() for line in lines if line.startswith("|")]
    assert "first order, plainly decoded (silence)" in labels
    assert "first order sharpened by its own directions" in labels
    assert "silence" not in labels
