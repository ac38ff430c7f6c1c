import dataclasses
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from multiprocessing import resource_tracker

import numpy as np
import psutil
import pytest
import soundfile
import torch
from av.video.stream import VideoStream

from avssl.config import DataConfig
from avssl.data import loader
from avssl.data.loader import Batches, read_clip
from avssl.datasets.manifest import Row, read_manifest, write_manifest
from avssl.errors import InputError
from avssl.io import loader_process
from avssl.media import video_decode, write_audio, write_video
from avssl.spatial.resample import resample

CONFIG = DataConfig(seconds=0.5, frames=4, frame_rate=8.0, batch=6, workers=0)
RATE = 8000


def row(number, **changes):
    base = Row(
        key=f"clip-{number}", split="train", video=f"{number}.mp4", audio=f"{number}.wav", start=0.0, seconds=2.0,
        frame_rate=16.0, width=64, height=32, sample_rate=RATE, layout="ambix", silent_channels="", azimuth=0.0,
        elevation=0.0, diffuseness=0.0, source="",
    )  # fmt: skip
    return dataclasses.replace(base, **changes)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """20 clips: brightness counts the frames, sound the samples."""
    folder = tmp_path_factory.mktemp("clips")
    for number in range(20):
        frames = [np.full((32, 64, 3), 10 + 5 * frame + number, np.uint8) for frame in range(32)]
        write_video(folder / f"{number}.mp4", frames, 16.0)
        ramp = torch.arange(2 * RATE) / (2 * RATE)
        write_audio(folder / f"{number}.wav", torch.stack([ramp, -ramp, ramp / 2, ramp * 0 + number / 64]), RATE)
    write_manifest(folder / "manifest.parquet", [row(number) for number in range(20)])
    return read_manifest(folder)


def views(clip, rng):
    """Everything that could differ from run to run."""
    return {
        "frames": clip.frames,
        "audio": clip.audio,
        "chance": torch.from_numpy(rng.standard_normal(3)),
        "product": clip.audio @ clip.audio.T,
        "number": torch.tensor(int(clip.key.removeprefix("clip-"))),
    }


def batches(manifest, workers=0, seed=3, rank=0, world=1, batch=6, make=views):
    data = dataclasses.replace(CONFIG, workers=workers, batch=batch)
    return Batches(manifest, make, data, RATE, seed, rank, world)


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


OTHERS = set()
"""Processes that are not the loader's: those that other tests left behind, and multiprocessing's resource tracker."""


@pytest.fixture(autouse=True)
def _others():
    resource_tracker.ensure_running()  # the first process that is spawned starts it, and it stays
    OTHERS.clear()
    OTHERS.update(psutil.Process().children(recursive=True))


def children():
    return [each for each in psutil.Process().children(recursive=True) if each not in OTHERS]


def test_a_window_of_audio_and_the_frames_inside_it(manifest):
    rng = np.random.default_rng(0)
    for _ in range(20):
        clip = read_clip(manifest.rows[0], manifest.root, CONFIG, RATE, rng)
        start, frame_start = clip.labels["start"], clip.labels["frame_start"]
        assert 0 <= start <= 1.5
        assert start <= frame_start <= start + 1e-9  # four frames at 8 a second fill half a second
        assert (clip.frames.shape, clip.frames.dtype) == ((4, 3, 32, 64), torch.uint8)
        assert (clip.audio.shape, clip.audio.dtype) == ((4, 4000), torch.float32)
        assert clip.audio[0, 0] == pytest.approx(round(start * RATE) / (2 * RATE), abs=1e-4)
        shown = (clip.frames.float().mean((1, 2, 3)) - 10) / 5
        expected = [np.floor((frame_start + k / 8) * 16) for k in range(4)]
        np.testing.assert_allclose(shown, expected, atol=0.35)
        assert (clip.key, clip.labels["azimuth"], clip.sample_rate) == ("clip-0", 0.0, RATE)


def test_frames_are_anywhere_inside_the_audio(manifest):
    config = dataclasses.replace(CONFIG, seconds=1.0, frames=2)
    rng = np.random.default_rng(0)
    labels = [read_clip(manifest.rows[0], manifest.root, config, RATE, rng).labels for _ in range(60)]
    offsets = [each["frame_start"] - each["start"] for each in labels]
    assert 0 <= min(offsets) < 0.1
    assert 0.65 < max(offsets) <= 0.75
    assert 0 <= min(each["start"] for each in labels) < 0.1
    assert 0.9 < max(each["start"] for each in labels) <= 1.0


