import os
import shutil

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from onnx import TensorProto, helper, numpy_helper

from facerec.pipeline import fingerprint as module
from facerec.pipeline.files import InputError
from facerec.pipeline.fingerprint import InputFiles


@pytest.fixture
def faces(tmp_path):
    """Pictures in folders, a list of pictures elsewhere, and a file that is missing."""
    for name in ("faces/a/1.png", "faces/a/b/2.png", "other/3.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "faces" / "faces.tsv").write_text(
        "\ufeff../other/3.png\tx\n../other/missing.png\ty\n", encoding="utf-8"
    )
    return tmp_path / "faces"


def of(path, *without):
    files = InputFiles(path, without)
    return files.stamp, files.hash


def rewrite(path, content: bytes):
    before = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


def test_nothing_changed(faces):
    assert of(faces) == of(faces)
    assert list(InputFiles(faces).entries) == [
        "a/1.png", "a/b/2.png", "faces.tsv", "faces.tsv -> ../other/3.png", "faces.tsv -> ../other/missing.png",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["faces/a/1.png", "faces/a/b/2.png", "other/3.png", "faces/faces.tsv"])
def test_contents_of_equal_length_at_any_depth_and_elsewhere_count(tmp_path, faces, name):
    before = of(faces)
    file = tmp_path / name
    rewrite(file, bytes(len(file.read_bytes())))
    stamp, contents = of(faces)
    assert stamp != before[0]
    assert contents != before[1]


def test_a_file_that_appears_or_goes_counts(tmp_path, faces):
    before = of(faces)
    (tmp_path / "other" / "missing.png").write_bytes(b"there")
    assert of(faces)[1] != before[1]
    (faces / "a" / "1.png").unlink()
    assert "a/1.png" not in InputFiles(faces).entries


def test_a_new_name_counts_as_it_is_a_new_key(faces):
    before = of(faces)[1]
    (faces / "a" / "1.png").rename(faces / "a" / "0.png")
    assert of(faces)[1] != before


def test_other_contents_of_equal_length_and_times_have_another_stamp(faces):
    before, file = of(faces), faces / "a" / "1.png"
    times = file.stat()
    file.write_bytes(bytes(times.st_size))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = of(faces)
    assert after[0] != before[0]
    assert after[1] != before[1]


def test_a_copy_and_a_touched_file_have_another_stamp_and_the_same_hash(tmp_path, faces):
    before = of(faces)
    shutil.copytree(faces, tmp_path / "copy")
    (tmp_path / "copy" / "a" / "1.png").touch()
    stamp, contents = of(tmp_path / "copy")
    assert stamp != before[0]
    assert contents == before[1]


def test_a_moved_file_is_the_same_whatever_its_name(tmp_path):
    (tmp_path / "one.npy").write_bytes(b"abc")
    before = of(tmp_path / "one.npy")[1]
    assert of((tmp_path / "one.npy").rename(tmp_path / "two.npy"))[1] == before
    (tmp_path / "two.npy").write_bytes(b"abd")
    assert of(tmp_path / "two.npy")[1] != before


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("train.rec", "train.idx"),
        ("train.rec", "train.lst"),
        ("train.rec", "property"),
        ("FACES.REC", "FACES.idx"),
        ("stores.txt", "order.npy"),
    ],
)
def test_what_is_read_beside_a_file_counts(tmp_path, name, beside):
    (tmp_path / name).write_bytes(b"")
    before = of(tmp_path / name)
    for content in (b"one", b"two"):
        (tmp_path / beside).write_bytes(content)
        after = of(tmp_path / name)
        assert after[0] != before[0]
        assert after[1] != before[1]
        before = after


@pytest.mark.parametrize(("kind", "read"), [("FF", "F"), ("FP", "FP")])
def test_the_pictures_of_cfp_count_though_they_are_listed_above_its_pairs(tmp_path, kind, read):
    folder = tmp_path / "Split" / kind
    folder.mkdir(parents=True)
    before = of(folder)
    for name in "FP":
        (tmp_path / f"Pair_list_{name}.txt").write_bytes(b"1 a.jpg")
        after = of(folder)
        assert [one != two for one, two in zip(before, after, strict=True)] == [name in read] * 2
        before = after


