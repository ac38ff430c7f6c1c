"""The grids of the papers' tables: recipes, stages, floors, passes, and where published numbers stand."""

import json
from dataclasses import replace

import pytest

from avssl.errors import InputError
from avssl.report.run_record import Run
from avssl.reproduce import ROWS, TASKS
from avssl.reproduce.encoder_runs import Pretraining, Untrained
from avssl.reproduce.grid import Grid
from avssl.reproduce.head_runs import HeadRun
from avssl.reproduce.make_table import distinct
from avssl.reproduce.network_passes import Passes, seconds_per_window
from avssl.reproduce.run_note import NOTE
from avssl.reproduce.table1 import Table1
from avssl.reproduce.table2 import Table2
from avssl.reproduce.tau_table import TauTable
from avssl.runs.run_folder import add_metrics, write_config

UCF101 = {"classes": 101, "train_videos": 9537, "test_videos": 3783}
HMDB51 = {"classes": 51, "train_videos": 3570, "test_videos": 1530}


@pytest.fixture
def yt360(tmp_path):
    """A folder as `avssl prepare --layout yt360` leaves it, without its clips."""
    folder = tmp_path / "yt360"
    folder.mkdir()
    lines = [{"settings": {"layout": "yt360"}}, {"key": "a"}]
    (folder / "prepared.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return str(folder / "manifest.parquet")


@pytest.fixture
def full(tmp_path, yt360):
    """The published rows, one seed, as if their clips were those of YT-360."""
    return Grid(tmp_path / "out", "full", seeds=(0,), manifest=yt360)


def finish(run, data_set, **metrics):
    """Leave the folder of a head as its finished run does."""
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / NOTE).write_text(json.dumps({"settings": {}, "seconds": 1.0, "complete": True}))
    write_config(run.folder, {"data_set": data_set})
    add_metrics(run.folder, metrics)


@pytest.fixture
def table1(full, tmp_path, monkeypatch):
    """Table 1 on both data sets, every head finished with an accuracy of a half."""
    monkeypatch.setattr(Table1, "_videos", lambda _: {"ucf101": (9537, 3783), "hmdb51": (3570, 1530)})
    table = Table1(full, {"ucf101": tmp_path / "ucf", "hmdb51": tmp_path / "hmdb"})
    for run in heads(table):
        name, counts = ("UCF101", UCF101) if "ucf101" in run.folder.name else ("HMDB51", HMDB51)
        finish(run, name, accuracy=0.5, **counts)
    return table


def heads(table):
    return [run for run in distinct(table.runs()) if isinstance(run, HeadRun)]


def published(table) -> dict[tuple[str, str], dict[str, float]]:
    """(task, row) -> numbers, of the rows that have some."""
    records: list[Run] = table.records()
    return {(each.task, each.title): each.published for each in records if each.published}


def test_the_grid_is_six_rows_of_two_tasks_frozen_and_fine_tuned(tmp_path):
    table = Table1(Grid(tmp_path, seeds=(0, 1)))
    runs = distinct(table.runs())
    pretrained = [(run.recipe, run.seed) for run in runs if isinstance(run, Pretraining)]
    assert sorted(pretrained) == sorted(
        (f"{task}/small-{row}", seed) for task in TASKS for row in ROWS for seed in (0, 1)
    )
    assert [run.seed for run in runs if isinstance(run, Untrained)] == [0, 1]
    assert len(heads(table)) == (12 + 1) * 2 * 2
    assert {(run.options.mode, run.options.seed) for run in heads(table)} == {
        (mode, seed) for mode in ("frozen", "finetune") for seed in (0, 1)
    }
    made: set[object] = set()
    for run in runs:  # each after the encoders that it stands on
        assert not isinstance(run, HeadRun) or run.encoders.folder in made
        made.add(run.folder)


def test_a_full_row_of_avsa_starts_from_half_of_avc(full):
    start, row = full.first_stage("avsa", "iv", 0), full.pretraining("avsa", "iv", 0)
    assert (start.recipe, start.config.train.steps, start.config.features.name) == ("avc/full-iv", 64350, "foa-iv")
    assert row.config.model.init == str(start.folder)
    assert (row.config.train.steps, row.config.options["transformer"]) == (257500, 2)
    assert full.first_stage("avc", "iv", 0) is None
    assert replace(full, size="small").first_stage("avsa", "iv", 0) is None
    untrained = full.untrained("iv", 0)
    assert untrained.config.model.init == ""


