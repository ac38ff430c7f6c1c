import json
from dataclasses import replace
from itertools import pairwise

import av
import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import binom, ks_2samp
from sklearn.ensemble import RandomForestClassifier

from avssl.cli import main
from avssl.datasets.layouts.hmdb51 import Hmdb51
from avssl.datasets.layouts.ucf101 import Ucf101
from avssl.media import probe, read_all_audio, read_frames
from avssl.synth.actions.actions_dataset import actions
from avssl.synth.actions.motions import MOTIONS
from avssl.synth.actions.performance import draw_clip, render_audio, render_frames
from avssl.synth.canvas.compositing import Canvas

SMALL = {"classes": 4, "groups": 3, "clips": 2, "seconds": 0.5, "width": 64, "height": 48, "progress": False}
BRIEF = Canvas(0.125, 64, 16.0, 24000, 48)
WINDOW = Canvas(0.5, 64, 16.0, 24000, 48)
PAIRS = [pytest.param(*MOTIONS[k : k + 2], id=MOTIONS[k].name) for k in range(0, len(MOTIONS), 2)]
BY_NAME = {motion.name: motion for motion in MOTIONS}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return actions(tmp_path_factory.mktemp("world"), workers=1, seed=3, **SMALL)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    size = SMALL | {"groups": 10, "clips": 1}
    return actions(tmp_path_factory.mktemp("films"), "hmdb51", workers=1, seed=3, **size)


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_official_reader_of_ucf101_finds_every_clip(world):
    found = Ucf101().read(world)
    assert found.name == "synthetic actions (UCF101 layout)"
    assert found.classes == ("Approach", "Fall", "Recede", "Rise")
    assert len(found.recordings) == 4 * 3 * 2
    for fold in found.folds:
        assert (len(fold.train), len(fold.test)) == (16, 8)


@pytest.mark.heavy
def test_the_official_reader_of_hmdb51_finds_every_clip(films):
    found = Hmdb51().read(films)
    assert found.name == "synthetic actions (HMDB51 layout)"
    assert found.classes == ("approach", "fall", "recede", "rise")
    for fold in found.folds:
        assert len(fold.test) == 0.3 * 4 * 10
        # One of each class has code 0.
        assert len(fold.train) + len(fold.test) == 4 * (10 - 1)


@pytest.mark.parametrize(("tree", "layout"), [("world", Ucf101), ("films", Hmdb51)])
def test_no_group_is_both_trained_on_and_tested_and_none_tested_twice(request, tree, layout):
    found = layout().read(request.getfixturevalue(tree))
    groups = {each.key: each.group for each in found.recordings}
    tested = []
    for fold in found.folds:
        test = {groups[key] for key in fold.test}
        assert not test & {groups[key] for key in fold.train}
        tested += test
    assert len(tested) == len(set(tested))


def test_twenty_five_groups_are_split_as_ucf101_splits_them():
    from avssl.synth.actions.split_files import TREES

    tested = [[group for group in range(1, 26) if TREES["ucf101"].is_tested(group, 25, k)] for k in (1, 2, 3)]
    assert tested == [[*range(1, 8)], [*range(8, 15)], [*range(15, 22)]]


def test_files_are_what_ucf101_has(world):
    path = world / "UCF-101/Rise/v_Rise_g01_c01.avi"
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (container.format.name, stream.codec_context.name, stream.codec_tag) == ("avi", "mpeg4", "xvid")
        assert (stream.average_rate, stream.frames) == (25, 12)
    assert (world / "ucfTrainTestlist/classInd.txt").read_text().splitlines()[0] == "1 Approach"
    assert "Rise/v_Rise_g02_c01.avi 4\n" in (world / "ucfTrainTestlist/trainlist01.txt").read_text()
    assert "Rise/v_Rise_g01_c01.avi\n" in (world / "ucfTrainTestlist/testlist01.txt").read_text()


