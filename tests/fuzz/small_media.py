"""Small media files, 0.8 s each: 128 x 64 pixels at 10 frames/s, first-order sound at 24 kHz."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import soundfile

RATE, SECONDS, FRAMES = 24000, 0.8, 10
WIDTH, HEIGHT = 128, 64
AMBISONIC_GUID = bytes.fromhex("010000002107d3118644c8c1ca000000")
"""WAVEX subformat of ambisonic B format with integer samples."""
Samples = np.ndarray


def sound(channels: int = 4) -> Samples:
    """A plane wave from the left in ambiX, `(channels, samples)`, or its first channels."""
    noise = np.random.default_rng(0).normal(0, 0.1, round(SECONDS * RATE))
    return np.stack([noise, noise, 0 * noise, 0.3 * noise])[:channels].astype(np.float32)


def image(number: int) -> np.ndarray:
    """RGB `(HEIGHT, WIDTH, 3)`: a bright square that moves over a gradient."""
    frame = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    frame[:] = np.linspace(30, 200, WIDTH)[None, :, None]
    frame[20:36, 8 * number : 8 * number + 16] = (240, 60, 20)
    return frame


def film(path: Path, codec: str, audio: str = "", layout: str = "4.0", **options: str) -> None:
    """Write a video file, with sound if an audio codec is named."""
    with av.open(str(path), "w", options=options) as out:
        video = out.add_stream(codec, rate=FRAMES)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        video.codec_context.thread_count = 1
        track = out.add_stream(audio, rate=RATE, layout=layout) if audio else None
        if audio == "vorbis":
            track.codec_context.options = {"strict": "experimental"}
        for number in range(round(SECONDS * FRAMES)):
            frame = av.VideoFrame.from_ndarray(image(number), "rgb24").reformat(format=video.pix_fmt)
            frame.pts, frame.time_base = number, Fraction(1, FRAMES)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        if track:
            _encode(out, track, layout)


def audio_file(path: Path, codec: str, layout: str = "4.0") -> None:
    """Write an audio file through FFmpeg."""
    with av.open(str(path), "w") as out:
        _encode(out, out.add_stream(codec, rate=RATE, layout=layout), layout)


def _encode(out: av.container.OutputContainer, track: av.AudioStream, layout: str) -> None:
    packed = np.ascontiguousarray(sound(len(av.AudioLayout(layout).channels)).T).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
    frame.sample_rate, frame.pts = RATE, 0
    context = track.codec_context
    convert = av.AudioResampler(context.format.name, layout, RATE, frame_size=context.frame_size or None)
    for each in [*convert.resample(frame), *convert.resample(None)]:
        out.mux(track.encode(each))
    out.mux(track.encode(None))


def spatial_mov(path: Path) -> None:
    """24-bit sound with a box SA3D, and a spherical header."""
    import torch

    from avssl.media import write_spatial_mp4

    source = path.with_name(f"{path.stem}-frames.mp4")
    film(source, "libx264")
    write_spatial_mp4(path, source, [torch.from_numpy(sound())], RATE, panoramic=True, codec="pcm")
    source.unlink()


def amb(path: Path) -> None:
    """WAVEX with the GUID of ambisonic B format (FuMa)."""
    with path.open("wb") as file:
        soundfile.write(file, sound().T, RATE, "PCM_16", format="WAVEX")
    data = path.read_bytes()
    at = data.index(struct.pack("<H", 0xFFFE)) + 24
    path.write_bytes(data[:at] + AMBISONIC_GUID + data[at + 16 :])


def numbered_images(path: Path) -> None:
    """A folder of PNG files."""
    path.mkdir()
    for number in range(round(SECONDS * FRAMES)):
        cv2.imwrite(str(path / f"{number:06}.png"), image(number)[..., ::-1])


def _sound_file(subtype: str, form: str) -> Callable[[Path], None]:
    return lambda path: soundfile.write(str(path), sound().T, RATE, subtype, format=form)


VIDEO: dict[str, Callable[[Path], None]] = {
    "h264-aac.mp4": lambda path: film(path, "libx264", "aac"),
    "h264-pcm-sa3d.mov": spatial_mov,
    "h264-flac.mkv": lambda path: film(path, "libx264", "flac"),
    "vp9-opus.webm": lambda path: film(path, "libvpx-vp9", "libopus", "quad"),
    "mjpeg-pcm.avi": lambda path: film(path, "mjpeg", "pcm_s16le"),
    "h264-aac.ts": lambda path: film(path, "libx264", "aac"),
    "fragments.mp4": lambda path: film(path, "libx264", "aac", movflags="frag_keyframe+empty_moov"),
}
AUDIO: dict[str, Callable[[Path], None]] = {
    "pcm.wav": _sound_file("PCM_16", "WAV"),
    "pcm.w64": _sound_file("PCM_16", "W64"),
    "pcm.rf64": _sound_file("PCM_16", "RF64"),
    "pcm.caf": _sound_file("PCM_16", "CAF"),
    "pcm.aiff": _sound_file("PCM_16", "AIFF"),
    "flac.flac": _sound_file("PCM_16", "FLAC"),
    "vorbis.ogg": _sound_file("VORBIS", "OGG"),
    "b-format.amb": amb,
    "opus.mka": lambda path: audio_file(path, "libopus", "quad"),
}
IMAGES = "images.png"
"""Kind of the folder of PNG files; one of them is damaged."""


def suffix(kind: str) -> str:
    """File name suffix of a kind."""
    return Path(kind).suffix


def write_samples(folder: Path) -> dict[str, bytes]:
    """The bytes of a file of each kind; of the images, of the first."""
    found = {}
    for kind, write in (VIDEO | AUDIO).items():
        write(folder / kind)
        found[kind] = (folder / kind).read_bytes()
    numbered_images(folder / IMAGES)
    found[IMAGES] = (folder / IMAGES / "000000.png").read_bytes()
    film(folder / "mute.mp4", "libx264")
    return found
