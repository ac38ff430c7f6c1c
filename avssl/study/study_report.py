"""Report of a study: shares called real or preferred by condition and viewing; tables, figure and answers as CSV."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from avssl.errors import InputError
from avssl.io.atomic import replacing, write_text
from avssl.study.answers import Answer, Answers, Participant
from avssl.study.share_figure import draw_shares
from avssl.study.shares import VIEWINGS, Share, StudyReport, holm, wilson_share
from avssl.study.study_folder import Study
from avssl.study.study_spec import PREFERENCE

COLUMNS = ("participant", "excluded", "trial", "film", "condition", "other", "check", "right", "answer", "chosen",
           "seconds", "headset", "changes")  # fmt: skip


def study_report(study: Study, allowed_failures: int = 0) -> StudyReport:
    """Shares of a study.

    Args:
        study: with answers.
        allowed_failures: attention checks that a participant may fail without being excluded.

    Raises:
        InputError: nobody has answered, or all who have are excluded.
    """
    with Answers(study) as answers:
        everyone, given = answers.arrived(), answers.all()
    excluded = excluded_participants(given, allowed_failures)
    counted = [each for each in given if not each.check and each.code not in excluded]
    if not counted:
        raise InputError(f"{study.folder}: expected answers, got {len(given)} of which none count")
    finished = sum(each.next == len(each.trials) for each in everyone)
    shares = tuple(_preferences(study, counted) if study.spec.question == PREFERENCE else _real(study, counted))
    return StudyReport(study.spec.title, study.spec.question, study.text, shares, len(everyone), finished, excluded)


def excluded_participants(answers: Iterable[Answer], allowed_failures: int) -> dict[str, int]:
    """Code -> failed attention checks, of participants who failed more than are allowed."""
    failed = Counter(each.code for each in answers if each.check and each.answer != each.right)
    return {code: count for code, count in sorted(failed.items()) if count > allowed_failures}


def write_study_report(study: Study, out: Path, allowed_failures: int = 0) -> StudyReport:
    """Write table, numbers, answers and figure to a folder: report.md, report.json, answers.csv, report.png.

    Raises:
        InputError: as `study_report`.
        OutputError: they cannot be written.
    """
    report = study_report(study, allowed_failures)
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "report.md", report.markdown())
    write_text(out / "report.json", json.dumps(report.to_json(), indent=1, ensure_ascii=False) + "\n")
    export_answers(study, out / "answers.csv", allowed_failures)
    draw_shares(report, out / "report.png")
    return report


def export_answers(study: Study, path: Path, allowed_failures: int = 0) -> int:
    """Write all answers as CSV, with whether their participant is excluded; returns their number.

    Raises:
        InputError: the database is broken.
        OutputError: the file cannot be written.
    """
    with Answers(study) as answers:
        given = answers.all()
    excluded = excluded_participants(given, allowed_failures)
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for each in given:
            writer.writerow([
                each.code, int(each.code in excluded), each.trial, study.spec.films[each.film].name, each.conditions[0],
                each.conditions[1] if len(each.conditions) == 2 else "", int(each.check), each.right, each.answer,
                each.chosen, f"{each.seconds:.3f}", int(each.headset), each.changes,
            ])  # fmt: skip
    return len(given)


def participants_text(participants: Sequence[Participant]) -> str:
    """One line about who has come so far."""
    finished = sum(each.next == len(each.trials) for each in participants)
    return f"{len(participants)} participants so far, {finished} of them finished"


def _real(study: Study, answers: Sequence[Answer]) -> Iterable[Share]:
    for viewing in VIEWINGS:
        for condition in study.spec.conditions:
            given = [each.answer == "real" for each in _seen(answers, viewing) if each.conditions == (condition,)]
            if given:
                yield wilson_share(condition, "", viewing, sum(given), len(given))


def _preferences(study: Study, answers: Sequence[Answer]) -> Iterable[Share]:
    for viewing in VIEWINGS:
        found = []
        for one, other in study.spec.compared:
            given = [each.chosen == one for each in _seen(answers, viewing) if set(each.conditions) == {one, other}]
            if given:
                found.append(wilson_share(one, other, viewing, sum(given), len(given)))
        corrected = holm([share.p for share in found if share.p is not None])
        yield from (Share(**(asdict(each) | {"p_holm": p})) for each, p in zip(found, corrected, strict=True))


def _seen(answers: Sequence[Answer], viewing: str) -> list[Answer]:
    return [each for each in answers if viewing == "all" or each.headset == (viewing == "headset")]