def test_without_chance_the_window_is_in_the_middle(manifest):
    config = dataclasses.replace(CONFIG, frames=2)
    clip = read_clip(manifest.rows[0], manifest.root, config, RATE)
    assert clip.labels["start"] == 0.75
    assert clip.labels["frame_start"] == 0.75 + 0.125


def test_a_clip_inside_a_longer_file_keeps_to_itself(manifest):
    inside = row(0, start=0.5, seconds=0.25)
    clip = read_clip(inside, manifest.root, CONFIG, RATE, np.random.default_rng(0))
    assert clip.audio.shape == (4, 4000)
    assert clip.audio[0, 1999] == pytest.approx(0.75 / 2, abs=1e-3)
    assert not clip.audio[:, 2000:].any()  # short of the window: silence, not the next clip
    shown = (clip.frames.float().mean((1, 2, 3)) - 10) / 5
    np.testing.assert_allclose(shown, [8, 10, 11, 11], atol=0.35)  # and the last frame stays


def test_audio_that_is_no_number_is_named(tmp_path, manifest):
    samples = np.full((2 * RATE, 4), np.nan, np.float32)
    soundfile.write(tmp_path / "0.wav", samples, RATE, subtype="FLOAT")
    with pytest.raises(ValueError, match=r"0\.wav: audio contains NaN or Inf"):
        read_clip(manifest.rows[0], tmp_path, CONFIG, RATE)


def test_audio_whose_sum_overflows_is_read(tmp_path, manifest):
    samples = np.full((2 * RATE, 4), 3e38, np.float32)
    soundfile.write(tmp_path / "0.wav", samples, RATE, subtype="FLOAT")
    (tmp_path / "0.mp4").write_bytes((manifest.root / manifest.rows[0].video).read_bytes())
    clip = read_clip(manifest.rows[0], tmp_path, CONFIG, RATE)
    assert (clip.audio == np.float32(3e38)).all()


def test_audio_is_resampled(manifest):
    clip = read_clip(manifest.rows[0], manifest.root, CONFIG, 12000)
    assert clip.audio.shape == (4, 6000)
    assert clip.audio[0, 3000] == pytest.approx(0.5, abs=1e-3)
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(48000) / 48000)[None]
    half = resample(tone, 48000, 24000)
    expected = torch.sin(2 * torch.pi * 1000 * torch.arange(24000) / 24000)
    assert (half[0, 100:-100] - expected[100:-100]).abs().max() < 2e-3
    above = torch.sin(2 * torch.pi * 15000 * torch.arange(48000) / 48000)[None]
    assert resample(above, 48000, 24000)[0, 100:-100].abs().max() < 0.02


@pytest.mark.heavy
def test_the_number_of_loader_processes_changes_nothing(manifest):
    alone = list(batches(manifest).between(0, 5))
    for workers in (1, 2):
        found = list(batches(manifest, workers).between(0, 5))
        assert len(found) == 5
        assert all(same(one, two) for one, two in zip(alone, found, strict=True))


def test_a_stretch_of_steps_is_that_stretch_of_all(manifest):
    whole = list(batches(manifest).between(0, 7))
    for workers in (0, 2):
        part = list(batches(manifest, workers).between(5, 7))
        assert len(part) == 2
        assert all(same(one, two) for one, two in zip(whole[5:], part, strict=True))


def test_ranks_take_slices_of_the_same_batch(manifest):
    for step, whole in enumerate(batches(manifest).between(0, 4)):
        parts = [next(batches(manifest, rank=rank, world=2).between(step, step + 1)) for rank in (0, 1)]
        assert same(whole, {name: torch.cat([part[name] for part in parts]) for name in whole})


def test_an_epoch_holds_no_clip_twice_and_seeds_differ(manifest):
    order = {
        seed: [batch["number"].tolist() for batch in batches(manifest, seed=seed).between(0, 9)] for seed in (3, 4)
    }
    assert batches(manifest).steps_per_epoch == 3
    for epoch in range(3):
        clips = [number for batch in order[3][3 * epoch : 3 * epoch + 3] for number in batch]
        assert len(set(clips)) == 18
    assert order[3] != order[4]
    assert order[3][:3] != order[3][3:6]
    first, again = batches(manifest).between(0, 1), batches(manifest, seed=4).between(0, 1)
    assert not torch.equal(next(first)["chance"], next(again)["chance"])


def test_the_same_clip_is_seen_differently_in_another_step(manifest):
    seen = {}
    for batch in batches(manifest).between(0, 9):
        for number, audio in zip(batch["number"].tolist(), batch["audio"], strict=True):
            seen.setdefault(number, []).append(audio)
    twice = [waveforms for waveforms in seen.values() if len(waveforms) > 1]
    assert len(twice) > 5
    assert all(not torch.equal(waveforms[0], waveforms[1]) for waveforms in twice)


