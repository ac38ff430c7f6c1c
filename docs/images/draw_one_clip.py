"""Draws one_clip.svg: the route of one clip from file to loss, with the modules that it passes.

python docs/images/draw_one_clip.py
"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, HEIGHT, GAP = 760, 66, 26
STAGES = (
    # title, data, modules, colour
    ("Recording", "video and ambisonic audio, any channel layout", "avssl/datasets/layouts", "#e8eef7"),
    (
        "Prepare",
        "manifest.parquet, proxies in ambiX",
        "avssl/datasets/prepare.py · avssl/datasets/transcode.py",
        "#e8eef7",
    ),
    ("Manifest row", "paths, start, seconds, split", "avssl/datasets/manifest.py", "#e8eef7"),
    (
        "Loader process: Clip",
        "frames uint8 (T, 3, H, W), audio (4, samples)",
        "avssl/data/loader.py · avssl/media",
        "#e5f3ea",
    ),
    (
        "Views of the task",
        "K crops (K, T, 3, h, w), rotated audio (K, 4, samples)",
        "tasks/avssl_tasks/avsa.py · avssl/data/crops.py · avssl/spatial",
        "#e5f3ea",
    ),
    (
        "Batch on the device",
        "collated views of B clips",
        "avssl/data/worker_loader.py · avssl/train/data_timer.py",
        "#fdf1e0",
    ),
    ("Features", "log-mel spectrograms, intensity (B·K, maps, time, mels)", "avssl/spatial/features.py", "#fdf1e0"),
    ("Towers", "audio and video embeddings (B·K, width)", "avssl/models/encoders.py", "#fdf1e0"),
    (
        "Projection heads, loss",
        "InfoNCE over crops and clips of all processes",
        "tasks/avssl_tasks/avsa.py · avssl/losses.py",
        "#fdf1e0",
    ),
    ("Step", "backward, optimiser, checkpoint, metrics", "avssl/train/loop.py · avssl/runs/run_folder.py", "#f5e6ee"),
)


def draw() -> str:
    """The picture as SVG text."""
    height = len(STAGES) * (HEIGHT + GAP)
    boxes = "\n".join(_box(index, *stage) for index, stage in enumerate(STAGES))
    arrows = "\n".join(_arrow(index) for index in range(len(STAGES) - 1))
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">
<title>One clip from file to loss</title>
<defs><marker id="head" markerWidth="8" markerHeight="8" refX="6" refY="3" orient="auto">
<path d="M0,0 L6,3 L0,6 z" fill="#555"/></marker></defs>
<rect width="{WIDTH}" height="{height}" fill="white"/>
{boxes}
{arrows}
</svg>
"""


def _box(index: int, title: str, data: str, modules: str, colour: str) -> str:
    top = 8 + index * (HEIGHT + GAP)
    return f"""<rect x="10" y="{top}" width="{WIDTH - 20}" height="{HEIGHT}" rx="8" fill="{colour}" stroke="#888"/>
<text x="26" y="{top + 27}" font-size="17" font-weight="bold" fill="#222">{escape(title)}</text>
<text x="{WIDTH - 26}" y="{top + 27}" font-size="14" text-anchor="end" fill="#222">{escape(data)}</text>
<text x="26" y="{top + 51}" font-size="13" font-family="monospace" fill="#444">{escape(modules)}</text>"""


def _arrow(index: int) -> str:
    top = 8 + index * (HEIGHT + GAP) + HEIGHT
    return f'<path d="M{WIDTH // 2},{top} V{top + GAP - 3}" stroke="#555" stroke-width="1.5" marker-end="url(#head)"/>'


if __name__ == "__main__":
    Path(__file__).with_name("one_clip.svg").write_text(draw(), encoding="utf-8")
