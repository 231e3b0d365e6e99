import csv
import errno
import os
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from facerec.pipeline.embeddings import load_embeddings, normalize, save_embeddings
from facerec.pipeline.embeddings import unit_rows as as_unit_rows
from facerec.pipeline.files import (
    InputError,
    cell_text,
    load_array,
    read_json,
    read_yaml,
    readable,
    repeated_key,
    write_json,
    write_lines,
    write_table,
)
from facerec.pipeline.label_files import load_keys, load_labels


@pytest.fixture
def unit_rows():
    return normalize(np.random.default_rng(0).normal(size=(5, 8)))


def test_embedding_set_comes_back_as_it_was_saved(tmp_path, unit_rows):
    save_embeddings(tmp_path, unit_rows, keys=["a", "b", "ç d", "e", "f"], labels=np.array([0, 1, -1, 1, 0]))
    loaded = load_embeddings(tmp_path)
    np.testing.assert_array_equal(loaded.embeddings, unit_rows)
    assert loaded.keys == ["a", "b", "ç d", "e", "f"]
    assert loaded.labels is not None
    assert loaded.labels.tolist() == [0, 1, -1, 1, 0]


def test_labels_of_faces_in_another_order_are_refused(tmp_path, unit_rows, caplog):
    labels, keys = np.array([0, 1, -1, 1, 0]), ["a", "b", "ç d", "e", "f"]
    for name, order in (("ours", [0, 1, 2, 3, 4]), ("same", [0, 1, 2, 3, 4]), ("other", [0, 3, 2, 1, 4])):
        (tmp_path / name).mkdir()
        save_embeddings(tmp_path / name, unit_rows[order], [keys[row] for row in order], labels[order])
    faces = load_embeddings(tmp_path / "ours")
    for place in ("same", "same/labels.npy"):
        np.testing.assert_array_equal(faces.labels_in(tmp_path / place), labels)
    for place in ("other", "other/labels.npy"):
        with pytest.raises(InputError, match=r"face 'e' is in row 1 there, but in row 3 of .*ours; both"):
            faces.labels_in(tmp_path / place)
    assert not caplog.messages
    write_lines(tmp_path / "same" / "keys.txt", ["a", "b", "new", "e", "f"])
    np.testing.assert_array_equal(faces.labels_in(tmp_path / "same"), labels)
    assert f"same: 1 face not in {tmp_path}/ours, as row 2: 'new' there, 'ç d' here; if they are other" in caplog.text
    write_lines(tmp_path / "other" / "keys.txt", [f"{key}.png" for key in keys])  # which says nothing
    np.testing.assert_array_equal(faces.labels_in(tmp_path / "other"), labels[[0, 3, 2, 1, 4]])
    np.testing.assert_array_equal(faces.labels_in(None), labels)


def test_unit_float32_rows_stay_a_memory_map(tmp_path, unit_rows):
    np.save(tmp_path / "embeddings.npy", unit_rows)
    assert isinstance(load_embeddings(tmp_path).embeddings, np.memmap)
    assert isinstance(load_embeddings(tmp_path / "embeddings.npy").embeddings, np.memmap)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rows_of_other_length_or_type_are_normalised(tmp_path, dtype, caplog):
    np.save(tmp_path / "embeddings.npy", np.array([[3, 4], [0, 0], [0, -2]], dtype=dtype))
    loaded = load_embeddings(tmp_path)
    np.testing.assert_allclose(loaded.embeddings, [[0.6, 0.8], [0, 0], [0, -1]], atol=1e-6)
    assert loaded.embeddings.dtype == np.float32
    assert loaded.readable.tolist() == [True, False, True]
    assert "normalised in memory" in caplog.text


def test_numbers_that_may_have_been_shifted_are_doubted(caplog):
    rows = as_unit_rows(np.array([[131, 124], [131, 128]], dtype=np.uint8))
    assert rows[0] @ rows[1] > 0.99  # as (3, -4) and (3, 0) the cosine is 0.6
    assert "embeddings: uint8 of shape [2, 2]; if a shift was added" in caplog.text
    as_unit_rows(np.array([[3, -4], [3, 0]], dtype=np.int8))
    assert len(caplog.records) == 1


def test_transposed_embeddings_are_refused(tmp_path, caplog):
    rows = np.random.default_rng(0).normal(size=(50, 16)).astype(np.float32)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    unit[7] = 0  # a face that could not be read
    for dtype in (np.float32, np.float16):
        np.save(tmp_path / "embeddings.npy", unit.T.astype(dtype))
        message = "16 rows of 50 numbers, in which each column has length 1; a row is a face: save x.T"
        with pytest.raises(InputError, match=f"embeddings.npy: {message}"):
            load_embeddings(tmp_path)
    with pytest.raises(InputError, match=f"embeddings: {message}"):
        as_unit_rows(unit.T)
    assert len(as_unit_rows(unit.T[:, :16])) == 16
    assert len(as_unit_rows(np.ones((1, 50)))) == 1
    np.save(tmp_path / "embeddings.npy", np.ones((16, 8193), np.float32))
    assert len(load_embeddings(tmp_path)) == 16
    assert "16 faces of 8193 numbers each; if that is the wrong way round, save x.T" in caplog.text


