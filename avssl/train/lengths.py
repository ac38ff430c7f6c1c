"""How long files are, measured once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from avssl.data.media import probe
from avssl.data.media.whole import Pictures, Sound
from avssl.data.processes import Batch, in_order
from avssl.errors import MissingFileError
from avssl.train.counter import Counter
from avssl.train.names import Names
from avssl.train.world import cache


def lengths(
    paths: Sequence[Path], tower: str, *, place: Path | None = None, workers: int = 2, title: str = ""
) -> list[float]:
    """Seconds of the sound (tower audio) or of the pictures (tower video) of files, each measured once.

    Args:
        paths: media; of one that is gone the last known length counts.
        tower: audio or video.
        place: where lengths are kept; None: `embeddings` in the cache.
        workers: loader processes.
        title: of the bar.

    Raises:
        InputError: a file is broken, or has no such stream.
        FileNotFoundError: a file is gone, and nothing is known of it.
    """
    file = (place or cache() / "embeddings") / "lengths.jsonl"
    known = _known(file)
    given = Names(known)
    names = {path: given.of(path, tower) for path in paths}
    wanted = {path: name for path, name in names.items() if name not in known}
    if wanted:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as log, Counter(title or "lengths of files", len(wanted)) as counter:
            found = in_order(partial(_measured, tower=tower), list(wanted), workers)
            for name, seconds in zip(wanted.values(), found, strict=True):
                known[name] = float(seconds["seconds"])
                log.write(json.dumps([name, known[name]]) + "\n")
                counter.advance(1)
    return [known[names[path]] for path in paths]


def length(path: Path, tower: str) -> float:
    """Seconds of the sound (tower audio) or of the pictures (tower video) of a file.

    Raises:
        InputError: it is broken, or has no such stream.
        FileNotFoundError: it is gone.
    """
    if not path.is_file():
        raise MissingFileError(f"{path}: expected {tower}, there is no such file")
    if tower == "video":
        return Pictures(path).length()
    # Headers of what was streamed tell no length: then by all of its packets.
    return Sound(path).seconds or probe(path).seconds


def _known(file: Path) -> dict[str, float]:
    known: dict[str, float] = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else []:
        try:
            name, seconds = json.loads(line)
            known[str(name)] = float(seconds)
        except (ValueError, TypeError):
            continue  # cut short by a crash: measured again
    return known


def _measured(path: Path, tower: str) -> Batch:
    return {"seconds": torch.tensor(length(path, tower), dtype=torch.float64)}
