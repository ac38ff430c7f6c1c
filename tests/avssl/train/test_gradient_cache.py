"""Gradient caching against the step with the whole batch."""

import pytest
import torch
from avssl_tasks.avc import Avc, AvcOptions
from avssl_tasks.avsa import Avsa, AvsaOptions
from torch import nn

from avssl.config import FeatureConfig, ModelConfig, OptimConfig, TrainConfig
from avssl.models.encoders import Encoders
from avssl.models.runtime import single_process
from avssl.train.gradient_cache import GradientCache
from avssl.train.loop import fit


def gradients(task):
    return {name: each.grad for name, each in task.named_parameters()}


@pytest.mark.parametrize("chunk", [1, 4, 6])
def test_loss_and_gradients_are_those_of_the_whole_batch(tiny, chunk):
    whole, parts, batch = tiny.Pairs(), tiny.Pairs(), tiny.pairs()
    expected = whole(batch)
    expected["loss"].backward()
    found = GradientCache(parts, chunk, single_process("32-true")).step(batch)
    assert found.keys() == expected.keys()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradients(parts), gradients(whole), atol=1e-6, rtol=1e-4)


def test_both_passes_of_a_chunk_have_the_same_dropout(tiny):
    task, batch = tiny.Pairs(dropout=0.5), tiny.pairs()
    cache = GradientCache(task, 4, single_process("32-true"))
    torch.manual_seed(7)
    loss = cache.step(batch)["loss"]
    torch.manual_seed(7)
    rows = cache._embed_all(cache._chunks(batch), torch.initial_seed())  # the masks of both passes, as constants
    assert torch.equal(task.contrast(rows, batch)["loss"], loss)
    found, step = gradients(task), 1e-2
    with torch.no_grad():
        direction = torch.randn(16, 6, generator=torch.Generator().manual_seed(2))
        losses = []
        for sign in (1, -1):
            task.video[0].weight += sign * step * direction
            losses.append(task.contrast(cache._embed_all(cache._chunks(batch), 7), batch)["loss"])
            task.video[0].weight -= sign * step * direction
    slope = (losses[0] - losses[1]) / (2 * step)
    torch.testing.assert_close((found["video.0.weight"] * direction).sum(), slope, atol=1e-3, rtol=1e-2)


def test_running_statistics_move_once_and_a_line_says_whose_they_are(tiny):
    task, other, batch = tiny.Pairs(norm=True), tiny.Pairs(norm=True), tiny.pairs(12)
    cache = GradientCache(task, 4, single_process("32-true"))
    cache.step(batch)
    for start in (0, 4, 8):
        other.embed({name: each[start : start + 4] for name, each in batch.items()})
    torch.testing.assert_close(task.video[1].running_mean, other.video[1].running_mean)
    assert int(task.video[1].num_batches_tracked) == 3
    assert cache.notice().startswith("train.chunk=4: batch normalisation has the statistics of 4 clips at a time")
    assert GradientCache(tiny.Pairs(), 4, single_process("32-true")).notice() == ""


class Source:
    workers = 0

    def __init__(self, batch):
        self.batch = batch

    def between(self, start, stop):
        for step in range(start, stop):
            yield {name: each.roll(step, 0) for name, each in self.batch.items()}


def test_a_chunked_run_is_the_run_with_whole_batches_up_to_rounding(tiny):
    found = []
    for chunk in (0, 5):
        config = TrainConfig(steps=6, precision="32-true", log_every=2, chunk=chunk)
        task = tiny.Pairs()
        found.append(
            (
                fit(task, Source(tiny.pairs(12)), config, OptimConfig(lr=1e-2), None, progress=False),
                dict(task.state_dict()),
            )
        )
    assert found[0][0]["loss"] == pytest.approx(found[1][0]["loss"], rel=1e-5)
    torch.testing.assert_close(found[0][1], found[1][1], atol=1e-5, rtol=1e-4)


def test_a_task_without_its_methods_and_uneven_tensors_are_refused(tiny):
    with pytest.raises(
        ValueError, match="train.chunk=4: expected a task with the methods embed and contrast, got Tiny"
    ):
        fit(tiny.TinyTask(), tiny.Stream(), TrainConfig(steps=1, chunk=4), OptimConfig(), None, progress=False)
    with pytest.raises(ValueError, match="one row per clip in every tensor, got {'x': 13, 'y': 13, 'z': 2}"):
        GradientCache(tiny.Pairs(), 4, single_process("32-true")).step({**tiny.pairs(), "z": torch.zeros(2)})
    with pytest.raises(ValueError, match="expected train.compile none or default with train.chunk, got 'reduce-overhe"):
        TrainConfig(chunk=4, compile="reduce-overhead")


OPTIONS = {
    "avc": (Avc, AvcOptions(crops=2, size=32)),
    "avc sigmoid": (Avc, AvcOptions(crops=1, size=32, loss="sigmoid")),
    "avsa": (Avsa, AvsaOptions(crops=2, size=32, yaw_negatives=1)),
    "avsa transformer": (Avsa, AvsaOptions(crops=2, size=32, transformer=1, dropout=0)),
}


@pytest.mark.heavy
@pytest.mark.parametrize("name", OPTIONS)
def test_tasks_in_chunks_equal_the_whole_batch_without_batch_statistics(name):
    kind, options = OPTIONS[name]
    torch.manual_seed(0)
    task = kind(Encoders(ModelConfig("small"), FeatureConfig(sample_rate=8000, mels=32)), options)
    for each in task.modules():  # batch normalisation by its running statistics
        each.training = not isinstance(each, nn.modules.batchnorm._BatchNorm)
    generator, crops = torch.Generator().manual_seed(3), options.crops
    turns = torch.linalg.qr(torch.randn(5, crops, 3, 3, generator=generator)).Q
    frames = torch.randint(0, 256, (5, crops, 1, 3, 32, 32), dtype=torch.uint8, generator=generator)
    batch = {"frames": frames, "audio": torch.randn(5, 4, 4000, generator=generator), "rotation": turns}
    batch |= {"yaw_rotation": turns.roll(1, 0)[:, :, None]} if name == "avsa" else {}
    expected = task(batch)
    expected["loss"].backward()
    known = {key: each.clone() for key, each in gradients(task).items()}
    task.zero_grad()
    found = GradientCache(task, 2, single_process("32-true")).step(batch)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    for key, each in gradients(task).items():
        assert float((each - known[key]).norm()) <= 1e-4 * float(known[key].norm()) + 1e-7, key


@pytest.mark.heavy
def test_two_processes_in_chunks_equal_one_with_the_whole_batch(tiny, run_tiny, tmp_path):
    process = run_tiny("chunked", tmp_path, processes=2)
    assert process.wait(200) == 0, process.stderr.read()
    whole, batch = tiny.Pairs(), tiny.pairs(12)
    loss = whole(batch)["loss"]
    loss.backward()
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(found.pop("loss"), loss.detach())
        torch.testing.assert_close(found, gradients(whole), atol=1e-6, rtol=1e-4)
