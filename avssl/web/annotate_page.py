"""The page of `avssl annotate`: films of a folder, waveform and spectrogram of their sound, edits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from avssl.annotation.annotation_store import AnnotationStore
from avssl.annotation.edits import Change, StaleEditError, parse_change
from avssl.annotation.film_list import Film, film_of
from avssl.annotation.signal_views import COLUMNS, SECONDS, spectrogram_block, waveform_block
from avssl.errors import InputError
from avssl.media import read_frames
from avssl.printable_text import printable
from avssl.web.page import Page, decoding
from avssl.web.page_messages import json_answer, message_of

LARGEST = 960
"""Pixels of the longer side of single frames."""
HEADERS_KEPT = 256
LONGEST = 1e6
"""Seconds of a film at most."""


def annotate_page(store: AnnotationStore, films: list[Path], labels: tuple[str, ...], token: str) -> Page:
    """The page of a folder.

    Args:
        store: annotations of the annotator, entered.
        films: paths of the films.
        labels: classes offered beside those that are used already.
        token: of the address.
    """
    pages = AnnotateRoutes(store, films, labels)
    return Page("annotate", "annotate.html", films, pages.routes(), token)


class AnnotateRoutes:
    """Routes of the page.

    Args:
        store: annotations, entered.
        films: paths of the films.
        labels: classes offered first.
    """

    def __init__(self, store: AnnotationStore, films: list[Path], labels: tuple[str, ...]) -> None:
        self.store, self.films, self.labels = store, films, labels
        self.names = [path.relative_to(store.folder).as_posix() for path in films]
        self._header: Callable[[int], Film] = lru_cache(HEADERS_KEPT)(
            lambda index: film_of(store.folder, self.films[index])
        )

    def routes(self) -> list[BaseRoute]:
        """All routes."""
        return [
            Route("/films.json", self.list_films),
            Route("/film/{index:int}.json", self.film),
            Route("/frame/{index:int}.jpg", self.frame),
            Route("/waveform/{index:int}/{block:int}.json", self.waveform),
            Route("/spectrogram/{index:int}/{block:int}.png", self.spectrogram),
            Route("/edit", self.edit, methods=["POST"]),
            Route("/undo", self.undo, methods=["POST"]),
            Route("/redo", self.redo, methods=["POST"]),
        ]

    async def list_films(self, request: Request) -> Response:
        """Names and states of all films, and the classes in use."""
        used = {segment.label for film in self.store.films.values() for segment in film.segments.values()}
        labels = [*self.labels, *sorted(used - {"", *self.labels})]
        states = [self._state(name) for name in self.names]
        about = {"annotator": self.store.annotator, "folder": printable(self.store.folder.name)}
        return json_answer(about | {"labels": labels, "films": states})

    async def film(self, request: Request) -> Response:
        """Header and annotations of a film."""
        index = self._index(request)
        header = await decoding(self._header, index)
        facts = {key: getattr(header, key) for key in ("seconds", "frame_rate", "width", "height", "channels")}
        facts |= {"error": header.error, "blockSeconds": SECONDS, "blockColumns": COLUMNS}
        name = self.names[index]
        return json_answer(self._state(name) | facts | {"index": index, "annotations": self.store.film(name).to_json()})

    async def frame(self, request: Request) -> Response:
        """One frame as JPEG, for films that the browser does not play."""
        try:
            time = min(max(0.0, float(request.query_params.get("time", "0"))), LONGEST)
        except ValueError as error:
            raise InputError("expected seconds as 'time'") from error
        return Response(await decoding(_frame_jpeg, self.films[self._index(request)], time), media_type="image/jpeg")

    async def waveform(self, request: Request) -> Response:
        """Extremes of a block of the waveform."""
        path, block = self.films[self._index(request)], request.path_params["block"]
        found = await decoding(waveform_block, path, block)
        return json_answer(found.round(4).tolist())

    async def spectrogram(self, request: Request) -> Response:
        """Picture of a block of the spectrogram."""
        path, block = self.films[self._index(request)], request.path_params["block"]
        return Response(await decoding(spectrogram_block, path, block), media_type="image/png")

    async def edit(self, request: Request) -> Response:
        """Apply an edit; it is on the disk before the answer. 409, with the film as it is, where another was faster."""
        values = await message_of(request)
        change = parse_change(values.get("change"), "the page's edit")
        expected = parse_change(values.get("expected"), "the page's edit, as it was before")
        if change.film not in self.names or expected.film != change.film or not isinstance(values.get("id"), str):
            raise InputError("the page's edit: expected an 'id', and a film of this folder; load the page again")
        try:
            await asyncio.to_thread(self.store.edit, values["id"], change, expected)
        except StaleEditError:
            return json_answer({"film": change.film, "annotations": self.store.film(change.film).to_json()}, 409)
        return json_answer({"film": change.film})

    async def undo(self, request: Request) -> Response:
        """Take back the last edit."""
        return self._changed(await asyncio.to_thread(self.store.undo, await _identifier(request)))

    async def redo(self, request: Request) -> Response:
        """Apply again what was taken back."""
        return self._changed(await asyncio.to_thread(self.store.redo, await _identifier(request)))

    def _changed(self, change: Change | None) -> Response:
        if change is None:
            return json_answer({"film": None})
        index = self.names.index(change.film) if change.film in self.names else None
        return json_answer({"film": change.film, "index": index, "change": change.to_json()})

    def _state(self, name: str) -> dict[str, Any]:
        film = self.store.film(name)
        suggested = sum(segment.suggested for segment in film.segments.values())
        counts = {"done": film.done, "segments": len(film.segments) - suggested, "suggested": suggested}
        return {"name": name, "title": printable(name)} | counts

    def _index(self, request: Request) -> int:
        index = int(request.path_params["index"])
        if index >= len(self.films):
            raise InputError(f"expected a film from 0 to {len(self.films) - 1} of this folder, got {index}")
        return index


def _frame_jpeg(path: Path, time: float) -> bytes:
    frame = np.ascontiguousarray(read_frames(path, [time])[0].permute(1, 2, 0).numpy()[..., ::-1])
    scale = min(1.0, LARGEST / max(frame.shape[:2]))
    size = max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale))
    encoded, jpeg = cv2.imencode(".jpg", cv2.resize(frame, size, interpolation=cv2.INTER_AREA))
    assert encoded
    return jpeg.tobytes()


async def _identifier(request: Request) -> str:
    """Identifier of a message, so that a repeated one counts once."""
    return str((await message_of(request)).get("id", ""))
