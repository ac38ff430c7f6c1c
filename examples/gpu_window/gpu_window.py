"""Ten minutes on a GPU: rates of training and generation, a trained encoder with its probe, and the tests marked gpu.

Run it in a clone, on a machine with one GPU: `python examples/gpu_window/gpu_window.py --out gpu-window`. It renders
its scenes, prints a table and writes it as JSON after each part. A part that fails or exceeds its time is a row that
says so. `--rehearse` runs the same on a CPU with a few steps.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from avssl_downstream.spatialize.frame_features import FrameFeatures, RecordedFrames
from avssl_downstream.spatialize.inference import WindowSchedule
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.registry import build_generator
from avssl_downstream.spatialize.streaming import StreamingSpatializer, generate_stream
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from avssl.config import RunConfig
from avssl.data.loader import Batches
from avssl.errors import first_line
from avssl.io.cores import usable_cores
from avssl.io.memory import peak_mb
from avssl.io.tables import table_text
from avssl.models.runtime import single_process
from avssl.recipe_files import resolve
from avssl.task import Task
from avssl.train import compiled_towers, data_source
from avssl.train.loop import fit
from avssl.train.pretrain import build_task, pretrain
from avssl.train.resolved_run import resolve_run

Facts = dict[str, Any]
WARM_UP = 10
"""Steps that are not timed: kernels are chosen and compiled in them."""
AGAIN = 5.0
"""Seconds between two interruptions of a part whose time is over."""
LR_BATCH = 32
"""Batch of the recipe avsa/small, for whose learning rate it stands."""


@dataclass(frozen=True)
class Plan:
    """Sizes and seconds of the parts."""

    seconds: dict[str, float]
    full: Facts
    small: Facts
    product: int = 8192
    backend: str = "inductor"
    """Of torch.compile; the rehearsal needs no compiler."""
    generator: str = "mono_to_3d-full"
    audio_seconds: float = 60.0
    warm_up: int = WARM_UP
    small_steps: int = 0
    """0: as many as fit."""
    tests: list[str] = field(default_factory=lambda: ["tests"])


SECONDS = {"render": 80.0, "full, eager": 45.0, "full, compiled": 100.0, "full, CUDA graphs": 60.0, "generator": 25.0,
           "small": 170.0, "tests": 60.0}  # fmt: skip
SCENES = {"clip_seconds": 1.6, "validation_seed": 7}
GPU = Plan(
    SECONDS,
    {"data": {**SCENES, "clips": 1024, "batch": 64}, "options": {"transformer": 2}},
    {"data": {**SCENES, "clips": 6400, "batch": 512}},
)
REHEARSAL = Plan(
    dict.fromkeys(SECONDS, 600.0),
    {
        "data": {**SCENES, "clips": 8, "clip_seconds": 1.0, "seconds": 0.5, "frames": 2, "batch": 2},
        "model": {"preset": "small"},
        "options": {"size": 32, "transformer": 1},
        "train": {"steps": 4},
    },
    {
        "data": {**SCENES, "clips": 8, "clip_seconds": 1.0, "seconds": 0.5, "batch": 4},
        "options": {"size": 32},
        "probe": {"epochs": 1, "bootstrap": 20, "train_draws": 1, "test_draws": 1},
    },
    product=256,
    backend="aot_eager",
    generator="mono_to_3d-pointing",
    audio_seconds=2.0,
    warm_up=1,
    small_steps=2,
    tests=["--collect-only", "tests/avssl/train/test_device_batches.py"],
)


class OutOfTimeError(Exception):
    """The time of a part is over."""


class EnoughError(Exception):
    """Steps have been timed for long enough."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Context that raises `OutOfTimeError` after some seconds, and again where Python ignores it, as in a callback."""

    def end(*_: object) -> None:
        raise OutOfTimeError(f"longer than its {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Watched:
    """Batches of a run, with the time of each, until some seconds are over.

    Args:
        batches: source.
        seconds: after the warm-up.
        warm_up: batches before them.
    """

    def __init__(self, batches: Batches, seconds: float, warm_up: int) -> None:
        self.batches, self.seconds, self.warm_up = batches, seconds, warm_up
        self.asked: list[float] = []
        self.given: list[float] = []

    @property
    def workers(self) -> int:
        """Loader processes."""
        return self.batches.workers

    def between(self, start: int, stop: int) -> Iterator[dict[str, Any]]:
        """The batches, until the time is over."""
        source = self.batches.between(start, stop)
        try:
            while not self._over():
                self.asked.append(time.perf_counter())
                batch = next(source, None)
                if batch is None:
                    return
                self.given.append(time.perf_counter())
                yield batch
            raise EnoughError
        finally:
            source.close()

    def _over(self) -> bool:
        return len(self.given) > self.warm_up and time.perf_counter() - self.asked[self.warm_up] > self.seconds

    def rates(self, batch: int) -> Facts:
        """Samples per second and share of waiting after the warm-up, and seconds of the first step.

        Steps are asynchronous, but no process is more than some steps ahead of its device: see `PendingLosses`.
        """
        first, last = self.warm_up, len(self.asked) - 1
        elapsed = self.asked[last] - self.asked[first]
        waited = sum(given - asked for asked, given in zip(self.asked[first:last], self.given[first:last], strict=True))
        rate = (last - first) * batch / elapsed
        opening = self.asked[1] - self.given[0]
        return {"samples_per_second": rate, "wait_share": waited / elapsed, "first_step_seconds": opening}


def machine(plan: Plan) -> Facts:
    """Names and sizes, and the rate of a large product in bfloat16, TFLOP/s, of which shares are given."""
    device = single_process("bf16-mixed").device
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or platform.machine()
    size = plan.product
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    times = []
    for _ in range(8):
        start = time.perf_counter()
        float((a @ a)[0, 0])
        times.append(time.perf_counter() - start)
    return {"device": name, "cores": usable_cores(), "torch": torch.__version__, "tflops": 2e-12 * size**3 / min(times)}


def config_of(recipe: str, layer: Facts, *others: Facts) -> RunConfig:
    """Config of a run by a recipe, with loaders on all cores."""
    workers = max(0, usable_cores() - 1)
    return resolve(RunConfig, recipe, {"data": {"workers": workers}}, layer, *others)


def render(plan: Plan) -> Facts:
    """Render the scenes of both runs."""
    found: Facts = {}
    for name, config in (("full", config_of("avsa/full", plan.full)), ("small", config_of("avsa/small", plan.small))):
        start = time.perf_counter()
        _, manifest = data_source.clips(config.data, config.features.sample_rate, progress=False)
        found[f"{name}_scenes_per_second"] = len(manifest) / (time.perf_counter() - start)
    return found


def step_rate(config: RunConfig, seconds: float, warm_up: int, flops: bool = True) -> Facts:
    """Rates of training steps with the loader of a run: samples per second, waiting, memory, operations."""
    resolved = resolve_run(config)
    task = build_task(resolved)
    _, manifest = data_source.clips(config.data, config.features.sample_rate, progress=False)
    clips = data_source.training(manifest)
    batches = Batches(clips, task.views, config.data, task.encoders.sample_rate, config.train.seed)
    watched = Watched(batches, seconds, warm_up)
    fabric = single_process(config.train.precision)
    gpu = fabric.device.type == "cuda"
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    with suppress(EnoughError):
        fit(task, watched, config.train, config.optim, None, fabric=fabric, progress=False)
    found = watched.rates(config.data.batch)
    found["memory_gb"] = torch.cuda.max_memory_allocated() / 1e9 if gpu else peak_mb() / 1e3
    if flops:
        batch = {name: each[:2] for name, each in next(iter(batches.between(0, 1))).items()}
        found["gflop_per_sample"] = operations(task, fabric.to_device(batch)) / 2e9
    return found


def operations(task: Task, batch: dict[str, Any]) -> int:
    """Floating-point operations of products and convolutions, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        task(batch)["loss"].backward()
    return int(counter.get_total_flops())


def full_steps(compile_mode: str) -> Callable[[Plan, float], Facts]:
    """Part that measures avsa/full by a mode of `train.compile`."""

    def measure(plan: Plan, seconds: float) -> Facts:
        config = config_of("avsa/full", plan.full, {"train": {"compile": compile_mode}})
        return step_rate(config, min(20.0, seconds / 3), plan.warm_up, flops=compile_mode == "none")

    return measure


def train_small(plan: Plan, seconds: float) -> Facts:
    """Train avsa/small with a large batch for as long as remains, and measure its probe; keeps the loss curve."""
    probing = seconds / 3
    config = config_of("avsa/small", plan.small)
    batch, steps = config.data.batch, plan.small_steps
    if not steps:
        rate = step_rate(config, 8.0, plan.warm_up, flops=False)["samples_per_second"] / batch
        steps = max(20, round(rate * (seconds - probing - 20)))
    lr = config.optim.lr * (batch / LR_BATCH) ** 0.5
    run = replace(config, train=replace(config.train, steps=steps), optim=replace(config.optim, lr=lr))
    metrics = pretrain(run, Path("run"), progress=False)
    wanted = ("steps", "loss", "clips_per_second", "wait_share", "avsa_bin", "avc_bin", "test_avsa_acc", "test_avc_acc")
    return {"batch": batch, **{name: metrics[name] for name in wanted if name in metrics}}


def generate(plan: Plan, seconds: float) -> Facts:
    """Seconds of audio that a generator with random weights makes in a second, its frames given."""
    options = resolve(SpatializeOptions, f"spatialize/{plan.generator}", where=plan.generator)
    fabric = single_process("bf16-mixed")
    generator = build_generator(options, None).eval().to(fabric.device)
    length = plan.audio_seconds
    audio = 0.1 * torch.randn(generator.input_channels, round(length * generator.sample_rate))
    image = torch.randint(0, 256, (512, 1024, 3), dtype=torch.uint8).numpy()

    def make(part: torch.Tensor, duration: float) -> float:
        def frames(times: Any, size: tuple[int, int]) -> Iterator[Any]:
            return (image[: size[0], : size[1]] for _ in times)

        features = FrameFeatures(generator, RecordedFrames(generator, frames, duration))
        schedule = WindowSchedule(options.hop, options.windows)
        spatializer = StreamingSpatializer(generator, features, generator.sample_rate, schedule, fabric)
        start = time.perf_counter()
        blocks = part.split(generator.sample_rate, 1)  # type: ignore[no-untyped-call]
        torch.cat([each.cpu() for each in generate_stream(spatializer, blocks)], 1)
        return time.perf_counter() - start

    make(audio[:, : 2 * generator.sample_rate], min(2.0, length))
    return {"recipe": plan.generator, "real_time_factor": length / make(audio, length)}


def run_tests(plan: Plan, seconds: float) -> Facts:
    """Last line of `pytest -m gpu`."""
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-n", "0", "-q", "-p", "no:cacheprovider", *plan.tests]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=seconds)
    lines = [each for each in done.stdout.splitlines() if each.strip()]
    return {"exit_code": done.returncode, "result": lines[-1] if lines else first_line(RuntimeError(done.stderr))}


PARTS: dict[str, Callable[[Plan, float], Facts]] = {
    "machine": lambda plan, _: machine(plan),
    "render": lambda plan, _: render(plan),
    "full, eager": full_steps("none"),
    "full, compiled": full_steps("default"),
    "full, CUDA graphs": full_steps("reduce-overhead"),
    "generator": generate,
    "small": train_small,
    "tests": run_tests,
}


def attempt(part: Callable[[Plan, float], Facts], plan: Plan, seconds: float) -> Facts:
    """Result of a part with its duration, or the reason why there is none."""
    start = time.perf_counter()
    try:
        with time_limit(seconds):
            found = part(plan, seconds)
    except Exception as error:
        found = {"failed": f"{type(error).__name__}: {first_line(error)}"}
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return {**found, "seconds": time.perf_counter() - start}


def with_shares(found: dict[str, Facts]) -> dict[str, Facts]:
    """Adds the share of the peak, that of the large product, to the rates of steps."""
    peak = found.get("machine", {}).get("tflops")
    work = found.get("full, eager", {}).get("gflop_per_sample")
    for facts in found.values():
        if peak and work and "samples_per_second" in facts:
            facts["share_of_peak"] = facts["samples_per_second"] * work / (1000 * peak)
    return found


def table(found: dict[str, Facts]) -> str:
    """A row for each number."""
    rows = Table("part", "number", "value")
    for part, facts in found.items():
        for name, value in facts.items():
            rows.add_row(part, name, _text(value))
    return table_text(rows)


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def window(plan: Plan, out: Path, only: list[str]) -> dict[str, Facts]:
    """Run the parts in a scratch folder; the JSON file grows with each."""
    out.mkdir(parents=True, exist_ok=True)
    compiled_towers.BACKEND = plan.backend
    target, found = out.resolve() / "gpu-window.json", {}
    with tempfile.TemporaryDirectory(prefix="gpu-window-") as scratch:
        os.environ["AVSSL_CACHE"] = os.environ.get("AVSSL_CACHE") or f"{scratch}/cache"
        os.chdir(scratch)
        for name in only or PARTS:
            found[name] = attempt(PARTS[name], plan, plan.seconds.get(name, 60.0))
            target.write_text(json.dumps(with_shares(found), indent=1))
            print(f"{name}: {', '.join(f'{key} {_text(value)}' for key, value in found[name].items())}", flush=True)
        for figure in Path("run/figures").glob("loss.png"):
            shutil.copy(figure, target.parent)
        os.chdir(target.parent)
    return found


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("gpu-window"), help="folder of gpu-window.json and loss.png")
    parser.add_argument("--rehearse", action="store_true", help="a few steps, on a CPU too")
    parser.add_argument("--only", action="append", default=[], choices=list(PARTS), help="part to run; default: all")
    given = parser.parse_args(arguments)
    found = window(REHEARSAL if given.rehearse else GPU, given.out, given.only)
    print(table(found))


if __name__ == "__main__":
    main()
