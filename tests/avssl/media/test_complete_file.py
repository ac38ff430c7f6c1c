import struct

import av
import numpy as np
import pytest
import soundfile
import torch

from avssl.media import read_all_audio, read_audio, write_audio
from avssl.media.chunked_sound import read_chunks
from avssl.media.complete_file import check_complete
from avssl.media.streams import AudioReader

RATE = 24000
KINDS = {
    "a.wav": {"format": "WAV", "subtype": "PCM_16"},
    "x.wav": {"format": "WAVEX", "subtype": "PCM_24"},
    "f.wav": {"format": "WAV", "subtype": "FLOAT"},
    "a.rf64": {"format": "RF64", "subtype": "PCM_16"},
    "a.w64": {"format": "W64", "subtype": "PCM_16"},
    "a.aiff": {"format": "AIFF", "subtype": "PCM_16"},
    "a.caf": {"format": "CAF", "subtype": "PCM_16"},
    "a.au": {"format": "AU", "subtype": "PCM_16"},
    "a.flac": {"format": "FLAC", "subtype": "PCM_16"},
    "v.ogg": {"format": "OGG", "subtype": "VORBIS"},
    "o.ogg": {"format": "OGG", "subtype": "OPUS"},
    "a.mp3": {"format": "MP3", "subtype": "MPEG_LAYER_III"},
}


@pytest.fixture
def sound():
    """Four seconds of noise in four channels, `(samples, channels)`, on the grid of 16 bits."""
    whole = np.random.default_rng(0).integers(-8000, 8000, (4 * RATE, 4))
    return (whole / 32768).astype(np.float32)


@pytest.fixture
def written(tmp_path, sound):
    """Path of a file of one of `KINDS`."""

    def write(name):
        soundfile.write(tmp_path / name, sound[:, :2] if name == "a.mp3" else sound, RATE, **KINDS[name])
        return tmp_path / name

    return write


def played(path):
    return torch.cat(list(AudioReader(path).play(1.0)), 1).numpy().T


def cut(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    return path


@pytest.mark.parametrize("name", KINDS)
def test_a_whole_file_passes_and_is_read_to_its_end(written, sound, name):
    path = written(name)
    check_complete(path)
    found = played(path)
    assert len(found) / AudioReader(path).sample_rate == pytest.approx(4, abs=0.1)
    if KINDS[name]["subtype"] not in ("VORBIS", "OPUS", "MPEG_LAYER_III"):
        assert np.array_equal(found, sound)


@pytest.mark.parametrize("share", [0.4, 0.95])
@pytest.mark.parametrize("name", KINDS)
def test_sound_cut_short_is_refused_as_broken_off(written, name, share):
    path = cut(written(name), share)
    with pytest.raises(ValueError, match=f"{name}: expected .* the file breaks off"):
        AudioReader(path)


@pytest.mark.parametrize("share", [0.4, 0.95])
@pytest.mark.parametrize("suffix", ["mka", "webm", "m4a", "mp4"])
def test_containers_cut_short_are_refused_by_their_sizes(tmp_path, encode, sines, suffix, share):
    codec = "aac" if suffix in ("m4a", "mp4", "mka") else "libopus"
    path = encode(tmp_path / f"a.{suffix}", codec, "4.0" if codec == "aac" else "quad", sines(4)[0])
    if suffix in ("m4a", "mp4"):
        fast_start(path)
    check_complete(path)
    cut(path, share)
    with pytest.raises(ValueError, match=rf"a.{suffix}: expected \d+ bytes, the file breaks off after \d+"):
        AudioReader(path)


def fast_start(path):
    """The header before the media, as in downloads."""
    from avssl.media.mp4.faststart import finish

    finish(path, lambda moov: None)


@pytest.mark.parametrize("sizes", [0, 0xFFFFFFFF, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF - 36])
@pytest.mark.parametrize("name", ["a.wav", "x.wav"])
def test_wav_of_undeclared_length_is_read_whole(written, sound, name, sizes):
    path = written(name)
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, 4, min(sizes, 0xFFFFFFFF))
    struct.pack_into("<I", data, data.index(b"data") + 4, sizes)
    path.write_bytes(data)
    assert np.array_equal(played(path), sound)
    assert np.array_equal(read_all_audio(path)[0].T, sound)
    assert np.array_equal(read_audio(path, 1.0, 0.5)[0].T, sound[RATE : RATE * 3 // 2])


@pytest.mark.parametrize(
    ("name", "tag", "places", "form"),
    [
        ("a.rf64", b"ds64", (8, 16, 24), "<Q"),
        ("a.w64", b"data", (16,), "<Q"),
        ("a.aiff", b"SSND", (4,), ">I"),
        ("a.caf", b"data", (4,), ">q"),
        ("a.au", b".snd", (8,), ">I"),
    ],
)
@pytest.mark.parametrize("largest", [False, True])
def test_other_sound_of_undeclared_length_is_read_whole(written, sound, name, tag, places, form, largest):
    if largest and name == "a.rf64":
        pytest.skip("RF64 has its sizes elsewhere when 32 bits are full")
    path = written(name)
    data = bytearray(path.read_bytes())
    for place in places:
        size = struct.calcsize(form)
        data[data.index(tag) + place : data.index(tag) + place + size] = (b"\xff" if largest else b"\0") * size
    path.write_bytes(data)
    assert np.array_equal(played(path), sound)


def test_flac_of_undeclared_length_is_read_whole(written, sound):
    path = written("a.flac")
    data = bytearray(path.read_bytes())
    data[21:26] = bytes([data[21] & 0xF0, 0, 0, 0, 0])
    path.write_bytes(data)
    assert np.array_equal(played(path), sound)


def test_flac_that_declares_more_samples_than_it_has_is_refused(written):
    path = written("a.flac")
    data = bytearray(path.read_bytes())
    data[21:26] = bytes([data[21] | 0x0F, 255, 255, 255, 255])
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"a.flac: expected 68719476735 samples by its header, the file breaks off"):
        AudioReader(path)


@pytest.mark.parametrize("rest", [b"", b"LIST\4\0\0\0INFO"])
def test_a_wav_without_samples_is_said_to_have_none(written, rest):
    path = written("a.wav")
    path.write_bytes(path.read_bytes()[:40] + bytes(4) + rest)
    with pytest.raises(ValueError, match=r"a.wav: expected sound, it has a header and no samples"):
        AudioReader(path)


def test_a_wav_whose_size_counts_the_header_is_whole(written, sound):
    path = written("a.wav")
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, 40, len(data))
    path.write_bytes(data)
    assert np.array_equal(played(path), sound)


