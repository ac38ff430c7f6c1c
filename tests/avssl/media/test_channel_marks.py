import struct

import av
import numpy as np
import pytest
import soundfile

from avssl.data.clip_options import Reading
from avssl.data.window_reader import read_window_audio
from avssl.datasets.audio_pass import analyze_audio
from avssl.media import probe, read_all_audio
from avssl.media.streams import AudioReader
from avssl.spatial.ambisonics import field_direction

RATE = 24000
B_FORMAT = bytes.fromhex("010000002107d3118644c8c1ca000000")
B_FORMAT_FLOAT = bytes.fromhex("030000002107d3118644c8c1ca000000")
# Gains of a plane wave from azimuth 60, elevation 30 degrees.
W, X, Y, Z = 1.0, np.cos(np.pi / 6) * 0.5, np.cos(np.pi / 6) * np.sin(np.pi / 3), 0.5
LEFT = {"W": 1.0, "X": 0.0, "Y": 1.0, "Z": 0.0}
UP_LEFT = {"W": W, "X": X, "Y": Y, "Z": Z}


def noise(seconds=1.0):
    return np.random.default_rng(0).normal(0, 0.1, round(seconds * RATE))


def rows(letters, gains, w=1.0):
    """Channels in the order of `letters`; other letters are a loud signal of their own, not of first order."""
    other = np.random.default_rng(1).normal(0, 0.1, len(noise()))
    scaled = gains | {"W": gains["W"] * w}
    return np.stack([scaled[each] * noise() if each in scaled else other for each in letters])


def amb(path, sound, guid=B_FORMAT, chunks=b""):
    """A wav of the extensible form, 16 bits or float."""
    kind, bits = ("<i2", 16) if guid[0] == 1 else ("<f4", 32)
    pcm = (sound.T * (32767 if bits == 16 else 1)).astype(kind).tobytes()
    count, wide = len(sound), bits // 8
    fmt = struct.pack(
        "<HHIIHHHHI", 0xFFFE, count, RATE, RATE * wide * count, wide * count, bits, 22, bits, 0
    ) + guid  # fmt: skip
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(pcm)) + pcm + chunks
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def caf(path, sound, layout):
    """A caf of big-endian 16 bits with a chan chunk."""
    pcm, count = (sound.T * 32767).astype(">i2").tobytes(), len(sound)
    desc = struct.pack(">d4sIIIII", RATE, b"lpcm", 0, 2 * count, 1, count, 16)
    chunks = ((b"desc", desc), (b"chan", layout), (b"data", bytes(4) + pcm))
    body = b"".join(kind + struct.pack(">q", len(content)) + content for kind, content in chunks)
    path.write_bytes(b"caff\0\1\0\0" + body)
    return path


def labels(*found):
    """AudioChannelLayout with a description a channel."""
    return struct.pack(">3I", 0, 0, len(found)) + b"".join(struct.pack(">2I3f", each, 0, 0, 0, 0) for each in found)


def direction(path, layout="auto"):
    azimuth, elevation, diffuseness = analyze_audio(path, layout, 10.0).stats.direction()
    assert diffuseness < 0.02
    return pytest.approx((azimuth, elevation), abs=0.1)


@pytest.mark.parametrize("name", ["a.amb", "a.wav"])
@pytest.mark.parametrize("guid", [B_FORMAT, B_FORMAT_FLOAT])
@pytest.mark.parametrize(
    "letters",
    ["WXYZ", "WXYZUV", "WXYZRSTUV", "WXYZUVPQ", "WXYZRSTUVPQ", "WXYZRSTUVKLMNOPQ"],
)
def test_b_format_of_every_order_is_fuma_by_definition(tmp_path, name, guid, letters):
    path = amb(tmp_path / name, rows(letters, UP_LEFT, w=0.5**0.5), guid)
    assert direction(path) == (60, 30)
    assert analyze_audio(path, "auto", 10.0).name == "fuma"


@pytest.mark.parametrize("letters", ["WXY", "WXYUV", "WXYUVPQ"])
def test_horizontal_b_format_has_no_height(tmp_path, letters):
    path = amb(tmp_path / "a.amb", rows(letters, LEFT, w=0.5**0.5))
    assert direction(path) == (90, 0)
    assert analyze_audio(path, "auto", 10.0).silent_channels == "ZX"
    assert direction(path, "fuma") == (90, 0)


def test_a_suffix_amb_is_fuma_without_the_guid(tmp_path):
    soundfile.write(tmp_path / "a.amb", rows("WXYZ", LEFT, w=0.5**0.5).T, RATE, format="WAV")
    assert direction(tmp_path / "a.amb") == (90, 0)


