"""Which runs make a row, what it is called, and what it is compared with."""

import json

import numpy as np
import pytest
from omegaconf import OmegaConf
from scipy import stats

from avssl.config import DataConfig, FeatureConfig, ModelConfig, OptimConfig
from avssl.report.column import Column, columns
from avssl.report.row import baselines, rows
from avssl.report.runs import read_runs

SCORE = Column("avsa_bin")


def titles(folders, same=()):
    return [(row.title, len(row.runs)) for row in rows(read_runs(folders, same)[0])]


def test_runs_that_differ_only_in_the_seed_are_one_row(make_run):
    folders = [make_run(f"a{seed}", seed, {"loss": 1.0}) for seed in range(3)]
    folders.append(make_run("probed", 3, {"loss": 1.0}, probe={"seed": 3}))
    folders.append(make_run("fast", 4, {"loss": 1.0}, data=DataConfig(workers=9)))
    assert titles(folders) == [("avsa foa-iv", 5)]


def test_a_row_is_named_by_its_title_else_by_what_differs(make_run):
    folders = [
        make_run("a"),
        make_run("b", optim=OptimConfig(lr=0.01)),
        make_run("c", optim=OptimConfig(lr=0.01), options={"crops": 6}),
        make_run("d", features=FeatureConfig("foa-logmel")),
        make_run("e", title="Baseline"),
    ]
    assert [title for title, _ in titles(folders)] == [
        "avsa foa-iv, optim.lr=0.0001, no options.crops",
        "avsa foa-iv, optim.lr=0.01, no options.crops",
        "avsa foa-iv, optim.lr=0.01, options.crops=6",
        "avsa foa-logmel",
        "Baseline",
    ]


def test_rows_that_differ_in_very_much_are_named_by_a_folder(make_run):
    other = FeatureConfig(n_fft=256, hop=120, mels=32, top_db=80.0, sample_rate=16000)
    assert titles([make_run("a"), make_run("b", features=other)]) == [
        ("avsa foa-iv, as a", 1),
        ("avsa foa-iv, as b", 1),
    ]


def test_rows_of_one_task_stand_together(make_run):
    folders = [make_run(name, task=name[:-1]) for name in ("avc1", "swap1")]
    folders.append(make_run("avc2", task="avc", optim=OptimConfig(lr=0.5)))
    assert [row.task for row in rows(read_runs(folders)[0])] == ["avc", "avc", "swap"]


def test_a_config_of_an_earlier_version_is_that_of_today_with_defaults(make_run):
    old, new = make_run("old", 0), make_run("new", 1)
    config = OmegaConf.load(old / "config.yaml")
    for section, key in (("features", "beam"), ("data", "detector"), ("optim", "decoupled")):
        del config[section][key]
    for key in ("title", "published"):
        del config[key]
    OmegaConf.save(config, old / "config.yaml")
    assert titles([old, new]) == [("avsa foa-iv", 2)]


def test_a_setting_that_avssl_no_longer_knows_still_tells_runs_apart(make_run):
    old, new = make_run("old", 0), make_run("new", 1)
    with (old / "config.yaml").open("a") as file:
        file.write("gone: {some: 3}\n")
    assert titles([old, new]) == [("avsa foa-iv, gone.some=3", 1), ("avsa foa-iv, no gone.some", 1)]


def test_whole_numbers_equal_themselves_with_a_point(make_run):
    assert len(titles([make_run("a", options={"size": 64}), make_run("b", 1, options={"size": 64.0})])) == 1


def test_runs_that_start_from_runs_of_one_row_are_one_row(make_run):
    starts = [make_run(f"avc-{seed}", seed, task="avc", title="AVC") for seed in (0, 1)]
    other = make_run("other", task="avc", title="AVC", steps=50)
    folders = [make_run(f"a{i}", i, model=ModelConfig(init=str(start))) for i, start in enumerate(starts)]
    folders.append(make_run("a2", 2, model=ModelConfig(init=str(starts[0] / "encoders"))))
    folders.append(make_run("b", model=ModelConfig(init=str(other))))
    found = titles(folders)
    assert [count for _, count in found] == [3, 1]
    assert all("model.init=AVC (" in title for title, _ in found)


def test_a_run_that_names_itself_as_its_start_is_read(make_run, tmp_path):
    folder = make_run("a", model=ModelConfig(init=str(tmp_path / "runs" / "a")))
    assert titles([folder]) == [("avsa foa-iv", 1)]


