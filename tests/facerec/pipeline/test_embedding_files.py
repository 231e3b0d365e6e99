"""Files of embeddings, each written by its own library: right values, rows aligned; damage is one line."""

import json
import pickle
import re

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from clustering.commands.knn import knn
from clustering.commands.plan import plan
from facerec.commands.join import concatenate
from facerec.pipeline.embedding_files import READERS, read_embedding_file
from facerec.pipeline.embeddings import load_embeddings, normalize
from facerec.pipeline.files import InputError, row_blocks
from facerec.pipeline.fingerprint import InputFiles
from facerec.pipeline.label_files import load_labels

X = normalize(np.random.default_rng(0).normal(size=(6, 4)))
Y = np.array([3, 3, 0, 0, 7, -1])
PEOPLE = ["zoe", "zoe", "ada", "ada", "eve", ""]
FILES = [f"{row}.jpg" for row in range(6)]


def write_bin(file):
    X.tofile(file)
    file.with_suffix(".meta").write_text("".join(f"{label}\n" for label in Y))


def frame(**columns):
    return pd.DataFrame({f"f{column}": X[:, column] for column in range(4)} | columns)


def hugging_face(file):
    pq.write_table(pa.table({"file": FILES, "embedding": X.tolist(), "label": Y}), file, row_group_size=2)


def fixed_size(file):
    column = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 4)
    pq.write_table(pa.table({"label": Y, "vec": column}), file)


def as_h5(file):
    with h5py.File(file, "w") as opened:
        opened["test/features"], opened["test/labels"], opened["test/files"] = X, Y, FILES
        opened["test/count"] = 6


WRITERS = {
    "embeddings.npz": lambda file: np.savez(file, embeddings=X, labels=Y, files=np.array(FILES)),
    "compressed.npz": lambda file: np.savez_compressed(file, feats=X, label=Y, filenames=np.array(FILES)),
    "nested.h5": as_h5,
    "dictionary.pt": lambda file: torch.save({"features": torch.tensor(X), "labels": torch.tensor(Y), "k": 3}, file),
    "tuple.pth": lambda file: torch.save((torch.tensor(X), torch.tensor(Y)), file),
    "hilander.pkl": lambda file: file.write_bytes(pickle.dumps((X, Y))),
    "python2.pickle": lambda file: file.write_bytes(pickle.dumps([X, Y], 2)),
    "named.pkl": lambda file: file.write_bytes(pickle.dumps({"features": X, "labels": Y.tolist()}, 5)),
    "rows.pkl": lambda file: file.write_bytes(pickle.dumps((list(X), list(Y.tolist())), 4)),
    "raw.bin": write_bin,
    "pandas.csv": lambda file: frame(label=Y, file=FILES).to_csv(file),
    "without_index.csv": lambda file: frame(identity=Y).to_csv(file, index=False),
    "semicolons.csv": lambda file: frame(label=Y).to_csv(file, index=False, sep=";"),
    "numbers.csv": lambda file: pd.DataFrame(X).assign(label=Y).to_csv(file),
    "lists.csv": lambda file: pd.DataFrame({"embedding": X.tolist(), "label": Y}).to_csv(file, index=False),
    "pandas.parquet": lambda file: frame(label=Y, file=FILES).to_parquet(file),
    "lists.parquet": hugging_face,
    "fixed.parquet": fixed_size,
}


@pytest.mark.parametrize("name", WRITERS)
def test_what_its_own_writer_made_is_read(tmp_path, name):
    WRITERS[name](tmp_path / name)
    found = load_embeddings(tmp_path / name)
    np.testing.assert_allclose(found.embeddings, X, atol=1e-6)
    assert found.embeddings.dtype == np.float32
    assert found.labels.tolist() == Y.tolist()
    assert found.keys in (None, FILES)
    np.testing.assert_array_equal(load_labels(tmp_path / name, 6), Y)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("one.npz", lambda file: np.savez(file, X)),
        ("one.h5", lambda file: h5py.File(file, "w").create_dataset("x", data=X).file.close()),
        ("one.pt", lambda file: torch.save(torch.tensor(X), file)),
        ("half.pt", lambda file: torch.save(torch.tensor(X).bfloat16(), file)),
        ("one.pkl", lambda file: file.write_bytes(pickle.dumps(X))),
        ("fortran.pkl", lambda file: file.write_bytes(pickle.dumps(np.asfortranarray(X)))),
        ("big_endian.pkl", lambda file: file.write_bytes(pickle.dumps(X.astype(">f8"), 3))),
        ("plain.csv", lambda file: np.savetxt(file, X, delimiter=",")),
        ("plain.tsv", lambda file: np.savetxt(file, X, delimiter="\t")),
        ("plain.txt", lambda file: np.savetxt(file, X)),
        ("a:b.npy", lambda file: np.save(file, X)),
    ],
)
def test_a_file_of_embeddings_alone(tmp_path, name, write):
    write(tmp_path / name)
    found = load_embeddings(tmp_path / name)
    np.testing.assert_allclose(found.embeddings, X, atol=1e-2 if name == "half.pt" else 1e-6)
    assert found.labels is None
    assert found.keys is None


