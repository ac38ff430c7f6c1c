"""Films and sound tracks of the player: layouts, projections, outlines, the exported page, wrong input."""

from __future__ import annotations

import json
import math
import re
import struct

import httpx
import numpy as np
import pyarrow as pa
import pytest
import torch
from avssl_tasks.avsa import AvsaOptions
from click.testing import CliRunner

from avssl.cli.main import main
from avssl.config import RunConfig, fill
from avssl.data.crops import draw_crops
from avssl.data.loader import Batches
from avssl.datasets.manifest import Row, read_manifest, write_manifest
from avssl.detection.object_index import SCHEMA, DetectedTimes, DetectionSettings, objects_path, write_objects
from avssl.errors import InputError, MissingFileError
from avssl.media import write_audio, write_spatial_mp4, write_video
from avssl.media.video_reader import VideoReader
from avssl.runs.run_folder import init_run_folder
from avssl.spatial.ambisonics import direction, gains
from avssl.web.play.browser_video import browser_video
from avssl.web.play.export_page import bundle, export_page
from avssl.web.play.film import open_film
from avssl.web.play.manifest_film import open_clip
from avssl.web.play.overlays import Outline, Overlays
from avssl.web.play.play_page import Programme, play_page
from avssl.web.play.sound_track import RATE, open_track, pack_block, unpack_block
from avssl.web.server import listen, running

FILTERS = torch.zeros(2, 4, 8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, films):
    made = tmp_path_factory.mktemp("films")
    films.write_film(made / "film.mp4", seconds=2.0, azimuth=90)
    write_video(made / "flat.mp4", (np.full((90, 160, 3), index, np.uint8) for index in range(25)), 25.0)
    for channels in (1, 2, 5, 6):
        sound = torch.stack([films.noise(2.0, seed) for seed in range(channels)])
        write_audio(made / f"{channels}.wav", sound, 24000 if channels == 2 else RATE, subtype="FLOAT")
    return made


def test_a_block_holds_the_samples_above_full_scale_too():
    sound = torch.tensor([[0.5, -3.0, 0.0], [1.0, 0.25, -0.25]])
    block = pack_block(sound)
    assert struct.unpack_from("<f", block) == (3.0,)
    assert np.abs(unpack_block(block, 2) - sound.numpy()).max() <= 3.0 / 32767


def test_blocks_of_a_track_join_to_its_sound_at_the_page_rate(folder):
    track = open_track("x", folder / "2.wav", "auto", panoramic=True)
    assert (track.channels, track.layout) == (2, "stereo")
    blocks = torch.cat([track.samples(float(second), 1.0) for second in range(4)], 1)
    whole = track.samples(0.0, 4.0)
    assert blocks.shape == (2, 4 * RATE)
    assert torch.allclose(blocks[:, : 3 * RATE], whole[:, : 3 * RATE], atol=1e-5)
    assert not blocks[:, round(4.1 * RATE) :].any()


def test_mono_is_w_alone_in_a_panorama_and_both_ears_in_a_flat_film(folder):
    turning = open_track("x", folder / "1.wav", "auto", panoramic=True).samples(0, 1)
    flat = open_track("x", folder / "1.wav", "auto", panoramic=False).samples(0, 1)
    assert turning.shape[0] == 4
    assert turning[0].any()
    assert not turning[1:].any()
    assert torch.equal(flat[0], flat[1])


def test_surround_comes_from_its_loudspeakers(folder):
    track = open_track("x", folder / "6.wav", "auto", panoramic=False)
    assert track.layout == "5.1"
    assert torch.allclose(track.matrix[:, 4], gains(math.radians(110), 0.0), atol=1e-6)
    assert track.matrix[:, 3].tolist() == [1.0, 0.0, 0.0, 0.0]


def test_six_channel_aac_is_ambisonics_where_two_channels_are_silent(tmp_path, films):
    still = [films.panorama(64)] * 25
    write_video(tmp_path / "silent.mp4", still, 25.0)
    ambix = films.field(90, 1.0)
    unused = torch.zeros(1, RATE)
    for name, spare in (("youtube", unused), ("surround", films.noise(1.0)[None])):
        native = torch.cat([ambix[3:4], ambix[1:2], ambix[:1], spare, ambix[2:3], spare])
        write_spatial_mp4(tmp_path / f"{name}.mp4", tmp_path / "silent.mp4", [native], RATE, panoramic=True)
    assert open_track("x", tmp_path / "youtube.mp4", "auto", panoramic=True).layout == "youtube-327"
    assert open_track("x", tmp_path / "surround.mp4", "auto", panoramic=True).layout == "5.1"
    assert open_track("x", tmp_path / "youtube.mp4", "auto", panoramic=False).layout == "5.1"


