"""The part of a Markdown file that a report rewrites, and the rest that it leaves alone."""

import stat

import pytest
from click.testing import CliRunner

from avssl.cli import main
from avssl.io.markdown_insertion import BEGIN, END, Insertion, marks


@pytest.fixture
def runs(scored):
    return list(map(str, scored("AVSA", [0.7, 0.72])))


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_only_what_stands_between_the_lines_changes(tmp_path, runs, ending):
    path = tmp_path / "RESULTS.md"
    before, after = f"# Results \t{ending}é{ending}", f"{ending}tail without end"
    path.write_bytes(f"{before}{BEGIN}{ending}old{ending}{END}{after}".encode())
    assert CliRunner().invoke(main, ["report", *runs, "--into", str(path)]).exit_code == 0
    first = path.read_bytes()
    text = first.decode()
    assert text.startswith(before + BEGIN + ending)
    assert text.endswith(ending + END + after)
    assert "old" not in text
    assert "| AVSA |" in text
    assert text.count("\r\n") == (text.count("\n") if ending == "\r\n" else 0)
    assert CliRunner().invoke(main, ["report", *runs, "--into", str(path)]).exit_code == 0
    assert path.read_bytes() == first


def test_a_code_block_may_show_the_lines(tmp_path):
    path = tmp_path / "a.md"
    path.write_text(f"`{BEGIN}` and\n```\n{BEGIN}\n{END}\n```\n{BEGIN}\n{END}\n")
    Insertion(path).write("new\n")
    assert path.read_text() == f"`{BEGIN}` and\n```\n{BEGIN}\n{END}\n```\n{BEGIN}\n\nnew\n\n{END}\n"


def test_a_part_is_found_by_its_name_and_the_others_stay(tmp_path, runs):
    path = tmp_path / "a.md"
    places = [
        f"{begin}\n{old}\n{end}\n" for old, (begin, end) in zip("xyz", map(marks, ("", "one", "two")), strict=True)
    ]
    path.write_text("".join(places))
    assert "<!-- avssl report one -->" in places[1]
    assert "<!-- end of report one -->" in places[1]
    assert CliRunner().invoke(main, ["report", *runs, "--into", str(path), "--part", "one"]).exit_code == 0
    text = path.read_text()
    assert text.startswith(places[0])
    assert text.endswith(places[2])
    assert "\ny\n" not in text
    result = CliRunner().invoke(main, ["report", *runs, "--into", str(path), "--part", "three"])
    assert result.exit_code == 2
    assert "expected one line '<!-- avssl report three -->'" in result.output


def test_a_link_stays_a_link_and_the_mode_stays(tmp_path):
    path, link = tmp_path / "a.md", tmp_path / "link.md"
    path.write_text(f"{BEGIN}\n{END}\n")
    path.chmod(0o604)
    link.symlink_to(path)
    Insertion(link).write("new")
    assert link.is_symlink()
    assert "new" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


def test_the_figure_is_linked_from_where_the_file_lies(tmp_path, runs):
    (tmp_path / "docs").mkdir()
    path = tmp_path / "docs" / "RESULTS.md"
    path.write_text(f"{BEGIN}\n{END}\n")
    arguments = ["report", *runs, "--into", str(path), "--out", str(tmp_path / "the figures")]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    assert "](../the%20figures/report.png)" in path.read_text()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("# Results\n", f"expected one line '{BEGIN}' for the report, there are 0"),
        (f"{BEGIN}\n", f"expected one line '{END}' for the report, there are 0"),
        (f"{BEGIN}\n{END}\n{BEGIN}\n{END}\n", "there are 2"),
        (f"{END}\n{BEGIN}\n", "comes before"),
        (b"\xff\xfe", "expected Markdown in UTF-8"),
        (None, "a.md: expected Markdown, there is no such file"),
    ],
)
def test_a_file_without_a_place_is_refused_before_anything_is_written(tmp_path, runs, content, message):
    path = tmp_path / "a.md"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = CliRunner().invoke(main, ["report", *runs, "--into", str(path), "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "out").exists()


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "a.md"
    path.write_text(f"{BEGIN}\nold\n{END}\n")
    place = Insertion(path)
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        place.write("new")
    assert path.read_text() == f"{BEGIN}\nold\n{END}\n"
    assert list(tmp_path.iterdir()) == [path]