def test_published_numbers_of_table1_stand_beside_its_own_rows(table1):
    found = published(table1)
    assert {key[0] for key in found} == {"avsa"}
    assert len(found) == 6
    assert found["avsa", "AVSA beam + YOLO"] == {
        "accuracy_ucf101_frozen": 0.404, "accuracy_ucf101_fine_tuned": 0.669,
        "accuracy_hmdb51_frozen": 0.242, "accuracy_hmdb51_fine_tuned": 0.342,
    }  # fmt: skip
    assert found["avsa", "AVSA + FOA-IV"]["accuracy_ucf101_fine_tuned"] == 0.676


@pytest.mark.parametrize(
    "change",
    [
        {"size": "small"},
        {"manifest": ""},
        pytest.param({"settings": {"pretrain": {"train": {"steps": 10}}}}, marks=pytest.mark.slow),
        pytest.param({"settings": {"action": {"epochs": 30}}}, marks=pytest.mark.slow),
    ],
)
def test_no_published_number_beside_another_method_or_other_clips(table1, change):
    table = replace(table1, grid=replace(table1.grid, **change))
    for run in heads(table):
        finish(run, "UCF101" if "ucf101" in run.folder.name else "HMDB51", accuracy=0.5)
    assert published(table) == {}


def test_settings_without_effect_leave_the_published_numbers(table1):
    settings = {"pretrain": {"data": {"workers": 3}, "train": {"save_every": 100}}, "action": {"workers": 1}}
    assert len(published(replace(table1, grid=replace(table1.grid, settings=settings)))) == 6


def test_clips_of_another_layout_are_not_the_published_ones(table1, tmp_path):
    (tmp_path / "yt360" / "prepared.jsonl").write_text('{"settings": {"layout": "files"}}\n{"key": "a"}\n')
    assert published(table1) == {}


@pytest.mark.parametrize(
    ("data_set", "counts"),
    [("synthetic actions (UCF101 layout)", {}), ("UCF101", {"test_videos": 3782}), ("UCF101", {"classes": 100})],
)
def test_no_published_number_beside_other_videos(table1, data_set, counts):
    for run in heads(table1):
        if "ucf101" in run.folder.name:
            finish(run, data_set, **(UCF101 | counts))
    assert all(
        set(each) == {"accuracy_hmdb51_frozen", "accuracy_hmdb51_fine_tuned"} for each in published(table1).values()
    )


def test_chance_of_table1_is_one_of_its_classes(table1):
    assert [round(1 / column.level) for column in table1.columns()] == [101, 101, 51, 51]
    assert [column.title for column in table1.columns()] == [
        "UCF101, frozen %", "UCF101, fine-tuned %", "HMDB51, frozen %", "HMDB51, fine-tuned %",
    ]  # fmt: skip
    assert [each.title for each in table1.records()][:2] == ["chance", "untrained encoders"]


@pytest.fixture
def table2(full):
    """Table 2 on EigenScape, every head finished."""
    table = Table2(replace(full, rows=("baseline", "iv")), None)
    for run in heads(table):
        both = {"accuracy_dirac_gmm": 0.6, "accuracy_logmel": 0.55}
        finish(run, "EigenScape", accuracy=0.5, classes=8, segments=1280, **both)
    return table


def test_table2_is_features_by_tasks_by_protocols(table2):
    runs = distinct(table2.runs())
    assert len([run for run in runs if isinstance(run, Pretraining)]) == 4 + 2  # and a first stage of each avsa
    assert sorted(run.folder.name for run in heads(table2)) == sorted(
        [f"{task}-{row}-{way}-seed0" for task in ("avc", "avsa", "untrained") for row in ("baseline", "iv")
         for way in ("published", "default")] + ["original-published-seed0", "baselines-default-seed0"]
    )  # fmt: skip
    by_name = {run.folder.name: run.options for run in heads(table2)}
    published_way, default_way = by_name["avc-iv-published-seed0"], by_name["avc-iv-default-seed0"]
    assert (published_way.rotations, published_way.layer, default_way.rotations, default_way.layer) == (
        1, "embedding", 4, "early",
    )  # fmt: skip
    assert [each.title for each in table2.records()] == [
        "chance", "DirAC + Gaussian mixtures", "log-mel statistics", "untrained, foa-logmel", "untrained, foa-iv",
        "AVC baseline", "AVC + FOA-IV", "AVSA baseline", "AVSA + FOA-IV",
    ]  # fmt: skip