def test_projections_are_recognised_and_declared(folder, tmp_path):
    assert open_film(folder / "film.mp4", tmp_path).panoramic
    assert not open_film(folder / "flat.mp4", tmp_path).panoramic
    assert not open_film(folder / "film.mp4", tmp_path, projection="flat").panoramic
    assert open_film(folder / "1.wav", tmp_path).video is None
    write_video(tmp_path / "square.mp4", [np.zeros((64, 64, 3), np.uint8)] * 5, 25.0)
    with pytest.raises(InputError, match="expected equirectangular frames"):
        open_film(tmp_path / "square.mp4", tmp_path, projection="equirect")


def test_a_film_in_a_codec_of_browsers_is_played_as_it_is(folder, tmp_path):
    assert open_film(folder / "film.mp4", tmp_path).played == folder / "film.mp4"


def test_a_film_in_another_container_is_copied_or_converted(folder, tmp_path, matroska, films):
    film = tmp_path / "film.mkv"
    matroska(film, [films.panorama(64)] * 10, list(range(0, 1000, 100)))
    proxy = browser_video(film, VideoReader(film), tmp_path, progress=False)
    read = VideoReader(proxy)
    assert (read.size, read.length()) == ((64, 128), pytest.approx(1.0, abs=0.11))
    shown = next(read.frames([0.5], (64, 128)))
    assert shown[32, 64] == pytest.approx(films.COLOURS[0], abs=25)


def test_outlines_of_a_segment_are_those_shown_in_it():
    times = [(0.0, 1.0), (59.5, 60.5), (130.0, 131.0)]
    overlays = Overlays(tuple(Outline("object", str(at), *at, (1.0,) * 9, (0.1, 0.2)) for at in times))
    shown = [[each["begin"] for each in overlays.segment(index)] for index in range(3)]
    assert shown == [[0.0, 59.5], [59.5], [130.0]]


@pytest.fixture(scope="module")
def clips(tmp_path_factory, films):
    """Four clips of a manifest, in one of which a detector found something."""
    made = tmp_path_factory.mktemp("clips")
    rows = []
    for number in range(4):
        write_video(made / f"{number}.mp4", [films.panorama(32)] * 32, 16.0)
        write_audio(made / f"{number}.wav", films.field(40, 2.0), RATE)
        rows.append(
            Row(key=f"clip-{number}", split="train", video=f"{number}.mp4", audio=f"{number}.wav", start=0.0,
                seconds=2.0, frame_rate=16.0, width=64, height=32, sample_rate=RATE, layout="ambix", silent_channels="",
                azimuth=0.0, elevation=0.0, diffuseness=0.0, source="")
        )  # fmt: skip
    write_manifest(made / "manifest.parquet", rows)
    found = {"key": "clip-1", "time": 1.0, "azimuth": 90.0, "elevation": 30.0, "width": 40.0, "height": 20.0,
             "label": "dog", "score": 0.75, "model": "made"}  # fmt: skip
    about = DetectionSettings("made", "viewports", 2.0, 0.25, "proxy")
    times = {f"clip-{number}": DetectedTimes(4, 0.5, 0.0) for number in range(4)}
    write_objects(objects_path(made, "made.pt"), pa.Table.from_pylist([found], SCHEMA), about, times)
    return made


def test_objects_of_a_clip_are_outlined_at_their_time(clips, tmp_path):
    film = open_clip(clips, tmp_path, "clip-1", "made.pt", None)
    (outline,) = film.overlays.outlines
    assert (outline.kind, outline.label, outline.begin, outline.end) == ("object", "dog 0.75", 0.75, 1.25)
    front = np.reshape(outline.camera, (3, 3))[:, 0]
    assert np.allclose(front, direction(math.radians(90), math.radians(30)), atol=1e-6)
    assert outline.half == pytest.approx((math.tan(math.radians(20)), math.tan(math.radians(10))))
    assert [each.name for each in film.tracks] == ["recorded"]
    assert not open_clip(clips, tmp_path, "clip-2", "made.pt", None).overlays.outlines


def test_crops_of_a_run_are_those_of_its_last_step(clips, tmp_path):
    settings = {"task": "avsa", "data": {"manifest": str(clips), "seconds": 0.5, "frames": 4, "batch": 4, "workers": 0},
                "train": {"steps": 7, "seed": 3}}  # fmt: skip
    config = fill(RunConfig, settings)
    init_run_folder(tmp_path / "run", config)
    options = fill(AvsaOptions, config.options)
    drawn = {}

    def views(clip, rng):
        drawn[clip.key] = draw_crops(options, rng, options.scene_rotation, options.flip, clip.objects), clip.labels
        return {"nothing": torch.zeros(1)}

    list(Batches(read_manifest(clips), views, config.data, RATE, config.train.seed).between(6, 7))
    film = open_clip(clips, tmp_path, "clip-2", None, tmp_path / "run")
    crops, labels = drawn["clip-2"]
    assert len(film.overlays.outlines) == options.crops
    for outline, camera, fov, aspect in zip(
        film.overlays.outlines, crops.cameras, crops.fields, crops.aspects, strict=True
    ):
        half = math.tan(float(fov) / 2)
        assert outline.begin == pytest.approx(labels["start"])
        assert np.allclose(np.reshape(outline.camera, (3, 3)), camera, atol=1e-5)
        assert outline.half == pytest.approx((half, half * float(aspect)), rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--clip", "clip-9"], "expected the key of a clip, got 'clip-9'"),
        (["--objects", "other"], "expected objects, there is no such file"),
        (["--run", "."], "expected a run folder of avssl pretrain"),
    ],
)
def test_wrong_input_beside_a_manifest_is_one_line(clips, monkeypatch, arguments, message):
    monkeypatch.chdir(clips)
    result = CliRunner().invoke(main, ["play", ".", *arguments, "--no-browser"])
    assert result.exit_code == 2
    assert message in result.output


