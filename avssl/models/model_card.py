"""Model card of an encoder folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CARD = """---
license: apache-2.0
library_name: avssl
tags: [self-supervised, audio-visual, ambisonics, 360-degree-video]
---

# Audio and video encoders, pretrained with avssl

Two networks that map audio and frames of 360-degree video to embeddings. Version {version} of the format `{format}`.

| | tower | parameters | embedding |
| --- | --- | --- | --- |
| audio | `{audio}` | {audio_parameters:,} | {audio_width} dimensions |
| video | `{video}` | {video_parameters:,} | {video_width} dimensions |

## Inputs

* **Audio**: float, shape `(..., {channels}, samples)`, full scale 1, at {sample_rate} Hz. {order}
  The first layer computes the features `{feature}`: {maps} maps of {mels} mel bands, windows of {n_fft} samples,
  hop of {hop} samples. Their statistics are part of the weights.
* **Frames**: uint8, or float in 0..255, shape `(..., time, 3, height, width)`, RGB: perspective crops of
  360-degree frames. The first layer normalises them with ImageNet's mean and standard deviation.

{geometry}Convention: {convention}: x front, y left, z up; azimuth counter-clockwise from the front, elevation up.

## Training

{training}
{results}
## Use

```python
from avssl.models import Encoders

encoders = Encoders.from_pretrained("path/to/this/folder")
audio_embedding = encoders.audio(audio)  # (..., {audio_width})
video_embedding = encoders.video(frames)  # (..., {video_width})
```

They are loaded in evaluation mode. Weights are in safetensors format; nothing is unpickled.

## Licence

Code: Apache-2.0. The terms of the training data may apply to the weights too.
"""

FOA = "First-order ambisonics, ambiX: channels in ACN order W, Y, Z, X with SN3D gain."
STEREO = "Two channels, left and right, are accepted too."
OTHER = {1: "One channel: mono, or W of ambiX.", 2: "Two channels: left, right."}


def model_card(config: Mapping[str, Any]) -> str:
    """Text of `README.md`.

    Args:
        config: content of `config.json`.
    """
    features, audio, video = config["features"], config["audio"], config["video"]
    return CARD.format(
        version=config["version"],
        format=config["format"],
        geometry=_geometry(config.get("geometry")),
        convention=config["convention"],
        sample_rate=config["sample_rate"],
        audio=config["model"]["audio"] or config["model"]["preset"],
        video=config["model"]["video"] or config["model"]["preset"],
        audio_parameters=audio["parameters"],
        video_parameters=video["parameters"],
        audio_width=audio["width"],
        video_width=video["width"],
        channels=audio["channels"],
        order=_channel_order(features["name"], audio["channels"]),
        maps=audio["maps"],
        feature=features["name"],
        mels=features["mels"],
        n_fft=features["n_fft"],
        hop=features["hop"],
        training=_table(config["training"]),
        results=_results(config.get("results")),
    )


def _channel_order(feature: str, channels: int) -> str:
    """Sentence on the input channels."""
    order = OTHER.get(channels, FOA)
    return f"{order} {STEREO}" if feature.startswith("stereo") and channels == 4 else order


def _geometry(geometry: Mapping[str, Any] | None) -> str:
    """Windows and crops of the training; empty if unknown."""
    if not geometry:
        return ""
    seconds, frames, rate = (geometry[name] for name in ("seconds", "frames", "frame_rate"))
    text = f"Windows of the training: {seconds:g} s of audio, {frames} frames at {rate:g} Hz"
    if geometry["size"]:
        text += f", crops of {geometry['size']} x {geometry['size']} pixels"
    if geometry["min_fov"] and geometry["max_fov"]:
        text += f", horizontal field of view {geometry['min_fov']:g} to {geometry['max_fov']:g} degrees"
    return f"{text}. Downstream heads default to this geometry.\n\n"


def _results(results: Mapping[str, Any] | None) -> str:
    """Section of what was measured; empty without it."""
    return f"\n## Results\n\n{_table(results)}\n" if results else ""


def _table(training: Mapping[str, Any]) -> str:
    if not training:
        return "Not recorded."
    rows = [f"| {name} | {_format_value(value)} |" for name, value in training.items()]
    return "\n".join(["| | |", "| --- | --- |", *rows])


def _format_value(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", r"\|").replace("\n", " ")
