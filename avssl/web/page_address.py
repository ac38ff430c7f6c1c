"""Port and token of a page that is served again: an open tab goes on after its server was killed and started again."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import NamedTuple

from avssl.errors import InputError
from avssl.io.atomic import replacing
from avssl.regular_files import is_regular, read_json
from avssl.web.server import listen

TOKEN_BYTES = 24


class PageAddress(NamedTuple):
    """Where a page is served."""

    port: int
    """0: any that is free."""
    token: str


def page_address(path: Path, port: int) -> PageAddress:
    """The token of the file, and the port of the file where none is given; a new token where the file has none.

    Args:
        path: written by `keep_address`; one that cannot be read counts as none.
        port: given by the user; 0: none.
    """
    try:
        note = read_json(path, "an address") if is_regular(path) else {}
        stored, token = int(note["port"]), str(note["token"])
    except (LookupError, TypeError, ValueError, OSError):
        return PageAddress(port, secrets.token_urlsafe(TOKEN_BYTES))
    usable = token.isascii() and token.replace("-", "").replace("_", "").isalnum() and len(token) >= TOKEN_BYTES
    return PageAddress(port or stored, token if usable else secrets.token_urlsafe(TOKEN_BYTES))


def keep_address(path: Path, address: PageAddress) -> None:
    """Write the file, readable by its owner alone.

    Raises:
        OutputError: it cannot be written.
    """
    with replacing(path, 0o600) as part:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(address._asdict(), file)


def chosen_address(path: Path, port: int) -> PageAddress:
    """The address of a page: that of the file as far as it can be had, or a new one, which the file then holds.

    Args:
        path: of the file.
        port: given by the user; 0: the last one, or any that is free.

    Raises:
        InputError: a given port is in use, or is none.
        OutputError: the file cannot be written.
    """
    stored = page_address(path, port)
    address = PageAddress(_free_port(stored.port, given=bool(port)), stored.token)
    keep_address(path, address)
    return address


def _free_port(port: int, given: bool) -> int:
    """A port to listen on: the wanted one, or any that is free where it is in use and was not given by the user.

    Raises:
        InputError: a given port is in use, or is none.
    """
    try:
        with listen(port) as bound:
            return int(bound.getsockname()[1])
    except InputError:
        if given:
            raise
    with listen(0) as bound:
        return int(bound.getsockname()[1])