def test_runs_may_be_joined_across_a_setting(make_run):
    folders = [make_run("a", 0, data=DataConfig(manifest="here")), make_run("b", 1, data=DataConfig(manifest="there"))]
    assert [count for _, count in titles(folders)] == [1, 1]
    assert titles(folders, ["data.manifest"]) == [("avsa foa-iv", 2)]


def test_a_folder_given_twice_counts_once(make_run, tmp_path, monkeypatch):
    folder = make_run("a")
    monkeypatch.chdir(tmp_path)
    assert titles([folder, folder.relative_to(tmp_path), folder.parent / ".." / "runs" / "a"]) == [("avsa foa-iv", 1)]


def test_runs_of_one_seed_are_one_draw(scored):
    first, second = scored("a", [0.7, 0.8], seeds=[0, 1])
    again = scored("a", [0.9], seeds=[0])[0].rename(first.with_name("again"))
    first = scored("a", [0.7], seeds=[0])[0]
    (row,) = rows(read_runs([first, again, second])[0])
    assert row.by_seed("avsa_bin") == pytest.approx({0: 0.8, 1: 0.8})
    assert row.estimate(SCORE).seeds == 2


def test_a_single_run_has_the_interval_of_its_own_clips(scored):
    (row,) = rows(read_runs(scored("a", [0.7]))[0])
    found = row.estimate(SCORE)
    assert (found.low, found.value, found.high, found.method) == pytest.approx((0.68, 0.7, 0.72, "bootstrap"))


def test_no_interval_leaves_the_possible(scored):
    (row,) = rows(read_runs(scored("a", [0.8, 0.99]))[0])
    assert row.estimate(SCORE).high == 1.0


def test_the_interval_of_a_gain_over_a_baseline_reaches_below_zero(make_run):
    gains = [0.1, 0.25, 0.37]
    folders = [make_run(f"a{seed}", seed, {"test_stft_below_mono": gain}) for seed, gain in enumerate(gains)]
    (row,) = rows(read_runs(folders)[0])
    found = row.estimate(Column("test_stft_below_mono"))
    expected = stats.t.interval(0.95, 2, np.mean(gains), stats.sem(gains))
    assert expected[0] < 0
    assert (found.low, found.high) == pytest.approx(expected)


def test_nothing_is_more_than_all_of_a_baseline_below_it(make_run):
    folders = [make_run(f"a{seed}", seed, {"test_env_below_mono": gain}) for seed, gain in enumerate((0.7, 0.99))]
    (row,) = rows(read_runs(folders)[0])
    assert row.estimate(Column("test_env_below_mono")).high == 1.0


def test_energy_explained_is_the_first_column_and_may_be_negative(make_run):
    own = {
        "test_explained": -0.1,
        "test_explained_low": -0.2,
        "test_explained_high": 0.05,
        "test_direction_error": 80.0,
    }
    silent = {"silence_explained": 0.0, "silence_explained_low": 0.0, "silence_explained_high": 0.0}
    folder = make_run("a", 0, {"loss": 1.0, "test_stft": 0.3} | silent | own)
    shown = columns(list(read_runs([folder])[0][0].metrics))
    assert (shown[0].title, shown[0].text(-0.1, -0.1)) == ("energy explained %", "-10.0")
    assert not [each.name for each in shown if each.name.startswith("silence")]
    (row,) = rows(read_runs([folder])[0])
    found = row.estimate(shown[0])
    assert (found.low, found.value, found.high, found.method) == (-0.2, -0.1, 0.05, "bootstrap")


def test_a_diverged_run_is_not_averaged(scored):
    folders = scored("a", [0.7, 0.8, 0.9])
    metrics = json.loads((folders[2] / "metrics.json").read_text())
    (folders[2] / "metrics.json").write_text(json.dumps(metrics | {"avsa_bin": float("nan")}))
    (row,) = rows(read_runs(folders)[0])
    assert row.estimate(SCORE).value == pytest.approx(0.75)


def test_rows_are_compared_with_the_first_of_their_task_or_with_the_named_one(make_run):
    folders = [
        make_run(f"{task}-{title}", task=task, title=title)
        for task in ("avc", "avsa")
        for title in ("none", "iv", "beam")
    ]
    found = rows(read_runs(folders)[0])
    assert [(row.task, row.title) for row in baselines(found)] == [("avc", "none")] * 3 + [("avsa", "none")] * 3
    assert [(row.task, row.title) for row in baselines(found, "iv")] == [("avc", "iv")] * 3 + [("avsa", "iv")] * 3
    with pytest.raises(
        ValueError, match=r"no row is titled 'beem' \(did you mean 'beam'\?\); there are none; iv; beam"
    ):
        baselines(found, "beem")
