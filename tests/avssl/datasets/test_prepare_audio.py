"""Channels to ambiX, and what one hearing tells."""

from types import SimpleNamespace

import pytest
import soundfile
import torch

from avssl.datasets.audio_pass import analyze_audio, write_analyzed_audio
from avssl.datasets.audio_stats import FoaStats
from avssl.media.channel_layouts import check_name, declared_layout, infer_layout
from avssl.media.projection_check import check_equirect
from avssl.spatial.ambisonics import convert, encode, intensity_direction
from avssl.spatial.resample import BLOCK


def wave(azimuth, elevation, samples=4800, seed=0):
    signal = 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(seed))
    return encode(signal, torch.tensor(azimuth).deg2rad(), torch.tensor(elevation).deg2rad())


@pytest.mark.parametrize(
    ("name", "native"),
    [
        ("ambix", lambda foa: foa),
        ("first4", lambda foa: torch.cat([foa, foa])),
        ("acn-n3d", lambda foa: convert(foa, "ambix", "acn-n3d")),
        ("fuma", lambda foa: convert(foa, "ambix", "fuma")),
        ("youtube-327", lambda foa: torch.stack([foa[3], foa[1], foa[0], 0 * foa[0], foa[2], 0 * foa[0]])),
    ],
)
def test_declared_layouts_give_back_the_field(name, native):
    foa = wave(50.0, -30.0)
    stored = native(foa)
    assert torch.allclose(declared_layout(name, len(stored)).to_ambix(stored), foa, atol=1e-6)


@pytest.mark.parametrize(("name", "order"), [("wxy", [0, 3, 1]), ("wyx", [0, 1, 3])])
def test_three_channels_have_no_height(name, order):
    foa = wave(50.0, -30.0)
    found = declared_layout(name, 3).to_ambix(foa[order])
    assert torch.equal(found, foa * torch.tensor([1.0, 1.0, 0.0, 1.0]).unsqueeze(-1))


@pytest.mark.parametrize(
    ("channels", "codec", "name"),
    [
        (4, "opus", "ambix"),
        (4, "aac", "ambix"),
        (3, "pcm_16", "wyx"),
        (6, "aac", "youtube-327"),
        (16, "pcm_24", "hoa-acn"),
    ],
)
def test_rules_for_undeclared_audio(channels, codec, name):
    assert infer_layout(channels, codec).name == name


@pytest.mark.parametrize(
    ("channels", "codec", "why"),
    [
        (1, "aac", "mono"),
        (2, "aac", "stereo"),
        (8, "flac", "8-channel"),
        (6, "opus", "6-channel opus surround, not ambisonics"),
    ],
)
def test_what_is_no_ambisonics_is_refused(channels, codec, why):
    with pytest.raises(ValueError, match=why):
        infer_layout(channels, codec)


@pytest.mark.parametrize(("name", "channels"), [("ambix", 6), ("wxy", 4), ("youtube-327", 4), ("first4", 3)])
def test_a_declaration_that_cannot_be_true_is_refused(name, channels):
    with pytest.raises(ValueError, match=f"this .*{channels}|{channels} channels"):
        declared_layout(name, channels)
    with pytest.raises(ValueError, match="did you mean 'fuma'"):
        check_name("fumma")


def test_real_surround_is_told_from_youtubes_six_channels():
    layout = infer_layout(6, "aac")
    layout.check_unused(torch.tensor([1.0, 1.0, 1.0, 0.0, 1.0, 1e-6]))
    for channel in (3, 5):
        energy = torch.tensor([1.0, 1.0, 1.0, 0.0, 1.0, 0.0])
        energy[channel] = 1e-3
        with pytest.raises(ValueError, match=f"not ambisonics: youtube-327 leaves channel {channel} unused"):
            layout.check_unused(energy)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_audio_that_is_not_finite_is_said_to_be_so(tmp_path, value):
    foa = wave(50.0, -30.0)
    foa[1, 100] = value
    soundfile.write(tmp_path / "a.wav", foa.T.numpy(), 48000, subtype="FLOAT")
    with pytest.raises(ValueError, match=r"a\.wav: expected finite samples"):
        analyze_audio(tmp_path / "a.wav", "auto", 10.0)


