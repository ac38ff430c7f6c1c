"""Energy overlay: bright in the source direction, in sync with the audio."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from avssl.cli import main
from avssl.media import probe, read_all_audio, read_frames, write_audio, write_video
from avssl.media.energy_overlay import write_energy_video
from avssl.media.mp4.metadata import read_spatial
from avssl.spatial.ambisonics import encode

RATE = 16000


@pytest.fixture
def scene(tmp_path):
    """Grey 3-s video, and noise for one second each at 90, 0 and -90 degrees."""
    write_video(tmp_path / "grey.mp4", [np.full((64, 128, 3), 110, np.uint8)] * 30, 10.0)
    voice = 0.2 * torch.randn(3 * RATE, generator=torch.Generator().manual_seed(0))
    azimuth = torch.tensor([90.0, 0.0, -90.0]).deg2rad().repeat_interleave(RATE)
    write_audio(tmp_path / "field.wav", encode(voice, azimuth, torch.zeros(3 * RATE)), RATE)
    return tmp_path


def test_overlay_follows_the_source_direction(scene):
    write_energy_video(scene / "out.mp4", scene / "grey.mp4", scene / "field.wav", height=64, progress=False)
    for time, column in ((0.75, 32), (1.75, 64), (2.75, 96)):
        image = read_frames(scene / "out.mp4", [time])[0].float()
        red = (image[0] - image[2]).mean(0)  # red is loud, blue is not
        found = math.atan2(
            *[
                float((red.clamp(min=0) * wave(torch.arange(128) * math.pi / 64)).sum())
                for wave in (torch.sin, torch.cos)
            ]
        )
        assert found % (2 * math.pi) == pytest.approx(column * math.pi / 64, abs=0.12)


def test_fields_beside_each_other_each_show_their_own_directions_under_their_label(scene):
    voice = 0.2 * torch.randn(3 * RATE, generator=torch.Generator().manual_seed(1))
    for name, azimuth in (("made", -math.pi / 2), ("prior", 0.0)):
        write_audio(scene / f"{name}.wav", encode(voice, torch.tensor(azimuth), torch.tensor(0.0)), RATE)
    others = {name: scene / f"{name}.wav" for name in ("made", "prior")}
    source = scene / "grey.mp4", scene / "field.wav"
    write_energy_video(scene / "out.mp4", *source, height=64, progress=False, beside=others)
    image = read_frames(scene / "out.mp4", [0.75])[0].float()
    assert image.shape[1:] == (64, 3 * 128)
    for place, column in enumerate((32, 96, 64)):  # left, right, front
        red = (image[0] - image[2])[16:, 128 * place : 128 * (place + 1)].mean(0).clamp(min=0)
        around = torch.arange(128) * math.pi / 64
        found = math.atan2(float((red * around.sin()).sum()), float((red * around.cos()).sum()))
        assert found % (2 * math.pi) == pytest.approx(column * math.pi / 64, abs=0.2)
        label = image[:, :8, 128 * place : 128 * place + 12]
        assert float(label.min()) < 30  # black, under white letters
    assert read_spatial(scene / "out.mp4").sphere is None
    write_energy_video(scene / "alone.mp4", *source, height=64, progress=False)
    assert torch.equal(*(read_all_audio(scene / name)[0] for name in ("out.mp4", "alone.mp4")))


def test_fields_that_cannot_stand_beside_each_other_are_one_line(scene):
    source = scene / "grey.mp4", scene / "field.wav"
    for change, why in (
        ({"beside": {"recorded": scene / "field.wav"}}, "got 'recorded' twice"),
        ({"beside": {"made": scene / "none.wav"}}, "none.wav"),
        ({"beside": {"made": scene / "field.wav"}, "height": 5760}, "at most 11520 pixels in all, got 2 of 11520"),
    ):
        with pytest.raises(ValueError, match=why):
            write_energy_video(scene / "out.mp4", *source, progress=False, **change)
    words = ["energy-overlay", *map(str, source[:1]), str(scene / "out.mp4"), "--audio", str(source[1])]
    for more, why in (
        (["--beside", "made.wav"], "expected LABEL=FILE"),
        (["--beside", "a=x.wav", "--beside", "a=y.wav"], "each label once"),
        (["--beside", "a=x.wav", "--encoders", "run"], "leave out --encoders"),
    ):
        result = CliRunner().invoke(main, words + more)
        assert (result.exit_code, why in result.output) == (2, True), result.output
    assert not (scene / "out.mp4").exists()


def test_output_is_equirectangular_with_stereo_preview_of_same_length(scene):
    write_energy_video(scene / "out.mp4", scene / "grey.mp4", scene / "field.wav", height=64, progress=False)
    info = probe(scene / "out.mp4")
    assert (info.video.width, info.video.height, info.video.frame_rate) == (128, 64, 10)
    assert info.audio.channels == 2
    assert info.video.seconds == pytest.approx(3, abs=0.01)
    assert info.audio.seconds == pytest.approx(3, abs=0.01)
    assert read_spatial(scene / "out.mp4").sphere.projection == "equirectangular"
    preview, _ = read_all_audio(scene / "out.mp4")
    left, right = preview[:, 2000:14000].square().mean(1)
    assert left > 100 * right  # at 90 degrees the right cardioid is silent
    assert {each.name for each in scene.iterdir()} == {"grey.mp4", "field.wav", "out.mp4"}


def test_silence_leaves_the_frames_alone(scene):
    write_audio(scene / "field.wav", torch.zeros(4, 3 * RATE), RATE)
    write_energy_video(scene / "out.mp4", scene / "grey.mp4", scene / "field.wav", height=64, progress=False)
    image = read_frames(scene / "out.mp4", [1.0]).float()
    assert (image - 110).abs().max() < 4


def test_invalid_inputs_raise_one_line_errors(scene):
    write_video(scene / "flat.mp4", [np.zeros((64, 96, 3), np.uint8)] * 3, 10.0)
    with pytest.raises(ValueError, match=r"flat\.mp4: expected equirectangular frames"):
        write_energy_video(scene / "out.mp4", scene / "flat.mp4", scene / "field.wav", progress=False)
    write_audio(scene / "two.wav", torch.zeros(2, RATE), RATE)
    with pytest.raises(ValueError, match=r"two\.wav: expected ambisonics"):
        write_energy_video(scene / "out.mp4", scene / "grey.mp4", scene / "two.wav", progress=False)
    with pytest.raises(ValueError, match=r"out\.avi: expected the name of a \.mp4 or \.mov"):
        write_energy_video(scene / "out.avi", scene / "grey.mp4", scene / "field.wav", progress=False)
    with pytest.raises(ValueError, match=r"grey\.mp4: is a file to be read"):
        write_energy_video(scene / "grey.mp4", scene / "grey.mp4", scene / "field.wav", progress=False)
    for change in ({"frame_rate": 0.0}, {"frame_rate": float("nan")}, {"height": 8}):
        with pytest.raises(ValueError, match=next(iter(change))):
            write_energy_video(scene / "out.mp4", scene / "grey.mp4", scene / "field.wav", progress=False, **change)
    write_video(scene / "wide.mp4", [np.zeros((72, 128, 3), np.uint8)] * 3, 10.0)
    with pytest.raises(ValueError, match=r"stored 16:9, declare --panorama$"):
        write_energy_video(scene / "out.mp4", scene / "wide.mp4", scene / "field.wav", progress=False)
    with pytest.raises(OSError, match="there is no folder"):
        write_energy_video(scene / "no" / "out.mp4", scene / "grey.mp4", scene / "field.wav", progress=False)
    assert not (scene / "out.mp4").exists()


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no folder that even root may not write to")
def test_sound_at_a_rate_that_aac_lacks_is_refused_by_its_name(scene):
    write_audio(scene / "odd.wav", torch.zeros(4, 21952), 21952)
    with pytest.raises(ValueError, match=rf"^{scene / 'odd.wav'}: expected a sample rate of AAC .*, got 21952 Hz"):
        write_energy_video(scene / "out.mp4", scene / "grey.mp4", scene / "odd.wav", progress=False)
    assert not (scene / "out.mp4").exists()


def test_unwritable_folder_error_names_the_target(scene):
    with pytest.raises(OSError, match=r"^/proc/self/out\.mp4: its folder cannot be written"):
        write_energy_video("/proc/self/out.mp4", scene / "grey.mp4", scene / "field.wav", progress=False)


def test_command_writes_same_video_and_reports_unreadable_input_in_one_line(scene):
    write_energy_video(scene / "out.mp4", scene / "grey.mp4", scene / "field.wav", height=64, progress=False)
    words = ["energy-overlay", str(scene / "grey.mp4"), str(scene / "film.mp4"), "--audio", str(scene / "field.wav")]
    done = CliRunner().invoke(main, [*words, "--height", "64"])
    assert (done.exit_code, done.stdout) == (0, f"{scene / 'film.mp4'}\n")
    times = [0.5, 1.5, 2.5]
    assert torch.equal(read_frames(scene / "film.mp4", times), read_frames(scene / "out.mp4", times))
    refused = CliRunner().invoke(main, ["energy-overlay", str(scene / "grey.mp4"), str(scene / "other.mp4")])
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "grey.mp4: expected sound, it has no sound stream" in refused.stderr
    assert {each.name for each in scene.iterdir()} == {"grey.mp4", "field.wav", "out.mp4", "film.mp4"}


def test_ctrl_c_leaves_nothing_behind(scene, monkeypatch):
    from avssl.media import energy_overlay

    drawn, draw = [], energy_overlay._blend

    def interrupted(*args):
        if len(drawn) == 7:
            raise KeyboardInterrupt
        drawn.append(1)
        return draw(*args)

    monkeypatch.setattr(energy_overlay, "_blend", interrupted)
    words = ["energy-overlay", str(scene / "grey.mp4"), str(scene / "film.mp4"), "--audio", str(scene / "field.wav")]
    stopped = CliRunner().invoke(main, [*words, "--height", "64"])
    assert stopped.exit_code == 130
    assert stopped.stderr.strip().count("\n") == 0
    assert {each.name for each in scene.iterdir()} == {"grey.mp4", "field.wav"}
