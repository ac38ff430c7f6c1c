import av
import numpy as np
import pytest
import soundfile
import torch

from avssl.media import probe, read_all_audio, read_audio, write_audio


def loudest(audio, rate=48000):
    """Frequency of each channel's spectral peak."""
    spectrum = np.abs(np.fft.rfft(np.asarray(audio) * np.hanning(audio.shape[1])))
    return spectrum.argmax(1) * rate / audio.shape[1]


def remux(source, target):
    with av.open(str(source)) as opened, av.open(str(target), "w") as container:
        stream = container.add_stream_from_template(opened.streams.audio[0])
        for packet in opened.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    return target


@pytest.mark.parametrize("suffix", ["mp4", "m4a", "mkv", "ts"])
def test_each_native_channel_of_six_channel_aac_comes_back_at_its_index(tmp_path, encode, sines, suffix):
    audio, frequencies = sines(6)
    audio[3] = 0.3 * np.sin(2 * np.pi * 60 * np.arange(audio.shape[1]) / 48000)  # AAC's fourth is low-pass
    path = encode(tmp_path / f"a.{suffix}", "aac", "5.1", audio, options={"aac_pns": "0"})
    frequencies[3] = 60
    found, rate = read_audio(path, 2.0, 1.0)
    assert (found.shape, found.dtype, rate) == ((6, 48000), torch.float32, 48000)
    np.testing.assert_allclose(loudest(found), frequencies, atol=1.5)
    level = found.square().mean(1).sqrt() / torch.from_numpy(audio[:, 96000:144000]).square().mean(1).sqrt()
    np.testing.assert_allclose(level, 1.0, atol=0.03)  # no gain either, as -3 dB of a conversion would be
    chosen, _ = read_audio(path, 2.0, 1.0, channels=[2, 1, 4, 0])  # YouTube's X, Y, W, 0, Z, 0 to W, Y, Z, X
    assert torch.equal(chosen, found[[2, 1, 4, 0]])


@pytest.mark.parametrize("suffix", ["webm", "mkv", "mp4", "ogg"])
def test_four_channels_of_opus_keep_their_order(tmp_path, encode, sines, suffix):
    audio, frequencies = sines(4)
    found, _ = read_audio(encode(tmp_path / f"a.{suffix}", "libopus", "quad", audio), 1.0, 2.0)
    np.testing.assert_allclose(loudest(found), frequencies, atol=1.5)


@pytest.mark.parametrize("name", ["a.ogg", "a.webm", "a.mkv"])
def test_four_channels_of_vorbis_keep_their_order(tmp_path, sines, name):
    audio, frequencies = sines(4)
    soundfile.write(tmp_path / "a.ogg", audio.T, 48000, format="OGG", subtype="VORBIS")
    path = tmp_path / name if name == "a.ogg" else remux(tmp_path / "a.ogg", tmp_path / name)
    found, _ = read_audio(path, 1.0, 2.0)
    np.testing.assert_allclose(loudest(found), frequencies, atol=1.5)


@pytest.mark.parametrize(
    ("name", "codec", "layout"),
    [
        ("a.m4a", "aac", "5.1"),
        ("a.mkv", "aac", "5.1"),
        ("a.ts", "aac", "5.1"),
        ("a.webm", "libopus", "quad"),
        ("a.mp4", "libopus", "quad"),
        ("a.ogg", "libopus", "quad"),
        ("v.ogg", "", ""),
        ("v.webm", "", ""),
        ("v8.webm", "", ""),
    ],
)
def test_segments_equal_slices_of_the_whole(tmp_path, encode, sines, name, codec, layout):
    # Opus comes within 1e-6 after half a second; the others are exact. (AAC's noise substitution would draw anew.)
    channels = {"5.1": 6, "quad": 4}.get(layout, 8 if name == "v8.webm" else 4)
    rng = np.random.default_rng(0)
    audio = sines(channels)[0] + 0.02 * rng.standard_normal((channels, 288000)).astype(np.float32)
    if codec:
        path = encode(tmp_path / name, codec, layout, audio, options={"aac_pns": "0"} if codec == "aac" else {})
    else:
        soundfile.write(tmp_path / "v.ogg", audio.T, 48000, format="OGG", subtype="VORBIS")
        path = tmp_path / name if name == "v.ogg" else remux(tmp_path / "v.ogg", tmp_path / name)
    whole, rate = read_all_audio(path)
    assert abs(whole.shape[1] - 288000) < 2048
    beginning = [0.1] if name == "a.ts" else [0.0, 0.02]  # going back in MPEG-TS, FFmpeg loses the very first frame
    for start in [*beginning, *rng.uniform(0.1, 4.9, 12), 5.2]:
        found, _ = read_audio(path, start, 0.8)
        first = round(start * rate)
        expected = torch.nn.functional.pad(whole, (0, rate))[:, first : first + found.shape[1]]
        assert (found - expected).abs().max() < 1e-5, start
    again, _ = read_all_audio(path)
    assert torch.equal(again, whole)