def test_fewer_clips_than_a_batch_are_spread_evenly(manifest):
    few = dataclasses.replace(manifest, rows=manifest.rows[:4])
    for batch in batches(few).between(0, 3):
        assert sorted(Counter(batch["number"].tolist()).values()) == [1, 1, 2, 2]


def test_a_batch_that_ranks_cannot_share_is_refused(manifest):
    with pytest.raises(ValueError, match="multiple of the 4 processes"):
        batches(manifest, world=4)
    with pytest.raises(ValueError, match="has none"):
        batches(dataclasses.replace(manifest, rows=()))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_file_is_one_line_with_its_path(tmp_path, manifest, workers):
    (tmp_path / "broken.mp4").write_text("not a video")
    rows = [dataclasses.replace(each, video="broken.mp4", audio="0.wav") for each in manifest.rows]
    os.link(manifest.root / "0.wav", tmp_path / "0.wav")
    write_manifest(tmp_path / "manifest.parquet", rows)
    with pytest.raises(ValueError, match=r"broken.mp4: expected video or sound, cannot be read") as error:
        next(batches(read_manifest(tmp_path), workers).between(0, 1))
    assert "\n" not in str(error.value)
    del error
    assert not children()


def test_a_file_that_kills_its_loader_process_is_named_in_one_line(tmp_path, manifest, monkeypatch):
    read = loader.read_frames

    def poisoned(path, times):
        video_decode.borrow(path, VideoStream)  # opened as by the reader that crashes
        if path.name == "5.mp4":
            os.kill(os.getpid(), signal.SIGSEGV)
        return read(path, times)

    monkeypatch.setattr(loader, "read_frames", poisoned)
    with pytest.raises(
        InputError, match=r"^\S*/5\.mp4: its worker process died, twice \(Segmentation fault\)"
    ) as error:
        list(batches(manifest, 2).between(0, 3))
    assert "\n" not in str(error.value)
    del error
    assert not children()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_gone_since_is_named(tmp_path, manifest, workers):
    with pytest.raises(FileNotFoundError, match="0.wav: expected"):
        next(batches(dataclasses.replace(manifest, root=tmp_path, rows=(row(0),)), workers).between(0, 1))


def test_errors_of_a_task_keep_their_traceback(manifest):
    def broken(clip, rng):
        raise ValueError("a task's own mistake")

    for workers in (0, 1):
        with pytest.raises(ValueError, match="a task's own mistake") as caught:
            next(batches(manifest, workers, make=broken).between(0, 1))
        assert str(caught.value) == "a task's own mistake"
        assert re.search(r"(?s)Traceback.*in broken.*a task's own mistake", caught.value.__notes__[0])


@pytest.mark.heavy
def test_processes_end_with_the_iterator(manifest):
    stream = batches(manifest, 2).between(0, 1000)
    next(stream)
    assert len(children()) == 2
    begin = time.monotonic()
    stream.close()
    assert time.monotonic() - begin < 3
    assert not children()
    assert len(list(batches(manifest, 2).between(3, 5))) == 2
    assert not children()


def test_spawned_processes_give_the_same_batches(manifest, monkeypatch):
    expected = list(batches(manifest).between(2, 5))
    monkeypatch.setenv("AVSSL_START", "spawn")
    found = list(batches(manifest, 2).between(2, 5))
    assert all(same(one, two) for one, two in zip(expected, found, strict=True))
    assert not children()


def test_a_clip_that_hangs_its_loader_process_is_named_in_one_line(manifest, monkeypatch):
    monkeypatch.setenv("AVSSL_PATIENCE", "3")
    read = loader.read_frames
    monkeypatch.setattr(loader, "read_frames", lambda path, times: time.sleep(
        1000 if path.name == "5.mp4" else 0) or read(path, times))  # fmt: skip
    with pytest.raises(InputError, match=r"^\S*/5\.mp4: its worker process made no progress for 3 s") as error:
        list(batches(manifest, 2).between(0, 3))
    assert "\n" not in str(error.value)
    del error
    assert not children()


@pytest.mark.slow
def test_memory_of_loader_processes_is_flat_over_a_long_run(manifest):
    sizes = []
    for step, _ in enumerate(batches(manifest, 2).between(0, 2400)):
        if step in (1200, 2399):
            sizes.append(sum(each.memory_full_info().uss for each in children()) / 2**20)
    assert sizes[1] - sizes[0] < 4, sizes


