"""Parquet tables of others: bounds on rows and texts, whatever the file's size; other files are refused in one line."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from avssl.errors import InputError
from avssl.io.parquet_table import ParquetTable, shared_values, write_parquet

SCHEMA = pa.schema([("key", pa.string()), ("start", pa.float64())])


def repeated(text, count):
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([text]))


def table(path, most=1000):
    return ParquetTable(path, SCHEMA, "a table", most)


def test_ten_million_rows_of_a_small_file_are_refused_unread(tmp_path):
    path = tmp_path / "a.parquet"
    count = 10_000_000
    columns = {"key": repeated("media/a.mp4", count), "start": np.zeros(count)}
    pq.write_table(pa.table(columns), path, compression="zstd")
    assert path.stat().st_size < 1_000_000
    with pytest.raises(InputError, match="a.parquet: expected a table of 1000 rows at most, got 10000000$"):
        table(path).read()


@pytest.mark.parametrize("dictionary", [False, True])
def test_a_long_text_in_every_row_is_refused(tmp_path, dictionary):
    texts = repeated("x" * 100_000, 500)
    texts = texts if dictionary else texts.dictionary_decode()
    columns = {"key": texts, "start": np.zeros(500)}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet", use_dictionary=dictionary, compression="zstd")
    with pytest.raises(InputError, match="a.parquet: expected key of a table of 4096 bytes at most, got 100000$"):
        table(tmp_path / "a.parquet").read()


@pytest.mark.parametrize("rows", [1, 3, 100_000])
def test_values_are_those_of_pyarrow(tmp_path, rows):
    keys = [None if index % 7 == 3 else f"k{index % 1000}" for index in range(rows)]
    expected = pa.table({"start": np.arange(rows) / 3, "other": [1] * rows, "key": keys})
    write_parquet(tmp_path / "a.parquet", expected)
    found = table(tmp_path / "a.parquet", rows).read()
    assert found.column_names == ["key", "start"]
    assert found["key"].to_pylist() == keys
    assert found["start"].to_pylist() == expected["start"].to_pylist()
    values = [value for batch in table(tmp_path / "a.parquet", rows).batches() for value in shared_values(batch["key"])]
    assert values == keys


def test_other_types_of_text_are_read(tmp_path):
    for kind in (pa.large_string(), pa.dictionary(pa.int8(), pa.string())):
        pq.write_table(pa.table({"key": pa.array(["a", "b"], kind), "start": [0, 1]}), tmp_path / "a.parquet")
        assert table(tmp_path / "a.parquet").read()["key"].to_pylist() == ["a", "b"]


def test_a_table_whose_path_is_not_utf8_is_written_and_read(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.parquet")
    write_parquet(path, pa.table({"key": ["a"], "start": [1.0]}))
    assert table(path).read()["key"].to_pylist() == ["a"]


def test_nested_values_in_a_column_of_text_are_one_line(tmp_path):
    pq.write_table(pa.table({"key": [["a"]], "start": [1.0]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet: column key of a table is not of its kind: .*list"):
        table(tmp_path / "a.parquet").read()


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"expected a table \(parquet\) in a regular file, got a named pipe"):
        table(tmp_path / "a.parquet").read()


@pytest.mark.parametrize("where", [0.5, 0.9])
def test_a_spoiled_table_is_one_line(tmp_path, where):
    path = tmp_path / "a.parquet"
    write_parquet(path, pa.table({"key": [f"k{index}" for index in range(500)], "start": np.arange(500.0)}))
    data = bytearray(path.read_bytes())
    at = int(where * len(data))
    data[at : at + 60] = bytes(60)
    path.write_bytes(data)
    with pytest.raises(InputError, match=f"^{path}: expected a table") as caught:
        table(path).read()
    assert "\n" not in str(caught.value)


def test_rows_of_several_batches_are_grouped_by_their_texts(tmp_path, monkeypatch):
    monkeypatch.setattr("avssl.io.parquet_table.TOGETHER", 3)
    keys = [f"clip {each // 2}" for each in range(10)]  # one clip's rows in two batches, each batch of other texts
    write_parquet(tmp_path / "a.parquet", pa.table({"key": keys, "start": np.arange(10.0)}, SCHEMA))
    read = table(tmp_path / "a.parquet").read()
    assert read["key"].to_pylist() == keys
    groups = read.group_by("key").aggregate([("start", "max")]).to_pylist()
    assert {each["key"]: each["start_max"] for each in groups} == {f"clip {each}": 2 * each + 1 for each in range(5)}