def test_files_hold_the_clips_that_were_drawn(world):
    form = Canvas(0.5, 64, 25.0, 24000, 48)
    for group in (1, 2, 3):
        clip = draw_clip(3, BY_NAME["fall"], group, 2, form)
        path = world / f"UCF-101/Fall/v_Fall_g{group:02d}_c02.avi"
        stored = read_frames(path, [k / 25 for k in range(12)]).permute(0, 2, 3, 1).numpy().astype(int)
        assert np.abs(stored - np.stack([*render_frames(clip, form)])).mean() < 6
        assert bool(probe(path).audio_streams) == clip.troupe.sounding
        if clip.troupe.sounding:
            audio, drawn = read_all_audio(path)[0].numpy(), render_audio(clip, form)
            assert np.sqrt((audio**2).mean()) == pytest.approx(np.sqrt((drawn**2).mean()), rel=0.2)


def test_some_groups_have_audio_and_some_have_none():
    sounding = [draw_clip(0, MOTIONS[0], group, 1, BRIEF).troupe.sounding for group in range(60)]
    assert 15 < sum(sounding) < 45


@pytest.mark.heavy
def test_the_same_seed_gives_the_same_files_whatever_the_number_of_processes(world, tmp_path, same_content):
    again = actions(tmp_path, workers=2, seed=3, **(SMALL | {"classes": 6}))
    for name in files(world):
        if name.startswith("ucfTrainTestlist"):
            assert (again / name).read_bytes() != (world / name).read_bytes()
        else:
            same_content(again / name, world / name)
    other = draw_clip(4, MOTIONS[0], 1, 1, BRIEF)
    assert other.troupe != draw_clip(3, MOTIONS[0], 1, 1, BRIEF).troupe


def test_an_interrupted_run_is_taken_up(world, tmp_path):
    actions(tmp_path, workers=1, seed=3, **SMALL)
    kept, lost = (tmp_path / f"UCF-101/Rise/v_Rise_g0{k}_c01.avi" for k in (1, 2))
    changed = kept.stat().st_mtime_ns
    lost.unlink()
    actions(tmp_path, workers=1, seed=3, **SMALL)
    assert kept.stat().st_mtime_ns == changed
    assert files(tmp_path) == files(world)


def test_where_nothing_is_missing_no_process_is_started(world, monkeypatch):
    monkeypatch.setattr("avssl.io.process_pool._Pool", None)
    actions(world, workers=2, seed=3, **SMALL)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"classes": 3}, "classes is an even number from 2 to 16"),
        ({"classes": 18}, "classes is an even number"),
        ({"groups": 2}, "groups is at least 3"),
        ({"clips": 0}, "clips is at least 1"),
        ({"seconds": 0.1}, "seconds is from"),
        ({"width": 63}, "width is an even number"),
        ({"layout": "ucf11"}, "did you mean 'ucf101'"),
        ({"workers": 0}, "workers is at least 1"),
        ({"seed": -1}, "seed is not negative"),
    ],
)
def test_numbers_without_meaning_are_named(tmp_path, wrong, message):
    with pytest.raises(ValueError, match=message):
        actions(tmp_path / "new", **({"seed": 3} | SMALL | wrong))
    assert not (tmp_path / "new").exists()


def test_the_command_renders_what_the_function_does(world, tmp_path):
    size = [f"--{name}={SMALL[name]}" for name in ("classes", "groups", "clips", "seconds", "width", "height")]
    command = ["synth", "actions", str(tmp_path / "out"), "--seed=3", "--workers=1", *size]
    result = CliRunner().invoke(main, command)
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path / 'out'}\n")
    assert files(tmp_path / "out") == files(world)
    result = CliRunner().invoke(main, [*command, "--groups=1"])
    assert result.exit_code == 2
    assert "groups is at least 3" in result.stderr.splitlines()[-1]


def test_folders_of_others_are_left_alone(world, tmp_path):
    with pytest.raises(ValueError, match="expected seed 3, which it was written with, got 4"):
        actions(world, seed=4, **SMALL)
    for layout, mark in (("ucf101", "UCF-101"), ("hmdb51", "testTrainMulti_7030_splits")):
        (tmp_path / layout / mark).mkdir(parents=True)
        with pytest.raises(ValueError, match=f"holds {mark}, which actions did not write"):
            actions(tmp_path / layout, layout, **SMALL)
    assert json.loads((world / "scenes.json").read_text())["world"] == "actions"