def test_rows_are_normalised_once_into_a_mapped_file(tmp_path, unit_rows, caplog):
    np.save(tmp_path / "embeddings.npy", unit_rows.astype(np.float16))
    scratch = tmp_path / "scratch" / "rows.npy"
    in_memory, written = load_embeddings(tmp_path).embeddings, None
    for _ in range(2):
        mapped = load_embeddings(tmp_path, scratch).embeddings
        assert isinstance(mapped, np.memmap)
        np.testing.assert_array_equal(mapped, in_memory)
        assert written in (None, scratch.stat().st_mtime_ns)
        written = scratch.stat().st_mtime_ns
    assert [path.name for path in scratch.parent.iterdir()] == ["rows.npy"]
    assert "float16 rows; normalised on disk" in caplog.text  # where a stage works is gone afterwards
    np.testing.assert_allclose(in_memory, unit_rows, atol=1e-3)


def test_unit_rows_need_no_other_file(tmp_path, unit_rows):
    np.save(tmp_path / "embeddings.npy", unit_rows)
    load_embeddings(tmp_path, tmp_path / "scratch" / "rows.npy")
    assert [path.name for path in tmp_path.iterdir()] == ["embeddings.npy"]


def test_no_room_to_normalise(tmp_path, monkeypatch):
    np.save(tmp_path / "embeddings.npy", np.ones((5, 8), np.float16))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("usage", "free")(free=100))
    with pytest.raises(InputError, match="too little room for 1 MiB of float32 rows; choose another --out"):
        load_embeddings(tmp_path, tmp_path / "rows.npy")
    assert not (tmp_path / "rows.npy").exists()


@settings(max_examples=25, deadline=None)
@given(arrays(np.float64, (4, 3), elements=st.floats(-1e3, 1e3)))
@example(np.full((4, 3), 5e-324))
def test_normalised_rows_have_length_one_or_zero(rows):
    lengths = np.linalg.norm(normalize(rows), axis=1)
    zero = ~rows.any(axis=1)
    np.testing.assert_allclose(lengths[~zero], 1, atol=1e-5)
    assert not lengths[zero].any()


def test_nan_is_refused_and_its_row_named(tmp_path, unit_rows):
    unit_rows[3, 2] = np.nan
    np.save(tmp_path / "embeddings.npy", unit_rows)
    with pytest.raises(InputError, match=r"embeddings.npy: row 3 has NaN or infinite values"):
        load_embeddings(tmp_path)


def test_lengths_that_differ_are_refused(tmp_path, unit_rows):
    save_embeddings(tmp_path, unit_rows, keys=["a", "b"])
    with pytest.raises(InputError, match=r"keys.txt: 2 keys for 5 rows"):
        load_embeddings(tmp_path)
    save_embeddings(tmp_path, unit_rows, keys=list("abcde"), labels=np.zeros(4, np.int64))
    with pytest.raises(InputError, match=r"labels.npy: 4 labels for 5 rows"):
        load_embeddings(tmp_path)


def test_missing_folder_contents(tmp_path):
    with pytest.raises(InputError, match=r"no embeddings.npy in this folder"):
        load_embeddings(tmp_path)
    with pytest.raises(InputError, match=r"nowhere.npy: no such file"):
        load_embeddings(tmp_path / "nowhere.npy")


def test_truncated_and_foreign_files_are_refused(tmp_path, unit_rows):
    path = tmp_path / "embeddings.npy"
    np.save(path, unit_rows)
    whole = path.read_bytes()
    for end in (0, 4, 60, len(whole) - 3):
        path.write_bytes(whole[:end])
        with pytest.raises(InputError, match="not a readable .npy array"):
            load_array(path, "f", 2)
    path.write_text("not an array at all")
    with pytest.raises(InputError, match="not a readable .npy array"):
        load_array(path, "f", 2)


def test_quantised_embeddings_are_told_the_way(tmp_path):
    np.save(tmp_path / "x.npy", np.eye(3, dtype=np.int8))
    with pytest.raises(InputError, match=r"int8 with shape \[3, 3\]; expected floats with 2 dimensions; save x.astype"):
        load_array(tmp_path / "x.npy", "f", 2)


def test_pickled_arrays_are_never_loaded(tmp_path):
    np.save(tmp_path / "labels.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="holds Python objects, which are not read"):
        load_labels(tmp_path)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 2), np.float32), r"float32 with shape \[2, 2\]; expected integers with 1 dimension"),
        (np.zeros(3), r"float64 with shape \[3\]; expected integers with 1 dimension; save x.astype\(int\), unknown"),
        (np.zeros(0, np.int64), r"empty array"),
        (np.array([0, 3, -7]), r"label -7 in row 2"),
    ],
)
def test_unusable_labels_are_refused(tmp_path, array, message):
    np.save(tmp_path / "l.npy", array)
    with pytest.raises(InputError, match=message):
        load_labels(tmp_path / "l.npy")


