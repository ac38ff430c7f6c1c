"""The page of `avssl study serve`: consent, the player of `avssl play`, one question a film, answers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from avssl.errors import InputError
from avssl.study.answers import Answers, Participant, RefusedAnswerError, shown_code
from avssl.study.study_folder import Study
from avssl.study.study_spec import REAL
from avssl.study.trial_order import CHECK, Trial
from avssl.web.page import Page, decoding
from avssl.web.page_messages import json_answer, message_of
from avssl.web.play.film import Film, open_film
from avssl.web.play.head_filters import head_filters
from avssl.web.play.play_page import Programme
from avssl.web.play.sound_track import BLOCK_SECONDS, SoundTrack, open_track, pack_block

UNKNOWN_CODE = "No participant has this code; check it, or start anew without one."


def open_study_films(study: Study, folder: Path, *, progress: bool = True) -> list[Film]:
    """Films of a study with a sound track a condition, and that of their check as the last.

    Args:
        study: the study.
        folder: for videos that browsers do not play, converted; exists as long as the page.
        progress: show a progress bar while one is converted.

    Raises:
        InputError: a film or track cannot be read, or has another channel layout.
    """
    found = []
    for number, film in enumerate(study.spec.films):
        place = folder / str(number)
        place.mkdir()
        opened = open_film(film.video, place, progress=progress)
        tracks = [(condition, *study.track(number, condition)) for condition in (*study.spec.conditions, CHECK)]
        sound = tuple(open_track(name, path, layout, opened.panoramic) for name, path, layout in tracks)
        found.append(replace(opened, tracks=sound, title=""))
    return found


def study_page(study: Study, answers: Answers, films: list[Film], hrirs: Path | None, token: str) -> Page:
    """The page of a study.

    Args:
        study: the study.
        answers: its database, entered.
        films: of `open_study_films`.
        hrirs: SOFA file or folder of the head; None: the spherical head.
        token: of the address.

    Raises:
        InputError: the HRIRs cannot be read.
    """
    routes = StudyRoutes(study, answers, Programme(films, head_filters(hrirs))).routes()
    return Page(study.spec.title, "study.html", [film.played for film in films if film.played], routes, token)


class StudyRoutes:
    """Routes of the page; a participant's code is part of the addresses of their trials.

    Nothing that the page gets names a condition or tells checks from other trials.

    Args:
        study: the study.
        answers: its database, entered.
        programme: films, with the filters of the head.
    """

    def __init__(self, study: Study, answers: Answers, programme: Programme) -> None:
        self.study, self.answers, self.programme = study, answers, programme

    def routes(self) -> list[BaseRoute]:
        """All routes."""
        trial = "/participants/{code}/{trial:int}"
        return [
            Route("/study.json", self.about),
            Route("/participants", self.join, methods=["POST"]),
            Route("/participants/{code}.json", self.participant),
            Route(f"{trial}/film.json", self.film),
            Route(f"{trial}/tracks/{{track:int}}/{{block:int}}", self.block),
            Route(f"{trial}/answer", self.answer, methods=["POST"]),
        ]

    async def about(self, request: Request) -> Response:
        """Title, question and consent text."""
        spec = self.study.spec
        return json_answer({
            "title": spec.title, "text": self.study.text, "consent": spec.consent, "goBack": spec.go_back,
            "choices": ["real", "fake"] if spec.question == REAL else ["A", "B"],
        })  # fmt: skip

    async def join(self, request: Request) -> Response:
        """A new participant, who has consented."""
        if (await message_of(request)).get("consent") is not True:
            raise InputError("expected the consent of the participant, got none")
        return json_answer({"code": shown_code((await asyncio.to_thread(self.answers.join)).code)})

    async def participant(self, request: Request) -> Response:
        """How far a participant is."""
        return json_answer(_progress(await self._participant(request)))

    async def film(self, request: Request) -> Response:
        """The film of a trial, as the player reads it, without names."""
        trial = await self._trial(request)
        found = self.programme.description(trial.film)
        tracks = [{"letter": "AB"[place], "name": "", "channels": track.channels}
                  for place, track in enumerate(self._tracks(trial))]  # fmt: skip
        seen = [film for film in self.programme.films[: trial.film] if film.played]
        return json_answer(found | {"title": "", "tracks": tracks, "blind": True, "pictureUrl": f"media/{len(seen)}"})

    async def block(self, request: Request) -> Response:
        """A block of one of the sound tracks of a trial."""
        trial = await self._trial(request)
        tracks, number = self._tracks(trial), int(request.path_params["track"])
        block = int(request.path_params["block"])
        if (
            number >= len(tracks)
            or block * BLOCK_SECONDS > self.programme.films[trial.film].seconds + 2 * BLOCK_SECONDS
        ):
            raise InputError(
                f"expected one of {len(tracks)} sound tracks and a block of the film, got {number}, {block}"
            )
        found = await decoding(_block, tracks[number], block)
        return Response(found, media_type="application/octet-stream")

    async def answer(self, request: Request) -> Response:
        """Store an answer, on the disk before this one; 409, with the reason, where the study does not take it."""
        values = await message_of(request)
        answer, seconds, headset = (values.get(key) for key in ("answer", "seconds", "headset"))
        if not isinstance(answer, str) or not isinstance(seconds, int | float) or not isinstance(headset, bool):
            raise InputError("expected 'answer', 'seconds' and 'headset' of an answer")
        participant = await self._participant(request)
        given = (participant, int(request.path_params["trial"]), answer, float(seconds), headset)
        try:
            return json_answer(_progress(await asyncio.to_thread(self.answers.answer, *given)))
        except RefusedAnswerError as error:
            return json_answer({"refused": str(error), **_progress(participant)}, 409)

    async def _participant(self, request: Request) -> Participant:
        found = await asyncio.to_thread(self.answers.participant, request.path_params["code"])
        if found is None:
            raise InputError(UNKNOWN_CODE)
        return found

    async def _trial(self, request: Request) -> Trial:
        trials, number = (await self._participant(request)).trials, int(request.path_params["trial"])
        if number >= len(trials):
            raise InputError(f"expected a question from 1 to {len(trials)}, got {number + 1}")
        return trials[number]

    def _tracks(self, trial: Trial) -> list[SoundTrack]:
        named = {track.name: track for track in self.programme.films[trial.film].tracks}
        return [named[condition] for condition in trial.conditions]


def _progress(participant: Participant) -> dict[str, Any]:
    answers = {str(trial): answer for trial, answer in participant.answers.items()}
    return {"code": shown_code(participant.code), "trials": len(participant.trials), "next": participant.next,
            "answers": answers}  # fmt: skip


def _block(track: SoundTrack, block: int) -> bytes:
    return pack_block(track.samples(block * BLOCK_SECONDS, BLOCK_SECONDS))
