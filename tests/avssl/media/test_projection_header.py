"""Films that are no single whole sphere by their header, in all places where a header can say so."""

import struct

import av
import cv2
import numpy as np
import pytest

from avssl.media import read_spatial
from avssl.media.image_sequence import ImageSequence
from avssl.media.mp4.faststart import finish
from avssl.media.mp4.isobmff import Box, full_box
from avssl.media.mp4.metadata import XML, mark_sphere
from avssl.media.mp4.track_projections import XMP
from avssl.media.projection_check import check_equirect, check_flat
from avssl.media.spherical_xml import parse_spherical_xml
from avssl.media.video_reader import VideoReader

WHOLE = full_box(b"equi", bytes(16))


def sv3d(*projection, pose=(0, 0, 0)):
    prhd = full_box(b"prhd", struct.pack(">3i", *(round(angle * 65536) for angle in pose)))
    return Box(b"sv3d", b"", [full_box(b"svhd", b"x\0"), Box(b"proj", b"", [prhd, *projection])])


def st3d(mode):
    return full_box(b"st3d", bytes([mode]))


def xml(**fields):
    fields = {"Spherical": "true", "Stitched": "true", "ProjectionType": "equirectangular"} | fields
    return "".join(f"<GSpherical:{name}>{value}</GSpherical:{name}>" for name, value in fields.items())


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Coded 160 x 80, and 320 x 80."""
    folder = tmp_path_factory.mktemp("plain")
    for width in (160, 320):
        encode(folder / f"{width}.mp4", [width])
    return folder


def encode(path, widths, tags=None):
    """Grey videos of 80 rows, of two frames, the header at the end."""
    with av.open(str(path), "w") as out:
        streams = [out.add_stream("libx264", rate=8) for _ in widths]
        for stream, width in zip(streams, widths, strict=True):
            stream.width, stream.height, stream.pix_fmt = width, 80, "yuv420p"
            stream.metadata.update(tags or {})
        for stream, width in zip(streams, widths, strict=True):
            for _ in range(2):
                out.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((80, width, 3), 90, np.uint8), "rgb24")))
        for stream in streams:
            out.mux(stream.encode(None))


def film(plain, tmp_path, *boxes, text="", width=160):
    """The plain film with boxes in its video sample description, and XML in its track."""
    path = tmp_path / "film.mp4"
    path.write_bytes((plain / f"{width}.mp4").read_bytes())

    def edit(moov):
        (track,) = moov.all(b"trak")
        (entry,) = (each for table in track.all(b"mdia", b"minf", b"stbl", b"stsd") for each in table.children)
        entry.children += boxes
        track.children += [Box(b"uuid", XML + text.encode())] if text else []

    finish(path, edit)
    return VideoReader(path)


def refusal(frames, **options):
    with pytest.raises(ValueError, match="expected") as error:
        check_equirect(frames, **({"declared": False, "vouched": False} | options))
    return str(error.value)


def test_a_whole_sphere_passes_in_every_version_of_the_header(plain, tmp_path):
    for frames in (
        film(plain, tmp_path, sv3d(WHOLE)),
        film(plain, tmp_path, st3d(0), sv3d(WHOLE)),
        film(plain, tmp_path, text=xml()),
        film(plain, tmp_path, sv3d(WHOLE), text=xml(StereoMode="mono")),
        film(plain, tmp_path, text=xml(FullPanoWidthPixels=160, FullPanoHeightPixels=80, CroppedAreaLeftPixels=0,
                                       CroppedAreaImageWidthPixels=160, CroppedAreaImageHeightPixels=80)),
    ):  # fmt: skip
        assert (frames.projection, frames.stereo) == ("equirectangular", "")
        check_equirect(frames, declared=False, vouched=False)


@pytest.mark.parametrize(
    ("boxes", "text", "found"),
    [
        ([sv3d(Box(b"mshp", bytes(8)))], "", "mesh"),
        ([sv3d(full_box(b"cbmp", struct.pack(">2I", 0, 0)))], "", "cubemap"),
        ([sv3d(full_box(b"cbmp", struct.pack(">2I", 256, 0)))], "", "cubemap"),
        ([sv3d(Box(b"ytmp", bytes(8)))], "", "projection 'ytmp'"),
        ([sv3d(WHOLE, Box(b"mshp", bytes(8)))], "", "mesh"),
        ([sv3d()], "", "unnamed projection"),
        ([sv3d(full_box(b"equi", struct.pack(">4I", 0, 0, 1 << 30, 1 << 30)))], "", "cropped equirectangular"),
        ([sv3d(WHOLE, pose=(30, 0, 0))], "", "equirectangular turned away from the front"),
        ([sv3d(WHOLE)], xml(ProjectionType="fisheye"), "fisheye"),
        ([], xml(CroppedAreaImageWidthPixels=80, FullPanoWidthPixels=160), "cropped equirectangular"),
        ([], xml(CroppedAreaTopPixels=20), "cropped equirectangular"),
        ([], xml(InitialViewHeadingDegrees=90), "equirectangular turned away from the front"),
        ([], xml(ProjectionType="cubemap"), "cubemap"),
    ],
)
def test_another_projection_is_refused_as_what_it_is(plain, tmp_path, boxes, text, found):
    frames = film(plain, tmp_path, *boxes, text=text)
    assert frames.projection == found
    option = {"mesh": "eac", "cubemap": "cubemap"}.get(found)
    advice = f"; --projection {option} converts cube faces" if option else ""
    assert refusal(frames) == f"expected equirectangular frames, the header says {found} (160x80){advice}"
    check_equirect(frames, declared=True, vouched=False)
    with pytest.raises(ValueError, match="expected rectilinear frames"):
        check_flat(frames)


@pytest.mark.parametrize(
    ("boxes", "text", "found"),
    [
        ([st3d(1), sv3d(WHOLE)], "", "top-bottom"),
        ([st3d(2), sv3d(WHOLE)], "", "left-right"),
        ([st3d(3), sv3d(Box(b"mshp", bytes(8)))], "", "custom"),
        ([st3d(4), sv3d(WHOLE)], "", "right-left"),
        ([st3d(9), sv3d(WHOLE)], "", "mode-9"),
        ([st3d(4)], "", "right-left"),
        ([sv3d(WHOLE)], xml(StereoMode="left-right"), "left-right"),
        ([st3d(0), sv3d(WHOLE)], xml(StereoMode="top-bottom"), "top-bottom"),
    ],
)
def test_two_eyes_are_refused_as_what_they_are(plain, tmp_path, boxes, text, found):
    frames = film(plain, tmp_path, *boxes, text=text)
    assert frames.stereo == found
    assert f"the header says {found} stereo (160x80)" in refusal(frames)
    with pytest.raises(ValueError, match=f"{found} stereo"):
        check_flat(frames)


def test_a_header_does_not_excuse_a_picture_of_four_to_one(plain, tmp_path):
    frames = film(plain, tmp_path, sv3d(WHOLE), width=320)
    assert refusal(frames) == "expected equirectangular frames (2:1), these are 320x80, perhaps side-by-side stereo"


def test_headers_of_another_track_do_not_count(plain, tmp_path):
    path = tmp_path / "two.mp4"
    encode(path, [64, 160])
    finish(path, lambda moov: mark_sphere(next(moov.all(b"trak"))))
    assert read_spatial(path).sphere.projection == "equirectangular"
    assert VideoReader(path).projection == ""


@pytest.mark.parametrize(
    ("kind", "private", "pose", "stereo", "projection", "eyes"),
    [
        (1, bytes(20), 0.0, 0, "equirectangular", ""),
        (1, b"", 0.0, 0, "equirectangular", ""),
        (0, b"", 0.0, 0, "", ""),
        (3, bytes(8), 0.0, 0, "mesh", ""),
        (2, bytes(12), 0.0, 0, "cubemap", ""),
        (2, bytes(6) + b"\1\0" + bytes(4), 0.0, 0, "cubemap", ""),
        (7, b"", 0.0, 0, "projection 7", ""),
        (1, bytes(12) + b"\x40" + bytes(7), 0.0, 0, "cropped equirectangular", ""),
        (1, bytes(20), 45.0, 0, "equirectangular turned away from the front", ""),
        (1, bytes(20), 0.0, 1, "equirectangular", "left-right"),
        (1, bytes(20), 0.0, 3, "equirectangular", "top-bottom"),
        (1, bytes(20), 0.0, 11, "equirectangular", "right-left"),
        (1, bytes(20), 0.0, 13, "equirectangular", "frame-sequential"),
        (1, bytes(20), 0.0, 40, "equirectangular", "mode-40"),
    ],
)
def test_matroska_says_it_in_elements(matroska, tmp_path, kind, private, pose, stereo, projection, eyes):
    element, number = matroska.element, matroska.number
    fields = [element(0x7671, number(kind)), element(0x7673, struct.pack(">d", pose))]
    fields += [element(0x7672, private)] if private else []
    video = element(0x53B8, number(stereo)) + element(0x7670, *fields)
    path = matroska(tmp_path / "a.mkv", [np.full((80, 160, 3), 90, np.uint8)] * 4, range(0, 400, 100), video=video)
    frames = VideoReader(path)
    assert (frames.projection, frames.stereo) == (projection, eyes)


def test_xml_of_webm_is_a_tag_of_the_track(tmp_path):
    path = tmp_path / "a.mkv"
    encode(path, [160], {"SPHERICAL-VIDEO": xml(StereoMode="top-bottom")})
    frames = VideoReader(path)
    assert (frames.projection, frames.stereo) == ("equirectangular", "top-bottom")


@pytest.mark.parametrize(("uuid", "level"), [(XML, "moov"), (XMP, "moov"), (XMP, "file")])
def test_xml_of_the_header_or_the_file_counts_too(plain, tmp_path, uuid, level):
    film(plain, tmp_path)
    path, box = tmp_path / "film.mp4", Box(b"uuid", uuid + xml(CroppedAreaTopPixels=20).encode())
    if level == "file":
        path.write_bytes(path.read_bytes() + box.pack())
    else:
        path.write_bytes((plain / "160.mp4").read_bytes())
        finish(path, lambda moov: moov.children.append(box))
    assert VideoReader(path).projection == "cropped equirectangular"


def test_xmp_of_another_program_says_nothing(plain, tmp_path):
    assert film(plain, tmp_path, text='<r xmpDM:ProjectionType="mono" xmpDM:StereoMode="left"/>').projection == ""


def test_photo_spheres_of_an_image_sequence_say_it_in_their_metadata(tmp_path):
    coded = cv2.imencode(".jpg", np.full((40, 80, 3), 90, np.uint8))[1].tobytes()
    for name, crop, found in (("a", 80, "equirectangular"), ("b", 40, "cropped equirectangular"), ("c", 0, "")):
        text = '<x:xmpmeta><r GPano:ProjectionType="equirectangular" GPano:FullPanoWidthPixels="80" '
        text += f'GPano:CroppedAreaImageWidthPixels="{crop}"/></x:xmpmeta>'
        body = b"http://ns.adobe.com/xap/1.0/\0" + text.encode()
        segment = b"\xff\xe1" + struct.pack(">H", 2 + len(body)) + body
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_bytes(coded[:2] + (segment if crop else b"") + coded[2:])
        frames = ImageSequence(tmp_path / name, 10.0)
        assert (frames.projection, frames.stereo) == (found, "")


def test_gpano_attributes_are_read_like_elements():
    text = '<rdf:Description GPano:ProjectionType="equirectangular" GPano:CroppedAreaImageWidthPixels="100"'
    whole, cropped = (parse_spherical_xml(f'{text} GPano:FullPanoWidthPixels="{width}"/>') for width in (100, 200))
    assert (whole.projection, cropped.projection) == ("equirectangular", "cropped equirectangular")
    assert parse_spherical_xml("<a>nothing of it</a>") == ("", "")
