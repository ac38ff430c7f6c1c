"""Choice of formats, lists and reasons of `avssl download`, without a network."""

import pytest

from avssl.cli.download import KINDS as NAMED
from avssl.datasets.download_formats import NoFormatError, choose_formats
from avssl.datasets.download_lists import KINDS, read_ids
from avssl.datasets.download_report import status_of
from avssl.datasets.download_videos import DownloadOptions
from avssl.errors import InputError

ONE, OTHER = "dQw4w9WgXcQ", "-_a4w9Wg_1Q"


def audio(name, codec, channels=None, rate=128):
    return {"format_id": name, "acodec": codec, "vcodec": "none", "audio_channels": channels, "abr": rate}


def video(name, width, height, note="", rate=1000):
    return {"format_id": name, "vcodec": "vp9", "acodec": "none", "width": width, "height": height,
            "format_note": note, "tbr": rate}  # fmt: skip


STEREO, OPUS, VORBIS, AAC = (
    audio("251", "opus", 2, 160), audio("338", "opus", 4, 480), audio("339", "vorbis", 4, 490),
    audio("327", "mp4a.40.2", 6, 256),
)  # fmt: skip
EQUI, EAC, PLAIN = (
    video("a", 1920, 960, "720p, equirectangular"), video("b", 3840, 2160, "2160p, mesh"), video("c", 1920, 1080),
)  # fmt: skip


@pytest.mark.parametrize(
    ("formats", "chosen"),
    [
        ([STEREO, AAC, VORBIS, OPUS], "338"),
        ([STEREO, AAC, VORBIS], "339"),
        ([STEREO, AAC], "327"),
        ([STEREO, audio("327", "mp4a.40.2", None)], "327"),  # channels unknown: by YouTube's number
        ([AAC, audio("x", "opus", 4, 64), audio("y", "opus", 4, 96)], "y"),
    ],
)
def test_four_channel_sound_comes_before_six_channel_aac(formats, chosen):
    assert choose_formats([*formats, EQUI], True, 1080)[1]["format_id"] == chosen


@pytest.mark.parametrize(
    ("formats", "height", "chosen"),
    [
        ([EAC, EQUI, PLAIN], 2160, "a"),
        ([EAC, PLAIN], 1080, "b"),  # a mesh is EAC; undeclared 16:9 may be anything
        ([video("d", 3840, 1920), EAC], 1080, "d"),
        ([video("low", 960, 480, "equirectangular"), EQUI], 1080, "a"),
        ([video("low", 960, 480, "equirectangular"), EQUI], 500, "low"),
        ([video("8k", 7680, 3840, "equirectangular"), video("4k", 3840, 1920, "equirectangular")], 720, "4k"),
    ],
)
def test_equirectangular_frames_come_before_cube_maps_then_height(formats, height, chosen):
    assert choose_formats([OPUS, *formats], True, height)[0]["format_id"] == chosen


def test_ordinary_videos_have_stereo_and_the_highest_frames():
    found = choose_formats([OPUS, STEREO, audio("mono", "opus", 1, 999), PLAIN, video("e", 1280, 720)], False, 1080)
    assert [each["format_id"] for each in found] == ["c", "251"]


def test_a_video_without_ambisonics_is_named_by_what_it_has():
    with pytest.raises(NoFormatError, match="expected 4-channel opus or vorbis, .* the site has mp4a 2, opus 2"):
        choose_formats([STEREO, audio("140", "mp4a.40.2", 2), EQUI], True, 1080)
    both = {"format_id": "18", "vcodec": "avc1", "acodec": "mp4a.40.2", "width": 640, "height": 360}
    with pytest.raises(NoFormatError, match="expected video apart from audio, the site has none"):
        choose_formats([OPUS, both], True, 1080)


@pytest.mark.parametrize(
    ("kind", "text", "ids"),
    [
        ("yt360", f"{ONE}\n{OTHER}", [ONE, OTHER]),
        ("yt360", f"{ONE} 10,20,30\n{OTHER} 5\n", [ONE, OTHER]),
        ("sphere360", f"{ONE}_10\n{ONE}_130\n{OTHER}_0\n", [ONE, OTHER]),
        ("rec-street", f"{OTHER}\n{ONE}", [OTHER, ONE]),
        ("youtube-asmr", f"ytid,start_s,end_s\n{ONE},1,11\n{OTHER},5.5,15.5\n", [ONE, OTHER]),
        ("music", f'{{"videos": {{"flute": ["{ONE}"], "tuba": ["{OTHER}", "{ONE}"]}}}}', [ONE, OTHER]),
    ],
)
def test_lists_are_read_in_their_published_forms(tmp_path, kind, text, ids):
    (tmp_path / "list").write_text(text)
    assert read_ids(tmp_path / "list", kind) == ids
    assert kind in NAMED


def test_the_command_names_every_kind():
    assert list(NAMED) == list(KINDS)


@pytest.mark.parametrize(
    ("kind", "text", "why"),
    [
        ("yt360", "../../etc/x", "an id has 11 characters, got '../../etc/x'"),
        ("ids", "https://example.org/v", "an id has 11 characters"),
        ("ids", "\n\n", "got no ids"),
        ("music", "[]", "expected a list of music"),
        ("youtube-asmr", "ytid,start_s,end_s\n", "got no ids"),
    ],
)
def test_other_lists_are_refused_in_one_line(tmp_path, kind, text, why):
    (tmp_path / "list").write_text(text)
    with pytest.raises(InputError, match=why) as caught:
        read_ids(tmp_path / "list", kind)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("[youtube] x: Video unavailable. This video has been removed by the uploader", "gone"),
        ("[youtube] x: Private video. Sign in if you've been granted access to this video", "private"),
        ("Video unavailable. This video is no longer available because the YouTube account associated with this video "
         "has been terminated.", "account closed"),
        ("The uploader has not made this video available in your country", "not in this country"),
        ("Video unavailable. This video is not available in your country", "not in this country"),
        ("Sign in to confirm your age. This video may be inappropriate for some users.", "age"),
        ("Sign in to confirm you’re not a bot. Use --cookies-from-browser", "rate limited"),
        ("Unable to download webpage: HTTP Error 429: Too Many Requests", "rate limited"),
        ("Unable to download API page: HTTPSConnection: Read timed out.", "network"),
        ("something new", "other"),
    ],
)  # fmt: skip
def test_reasons_of_a_site_are_sorted(message, status):
    assert status_of(message) == status


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"url": "https://example.org"}, "with {id} once"),
        ({"url": "file:///etc/{id}"}, "http"),
        ({"sleep": -1.0}, "sleep"),
        ({"cookies": "/nowhere/c.txt"}, "there is none at /nowhere/c.txt"),
    ],
)
def test_options_without_meaning_are_refused(options, why):
    with pytest.raises(InputError, match=why):
        DownloadOptions(**options)
