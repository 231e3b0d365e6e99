"""Indexes and lists of stores that say what no store has."""

import os
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facerec.commands.store import store
from facerec.pipeline.files import InputError
from facerec.pipeline.fingerprint import InputFiles
from facerec.stores.open import open_store


def changed(index, name, values):
    table = pq.read_table(index)
    pq.write_table(table.set_column(table.column_names.index(name), name, values), index)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("offset", pa.array([0.5] * 4), "offset is double"),
        ("length", pa.array(["a"] * 4), "length is string"),
        ("shard", pa.array([1] * 4), "shard is int64"),
        ("key", pa.array([[1]] * 4), "key is list<"),
        ("length", pa.array([100, -1, 100, 100]), "length below 0 or beyond any file"),
        ("offset", pa.array([0, 2**62, 0, 0]), "offset below 0 or beyond any file"),
        ("shard", pa.array(["a", None, "a", "a"]), "empty values"),
    ],
)
def test_an_index_of_other_types_is_refused(tmp_path, make_faces, name, values, message):
    shards = store(make_faces(tmp_path / "faces", 2, 2), tmp_path / "shards")
    assert len(open_store(shards)) == 4
    changed(shards / "index.parquet", name, values)
    with pytest.raises(InputError, match=message):
        open_store(shards)


def chain(folder, length, lines):
    """Lists of stores of which each names the next, and the last a folder of faces."""
    for number in range(length):
        (folder / f"{number}").mkdir()
        following = f"../{number + 1}" if number + 1 < length else "../faces"
        (folder / f"{number}" / "stores.txt").write_text("".join(f"{following}\t{line}\n" for line in range(lines)))
    return folder / "0"


def test_lists_in_lists_end_somewhere(tmp_path, make_faces):
    make_faces(tmp_path / "faces", 1, 2)
    assert len(open_store(chain(tmp_path, 4, 2))) == 2**4 * 2
    for number in range(4):
        os.rename(tmp_path / str(number), tmp_path / f"old{number}")  # noqa: PTH104
    begun = time.process_time()
    long = chain(tmp_path, 29, 2)
    with pytest.raises(InputError, match="a list of stores in 4 others"):
        open_store(long)
    assert len(InputFiles(long).hash) == 32
    assert time.process_time() - begun < 2


def test_lists_that_name_too_many_are_refused(tmp_path, make_faces, monkeypatch):
    make_faces(tmp_path / "faces", 1, 1)
    monkeypatch.setattr("facerec.stores.open.MOST_STORES", 100)
    with pytest.raises(InputError, match="more than 100 stores"):
        open_store(chain(tmp_path, 2, 10))
    (tmp_path / "1" / "stores.txt").write_text("../faces\n")
    assert len(open_store(tmp_path / "0")) == 10
