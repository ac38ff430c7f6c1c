"""Activation maps of a film: those of its windows, written over its frames, and of APNet's cells."""

from pathlib import Path

import numpy as np
import pytest
import torch
from avssl_downstream.spatialize.activation_film import film_maps, write_activations
from avssl_downstream.spatialize.activation_maps import activation_maps
from avssl_downstream.spatialize.input_media import InputMedia
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.registry import build_generator
from PIL import Image

from avssl.media import read_all_audio
from avssl.media.video_reader import VideoReader
from avssl.models.runtime import single_process

SMALL = {"width": 4, "rows": 64, "columns": 128, "grid_rows": 2, "grid_columns": 4}
FABRIC = single_process("32-true")


def small(**options):
    torch.manual_seed(0)
    made = SpatializeOptions(target="activations", generator_options={**SMALL, **options})
    return build_generator(made, None).eval(), made


def test_apnet_is_active_in_the_cells_that_are_seen():
    """Without biases, a cell without visual features has inner products of 0 with any audio."""
    generator, _ = small()
    maps = torch.zeros(1, generator.visual_branch.channels, 2, 4)
    maps[0, :, 1, 2] = 1.0
    for name, each in generator.fusion.named_parameters():
        if "channel_mapping_conv_w.bias" in name:
            torch.nn.init.zeros_(each)
        if "channel_mapping_conv_w.weight" in name:
            each.data.abs_()  # the rectifier lets all through
    generator.encode_video = lambda frames: maps
    audio = 0.1 * torch.randn(1, 10080, generator=torch.Generator().manual_seed(0))
    found = activation_maps(generator, torch.zeros(1, 3, 64, 128, dtype=torch.uint8), audio)["fusion"]
    expected = torch.zeros(2, 4)
    expected[1, 2] = 8.0  # eight cells, of mean 1
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert set(activation_maps(generator, torch.zeros(1, 3, 64, 128, dtype=torch.uint8))) <= {"visual_branch"}


def test_maps_of_a_film_are_those_of_its_windows(film, tone):
    generator, options = small()
    path = film(audio=tone(), size=(64, 128))
    times = [0.0, 0.55, 2.0, 3.0]
    found = list(film_maps(InputMedia(path, generator, options), generator, FABRIC, times))
    assert [set(each) for each in found] == [{"visual_branch", "fusion"}] * 4
    assert all(each.min() == 0 and each.max() == 1 for maps in found for each in maps.values())
    np.testing.assert_array_equal(found[2]["visual_branch"], found[3]["visual_branch"])  # bright on the right from 1 s
    assert np.abs(found[1]["visual_branch"] - found[2]["visual_branch"]).max() > 0.1
    frame = torch.from_numpy(next(iter(VideoReader(path).frames([2.0], generator.size)))).permute(2, 0, 1)
    own = activation_maps(generator, frame[None], tone()[:, 26960:37040])  # of 0.63 s about 2 s
    for name, each in own.items():
        scaled = (each - each.min()) / (each.max() - each.min())
        np.testing.assert_allclose(found[2][name], scaled, atol=0.02)


def test_a_film_has_each_frame_beside_itself_under_each_map(film, tone, tmp_path):
    generator, options = small(fusion="none")
    path, target = film(audio=tone(), size=(64, 128), seconds=1.5, at=0.8), tmp_path / "maps.mp4"
    write_activations(path, target, generator, options, FABRIC)
    video = VideoReader(target)
    assert (video.width, video.height) == (2 * 448, 224)
    assert video.length() == pytest.approx(1.5, abs=0.11)
    for time, bright in ((0.3, 0), (1.2, 1)):
        frame = next(iter(video.frames([time], (224, 896)))).astype(float)
        halves = frame[:, :224].mean(), frame[:, 224:448].mean()
        assert halves[bright] > 230 > 25 > halves[1 - bright]
        assert np.abs(frame[:, :448] - frame[:, 448:]).mean() > 10  # colours of the map over it
    audio, rate = read_all_audio(target)
    assert rate == 16000
    assert audio.shape[1] / rate == pytest.approx(3.0, abs=0.1) or audio.shape[1] / rate == pytest.approx(1.5, abs=0.1)
    assert not list(tmp_path.glob("*.part*"))


def test_a_picture_has_five_times_of_a_film(film, tone, tmp_path):
    generator, options = small()
    write_activations(film(audio=tone(), size=(64, 128)), tmp_path / "maps.png", generator, options, FABRIC)
    assert Image.open(tmp_path / "maps.png").size == (round(5 * 3.2 * 80), (3 * 2 * 80))


def test_activations_that_cannot_be_written_are_refused_in_one_line(film, tone, tmp_path):
    generator, options = small(fusion="none")
    path = film(audio=tone(), size=(64, 128))
    blind = build_generator(SpatializeOptions(visual_branch="none", generator_options=SMALL), None).eval()
    for made, target, why in (
        (
            generator,
            tmp_path / "maps.wav",
            r"expected the name of a \.mp4, \.mov or \.png file to write activation maps",
        ),
        (generator, path, "expected another file than the input"),
        (blind, tmp_path / "maps.mp4", "expected a generator with frames for activation maps, got one without"),
    ):
        with pytest.raises(ValueError, match=why) as caught:
            write_activations(path, Path(target), made, options, FABRIC)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "maps.mp4").exists()
