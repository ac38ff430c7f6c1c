"""`avssl inspect` on recordings made here, whose directions, layouts and projections are known."""

import json
import re

import av
import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from avssl.cli import main
from avssl.inspection.motion import motion_path
from avssl.inspection.projection_evidence import measure_picture, recognise_projection
from avssl.inspection.sound_facts import examine_sound
from avssl.media.video_reader import VideoReader
from avssl.media.video_writer import write_audio, write_video
from avssl.spatial.ambisonics import convert, encode
from avssl.spatial.energy_map import equirectangular_grid

RATE = 24000


def noise(seconds=3.0, seed=0):
    return 0.1 * torch.randn(round(seconds * RATE), generator=torch.Generator().manual_seed(seed))


def wave(azimuth, elevation=0.0, **options):
    return encode(noise(**options), torch.tensor(azimuth).deg2rad(), torch.tensor(elevation).deg2rad())


def sphere_photo(height=240, seed=0):
    """A smooth random function of direction, as an equirectangular image."""
    azimuth, elevation = (each.numpy() for each in equirectangular_grid(height, 2 * height))
    x, y, z = np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)
    rng, image = np.random.default_rng(seed), 0
    for _ in range(40):
        a, b, c = rng.normal(size=3) * 4
        image = image + np.sin(a * x + b * y + c * z + rng.uniform(0, 6))
    image = 128 + 25 * image / image.std()
    return np.clip(image + rng.normal(size=image.shape), 0, 255).astype(np.uint8)[..., None].repeat(3, -1)


def photo(height=240, width=428, seed=0):
    """A smooth random image that does not close."""
    coarse = np.random.default_rng(seed).normal(size=(9, 16)).astype(np.float32)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + 60 * image, 0, 255).astype(np.uint8)[..., None].repeat(3, -1)


def faces(name):
    """The sphere on cube faces, by FFmpeg."""
    graph = av.filter.Graph()
    image = sphere_photo()
    source = graph.add_buffer(width=480, height=240, format=av.VideoFormat("gbrp"), time_base=1)
    nodes = [source, graph.add("v360", f"input=e:output={name}:w=480:h=320"), graph.add("buffersink")]
    graph.link_nodes(*nodes).configure()
    graph.push(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="gbrp"))
    return graph.pull().to_ndarray(format="rgb24")


def fisheyes():
    image = np.hstack([photo(240, 240, seed=seed) for seed in (1, 2)])
    row, column = np.mgrid[0.5:240, 0.5:480]
    image[np.hypot(column % 240 - 120, row - 120) > 120] = 0
    return image


def eyes():
    left = photo(240, 240)
    return np.hstack([left, np.roll(left, 3, 1)])


PICTURES = {
    "equirectangular": sphere_photo, "flat": photo, "eac": lambda: faces("eac"), "cubemap": lambda: faces("c3x2"),
    "fisheye": fisheyes, "vr180": eyes,
    "stereo equirectangular": lambda: cv2.resize(np.vstack([sphere_photo()] * 2), (480, 480)),
}  # fmt: skip


@pytest.mark.parametrize("name", PICTURES)
def test_projection_is_recognised_by_the_pixels(name):
    image = PICTURES[name]()
    found, reasons = recognise_projection(measure_picture([image], image.shape[1] / image.shape[0]))
    assert found == name, reasons
    assert reasons


def test_black_poles_are_not_a_fisheye():
    image = sphere_photo()
    image[:40] = image[-40:] = 0
    assert recognise_projection(measure_picture([image], 2.0))[0] == "equirectangular"


def test_direction_over_time_is_that_of_a_source_that_moves(tmp_path):
    write_audio(tmp_path / "a.wav", torch.cat([wave(60.0, 20.0), wave(-100.0, -10.0)], 1), RATE)
    found = examine_sound(tmp_path / "a.wav")
    assert (found.layout, found.order, found.silent_channels) == ("ambix", 1, ())
    early, late = found.path[:6], found.path[6:]
    assert len(found.path) == 12  # every 0.5 s
    for points, azimuth, elevation in ((early, 60, 20), (late, -100, -10)):
        for each in points:
            assert (each.azimuth, each.elevation) == pytest.approx((azimuth, elevation), abs=0.5)
            assert each.diffuseness == pytest.approx(0, abs=0.01)
    assert found.level_db == pytest.approx(-20, abs=0.2)  # of 0.1 in W


def over_w(facts):
    """Energy of Y, Z, X over W, as the evidence states it."""
    (text,) = [each for each in facts.evidence if "over W" in each]
    return float(re.findall(r"W ([\d.]+):", text)[0])


@pytest.mark.parametrize(("convention", "ratio"), [("ambix", 1.0), ("acn-n3d", 3.0)])
def test_energy_of_directions_over_w_tells_the_normalisation(tmp_path, convention, ratio):
    field = convert(wave(30.0, 35.0) + wave(-120.0, -40.0, seed=1), "ambix", convention)
    write_audio(tmp_path / "a.wav", field, RATE, subtype="FLOAT")
    found = examine_sound(tmp_path / "a.wav")
    assert over_w(found) == pytest.approx(ratio, rel=0.05)
    assert any("Y, Z and X have" in each.text for each in found.findings) == (convention == "acn-n3d")


