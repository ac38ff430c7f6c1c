"""Tables at the end of a pretraining run."""

from rich.console import Console

from avssl.train import summary_tables


def test_retrieval_table_shows_chance_beside_each_number() -> None:
    metrics = {}
    for direction, base in (("audio_to_video", 0.1), ("video_to_audio", 0.5)):
        for place, name in enumerate(("r1", "r5", "r10", "map_r")):
            metrics |= {f"{direction}_{name}": base + place / 10, f"{direction}_{name}_chance": (place + 1) / 100}
    console = Console(width=120)
    with console.capture() as captured:
        console.print(summary_tables.retrieval_table(metrics, "title"))
    title, _, header, _, *rows = captured.get().splitlines()
    assert title.strip() == "title"
    assert [name in header for name in ("R@1 %", "R@5 %", "R@10 %", "MAP@R %", "(chance)")] == [True] * 5
    cells = [[cell.strip() for cell in row.split("│")[1:-1]] for row in rows[:2]]
    assert cells == [
        ["audio -> video", "10.0 (1.0)", "20.0 (2.0)", "30.0 (3.0)", "40.0 (4.0)"],
        ["video -> audio", "50.0 (1.0)", "60.0 (2.0)", "70.0 (3.0)", "80.0 (4.0)"],
    ]