def test_a_wav_that_libsndfile_cannot_decode_is_left_to_ffmpeg(tmp_path, encode):
    foa = wave(50.0, -30.0, samples=48000)
    encode(tmp_path / "a.wav", "ac3", "quad", foa.numpy())
    with pytest.raises(soundfile.LibsndfileError):
        soundfile.info(tmp_path / "a.wav")
    summary = analyze_audio(tmp_path / "a.wav", "auto", 10.0)
    assert summary.audio.codec == "ac3"
    assert summary.stats.direction()[0] == pytest.approx(50.0, abs=1.0)


def test_meter_agrees_with_the_direction_of_the_whole():
    foa = wave(100.0, 25.0, 24000) + 0.5 * wave(-20.0, 0.0, 24000, seed=1)
    meter = FoaStats(24000)
    for block in foa.split(7000, -1):
        meter.add(block)
    azimuth, elevation, diffuseness = intensity_direction(foa, 24000)
    expected = (float(azimuth.rad2deg()), float(elevation.rad2deg()))
    assert meter.direction()[:2] == pytest.approx(expected, abs=0.5)
    assert meter.direction()[2] == pytest.approx(float(diffuseness), abs=0.01)


def test_block_by_block_is_the_same_as_in_one_piece(tmp_path, monkeypatch):
    foa = wave(30.0, 10.0, 44100 * 5 + 1234)
    soundfile.write(tmp_path / "a.wav", foa.T.numpy(), 44100, subtype="FLOAT")
    written = []
    for block in (BLOCK, 1):
        monkeypatch.setattr("avssl.spatial.resample.BLOCK", block)
        summary = analyze_audio(tmp_path / "a.wav", "auto", 5.0)
        write_analyzed_audio(tmp_path / "b.wav", summary, 5.0, 24000)
        written.append(torch.from_numpy(soundfile.read(tmp_path / "b.wav")[0]))
    assert written[0].shape == (120000, 4)
    assert (written[0] - written[1]).abs().max() <= 1.01 / 32768


def sine(hertz, rate):
    return torch.sin(2 * torch.pi * hertz * torch.arange(rate, dtype=torch.float64) / rate)


def test_resampled_sine_is_clean(tmp_path):
    tone = encode(0.5 * sine(10000, 48000) + 0.2 * sine(14000, 48000), 0.0, 0.0)
    soundfile.write(tmp_path / "a.wav", tone.T.numpy(), 48000, subtype="FLOAT")
    write_analyzed_audio(tmp_path / "b.wav", analyze_audio(tmp_path / "a.wav", "ambix", 1.0), 1.0, 24000)
    found = torch.from_numpy(soundfile.read(tmp_path / "b.wav")[0][:, 0])[2400:-2400]
    expected = 0.5 * sine(10000, 24000)[2400:-2400]
    assert 10 * torch.log10((found - expected).square().mean() / expected.square().mean()) < -70


def header(shape, projection, stereo):
    width, height = shape
    return SimpleNamespace(width=width, height=height, aspect=width / height, projection=projection, stereo=stereo)


@pytest.mark.parametrize(
    ("shape", "projection", "stereo", "why"),
    [
        ((1920, 1080), "", "", "declare --projection equirect"),
        ((1440, 1440), "", "", "perhaps top-bottom stereo"),
        ((1536, 1024), "", "", "perhaps a cube map"),
        ((1536, 1024), "cubemap", "", "the header says cubemap"),
        ((3840, 1920), "fisheye", "", "the header says fisheye"),
        ((3840, 1920), "equirectangular", "top-bottom", "the header says top-bottom stereo"),
        ((3840, 960), "equirectangular", "", "perhaps side-by-side stereo"),
        ((1440, 1440), "equirectangular", "", "perhaps top-bottom stereo"),
        ((160, 320), "equirectangular", "", "perhaps turned by the display rotation of the header"),
    ],
)
def test_frames_that_are_no_world_are_refused(shape, projection, stereo, why):
    frames = header(shape, projection, stereo)
    with pytest.raises(ValueError, match=why):
        check_equirect(frames, declared=False, vouched=False)


@pytest.mark.parametrize(
    ("shape", "projection", "stereo", "declared", "vouched"),
    [
        ((1920, 960), "", "", False, False),
        ((640, 360), "", "", False, True),
        ((640, 360), "", "", True, False),
        ((1920, 1080), "equirectangular", "", False, False),
        ((3840, 1920), "cubemap", "", True, False),
    ],
)
def test_worlds_pass(shape, projection, stereo, declared, vouched):
    frames = header(shape, projection, stereo)
    check_equirect(frames, declared=declared, vouched=vouched)
