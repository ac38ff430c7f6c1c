"""The page of `avssl play`: its films, and the routes that give their sound in blocks."""

from __future__ import annotations

import base64
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from torch import Tensor

from avssl.errors import InputError
from avssl.media.energy_overlay import MAX_OPACITY, RANGE_DB, SMOOTHING
from avssl.media.overlay_video import colours
from avssl.web.page import Page, decoding
from avssl.web.play.film import Film
from avssl.web.play.overlays import SEGMENT
from avssl.web.play.sound_track import BLOCK_SECONDS, RATE, pack_block

HTML = "play.html"
LETTERS = "ABCDEFGHI"


@dataclass(frozen=True)
class Programme:
    """Films, and how they are listened to."""

    films: Sequence[Film]
    filters: Tensor
    """`(2, 4, taps)`: of the head, at `RATE`."""
    blind: bool = False
    """Sound tracks are shuffled and their names hidden until they are revealed."""
    rng: random.Random = field(default_factory=random.SystemRandom)

    @cached_property
    def orders(self) -> list[list[int]]:
        """Order in which the sound tracks of each film are shown."""
        found = [list(range(len(film.tracks))) for film in self.films]
        for order in found:
            if self.blind:
                self.rng.shuffle(order)
        return found

    def description(self, index: int) -> dict[str, Any]:
        """All of a film but its sound, picture and outlines, for the page."""
        film = self.films[index]
        tracks = [film.tracks[each] for each in self.orders[index]]
        names = ["" if self.blind else track.name for track in tracks]
        return {
            "title": film.title,
            "seconds": film.seconds,
            "picture": film.played is not None,
            "panoramic": film.panoramic,
            "rate": RATE,
            "blockSamples": round(BLOCK_SECONDS * RATE),
            "tracks": [
                {"letter": LETTERS[place], "name": name, "channels": track.channels}
                for place, (name, track) in enumerate(zip(names, tracks, strict=True))
            ],
            "blind": self.blind,
            "filters": {"taps": self.filters.shape[-1], "values": _base64(self.filters.numpy().astype("<f4"))},
            "energy": {
                "palette": _base64(colours(np.linspace(0, 1, 256)[None])),
                "opacity": MAX_OPACITY,
                "smoothing": SMOOTHING,
                "rangeDb": RANGE_DB,
            },
            "outlineKinds": film.overlays.kinds,
            "outlineSeconds": SEGMENT,
        }

    def names(self, index: int) -> list[str]:
        """Names of a film's sound tracks in the order in which they are shown."""
        return [self.films[index].tracks[each].name for each in self.orders[index]]

    def block(self, film: int, track: int, block: int) -> bytes:
        """A block of a sound track, as `pack_block`.

        Raises:
            InputError: the file breaks off there.
        """
        chosen = self.films[film].tracks[self.orders[film][track]]
        return pack_block(chosen.samples(block * BLOCK_SECONDS, BLOCK_SECONDS))


def play_page(programme: Programme) -> Page:
    """The page of a programme, to serve.

    Args:
        programme: films and how they are listened to.
    """
    films = programme.films
    media = [each.played for each in films if each.played is not None]
    videos = {index: media.index(film.played) for index, film in enumerate(films) if film.played is not None}

    async def listing(request: Request) -> Response:
        return JSONResponse([film.title for film in films])

    async def description(request: Request) -> Response:
        index = _below(request, "film", len(films))
        return JSONResponse(programme.description(index) | {"pictureUrl": _picture_url(videos, index)})

    async def names(request: Request) -> Response:
        return JSONResponse(programme.names(_below(request, "film", len(films))))

    async def block(request: Request) -> Response:
        film = _below(request, "film", len(films))
        track = _below(request, "track", len(films[film].tracks))
        number = _below(request, "block", int(films[film].seconds / BLOCK_SECONDS) + 2)
        found = await decoding(programme.block, film, track, number)
        return Response(found, media_type="application/octet-stream")

    async def outlines(request: Request) -> Response:
        film = films[_below(request, "film", len(films))]
        return JSONResponse(film.overlays.segment(request.path_params["segment"]))

    routes = [
        Route("/films.json", listing),
        Route("/films/{film:int}/film.json", description),
        Route("/films/{film:int}/names.json", names),
        Route("/films/{film:int}/tracks/{track:int}/{block:int}", block),
        Route("/films/{film:int}/outlines/{segment:int}", outlines),
        Route("/favicon.ico", _nothing),
    ]
    title = "film" if len(films) == 1 else f"{len(films)} films"
    return Page(f"avssl play, {title}", HTML, media, routes)


def _picture_url(videos: dict[int, int], film: int) -> str:
    return f"media/{videos[film]}" if film in videos else ""


def _below(request: Request, name: str, count: int) -> int:
    """A number of the address, below a count.

    Raises:
        InputError: it is not.
    """
    found = int(request.path_params[name])
    if found >= count:
        raise InputError(f"expected a {name} from 0 to {count - 1}, got {found}")
    return found


async def _nothing(request: Request) -> Response:
    return PlainTextResponse("", 204)


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode("ascii")
