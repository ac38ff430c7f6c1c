"""Note in the folder of a run of a table: its settings, the seconds that it took, whether it is complete."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from avssl.errors import InputError
from avssl.io.atomic import write_text
from avssl.io.folder_lock import NAME as LOCK
from avssl.io.folder_lock import folder_lock
from avssl.regular_files import read_json
from avssl.runs.reader import flat
from avssl.runs.run_folder import check_same

NOTE = "reproduced.json"


@dataclass(frozen=True)
class RunNote:
    """What is known of a run besides its own files."""

    settings: dict[str, Any] = field(default_factory=dict)
    """Settings that it was begun with."""
    seconds: float = 0.0
    """Time of all its sessions that ended by themselves or by a signal, s."""
    complete: bool = False
    """Whether it ended by itself."""

    def check(self, folder: Path, settings: Mapping[str, Any], may_change: tuple[str, ...] = ()) -> None:
        """Check that a run continues with the settings that it was begun with; keys that it lacks are not compared.

        Raises:
            InputError: a setting differs; the message lists all that do.
        """
        now, before = flat(json.loads(json.dumps(settings))), flat(self.settings)
        both = now.keys() & before.keys()  # a version before this one lacked some, and this one lacks some of it
        now, before = ({key: each[key] for key in both} for each in (now, before))
        check_same(folder, before, now, may_change)


def read_note(folder: Path) -> RunNote | None:
    """The note of a folder; None where there is none.

    Raises:
        InputError: the file holds something else.
    """
    path = folder / NOTE
    if not path.exists():
        return None
    found = read_json(path, "the note of a run of a table in JSON")
    try:
        return RunNote(dict(found["settings"]), float(found["seconds"]), bool(found["complete"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: expected the note of a run of a table: {error!r}; remove its folder") from error


def seconds_taken(folder: Path) -> float:
    """Time that the sessions of a run took so far, s."""
    note = read_note(folder)
    return note.seconds if note else 0.0


@contextmanager
def noted(folder: Path, settings: Mapping[str, Any]) -> Iterator[None]:
    """Hold a folder while its run is made; add the time to its note, also of a run that is stopped.

    A folder in which the run wrote nothing is removed again.

    Args:
        folder: of the run.
        settings: all that its results depend on, as JSON keeps it.
    """
    with folder_lock(folder):
        note, start = replace(read_note(folder) or RunNote(), settings=dict(settings)), time.monotonic()
        _write(folder, note)
        try:
            yield
        except BaseException:
            _end(folder, replace(note, seconds=note.seconds + time.monotonic() - start))
            raise
        _write(folder, replace(note, seconds=note.seconds + time.monotonic() - start, complete=True))


def _end(folder: Path, note: RunNote) -> None:
    if {each.name for each in folder.iterdir()} <= {NOTE, LOCK}:
        (folder / NOTE).unlink(missing_ok=True)
    else:
        _write(folder, note)


def _write(folder: Path, note: RunNote) -> None:
    write_text(folder / NOTE, json.dumps(asdict(note), indent=1) + "\n")
