"""Folders, file names and split lists of UCF101 and HMDB51."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avssl.io.atomic import write_text

SPLITS = (1, 2, 3)


@dataclass(frozen=True)
class Name:
    """One clip, as the lists tell it from others."""

    motion: str
    """In words, small."""
    group: int
    """From 1."""
    number: int
    """In its group, from 1."""


class Tree(ABC):
    """How a data set of actions lies on the disk."""

    tested: ClassVar[float]
    """Share of the groups that each split tests."""
    marks: ClassVar[tuple[str, ...]]
    """Folders by which the data set is known."""

    @abstractmethod
    def label(self, motion: str) -> str:
        """The class of a motion."""

    @abstractmethod
    def path(self, name: Name) -> str:
        """Path of a clip, relative to the data set."""

    @abstractmethod
    def write_lists(self, out: Path, names: Sequence[Name]) -> None:
        """Write who is trained on and who is tested; no group is both, and none is tested by two splits."""

    def is_tested(self, group: int, groups: int, split: int) -> bool:
        """Whether a split tests a group."""
        each = min(max(1, round(self.tested * groups)), groups // len(SPLITS))
        return (group - 1) // each == split - 1


class Ucf101(Tree):
    """`UCF-101/Class/v_Class_g01_c01.avi`, and lists of all classes."""

    tested: ClassVar[float] = 7 / 25
    marks: ClassVar[tuple[str, ...]] = ("UCF-101", "ucfTrainTestlist")

    def label(self, motion: str) -> str:
        """`SpinSlow`."""
        return motion.title().replace(" ", "")

    def path(self, name: Name) -> str:
        """See `Tree.path`."""
        return f"UCF-101/{self._listed(name)}"

    def write_lists(self, out: Path, names: Sequence[Name]) -> None:
        """Class index, and for each split a list of the trained with their classes and one of the tested without."""
        folder = out / "ucfTrainTestlist"
        folder.mkdir(exist_ok=True)
        labels = sorted({self.label(name.motion) for name in names})
        groups = max(name.group for name in names)
        _write(folder / "classInd.txt", [f"{number} {label}" for number, label in enumerate(labels, 1)])
        for split in SPLITS:
            tested = [self._listed(name) for name in names if self.is_tested(name.group, groups, split)]
            trained = [
                f"{self._listed(name)} {labels.index(self.label(name.motion)) + 1}"
                for name in names
                if not self.is_tested(name.group, groups, split)
            ]
            _write(folder / f"testlist{split:02d}.txt", tested)
            _write(folder / f"trainlist{split:02d}.txt", trained)

    def _listed(self, name: Name) -> str:
        label = self.label(name.motion)
        return f"{label}/v_{label}_g{name.group:02d}_c{name.number:02d}.avi"


class Hmdb51(Tree):
    """`class/Film_class_..._0.avi`, and for each split a list of each class."""

    tested: ClassVar[float] = 0.3
    marks: ClassVar[tuple[str, ...]] = ("testTrainMulti_7030_splits",)

    def label(self, motion: str) -> str:
        """`spin_slow`."""
        return motion.replace(" ", "_")

    def path(self, name: Name) -> str:
        """See `Tree.path`."""
        return f"{self.label(name.motion)}/{self._file(name)}"

    def write_lists(self, out: Path, names: Sequence[Name]) -> None:
        """With 1 for the trained, 2 for the tested, 0 for neither: the last clip of the last group, unless tested."""
        folder = out / self.marks[0]
        folder.mkdir(exist_ok=True)
        groups, last = max(name.group for name in names), names[-1]
        for motion in {name.motion: None for name in names}:
            mine = [name for name in names if name.motion == motion]
            for split in SPLITS:
                unused = (last.group, last.number)
                codes = [
                    2 if self.is_tested(name.group, groups, split) else int((name.group, name.number) != unused)
                    for name in mine
                ]
                lines = [f"{self._file(name)} {code} " for name, code in zip(mine, codes, strict=True)]
                _write(folder / f"{self.label(motion)}_test_split{split}.txt", lines)

    def _file(self, name: Name) -> str:
        # Official names hold such characters, too; readers must bear them.
        film = f"Film_#{name.group:02d}_[made_up]_&_co_(avssl)"
        return f"{film}_{self.label(name.motion)}_f_cm_np1_fr_med_{name.number - 1}.avi"


TREES: dict[str, Tree] = {"ucf101": Ucf101(), "hmdb51": Hmdb51()}


def _write(path: Path, lines: Sequence[str]) -> None:
    write_text(path, "".join(f"{line}\n" for line in lines))
