"""Benchmark of first-order image sources, against pyroomacoustics with four coincident microphones."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.signal import butter, sosfilt

from avssl.bench.case import Case, Result, Row, Size, root_mean_square
from avssl.bench.peers import with_library
from avssl.synth.acoustics.foa_render import direct, early
from avssl.synth.acoustics.room import draw_room
from avssl.synth.scene import Format, describe
from avssl.synth.trajectories import Oscillation, unit_vector
from avssl.synth.trajectories import Path as Trajectory

HIGHEST = 1000.0
"""Hz of the source; avssl rounds the delays of reflections to whole samples."""
STILL = Oscillation(0.0, 0.0, 0.0)
PLACE = Trajectory(0.6, 0.2, 2.5, 0.0, STILL, STILL, STILL)
"""Of the source: azimuth and elevation in radians, metres."""


def cases(size: Size, folder: Path) -> list[Row]:
    """Direct sound and six reflections of a source at rest."""
    peer_name = "pyroomacoustics, order 1"
    return with_library("room", "pyroomacoustics", peer_name, partial(_cases, size, peer_name))


def _cases(size: Size, peer_name: str, library: Any) -> list[Case]:
    form, room = Format(size.audio_seconds), draw_room(np.random.default_rng(0))
    thing, span = replace(describe(0, 0).things[0], path=PLACE), form.span()
    low = butter(4, HIGHEST, fs=form.sample_rate, output="sos")
    source = sosfilt(low, np.random.default_rng(1).standard_normal(span.samples)).astype(np.float32)
    library.constants.set("rir_hpf_enable", False)  # a high-pass filter of its responses
    front, behind, left, right, above, below = room.walls
    walls = dict(zip(("east", "west", "north", "south", "ceiling", "floor"), room.reflection, strict=True))
    listener = np.array([behind, right, below])
    azimuth, elevation, distance = PLACE.at(np.array(0.0))
    place = listener + unit_vector(azimuth, elevation) * distance
    first = span.samples - len(form.sample_times()) + library.constants.get("frac_delay_length") // 2

    def ours() -> Result:
        return (torch.from_numpy(direct(thing, source, form) + early(room, thing, source, form)),)

    def peer() -> Result:
        materials = {name: library.Material(1 - kept**2) for name, kept in walls.items()}
        shoebox = library.ShoeBox(
            [front + behind, left + right, above + below], fs=form.sample_rate, materials=materials, max_order=1
        )
        shoebox.add_microphone_array(_microphones(library, listener, form.sample_rate))
        shoebox.add_source(place, signal=source)
        shoebox.simulate()
        signals = shoebox.mic_array.signals[:, first : first + len(form.sample_times())]
        return (torch.from_numpy(signals),)

    work = f"{size.audio_seconds:g} s, FOA, a source at rest"
    return [Case("room", peer_name, ours, peer, 0.03, root_mean_square, size.audio_seconds, work)]


def _microphones(library: Any, place: Any, sample_rate: int) -> Any:
    """Microphones of the channels W, Y, Z, X at one place."""
    kinds = library.directivities
    eights = [kinds.FigureEight(kinds.DirectionVector(*angles)) for angles in ((90, 90), (0, 0), (0, 90))]
    directivity = [kinds.Omnidirectional(), *eights]
    return library.MicrophoneArray(np.repeat(place[:, None], 4, 1), fs=sample_rate, directivity=directivity)
