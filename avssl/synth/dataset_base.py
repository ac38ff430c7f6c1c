"""Base class of synthetic datasets: options, constraints on them, and rendering into a folder.

Synthetic datasets are plug-ins of the entry-point group `avssl.worlds`; ours are rendered by `avssl synth NAME OUT`.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar

from avssl import plugins
from avssl.config import NoOptions
from avssl.errors import InputError


class SyntheticDataset(ABC):
    """A data set that is rendered, with known ground truth; the same options always give the same files.

    The first line of a subclass's docstring is what `avssl list` shows. Parameters are written once: as fields of
    `Options`, with a docstring under each. The command line, `rendering_function` and the documentation follow them.

    Args:
        options: an instance of `Options`.
    """

    name: ClassVar[str]
    """Name in the settings file of the output folder and in manifests."""
    version: ClassVar[int]
    """Raised whenever the same options give other files."""
    Options: ClassVar[type] = NoOptions
    """Frozen dataclass."""
    failures: tuple[str, ...] = ()
    """A line for each input file that cannot be read and is left out; known after `render`."""

    def __init__(self, options: Any) -> None:
        self.options = options

    @abstractmethod
    def render(self, out: Path, *, workers: int | None = None, progress: bool = True) -> Path:
        """Render into a folder; files of an earlier, interrupted run with the same options are kept.

        Args:
            out: folder to write to; made if it does not exist.
            workers: processes; 1 renders in this one, None takes one per core.
            progress: show a progress bar on stderr.

        Returns:
            Path of the manifest, or the folder of a data set in the layout of another.

        Raises:
            InputError: an option out of its range, or `out` contains something else.
            OSError: `out` cannot be written.
        """

    def constraints(self) -> Iterator[tuple[bool, str]]:
        """Constraints on the options: whether one is met, and its text."""
        yield from ()


def load_synthetic_dataset(name: str) -> type[SyntheticDataset]:
    """Class of an installed synthetic dataset.

    Raises:
        InputError: none, or more than one distribution's, has this name; its import fails; or it is no
            `SyntheticDataset`.
    """
    return plugins.load_subclass(plugins.SYNTHETIC_DATASETS, name, SyntheticDataset)  # type: ignore[type-abstract]


def rendering_function(kind: type[SyntheticDataset]) -> Callable[..., Path]:
    """Function that renders a synthetic dataset; its parameters are the folder and the fields of `kind.Options`.

    Args:
        kind: class of the data set.

    Returns:
        `render(out, *options, workers=None, progress=True)`; options by position or by name, see
        `SyntheticDataset.render`.
    """
    names = [each.name for each in fields(kind.Options)]

    def render(out: Path, *values: Any, workers: int | None = None, progress: bool = True, **named: Any) -> Path:
        options = kind.Options(**dict(zip(names, values, strict=False)), **named)
        return kind(options).render(out, workers=workers, progress=progress)

    summary = inspect.cleandoc(kind.__doc__ or kind.__name__).splitlines()[0]
    where = f"{kind.Options.__module__}.{kind.Options.__qualname__}"
    render.__name__ = render.__qualname__ = kind.name.replace("-", "_")
    render.__doc__ = f"{summary}\n\nOptions are the fields of `{where}`, workers and progress as in `render`."
    render.__signature__ = _signature(kind.Options)  # type: ignore[attr-defined]
    return render


def _signature(options: type) -> inspect.Signature:
    own = inspect.signature(SyntheticDataset.render).parameters
    return inspect.Signature(
        [own["out"], *inspect.signature(options).parameters.values(), own["workers"], own["progress"]]
    )


def even_sides(width: int, height: int) -> Iterator[tuple[bool, str]]:
    """Constraints on frames: sides that H.264 can take, of at least 32 pixels."""
    for name, size in (("width", width), ("height", height)):
        yield size >= 32 and size % 2 == 0, f"{name} is an even number from 32 up, not {size}"


def require(name: str, constraints: Iterable[tuple[bool, str]]) -> None:
    """See that constraints are met.

    Args:
        name: of the data set, for the error.
        constraints: whether one is met, and its text.

    Raises:
        InputError: one is not.
    """
    for met, constraint in constraints:
        if not met:
            raise InputError(f"{name}: {constraint}")
