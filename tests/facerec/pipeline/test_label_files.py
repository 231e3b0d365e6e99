"""Labels in files of all kinds."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from facerec.pipeline.files import InputError
from facerec.pipeline.label_files import keys_in, load_labels, refuse_other_order
from facerec.pipeline.values import as_labels


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
        ("x.csv", "label,a\n9007199254740993,0\n9007199254740992,0\n,0\n", [9007199254740993, 9007199254740992, -1]),
        ("x.csv", "label,a\n0x10,0\n16,0\n", [0, 1]),
        ("x.csv", "label,a\n5,0\nNA,0\n 5,0\n", [5, -1, 5]),
        ("x.csv", "file,label\na,2001-01-01\nb,2001-01-01\n", [0, 0]),
        ("x.csv", "file,label\na,true\nb,true\n", [0, 0]),
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
    (tmp_path / "x.csv").write_text("file,label\na,007\nb,7\n")
    with pytest.raises(InputError, match="x.csv: labels '007' and '7' are one number, but maybe two names"):
        load_labels(tmp_path / "x.csv")


def test_large_numbers_beside_a_missing_one(tmp_path):
    labels = pd.array([9007199254740993, 9007199254740992, None], dtype="Int64")
    pd.DataFrame({"key": [7, 8, 9], "label": labels}).to_parquet(tmp_path / "x.parquet")
    assert load_labels(tmp_path / "x.parquet").tolist() == [9007199254740993, 9007199254740992, -1]
    assert keys_in(tmp_path / "x.parquet") == ["7", "8", "9"]
    pd.DataFrame({"file": [7, 7, 9], "label": labels}).to_parquet(tmp_path / "x.parquet")
    assert keys_in(tmp_path / "x.parquet") is None  # numbers of films, for example


@pytest.mark.parametrize(("dtype", "digits"), [(np.float16, 11), (np.float32, 24), (np.float64, 53)])
def test_floats_that_do_not_tell_labels_apart_are_refused(tmp_path, dtype, digits):
    np.savez(tmp_path / "x.npz", labels=np.array([2**digits - 1, np.nan], dtype))
    assert load_labels(tmp_path / "x.npz").tolist() == [2**digits - 1, -1]
    np.savez(tmp_path / "x.npz", labels=np.array([0, 2**digits], dtype))
    with pytest.raises(InputError, match=rf"in row 1 is so large that {dtype.__name__} does not tell it from the next"):
        load_labels(tmp_path / "x.npz")


def test_names_that_are_not_utf8(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"file,label\na,M\xfcller\nb,Ada\nc,M\xfcller\n")
    assert load_labels(tmp_path / "x.csv").tolist() == [1, 0, 1]


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
        ("x.csv", "file,f0,f1\na.jpg,0.5,2\n", "no array or column 'labels'; it has file O.1., f0 f.1."),
        ("x.txt", "000001.jpg 2880\n000002.jpg 2937\n", "begins with '000001.jpg 2880'; expected a label a line"),
        ("x.csv.gz", "", "compressed; unpack it first: gunzip -k"),
        ("x.meta", "1\n2\n", "2 labels for 3 rows; they must match one to one"),
    ],
)
def test_what_is_no_label(tmp_path, name, text, message):
    (tmp_path / name.partition(":")[0]).write_text(text)
    with pytest.raises(InputError, match=message):
        load_labels(tmp_path / name, 3)


@pytest.mark.parametrize("name", ["x.txt", "x.csv"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_is_refused(tmp_path, name, encoding):
    (tmp_path / name).write_bytes("\ufefflabel\nada\n".encode(encoding))
    with pytest.raises(InputError, match=f"{name}: text in UTF-16; save it as UTF-8"):
        load_labels(tmp_path / name)


def test_names_of_faces_are_no_labels(tmp_path):
    np.savez(tmp_path / "x.npz", embeddings=np.eye(2), files=["a.jpg", "b.jpg"])
    with pytest.raises(InputError, match="no array or column 'labels'; it has embeddings"):
        load_labels(tmp_path / "x.npz")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_unknown_faces_of_a_type_without_sign_are_no_person(tmp_path, dtype, name):
    highest = np.iinfo(dtype).max
    labels = np.array([3, -1, 4, -1]).astype(dtype)
    save = np.save if name == "x.npy" else lambda file, values: np.savez(file, labels=values)
    save(tmp_path / name, labels)
    message = rf"label {highest} in row 1, which {np.dtype(dtype)} makes of -1 \(unknown\); save them as int64"
    with pytest.raises(InputError, match=message):
        load_labels(tmp_path / name)
    with pytest.raises(InputError, match=f"identities: {message}"):
        as_labels("identities", labels)
    labels[0] = highest - 1
    save(tmp_path / name, labels)
    assert load_labels(tmp_path / name).tolist() == as_labels("x", labels).tolist() == labels.tolist()


def test_labels_that_a_small_type_has_cut_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.array([5, 200]).astype(np.int8))
    with pytest.raises(
        InputError, match=r"label -56 in row 1; .*if a small type such as int8 has cut them, save them as"
    ):
        load_labels(tmp_path / "x.npy")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ["/data/b/1.png", "/data/a/1.png"],
            "row 0 is of '/data/b/1.png', which seems to be row 1 of faces, 'b/",
        ),
        (["/data/a/1.png", "/data/b/1.png"], ""),
        (["x", "y"], ""),
        (["1.png", "1.jpg"], ""),  # which of the two folders is not known
    ],
)
def test_names_in_other_folders_and_another_order_are_said(tmp_path, caplog, names, said):
    table = tmp_path / "labels.csv"
    table.write_text("".join(f"{line}\n" for line in ["file,label", f"{names[0]},3", f"{names[1]},4"]))
    refuse_other_order(table, Path("faces"), ["a/1.jpg", "b/1.jpg"])
    assert said in caplog.text
    assert bool(caplog.text) == bool(said)
