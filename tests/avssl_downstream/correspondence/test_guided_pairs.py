"""Probes on random crops and on crops guided by objects, side by side."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from avssl_downstream.correspondence import Correspondence
from avssl_downstream.correspondence.options import CorrespondenceOptions
from torch import Tensor, nn

from avssl.config import fill
from avssl.datasets.manifest import Row, write_manifest
from avssl.detection.object_index import SCHEMA, DetectedTimes, DetectionSettings, objects_path, write_objects
from avssl.media import write_audio, write_video
from avssl.models.geometry import InputGeometry
from avssl.spatial.ambisonics import intensity_direction, rotate
from avssl.testing import make_clips

RATE = 8000


class Levels(nn.Module):
    """Share of bright pixels of each frame, or direction of arrival of audio."""

    def forward(self, media: Tensor, rotation: Tensor | None = None) -> Tensor:
        if rotation is None:
            return (media.amax(2) > 80).float().mean((2, 3))
        audio = rotate(media[:, None], rotation)
        return (audio[..., :1, :] * audio[..., 1:, :]).sum(-1) / audio[..., :1, :].square().sum(-1)


class Encoders(nn.Module):
    """Encoders without training."""

    sample_rate, video_width, geometry = RATE, 1, InputGeometry(0.3, 1, 10.0, 16, 60.0, 70.0)

    def __init__(self) -> None:
        super().__init__()
        self.video, self.audio = Levels(), Levels()


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of a sounding disc, 10 to train and 6 to test, with the disc as their object, but for one clip."""
    folder = tmp_path_factory.mktemp("discs")
    rows, objects, times = [], [], {}
    for index, clip in enumerate(make_clips(16, seed=2, seconds=0.6, frames=5, sample_rate=RATE)):
        key, split = f"{index:03d}", "train" if index < 10 else "test"
        write_video(folder / f"{key}.mp4", (frame.permute(1, 2, 0).numpy() for frame in clip.frames), 10.0)
        write_audio(folder / f"{key}.wav", clip.audio, RATE)
        rows.append(Row(key, split, f"{key}.mp4", f"{key}.wav", 0.0, 0.5, 10.0, 64, 32, RATE, "ambix", "", math.nan,
                        math.nan, 1.0, key))  # fmt: skip
        azimuth, elevation, _ = (float(each) for each in intensity_direction(clip.audio, RATE))
        times[key] = DetectedTimes(1, 0.5, 0.5)
        place = {"azimuth": math.degrees(azimuth), "elevation": math.degrees(elevation), "width": 9.0, "height": 9.0}
        if index != 3:
            objects.append({"key": key, "time": 0.25, **place, "label": "disc", "score": 1.0, "model": "made"})
    write_manifest(folder, rows)
    about = DetectionSettings("made", "viewports", 2.0, 0.25, "proxy")
    write_objects(objects_path(folder, "made.pt"), pa.Table.from_pylist(objects, SCHEMA), about, times)
    return folder


def options(discs: Path, **changes: Any) -> CorrespondenceOptions:
    small = {"manifest": str(discs), "size": 16, "frames": 1, "frame_rate": 10.0, "seconds": 0.3, "workers": 0}
    quick = {"train_draws": 2, "epochs": 1, "bootstrap": 20, "precision": "32-true", "crops": 2, "batch": 4}
    return fill(CorrespondenceOptions, small, quick, {"detector": "made.pt", "guided_offset": 0.7}, changes)


@pytest.mark.heavy
def test_both_guides_give_the_metrics_of_each_alone(discs: Path, tmp_path: Path) -> None:
    both = Correspondence(Encoders(), options(discs, crop_guide="both")).fit(tmp_path / "both")
    random, guided = (
        Correspondence(Encoders(), options(discs, crop_guide=guide)).fit(tmp_path / guide)
        for guide in ("random", "objects")
    )
    assert guided["object_share"] == 0.5
    assert both == random | {f"guided_{name}": value for name, value in guided.items()}
    for name in ("avc_bin", "avsa_bin", "retrieval"):
        assert (tmp_path / "both" / f"{name}.safetensors").is_file()
        assert (tmp_path / "both" / "guided" / f"{name}.safetensors").is_file()


@pytest.mark.heavy
def test_guided_pairs_show_the_object_and_are_counted(discs: Path) -> None:
    head = Correspondence(Encoders(), options(discs, crop_guide="objects", train_draws=8))
    _, test = head._embed({name: head._clips(name) for name in ("train", "test")})
    assert test.guided is not None
    assert test.guided.tolist() == [[True, False]] * len(test.clip)
    # The first crop shows the disc; the second is random: a clip has one object.
    assert bool((test.video[:, 0].sum(-1) > 0.01).all())
    assert (test.video[:, 1].sum(-1) > 0.01).double().mean() < 0.6
    # The disc sounds in front of the crop, not always from its centre.
    ahead = test.aligned[:, 0, 2]
    assert ahead.min() > math.cos(math.atan(0.7 * math.tan(math.radians(35)) * math.hypot(1, 4 / 3))) - 1e-3
    assert ahead.std() > 0.02


def test_guided_probes_without_a_detector_are_refused(discs: Path) -> None:
    with pytest.raises(ValueError, match="crop_guide is both, but no detector is named"):
        options(discs, crop_guide="both", detector="")
    with pytest.raises(ValueError, match="guided_offset is from 0 to 1, not 2"):
        options(discs, guided_offset=2)
    missing = replace(options(discs, crop_guide="both"), detector="other.pt")
    with pytest.raises(ValueError, match="avssl detect"):
        Correspondence(Encoders(), missing).fit(discs / "out")
    assert not (discs / "out").exists()