def test_a_declared_layout_overrides_the_file(tmp_path):
    path = amb(tmp_path / "a.wav", rows("WYZX", LEFT))
    assert direction(path, "ambix") == (90, 0)


@pytest.mark.parametrize("channels", [1, 2, 10, 17])
def test_b_format_of_another_number_of_channels_is_refused(tmp_path, channels):
    path = amb(tmp_path / "a.amb", np.tile(noise(), (channels, 1)))
    with pytest.raises(ValueError, match=rf"the suffix .amb \(FuMa\), got {channels}; .* declare --channel-layout"):
        analyze_audio(path, "auto", 10.0)


@pytest.mark.parametrize(
    ("layout", "letters", "gain"),
    [
        (struct.pack(">3I", 107 << 16 | 4, 0, 0), "WXYZ", {"W": 0.5**0.5}),
        (struct.pack(">3I", 190 << 16 | 4, 0, 0), "WYZX", {}),
        (struct.pack(">3I", 191 << 16 | 4, 0, 0), "WYZX", dict.fromkeys("XYZ", 3**0.5)),
        (struct.pack(">3I", 191 << 16 | 9, 0, 0), "WYZXVTRSU", dict.fromkeys("XYZ", 3**0.5)),
        (labels(203, 202, 201, 200), "ZYXW", {"W": 0.5**0.5}),
        (labels(2 << 16 | 3, 2 << 16, 2 << 16 | 1, 2 << 16 | 2), "XWYZ", {}),
        (labels(3 << 16, 3 << 16 | 3, 3 << 16 | 1, 3 << 16 | 2), "WXYZ", dict.fromkeys("XYZ", 3**0.5)),
    ],
)
@pytest.mark.parametrize("reader", ["libsndfile", "FFmpeg"])
def test_core_audio_layouts_give_order_and_normalization(tmp_path, layout, letters, gain, reader):
    gains = {each: value * gain.get(each, 1.0) for each, value in UP_LEFT.items()}
    path = caf(tmp_path / ("a.caf" if reader == "libsndfile" else "a.bin"), rows(letters, gains), layout)
    assert AudioReader(path).raw == (reader == "libsndfile")
    assert direction(path) == (60, 30)


def test_core_audio_layouts_of_loudspeakers_declare_nothing(tmp_path):
    path = caf(tmp_path / "a.caf", rows("WYZX", LEFT), labels(1, 2, 5, 6))
    assert AudioReader(path).mark is None
    assert direction(path) == (90, 0)


def test_track_list_of_a_recorder_gives_the_order(tmp_path):
    tracks = "".join(
        f"<TRACK><CHANNEL_INDEX>{place}</CHANNEL_INDEX><INTERLEAVE_INDEX>{place}</INTERLEAVE_INDEX>"
        f"<NAME>n</NAME><FUNCTION>ACN{component}-FOA</FUNCTION></TRACK>"
        for place, component in ((1, 3), (2, 0), (3, 1), (4, 2))
    )
    text = f"<BWFXML><TRACK_LIST>{tracks}</TRACK_LIST></BWFXML> ".encode()
    text += b" " * (len(text) % 2)
    pcm = bytes.fromhex("0100000000001000800000aa00389b71")
    path = amb(tmp_path / "a.wav", rows("XWYZ", UP_LEFT), pcm, b"iXML" + struct.pack("<I", len(text)) + text)
    assert direction(path) == (60, 30)


@pytest.mark.parametrize(
    ("base", "gain"), [(0x0001, {}), (0x0101, dict.fromkeys("XYZ", 3**0.5)), (0x0201, {"W": 0.5**0.5})]
)
def test_channels_of_the_audio_definition_model_are_found_by_format(tmp_path, base, gain):
    gains = {each: value * gain.get(each, 1.0) for each, value in UP_LEFT.items()}
    tracks = b"".join(
        struct.pack("<H12s14s11sx", place, b"ATU_%08d" % place, b"AT_0004%04x_01" % (base + component), b"AP_00040001")
        for place, component in ((1, 3), (2, 2), (3, 0), (4, 1))
    )
    chunk = b"chna" + struct.pack("<IHH", 4 + len(tracks), 4, 4) + tracks
    pcm = bytes.fromhex("0100000000001000800000aa00389b71")
    assert direction(amb(tmp_path / "a.wav", rows("XZWY", gains), pcm, chunk)) == (60, 30)