def test_several_arrays_are_named_and_one_is_chosen_by_name(tmp_path, caplog):
    file = tmp_path / "two.npz"
    np.savez(file, train=X, probe=X[:3], train_labels=Y, y=np.zeros(3, int))
    with pytest.raises(
        InputError, match=r"two.npz: several arrays can be the embeddings: train f\[6, 4\], probe f\[3"
    ) as e:
        load_embeddings(file)
    assert str(e.value).endswith(f"name one: {file}:train")
    probe = load_embeddings(tmp_path / "two.npz:probe")
    np.testing.assert_array_equal(probe.embeddings, X[:3])
    assert probe.labels.tolist() == [0, 0, 0]
    assert "not used" not in caplog.text
    assert load_embeddings(tmp_path / "two.npz:/train").labels is None
    assert "two.npz: y is i[3], not a label for each of 6 faces; it is not used" in caplog.text
    assert load_labels(tmp_path / "two.npz:train_labels").tolist() == Y.tolist()
    for part, message in (
        ("no", r"no 'no' in it; it has train f\[6, 4\]"),
        ("train_labels", r"train_labels is i\[6\]; embeddings are floats \[n, d\]"),
    ):
        with pytest.raises(InputError, match=message):
            load_embeddings(tmp_path / f"two.npz:{part}")
    with pytest.raises(InputError, match=r"train is f\[6, 4\]; labels are numbers or names"):
        load_labels(tmp_path / "two.npz:train")
    with pytest.raises(InputError, match="two.npz:probe: no such file"):
        load_embeddings(tmp_path / "other" / "two.npz:probe")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_numbered_columns_may_stand_in_any_order(tmp_path, suffix):
    wide = normalize(np.random.default_rng(1).normal(size=(6, 12)))
    table = pd.DataFrame({f"f{column}": wide[:, column] for column in range(12)})
    table = table[sorted(table.columns)]  # f0, f1, f10, f11, f2, ...
    getattr(table, f"to_{suffix}")(tmp_path / f"x.{suffix}", index=False)
    np.testing.assert_allclose(load_embeddings(tmp_path / f"x.{suffix}").embeddings, wide, atol=1e-6)


def test_parts_of_h5_and_of_tables(tmp_path):
    as_h5(tmp_path / "x.h5")
    np.testing.assert_array_equal(load_embeddings(tmp_path / "x.h5:test/features").embeddings, X)
    assert load_embeddings(tmp_path / "x.h5").keys == FILES
    frame(person=PEOPLE, eye1=0.5, eye2=0.5).to_csv(tmp_path / "x.csv")
    with pytest.raises(InputError, match=r"several arrays can be the embeddings: f f\[6, 4\], eye f\[6, 2\]"):
        load_embeddings(tmp_path / "x.csv")
    found = load_embeddings(tmp_path / "x.csv:f")
    np.testing.assert_allclose(found.embeddings, X, atol=1e-6)
    assert found.labels.tolist() == [2, 2, 0, 0, 1, -1]


def test_another_part_of_a_file_is_another_input(tmp_path):
    np.savez(tmp_path / "x.npz", a=X, b=X[::-1])
    first, second = (InputFiles(tmp_path / f"x.npz:{part}") for part in "ab")
    assert first.hash != second.hash
    assert first.stamp != second.stamp
    write_bin(tmp_path / "x.bin")
    before = InputFiles(tmp_path / "x.bin").hash
    (tmp_path / "x.meta").write_text("1\n" * 6)
    assert InputFiles(tmp_path / "x.bin").hash != before


