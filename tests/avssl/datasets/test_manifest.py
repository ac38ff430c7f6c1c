import dataclasses
import math
import os
import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from avssl.datasets.manifest import Row, Rows, read_manifest, write_manifest


def row(key="a", **changes):
    base = Row(
        key=key, split="train", video="media/a.mp4", audio="media/a.wav", start=0.5, seconds=4.0, frame_rate=16.0,
        width=448, height=224, sample_rate=24000, layout="ambix", silent_channels="Z", azimuth=12.5, elevation=-3.0,
        diffuseness=0.25, source="somewhere/a.webm",
    )  # fmt: skip
    return dataclasses.replace(base, **changes)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "media").mkdir()
    for name in ("a.mp4", "a.wav"):
        (tmp_path / "media" / name).touch()
    return tmp_path


def one_line(error, *words):
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert str(word) in message, message


def test_rows_come_back_as_they_were_written(folder):
    rows = [row("a"), row("b", split="test", azimuth=math.nan, silent_channels="")]
    write_manifest(folder / "manifest.parquet", rows)
    manifest = read_manifest(folder)
    assert manifest.root == folder
    assert manifest.rows[0] == rows[0]
    assert math.isnan(manifest.rows[1].azimuth)
    assert [each.key for each in manifest.select("test")] == ["b"]
    assert [each.key for each in read_manifest(folder / "manifest.parquet", "train")] == ["a"]


def test_a_parquet_of_another_hand_may_leave_unknowns_empty(folder):
    table = {key: [value] for key, value in dataclasses.asdict(row()).items()}
    table |= {
        "azimuth": pa.array([None], pa.float32()),
        "layout": [None],
        "width": pa.array([448], pa.int16()),
        "more": [1],
    }
    pq.write_table(pa.table(table), folder / "manifest.parquet")
    (found,) = read_manifest(folder)
    assert math.isnan(found.azimuth)
    assert found.layout == ""
    assert found.width == 448


def test_nothing_half_written_is_left(folder, monkeypatch):
    write_manifest(folder / "manifest.parquet", [row("old")])

    def full(table, file):
        file.write(b"PAR1 half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OSError, match="No space left"):
        write_manifest(folder / "manifest.parquet", [row("new")])
    assert sorted(each.name for each in folder.iterdir()) == ["manifest.parquet", "media"]
    assert read_manifest(folder).rows[0].key == "old"


@pytest.mark.parametrize("rows", [[], [row("a"), row("a")]])
def test_writing_refuses_no_rows_and_two_of_one_key(folder, rows):
    with pytest.raises(ValueError, match="manifest.parquet: .*(none|two are 'a')"):
        write_manifest(folder / "manifest.parquet", rows)
    assert not (folder / "manifest.parquet").exists()


def test_a_missing_manifest_is_named(tmp_path):
    with pytest.raises(ValueError, match="no such file") as error:
        read_manifest(tmp_path)
    one_line(error, tmp_path / "manifest.parquet")


def test_a_file_that_is_not_parquet_is_refused(folder):
    (folder / "manifest.parquet").write_text("key,split\na,train\n")
    with pytest.raises(ValueError, match="expected a manifest") as error:
        read_manifest(folder)
    one_line(error, folder / "manifest.parquet")


def test_lacking_columns_are_named(folder):
    pq.write_table(pa.table({"key": ["a"], "split": ["train"]}), folder / "manifest.parquet")
    with pytest.raises(ValueError, match="lacks video, audio") as error:
        read_manifest(folder)
    one_line(error)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("width", ["wide"], "not of its kind"),
        ("video", [None], "no video"),
        ("audio", [""], "no audio"),
        ("seconds", [0.0], "seconds > 0"),
        ("seconds", [math.nan], "seconds > 0"),
        ("start", [-1.0], "start >= 0"),
        ("frame_rate", [0.0], "frame_rate > 0"),
        ("frame_rate", [math.nan], "frame_rate > 0"),
        ("video", ["x" * 300], "1 of its 2 files are missing"),
        ("audio", ["a\0.wav"], "1 of its 2 files are missing"),
        ("key", [b"\xff"], "not of its kind"),
    ],
)
def test_a_column_without_sense_is_refused(folder, column, value, said):
    table = {key: [each] for key, each in dataclasses.asdict(row()).items()} | {column: value}
    pq.write_table(pa.table(table), folder / "manifest.parquet")
    with pytest.raises(ValueError, match=said) as error:
        read_manifest(folder)
    one_line(error, folder / "manifest.parquet")


def test_two_columns_of_one_name_are_refused(folder):
    write_manifest(folder, [row()])
    table = pq.read_table(folder / "manifest.parquet")
    pq.write_table(table.append_column("key", pa.array(["b"])), folder / "manifest.parquet")
    with pytest.raises(ValueError, match="each column once, this has 'key' twice") as error:
        read_manifest(folder)
    one_line(error, folder / "manifest.parquet")