def test_the_server_gives_blocks_and_refuses_what_is_not_there(folder, tmp_path):
    film = open_film(folder / "film.mp4", tmp_path, tracks={"mono": folder / "1.wav"})
    with running(play_page(Programme([film], FILTERS))) as address, httpx.Client(base_url=address) as client:
        found = client.get("films/0/film.json").json()
        block = client.get("films/0/tracks/0/1").content
        wrong = [client.get(f"films/{path}").status_code for path in ("1/film.json", "0/tracks/2/0", "0/tracks/0/999")]
    assert [each["name"] for each in found["tracks"]] == ["recorded", "mono"]
    assert np.abs(unpack_block(block, 4) - film.tracks[0].samples(1.0, 1.0).numpy()).max() < 1e-4
    assert wrong == [422, 422, 422]


def test_blind_descriptions_tell_nothing_of_names_and_files(folder, tmp_path):
    film = open_film(folder / "film.mp4", tmp_path, tracks={"ours": folder / "1.wav"})
    blind = Programme([film], FILTERS, blind=True)
    assert "ours" not in json.dumps(blind.description(0))
    assert sorted(blind.names(0)) == ["ours", "recorded"]


def test_modules_in_one_script_define_each_name_once():
    script = bundle("main.js")
    assert "import " not in re.sub(r"//.*|/\*.*?\*/", "", script, flags=re.DOTALL)
    names = re.findall(r"^(?:async )?(?:function|class|const|let) (\w+)", script, re.MULTILINE)
    assert len(names) == len(set(names)) > 50


def test_a_name_in_an_exported_page_cannot_end_its_element(folder, tmp_path, films):
    film = tmp_path / "<!--<script>x.mp4"
    film.write_bytes((folder / "film.mp4").read_bytes())
    export_page(tmp_path / "page.html", Programme([open_film(film, tmp_path)], FILTERS), 0.0, 1.0, progress=False)
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    data = re.search(r'id="film-data">(.*?)</script>', html, re.DOTALL)[1]
    assert json.loads(data)["description"]["title"] == film.name
    assert html.count("<!--") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.mp4"], "gone.mp4: expected a film, there is no such file"),
        (["film.mp4", "--track", "ours=gone.wav"], "gone.wav: expected a sound track, there is no such file"),
        (["film.mp4", "--track", "ours"], "--track: expected NAME=FILE"),
        (["film.mp4", "--track", "recorded=1.wav"], "expected another name"),
        (["film.mp4", "--track", "five=5.wav"], "expected ambisonics"),
        (["film.mp4", "--channel-layout", "ambxi"], "unknown sound layout 'ambxi'"),
        (["film.mp4", "--channel-layout", "stereo"], "stereo sound has 2 channels, this has 4"),
        (["film.mp4", "--clip", "x"], "expected the folder of a manifest beside --clip"),
        (["film.mp4", "flat.mp4", "--export", "x.html"], "expected one FILE beside --export"),
        (["film.mp4", "--export", "x.mp4"], "x.mp4: expected the name of a .html file"),
        (["film.mp4", "--export", "x.html", "--seconds", "999"], "--seconds: expected more than 0 and at most 60 s"),
        (["film.mp4", "--export", "x.html", "--start", "9"], "--start: expected a time in the film"),
        (["film.mp4", "--hrirs", "gone.sofa"], "gone.sofa: no such file"),
    ],
)
def test_wrong_input_is_one_line(folder, monkeypatch, arguments, message):
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(main, ["play", *arguments, "--no-browser"])
    assert result.exit_code == 2
    assert message in result.output
    assert len(result.output.strip().splitlines()) == 1
    assert not (folder / "x.html").exists()


def test_a_port_in_use_is_an_error_before_any_work(folder):
    with listen(0) as bound:
        port = bound.getsockname()[1]
        result = CliRunner().invoke(main, ["play", str(folder / "gone.mp4"), "--port", str(port)])
    assert result.exit_code == 2
    assert f"expected a free port, got {port}, one that is in use" in result.output


def test_a_missing_film_is_a_missing_file(tmp_path):
    with pytest.raises(MissingFileError):
        open_film(tmp_path / "gone.mp4", tmp_path)