def test_raw_floats_are_mapped_and_their_dimension_is_asked_for(tmp_path):
    (tmp_path / "features").mkdir()
    (tmp_path / "labels").mkdir()
    file = tmp_path / "features" / "part0.bin"
    X.tofile(file)
    with pytest.raises(InputError, match=r"raw float32 without its dimension; give .*part0.bin:256, or put the labels"):
        load_embeddings(file)
    assert load_embeddings(file, rows=6).embeddings.shape == (6, 4)
    named = load_embeddings(tmp_path / "features" / "part0.bin:4").embeddings
    assert isinstance(named, np.memmap)
    np.testing.assert_array_equal(named, X)
    (tmp_path / "labels" / "part0.meta").write_text("5\n" * 6)
    assert load_embeddings(file).labels.tolist() == [5] * 6
    for part, message in (
        ("5", "24 float32 numbers do not fit dimension 5"),
        ("x", "'x' is no dimension"),
        ("0", "'0'"),
    ):
        with pytest.raises(InputError, match=message):
            load_embeddings(tmp_path / "features" / f"part0.bin:{part}")
    (tmp_path / "labels" / "part0.meta").write_text("5\n" * 7)
    with pytest.raises(InputError, match="do not fit the 7 lines of .*part0.meta"):
        load_embeddings(file)
    file.write_bytes(bytes(17))
    with pytest.raises(InputError, match="17 bytes are no float32 numbers"):
        load_embeddings(file)


class Evil:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("x.npz", lambda file: np.savez(file, y=Y), r"no embeddings, floats \[n, d\], in it; it has y i\[6\]"),
        ("x.npz", lambda file: np.savez(file, x=np.zeros((0, 4))), "is empty"),
        ("x.npz", lambda file: np.savez(file, x=np.array([{}], object)), r"it has x V\[1\]"),
        ("x.npz", lambda file: np.savez(file, x=X, labels=np.full(6, -2)), "6 labels from -2 on for 6 embeddings"),
        ("x.h5", lambda file: h5py.File(file, "w").close(), "it has nothing"),
        ("x.pt", lambda file: torch.save(Evil(), file), "or hold more than tensors"),
        ("x.pkl", lambda file: file.write_bytes(pickle.dumps(Evil())), "it asks for builtins.print, .*nothing was run"),
        ("x.pkl", lambda file: file.write_bytes(pickle.dumps((X.astype(object), Y))), "no embeddings"),
        (
            "x.csv",
            lambda file: file.write_text("0.5,1,2\n0.25,3,4\n"),
            "column 2 of 3 holds whole numbers, others do not",
        ),
        ("x.csv", lambda file: file.write_text("a,b\n0.5,1\n0.25\n"), "not readable as a table of text"),
        ("x.csv", lambda file: file.write_text(""), "not readable as a table of text"),
        ("x.csv", lambda file: file.write_text("a,a\n0.5,1\n"), "several columns have one name"),
        ("x.csv", lambda file: file.write_bytes(b"\xff,b\n0.5,1\n"), "not readable as a table of text"),
        ("x.csv", lambda file: file.write_text('e\n"[0.5, 1]"\n"[0.5]"\n'), "lists of 1 to 2 numbers in column e"),
        ("x.csv", lambda file: file.write_text('e\n"[0.5 ... 1]"\n'), "lists of numbers in column e"),
        ("x.parquet", lambda file: pq.write_table(pa.table({"e": [[1.0], None]}), file), "in column e"),
        ("x.parquet", lambda file: pq.write_table(pa.table({"e": ["a"]}), file), r"it has e O\[1\]"),
    ],
)
def test_what_has_no_embeddings_is_refused(tmp_path, capsys, name, write, message):
    write(tmp_path / name)
    with pytest.raises(InputError, match=message) as raised:
        load_embeddings(tmp_path / name)
    assert len(str(raised.value).replace(str(tmp_path), "")) < 300
    assert "run" not in capsys.readouterr().out


