"""Encoder folders on the Hugging Face Hub: `hf://USER/NAME[@REVISION]`, by huggingface_hub, which timm needs too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from avssl.errors import InputError, excerpt

FILES = ("config.json", "model.safetensors", "README.md")
"""All that is read or written; no other file of a repository is downloaded."""
_ADDRESS = re.compile(r"hf:/{1,2}(?P<id>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
_PREFIX = re.compile(r"hf:/")


@dataclass(frozen=True)
class Repository:
    """A model repository of the hub."""

    id: str
    """USER/NAME."""
    revision: str | None
    """Branch, tag or commit; None: the default branch."""


def repository_of(source: Path | str) -> Repository | None:
    """The repository that an address names; None for anything else than an address.

    Raises:
        InputError: an address without user or name.

    Example:
        >>> repository_of("hf://user/name@v1"), repository_of("runs/first")
        (Repository(id='user/name', revision='v1'), None)
    """
    text = str(source)
    if not _PREFIX.match(text):
        return None
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise InputError(f"expected hf://USER/NAME or hf://USER/NAME@REVISION, got {text!r}")
    return Repository(found["id"], found["revision"])


def fetch(repository: Repository) -> Path:
    """Folder of a repository's files; they are downloaded unless the hub's own cache has them.

    Raises:
        InputError: a malformed name, no such repository or revision, or no connection.
    """
    with _hub_errors(repository.id):
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(repository.id, revision=repository.revision, allow_patterns=list(FILES)))


def push(folder: Path, repository: Repository, *, private: bool = False) -> str:
    """Upload an encoder folder; the repository is made if it is missing.

    Args:
        folder: with `FILES`; nothing else of it is uploaded.
        repository: its revision is the branch.
        private: make a private repository.

    Returns:
        Address of the commit.

    Raises:
        InputError: a malformed name, a refusal, for example without a token, or no connection.
    """
    with _hub_errors(repository.id):
        from huggingface_hub import HfApi

        api = HfApi()
        api.create_repo(repository.id, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository.id,
            folder_path=folder,
            allow_patterns=list(FILES),
            revision=repository.revision,
            commit_message="Encoders of avssl",
        )
    return str(commit.commit_url)


@contextmanager
def _hub_errors(name: str) -> Iterator[None]:
    """Errors of the hub in one line."""
    try:
        yield
    except (OSError, ValueError) as error:  # HTTP errors, connections and malformed names
        raise InputError(f"hf://{name}: {excerpt(error)}") from error
