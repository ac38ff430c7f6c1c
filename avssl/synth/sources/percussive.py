"""Percussive sounds: struck, plucked or shaken objects as grains in a rhythm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from avssl.synth.sources.oscillators import Signal, Span, Voice, audible, band_noise, beat, decay, place, rng_of


def bell(voice: Voice, span: Span) -> Signal:
    """Inharmonic partials with a minor third, ringing on."""
    ratios = np.array([0.5, 1.0, 1.19, 1.5, 2.0, 2.51, 3.01, 4.17])
    ratios = ratios[ratios * voice.pitch < 0.45 * span.sample_rate]
    times = np.arange(int(1.2 * span.sample_rate)) / span.sample_rate
    strengths = ratios ** (voice.timbre - 1.2)
    fall = np.exp2(-times * ratios[:, None] ** 0.6 / 0.22)
    rings = strengths @ (np.sin(2 * np.pi * voice.pitch * ratios[:, None] * times) * fall)
    grain = (rings * decay(1.2, 0.6, span.sample_rate)).astype(np.float32)
    return place([(onset, grain) for onset, _ in beat(voice, span, 0.04)], span)


def drum(voice: Voice, span: Span) -> Signal:
    """A falling thump and a short burst of noise, accents in a pattern of four."""
    rng = rng_of(voice)
    times = np.arange(int(0.3 * span.sample_rate)) / span.sample_rate
    sweep = voice.pitch * (times + 0.03 * (1 - np.exp(-times / 0.03)))
    thump = np.sin(2 * np.pi * sweep) * decay(0.3, 0.06, span.sample_rate)
    skin = band_noise(rng, len(times), 300, 2000 + 3000 * voice.timbre, span.sample_rate)
    snap = skin * decay(0.3, 0.012 + 0.02 * voice.timbre, span.sample_rate, 0.001)
    accents = rng.uniform(0.5, 1.0, 4)
    grain = (thump + 0.8 * snap).astype(np.float32)
    return place([(onset, grain * np.float32(accents[k % 4])) for onset, k in beat(voice, span, 0.03)], span)


def maraca(voice: Voice, span: Span) -> Signal:
    """Bursts of bright noise, every other one weaker."""
    low = voice.pitch
    audio = band_noise(rng_of(voice), int(0.14 * span.sample_rate), low, low * 1.9, span.sample_rate)
    grain = audio * decay(0.14, 0.02 + 0.03 * voice.timbre, span.sample_rate, 0.015)
    return place([(onset, grain * (1.0 if k % 2 else 0.55)) for onset, k in beat(voice, span, 0.05)], span)


def metronome(voice: Voice, span: Span) -> Signal:
    """Dry wooden ticks, high and low in turn."""
    length = int(0.07 * span.sample_rate)
    times = np.arange(length) / span.sample_rate
    wood = band_noise(rng_of(voice), length, 1500, 6000, span.sample_rate) * 0.4 * decay(0.07, 0.003, span.sample_rate)
    ticks = []
    for pitch in (voice.pitch, voice.pitch * (0.6 + 0.2 * voice.timbre)):
        ring = np.sin(2 * np.pi * pitch * times) + 0.5 * np.sin(2 * np.pi * 2.7 * pitch * times)
        ticks.append((ring * decay(0.07, 0.008, span.sample_rate, 0.0005) + wood).astype(np.float32))
    return place([(onset, ticks[k % 2]) for onset, k in beat(voice, span)], span)


def guitar(voice: Voice, span: Span) -> Signal:
    """Plucked strings: a pattern of notes, high harmonics dying first."""
    rng = rng_of(voice)
    steps = rng.choice([0, 3, 5, 7, 10, 12], 4)
    times = np.arange(int(0.6 * span.sample_rate)) / span.sample_rate
    pitches = [voice.pitch * 2 ** (float(step) / 12) for step in steps]
    notes = [_pluck(pitch, times, voice.timbre, span.sample_rate) for pitch in pitches]
    return place([(onset, notes[k % 4]) for onset, k in beat(voice, span, 0.03)], span)


def _pluck(pitch: float, times: NDArray[np.float64], timbre: float, sample_rate: int) -> Signal:
    order = audible(pitch, sample_rate, 12)[:, None]
    strengths = np.sin(np.pi * order * 0.23) / order ** (1.3 - 0.6 * timbre)
    turns = (2 * np.pi * order * pitch * times).astype(np.float32)
    waves = strengths * np.sin(turns) * np.exp2(-(times * order**0.8 / 0.18).astype(np.float32))
    return np.asarray(waves.sum(0) * decay(0.6, 0.5, sample_rate), np.float32)


def bird(voice: Voice, span: Span) -> Signal:
    """Chirps that sweep up or down, a phrase of four repeated."""
    rng = rng_of(voice)
    phrase = [_chirp(voice, rng, span.sample_rate) for _ in range(4)]
    return place([(onset, phrase[k % 4]) for onset, k in beat(voice, span, 0.06)], span)


def _chirp(voice: Voice, rng: np.random.Generator, sample_rate: int) -> Signal:
    seconds = float(rng.uniform(0.07, 0.13))
    times = np.arange(int(seconds * sample_rate)) / sample_rate
    slope = rng.uniform(0.25, 0.6) * rng.choice([-1.0, 1.0]) / seconds
    trill = 0.05 * voice.timbre * np.sin(2 * np.pi * 45 * times)
    frequency = voice.pitch * (1 + slope * (times - seconds / 2) + trill)
    cycles = np.cumsum(frequency) / sample_rate
    return np.asarray(np.sin(2 * np.pi * cycles) * np.sin(np.pi * times / seconds) ** 2, np.float32)


def water(voice: Voice, span: Span) -> Signal:
    """Bubbles: many short rising tones at random instants, over a soft hiss."""
    rng = rng_of(voice)
    grains = []
    for pitch in voice.pitch * 2 ** rng.uniform(-0.8, 1.0, 12):
        times = np.arange(int(0.06 * span.sample_rate)) / span.sample_rate
        rising = np.sin(2 * np.pi * pitch * (times + 6 * times**2)) * decay(0.06, 0.012, span.sample_rate, 0.002)
        grains.append(rising.astype(np.float32))
    seconds = span.samples / span.sample_rate
    onsets = span.start + rng.uniform(-0.1, seconds, int(4 * voice.rate * seconds))
    drops = place([(float(onset), grains[k % 12]) for k, onset in enumerate(onsets)], span)
    hiss = band_noise(rng, span.samples, 1500, 5000, span.sample_rate)
    return (drops + np.float32(0.03 + 0.05 * voice.timbre) * hiss).astype(np.float32)