@pytest.mark.parametrize(
    ("name", "codec", "layout"), [("a.m4a", "aac", "5.1"), ("a.mkv", "aac", "5.1"), ("a.mp4", "libopus", "quad")]
)
def test_decoded_audio_lies_where_it_was_before_encoding(tmp_path, encode, sines, name, codec, layout):
    audio = sines(6 if codec == "aac" else 4)[0]
    audio[0] += 0.1 * np.random.default_rng(0).standard_normal(audio.shape[1]).astype(np.float32)
    path = encode(tmp_path / name, codec, layout, audio)
    found, _ = read_audio(path, 3.0, 1.0)
    lags = range(-600, 601)
    match = [np.dot(audio[0, 144000 + lag : 192000 + lag], found[0]) for lag in lags]
    assert abs(lags[int(np.argmax(match))]) <= 1


@pytest.mark.parametrize(
    "name",
    [
        "restricted/video360/JUN314mwb90_49.webm",
        "restricted/video360/tAiVUt5vE34l_40.webm",
        "free/action/nasa_13013.mp4",
        "free/action/lhotse_big_buck_bunny_small.mp4",
        "free/ambisonics/HOA3_rec1_01-08ch.ogg",
        "free/ambisonics/AmbixMetronome.caf",
    ],
)
def test_segments_of_real_files_equal_slices_of_the_whole(media, name):
    path = media(name)
    whole, rate = read_all_audio(path)
    rng = np.random.default_rng(2)
    for start in rng.uniform(0, whole.shape[1] / rate - 0.6, 10):
        found, _ = read_audio(path, start, 0.5)
        first = round(start * rate)
        assert (found - whole[:, first : first + found.shape[1]]).abs().max() < 1e-5


@pytest.mark.parametrize("name", ["JUN314mwb90_49", "NdE7uYVaynQl_0", "0B7ds6NmVBQl_20"])
def test_native_channels_of_real_ambisonics_are_those_that_ffmpeg_decodes(media, name):
    path = media(f"restricted/video360/{name}.webm")
    with av.open(str(path)) as container:
        planes = [
            [np.frombuffer(plane, np.float32)[: f.samples] for plane in f.planes] for f in container.decode(audio=0)
        ]
    expected = np.concatenate(planes, 1)
    found, _ = read_all_audio(path)
    late = found.shape[1] - expected.shape[1]  # the first frame begins some milliseconds into the file
    assert 0 <= late < 500
    assert np.array_equal(found[:, late:].numpy(), expected)


def test_eight_planar_channels_of_third_order_ambisonics_do_not_crash(media, tmp_path):
    path = media("free/ambisonics/HOA3_rec1_01-08ch.ogg")
    found, rate = read_audio(path, 1.0, 2.0)
    assert found.shape == (8, 2 * rate)
    # In the order of the file the fourth channel is X, in front of which the recording was made; FFmpeg moves it.
    remuxed, _ = read_audio(remux(path, tmp_path / "a.mkv"), 1.0, 2.0)
    assert remuxed.shape == found.shape
    assert np.corrcoef(found[0], found[3])[0, 1] > 0.5
    assert abs(np.corrcoef(remuxed[0], remuxed[6])[0, 1] - np.corrcoef(found[0], found[3])[0, 1]) < 0.05


@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [("wav", "PCM_16"), ("wav", "FLOAT"), ("flac", "PCM_16"), ("flac", "PCM_24"), ("caf", "PCM_16")],
)
def test_written_audio_is_read_anywhere(tmp_path, sines, suffix, subtype):
    audio, _ = sines(4, 2.0, 24000)
    path = tmp_path / f"a.{suffix}"
    write_audio(path, torch.from_numpy(audio), 24000, subtype=subtype)
    for start in (0.0, 0.333, 1.7):
        found, rate = read_audio(path, start, 0.3, channels=[3, 0])
        first = round(start * rate)
        np.testing.assert_allclose(found, audio[[3, 0], first : first + 7200], atol=2**-15)


def test_full_scale_is_one_in_every_sample_format(tmp_path):
    ramp = np.linspace(-1, 32767 / 32768, 4096)[None].repeat(2, 0)
    for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"):
        soundfile.write(tmp_path / "a.wav", ramp.T, 8000, subtype=subtype)
        remux(tmp_path / "a.wav", tmp_path / "a.mkv")
        found, _ = read_all_audio(tmp_path / "a.mkv")
        np.testing.assert_allclose(found, ramp, atol=1 / 127 if subtype == "PCM_U8" else 1 / 32767)