def test_published_numbers_of_table2_are_those_of_the_paper(table2):
    assert {key[1]: each for key, each in published(table2).items()} == {
        "DirAC + Gaussian mixtures": {"accuracy_published": 0.69},
        "AVC baseline": {"accuracy_published": 0.825},
        "AVC + FOA-IV": {"accuracy_published": 0.825},
        "AVSA baseline": {"accuracy_published": 0.894},
        "AVSA + FOA-IV": {"accuracy_published": 0.741},
    }
    small = replace(table2, grid=replace(table2.grid, size="small"))
    assert [key[1] for key in published(small)] == ["DirAC + Gaussian mixtures"]  # needs no pretraining
    for run in heads(table2):
        finish(run, "synthetic ambience (EigenScape layout)")
    assert published(table2) == {}


def test_tau_has_a_column_for_each_tower_and_fusion(full):
    table = TauTable(replace(full, rows=("iv",), tasks=("avsa",)), None)
    for run in heads(table):
        numbers = {"accuracy_audio": 0.1, "accuracy_video": 0.2, "accuracy": 0.3, "accuracy_late": 0.4}
        finish(run, "TAU", classes=10, accuracy_logmel=0.05, **numbers)
    records = {each.title: each.metrics for each in table.records()}
    wanted = {"accuracy_audio": 0.1, "accuracy_video": 0.2, "accuracy_both": 0.3, "accuracy_late": 0.4}
    assert records["AVSA + FOA-IV"] == wanted
    assert records["log-mel statistics"] == {"accuracy_audio": 0.05}
    assert records["chance"] == dict.fromkeys(wanted, 0.1)
    assert published(table) == {}


@pytest.mark.parametrize(
    ("table", "message"),
    [(Table2, "expected the folder of EigenScape"), (TauTable, "nowhere")],
)
def test_a_table_without_its_data_is_refused(table, message, tmp_path):
    with pytest.raises(InputError, match=message):
        table(Grid(tmp_path / "out"), tmp_path / "nowhere").check()
    assert not (tmp_path / "out").exists()


def test_windows_of_a_run_are_counted_from_its_settings(tmp_path):
    probe = {"train_draws": 8, "test_draws": 4, "crops": 4}
    settings = {"pretrain": {"train": {"steps": 10}, "data": {"clips": 800}, "probe": probe}}
    run = Grid(tmp_path, settings=settings).pretraining("avsa", "iv", 0)
    counts = {(each.tower, each.trained): each.count for each in run.passes()}
    drawn = (8 * 600 + 4 * 200) * 4
    assert counts == {
        ("video", True): 10 * 32 * 4, ("audio", True): 10 * 32 * 4,
        ("video", False): 8 * 200 * 4 + drawn, ("audio", False): 8 * 200 * 4 + 2 * drawn,
    }  # fmt: skip
    table = Table1(Grid(tmp_path, rows=("iv",), tasks=("avsa",), seeds=(0,)))
    found = {run.options.mode: [(each.trained, each.count) for each in run.passes()] for run in heads(table)}
    assert found == {  # 800 synthetic videos, 7 of 25 groups tested
        "frozen": [(False, 576 * 5), (False, 224 * 5)],
        "finetune": [(True, 576 * 14), (False, 224 * 5)],
    }
    sound = Table2(Grid(tmp_path, rows=("iv",), tasks=("avsa",), seeds=(0,)))
    windows = {run.folder.name: [each.count for each in run.passes()] for run in heads(sound)}
    assert windows["avsa-iv-published-seed0"] == [3840]  # 64 minutes, a window a second
    assert windows["avsa-iv-default-seed0"] == [4 * 3840]


def test_training_passes_take_longer_than_those_without_gradients(tmp_path):
    run = Grid(tmp_path).pretraining("avsa", "iv", 0)
    trained = run.passes()[0]
    assert isinstance(trained, Passes)
    without = seconds_per_window(replace(trained, trained=False, count=1.0))
    assert seconds_per_window(replace(trained, count=1.0)) > without > 0
    assert replace(trained, trained=False, count=100.0).seconds() == pytest.approx(100 * without)


def test_a_head_on_other_encoders_is_refused(tmp_path):
    grid = Grid(tmp_path / "out", seeds=(0,), rows=("iv",), tasks=("avsa",))
    run = next(each for each in heads(Table1(grid)) if "avsa" in each.folder.name)
    weights = run.encoders.folder / "encoders" / "model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"one")
    finish(run, "x", accuracy=0.5)
    note = {"settings": json.loads(json.dumps(run._settings())), "seconds": 1.0, "complete": True}
    (run.folder / NOTE).write_text(json.dumps(note))
    assert run.is_complete()
    run.check()
    weights.write_bytes(b"two")
    assert not run.is_complete()
    with pytest.raises(InputError, match="encoders was"):
        run.check()
