import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from avssl.cli import main


@pytest.fixture(scope="session")
def short_scenes(shared_folder: Callable[..., Path]) -> Path:
    """The manifest of 12 short scenes of synth360, 3 of them test; not to be changed."""
    from avssl.synth.synth360 import synth360

    options = {"width": 128, "workers": 1, "progress": False}
    return shared_folder("short-scenes", lambda folder: synth360(folder, 12, 1.25, 0, **options)) / "manifest.parquet"


@pytest.fixture(scope="session")
def prepared_clips(shared_folder: Callable[..., Path]) -> Path:
    """The real 360-degree clips, prepared, and what the command printed in `printed.txt`; not to be changed."""
    media = Path(os.environ.get("AVSSL_TEST_MEDIA", Path(__file__).parents[2] / ".." / "shared" / "data"))
    clips = media / "restricted" / "video360"
    if not clips.is_dir():
        pytest.skip(f"no real clips at {clips}: set AVSSL_TEST_MEDIA")

    def write(folder: Path) -> None:
        result = CliRunner().invoke(main, ["prepare", str(clips), str(folder / "out"), "--layout", "files"])
        assert result.exit_code == 0, result.output
        (folder / "printed.txt").write_text(result.output, encoding="utf-8")

    return shared_folder("prepared-clips", write)
