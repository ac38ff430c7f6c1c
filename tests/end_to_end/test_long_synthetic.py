"""A recording of EigenScape's real size: ten minutes, 25 channels, 48 kHz, 24 bits, two gigabytes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from avssl.synth.soundscape.soundscape_dataset import ambience

LIMIT_MB = 1500
MEASURED = """
import resource
from avssl.cli.main import main
main(standalone_mode=False)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_recording_of_ten_minutes_goes_through_eigenscape_in_little_memory(tmp_path: Path) -> None:
    root = ambience(tmp_path / "long", recordings=1, seconds=600, classes=["Beach"], workers=1, progress=False)
    short = ambience(
        tmp_path / "short", recordings=2, seconds=30, classes=["Beach", "Woodland"], workers=1, progress=False
    )
    for name in ("Beach/Beach.2.wav", "Woodland/Woodland.1.wav", "Woodland/Woodland.2.wav"):
        (root / name).parent.mkdir(exist_ok=True)
        shutil.move(short / name, root / name)
    facts = soundfile.info(root / "Beach" / "Beach.1.wav")
    assert (facts.channels, facts.samplerate, facts.frames, facts.subtype) == (25, 48000, 600 * 48000, "PCM_24")
    command = [sys.executable, "-c", MEASURED, "downstream", "eigenscape", "--data", str(root), "--workers", "0"]
    command += ["--out", str(tmp_path / "out"), "--missing", "0.9"]
    settings = os.environ | {"AVSSL_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, env=settings, stdout=subprocess.PIPE, text=True)
    assert int(done.stdout.split()[-1]) / 1024 < LIMIT_MB
    assert len((tmp_path / "out" / "dirac_gmm" / "predictions.csv").read_text().splitlines()) == 1 + 20 + 3
