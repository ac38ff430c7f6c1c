"""Folders of weights by path, by name of an installed distribution, or from the Hugging Face Hub."""

from __future__ import annotations

import re
from pathlib import Path

from avssl import plugins
from avssl.errors import InputError
from avssl.models import hub

NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
"""Names of installed weights; anything else is a path."""


def local_folder(source: Path | str) -> Path:
    """The folder of weights; where a path exists, it goes before a name.

    Args:
        source: a path, a name of the entry-point group `avssl.encoders`, or `hf://USER/NAME[@REVISION]`.

    Returns:
        A folder; a path is returned as it is, whether it exists or not.

    Raises:
        InputError: neither a path that exists nor a name that is installed, a name of two
            distributions, or a failed download.
    """
    repository = hub.repository_of(source)
    if repository is not None:
        return hub.fetch(repository)
    return Path(source) if is_folder(source) else installed_folder(str(source))


def local_head(source: Path | str) -> Path:
    """The folder of a fitted head; where a path exists, it goes before a name.

    Args:
        source: a path, or a name of the entry-point group `avssl.heads`.

    Raises:
        InputError: neither a path that exists nor a name that is installed, or a name of two distributions.
    """
    return Path(source) if is_folder(source) else installed_folder(str(source), plugins.FITTED_HEADS)


def is_folder(source: Path | str) -> bool:
    """Whether a source of weights is a path: one that exists, or text that is neither a name nor an address."""
    named = NAME.fullmatch(str(source)) or hub.repository_of(source) is not None
    return not named or Path(source).exists()


def installed_folder(name: str, group: str = plugins.ENCODERS) -> Path:
    """Folder of installed weights: that of the package which the entry point names.

    Args:
        name: of the weights.
        group: `plugins.ENCODERS` or `plugins.FITTED_HEADS`.

    Raises:
        InputError: no such name, a name of two distributions, or a package that is not there.
    """
    if name not in plugins.names(group):
        raise InputError(f"{name}: expected a folder, or {plugins.unknown_name(group, name)}")
    entry = plugins.find_entry(group, name)
    source = plugins.source_file(entry.module)
    if source is None:
        raise InputError(f"{plugins.KINDS[group]} {name!r}: expected a package {entry.module}, got none")
    return source.parent
