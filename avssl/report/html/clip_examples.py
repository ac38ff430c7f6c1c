"""Worst and best clips of an evaluation, short and encoded for browsers, generated sound beside the recorded one."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from avssl import plugins
from avssl.errors import InputError, one_line
from avssl.head import Head
from avssl.io.progress import track
from avssl.media import iterate_frames, read_resampled, write_audio, write_spatial_mp4, write_video
from avssl.media.video_reader import VideoReader
from avssl.report.html.elements import data_url, note, text
from avssl.runs.evaluated_clips import EvaluatedClip, EvaluatedClips
from avssl.spatial.binaural import ambisonic_filters, spherical_head, to_binaural

SECONDS = 4.0
"""Length of an example at most."""
ROWS, FRAME_RATE = 180, 12.0
RATE = 32000
"""Hz of the sound."""
MAX_BYTES = 24_000_000
"""Of all examples of a page."""
GENERATOR = "generator.safetensors"
"""In the folder of a fitted generator, whose sound is generated for the page."""


@dataclass
class Budget:
    """Bytes that are left for examples of the page."""

    left: int = MAX_BYTES
    spent: list[int] = field(default_factory=list)

    def take(self, html: str) -> bool:
        """Whether a part fits; then it counts."""
        if len(html) > self.left:
            return False
        self.left -= len(html)
        self.spent.append(len(html))
        return True


def clip_examples(found: EvaluatedClips, count: int, budget: Budget, run: Path) -> str:
    """The worst and the best clips.

    Args:
        found: clips of an evaluation.
        count: of each; 0: none.
        budget: of the page.
        run: folder of the run; that of a fitted generator generates sound.
    """
    if not count:
        return note("No examples: --examples 0.")
    chosen = choose(found.ranked(), count)
    if not chosen:
        return note("No examples: no clip has a score.")
    head, reason = _generator(run)
    parts, failed = [], dict[str, None]()
    for title, clip in track(chosen, f"examples of {run.name}", "clips", transient=True):
        try:
            html = _example(title, clip, found, head)
        except (InputError, OSError) as error:
            failed[one_line(error)] = None
            continue
        if not budget.take(html):
            failed[f"the examples of a page take {MAX_BYTES // 1_000_000} MB at most; --examples gives fewer"] = None
            break
        parts.append(html)
    lost = "".join(note(f"Left out: {each}") for each in [*failed, *([reason] if reason else [])])
    shown = f"{found.score_name.replace('_', ' ')}, {'larger' if found.better > 0 else 'smaller'} is better"
    return f"<h3>Worst and best clips: {text(shown)}</h3><div class=figures>{''.join(parts)}</div>{lost}"


def choose(ranked: Sequence[EvaluatedClip], count: int) -> list[tuple[str, EvaluatedClip]]:
    """Title and clip of the `count` worst and best, each clip once.

    Args:
        ranked: the best first.
        count: of each.
    """
    by_key: dict[str, EvaluatedClip] = {}
    for each in ranked:
        by_key.setdefault(each.key, each)
    best = list(by_key)
    worst = [key for key in best[::-1] if key not in best[:count]][:count]
    titled = [("worst", at, key) for at, key in enumerate(worst)] + [
        ("best", at, key) for at, key in enumerate(best[:count])
    ]
    return [(f"{title} {at + 1}", by_key[key]) for title, at, key in titled]


def _example(title: str, clip: EvaluatedClip, found: EvaluatedClips, head: Head | None) -> str:
    """A clip as a figure."""
    seconds = min(SECONDS, clip.seconds or SECONDS)
    said = [f"{title}: {clip.key}", f"{found.score_name} {clip.score:.3g}"]
    said += [f"{clip.label}, predicted {clip.predicted}"] * bool(clip.predicted) or [clip.label] * bool(clip.label)
    with tempfile.TemporaryDirectory() as scratch:
        players = "".join(_players(clip, found.root, seconds, Path(scratch), head))
    return f"<figure>{players}<figcaption>{text('; '.join(said))}</figcaption></figure>"


def _players(clip: EvaluatedClip, root: Path, seconds: float, folder: Path, head: Head | None) -> Iterator[str]:
    sound = read_resampled(root / clip.audio, clip.start, seconds, RATE) if clip.audio else None
    if clip.video:
        film = _film(root / clip.video, clip.start, seconds, folder, None if sound is None else to_two_ears(sound))
        yield f'<video controls preload="metadata" src="{data_url("video/mp4", film.read_bytes())}"></video>'
    elif sound is not None:
        yield _audio("recorded", to_two_ears(sound), folder)
    if head is not None and sound is not None and clip.video:
        yield _audio("generated", to_two_ears(_generated(head, clip, root, sound, folder)), folder)


def _film(path: Path, start: float, seconds: float, folder: Path, sound: Tensor | None) -> Path:
    """A small mp4 of a segment."""
    height, width = VideoReader(path).size
    scale = min(1.0, ROWS / height)
    size = max(2, 2 * round(height * scale / 2)), max(2, 2 * round(width * scale / 2))
    times = [start + index / FRAME_RATE for index in range(max(1, round(seconds * FRAME_RATE)))]
    write_video(folder / "silent.mp4", iterate_frames(path, times, size), FRAME_RATE, gop=round(FRAME_RATE), crf=26.0)
    if sound is None:
        return folder / "silent.mp4"
    write_spatial_mp4(folder / "film.mp4", folder / "silent.mp4", [sound], RATE, panoramic=False)
    return folder / "film.mp4"


def _audio(title: str, sound: Tensor, folder: Path) -> str:
    path = folder / "sound.mp3"
    write_audio(path, sound, RATE, subtype="MPEG_LAYER_III")
    source = data_url("audio/mpeg", path.read_bytes())
    return f'<label>{title} <audio controls preload="metadata" src="{source}"></audio></label>'


def to_two_ears(sound: Tensor) -> Tensor:
    """Sound `(C, samples)` for headphones, `(1 or 2, samples)` below full scale; ambisonics by the spherical head."""
    if len(sound) >= 4:
        sound = to_binaural(sound[:4], _filters())
    if not bool(sound.isfinite().all()):
        raise InputError("expected finite audio samples, got NaN or Inf")
    return sound / max(1.0, float(sound.abs().max()))


@lru_cache(maxsize=1)
def _filters() -> Tensor:
    return ambisonic_filters(spherical_head(RATE))


def _generator(run: Path) -> tuple[Head | None, str]:
    """The fitted generator of a run and why there is none; neither for runs of other heads."""
    if not (run / GENERATOR).is_file():
        return None, ""
    try:
        head: Head = plugins.load(plugins.HEADS, "spatialize").load(run, {"target": "", "workers": 0})
    except (InputError, OSError) as error:
        return None, f"generated sound: {one_line(error)}"
    return head, ""


def _generated(head: Head, clip: EvaluatedClip, root: Path, sound: Tensor, folder: Path) -> Tensor:
    """Sound that a generator makes of the mono sound and the frames of a clip."""
    video = VideoReader(root / clip.video)
    seconds, rate = sound.shape[1] / RATE, video.frame_rate or FRAME_RATE
    times = [clip.start + index / rate for index in range(max(1, math.ceil(seconds * rate)))]
    write_video(folder / "frames.mp4", iterate_frames(root / clip.video, times), rate, crf=16.0)
    mono = {2: sound.mean(0, keepdim=True), 9: sound[:4]}.get(len(sound), sound[:1])
    write_spatial_mp4(folder / "input.mp4", folder / "frames.mp4", [mono], RATE, panoramic=len(sound) >= 4)
    head.apply(folder / "input.mp4", folder / "output.wav")
    return torch.as_tensor(read_resampled(folder / "output.wav", 0.0, seconds, RATE))
