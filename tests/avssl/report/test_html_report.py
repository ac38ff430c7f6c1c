"""`avssl report --html`: what stands on the page, against the files of the runs; mistakes in one line."""

import base64
import hashlib
import html
import json
import logging
import math
import re

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from avssl.cli import main
from avssl.media import write_audio, write_video
from avssl.report.html.axes import ticks
from avssl.report.html.clip_examples import Budget, choose, clip_examples
from avssl.report.html.confusion_table import confusion_counts
from avssl.report.html.direction_plot import angle_errors
from avssl.report.html.embedding_plot import projections
from avssl.report.html.markdown_text import markdown_html
from avssl.report.html.scalar_curves import read_curves
from avssl.report.report import report
from avssl.runs.evaluated_clips import FILE, EvaluatedClip, EvaluatedClips, with_embeddings, write_evaluated_clips
from avssl.spatial.ambisonics import angle_between
from avssl.train.event_file import EventFile

HOSTILE = "<img src=x onerror=alert(1)>&\"'"


def tables(page, name):
    """Cells of the bodies of all tables of this name, as text."""
    found = re.findall(rf'<table data-table="{name}">.*?<tbody>(.*?)</tbody>', page, re.DOTALL)
    rows = [re.findall(r"<tr>(.*?)</tr>", each, re.DOTALL) for each in found]
    return [[[html.unescape(re.sub("<.*?>", "", cell)) for cell in re.findall(r"<td.*?</td>", row)] for row in each]
            for each in rows]  # fmt: skip


def evaluated(root, count=12, **about):
    """Clips of two classes whose embeddings form two groups, found 12 degrees beside their directions."""
    clips = tuple(
        EvaluatedClip(
            f"clip{at}", at / count, "ab"[at % 2], "a" if at == 1 else "ab"[at % 2], azimuth=30.0 * at, elevation=0.0,
            predicted_azimuth=30.0 * at + 12, predicted_elevation=0.0, **about,
        )
        for at in range(count)
    )  # fmt: skip
    groups = np.random.default_rng(0).normal(size=(count, 8)) + 20 * (2 * (np.arange(count) % 2) - 1)[:, None]
    return EvaluatedClips(tuple(with_embeddings(clips, "audio", groups)), root, "share")


@pytest.fixture
def folder(make_run, tmp_path):
    """A run with events, and evaluated clips without media."""
    made = make_run("run", 3, {"avsa_bin": 0.8125, "avsa_bin_low": 0.75, "avsa_bin_high": 0.875, "test_x": 1 / 3})
    events = EventFile(made, 1)
    for step, value in ((10, 2.0), (20, 1.5), (30, math.nan)):
        events.add_scalar("loss", value, step)
        events.add_scalar("spread/video", value / 2, step)
    events.close()
    write_evaluated_clips(made, evaluated(tmp_path))
    return made


def test_numbers_are_those_of_the_run_and_of_the_printed_table(folder, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "avssl"):
        printed = report([folder], html=tmp_path / "page.html", examples=0)
    page = (tmp_path / "page.html").read_text()
    (metrics,) = tables(page, "metrics")
    assert {name: float(value) for name, value in metrics} == json.loads((folder / "metrics.json").read_text())
    (row,) = tables(page, "results")[0]
    assert [each.strip() for each in printed.splitlines()[2].split("|")[1:-1]] == row
    assert tables(page, "references") == [[["run", "avsa_bin", "0.8125", "0.5"]]]
    size = re.search(r"avssl [\w.+-]+, (\d+\.\d) MB", page)
    assert float(size[1]) == pytest.approx(len(page.encode()) / 1e6, abs=0.06)
    assert "page.html: " in caplog.text


