import os

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import avssl.embedding.batch_inference
from avssl.config import FeatureConfig, ModelConfig
from avssl.data.clip_options import Reading
from avssl.data.window_reader import Source
from avssl.datasets.dataset import Dataset, Fold, Recording
from avssl.embedding import cache as module
from avssl.embedding import tensor_shards
from avssl.embedding.cache import cached_embeddings, iterate_cached_embeddings
from avssl.embedding.dataset_cache import cached_dataset
from avssl.embedding.duration_cache import cached_durations
from avssl.errors import InputError
from avssl.io import cache_folder
from avssl.media import write_audio, write_video
from avssl.models.encoders import Encoders

READING = Reading(seconds=0.3)
RATE = 8000


@pytest.fixture
def encoders():
    torch.manual_seed(1)
    return Encoders(ModelConfig(), FeatureConfig(name="mono-logmel", sample_rate=RATE, n_fft=256, hop=80, mels=32))


@pytest.fixture
def sources(tmp_path):
    (tmp_path / "media").mkdir()
    for number in range(4):
        write_audio(tmp_path / "media" / f"{number}.wav", torch.rand(1, RATE) - 0.5, RATE)
    return [Source(str(number), tmp_path / "media" / f"{number}.wav", (0.0, 0.5)) for number in range(4)]


@pytest.fixture
def computed(monkeypatch):
    """Keys of the sources that were embedded, one list a call."""
    calls = []

    def watched(embedder, sources, *more, **settings):
        calls.append([source.key for source in sources])
        return embed(embedder, sources, *more, **settings)

    embed = module.embed
    monkeypatch.setattr(module, "embed", watched)
    return calls


@pytest.fixture
def keep(encoders, tmp_path):
    def run(sources, encoders=encoders, reading=READING, precision="32-true"):
        how = {"folder": tmp_path / "cache", "workers": 0, "precision": precision}
        return cached_embeddings(encoders.audio, sources, reading, **how)

    return run


def test_cached_embeddings_of_files_that_are_gone_are_used_with_a_warning(keep, sources, computed, caplog):
    first = keep(sources)
    (folder := sources[0].path.parent).rename(folder.with_name("moved"))
    assert not caplog.messages
    again = keep([sources[2], sources[0], sources[2]])
    [message] = caplog.messages
    assert message.startswith("2 of 2 files are gone, their cached embeddings are used")
    assert caplog.records[0].name == "avssl.embedding.cache_keys"
    assert computed == [["0", "1", "2", "3"]]
    assert torch.equal(again[0], first[2])
    assert torch.equal(again[1], first[0])
    assert torch.equal(again[2], first[2])
    with pytest.raises(FileNotFoundError, match=r"0\.wav"):
        keep([Source("0", sources[0].path, (0.1,))])  # windows that were never asked for


def test_a_changed_file_has_a_new_key_and_is_computed_again(keep, sources, computed, caplog):
    first = keep(sources)
    write_audio(sources[1].path, torch.rand(1, RATE) - 0.5, RATE)
    os.utime(sources[1].path, ns=(1, 1))
    second = keep(sources)
    assert computed[1:] == [["1"]]
    assert [torch.equal(one, two) for one, two in zip(first, second, strict=True)] == [True, False, True, True]
    assert not caplog.messages
    sources[1].path.unlink()
    assert torch.equal(keep(sources)[1], second[1])  # of a file that is gone, the latest
    assert "1 of 4 files are gone" in caplog.text


def test_keys_hold_weights_geometry_and_precision(keep, sources, computed, encoders):
    keep(sources[:1])
    keep(sources[:1], reading=Reading(seconds=0.3, frames=16, size=0))  # nothing that the audio tower notices
    assert len(computed) == 1
    keep(sources[:1], reading=Reading(seconds=0.4))
    torch.manual_seed(2)
    keep(sources[:1], encoders=Encoders(encoders.model_config, encoders.feature_config))
    assert len(computed) == 3
    keep(sources[:1], precision="bf16-mixed")
    keep(sources[:1], precision="bf16-mixed")
    assert len(computed) == 4
    assert torch.allclose(keep(sources[:1])[0], keep(sources[:1], precision="bf16-mixed")[0], atol=0.1)


def test_the_keys_of_a_tower_do_not_depend_on_the_other(keep, sources, computed, encoders):
    keep(sources[:1])
    with torch.no_grad():
        next(encoders.video.parameters()).add_(1)
    keep(sources[:1])
    assert len(computed) == 1
    with torch.no_grad():
        next(encoders.audio.parameters()).add_(1)
    keep(sources[:1])
    assert len(computed) == 2


def test_the_iterator_warns_of_files_that_are_gone_too(encoders, sources, tmp_path, caplog):
    how = {"folder": tmp_path / "cache", "workers": 0, "precision": "32-true"}
    list(iterate_cached_embeddings(encoders.audio, sources, READING, **how))
    sources[3].path.unlink()
    assert len(list(iterate_cached_embeddings(encoders.audio, sources, READING, **how))) == 4
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "1 of 4 files are gone" in caplog.text