def test_a_full_disk_names_the_file_and_leaves_nothing(tmp_path, monkeypatch):
    def full(path, content):
        path.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"No space left on device: .*/x\.json"):
        write_json(tmp_path / "x.json", {"b": 1})
    assert list(tmp_path.iterdir()) == []


def test_two_runs_that_write_one_file_leave_one_of_both(tmp_path, monkeypatch):
    write_bytes = Path.write_bytes

    def write_slowly(path, content):
        write_bytes(path, content)
        monkeypatch.undo()
        write_json(tmp_path / "x.json", "of the other run")

    monkeypatch.setattr(Path, "write_bytes", write_slowly)
    write_json(tmp_path / "x.json", "of this run")
    assert read_json(tmp_path / "x.json") == "of this run"
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_a_stop_while_a_file_is_written_leaves_nothing(tmp_path, monkeypatch):
    def stop(path, content):
        path.touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", stop)
    with pytest.raises(KeyboardInterrupt):
        write_json(tmp_path / "x.json", {"b": 1})
    assert list(tmp_path.iterdir()) == []


def test_json_and_yaml_are_checked(tmp_path):
    write_json(tmp_path / "a" / "x.json", {"b": 1})
    assert read_json(tmp_path / "a" / "x.json") == {"b": 1}
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["x.json"]
    (tmp_path / "bad").write_text("{ [")
    with pytest.raises(InputError, match="not readable as JSON"):
        read_json(tmp_path / "bad")
    with pytest.raises(InputError, match="not readable as YAML"):
        read_yaml(tmp_path / "bad")
    with pytest.raises(InputError, match="no such file"):
        read_json(tmp_path / "absent")
    (tmp_path / "list").write_text("- 1")
    with pytest.raises(InputError, match="holds list"):
        read_yaml(tmp_path / "list")


def test_a_key_that_would_not_count_is_refused(tmp_path):
    (tmp_path / "x.yaml").write_text("a: &a {k: 1}\nb: {<<: *a, k: 2}\nc: [&c {1: 0, '1': 0, d: *a}, *a]\n")
    assert read_yaml(tmp_path / "x.yaml") == {
        "a": {"k": 1},
        "b": {"k": 2},
        "c": [{1: 0, "1": 0, "d": {"k": 1}}, {"k": 1}],
    }
    (tmp_path / "x.yaml").write_text("a:\n  - k: 1\n    n: 2\n    k: 3\n")
    with pytest.raises(InputError, match="x.yaml line 4: 'k' stands there before, in line 2; remove one of them"):
        read_yaml(tmp_path / "x.yaml")
    assert repeated_key("&a {b: *a, c: *a}") == ""


def test_many_rows_are_normalised_as_few():
    rows = np.random.default_rng(0).normal(size=(70_000, 2))
    rows[66_000] = 1e-40
    expected = np.concatenate([normalize(rows[:30_000]), normalize(rows[30_000:])])
    np.testing.assert_array_equal(normalize(rows), expected)


@pytest.mark.parametrize("key", ["plain", "with space", "line\u2028separator", "next\x85line", "form\x0cfeed"])
def test_keys_are_whatever_stands_on_a_line(tmp_path, key):
    write_lines(tmp_path / "keys.txt", [key, "second"])
    assert load_keys(tmp_path / "keys.txt", 2) == [key, "second"]


@pytest.mark.parametrize("length", [1e-300, 1e-40, 1e-21, 1e-13, 1.0, 1e11, 1e20, 1e150])
def test_rows_of_any_length_become_unit_rows(length):
    rows = np.array([[3.0, 4.0], [0.0, 0.0], [-1.0, 0.0]]) * length
    np.testing.assert_allclose(normalize(rows), [[0.6, 0.8], [0, 0], [-1, 0]], atol=2e-7)
    np.testing.assert_allclose(as_unit_rows(rows), [[0.6, 0.8], [0, 0], [-1, 0]], atol=2e-7)
    with np.errstate(all="ignore"):
        single = rows.astype(np.float32)
    if np.isfinite(single).all() and single[0].all() and abs(single[0, 0] / length - 3) < 1e-6:
        np.testing.assert_allclose(normalize(single), [[0.6, 0.8], [0, 0], [-1, 0]], atol=2e-7)


def test_cells_give_back_the_text_that_was_written(tmp_path):
    texts = ["=1+1", "+49", "-x", "@name", "\tindented", "Anna", "'quoted'", "'=1", "''-x", ""]
    write_table(tmp_path / "table.csv", ("text",), [[text] for text in texts])
    with (tmp_path / "table.csv").open(newline="") as file:
        cells = [row[0] if row else "" for row in csv.reader(file)][1:]
    assert cells[:5] == [f"'{text}" for text in texts[:5]]  # which no spreadsheet takes for formulas
    assert [cell_text(cell) for cell in cells] == texts


def test_of_a_long_message_of_another_library_both_ends_are_shown(tmp_path):
    with (
        pytest.raises(InputError, match=r"x: not readable as a net \(bad a{76} \.\.\. a{76} end\); it may be"),
        readable(tmp_path / "x", "a net"),
    ):
        raise ValueError(f"bad {'a' * 500}\n end")