def test_a_small_shared_memory_is_left_alone(manifest, monkeypatch):
    expected = list(batches(manifest).between(0, 3))
    monkeypatch.setattr(loader_process, "ROOMY", 2**60)
    found = list(batches(manifest, 2).between(0, 3))
    assert all(same(one, two) for one, two in zip(expected, found, strict=True))
    assert not found[0]["frames"].is_shared()


SCRIPT = """
    import os, signal, sys, time
    import numpy as np, torch
    from avssl.config import DataConfig
    from avssl.data.loader import Batches
    from avssl.datasets.manifest import read_manifest

    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells make their background jobs deaf to it
    torch.randn(512, 512) @ torch.randn(512, 512)  # threads of its own before it forks
    data = DataConfig(seconds=0.5, frames=4, frame_rate=8.0, batch=6, workers=2)
    batches = Batches(read_manifest(sys.argv[1]), lambda clip, rng: {"audio": clip.audio}, data, 8000, 0)
    for batch in batches.between(0, 100000):
        print("batch", flush=True)
        time.sleep(0.05)
"""


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.heavy
def test_no_process_outlives_an_interrupted_run(manifest, blow):
    run = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(manifest.root)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    for _ in range(3):
        assert run.stdout.readline() == "batch\n", run.stderr.read()
    workers = psutil.Process(run.pid).children()
    assert len(workers) == 2
    if blow == signal.SIGINT:
        os.killpg(run.pid, blow)  # Ctrl-C reaches the whole group
    else:
        run.kill()
    _, said = run.communicate(timeout=30)
    assert said.count("Traceback") == (1 if blow == signal.SIGINT else 0)  # of the run alone, not of its loaders
    _, alive = psutil.wait_procs(workers, timeout=15)
    assert not alive


@pytest.mark.heavy
def test_a_terminated_group_still_gets_its_batches(manifest):
    """Launchers send SIGTERM to all processes of a run; the one that trains has a checkpoint to write first."""
    stream = batches(manifest, 2).between(0, 30)
    next(stream)
    for child in children():
        child.terminate()
    assert sum(1 for _ in stream) == 29


def own_memory():
    """Bytes of this process alone; pages of libraries come and go as the kernel likes."""
    memory = psutil.Process().memory_info()
    return memory.rss - memory.shared


@pytest.mark.heavy
def test_memory_is_flat(manifest):
    stream = batches(manifest).between(0, 10**6)
    for _ in range(60):
        next(stream)
    before = own_memory()
    for _ in range(60):
        next(stream)
    grown = own_memory() - before
    print(f"360 clips: {grown / 1e6:+.1f} MB")
    assert grown < 0.03 * before


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
def test_frames_have_the_middle_of_the_audio_where_that_is_asked_for(manifest, frames):
    config = DataConfig(seconds=0.5, frames=frames, frame_rate=8.0, frame_position="middle")
    starts = set()
    for seed in range(20):
        clip = read_clip(manifest.rows[0], manifest.root, config, 8000, np.random.default_rng(seed))
        start, first = clip.labels["start"], clip.labels["frame_start"] * 8
        assert 0 <= start <= manifest.rows[0].seconds - 0.5
        assert first == pytest.approx(round(first))  # as it is shown: not between two frames
        assert (first + frames // 2) / 8 == pytest.approx(start + 0.25)
        shown = (clip.frames.float().mean((1, 2, 3)) - 10) / 5  # 16 frames a second, each 5 brighter
        np.testing.assert_allclose(shown, [2 * (first + each) for each in range(frames)], atol=0.35)
        starts.add(start)
    assert len(starts) > 5
    with pytest.raises(ValueError, match="random, middle"):
        DataConfig(frame_position="end")


def test_frames_of_a_clip_as_long_as_a_window_are_late_by_less_than_one(manifest):
    config = DataConfig(seconds=0.55, frames=2, frame_rate=8.0, frame_position="middle")
    clip = read_clip(row(0, seconds=0.55), manifest.root, config, 8000, np.random.default_rng(0))
    assert clip.labels["start"] == 0
    assert clip.labels["frame_start"] == 1 / 8  # 0.2125 s before 0.275 s, the middle
    long = dataclasses.replace(config, seconds=1.2, frames=9)
    clip = read_clip(row(0, seconds=0.55), manifest.root, long, 8000, np.random.default_rng(0))
    assert clip.labels["frame_start"] == -2 / 8
    assert bool((clip.frames[0] == clip.frames[2]).all())  # frames before the clip are its first one
