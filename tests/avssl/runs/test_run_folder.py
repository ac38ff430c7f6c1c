import json
import resource
from dataclasses import replace

import pytest

from avssl.config import OptimConfig, RunConfig, TrainConfig, fill
from avssl.errors import InputError, OutputError
from avssl.io.arithmetic import resolve_precision
from avssl.recipe_files import read_recipe
from avssl.runs import run_folder

CONFIG = RunConfig(options={"crops": 4})


def test_the_folder_says_what_ran_on_what(tmp_path):
    folder = tmp_path / "runs" / "x"
    run_folder.init_run_folder(folder, CONFIG, recipe="avsa/small", command=["avssl", "pretrain", "--out", "a b"])
    assert fill(RunConfig, read_recipe(str(folder / "config.yaml"))) == CONFIG
    start = json.loads((folder / "environment.json").read_text())["starts"][0]
    assert start["command"] == "avssl pretrain --out 'a b'"
    assert start["recipe"] == "avsa/small"
    assert start["packages"]["torch"].startswith("2.11")
    assert {"commit", "python", "platform", "device"} <= start.keys()
    assert start["auto_precision"] == resolve_precision("auto")


def test_the_same_run_may_go_on_longer(tmp_path):
    run_folder.init_run_folder(tmp_path, CONFIG)
    longer = replace(CONFIG, train=TrainConfig(steps=9, log_every=1), data=replace(CONFIG.data, workers=7))
    run_folder.check_config(tmp_path, longer)
    run_folder.init_run_folder(tmp_path, longer)
    assert len(json.loads((tmp_path / "environment.json").read_text())["starts"]) == 2


def test_a_finished_run_may_be_evaluated_on_another_validation_seed(tmp_path):
    run_folder.init_run_folder(tmp_path, CONFIG)
    other = replace(CONFIG, data=replace(CONFIG.data, validation_seed=7, workers=5))
    run_folder.check_config(tmp_path, other)
    run_folder.write_title(tmp_path, other)
    stored = fill(RunConfig, read_recipe(str(tmp_path / "config.yaml"))).data
    assert (stored.validation_seed, stored.workers) == (7, CONFIG.data.workers)


def test_another_run_is_refused_and_told_why(tmp_path):
    run_folder.init_run_folder(tmp_path, CONFIG)
    other = replace(CONFIG, optim=OptimConfig(lr=0.5), options={"crops": 2, "size": 64})
    with pytest.raises(ValueError, match="belongs to another run") as error:
        run_folder.check_config(tmp_path, other)
    text = str(error.value)
    assert "optim.lr was 0.0001, is 0.5" in text
    assert "options.crops was 4, is 2" in text
    assert "options.size was None, is 64" in text
    assert "\n" not in text


def test_a_file_or_a_foreign_checkpoint_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "deep" / "run"):
        with pytest.raises(ValueError, match=f"^{path}: expected a folder for the run, .* is a file$"):
            run_folder.check_place(path)
    (tmp_path / "last.ckpt").write_text("")
    with pytest.raises(ValueError, match="not a run folder"):
        run_folder.check_config(tmp_path, CONFIG)
    (tmp_path / "config.yaml").write_text("a: [")
    with pytest.raises(ValueError, match="expected the config of a run"):
        run_folder.check_config(tmp_path, CONFIG)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", r"made by an older avssl \(format 1, expected 2\); train again"),
        ("format: 3\n", r"made by a newer avssl \(format 3, expected 2\); update avssl"),
    ],
)
def test_a_run_of_another_format_is_one_line_that_says_so(tmp_path, line, message):
    run_folder.init_run_folder(tmp_path, CONFIG)
    path = tmp_path / "config.yaml"
    path.write_text(path.read_text().replace("format: 2\n", line).replace("lr_multipliers", "shares"))
    with pytest.raises(ValueError, match=f"^{tmp_path}: {message}$"):
        run_folder.check_config(tmp_path, CONFIG)


def test_metrics_on_a_full_disk_are_one_line_and_those_before_stay(tmp_path):
    """A limit of the file size, as `ulimit -f`, fails as a full disk does."""
    run_folder.add_metrics(tmp_path, {"loss": 1})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, before[1]))
    try:
        with pytest.raises(OutputError, match=f"^{tmp_path}/metrics.json: cannot be written: .*File too large$"):
            run_folder.add_metrics(tmp_path, {"loss": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert run_folder.read_metrics(tmp_path) == {"loss": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]


def test_metrics_are_added_to(tmp_path):
    run_folder.add_metrics(tmp_path, {"loss": 1, "steps": 10})
    assert run_folder.add_metrics(tmp_path, {"loss": 0.5}) == {"loss": 0.5, "steps": 10.0}
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"loss": 0.5, "steps": 10.0}
    assert not run_folder.complete(tmp_path, 10)
    (tmp_path / "encoders").mkdir()
    (tmp_path / "encoders" / "config.json").write_text("{}")
    assert run_folder.complete(tmp_path, 10)
    assert not run_folder.complete(tmp_path, 11)
    (tmp_path / "metrics.json").write_text("[1]")
    with pytest.raises(ValueError, match="flat JSON"):
        run_folder.read_metrics(tmp_path)
    (tmp_path / "metrics.json").write_text('{"loss": "low"}')
    with pytest.raises(ValueError, match="metrics.json: expected a flat JSON"):
        run_folder.read_metrics(tmp_path)


@pytest.mark.parametrize("spoiled", ["{", "[]", "{}", '{"starts": 3}'])
def test_a_spoiled_record_of_starts_is_named(tmp_path, spoiled):
    (tmp_path / "environment.json").write_text(spoiled)
    with pytest.raises(ValueError, match="environment.json: expected a JSON list of starts"):
        run_folder.init_run_folder(tmp_path, CONFIG)


def test_a_setting_that_is_not_utf8_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match=r"config\.yaml: expected settings in UTF-8, got 'runs/caf\\\\xe9'") as caught:
        run_folder.write_config(tmp_path, {"data": {"manifest": "runs/caf\udce9"}})
    assert str(caught.value).isprintable()
    assert not list(tmp_path.iterdir())