@pytest.mark.parametrize("name", [*WRITERS, "x.npy"])
def test_files_that_are_cut_short(tmp_path, name):
    WRITERS.get(name, lambda file: np.save(file, X))(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    for end in (0, 1, len(content) // 2):
        (tmp_path / name).write_bytes(content[:end])
        said = refusal(tmp_path / name)
        if said is None:
            assert name.endswith(("csv", "bin"))  # a part of a table, or of rows of any dimension, is one, too
            continue
        assert re.search("truncated|damaged|no embeddings|several|empty|expected|readable|fit", said), said
        assert "\n" not in said
        assert "weights_only" not in said


def refusal(file):
    """What a reader says of a file; None if it reads it."""
    try:
        read_embedding_file(file)
    except InputError as error:
        return str(error)
    return None


def test_a_reader_without_its_library_says_what_to_install(tmp_path, monkeypatch):
    as_h5(tmp_path / "x.h5")
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(InputError, match=r"needs h5py; install it: pip install 'facerec-pseudolabel\[hdf5\]'"):
        load_embeddings(tmp_path / "x.h5")


def test_every_reader_refuses_what_is_no_file(tmp_path):
    for suffix in (*READERS, ".bin", ".npy"):
        (tmp_path / f"folder{suffix}").mkdir()
        for name in ("none", "folder"):
            with pytest.raises(InputError):
                read_embedding_file(tmp_path / f"{name}{suffix}")


@pytest.fixture
def with_nan():
    rows = np.random.default_rng(1).normal(size=(30, 4)).astype(np.float32)
    rows[4, 1], rows[17, 0] = np.nan, -np.inf
    return rows


@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("scratch", [None, "rows.npy"])
def test_rows_that_are_not_finite_are_zero_rows_if_asked_for(tmp_path, with_nan, caplog, scratch, unit, monkeypatch):
    monkeypatch.setattr("facerec.pipeline.embeddings.row_blocks", lambda rows: row_blocks(rows, 10))
    lengths = np.linalg.norm(with_nan, axis=1, keepdims=True)
    np.save(tmp_path / "x.npy", with_nan / np.where(np.isfinite(lengths), lengths, 1) if unit else with_nan)
    place = scratch and tmp_path / scratch
    with pytest.raises(InputError, match=r"row 4 has NaN or infinite values \(2 of 30 rows do\); .* --unreadable skip"):
        load_embeddings(tmp_path / "x.npy", place)
    found = load_embeddings(tmp_path / "x.npy", place, unreadable="skip")
    assert np.flatnonzero(~found.readable).tolist() == found.not_finite.tolist() == [4, 17]
    np.testing.assert_allclose(np.linalg.norm(found.embeddings, axis=1)[[3, 5]], 1, atol=1e-6)
    assert "2 of 30 rows have NaN or infinite values and are left out: 4, 17" in caplog.text
    np.save(tmp_path / "y.npy", np.full((3, 2), np.nan))
    with pytest.raises(InputError, match="all 3 rows have NaN"):
        load_embeddings(tmp_path / "y.npy", unreadable="skip")


def test_commands_list_them(tmp_path, with_nan, capsys):
    np.savez(tmp_path / "x.npz", x=with_nan, files=np.array([f"{row}.png" for row in range(30)]))
    graph = knn(tmp_path / "x.npz", tmp_path / "knn", k=3, unreadable="skip")
    assert (graph / "skipped.csv").read_text().splitlines()[1:] == [
        "4,4.png,NaN or infinite values", "17,17.png,NaN or infinite values",
    ]  # fmt: skip
    assert json.loads((graph / "meta.json").read_text())["results"]["skipped"] == 2
    assert (np.load(graph / "neighbors.npy")[[4, 17]] == -1).all()
    joined = concatenate([tmp_path / "x.npz", tmp_path / "x.npz"], tmp_path / "joined", unreadable="skip")
    assert not np.load(joined / "embeddings.npy")[[4, 17]].any()
    plan(tmp_path / "x.npz", k=3)
    assert "30 faces, d = 4" in capsys.readouterr().out


def test_corners_of_boxes_are_no_embeddings(tmp_path):
    table = pd.DataFrame(np.eye(3, 8), columns=[f"f{number}" for number in range(8)])
    table.assign(x1=1.5, y1=2.5, x2=3.5, y2=4.5).to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(InputError, match=r"several arrays can be the embeddings: f f.3, 8., x f.3, 2.*x.csv:f"):
        load_embeddings(tmp_path / "x.csv")
    assert load_embeddings(tmp_path / "x.csv:f").embeddings.shape == (3, 8)


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("dtype", [int, float])
def test_labels_among_columns_without_a_name_are_asked_about(tmp_path, header, dtype):
    rows = np.random.default_rng(0).normal(size=(4, 8))
    rows[:, 3] = 0  # a number that no face has is no label
    table = pd.DataFrame(rows)
    table.to_csv(tmp_path / "x.csv", index=False, header=header)
    assert load_embeddings(tmp_path / "x.csv").embeddings.shape == (4, 8)
    table[8] = np.array([7, 7, 12, 3], dtype)
    table.to_csv(tmp_path / "x.csv", index=False, header=header)
    with pytest.raises(InputError, match="x.csv: column 9 of 9 holds whole numbers, others do not: labels or not"):
        load_embeddings(tmp_path / "x.csv")


@pytest.mark.parametrize(
    ("values", "labels"),
    [([0.0, 2, 2, 0, np.nan, 1], [0, 2, 2, 0, -1, 1]), ([0.5, 2, 2, 0, np.nan, 1], None), ([0.5] * 6, None)],
)
def test_floats_under_a_label_s_name_are_labels_if_they_are_whole(tmp_path, values, labels):
    np.savez(tmp_path / "x.npz", embeddings=X, target=np.array(values))
    found = load_embeddings(tmp_path / "x.npz").labels
    assert (None if found is None else found.tolist()) == labels
