from copy import deepcopy

import numpy as np
import pytest
import torch

from avssl.config import FeatureConfig, ModelConfig
from avssl.data import window_reader
from avssl.data.clip_options import Reading
from avssl.data.window_reader import Source, read_window_audio, read_window_frames
from avssl.embedding.batch_inference import STRETCH, embed
from avssl.media import write_audio, write_video
from avssl.models.encoders import Encoders

READING = Reading(seconds=0.3, frames=2, frame_rate=8.0, resize=32, size=32)
EXACT = {"precision": "32-true", "workers": 0, "progress": False}


@pytest.fixture(scope="module")
def encoders():
    torch.manual_seed(1)
    return Encoders(ModelConfig(), FeatureConfig(name="foa-logmel", sample_rate=8000, n_fft=256, hop=80, mels=32))


@pytest.fixture(scope="module")
def waveforms(tmp_path_factory):
    """Three files of two seconds, of other rates than the encoders'."""
    folder = tmp_path_factory.mktemp("waveforms")
    for number in range(3):
        write_audio(folder / f"{number}.wav", torch.rand(4, 32000) - 0.5, 16000)
    return [Source(str(number), folder / f"{number}.wav", (1.2, 0.0, 0.9, 1.9)) for number in range(3)]


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    rng = np.random.default_rng(0)
    for number in range(3):
        frames = [rng.integers(0, 255, (32, 48, 3), np.uint8) for _ in range(16)]
        write_video(folder / f"{number}.mp4", frames, 8.0)
    return [Source(str(number), folder / f"{number}.mp4", (1.0, 0.0, 1.8)) for number in range(3)]


@pytest.mark.parametrize("tower", ["audio", "video"])
def test_embeddings_are_those_of_the_encoders_window_by_window(encoders, waveforms, films, tower):
    sources = waveforms if tower == "audio" else films
    found = {source.key: each for source, each in embed(getattr(encoders, tower), sources, READING, **EXACT)}
    assert encoders.training  # as it was before
    network = Encoders.eval(encoders)
    for source in sources:
        for start, embedding in zip(source.starts, found[source.key], strict=True):
            if tower == "audio":
                expected = network.audio(read_window_audio(source.path, start, READING, 8000))
            else:
                expected = network.video(read_window_frames(source.path, start, READING))
            assert torch.allclose(embedding, expected.detach(), atol=1e-4)
    encoders.train()


def test_loader_processes_change_nothing(encoders, films):
    alone = list(embed(encoders.video, films, READING, **EXACT))
    several = list(embed(encoders.video, films, READING, **EXACT | {"workers": 2}))
    assert [source for source, _ in several] == films
    for (_, one), (_, two) in zip(alone, several, strict=True):  # processes and threads may round differently
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-5)


def test_files_without_windows_have_no_embeddings(encoders, waveforms):
    sources = [Source("none", waveforms[0].path, ()), waveforms[1]]
    found = [each.shape for _, each in embed(encoders.audio, sources, READING, **EXACT)]
    assert found == [(0, encoders.audio_width), (4, encoders.audio_width)]


def test_little_of_a_long_file_is_read_at_a_time(encoders, tmp_path, monkeypatch):
    write_audio(tmp_path / "long.wav", torch.rand(4, 60 * 8000) - 0.5, 8000)
    asked = []

    def read(path, start, seconds, *more):
        asked.append(seconds)
        return wanted(path, start, seconds, *more)

    wanted = window_reader.read_resampled
    monkeypatch.setattr(window_reader, "read_resampled", read)
    source = Source("long", tmp_path / "long.wav", tuple(np.arange(0, 59, 0.5)))
    [(_, found)] = list(embed(encoders.audio, [source], READING, **EXACT))
    assert found.shape[0] == 118
    assert max(asked) <= STRETCH + READING.seconds + 2
    assert sum(asked) < 1.5 * 60  # neighbouring windows share what is read


@pytest.mark.parametrize(
    ("channels", "said"),
    [(2, r"features foa-logmel take 4 channels, .*2\.wav has 2$"), (9, r"9\.wav has 9; channels=4 takes the first")],
)
def test_audio_with_other_channels_is_refused_in_one_line(encoders, tmp_path, channels, said):
    path = tmp_path / f"{channels}.wav"
    write_audio(path, torch.rand(channels, 8000) - 0.5, 8000)
    with pytest.raises(ValueError, match=said):
        list(embed(encoders.audio, [Source("a", path, (0.0,))], READING, **EXACT))


def test_the_first_channels_of_a_higher_order_are_its_first_order(encoders, tmp_path):
    audio = torch.rand(9, 8000) - 0.5
    write_audio(tmp_path / "9.wav", audio, 8000)
    write_audio(tmp_path / "4.wav", audio[:4], 8000)
    reading = Reading(seconds=0.3, channels=4)
    sources = [Source(name, tmp_path / f"{name}.wav", (0.1,)) for name in "94"]
    (_, nine), (_, four) = embed(encoders.audio, sources, reading, **EXACT)
    torch.testing.assert_close(nine, four, atol=1e-5, rtol=1e-5)  # rows of one batch may be summed in another order


@pytest.mark.parametrize("workers", [0, 1])
def test_broken_files_are_told_of_and_left_out(encoders, waveforms, tmp_path, workers):
    (tmp_path / "broken.wav").write_bytes(b"RIFF of nothing")
    sources = [
        waveforms[0],
        Source("b", tmp_path / "broken.wav", (0.0, 30.0)),
        Source("c", tmp_path / "no.wav", (0.0,)),
    ]
    told = {}
    settings = EXACT | {"workers": workers, "on_error": lambda source, error: told.update({source.key: str(error)})}
    found = [source.key for source, _ in embed(encoders.audio, [*sources, waveforms[1]], READING, **settings)]
    assert found == ["0", "1"]
    assert set(told) == {"b", "c"}
    assert "broken.wav" in told["b"]
    assert "\n" not in told["b"]
    assert "no.wav" in told["c"]
    with pytest.raises(ValueError, match="broken.wav"):
        list(embed(encoders.audio, sources, READING, **EXACT | {"workers": workers}))


def test_embeddings_that_overflow_are_an_error_of_their_file_not_a_row_of_nan(encoders, tmp_path):
    """Weights may be finite and still too large, for loud audio first."""
    spoiled = deepcopy(encoders.audio)
    spoiled.tower.forward = lambda features: (
        torch.full((len(features), spoiled.width), 3e38) * (features.amax() > 10) * 2
    )
    spoiled.features.forward = lambda audio, rotation: audio.abs().amax((-1, -2), keepdim=True)[:, None] * 1000
    for name, level in (("quiet", 1e-3), ("loud", 0.9)):
        write_audio(tmp_path / f"{name}.wav", torch.full((4, 16000), level), 16000)
    sources = [Source(name, tmp_path / f"{name}.wav", (0.0,)) for name in ("quiet", "loud")]
    failures = {}
    alone = [list(embed(spoiled, [each], READING, **EXACT, on_error=lambda s, e: failures.update({s.key: str(e)})))
             for each in sources]  # fmt: skip
    assert [len(each) for each in alone] == [1, 0]
    assert "expected finite embeddings, got NaN or infinity" in failures["loud"]
    with pytest.raises(ValueError, match="expected finite embeddings"):
        list(embed(spoiled, sources[1:], READING, **EXACT))