def test_declared_order_and_normalisation_are_named_and_read(tmp_path):
    write_audio(tmp_path / "a.wav", convert(wave(70.0, 10.0), "ambix", "fuma"), RATE, subtype="FLOAT")
    found = examine_sound((tmp_path / "a.wav").rename(tmp_path / "a.amb"))
    assert found.declared == "the suffix .amb: fuma"
    assert (found.direction.azimuth, found.direction.elevation) == pytest.approx((70, 10), abs=0.5)
    assert over_w(found) == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize(
    ("channels", "why"),
    [
        (lambda w, z: torch.stack([w, w]), "this stereo is mono"),
        (lambda w, z: torch.stack([w, 0.5 * w]), "this stereo is mono"),
        (lambda w, z: torch.stack([w, z, z, z]), "only channel W sounds"),
        (lambda w, z: torch.stack([z, w, w, w]), "channel W is silent"),
        (lambda w, z: torch.stack([z, z, z, z]), "silent throughout"),
        (lambda w, z: torch.stack([w, w, w, w, w]), "expected ambisonics"),
    ],
)
def test_sound_without_direction_is_wrong_and_said_why(tmp_path, channels, why):
    write_audio(tmp_path / "a.wav", channels(noise(), torch.zeros(3 * RATE)), RATE, subtype="FLOAT")
    found = [each for each in examine_sound(tmp_path / "a.wav").findings if each.wrong]
    assert any(why in each.line() for each in found), found


def moving_disc(azimuth, count=90, rate=30.0):
    """Frames in which a disc at an azimuth in degrees goes up and down."""
    column = round((180 - azimuth) / 360 * 256)
    for index in range(count):
        frame = sphere_photo(128)
        cv2.circle(frame, (column, 64 + round(8 * np.sin(index / rate * 6))), 9, (255, 255, 255), -1)
        yield frame


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A film whose source moves and sounds at 50 degrees, with metadata for players."""
    folder = tmp_path_factory.mktemp("film")
    write_video(folder / "plain.mp4", moving_disc(50.0), 30.0)
    write_audio(folder / "plain.wav", wave(50.0) + 0.1 * wave(-30.0, 40.0, seed=2), RATE)
    return folder


def test_motion_lies_where_the_disc_moves(film):
    for each in motion_path(VideoReader(film / "plain.mp4"), [0.52, 1.05, 2.09]):
        assert each.azimuth == pytest.approx(50, abs=4)
        assert each.elevation == pytest.approx(0, abs=15)
        assert each.concentration > 0.7


def run(*words):
    return CliRunner().invoke(main, ["inspect", *map(str, words)])


def test_a_good_film_is_right_in_table_json_and_page(film, tmp_path):
    result = run(film / "plain.mp4", "--json", tmp_path / "facts.json", "--html", tmp_path / "page.html")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "facts.json").read_text())
    (facts,) = found["recordings"]
    assert not found["wrong"]
    assert facts["sound"]["direction"]["azimuth"] == pytest.approx(50, abs=2)
    assert facts["picture"]["recognised"] == "equirectangular"
    assert facts["agreement"] < 20
    assert facts["players"][0].startswith("no sphere")
    page = (tmp_path / "page.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 4
    assert page.count("<circle") > 6
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)
    assert "azimuth 50, elevation" in " ".join(result.output.split())
    printed = run(film / "plain.mp4", "--json", "-")
    assert json.loads(printed.output)["recordings"][0]["picture"]["recognised"] == "equirectangular"


def test_a_folder_has_a_line_a_recording_and_one_bad_file_costs_its_line(film, tmp_path):
    folder = tmp_path / "recordings"
    folder.mkdir()
    for name in ("plain.mp4", "plain.wav"):
        (folder / name).symlink_to(film / name)
    (folder / "broken.mp4").write_bytes(b"no film")
    write_audio(folder / "mono.wav", noise()[None], RATE)
    result = run(folder, "--json", tmp_path / "facts.json")
    assert result.exit_code == 1, result.output
    facts = {
        each["path"].rpartition("/")[2]: each
        for each in json.loads((tmp_path / "facts.json").read_text())["recordings"]
    }
    assert {name: each["wrong"] for name, each in facts.items()} == {
        "plain.mp4": False, "broken.mp4": True, "mono.wav": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("frames", "why", "advice"),
    [
        ([photo()] * 12, "an ordinary field of view", "--projection flat"),
        ([faces("eac")] * 12, "look like eac faces", "--projection eac"),
        ([cv2.resize(sphere_photo(), (426, 240))] * 12, "stored 16:9 without a header", "--projection equirect"),
    ],
)
def test_frames_that_are_no_declared_sphere_come_with_the_option_that_reads_them(tmp_path, frames, why, advice):
    write_video(tmp_path / "a.mp4", [each[: each.shape[0] // 2 * 2, : each.shape[1] // 2 * 2] for each in frames], 12.0)
    write_audio(tmp_path / "a.wav", wave(20.0, seconds=1.0), RATE)
    result = run(tmp_path / "a.mp4", "--json", "-")
    assert result.exit_code == 1, result.output
    (found,) = json.loads(result.output)["recordings"]
    (finding,) = [each for each in found["findings"] if each["wrong"]]
    assert why in finding["text"]
    assert advice in finding["advice"]


@pytest.mark.parametrize("name", ["missing.mp4", "empty", "text.mp4"])
def test_what_is_no_recording_is_one_line_and_exit_code_two(tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("nothing")
    result = run(tmp_path / name)
    assert result.exit_code == 2
    assert result.output.count("\n") == 1
    result = run(tmp_path / "empty", "--html", tmp_path / "nowhere" / "page.html")
    assert result.exit_code == 2
    assert "nowhere" in result.output
