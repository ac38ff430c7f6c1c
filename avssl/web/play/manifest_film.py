"""A clip of a manifest as a film, with the objects and crops that belong to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from avssl.datasets.manifest import Manifest, Row, read_manifest
from avssl.errors import InputError
from avssl.plugins import hint
from avssl.web.play.film import OWN, Film, open_film
from avssl.web.play.overlays import crop_outlines, detected_outlines, objects_file, sorted_overlays


def open_clip(data: Path, folder: Path, key: str | None, objects: str | None, run: Path | None, **options: Any) -> Film:
    """Open a clip of a manifest.

    Args:
        data: folder of the manifest.
        folder: temporary.
        key: of the clip; None: the first one.
        objects: detector whose objects are shown, or their file; None: none.
        run: run folder whose crops are shown; None: none.
        options: `tracks`, `projection`, `layout` of `open_film`.

    Raises:
        InputError: no such clip, no objects of it, or a run without crops; see `open_film`.
    """
    manifest = read_manifest(data)
    row = _row(data, manifest, key)
    outlines = [] if objects is None else detected_outlines(objects_file(manifest.root, objects), row.key, row.start)
    outlines += [] if run is None else crop_outlines(run, manifest, row)
    video, audio = manifest.root / row.video, manifest.root / row.audio
    own = {} if row.audio == row.video else {OWN: audio}
    options["tracks"] = own | options.get("tracks", {})
    return open_film(video, folder, overlays=sorted_overlays(outlines), **options)


def _row(data: Path, manifest: Manifest, key: str | None) -> Row:
    keys = [row.key for row in manifest]
    if key is not None and key not in keys:
        raise InputError(f"{data}: expected the key of a clip, got {key!r}{hint(key, keys)}")
    return manifest.rows[0 if key is None else keys.index(key)]