def test_zero_padded_past_the_end_and_error_beyond_it(tmp_path, encode, sines):
    audio, _ = sines(4, 2.0)
    write_audio(tmp_path / "a.wav", audio, 48000)
    encode(tmp_path / "a.mp4", "libopus", "quad", audio)
    for path in (tmp_path / "a.wav", tmp_path / "a.mp4"):
        found, _ = read_audio(path, 1.5, 1.0)
        assert found.shape == (4, 48000)
        assert found[:, :20000].abs().max() > 0.05
        assert not found[:, 26000:].any()
        with pytest.raises(ValueError, match=rf"{path.name}: its sound ends at 2.0\d+ s, asked for 7.000 s"):
            read_audio(path, 7.0, 1.0)


def test_silence_is_silence(tmp_path, encode):
    path = encode(tmp_path / "a.m4a", "aac", "5.1", np.zeros((6, 48000), np.float32))
    assert not read_audio(path, 0.2, 0.5)[0].any()


def test_a_late_beginning_is_silence_first(tmp_path, sines, encode):
    audio, _ = sines(2, 2.0)
    path = encode(tmp_path / "a.m4a", "aac", "stereo", audio)
    with av.open(str(path)) as source, av.open(str(tmp_path / "late.mkv"), "w") as target:
        copy = target.add_stream_from_template(source.streams.audio[0])
        video = target.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 64, 32, "yuv420p"
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 64, 3), np.uint8), format="rgb24")
            frame.pts = number
            target.mux(video.encode(frame))
        target.mux(video.encode(None))
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts + 24000, packet.dts + 24000, copy
                target.mux(packet)
    whole, _ = read_all_audio(tmp_path / "late.mkv")
    assert not whole[:, :21000].any()
    early, rate = read_audio(tmp_path / "late.mkv", 0.1, 0.2)
    assert (early.shape, early.any().item()) == ((2, round(0.2 * rate)), False)
    lags = range(23900, 24100)
    match = [np.dot(whole[0, 48000 + lag : 72000 + lag], audio[0, 48000:72000]) for lag in lags]
    assert abs(lags[int(np.argmax(match))] - 24000) <= 48  # Matroska rounds to a millisecond


def refused(call, path, *words, kind=ValueError):
    with pytest.raises(kind) as error:
        call()
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    assert not isinstance(error.value, av.FFmpegError | soundfile.SoundFileError)
    for word in words:
        assert word in message


def test_files_without_audio_raise_one_line_errors(tmp_path, media):
    for suffix in ("wav", "ogg", "m4a", "webm"):
        text, empty = tmp_path / f"text.{suffix}", tmp_path / f"empty.{suffix}"
        text.write_text("no sound\n" * 50)
        empty.touch()
        refused(lambda path=text: read_audio(path, 0, 1), text, "cannot be read")
        refused(lambda path=empty: read_all_audio(path), empty, "cannot be read")
        refused(
            lambda s=suffix: read_audio(tmp_path / f"none.{s}", 0, 1),
            tmp_path / f"none.{suffix}",
            kind=FileNotFoundError,
        )
    silent = media("free/action/intel_bottle-detection.mp4")
    refused(lambda: read_audio(silent, 0, 1), silent, "expected audio", "0 audio streams")
    assert probe(silent).audio is None


def test_missing_channels_and_segments_raise_errors(tmp_path, sines, encode):
    audio, _ = sines(4, 1.0)
    write_audio(tmp_path / "a.wav", audio, 48000)
    encode(tmp_path / "a.webm", "libopus", "quad", audio)
    for path in (tmp_path / "a.wav", tmp_path / "a.webm"):
        refused(lambda p=path: read_audio(p, 0, 0.5, channels=[0, 4]), path, "4 channels", "[0, 4]")
        refused(lambda p=path: read_audio(p, -1.0, 0.5), path, "start >= 0")
        refused(lambda p=path: read_audio(p, 0.0, 0.0), path, "seconds > 0")


def test_a_truncated_file_gives_what_is_there(tmp_path, sines, encode):
    audio, _ = sines(4)
    whole = encode(tmp_path / "a.webm", "libopus", "quad", audio).read_bytes()
    cut = tmp_path / "cut.webm"
    cut.write_bytes(whole[: len(whole) // 2])
    found, _ = read_audio(cut, 1.0, 1.0)
    assert found.abs().max() > 0.05
    refused(lambda: read_audio(cut, 5.0, 0.5), cut)


def test_audio_streams_are_selected_by_index(media):
    path = media("free/action/nasa_13013.mp4")
    assert len(probe(path).audio_streams) == 2
    assert [read_audio(path, 1.0, 1.0, stream=stream)[1] for stream in (0, 1)] == [8000, 16000]
