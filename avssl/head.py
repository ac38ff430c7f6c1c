"""The contract of a downstream head."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from avssl.config import NoOptions
from avssl.errors import InputError
from avssl.models.encoders import Encoders


class Head(ABC):
    """A downstream head: what pretrained encoders are good for.

    Args:
        encoders: pretrained towers.
        options: an instance of `Options`.
    """

    Options: ClassVar[type] = NoOptions
    """Frozen dataclass; a recipe fills it."""
    needs_encoders: ClassVar[bool] = True
    """False: it can be made without encoders, and gets None."""

    def __init__(self, encoders: Encoders, options: Any) -> None:
        self.encoders = encoders
        self.options = options

    @classmethod
    def load(cls, folder: Path, settings: Any) -> Head:
        """A head that was fitted in `folder`; `settings` change options that matter to `apply` and `measure`.

        Raises:
            InputError: heads of this kind are not kept.
        """
        raise InputError(f"{folder}: {cls.__name__} keeps nothing that could be loaded; it only evaluates")

    @abstractmethod
    def fit(self, folder: Path) -> dict[str, float]:
        """Train and evaluate; leave weights and plots in `folder`; return flat name -> number."""

    def measure(self, folder: Path) -> dict[str, float]:
        """Evaluate a loaded head on the data that its options name; leave plots in `folder`; return name -> number.

        Raises:
            InputError: heads of this kind are evaluated only where they are fitted.
        """
        raise InputError(f"{type(self).__name__} is measured when it is fitted, not on other data; results: {folder}")

    def apply(self, source: Path, target: Path) -> None:
        """Make `target` from `source`; only heads that make something.

        Raises:
            InputError: this head makes nothing.
        """
        raise InputError(f"{type(self).__name__} makes nothing from {source}; it only evaluates")
