"""A folder of one's own from recordings to a probe: prepared and split, trained on, probed."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from avssl.cli import main
from avssl.datasets.manifest import read_manifest
from avssl.errors import InputError

TINY = {
    "data.batch": 3, "data.workers": 0, "data.seconds": 0.5, "options.crops": 2, "options.size": 32,
    "probe.enabled": "false", "train.steps": 2,
}  # fmt: skip


def run(*words):
    return CliRunner().invoke(main, [*map(str, words)])


@pytest.fixture
def own(filmed_noise, tmp_path):
    """Clips of several starts per video, without a manifest."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    for path in [*Path(filmed_noise).glob("*.mp4"), *Path(filmed_noise).glob("*.wav")]:
        (folder / path.name).symlink_to(path)
    return folder


def test_recordings_become_a_pretrained_and_probed_run(own, tmp_path):
    prepared = ["prepare", own, tmp_path / "data", "--layout", "files", "--workers", 1, "--height", 64]
    without = run(*prepared)
    assert without.exit_code == 0, without.output
    with pytest.raises(InputError, match="no clip of split 'train'"):
        read_manifest(tmp_path / "data", "train")
    split = run(*prepared, "--split", "0.4/0.6")
    assert split.exit_code == 0, split.output
    assert "0 new" in split.output  # nothing is prepared again
    sources: dict[str, set[str]] = {}
    for row in read_manifest(tmp_path / "data"):
        sources.setdefault(row.key.rpartition("_")[0], set()).add(row.split)
    assert all(len(each) == 1 for each in sources.values())
    assert set.union(*sources.values()) == {"train", "test"}

    settings = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]
    trained = run(
        "pretrain", "--recipe", "avsa/small", "--data", tmp_path / "data", "--out", tmp_path / "run", *settings
    )
    assert trained.exit_code == 0, trained.output
    wanted = [f"manifest={tmp_path / 'data'}", "epochs=1", "bootstrap=10", "workers=0", "size=32"]
    probe = ["downstream", "correspondence", "--encoders", tmp_path / "run", "--out", tmp_path / "probe"]
    probed = run(*probe, *[word for each in wanted for word in ("--set", each)])
    assert probed.exit_code == 0, probed.output
    assert "avc_bin_low" in probed.output
