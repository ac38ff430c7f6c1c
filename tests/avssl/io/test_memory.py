import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
from avssl.io.memory import keep_freed
kept = [keep_freed()] if {keep} else []
for _ in range(20):
    bytearray(b"x") * 100_000_000
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


GROWTH = """
import mmap
from avssl.io.memory import peak_mb, resident_mb
before = resident_mb()
held = mmap.mmap(-1, 100_000_000)
for start in range(0, len(held), mmap.PAGESIZE):
    held[start] = 1
print(resident_mb() - before, peak_mb() - resident_mb())
"""


def test_resident_memory_grows_by_what_is_held():
    done = subprocess.run([sys.executable, "-c", GROWTH], capture_output=True, text=True, check=True)
    grown, below_peak = map(float, done.stdout.split())
    assert 90 < grown < 110
    assert below_peak > -1


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc only")
@pytest.mark.heavy
def test_freed_memory_is_used_again_without_page_faults(monkeypatch):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    faults = []
    for keep in (False, True):
        program = FAULTS.format(keep=keep)
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        said, count = done.stdout.rsplit(maxsplit=1)
        assert said == str([True] if keep else [])
        faults.append(int(count))
    assert faults[1] < faults[0] / 2
