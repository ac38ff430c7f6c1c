"""`apply` on files: in place, in sync, at the file's rate; errors before anything is written."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from avssl_downstream.spatialize.apply import apply
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.verify_output import difference

from avssl.media import read_all_audio, read_frames
from avssl.media.hrir_files import read_hrirs
from avssl.media.mp4.spatial_mp4 import write_spatial_mp4
from avssl.models.runtime import single_process
from avssl.spatial.binaural import ambisonic_filters, to_binaural

MEDIA = Path(os.environ.get("AVSSL_TEST_MEDIA", Path(__file__).parents[4] / "shared" / "data"))
RATE = 16000
OPTIONS = SpatializeOptions(windows=3)


@pytest.fixture(autouse=True)
def _messages(caplog):
    caplog.set_level("INFO", "avssl")


def spatialized(source, target, generator, options=OPTIONS):
    apply(source, target, generator, options, single_process("32-true"))
    return read_all_audio(target)


def media(name):
    if not (MEDIA / name).exists():
        pytest.skip(f"no {MEDIA / name}; set AVSSL_TEST_MEDIA to the folder of test media")
    return MEDIA / name


def louder_left(audio, rate, seconds=0.02):
    """Level of left over right in dB, every `seconds`."""
    power = audio[:, : audio.shape[1] // round(seconds * rate) * round(seconds * rate)].square()
    levels = power.unflatten(-1, (-1, round(seconds * rate))).sum(-1) + 1e-9
    return 10 * (levels[0] / levels[1]).log10()


@pytest.mark.parametrize("suffix", [".wav", ".mp4"])
def test_audio_follows_the_bright_side_of_the_frames_in_time(tmp_path, film, pan, tone, suffix):
    audio, rate = spatialized(film(audio=tone(rate=48000), rate=48000), tmp_path / f"out{suffix}", pan)
    assert (rate, audio.shape[0]) == (48000, 2)
    left = louder_left(audio, rate)
    assert left[:35].min() > 20
    assert left[65:-2].max() < -20
    crossing = 0.02 * (int((left > 0).sum()) + 0.5)
    assert crossing == pytest.approx(1.0, abs=0.11)  # the generator takes ten frames per second


def test_video_of_an_mp4_is_copied_bit_for_bit_and_audio_is_in_sync(tmp_path, film, pan, tone):
    click = tone(level=0.0)
    click[0, 24000:24080] = 0.5
    source = film(audio=click)
    audio, rate = spatialized(source, tmp_path / "out.mp4", pan)
    times = [index / 20 for index in range(60)]
    assert torch.equal(read_frames(source, times), read_frames(tmp_path / "out.mp4", times))
    begins = int((audio.abs().amax(0) > 0.1).nonzero()[0])
    before = int((read_all_audio(source)[0].abs().amax(0) > 0.1).nonzero()[0])
    assert abs(begins - before) <= 2
    assert audio.shape[1] == pytest.approx(3 * rate, abs=1100)


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_w_is_the_input_bit_for_bit_at_any_rate(tmp_path, film, around, rate, caplog):
    noise = 0.1 * torch.randn(1, 3 * rate, generator=torch.Generator().manual_seed(0))
    source = film("in.mp4", noise, rate=rate, size=(80, 160))
    audio, _ = spatialized(source, tmp_path / "out.wav", around)
    own = read_all_audio(source)[0]
    assert audio.shape == (4, own.shape[1])
    assert torch.equal(audio[:1], own)
    assert "out.wav: W is the mono input, largest difference 0\n" in caplog.text


@pytest.mark.parametrize(("name", "codec", "least"), [("out.mp4", "aac", 1e-4), ("out.mov", "pcm", 0.0)])
def test_w_of_a_video_is_the_mono_input_up_to_the_stated_difference(
    tmp_path, film, around, tone, caplog, name, codec, least
):
    source = film("in.mp4", tone(rate=48000), rate=48000, size=(80, 160))
    audio, _ = spatialized(source, tmp_path / name, around, replace(OPTIONS, codec=codec))
    own = read_all_audio(source)[0]
    count = min(own.shape[1], audio.shape[1])
    off = audio[0, :count] - own[0, :count]
    largest = float(off.abs().max())
    assert least <= largest < {"aac": 0.05, "pcm": 2**-24 * 1.01}[codec]
    line = caplog.messages[-1]
    assert f"W is the mono input through {'aac' if codec == 'aac' else 'pcm_s24le'}" in line
    said = float(line.split("largest difference ")[1].split(",")[0])
    assert said == pytest.approx(largest, rel=1e-4)
    decibels = 10 * float((off.square().sum() / own[0, :count].square().sum()).log10())
    assert float(line.rsplit(", ", 1)[1].split()[0]) == pytest.approx(decibels, abs=0.6)


def test_difference_is_independent_of_the_blocks():
    one, other = torch.randn(2, 1000, generator=torch.Generator().manual_seed(0)), torch.zeros(2, 900)
    other += one[:, :900]
    assert difference([one], other.split(7, 1)).largest == 0
    other[1, 899] += 0.25
    found = difference(one.split(64, 1), other.split(7, 1))
    assert found.largest == pytest.approx(0.25)
    assert found.decibels == pytest.approx(10 * float((0.25**2 / other.square().sum()).log10()), abs=1e-3)


def test_left_plus_right_is_the_sum_of_a_stereo_file(tmp_path, film, pan):
    stereo = 0.1 * torch.randn(2, 3 * 44100, generator=torch.Generator().manual_seed(0))
    source = film("in.mp4", stereo, rate=44100)
    audio, _ = spatialized(source, tmp_path / "out.wav", pan)
    own = read_all_audio(source)[0]
    torch.testing.assert_close(audio.sum(0), own.sum(0), atol=1e-5, rtol=0)


def test_each_frame_is_encoded_once(tmp_path, film, pan, tone):
    spatialized(film(audio=tone()), tmp_path / "out.wav", pan, replace(OPTIONS, hop=0.01))
    assert pan.encoded.frames <= 30
    many = pan.encoded.frames
    spatialized(film(audio=tone()), tmp_path / "out.wav", pan, replace(OPTIONS, hop=0.1))
    assert pan.encoded.frames == pytest.approx(2 * many, abs=2)


def test_hop_and_batch_of_windows_change_little(tmp_path, film, pan, tone):
    source, made = film(audio=tone()), []
    for name, windows, hop in (("a", 1, 0.05), ("b", 7, 0.05), ("c", 3, 0.02)):
        made.append(spatialized(source, tmp_path / f"{name}.wav", pan, replace(OPTIONS, windows=windows, hop=hop))[0])
    torch.testing.assert_close(made[0], made[1], atol=1e-6, rtol=1e-5)  # batches of other sizes may round differently
    assert (made[0] - made[2]).square().mean() < 0.03 * made[0].square().mean()


@pytest.mark.parametrize(("target", "channels"), [("binaural", 2), ("stereo", 2), ("5.1", 6), ("7.1", 8), ("ambix", 4)])
def test_ambisonics_are_decoded_to_the_target_format(tmp_path, film, around, tone, target, channels):
    source = film("in.mp4", tone(1.0, 3000.0), 1.0, size=(80, 160))
    audio, _ = spatialized(source, tmp_path / "out.wav", around, replace(OPTIONS, target=target))
    assert audio.shape[0] == channels
    left, right = {"7.1": (4, 5), "5.1": (4, 5), "ambix": (1, 2)}.get(target, (0, 1))
    assert audio[left].square().sum() > 2 * audio[right].square().sum()  # the bright side is on the left


def test_a_sample_rate_that_aac_lacks_becomes_48_khz(tmp_path, film, around, tone, caplog):
    audio = tone(3.0, 440.0, 192000)
    write_spatial_mp4(tmp_path / "in.mov", film(size=(80, 160)), [audio], 192000, panoramic=False, codec="pcm")
    made, rate = spatialized(tmp_path / "in.mov", tmp_path / "out.mp4", around)
    assert (rate, made.shape[0]) == (48000, 4)
    torch.testing.assert_close(made[0, 4800:139200], audio[0, ::4][4800:139200], atol=0.01, rtol=0)
    said = caplog.messages[-1]
    assert "W is the mono input through aac" in said
    assert float(said.split()[-2]) < -40  # dB
    assert spatialized(tmp_path / "in.mov", tmp_path / "out.wav", around)[1] == 192000


@pytest.mark.parametrize("filters", ["magls", "plain"])
@pytest.mark.heavy
def test_ambisonics_are_rendered_with_the_given_hrirs(tmp_path, film, around, filters):
    noise = 0.1 * torch.randn(1, 3 * 44100, generator=torch.Generator().manual_seed(0))
    source = film("in.mp4", noise, rate=44100, size=(80, 160))
    field, rate = spatialized(source, tmp_path / "field.wav", around)
    folder = media("free/hrtf/cipic_subject03_wav")
    ears = replace(OPTIONS, target="binaural", hrirs=str(folder), filters=filters)
    rendered, _ = spatialized(source, tmp_path / "ears.wav", around, ears)
    whole = to_binaural(field, ambisonic_filters(read_hrirs(folder).resample(rate), filters))
    torch.testing.assert_close(rendered, whole, atol=1e-5, rtol=0)


@pytest.mark.filterwarnings("ignore:.*ReceiverPosition")
@pytest.mark.parametrize("form", ["sofa/CIPIC_subject_003_hrir_final.sofa", "cipic_subject03_wav", "sadie_subject002"])
@pytest.mark.heavy
def test_azimuth_90_is_left_for_every_format_of_real_hrirs(tmp_path, film, around, form):
    noise = 0.1 * torch.randn(1, 3 * 48000, generator=torch.Generator().manual_seed(0))
    source = film("in.mp4", noise, rate=48000, size=(80, 160), at=3.0)  # bright on the left throughout
    options = replace(OPTIONS, target="binaural", hrirs=str(media(f"free/hrtf/{form}")))
    (left, right), rate = spatialized(source, tmp_path / "ears.wav", around, options)
    assert float(left.square().sum()) > 2 * float(right.square().sum())
    spectra = torch.fft.rfft(torch.stack([left, right]), 2 * len(left))
    spectra[:, round(600 * 2 * len(left) / rate) :] = (
        0  # where the phase of first-order ambisonics is that of the HRIRs
    )
    together = torch.fft.irfft(spectra[1] * spectra[0].conj())
    most = rate // 500
    lag = (int(torch.cat([together[-most:], together[:most]]).argmax()) - most) / rate
    assert 0.0003 < lag < 0.001


def test_short_files_and_ends_within_a_window_are_complete(tmp_path, film, pan, tone):
    for seconds in (0.05, 0.33, 10.07):
        audio, _ = spatialized(film("in.mp4", tone(seconds, rate=44100), seconds, rate=44100), tmp_path / "o.wav", pan)
        assert audio.shape[1] >= round(seconds * 44100)
        assert audio.abs().max() > 0.2


@pytest.mark.parametrize("rate", [16000, 48000])
def test_first_order_input_is_kept_bit_for_bit_in_second_order(tmp_path, film, sharper, rate, caplog):
    field = 0.1 * torch.randn(4, 3 * rate, generator=torch.Generator().manual_seed(0))
    for _ in range(3):  # within the band of both rates
        field = torch.nn.functional.avg_pool1d(field, 9, 1, 4)
    source = film("in.mp4", field, rate=rate, size=(80, 160))
    audio, _ = spatialized(source, tmp_path / "out.wav", sharper)
    own = read_all_audio(source)[0]
    assert audio.shape == (9, own.shape[1])
    assert torch.equal(audio[:4], own)
    assert "W, Y, Z and X are the first-order input, largest difference 0" in caplog.text
    assert not audio[4:8].any()
    middle = slice(rate // 2, -rate // 2)
    off = (audio[8] - own[3])[middle].square().mean() / own[3, middle].square().mean()
    assert off < 0.02


def test_unsupported_input_and_output_of_second_order_are_refused(tmp_path, film, sharper, tone):
    source = film("in.mp4", torch.cat([tone(), tone(), 0 * tone(), tone()]), size=(80, 160))
    assert "nine channels" in refused(source, tmp_path / "out.mp4", sharper)
    assert "nine channels" in refused(source, tmp_path / "out.wav", sharper, replace(OPTIONS, target="binaural"))
    mono = film("mono.mp4", tone(), size=(80, 160))
    message = refused(mono, tmp_path / "out.wav", sharper)
    assert "mono.mp4: expected ambisonics (4 channels or more), this sound is mono" in message
    assert "--" not in message


def listed(target):
    return sorted(target.parent.iterdir()) if target.parent.is_dir() else []


def refused(source, target, generator, options=OPTIONS):
    before = listed(target)
    with pytest.raises((ValueError, OSError)) as error:
        apply(source, target, generator, options, single_process("32-true"))
    assert listed(target) == before, "something was written"
    assert "\n" not in str(error.value)
    return str(error.value)


def test_files_without_audio_or_video_are_refused(tmp_path, film, pan, tone):
    soundfile.write(tmp_path / "only.wav", tone()[0].numpy(), RATE)
    (tmp_path / "text.mp4").write_text("no video")
    assert "no sound stream" in refused(film(), tmp_path / "out.mp4", pan)
    assert "expected a video" in refused(tmp_path / "only.wav", tmp_path / "out.mp4", pan)
    assert "text.mp4" in refused(tmp_path / "text.mp4", tmp_path / "out.mp4", pan)
    assert "no such file" in refused(tmp_path / "nothing.mp4", tmp_path / "out.mp4", pan)


def test_a_time_stamp_that_no_film_has_is_refused_before_anything_is_written(tmp_path, pan, matroska):
    stamps = [*range(0, 1000, 100), 36_000_000]
    frames = [np.full((48, 64, 3), 90, np.uint8) for _ in stamps]
    path = matroska(tmp_path / "jump.mkv", frames, stamps, audio=range(0, 1000, 100))
    assert "jump.mkv: expected time stamps at most 600 s apart" in refused(path, tmp_path / "out.mp4", pan)


def test_another_field_of_view_is_refused_unless_declared(tmp_path, film, pan, around, tone):
    flat = film("flat.mp4", tone())
    assert "panorama=true" in refused(flat, tmp_path / "out.mp4", around)
    spatialized(flat, tmp_path / "out.mp4", around, replace(OPTIONS, panorama=True))
    assert "equirectangular" in refused(
        tmp_path / "out.mp4", tmp_path / "again.mp4", pan, replace(OPTIONS, mix="first")
    )


def test_more_than_two_channels_need_a_mix_option(tmp_path, film, around, tone):
    source = film("field.mp4", torch.cat([tone(), 0 * tone(), 0 * tone(), tone()]), size=(80, 160))
    assert "mix=first" in refused(source, tmp_path / "out.wav", around)
    audio, _ = spatialized(source, tmp_path / "out.wav", around, replace(OPTIONS, mix="first"))
    assert torch.equal(audio[0], read_all_audio(source)[0][0])


def test_first_mix_is_w_by_the_channel_map_of_the_file(tmp_path, film, around, tone):
    source = film("field.mp4", torch.cat([0.1 * tone(), 0 * tone(), 0 * tone(), tone()]), size=(80, 160))
    data = source.read_bytes()
    at = data.index(b"SA3D") + 16
    source.write_bytes(data[:at] + bytes((0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0)) + data[at + 16 :])
    audio, _ = spatialized(source, tmp_path / "out.wav", around, replace(OPTIONS, mix="first"))
    assert torch.equal(audio[0], read_all_audio(source)[0][3])


def test_outputs_that_cannot_be_written_are_refused(tmp_path, film, pan, around, tone):
    source = film(audio=tone())
    (tmp_path / "folder.mp4").mkdir()
    assert "folder" in refused(source, tmp_path / "gone" / "out.mp4", pan)
    assert "got a folder" in refused(source, tmp_path / "folder.mp4", pan)
    assert ".wav" in refused(source, tmp_path / "out.avi", pan)
    assert "another file than the input" in refused(source, source, pan)
    assert "expected target=binaural" in refused(source, tmp_path / "out.wav", pan, replace(OPTIONS, target="5.1"))
    assert "half" in refused(source, tmp_path / "out.wav", pan, replace(OPTIONS, hop=0.15))
    ears = replace(OPTIONS, target="binaural", hrirs=str(source))
    assert "target=binaural" in refused(source, tmp_path / "out.wav", pan, ears)
    assert "target=binaural" in refused(source, tmp_path / "out.wav", around, replace(ears, target="ambix", mix="mean"))


def test_invalid_hrirs_are_refused_before_any_computation(tmp_path, film, around, tone):
    source = film(audio=tone(), size=(80, 160))
    for name, why in (("nothing.sofa", "no such file"), (source.name, "expected a SOFA file")):
        options = replace(OPTIONS, target="binaural", hrirs=str(tmp_path / name))
        assert why in refused(source, tmp_path / "out.wav", around, options)
    assert not around.encoded.frames


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no folder that even root may not write to")
def test_an_unwritable_folder_is_refused_before_any_computation(film, pan, tone):
    assert "cannot be written" in refused(film(audio=tone()), Path("/proc/self/out.wav"), pan)
    assert not pan.encoded.frames


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path, film, pan, tone):
    (tmp_path / "locked").mkdir(mode=0o500)
    assert "cannot be written" in refused(film(audio=tone()), tmp_path / "locked" / "out.wav", pan)


@pytest.mark.parametrize("suffix", [".wav", ".mp4"])
def test_an_interruption_leaves_the_target_as_it_was(tmp_path, film, pan, tone, suffix):
    source, target = film(audio=tone()), tmp_path / f"out{suffix}"
    target.write_bytes(b"before")
    generate = pan.generate

    def interrupted(mono, features):
        if pan.encoded.frames > 15:
            raise KeyboardInterrupt
        return generate(mono, features)

    pan.generate = interrupted
    with pytest.raises(KeyboardInterrupt):
        apply(source, target, pan, OPTIONS, single_process("32-true"))
    assert target.read_bytes() == b"before"
    assert {each.name for each in tmp_path.iterdir()} == {target.name, source.name, f"silent-{source.name}"}
