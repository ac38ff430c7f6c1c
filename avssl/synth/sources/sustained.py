"""Sustained sounds: engines, horns, voices, sirens."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from avssl.synth.sources.oscillators import (
    Signal,
    Span,
    Voice,
    audible,
    band_noise,
    cycles_of,
    gate,
    oscillate,
    rng_of,
    slow_wave,
)

VOWELS = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410))
"""First three formants in Hz of a, i, u, e, o (Peterson and Barney 1952, men)."""


def siren(voice: Voice, span: Span) -> Signal:
    """A bright tone that sweeps up and down by most of an octave."""
    frequency = voice.pitch * 2 ** (0.4 * slow_wave(voice, span))
    order = audible(voice.pitch * 1.4, span.sample_rate, 9)
    return oscillate(cycles_of(frequency, span.sample_rate), (order % 2) / order ** (1.4 - 0.6 * voice.timbre))


def engine(voice: Voice, span: Span) -> Signal:
    """A low buzz with the beat of its strokes, and the rush of its exhaust."""
    rng = rng_of(voice)
    revs = 1 + 0.06 * slow_wave(voice, span)
    cycles = cycles_of(voice.pitch * revs, span.sample_rate)
    order = audible(voice.pitch * 1.1, span.sample_rate, 40)
    buzz = oscillate(cycles, order ** -(1.1 - 0.5 * voice.timbre) * rng.uniform(0.4, 1, len(order)))
    strokes = 0.6 + 0.4 * np.sin(2 * np.pi * cycles / 4)
    exhaust = band_noise(rng, span.samples, 80, 700, span.sample_rate)
    return (strokes * (buzz + 0.4 * exhaust)).astype(np.float32)


def whistle(voice: Voice, span: Span) -> Signal:
    """A referee's whistle: a high tone with a fast trill, in blasts."""
    trill = np.sin(2 * np.pi * (22 + 14 * voice.timbre) * span.times())
    tone = oscillate(cycles_of(voice.pitch * (1 + 0.02 * trill), span.sample_rate), [1.0, 0.12, 0.1])
    breath = band_noise(rng_of(voice), span.samples, 0.8 * voice.pitch, 1.6 * voice.pitch, span.sample_rate)
    return (gate(voice, span, 0.75) * ((0.7 + 0.3 * trill) * tone + 0.15 * breath)).astype(np.float32)


def face(voice: Voice, span: Span) -> Signal:
    """A sung babble: a voiced pitch with vibrato through changing vowels."""
    vibrato = 1 + 0.03 * np.sin(2 * np.pi * 5.5 * span.times()) + 0.06 * slow_wave(voice, span)
    cycles = cycles_of(voice.pitch * vibrato, span.sample_rate)
    order = audible(voice.pitch * 1.1, span.sample_rate, 50)
    vowels = rng_of(voice).permutation(len(VOWELS))
    syllable = np.floor(voice.rate * span.times() - voice.phase).astype(int) % len(VOWELS)
    total = np.zeros(span.samples, np.float32)
    for number, vowel in enumerate(vowels):
        here = syllable == number
        total[here] = oscillate(cycles[here], _formants(order * voice.pitch, VOWELS[vowel], 0.85 + 0.4 * voice.timbre))
    return total * (0.08 + 0.92 * gate(voice, span, 0.85, 0.04))


def _formants(frequencies: NDArray[np.float64], formants: tuple[int, ...], size: float) -> NDArray[np.float64]:
    response = np.zeros(len(frequencies))
    for number, formant in enumerate(formants):
        width = 90.0 + 40 * number
        response += 0.6**number / (1 + ((frequencies - size * formant) / width) ** 2)
    amplitudes = response * (frequencies[0] / frequencies) ** 0.3
    return np.asarray(amplitudes / np.sqrt((amplitudes**2).sum()))


def alarm(voice: Voice, span: Span) -> Signal:
    """Two hard beeps in turn, with silence between."""
    pair = np.where(np.floor(voice.rate * span.times() - voice.phase) % 2, 1.0, 1.19 + 0.15 * voice.timbre)
    order = audible(voice.pitch * 1.4, span.sample_rate, 7)
    tone = oscillate(cycles_of(voice.pitch * pair, span.sample_rate), (order % 2) / order)
    return tone * gate(voice, span, 0.5, 0.004)


def fan(voice: Voice, span: Span) -> Signal:
    """Whooshes of air: noise whose strength follows the blades."""
    rng = rng_of(voice)
    air = band_noise(rng, span.samples, voice.pitch, 2.2 * voice.pitch, span.sample_rate)
    hiss = band_noise(rng, span.samples, 2 * voice.pitch, 9 * voice.pitch, span.sample_rate)
    sweep = 0.5 + 0.5 * slow_wave(voice, span)
    return ((0.15 + 0.85 * sweep) * air + 0.35 * voice.timbre * sweep**2 * hiss).astype(np.float32)


def horn(voice: Voice, span: Span) -> Signal:
    """A brass chord that swells."""
    minor = rng_of(voice).integers(2)
    swell = 0.55 + 0.45 * slow_wave(voice, span)
    total = np.zeros(span.samples, np.float32)
    for step in (0, 3 if minor else 4, 7):
        pitch = voice.pitch * 2 ** (step / 12)
        order = audible(pitch, span.sample_rate, 18)
        total += oscillate(span.times() * pitch, order ** -(1.2 - 0.5 * voice.timbre))
    return (swell * total).astype(np.float32)
