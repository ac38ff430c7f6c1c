"""Tables at the end of a pretraining run."""

from rich.console import Console
from rich.table import Table

from avssl.train import summary_tables


def test_retrieval_table_shows_chance_and_observers_below_each_direction() -> None:
    metrics = {}
    for direction, base in (("audio_to_video", 0.1), ("video_to_audio", 0.5)):
        for place, name in enumerate(("r1", "r5", "r10", "map_r")):
            metrics |= {f"{direction}_{name}": base + place / 10, f"{direction}_{name}_chance": (place + 1) / 100}
        metrics |= {f"{direction}_median_rank": 100 * base, f"{direction}_median_rank_chance": 500}
    metrics |= {"video_to_audio_r5_ideal_kinds": 0.875, "video_to_audio_median_rank_ideal_kinds": 2.5}
    header, rows = printed(summary_tables.retrieval_table(metrics, "title"))
    assert header == ["", "R@1 %", "R@5 %", "R@10 %", "MAP@R %", "median rank"]
    assert rows == [
        ["audio -> video", "10.0", "20.0", "30.0", "40.0", "10"],
        ["chance", "1.0", "2.0", "3.0", "4.0", "500"],
        ["video -> audio", "50.0", "60.0", "70.0", "80.0", "50"],
        ["chance", "1.0", "2.0", "3.0", "4.0", "500"],
        ["ideal observer: kinds", "", "87.5", "", "", "2.5"],
    ]


def test_each_scalar_stands_beside_chance_and_observers_that_it_has() -> None:
    metrics = {"steps": 3, "test_loss": 3.4567, "test_avc_acc": 0.0512, "test_avc_acc_chance": 0.03125}
    metrics |= {f"test_avc_acc_ideal_{name}": 0.1 * place for place, name in enumerate(("kinds", "both"), 1)}
    metrics |= {"test_peak": 12.0, "test_peak_chance": 90.0, "test_peak_ideal": 1.5}
    header, rows = printed(summary_tables.held_out_table(metrics, "title"))
    assert header == ["", "this run", "chance", "ideal observer", "kinds", "both"]
    assert rows == [
        ["loss", "3.46", "", "", "", ""],
        ["avc_acc", "0.0512", "0.0312", "", "0.1", "0.2"],
        ["peak", "12", "90", "1.5", "", ""],
    ]


def test_probe_cosine_chance_and_observers_stand_in_one_table() -> None:
    metrics = {f"avc_bin{end}": 0.9 for end in ("", "_low", "_high", "_cosine", "_cosine_low", "_cosine_high")}
    metrics |= {"avsa_bin": 0.8, "avsa_bin_low": 0.7, "avsa_bin_high": 0.85, "avc_bin_ideal_activity": 0.95}
    header, rows = printed(summary_tables.accuracy_table(metrics, "title"))
    assert header == ["", "AVC-Bin %", "AVSA-Bin %"]
    assert rows == [
        ["probe", "90.0 [90.0, 90.0]", "80.0 [70.0, 85.0]"],
        ["threshold on the cosine", "90.0 [90.0, 90.0]", ""],
        ["chance", "50.0", "50.0"],
        ["ideal observer: both+activity", "95.0", ""],
    ]


def test_random_and_guided_crops_have_a_table_each() -> None:
    metrics = {"avc_bin": 0.6, "avsa_bin": 0.7, "guided_avc_bin": 0.8, "guided_avsa_bin": 0.9, "guided_crops": 0.5}
    random, guided = summary_tables.tables(metrics, "avsa foa-iv")
    assert str(guided.title) == "avsa foa-iv, held-out clips, frozen encoders, crops guided by objects"
    for table, scores in ((random, ["60.0", "70.0"]), (guided, ["80.0", "90.0"])):
        table.title = "title"
        assert printed(table)[1] == [["probe", *scores], ["chance", "50.0", "50.0"]]


def test_titles_name_the_validation_seed() -> None:
    metrics = {"test_loss": 1.0}
    titles = [[str(each.title) for each in summary_tables.tables(metrics, "avc foa-iv", seed)] for seed in (None, 7)]
    assert titles == [["avc foa-iv, held-out clips"], ["avc foa-iv, clips of validation seed 7"]]


def printed(table: Table) -> tuple[list[str], list[list[str]]]:
    """Cells of the header and of the rows of a table titled `title`."""
    console = Console(width=140)
    with console.capture() as captured:
        console.print(table)
    title, _, header, _, *rows = captured.get().splitlines()
    assert title.strip() == "title"
    cells = [
        [cell.strip() for cell in row.replace("┃", "│").split("│")[1:-1]]
        for row in (header, *rows)
        if "│" in row or "┃" in row
    ]
    return cells[0], cells[1:]