def test_chunks_behind_the_samples_do_not_count_as_sound(written, sound):
    path = written("a.wav")
    path.write_bytes(path.read_bytes() + b"iXML\6\0\0\0<a/>  ")
    with path.open("rb") as file:
        found = read_chunks(file)
    assert (found.declared, found.chunks[b"iXML"]) == (8 * len(sound), b"<a/>  ")
    assert np.array_equal(played(path), sound)


@pytest.mark.parametrize(
    ("place", "form", "value"), [(24, "<I", 1), (24, "<I", 999_983), (24, "<I", 2 * 10**9), (22, "<H", 1000)]
)
def test_implausible_headers_are_one_line_before_memory_is_reserved(written, place, form, value):
    path = written("a.wav")
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, place, value)
    path.write_bytes(data)
    for read in (AudioReader, read_all_audio, lambda each: read_audio(each, 0.0, 1.0)):
        with pytest.raises(ValueError, match=rf"a.wav: expected .*, the header says {value}"):
            read(path)


def join(tmp_path, name, *parts):
    (tmp_path / name).write_bytes(b"".join(part.read_bytes() for part in parts))
    return tmp_path / name


@pytest.mark.parametrize(
    ("suffix", "codec", "layouts", "rates"),
    [
        ("aac", "aac", ("4.0", "4.0"), (48000, 24000)),
        ("aac", "aac", ("4.0", "stereo"), (48000, 48000)),
        ("ts", "aac", ("4.0", "4.0"), (48000, 24000)),
        ("mp3", "libmp3lame", ("stereo", "stereo"), (48000, 24000)),
    ],
)
def test_a_format_that_changes_half_way_is_refused(tmp_path, encode, sines, suffix, codec, layouts, rates):
    parts = [
        encode(tmp_path / f"{place}.{suffix}", codec, layout, sines(4 if layout == "4.0" else 2, 2.0, rate)[0], rate)
        for place, (layout, rate) in enumerate(zip(layouts, rates, strict=True))
    ]
    path = join(tmp_path, f"joined.{suffix}", *parts)
    counts = [4 if layout == "4.0" else 2 for layout in layouts]
    expected, got = (f"{count} channels at {rate} Hz" for count, rate in zip(counts, rates, strict=True))
    for read in (played, read_all_audio, lambda each: read_audio(each, 2.5, 1.0)):
        with pytest.raises(ValueError, match=f"expected {expected} throughout, got {got}"):
            read(path)
    first, rate = read_audio(path, 0.5, 0.5)  # the first half is as it says, also after the second was tried
    assert (first.shape, rate) == ((counts[0], rates[0] // 2), rates[0])


def test_ogg_of_parts_in_two_formats_is_refused(tmp_path, sines):
    for place, rate in enumerate((48000, 24000)):
        soundfile.write(tmp_path / f"{place}.ogg", sines(4, 2.0, rate)[0].T, rate, format="OGG", subtype="VORBIS")
    path = join(tmp_path, "joined.ogg", tmp_path / "0.ogg", tmp_path / "1.ogg")
    with pytest.raises(ValueError, match="4 channels at 48000 Hz throughout, then come 4 channels at 24000 Hz"):
        AudioReader(path)


def test_a_late_time_stamp_is_one_line_for_all_of_a_file(tmp_path):
    path = tmp_path / "late.mka"
    with av.open(str(path), "w", format="matroska") as out:
        stream = out.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for second in (0, 1, 36000):
            frame = av.AudioFrame.from_ndarray(np.ones((1, RATE), np.int16), "s16", "mono")
            frame.sample_rate, frame.pts = RATE, second * RATE
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    for read in (played, read_all_audio):
        with pytest.raises(ValueError, match="late.mka: time stamps jump 3599"):
            read(path)


def test_a_segment_of_a_broken_wav_is_no_silence(tmp_path):
    write_audio(tmp_path / "a.wav", torch.rand(4, 4 * RATE) - 0.5, RATE)
    cut(tmp_path / "a.wav", 0.4)
    with pytest.raises(ValueError, match="a.wav: expected .* the file breaks off"):
        read_audio(tmp_path / "a.wav", 1.0, 1.0)


@pytest.mark.parametrize("name", ["a.flac", "v.ogg"])
def test_absurd_lengths_reserve_no_memory(written, reseal, name):
    path = written(name)
    data = bytearray(path.read_bytes())
    if name == "a.flac":
        data[21:26] = bytes([data[21] | 0x0F, 255, 255, 255, 255])
    else:
        page = data.rindex(b"OggS")
        struct.pack_into("<Q", data, page + 6, 2**40)
        data[page:] = reseal(data[page:])
    path.write_bytes(data)
    for read in (played, read_all_audio, lambda each: read_audio(each, 3.5, 1.0)):
        with pytest.raises(ValueError, match=name):
            read(path)
    assert read_audio(path, 1.0, 0.5)[0].shape == (4, RATE // 2)
