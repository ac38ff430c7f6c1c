import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from avssl.errors import InputError
from avssl.study.answers import NAME, Answers, RefusedAnswerError, shown_code
from avssl.study.study_folder import Study


def test_a_participant_goes_on_where_they_were_by_code(study):
    with Answers(study) as answers:
        one = answers.join()
        assert one.next == 0
        assert answers.answer(one, 0, "real", 3.5, True).next == 1
    with Answers(study) as answers:
        again = answers.participant(shown_code(one.code).lower())
        assert (again.code, again.next, again.answers) == (one.code, 1, {0: "real"})
        assert again.trials == one.trials
        assert answers.participant("ABCD-EFGH") is None
        assert answers.participant("' OR 1=1 --") is None


def test_going_back_changes_an_answer_where_the_study_allows_it(study):
    with Answers(study) as answers:
        one = answers.join()
        one = answers.answer(one, 0, "real", 3.0, False)
        one = answers.answer(one, 0, "fake", 2.0, True)
        [stored] = answers.all()
        assert (stored.answer, stored.seconds, stored.headset, stored.changes) == ("fake", 5.0, True, 1)


def test_going_back_is_refused_clearly_where_it_does_not_and_nothing_is_lost(study):
    from dataclasses import replace

    forward = Study(study.folder, replace(study.spec, go_back=False), study.checks)
    with Answers(forward) as answers:
        one = answers.answer(answers.join(), 0, "real", 3.0, False)
        with pytest.raises(RefusedAnswerError, match="Question 1 was answered before, and this study has no way back"):
            answers.answer(one, 0, "fake", 2.0, False)
        assert answers.answer(one, 0, "real", 9.0, False).answers == {0: "real"}  # a repeated message
        assert [(each.answer, each.seconds) for each in answers.all()] == [("real", 3.0)]


@pytest.mark.parametrize(
    ("trial", "answer", "seconds", "message"),
    [
        (1, "real", 1.0, "Expected the answer to question 1 first."),
        (5, "real", 1.0, "Expected a question from 1 to 5, got 6."),
        (-1, "real", 1.0, "Expected a question from 1 to 5, got 0."),
        (0, "A", 1.0, "Expected real or fake as the answer, got A."),
        (0, "real", float("nan"), "Expected the time of the answer"),
    ],
)
def test_answers_that_no_page_gives_are_refused(study, trial, answer, seconds, message):
    with Answers(study) as answers:
        one = answers.join()
        with pytest.raises(RefusedAnswerError, match=message):
            answers.answer(one, trial, answer, seconds, False)
        assert answers.all() == []


def test_many_participants_at_once_have_numbers_and_codes_of_their_own(study):
    with Answers(study) as answers:

        def take(_):
            one = answers.join()
            for trial in range(len(one.trials)):
                one = answers.answer(one, trial, "real", 1.0, False)
            return one

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(take, range(20)))
        assert sorted(each.number for each in found) == list(range(20))
        assert len({each.code for each in found}) == 20
        assert len(answers.all()) == 100


KILLED = """
import os, signal, sys
from pathlib import Path
from avssl.study.answers import Answers
from avssl.study.study_folder import read_study
answers = Answers(read_study(Path(sys.argv[1]))).__enter__()
one = answers.join()
for trial in range(3):
    one = answers.answer(one, trial, "fake", 1.0, False)
print(one.code, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_server_loses_no_answer(study):
    done = subprocess.run([sys.executable, "-c", KILLED, str(study.folder)], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL
    with Answers(study) as answers:
        assert answers.participant(done.stdout.strip()).answers == {0: "fake", 1: "fake", 2: "fake"}


def test_the_database_holds_no_name_address_or_date(study):
    with Answers(study) as answers:
        answers.answer(answers.join(), 0, "real", 1.0, False)
    base = sqlite3.connect(study.folder / NAME)
    assert base.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    columns = {
        table: [row[1] for row in base.execute(f"PRAGMA table_info({table})")]
        for (table,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    }
    assert columns == {
        "about": ["format", "version"],
        "participants": ["number", "code", "trials"],
        "answers": ["participant", "trial", "answer", "seconds", "headset", "changes"],
    }
    base.close()


def test_a_file_that_is_no_database_is_one_line_and_stays(study):
    (study.folder / NAME).write_bytes(b"not a database, but a text " * 100)
    with pytest.raises(InputError, match=r"answers\.sqlite: expected a database of answers: file is not a database"):
        Answers(study).__enter__()
    assert (study.folder / NAME).read_bytes().startswith(b"not a database")