def test_every_byte_of_a_large_file_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "HASH_BLOCK", 7)
    for position in (0, 50, 99):
        (tmp_path / "file").write_bytes(bytes(100))
        before = of(tmp_path / "file")[1]
        changed = bytearray(100)
        changed[position] = 1
        (tmp_path / "file").write_bytes(changed)
        assert of(tmp_path / "file")[1] != before


def test_beyond_the_bound_times_count(faces, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    before = of(faces)
    assert of(faces) == before
    rewrite(faces / "a" / "b" / "2.png", bytes(15))
    assert of(faces)[1] != before[1]


def test_the_output_and_unfinished_work_do_not_count(faces):
    before = of(faces, faces / "out")
    for name in ("out", "other.partial", "a/x.partial"):
        (faces / name).mkdir()
        (faces / name / "file").write_text("made")
    (faces / "meta.json").write_text("{}")
    assert of(faces, faces / "out") == before
    assert of(faces) != before
    (faces / "a" / "meta.json").write_text("{}")  # of a folder of faces it is another file
    assert of(faces, faces / "out") != before


def test_what_systems_put_beside_pictures_does_not_count(faces):
    before = of(faces)
    for name in (".DS_Store", "a/._1.png", "a/Thumbs.db", ".Trash/1.png", "a/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg"):
        (faces / name).parent.mkdir(parents=True, exist_ok=True)
        (faces / name).write_bytes(b"of a system")
    assert of(faces) == before


def test_loops_of_links_end(faces):
    (faces / "a" / "loop").symlink_to(faces)
    (faces / "dangling").symlink_to(faces / "nowhere")
    (faces / "self").symlink_to(faces / "self")
    names = list(InputFiles(faces).entries)
    assert "dangling" in names
    assert "self" in names
    assert not any(name.startswith("a/loop/a/loop") for name in names)


def test_what_an_index_a_list_of_stores_and_a_network_name_counts(tmp_path):
    for name in ("shard.tar", "second.tar"):
        (tmp_path / name).write_bytes(b"tar")
    (tmp_path / "packed").mkdir()
    pq.write_table(
        pa.table({"shard": ["../shard.tar", "../shard.tar", "../second.tar"]}), tmp_path / "packed" / "index.parquet"
    )
    for name, inner in (("both", "packed"), ("outer", "both")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "stores.txt").write_text(f"../{inner}\n")
    weights = numpy_helper.from_array(np.zeros((64, 64), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 64])], [weights],
    )  # fmt: skip
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx", save_as_external_data=True, location="w.bin")
    for path, changed in (
        ("packed", "shard.tar"), ("packed", "second.tar"), ("both", "shard.tar"), ("outer", "shard.tar"),
        ("m.onnx", "w.bin"),
    ):  # fmt: skip
        before = of(tmp_path / path)
        rewrite(tmp_path / changed, (tmp_path / changed).read_bytes() + b"\0")
        assert of(tmp_path / path)[1] != before[1], path
    (tmp_path / "w.bin").unlink()
    assert of(tmp_path / "m.onnx") != before


@pytest.mark.parametrize(("suffix", "line"), [("TSV", "1.png\tann"), ("CSV", "1.png,ann"), ("LST", "1\t1.png\t0")])
def test_pictures_of_a_list_count_whatever_the_case_of_its_suffix(tmp_path, suffix, line):
    (tmp_path / f"FACES.{suffix}").write_text(f"{line}\n")
    (tmp_path / "1.png").write_bytes(b"one")
    before = of(tmp_path / f"FACES.{suffix}")
    rewrite(tmp_path / "1.png", b"two")
    after = of(tmp_path / f"FACES.{suffix}")
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_damaged_references_name_nothing(tmp_path):
    for name in ("index.parquet", "x.onnx"):
        (tmp_path / name).write_bytes(b"\xff\x00damaged")
    assert len(InputFiles(tmp_path).entries) == 2
    assert of(tmp_path) == of(tmp_path)


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        of(tmp_path / "nowhere")


def test_stores_that_name_themselves_or_each_other_end(tmp_path):
    (tmp_path / "stores.txt").write_text(".\n.\n")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "stores.txt").write_text("..\n")
    assert of(tmp_path) == of(tmp_path)
