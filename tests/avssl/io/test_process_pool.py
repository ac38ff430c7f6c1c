"""Worker processes and what kills them."""

import os

from avssl.io.process_pool import CrashError, outcomes


def half_or_crash(number):
    if number == 3:
        os._exit(9)
    if number == 4:
        raise ValueError("four")
    return number / 2


def test_a_job_that_kills_its_process_costs_only_itself():
    found = dict(outcomes(half_or_crash, range(7), 2))
    assert isinstance(found[3], CrashError)
    assert isinstance(found[3], ValueError)  # one line on the command line
    assert str(found[4]) == "four"
    assert {number: found[number] for number in (0, 1, 2, 5, 6)} == {0: 0.0, 1: 0.5, 2: 1.0, 5: 2.5, 6: 3.0}
