"""Model card of a fitted generator that comes with avssl."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

CARD = """---
license: apache-2.0
library_name: avssl
tags: [spatial-audio, ambisonics, 360-degree-video]
---

# {name}: spatial audio from mono sound and frames

A fitted generator `{generator}` of the recipe `{recipe}`: {parameters:,} parameters, weights of layers in half
precision. Output: {output} at {sample_rate} Hz; frames of {field:g} degrees. Weights are in safetensors format; nothing
is unpickled.

## Training

{steps} steps on synthetic scenes alone (`{dataset}`), seed {seed}. No recording was used: expect less of films.

## Results

{results}

```bash
avssl downstream spatialize --input film.mp4 --output film-spatial.mp4 --head {name}
```

## Licence

Code and weights: Apache-2.0.
"""
TITLES = {
    "test": "generator",
    "silence": "silence in the generated channels",
    "mono": "mono in every channel",
    "prior": "spatial prior of the training clips",
    "ahead": "straight ahead",
    "flipped": "generator, mirrored frames",
    "best_real": "oracle: best real masks",
}


def head_card(
    name: str,
    recipe: str,
    config: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    scores: Mapping[str, Any],
    recordings: Mapping[str, str],
) -> tuple[str, dict[str, str]]:
    """Text of `README.md`, and the numbers in it.

    Args:
        name: of the head.
        recipe: that it was fitted by.
        config: its `config.json`.
        weights: its tensors.
        scores: sections of `scores.json`.
        recordings: metric -> text of what was measured on recordings.
    """
    options = config["options"]
    numbers = {
        **_rows(scores["run"], "held-out scenes of the run"),
        **_rows(scores["metrics"], f"{scores['scenes']['clips']} scenes of seed {scores['scenes']['synthetic_seed']}"),
        "recordings, not adapted: energy explained": recordings.get("explained", "not measured"),
        "recordings, not adapted: direction error": recordings.get("direction_error", "not measured"),
        "sha256 of the weights": scores["weights"],
    }
    table = "\n".join(["| | |", "| --- | --- |", *(f"| {title} | {text} |" for title, text in numbers.items())])
    text = CARD.format(
        name=name, recipe=recipe, generator=options["generator"], results=table, output=config["output"],
        parameters=sum(each.numel() for each in weights.values()), sample_rate=config["sample_rate"],
        field=config["field_of_view"], steps=options["train"]["steps"], seed=options["train"]["seed"],
        dataset=scores["scenes"]["synthetic_dataset"],
    )  # fmt: skip
    return text, numbers


def _rows(metrics: Mapping[str, float], where: str) -> dict[str, str]:
    """Energy explained and direction error of every row, as text."""
    return {f"{where}, {title}": text for row, title in TITLES.items() if (text := _row(metrics, row))}


def _row(metrics: Mapping[str, float], row: str) -> str:
    explained, error = metrics.get(f"{row}_explained"), metrics.get(f"{row}_direction_error")
    ends = [metrics.get(f"{row}_explained_{end}") for end in ("low", "high")]
    interval = "" if None in ends else " [{:.1f}, {:.1f}]".format(*(100 * (each or 0.0) for each in ends))
    said = [] if explained is None else [f"energy explained {100 * explained:.1f} %{interval}"]
    return ", ".join([*said, *([] if error is None else [f"direction error {error:.1f}°"])])