def sa3d(channel_map, order=1, kind=0, ordering=0, normalisation=0):
    body = struct.pack(">BBIBBI", 0, kind, order, ordering, normalisation, len(channel_map))
    return b"SA3D", body + struct.pack(f">{len(channel_map)}I", *channel_map)


def chan(*found):
    return b"chan", bytes(4) + labels(*found)


def mov(path, sound, box=None, layout="4.0", codec="pcm_s16le"):
    """A mov of sound alone, its header last, and a box added to the sound's sample description."""
    with av.open(str(path), "w", format="mov") as out:
        stream = out.add_stream(codec, rate=RATE, layout=layout)
        frame = av.AudioFrame.from_ndarray((sound.T.reshape(1, -1) * 32767).astype(np.int16), "s16", layout)
        frame.sample_rate, frame.pts = RATE, 0
        out.mux([*stream.encode(frame), *stream.encode(None)])
    if box is not None:
        _add(path, *box)
    return path


def _add(path, kind, body, track=0):
    data = bytearray(path.read_bytes())
    chain, at = [], 0
    for wanted, head in ((b"moov", 8), (b"trak", 8), (b"mdia", 8), (b"minf", 8), (b"stbl", 8), (b"stsd", 16)):
        left = track if wanted == b"trak" else 0
        while data[at + 4 : at + 8] != wanted or left:
            left -= data[at + 4 : at + 8] == wanted
            at += struct.unpack_from(">I", data, at)[0]
        chain.append(at)
        at += head
    chain.append(at)
    entry_end = at + struct.unpack_from(">I", data, at)[0]
    old = data.find(b"chan", at, entry_end) - 4 if kind == b"chan" else -1
    removed = 0
    if old > 0:  # FFmpeg's own
        removed = struct.unpack_from(">I", data, old)[0]
        del data[old : old + removed]
    box = struct.pack(">I4s", 8 + len(body), kind) + body
    data[entry_end - removed : entry_end - removed] = box
    for start in chain:
        struct.pack_into(">I", data, start, struct.unpack_from(">I", data, start)[0] + len(box) - removed)
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("letters", "channel_map"), [("WYZX", (0, 1, 2, 3)), ("WXYZ", (0, 2, 3, 1)), ("XYZW", (3, 1, 2, 0))]
)
def test_channel_map_of_the_spatial_audio_rfc_is_applied(tmp_path, letters, channel_map):
    path = mov(tmp_path / "a.mov", rows(letters, UP_LEFT), sa3d(channel_map))
    for _ in range(3):  # PyAV 17.1 to 18.1 frees the map of a custom order twice
        assert direction(path) == (60, 30)
        assert read_all_audio(path)[0].shape[0] == 4
        assert probe(path).audio.channels == 4


def test_channel_labels_of_a_mov_are_applied_without_a_crash(tmp_path):
    path = mov(tmp_path / "a.mov", rows("ZYXW", UP_LEFT, w=0.5**0.5), chan(203, 202, 201, 200))
    assert direction(path) == (60, 30)
    speakers = mov(tmp_path / "b.mov", rows("WYZX", UP_LEFT), chan(6, 5, 33, 1))
    assert direction(speakers) == (60, 30)
    assert np.allclose(read_all_audio(speakers)[0], rows("WYZX", UP_LEFT), atol=1e-4)


def test_first_four_channels_before_head_locked_stereo_are_the_field(tmp_path):
    path = mov(tmp_path / "a.mov", rows("WYZXLR", UP_LEFT), sa3d(range(6), kind=128), "5.1")
    assert direction(path) == (60, 30)


def test_head_locked_stereo_with_a_field_channel_cut_low_is_refused(tmp_path):
    path = mov(tmp_path / "a.mov", rows("WYZXLR", UP_LEFT), sa3d(range(6), kind=128), "5.1", "aac")
    with pytest.raises(ValueError, match=r"head-locked stereo puts it on the low-frequency .* --channel-layout first4"):
        analyze_audio(path, "auto", 10.0)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (sa3d(range(4), ordering=1), "ordering 1"),
        (sa3d(range(4), normalisation=1), "normalisation 1"),
        (sa3d(range(4), kind=1), "type 1"),
        (sa3d(range(4), order=2), "order 2, 4 channels"),
        (sa3d((0, 1, 1, 3)), "each channel once, got"),
        (sa3d((0, 1, 2, 4)), "each channel once, got"),
        (sa3d(range(6)), "order 1, 6 channels"),
    ],
)
def test_other_spatial_audio_boxes_are_refused_until_declared(tmp_path, box, expected):
    path = mov(tmp_path / "a.mov", rows("WYZX", UP_LEFT), box)
    with pytest.raises(ValueError, match=f"SA3D box.*{expected}.*; to read it all the same, declare --channel-layout"):
        analyze_audio(path, "auto", 10.0)
    assert direction(path, "ambix") == (60, 30)