def test_a_run_that_was_stopped_goes_on_where_it_was(keep, sources, computed, monkeypatch):
    monkeypatch.setattr(avssl.embedding.batch_inference, "BATCH", 2)  # a file at a time
    whole = sources[2].path.read_bytes()
    sources[2].path.write_bytes(b"RIFF of nothing")
    with pytest.raises(ValueError, match=r"2\.wav"):
        keep(sources)
    sources[2].path.write_bytes(whole)
    found = keep(sources)
    assert computed[1] == ["1", "2", "3"]  # the second was waiting for the third
    assert len(found) == 4


def test_the_iterator_gives_embeddings_and_continues_where_it_was_closed(encoders, sources, computed, tmp_path):
    (tmp_path / "media" / "1.wav").write_bytes(b"no sound")
    twice = [*sources, Source("again", sources[3].path, sources[3].starts), Source("bad", sources[1].path, (0.0, 0.5))]
    failed = []

    def run(some):
        how = {"folder": tmp_path / "cache", "workers": 0, "precision": "32-true"}
        return iterate_cached_embeddings(
            encoders.audio, some, READING, on_error=lambda source, _: failed.append(source.key), **how
        )

    stopped = run(twice)
    assert next(stopped)[0].key == "0"
    stopped.close()
    found = {source.key: each for source, each in run(twice)}
    assert list(found) == ["0", "2", "3", "again"]
    assert failed == ["1", "bad"]
    good = [sources[0], sources[2], sources[3]]
    expected = [each for _, each in module.embed(encoders.audio, good, READING, workers=0, precision="32-true")]
    for source, each in zip(good, expected, strict=True):  # in batches of other sizes, whose sums may round differently
        torch.testing.assert_close(found[source.key], each, atol=1e-5, rtol=1e-5)
    assert torch.equal(found["again"], found["3"])
    assert computed[0] == ["0", "bad", "2", "again"]
    assert computed[1] == ["bad", "2", "again"]


def test_what_waits_to_be_written_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(tensor_shards, "NUMBERS_IN_MEMORY", 10)
    with tensor_shards.TensorShards(tmp_path / "cache", 3) as shards:
        for number in range(5):
            shards.add(str(number), torch.full((2, 3), float(number)))
            assert len(shards._waiting) < 2
            assert shards.read([str(number)])[str(number)].unique().tolist() == [number]
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_the_iterator_opens_a_shard_once(encoders, sources, tmp_path, monkeypatch, computed):
    monkeypatch.setattr(tensor_shards, "TENSORS_PER_SHARD", 5)
    monkeypatch.setattr(module, "BLOCK", 10)
    opened = []

    def watched(path, *more):
        opened.append(path)
        return safe_open(path, *more)

    safe_open = tensor_shards.safe_open
    monkeypatch.setattr(tensor_shards, "safe_open", watched)
    many = [Source(f"{source.key}-{start}", source.path, (start / 20,)) for source in sources for start in range(10)]
    how = {"folder": tmp_path / "cache", "workers": 0, "precision": "32-true"}
    first = dict(iterate_cached_embeddings(encoders.audio, many, READING, **how))
    assert (len(first), opened) == (40, [])
    again = dict(iterate_cached_embeddings(encoders.audio, many, READING, **how))
    assert (len(set(opened)), len(opened)) == (8, 16)  # its keys, then its tensors
    assert len(computed) == 2
    assert not computed[1]
    assert all(torch.equal(again[source], each) for source, each in first.items())


def test_a_broken_shard_is_computed_again(keep, sources, computed, tmp_path):
    first = keep(sources)
    [shard] = (tmp_path / "cache").rglob("*.safetensors")
    shard.write_bytes(shard.read_bytes()[:100])
    assert all(torch.equal(one, two) for one, two in zip(first, keep(sources), strict=True))
    assert len(computed) == 2


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda each: torch.zeros(2, 7), "float32 embeddings of width 256, got ('F32', 7)"),
        (lambda each: each.half(), "got ('F16', 256)"),
        (lambda each: each[0], "got ('F32',)"),
        (lambda each: each[:1], "expected 2 finite embeddings"),
        (lambda each: each.index_fill(1, torch.tensor([3]), torch.nan), "some NaN or infinite"),
    ],
)
@pytest.mark.parametrize("way", ["list", "iterator"])
def test_shards_of_something_else_are_computed_again_with_a_warning(
    encoders, keep, sources, computed, tmp_path, caplog, spoil, words, way
):
    expected = keep(sources)
    (path,) = (tmp_path / "cache").rglob("*.safetensors")
    save_file({key: spoil(each).contiguous() for key, each in load_file(path).items()}, path)
    how = {"folder": tmp_path / "cache", "workers": 0, "precision": "32-true"}
    if way == "list":
        found = keep(sources)
    else:
        found = [each for _, each in iterate_cached_embeddings(encoders.audio, sources, READING, **how)]
    for one, two in zip(expected, found, strict=True):
        torch.testing.assert_close(two, one, rtol=1e-5, atol=1e-5)  # of other batches
    assert words in caplog.text
    assert [key for call in computed[1:] for key in call] == ["0", "1", "2", "3"]
    caplog.clear()
    keep(sources)
    assert [key for call in computed[1:] for key in call] == ["0", "1", "2", "3"]  # stored again
    assert not caplog.text


