"""What `avssl report` writes, from run folders to table, CSV and figure."""

import csv
import io
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

from avssl.cli import main
from avssl.report.column import Column
from avssl.report.comparison import compare
from avssl.report.figure import figure
from avssl.report.report import report
from avssl.report.runs import read_runs
from avssl.report.sheet import runs_csv

PLAIN, BETTER = [0.70, 0.72, 0.69], [0.81, 0.84, 0.80]


@pytest.fixture
def folders(scored):
    return [
        *scored("AVSA baseline", PLAIN, published={"avsa_bin": 0.71}),
        *scored("AVSA + FOA-IV", BETTER, published={"avsa_bin": 0.81}),
    ]


def table(text):
    """Cells of a Markdown table."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines if not set(line) <= set("|-: ")
    ]


def read_csv(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_table_holds_means_intervals_differences_and_the_papers_numbers(folders):
    heading, plain, better, apart = table(report(folders))
    assert heading == ["run", "seeds", "AVSA-Bin %", "paper"]
    low, high = 100 * np.array(stats.t.interval(0.95, 2, np.mean(PLAIN), stats.sem(PLAIN)))
    assert plain == ["AVSA baseline", "3", f"70.3 ± 1.5 [{low:.1f}, {high:.1f}]", "71.0"]
    assert better[2].startswith("81.7 ± 2.1 [")
    found = stats.ttest_rel(BETTER, PLAIN).confidence_interval()
    assert apart == ["difference", "", f"**+11.3 [+{100 * found.low:.1f}, +{100 * found.high:.1f}]**", "+10.0"]


def test_footnote_says_how_intervals_were_made_and_from_how_many_seeds(folders, scored):
    text = report(folders)
    assert "Student's t over 3 seeds" in text
    assert "paired by seed [95 % interval, Student's t over 3 pairs]" in text
    assert "Differences to *AVSA baseline*" in text
    assert "Chance is 50 % for AVSA-Bin." in text
    assert "‡" not in text
    assert "†" not in text
    mixed = report([*folders, *scored("two", [0.6, 0.7], seeds=[4, 5]), *scored("one", [0.6])])
    rows = {cells[0]: cells for cells in table(mixed)}
    assert rows["one"][2] == "60.0 [58.0, 62.0] †"
    assert [cells[2][-1] for cells in table(mixed) if cells[0] == "difference"] == ["*", "‡", "3"]
    for said in ("† One run", "‡ not the same seeds as the baseline", "Welch's t", "one seed", "over 2 or 3 seeds"):
        assert said in mixed


def test_bold_is_what_leaves_out_zero(scored):
    rows = table(report([*scored("a", [0.7, 0.72]), *scored("b", [0.71, 0.72]), *scored("c", [0.6, 0.62])]))
    apart = [cells[2] for cells in rows if cells[0] == "difference"]
    assert not apart[0].startswith("**")
    assert apart[1] == "**-10.0 [-10.0, -10.0]**"


def test_only_metrics_that_rows_are_judged_by_are_shown_unless_asked_for(make_run):
    metrics = {"loss": 2.0, "test_loss": 3.0, "test_swap_acc": 0.97, "test_eer": 0.25, "clips_per_second": 71.68}
    folder = make_run("a", metrics=metrics, task="swap")
    assert table(report([folder])) == [
        ["run", "seeds", "Swap-Acc %", "eer", "clips/s"],
        ["swap foa-iv", "1", "97.0", "0.250", "71.7"],
    ]
    assert table(report([folder], metrics=["test_loss", "loss"]))[1][2:] == ["3.00", "2.00"]
    with pytest.raises(ValueError, match=r"no run has the metric 'los' \(did you mean 'loss'\?\)"):
        report([folder], metrics=["los"])


def test_files_hold_every_number_that_the_statistics_are_made_of(folders, tmp_path):
    report(folders, tmp_path / "out")
    runs, found = (read_csv((tmp_path / "out" / name).read_text()) for name in ("runs.csv", "report.csv"))
    for line in found:
        scores = [float(run["avsa_bin"]) for run in runs if run["row"] == line["row"]]
        assert float(line["mean"]) == pytest.approx(np.mean(scores), rel=1e-12)
        assert float(line["deviation"]) == pytest.approx(np.std(scores, ddof=1), rel=1e-12)
    assert [float(run["avsa_bin"]) for run in runs] == PLAIN + BETTER
    assert [run["seed"] for run in runs] == ["0", "1", "2"] * 2
    assert (found[1]["baseline"], found[1]["difference_interval"], found[1]["published"]) == (
        "AVSA baseline",
        "paired",
        "0.81",
    )
    assert float(found[1]["published_difference"]) == pytest.approx(0.1)
    assert (tmp_path / "out" / "report.md").read_text().startswith(report(folders))


def test_what_tells_runs_apart_is_in_the_file_of_runs(make_run):
    options = {"a": {"crops": 4}, "b": {"crops": 6, "size": float("inf")}}
    folders = [make_run(name, metrics={"avsa_bin": 0.5}, options=each) for name, each in options.items()]
    lines = read_csv(runs_csv(compare(read_runs(folders)[0])))
    assert [(line["options.crops"], line["options.size"]) for line in lines] == [("4", ""), ("6", "inf")]


def test_figure_draws_means_intervals_chance_and_hollow_published_numbers(folders):
    made = figure(compare(read_runs(folders)[0]))
    (axes,) = made.axes
    lines = [(line.get_xdata(), line.get_ydata(), line) for line in axes.lines]
    hollow = [(x[0], round(y[0])) for x, y, line in lines if line.get_markerfacecolor() == "white"]
    assert hollow == [(71.0, 0), (81.0, 1)]
    assert [list(x) for x, _, line in lines if line.get_linestyle() == "--"] == [[50.0, 50.0]]
    spans = [list(x) for x, y, _ in lines if len(x) == 2 and y[0] == y[1]]
    expected = [100 * np.array(stats.t.interval(0.95, 2, np.mean(s), stats.sem(s))) for s in (PLAIN, BETTER)]
    np.testing.assert_allclose(spans, expected)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["AVSA baseline", "AVSA + FOA-IV"]
    top, bottom = axes.get_ylim()[::-1]
    assert top < 0 < 1 < bottom  # the first row is on top


def test_image_and_vectors_are_written_and_linked(folders, tmp_path):
    report(folders, tmp_path / "o ut")
    assert (tmp_path / "o ut" / "report.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "o ut" / "report.pdf").read_bytes().startswith(b"%PDF")
    assert "](report.png)" in (tmp_path / "o ut" / "report.md").read_text()
    assert len(list((tmp_path / "o ut").iterdir())) == 5


def test_the_same_runs_give_the_same_bytes(folders, tmp_path):
    for name in ("a", "b"):
        report(folders, tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path


def test_a_title_cannot_break_table_or_figure(scored, tmp_path):
    title = "a | b $x_{ <!-- end of report --> \n c"
    text = report(scored(title.replace("\n", " "), [0.7, 0.8]), tmp_path / "out")
    assert table(text)[1][0] == r"a \| b $x_{ &lt;!-- end of report --> c"
    assert len(table(text)[1]) == len(table(text)[0])


def test_unfinished_and_missing_are_named_in_the_table(folders, make_run, scored, tmp_path, caplog):
    begun = make_run("begun", metrics={"steps": 40})
    empty = make_run("empty")
    (empty / "metrics.json").unlink()
    stale = make_run("stale", metrics={"steps": 100, "probed_steps": 60})
    partial = make_run("partial", 3, title="AVSA baseline", published={"avsa_bin": 0.71})
    (tmp_path / "runs" / "notes.log").touch()
    text = report([*folders, begun, empty, stale, partial, tmp_path / "runs" / "notes.log"])
    assert [line.removeprefix(f"{tmp_path / 'runs'}/") for line in caplog.messages] == [
        "begun: unfinished (40 of 100 steps), left out",
        "empty: unfinished (no numbers in metrics.json), left out",
        "stale: measured after 60 of 100 steps (run it once more), left out",
        "notes.log: no run folder (no config.yaml), left out",
    ]
    assert "- begun: unfinished (40 of 100 steps), left out" in text
    assert "notes.log" not in text
    assert "- partial: no avsa_bin, which other runs of its row have" in text
    assert table(text)[1][2].endswith("] (3 of 4)")
    assert str(tmp_path) not in text


@pytest.mark.heavy
def test_reporting_does_not_import_torch(folders, tmp_path):
    arguments = ["report", *map(str, folders), "--out", str(tmp_path / "out")]
    run = f"from avssl.cli import main; main({arguments}, standalone_mode=False)"
    subprocess.run([sys.executable, "-c", f"import sys; {run}; assert 'torch' not in sys.modules"], check=True)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.yaml", "task: [", "config.yaml: expected the config of a run"),
        ("config.yaml", "- a\n", "config.yaml: expected a mapping"),
        ("config.yaml", "", "config.yaml: expected the config of a run, it names no task"),
        ("config.yaml", b"\x00\xff", "config.yaml: expected the config of a run"),
        ("config.yaml", "task: avsa\ntrain: 3\n", "config.yaml: train is a mapping of names to values, not 3"),
        ("config.yaml", "task: avsa\ntrain: {seed: one}\n", "config.yaml: train.seed is a whole number, not 'one'"),
        ("config.yaml", "task: avsa\npublished: {avsa_bin: 71}\n", "published.avsa_bin is 71, expected a share"),
        ("config.yaml", "task: avsa\npublished: {avsa_bin: high}\n", "published.avsa_bin is a number, not 'high'"),
        ("metrics.json", "{", "metrics.json: expected a flat JSON object of numbers"),
        ("metrics.json", "[1]", "metrics.json: expected a flat JSON object of numbers"),
        ("metrics.json", '{"a": {"b": 1}}', "metrics.json: expected a flat JSON object of numbers"),
        ("metrics.json", '{"a": 1' + "0" * 400 + "}", "metrics.json: expected a flat JSON object of numbers"),
        ("metrics.json", "[" * 100000, "metrics.json: expected a flat JSON object of numbers"),
        ("metrics.json", '{"avsa_bin": 88.5}', "metrics.json: avsa_bin is 88.5, expected a share"),
        ("metrics.json", "{}", "no finished run: "),
    ],
)
def test_a_broken_run_is_told_in_one_line_and_nothing_is_written(make_run, tmp_path, file, content, message):
    folder = make_run("a", metrics={"avsa_bin": 0.7})
    (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    result = CliRunner().invoke(main, ["report", str(folder), "--out", str(tmp_path / "out")])
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert len(result.output.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_reported_is_told_in_one_line(make_run, tmp_path):
    folder = make_run("a", 0, {"avsa_bin": 0.7}, published={"avsa_bin": 0.7})
    other = make_run("b", 1, {"avsa_bin": 0.7}, published={"avsa_bin": 0.8})
    for arguments, message in (
        (["nowhere"], "nowhere: expected a run folder"),
        ([str(tmp_path)], "no run folder (no config.yaml)"),
        ([str(folder.parent)], f"it holds some: give {folder.parent}/*"),
        ([str(folder), "--metric", "avsa_bim"], "did you mean 'avsa_bin'"),
        ([str(folder), "--baseline", "x"], "no row is titled 'x'"),
        ([str(folder), "--same", "data.manifests"], "did you mean 'data.manifest'"),
        ([str(folder), "--out", str(folder / "config.yaml")], "config.yaml"),
        ([str(folder), str(other)], "b: published.avsa_bin is 0.8, 0.7 in other runs of its row"),
        ([str(make_run("c"))], "no run was measured on held-out clips; choose metrics to show, of steps"),
        ([], "Missing argument"),
    ):
        result = CliRunner().invoke(main, ["report", *arguments])
        assert result.exit_code == 2, result.output
        assert message in result.output
        assert "Traceback" not in result.output


def test_accuracies_and_gains_are_shown_in_per_cent():
    for name in ("accuracy", "accuracy_random", "clip_top5", "avsa_bin_1_low", "test_stft_below_mono"):
        assert Column(name).text(0.125, 0.5) == "12.5", name
    assert Column("test_stft_below_mono").text(-0.04, 0.1) == "-4.0"
    for name in ("test_stft", "log_loss", "recording", "accurate"):
        assert not Column(name).share, name


def test_reports_written_into_one_document_at_once_all_stay(folders, tmp_path):
    names = [f"part-{number}" for number in range(8)]
    document = tmp_path / "RESULTS.md"
    document.write_text("".join(f"<!-- avssl report {name} -->\n<!-- end of report {name} -->\n" for name in names))
    with ThreadPoolExecutor(len(names)) as threads:
        written = list(threads.map(lambda name: report(folders, into=document, part=name), names))
    assert document.read_text().count(written[0].strip()) == len(names)
    assert {path.name for path in tmp_path.iterdir()} == {"RESULTS.md", "runs"}


def test_a_run_whose_name_is_not_utf8_is_reported(scored, tmp_path):
    [run] = scored("plain", PLAIN[:1])
    odd = run.rename(run.with_name("caf\udce9"))
    out = tmp_path / "out\udcff"
    report([odd], out)
    assert "caf\\xe9" in (out / "runs.csv").read_text(encoding="utf-8")


def test_observers_and_chance_stand_in_the_footnote_and_not_in_columns(make_run):
    metrics = {"avc_bin": 0.8, "avc_bin_low": 0.7, "avc_bin_high": 0.9, "test_avc_acc": 0.1}
    metrics |= {"avc_bin_cosine": 0.8, "avc_bin_cosine_low": 0.7, "avc_bin_cosine_high": 0.9}
    metrics |= {"test_avc_acc_chance": 0.03125, "test_peak": 12.0, "test_peak_ideal": 3.0, "test_peak_any_object": 50.0}
    folders = []
    for seed, kinds in enumerate((0.17, 0.19)):
        ideal = {"test_avc_acc_ideal_kinds": kinds, "test_avc_acc_ideal_both": 0.5, "avc_bin_ideal_kinds": 0.825}
        folders.append(make_run(f"a{seed}", seed, metrics | ideal))
    text = report(folders)
    header = text.splitlines()[0]
    assert [title for title in ("AVC-Bin %", "AVC-Acc %", "peak") if title in header] == [
        "AVC-Bin %",
        "AVC-Acc %",
        "peak",
    ]
    assert not any(word in header for word in ("cosine", "ideal", "chance", "any_object"))
    assert "Ideal observers from the ground truth: AVC-Bin % kinds 82.5; AVC-Acc % kinds 18.0, both 50.0." in text