def test_the_page_loads_nothing_and_runs_only_its_own_script(folder, tmp_path):
    report([folder], html=tmp_path / "page.html", examples=0)
    page = (tmp_path / "page.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    for kind in ("style", "script"):
        (source,) = re.findall(f"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert not re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?!data:)[a-z]+:""", page)


def test_hostile_names_are_text(make_run, tmp_path):
    made = make_run("run", 0, {"avsa_bin": 0.5, HOSTILE: 1.0}, title=HOSTILE)
    clips = tuple(EvaluatedClip(HOSTILE, 0.5, HOSTILE, HOSTILE, azimuth=0.0, elevation=0.0) for _ in range(6))
    rows = np.random.default_rng(0).normal(size=(6, 4))
    write_evaluated_clips(made, EvaluatedClips(tuple(with_embeddings(clips, "video", rows)), tmp_path, HOSTILE))
    report([made], html=tmp_path / "page.html", examples=1)
    page = (tmp_path / "page.html").read_text()
    assert "<img" not in page
    assert page.count(html.escape(HOSTILE)) > 8


def test_curves_are_the_logged_scalars_without_nan(folder):
    curves = read_curves(folder)
    assert curves == {"loss": [(10, 2.0), (20, 1.5)], "spread/video": [(10, 1.0), (20, 0.75)]}
    assert read_curves(folder / "nothing") == {}


def test_projections_are_those_of_a_decomposition_and_keep_groups_apart(tmp_path):
    _, rows = evaluated(tmp_path, 40).embeddings("audio")
    found = projections(rows.astype(float))
    (pca, *others) = found
    scaled = (rows - rows.mean(0)) / rows.std(0)
    left, singular, _ = np.linalg.svd(scaled.astype(float), full_matrices=False)
    np.testing.assert_allclose(np.abs(found[pca]), np.abs(left[:, :2] * singular[:2]), atol=1e-3)
    assert pca == f"PCA ({100 * (singular[:2] ** 2).sum() / (singular**2).sum():.0f} % of the variance)"
    assert len(others) == 2
    for name, points in found.items():
        centres = points[::2].mean(0), points[1::2].mean(0)
        spread = max(np.linalg.norm(part - centre, axis=1).max() for part, centre in
                     zip((points[::2], points[1::2]), centres, strict=True))  # fmt: skip
        assert np.linalg.norm(centres[0] - centres[1]) > spread, name


def test_direction_errors_are_great_circle_angles(tmp_path):
    clips = [
        EvaluatedClip("a", 0, azimuth=10, elevation=20, predicted_azimuth=-170, predicted_elevation=-20),
        EvaluatedClip("b", 0, azimuth=179, elevation=0, predicted_azimuth=-179, predicted_elevation=0),
        EvaluatedClip("c", 0, azimuth=40, elevation=-60, predicted_azimuth=95, predicted_elevation=12),
    ]
    names = ("azimuth", "elevation", "predicted_azimuth", "predicted_elevation")
    angles = torch.tensor([[getattr(each, name) for each in clips] for name in names]).deg2rad()
    expected = angle_between(*angles).rad2deg().numpy()
    np.testing.assert_allclose(angle_errors(clips), expected, atol=1e-3)
    np.testing.assert_allclose(angle_errors(clips)[:2], [180, 2], atol=1e-3)


def test_page_has_confusion_directions_and_embeddings(folder, tmp_path):
    report([folder], html=tmp_path / "page.html", examples=0)
    page = (tmp_path / "page.html").read_text()
    assert confusion_counts(evaluated(tmp_path)) == {("a", "a"): 6, ("b", "b"): 5, ("b", "a"): 1}
    assert '<th scope="row">b</th><td class="share2">1</td><td class="share8 right">5</td>' in page
    assert "errors: median 12.0°, mean 12.0°" in page
    assert "10° to 20°: 12" in page
    assert "audio embeddings, 12 clips" in page
    assert "<title>clip3, b, 90° / 0°</title>" in page


def test_worst_and_best_are_chosen_once_each():
    ranked = [EvaluatedClip(key, score) for key, score in (("a", 3), ("b", 2), ("a", 1), ("c", 0))]
    assert [(title, clip.key, clip.score) for title, clip in choose(ranked, 1)] == [
        ("worst 1", "c", 0),
        ("best 1", "a", 3),
    ]
    assert [clip.key for _, clip in choose(ranked, 3)] == ["a", "b", "c"]
    assert [clip.key for _, clip in choose(ranked, 2)] == ["c", "a", "b"]


def test_examples_hold_picture_and_sound_up_to_a_number_of_bytes(tmp_path):
    write_video(tmp_path / "v.mp4", [np.full((64, 128, 3), 99, np.uint8)] * 8, 8)
    write_audio(tmp_path / "a.wav", 0.1 * torch.ones(4, 24000), 24000)
    clips = tuple(EvaluatedClip(f"c{at}", at, video="v.mp4", audio="a.wav", seconds=1.0) for at in range(2))
    found = EvaluatedClips(clips, tmp_path, "score")
    page = clip_examples(found, 1, Budget(), tmp_path)
    assert page.count("<video controls") == 2
    film = base64.b64decode(re.search(r"data:video/mp4;base64,([^\"]*)", page)[1])
    assert film[4:8] == b"ftyp"
    assert clip_examples(found, 1, Budget(len(film)), tmp_path).count("<video") == 0
    assert "24 MB at most" in clip_examples(found, 1, Budget(len(film)), tmp_path)
    (tmp_path / "v.mp4").unlink()
    assert "v.mp4" in clip_examples(found, 1, Budget(), tmp_path)


def test_what_a_run_lacks_is_said_with_a_command(make_run, tmp_path):
    made = make_run("bare", 0, {"avsa_bin": 0.5})
    (made / "environment.json").unlink()
    report([made], html=tmp_path / "page.html")
    page = html.unescape((tmp_path / "page.html").read_text())
    assert page.count(f"<code>avssl pretrain --task avsa --out {made}</code>") == 3
    for what in ("No curves of bare", "the run holds no environment.json", "the run holds no evaluated.parquet"):
        assert what in page


@pytest.mark.parametrize(
    ("spoil", "target", "message"),
    [
        (None, ".", "is a folder"),
        (None, "page.txt", "expected the name of a .html file"),
        (None, "nowhere/page.html", "there is no folder"),
        (FILE, "page.html", "expected evaluated clips of avssl"),
        ("environment.json", "page.html", "environment.json"),
        ("metrics.json", "page.html", "metrics.json"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(folder, tmp_path, spoil, target, message):
    if spoil:
        (folder / spoil).write_text("[1")
    before = sorted(tmp_path.rglob("*"))
    (tmp_path / "dir.html").mkdir() if target == "." else None
    path = tmp_path / ("dir.html" if target == "." else target)
    result = CliRunner().invoke(main, ["report", str(folder), "--html", str(path)])
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert [each for each in sorted(tmp_path.rglob("*")) if each.name != "dir.html"] == before


def test_no_run_folder_is_one_line(tmp_path):
    result = CliRunner().invoke(main, ["report", str(tmp_path / "no"), "--html", str(tmp_path / "page.html")])
    assert (result.exit_code, len(result.stderr.strip().splitlines())) == (2, 1)
    assert not (tmp_path / "page.html").exists()


def test_markdown_of_avssl_becomes_tables_lists_and_paragraphs():
    source = "| a | b \\| c |\n| --- | --: |\n| *x* | **<1>** |\n\ntext\nmore\n\n- one\n- two\n"
    assert markdown_html(source).split("<tbody>")[1] == (
        "<tr><td><em>x</em></td><td class=number><strong>&lt;1&gt;</strong></td></tr></tbody></table></div>"
        "<p>text more</p><ul><li>one</li><li>two</li></ul>"
    )
    assert "b | c" in markdown_html(source)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 7.9), (1e-5, 3e-5), (999.0, 1001.0)])
def test_ticks_are_round_and_inside(low, high):
    found = ticks(low, high)
    assert 3 <= len(found) <= 11
    assert all(low - 1e-9 <= each <= high + 1e-9 for each in found)
    assert np.ptp(np.diff(found)) < 1e-9 * abs(high)