def test_a_cache_that_cannot_be_written_is_a_warning_and_the_results_are_the_same(
    keep, encoders, sources, tmp_path, caplog, monkeypatch
):
    expected = keep(sources)
    (tmp_path / "file").touch()
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(cache_folder, "_warned", False)
    found = list(iterate_cached_embeddings(encoders.audio, sources, READING, workers=0, precision="32-true"))
    assert all(torch.equal(one, two) for one, (_, two) in zip(expected, found, strict=True))
    paths = [source.path for source in sources]
    assert cached_durations(paths, "audio", workers=0) == [1.0] * 4
    (record,) = caplog.records
    assert "Not a directory: nothing is cached beyond this command; AVSSL_CACHE names another" in record.getMessage()


@pytest.mark.parametrize("lie", ["NaN", "-3", "Infinity", '"long"', "[1]"])
def test_cached_durations_that_are_none_are_measured_again(tmp_path, lie):
    write_audio(tmp_path / "a.wav", torch.rand(1, RATE) - 0.5, RATE)
    how = {"folder": tmp_path / "cache", "workers": 0}
    assert cached_durations([tmp_path / "a.wav"], "audio", **how) == [1.0]
    file = tmp_path / "cache" / "durations.jsonl"
    file.write_bytes(b"\xff\n" + file.read_bytes().replace(b"1.0]", lie.encode() + b"]"))
    assert cached_durations([tmp_path / "a.wav"], "audio", **how) == [1.0]


def test_durations_are_those_of_the_stream_and_measured_once(tmp_path):
    write_audio(tmp_path / "a.wav", torch.zeros(2, 12345), RATE)
    write_video(tmp_path / "b.mp4", [np.zeros((32, 32, 3), np.uint8)] * 10, 8.0)
    folder = tmp_path / "cache"
    assert cached_durations([tmp_path / "a.wav"], "audio", folder=folder, workers=0) == [pytest.approx(12345 / RATE)]
    assert cached_durations([tmp_path / "b.mp4"] * 2, "video", folder=folder, workers=0) == [pytest.approx(1.25)] * 2
    for name in ("a.wav", "b.mp4"):
        (tmp_path / name).unlink()
    assert cached_durations([tmp_path / "b.mp4"], "video", folder=folder) == [pytest.approx(1.25)]
    with pytest.raises(FileNotFoundError, match=r"b\.mp4"):
        cached_durations([tmp_path / "b.mp4"], "audio", folder=folder, workers=0)


def test_the_cached_index_of_a_data_set_is_used_once_its_media_are_gone(tmp_path, caplog):
    root = tmp_path / "set"
    root.mkdir()
    (root / "a.wav").touch()
    found = Dataset(
        "waveforms", root, (Recording("a", audio="a.wav", label="x"),), ("x",), (Fold("1", ("a",), ("a",)),)
    )

    def read():
        if not root.is_dir():
            raise InputError(f"{root}: expected sounds")
        return found

    def refuse():
        raise InputError("a list is broken")

    def ask(reader, **settings):
        return cached_dataset(root, settings, reader, tmp_path / "cache")

    assert ask(read, split=1) == found
    with pytest.raises(ValueError, match="a list is broken"):
        ask(refuse, split=1)  # the media are there: what is wrong matters
    root.rename(tmp_path / "away")
    assert ask(read, split=1) == found
    [message] = caplog.messages
    assert "the cached index of waveforms is used" in message
    with pytest.raises(ValueError, match="expected sounds"):
        ask(read, split=2)


def test_embeddings_on_a_cluster_are_those_of_this_machine(encoders, sources, tmp_path, elsewhere):
    (tmp_path / "media" / "1.wav").write_bytes(b"no sound")
    failed = []

    def run(folder):
        how = {"folder": tmp_path / folder, "workers": 0, "precision": "32-true"}
        fail = lambda source, _: failed.append(source.key)  # noqa: E731
        return list(iterate_cached_embeddings(encoders.audio, sources, READING, on_error=fail, **how))

    here = run("here")
    with elsewhere():
        there = run("there")
    assert failed == ["1", "1"]
    assert [source.key for source, _ in there] == [source.key for source, _ in here] == ["0", "2", "3"]
    for (_, one), (_, other) in zip(here, there, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
