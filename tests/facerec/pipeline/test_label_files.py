"""Labels in files of all kinds."""

import numpy as np
import pandas as pd
import pytest

from facerec.pipeline.files import InputError, load_labels


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("x.meta", "3\n0\n-1\n", [3, 0, -1]),
        ("x.txt", "3\r\n0\r\n12\r\n", [3, 0, 12]),
        ("x.txt", "zoe\nada\nzoe\n", [1, 0, 1]),
        ("x.txt", "zoe\n\nada\n-1\n", [1, -1, 0, -1]),
        ("x.txt", "1.0\n 2\n", [1, 2]),
        ("x.txt", "007\n7\nx\n", [0, 1, 2]),
        ("x.csv", "label\n3\n3\n1\n", [3, 3, 1]),
        ("x.csv", "zoe\nada\n", [1, 0]),
        ("x.csv", "file,identity\na.jpg,zoe\nb.jpg,ada\n", [1, 0]),
        ("x.csv:who", "file,who\na.jpg,zoe\nb.jpg,ada\n", [1, 0]),
        ("x.csv:b", "a,b\n0,5\n0,\n", [5, -1]),
        ("x.tsv", "identity\tscore\nzoe\t0.5\nada\t0.25\n", [1, 0]),
        ("x.txt", "99999999999999999999\nb\n", [0, 1]),
    ],
)
def test_labels_of_text(tmp_path, name, text, expected):
    (tmp_path / name.partition(":")[0]).write_bytes(text.encode())
    labels = load_labels(tmp_path / name)
    assert labels.tolist() == expected
    assert labels.dtype == np.int64


def test_one_number_that_is_written_in_two_ways_is_refused(tmp_path):
    (tmp_path / "x.txt").write_text("007\n12\n7\n")
    with pytest.raises(InputError, match="x.txt: labels '007' and '7' are one number, but maybe two names"):
        load_labels(tmp_path / "x.txt")
    (tmp_path / "x.txt").write_text("007\n012\n007.0\n-1\nnan\n")
    assert load_labels(tmp_path / "x.txt").tolist() == [7, 12, 7, -1, -1]


def test_a_column_of_pandas(tmp_path):
    pd.DataFrame({"identity": ["b", "a", "b"], "age": [1, 2, 3]}).to_parquet(tmp_path / "x.parquet")
    assert load_labels(tmp_path / "x.parquet", 3).tolist() == [1, 0, 1]
    assert load_labels(tmp_path / "x.parquet:age", 3).tolist() == [1, 2, 3]


@pytest.mark.parametrize("dtype", ["U", "S"])
def test_names_in_an_array(tmp_path, dtype):
    np.save(tmp_path / "labels.npy", np.array(["zoe", "ada", "", "zoe"], dtype))
    assert load_labels(tmp_path, 4).tolist() == [1, 0, -1, 1]
    np.save(tmp_path / "labels.npy", np.array(["zoe", 3], object), allow_pickle=True)
    with pytest.raises(InputError, match=r"holds Python objects, which are not read; save numbers.*or text, x.astype"):
        load_labels(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.txt", "", "x.txt: no labels in it"),
        ("x.txt", "-3\n1\n", "label -3 in row 0; labels are -1 .unknown. or >= 0"),
        ("x.csv", "a,b\n1,2\n", "no array or column 'labels'; it has a i.1., b i.1.; name one: .*x.csv:NAME"),
        ("x.csv:c", "a,b\n1,2\n", "no 'c' in it; it has a i"),
        ("x.csv:a", "a,b\n0.5,2\n", "label 0.5 in row 0; labels are whole numbers or names"),
        ("x.csv:a", "a,b\n1e30,2\n", "label 1e.30 in row 0"),
        ("x.npy", "zoe\n", "not a readable .npy array"),
        ("x.meta", "1\n2\n", "2 labels for 3 rows; they must match one to one"),
    ],
)
def test_what_is_no_label(tmp_path, name, text, message):
    (tmp_path / name.partition(":")[0]).write_text(text)
    with pytest.raises(InputError, match=message):
        load_labels(tmp_path / name, 3)