def test_a_box_for_more_channels_than_stored_is_refused(tmp_path):
    path = mov(tmp_path / "a.mov", rows("WYZX", UP_LEFT), sa3d(range(9), order=2))
    with pytest.raises(ValueError, match=r"a.mov: expected boxes for the 4 channels of its sound, got one for 9"):
        AudioReader(path)


def test_ambisonic_opus_with_stereo_beside_it_is_read(tmp_path, reseal):
    path = opus(tmp_path / "a.ogg", rows("WYZXLR", UP_LEFT), reseal)
    for _ in range(3):
        assert direction(path) == (60, 30)


def test_opus_behind_a_matrix_is_refused_by_its_family(tmp_path, reseal):
    path = opus(tmp_path / "a.ogg", rows("WYZXLR", UP_LEFT), reseal)
    data = bytearray(path.read_bytes())
    data[data.index(b"OpusHead") + 18] = 3
    path.write_bytes(reseal(data))
    with pytest.raises(ValueError, match=r"a.ogg: expected Opus of mapping family 0, 1, 2 or 255, .* got 3"):
        AudioReader(path)


def test_the_channel_map_is_that_of_the_track_that_is_read(tmp_path, caplog):
    path = tmp_path / "a.mov"
    with av.open(str(path), "w", format="mov") as out:
        tracks = [(out.add_stream("pcm_s16le", rate=RATE, layout=layout), layout) for layout in ("5.0", "4.0")]
        for letters, (stream, layout) in zip(("WYZXL", "WXYZ"), tracks, strict=True):
            packed = (rows(letters, UP_LEFT).T.reshape(1, -1) * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(packed, "s16", layout)
            frame.sample_rate, frame.pts = RATE, 0
            out.mux([*stream.encode(frame), *stream.encode(None)])
    data = path.read_bytes()
    first = data.index(b"sowt", data.index(b"stsd"))
    path.write_bytes(data[:first] + b"zzzz" + data[first + 4 :])  # no decoder has this name
    _add(path, *sa3d((0, 2, 3, 1)), track=1)
    assert direction(path) == (60, 30)
    assert "a.mov: audio stream 0 cannot be decoded (no decoder for it) and is passed over; stream 1" in caplog.text


def opus(path, sound, reseal):
    """Opus of mapping family 255, declared as family 2 afterwards: the same streams, by RFC 8486."""
    audio = np.repeat(sound, 2, 1).T.astype(np.float32).reshape(1, -1)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libopus", rate=2 * RATE, layout="hexagonal", options={"mapping_family": "255"})
        stream.bit_rate = 1_000_000
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio), "flt", "hexagonal")
        frame.sample_rate, frame.pts = 2 * RATE, 0
        out.mux([*stream.encode(frame), *stream.encode(None)])
    data = bytearray(path.read_bytes())
    data[data.index(b"OpusHead") + 18] = 2
    path.write_bytes(reseal(data))
    return path


def window_direction(path, channels=4, tolerance=0.2):
    audio = read_window_audio(path, 0.0, Reading(seconds=1.0, channels=channels), RATE)
    assert audio.shape == (4, RATE)
    azimuth, elevation, _ = field_direction(audio.double() @ audio.double().T)
    return pytest.approx((float(azimuth.rad2deg()), float(elevation.rad2deg())), abs=tolerance)


def test_windows_of_declared_fields_are_ambix(tmp_path, encode):
    assert window_direction(amb(tmp_path / "a.amb", rows("WXYZ", UP_LEFT, w=0.5**0.5))) == (60, 30)
    assert window_direction(amb(tmp_path / "h.wav", rows("WXY", LEFT, w=0.5**0.5)), channels=0) == (90, 0)
    assert window_direction(mov(tmp_path / "a.mov", rows("WXYZ", UP_LEFT), sa3d((0, 2, 3, 1)))) == (60, 30)
    silent = np.zeros(RATE)
    six = np.stack([X * noise(), Y * noise(), W * noise(), silent, Z * noise(), silent]).astype(np.float32)
    youtube = encode(tmp_path / "y.m4a", "aac", "5.1", six, rate=RATE, options={"aac_pns": "0"})
    assert window_direction(youtube, tolerance=1.5) == (60, 30)