def poses(motion, count=400, seed=1):
    """What is seen of the first player at one instant, for many clips."""
    clips = [draw_clip(seed, motion, k % 5, k, BRIEF) for k in range(count)]
    seen = [clip.players[0][1] for clip in clips]
    return {
        "x": np.array([pose.x[1] for pose in seen]),
        "y": np.array([pose.y[1] for pose in seen]),
        "side": np.array([pose.side[1] for pose in seen]),
        "roll": np.array([pose.roll[1] for pose in seen]),
        "light": np.array([pose.light[1] for pose in seen]),
    }


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_at_one_instant_the_members_of_a_pair_are_distributed_alike(one, other):
    mine, theirs = poses(one), poses(other)
    for name in mine:
        assert ks_2samp(mine[name], theirs[name]).pvalue > 1e-3, name


def test_a_single_image_is_at_chance_among_all_kinds():
    features, labels = [], []
    for group in range(6):
        for label, motion in enumerate(MOTIONS):
            for number in range(4):
                frame = next(iter(render_frames(draw_clip(2, motion, group, number, BRIEF), BRIEF)))
                features.append(cv2.resize(frame, (16, 12), interpolation=cv2.INTER_AREA).ravel())
                labels.append((group, label))
    held = np.array([group >= 3 for group, _ in labels])
    frames, kinds = np.array(features), np.array([label for _, label in labels])
    probe = RandomForestClassifier(60, random_state=0).fit(frames[~held], kinds[~held])
    right = int((probe.predict(frames[held]) == kinds[held]).sum())
    assert right <= binom.ppf(0.9995, held.sum(), 1 / len(MOTIONS))


def frames(motion, number, players=1):
    """Half a second of one player alone, from a camera that does not move, grey."""
    clip = draw_clip(5, motion, number % 5, number, WINDOW)
    clip = replace(clip, camera=np.zeros_like(clip.camera), players=clip.players[:players])
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in render_frames(clip, WINDOW)])


def upward(motion, number):
    """Rows that OpenCV's optical flow goes up; the median is not misled by the picture in which a rise begins anew."""
    steps = pairwise(frames(motion, number))
    flow = [cv2.calcOpticalFlowFarneback(a, b, None, 0.5, 2, 9, 2, 5, 1.2, 0) for a, b in steps]
    return -np.median(np.stack(flow)[..., 1].sum((1, 2)))


def growth(motion, number):
    """Shares by which the player covers more of the empty picture from one to the next."""
    covered = frames(motion, number).astype(int) - frames(motion, number, players=0)
    return np.diff(np.log((np.abs(covered) > 8).sum((1, 2)) + 1))


def growing(motion, number):
    return np.median(growth(motion, number))


def throbbing(motion, number):
    return np.abs(growth(motion, number)).mean()


def changes(motion, number):
    """How much every picture differs from every other."""
    seen = frames(motion, number).astype(float)
    return np.abs(seen[:, None] - seen[None]).mean((2, 3))


def restless(motion, number):
    found = changes(motion, number)
    return np.diagonal(found, 1).mean() / np.diagonal(found, 3).mean()


def steady(motion, number):
    steps = np.diagonal(changes(motion, number), 1)
    return np.median(steps) / steps.mean()


def never_back(motion, number):
    found = changes(motion, number)
    return np.diagonal(found, 4).min() / found.max()


@pytest.mark.parametrize(
    ("more", "less", "measure"),
    [
        ("rise", "fall", upward),
        ("approach", "recede", growing),
        ("spin fast", "spin slow", restless),
        ("sway fast", "sway slow", restless),
        ("orbit", "rock", never_back),
        ("glide", "hop", steady),
        ("pulse fast", "pulse slow", throbbing),
        ("blink fast", "blink slow", restless),
    ],
)
def test_half_a_second_of_frames_tells_the_members_of_a_pair(more, less, measure):
    first, second = ([measure(BY_NAME[name], number) for number in range(15)] for name in (more, less))
    share = np.mean([a > b for a in first for b in second])
    assert share > 0.85


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_a_mirror_does_not_turn_a_kind_into_its_pair(one, other):
    # What a mirror turns round, the way to a side or about a circle, is drawn either way in both.
    for motion in (one, other):
        if motion.phase in ("roll", "sway", "orbit", "cross"):
            assert motion.senses == (-1, 1)
