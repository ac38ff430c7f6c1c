"""The contract of synthetic datasets holds for ours, and names the clause that a broken one breaks."""

from pathlib import Path

import numpy as np
import pytest

from avssl import plugins
from avssl.synth.dataset_base import load_synthetic_dataset
from avssl.synth.stage.stage_dataset import Stage, StageOptions
from avssl.testing import check_synthetic_dataset

SCENES = {"clips": 2, "seconds": 0.5, "frame_rate": 4.0, "sample_rate": 16000, "width": 64}
SMALL = {
    "actions": {"classes": 2, "groups": 3, "clips": 1, "seconds": 0.5, "width": 64, "height": 48, "frame_rate": 8.0},
    "ambience": {"recordings": 1, "seconds": 1.0, "order": 1, "sample_rate": 16000, "classes": ["Beach"]},
}
OPTIONS = StageOptions(**SCENES, height=32)


def test_every_synthetic_dataset_of_ours_is_checked() -> None:
    ours = {name for name, owner in plugins.names(plugins.SYNTHETIC_DATASETS).items() if owner == "avssl"}
    assert ours == {
        *SMALL,
        "mono3d",
        "pseudo-binaural",
        "pseudo-binaural-stage",
        "stage",
        "synth360",
        "synth360-order-2",
    }


@pytest.mark.parametrize(
    "name", [*SMALL, "mono3d", "pseudo-binaural", "pseudo-binaural-stage", "stage", "synth360", "synth360-order-2"]
)
def test_ours_keep_the_contract(name: str, tmp_path: Path) -> None:
    kind = load_synthetic_dataset(name)
    check_synthetic_dataset(kind(kind.Options(**SMALL.get(name, SCENES))), tmp_path)


class Drifting(Stage):
    """Draws from a generator that goes on."""

    rng = np.random.default_rng(0)

    def describe(self, index):
        return super().describe(int(self.rng.integers(1000)))


class Double(Stage):
    """Audio in double precision."""

    def audio(self, scene):
        return super().audio(scene).astype(np.float64)


class Short(Stage):
    """A frame too few."""

    def frames(self, scene):
        return list(super().frames(scene))[1:]


class Silent(Stage):
    """A folder that it did not write."""

    def render(self, out, *, workers=None, progress=True):
        super().render(out, workers=workers, progress=progress)
        return out.parent


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Drifting, "same scene from describe.0. twice"),
        (Double, r"float32 \(channels, 8000\), got float64"),
        (Short, "expected 2 frames by the form, got 1"),
        (Silent, "the manifest or the folder from render"),
    ],
)
def test_a_broken_clause_is_named(kind: type[Stage], message: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=message):
        check_synthetic_dataset(kind(OPTIONS), tmp_path)