def test_text_that_is_not_utf8_is_refused(folder):
    table = pa.table({name: [each] for name, each in dataclasses.asdict(row()).items()})
    bytes_ = pa.array([b"\xff"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 1, bytes_.buffers())
    pq.write_table(table.set_column(0, "key", text), folder / "manifest.parquet")
    with pytest.raises(ValueError, match="not of its kind.*UTF8") as error:
        read_manifest(folder)
    one_line(error, folder / "manifest.parquet")


def test_an_empty_manifest_and_an_empty_split_are_refused(folder):
    write_manifest(folder / "manifest.parquet", [row()])
    with pytest.raises(ValueError, match=r"no clip of split 'test', only of \['train'\]"):
        read_manifest(folder, "test")
    pq.write_table(pq.read_table(folder / "manifest.parquet").slice(0, 0), folder / "manifest.parquet")
    with pytest.raises(ValueError, match="at least one row"):
        read_manifest(folder)


def test_files_that_are_gone_are_counted_and_the_first_named(folder):
    write_manifest(
        folder / "manifest.parquet", [row("a"), row("b", video="media/b.mp4"), row("c", audio="media/c.wav")]
    )
    with pytest.raises(ValueError, match="2 of its 4 files are missing, the first is 'media/b.mp4'") as error:
        read_manifest(folder)
    one_line(error, folder / "manifest.parquet")


@pytest.mark.parametrize(
    "path", ["../outside.mp4", "/etc/hostname", "media/../../outside.mp4", "media/link.mp4", "C:\\x.mp4"]
)
def test_paths_that_leave_the_folder_are_refused(tmp_path, folder, path):
    outside = tmp_path.parent / "outside.mp4"
    outside.touch()
    if not (folder / "media" / "link.mp4").is_symlink():
        (folder / "media" / "link.mp4").symlink_to(outside)
    write_manifest(folder / "manifest.parquet", [row(video=path)])
    with pytest.raises(ValueError, match="stay inside the manifest's folder") as error:
        read_manifest(folder)
    one_line(error, repr(path))


def test_a_manifest_reached_through_a_link_is_read(tmp_path, folder):
    write_manifest(folder / "manifest.parquet", [row()])
    link = tmp_path.parent / f"{tmp_path.name}-link"
    link.symlink_to(folder)
    assert len(read_manifest(link)) == 1


def test_slices_masks_and_orders_of_columns_are_those_of_the_rows(folder):
    rows = [
        row(key, split=split, start=start, azimuth=math.nan)
        for key, split, start in zip("dcab", "xyxz", range(4), strict=True)
    ]
    write_manifest(folder, rows)
    found = read_manifest(folder).rows
    assert tuple(found) == tuple(rows)
    assert tuple(found[1::2]) == tuple(rows[1::2])
    assert found[-1] == rows[-1]
    assert found[:2] == Rows.of(rows)[:2] == Rows.of(rows[:2])
    assert [each.key for each in found.take(found.where("split", ["x", "z"]))] == ["d", "a", "b"]
    assert (found.listed("key"), found.distinct("split")) == (["d", "c", "a", "b"], ["x", "y", "z"])
    assert pickle.loads(pickle.dumps(found[1:])) == found[1:]
    with pytest.raises(IndexError):
        found[4]


def test_the_first_of_several_bad_rows_is_named(folder):
    write_manifest(folder, [row(key) for key in "abcd"])
    table = pq.read_table(folder / "manifest.parquet")
    place = table.schema.get_field_index("seconds")
    table = table.set_column(place, "seconds", pa.array([1.0, 1.0, math.inf, None]))
    table = table.set_column(0, "key", pa.array(["a", "b", "b", None]))
    pq.write_table(table, folder / "manifest.parquet")
    with pytest.raises(ValueError, match="row 'b' wants start >= 0, seconds > 0, has 0.5, inf") as error:
        read_manifest(folder)
    one_line(error, folder / "manifest.parquet")


def test_a_folder_of_many_files_is_listed_once(folder, monkeypatch):
    names = [f"media/{number}.mp4" for number in range(100)]
    for name in names:
        (folder / name).touch()
    write_manifest(folder, [row(name, video=name) for name in names])
    looked, listed, stat, scandir = [], [], Path.stat, os.scandir
    monkeypatch.setattr(Path, "stat", lambda path, **options: looked.append(path) or stat(path, **options))
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scandir(path))
    read_manifest(folder)
    assert listed == [folder.resolve() / "media"]
    assert len(looked) < 20


def test_links_out_and_files_that_are_gone_are_found_in_a_folder_of_many(tmp_path, folder):
    names = [f"media/{number}.mp4" for number in range(100)]
    for name in names:
        (folder / name).touch()
    write_manifest(folder, [row(name, video=name) for name in names])
    (folder / names[70]).unlink()
    (folder / names[40]).unlink()
    (folder / names[40]).mkdir()
    with pytest.raises(ValueError, match="2 of its 101 files are missing, the first is 'media/40.mp4'"):
        read_manifest(folder)
    for place, target in ((40, folder / names[0]), (70, tmp_path.parent / "outside.mp4")):
        (folder / names[place]).rmdir() if (folder / names[place]).is_dir() else None
        target.touch()
        (folder / names[place]).symlink_to(target)
    with pytest.raises(ValueError, match="'media/70.mp4' does not: a link leads out"):
        read_manifest(folder)
    (folder / "media").rename(tmp_path.parent / f"{tmp_path.name}-elsewhere")
    (folder / "media").symlink_to(tmp_path.parent / f"{tmp_path.name}-elsewhere")
    with pytest.raises(ValueError, match="'media/0.mp4' does not: a link leads out"):
        read_manifest(folder)
