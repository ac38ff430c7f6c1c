import os
import signal
import threading

import pytest

from avssl.io.interrupts import ENDING, Stopped, exit_code, interrupt_on_signals


def test_exit_codes_are_those_of_shells():
    assert exit_code(KeyboardInterrupt()) == 130
    assert [exit_code(Stopped(each)) for each in ENDING] == [143, 129]


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_is_an_interruption_and_a_second_one_does_not_disturb_the_end(number):
    before = signal.getsignal(number)
    ended = []

    def work():
        try:
            with interrupt_on_signals():
                os.kill(os.getpid(), number)
        finally:
            for each in ENDING:
                os.kill(os.getpid(), each)
            ended.append("cleaned up")

    with pytest.raises(Stopped, match=number.name), interrupt_on_signals():
        work()
    assert ended == ["cleaned up"]
    assert signal.getsignal(number) is before


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupt_on_signals():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_leave_signals_alone():
    before = signal.getsignal(signal.SIGTERM)
    found = []

    def work():
        with interrupt_on_signals():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]
