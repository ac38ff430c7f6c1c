"""Example of a third-party directory layout: one folder for each recording session."""

from dataclasses import dataclass
from pathlib import Path

from avssl.datasets.dataset import Dataset, Recording
from avssl.datasets.layout import Layout
from avssl.datasets.recording_keys import safe_key, unique_keys
from avssl.errors import InputError

VIDEO, AUDIO = "camera.mp4", "microphone.wav"


@dataclass(frozen=True)
class SessionOptions:
    """Options of the layout."""

    test_every: int = 4
    """Every n-th session, ordered by name, is in the split `test`."""


class Sessions(Layout):
    """Recording sessions: one folder each, with camera.mp4 (360 degrees) and microphone.wav (ambisonics)."""

    projection = "equirect"
    Options = SessionOptions
    options: SessionOptions

    def read(self, root: Path, exclude: Path | None = None) -> Dataset:
        """Read all sessions below a folder; a session without audio is listed as missing.

        Args:
            root: folder of the sessions.
            exclude: folder that is not searched.

        Raises:
            InputError: no session.
        """
        folders = [path.parent for path in sorted(root.rglob(VIDEO)) if exclude is None or exclude not in path.parents]
        whole = [folder for folder in folders if (folder / AUDIO).is_file()]
        if not whole:
            raise InputError(f"{root}: expected folders with {VIDEO} and {AUDIO}, found none")
        recordings = [self._recording(number, folder.relative_to(root)) for number, folder in enumerate(whole, 1)]
        missing = [str(folder.relative_to(root) / AUDIO) for folder in folders if folder not in whole]
        return Dataset("sessions", root, unique_keys(recordings), missing={"audio": missing})

    def _recording(self, number: int, folder: Path) -> Recording:
        return Recording(
            key=safe_key(folder),
            video=str(folder / VIDEO),
            audio=str(folder / AUDIO),
            split="train" if number % self.options.test_every else "test",
            projection=self.projection,
            channel_layout="ambix",
        )
