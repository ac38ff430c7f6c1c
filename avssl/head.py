"""Base class of downstream heads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from avssl.config import NoOptions
from avssl.errors import InputError
from avssl.models.encoders import Encoders


class Head(ABC):
    """Downstream head: trains and evaluates on top of pretrained encoders.

    Args:
        encoders: pretrained encoders.
        options: an instance of `Options`.
    """

    Options: ClassVar[type] = NoOptions
    """Frozen dataclass, filled from a recipe."""
    needs_encoders: ClassVar[bool] = True
    """False: encoders may be None."""
    summary: str = ""
    """Text about the results of `fit` or `measure`, such as a table, printed before the metrics; empty: none."""

    def __init__(self, encoders: Encoders, options: Any) -> None:
        self.encoders = encoders
        self.options = options

    @classmethod
    def takes_encoders(cls, options: Any) -> bool:
        """Whether a head with these options needs encoders, so that those of avssl are used where none are named.

        Args:
            options: an instance of `Options`.
        """
        return cls.needs_encoders

    @classmethod
    def default_head(cls, source: Path, settings: Any) -> str:
        """Name of the fitted head of avssl that `apply` takes for a file where none is named; empty: there is none.

        Args:
            source: file to apply the head to.
            settings: that were given, a mapping.
        """
        return ""

    @classmethod
    def load(cls, folder: Path, settings: Any) -> Head:
        """Load a head that was fitted in `folder`; `settings` override options of `apply` and `measure`.

        Raises:
            InputError: heads of this class are not saved.
        """
        raise InputError(f"{folder}: expected a head that is saved, got {cls.__name__}, which only evaluates")

    @abstractmethod
    def fit(self, folder: Path) -> dict[str, float]:
        """Train and evaluate; write weights and plots to `folder`; return metrics, name -> number."""

    def measure(self, folder: Path) -> dict[str, float]:
        """Evaluate a loaded head on the data of its options; write plots to `folder`; return metrics, name -> number.

        Raises:
            InputError: heads of this class are only evaluated by `fit`.
        """
        raise InputError(f"{folder}: expected a head that can be evaluated on other data, got {type(self).__name__}")

    def apply(self, source: Path, target: Path) -> None:
        """Generate `target` from `source`, for generative heads.

        Raises:
            InputError: this head does not generate.
        """
        raise InputError(f"{source}: expected a generative head, got {type(self).__name__}, which only evaluates")


def is_saved(kind: type[Head]) -> bool:
    """Whether fitted heads of a class are saved, so that `load` finds them again."""
    return getattr(kind.load, "__func__", kind.load) is not Head.load.__func__  # type: ignore[attr-defined]
