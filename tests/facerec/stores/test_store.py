import pickle
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from facerec.commands.split import split
from facerec.commands.store import store
from facerec.pipeline.face_lists import read_face_list
from facerec.pipeline.files import InputError
from facerec.stores.folder import write_list
from facerec.stores.open import open_store
from facerec.stores.pixels import decode
from facerec.stores.shards import write_index, write_shards
from facerec.stores.store import UnreadableFace

COMMANDS = {"split": "facerec.commands.split:split", "store": "facerec.commands.store:store"}


def test_folder_has_sorted_keys_and_numbered_identities(tmp_path, make_faces):
    faces = open_store(make_faces(tmp_path / "f", identities=3, each=2))
    assert faces.keys == [f"person{i}/0{j}.png" for i in range(3) for j in range(2)]
    assert faces.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert faces.labels.dtype == np.int64


def test_colours_are_red_green_blue_and_grey_has_three_channels(tmp_path):
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 2] = 255  # OpenCV writes blue, green, red
    cv2.imwrite(str(tmp_path / "a.png"), red)
    cv2.imwrite(str(tmp_path / "b.png"), np.full((6, 8), 90, np.uint8))
    faces = open_store(tmp_path)
    assert faces.read(0)[0, 0].tolist() == [255, 0, 0]
    assert faces.read(1).shape == (6, 8, 3)
    assert faces.read(1)[0, 0].tolist() == [90, 90, 90]
    assert faces.labels is None


def test_images_beside_folders_have_no_identity(tmp_path, make_faces):
    make_faces(tmp_path, identities=2, each=1)
    cv2.imwrite(str(tmp_path / "alone.png"), np.zeros((4, 4, 3), np.uint8))
    assert open_store(tmp_path).labels.tolist() == [-1, 0, 1]
    assert repr(open_store(tmp_path)) == f"<FileStore {tmp_path}: 3 faces of 2 people>"


def test_list_is_relative_to_its_folder(tmp_path, make_faces):
    make_faces(tmp_path / "f", identities=2, each=2)
    (tmp_path / "lists").mkdir()
    lines = ["../f/person1/00.png\tzoe", "../f/person0/01.png\tada", "../f/person0/00.png"]
    (tmp_path / "lists" / "faces.tsv").write_text("\n".join(lines))
    by_file, by_folder = open_store(tmp_path / "lists" / "faces.tsv"), open_store(tmp_path / "lists")
    assert by_file.labels.tolist() == by_folder.labels.tolist() == [1, 0, -1]
    assert np.array_equal(by_file.read(0), open_store(tmp_path / "f").read(2))


@pytest.mark.parametrize(("name", "read_as"), [("nan", None), ("-1", None), (" Ann", "Ann")])
def test_people_whom_no_list_can_hold_are_named(tmp_path, caplog, name, read_as):
    write_list(tmp_path / "faces.tsv", [("1.png", name), ("2.png", "Bo"), ("3.png", None)])
    assert read_face_list(tmp_path / "faces.tsv")[1] == [read_as, "Bo", None]
    assert f"a person is called {name!r}, which a list of faces takes for {read_as!r}" in caplog.text


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_shards_give_the_same_faces_as_the_folder(tmp_path, make_faces, suffix):
    folder = make_faces(tmp_path / "f", identities=3, each=7, size=200, suffix=suffix)
    packed = store(folder, out=tmp_path / "shards", shard_megabytes=1)
    a, b = open_store(folder), pickle.loads(pickle.dumps(open_store(packed)))
    assert len(list(packed.glob("faces-*.tar"))) == (2 if suffix == ".png" else 1)
    assert a.keys == b.keys
    assert a.labels.tolist() == b.labels.tolist()
    assert all(np.array_equal(a.read(row), b.read(row)) for row in reversed(range(len(a))))


def test_shards_are_tar_files_in_the_layout_of_webdataset(tmp_path, make_faces):
    folder = make_faces(tmp_path / "f", identities=2, each=2)
    with tarfile.open(store(folder, out=tmp_path / "shards") / "faces-000000.tar") as tar:
        names = tar.getnames()
        assert tar.extractfile(names[-1]).read() == b"1"
        assert tar.extractfile(names[0]).read() == (folder / "person0" / "00.png").read_bytes()
    assert names[:3] == ["000000000.png", "000000000.cls", "000000001.png"]


def test_every_shard_has_a_name_of_its_own_and_a_face_without_identity_no_class(tmp_path, make_faces):
    folder, files = make_faces(tmp_path / "f", identities=3, each=1), {}
    cv2.imwrite(str(folder / "alone.png"), np.zeros((4, 4, 3), np.uint8))
    source = open_store(folder)
    places = list(write_shards(source, tmp_path, limit=1))
    assert [shard for shard, _, _ in places] == [f"faces-00000{row}.tar" for row in range(4)]
    for row, (shard, offset, length) in enumerate(places):
        assert (tmp_path / shard).read_bytes()[offset : offset + length] == source.encoded(row)
        with tarfile.open(tmp_path / shard) as tar:
            files[shard] = [Path(name).suffix for name in tar.getnames()]
    assert list(files.values()) == [[".png"], *[[".png", ".cls"]] * 3]
    for person in range(3):
        (folder / f"person{person}" / "00.png").rename(folder / f"{person}.png")
    assert len(list(write_shards(open_store(folder), tmp_path, limit=1))) == 4


@pytest.mark.parametrize("packed", [False, True])
def test_split_keeps_identities_apart_and_rows_with_their_truth(tmp_path, make_faces, packed):
    faces = make_faces(tmp_path / "f", identities=5, each=4)
    faces = store(faces, out=tmp_path / "shards") if packed else faces
    source = open_store(faces)
    corpus = split(faces, out=tmp_path / "corpus", labelled=2, seed=3)
    labelled, unlabelled = open_store(corpus / "labelled"), open_store(corpus / "unlabelled")
    truth = np.load(corpus / "unlabelled_truth.npy")
    assert sorted(set(labelled.labels)) == [0, 1]
    assert len(labelled) == 8
    assert unlabelled.labels is None
    assert len(unlabelled) == len(truth) == 12
    pictures = {source.read(row).tobytes(): row for row in range(len(source))}
    rows = [pictures[unlabelled.read(row).tobytes()] for row in range(len(unlabelled))]
    assert source.labels[rows].tolist() == truth.tolist()
    assert rows != sorted(rows)
    named = {source.identities[pictures[labelled.read(row).tobytes()]] for row in range(8)}
    assert named == set(labelled.identities)
    assert not named & {source.identities[row] for row in rows}


def test_split_keeps_people_for_validation_out_of_both_other_parts(tmp_path, make_faces):
    faces = make_faces(tmp_path / "f", identities=5, each=2)
    source = open_store(faces)
    without = split(faces, out=tmp_path / "without", labelled=2, seed=3)
    corpus = split(faces, out=tmp_path / "corpus", labelled=2, validation=1, seed=3)
    labelled, validation = open_store(corpus / "labelled"), open_store(corpus / "validation")
    assert labelled.keys == open_store(without / "labelled").keys
    assert len(validation) == 2
    hidden = {source.identities[source.labels.tolist().index(n)] for n in np.load(corpus / "unlabelled_truth.npy")}
    parts = [set(labelled.identities), set(validation.identities), hidden]
    assert [len(part) for part in parts] == [2, 1, 2]
    assert set.union(*parts) == set(source.identities)
    assert not (without / "validation").exists()


@pytest.mark.parametrize("validation", [-1, 3])
def test_split_leaves_somebody_unlabelled(tmp_path, make_faces, validation):
    faces = make_faces(tmp_path / "f", identities=5, each=2)
    with pytest.raises(InputError, match=f"--validation {validation} of 3 identities .* choose 0 to 2"):
        split(faces, out=tmp_path / "corpus", labelled=2, validation=validation)


def _two_stores(tmp_path, make_faces):
    """A folder, and tar shards with the same keys and identities but other pictures."""
    one = make_faces(tmp_path / "one", identities=3, each=2)
    two = store(make_faces(tmp_path / "two", identities=2, each=4), out=tmp_path / "shards")
    return open_store(one), open_store(two)


def test_stores_of_a_list_stand_one_after_the_other_with_identities_of_their_own(tmp_path, make_faces):
    one, two = _two_stores(tmp_path, make_faces)
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "stores.txt").write_text("../one\n../shards\tsecond\n")
    both, by_file = open_store(tmp_path / "both"), open_store(tmp_path / "both" / "stores.txt")
    assert both.keys == by_file.keys == [f"../one/{key}" for key in one.keys] + [f"second/{key}" for key in two.keys]
    assert both.labels.tolist() == [*one.labels, *(two.labels + 3)]
    both = pickle.loads(pickle.dumps(both))
    for row in range(14):
        assert both.encoded(row) == (one.encoded(row) if row < 6 else two.encoded(row - 6))


def test_a_list_of_stores_is_packed_and_may_hold_lists_and_faces_without_identity(tmp_path, make_faces):
    one, two = _two_stores(tmp_path, make_faces)
    cv2.imwrite(str(tmp_path / "one" / "alone.png"), np.zeros((4, 4, 3), np.uint8))
    for folder, text in (("inner", "../one\ta\n../shards\tb\n"), ("outer", "../inner\tx\n\n../one\ty\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "stores.txt").write_text(text)
    packed = open_store(store(tmp_path / "outer", out=tmp_path / "packed"))
    assert packed.labels.tolist() == [-1, *one.labels, *(two.labels + 3), -1, *(one.labels + 5)]
    assert packed.keys[:2] == ["x/a/alone.png", "x/a/person0/00.png"]
    assert packed.encoded(7) == two.encoded(0)


def test_a_store_that_is_named_twice_is_said(tmp_path, make_faces, caplog):
    _two_stores(tmp_path, make_faces)
    (tmp_path / "again").symlink_to("one")
    (tmp_path / "stores.txt").write_text("one\nshards\n")
    open_store(tmp_path / "stores.txt")
    assert "are one store" not in caplog.text
    (tmp_path / "stores.txt").write_text("one\nshards\nagain\n")
    assert len(open_store(tmp_path / "stores.txt")) == 20
    assert "'one' and 'again' are one store" in caplog.text


def test_split_of_a_list_of_stores_keeps_rows_with_their_truth(tmp_path, make_faces):
    _two_stores(tmp_path, make_faces)
    (tmp_path / "stores.txt").write_text("one\nshards\n")
    source = open_store(tmp_path / "stores.txt")
    corpus = split(tmp_path / "stores.txt", out=tmp_path / "corpus", labelled=2, seed=1)
    corpus = corpus.rename(tmp_path / "renamed")
    labelled, unlabelled = open_store(corpus / "labelled"), open_store(corpus / "unlabelled")
    truth = np.load(corpus / "unlabelled_truth.npy")
    place = {source.encoded(row): row for row in range(len(source))}
    rows = [place[unlabelled.encoded(row)] for row in range(len(unlabelled))]
    assert source.labels[rows].tolist() == truth.tolist()
    assert rows != sorted(rows)
    assert unlabelled.labels is None
    kept = [place[labelled.encoded(row)] for row in range(len(labelled))]
    assert sorted(rows + kept) == list(range(14))
    assert [source.identities[row] for row in kept] == labelled.identities


def test_bad_lists_of_stores_are_refused(tmp_path, make_faces):
    make_faces(tmp_path / "one", identities=2, each=1)
    file = tmp_path / "stores.txt"
    for content, text in [
        (b"", "expected one store a line"),
        (b"one\tone\tone\n", "expected one store a line"),
        (b"one\t\n", "expected one store a line"),
        (b"one\nno such\tone\n", "'one' stands there more than once"),
        (b"one\nabsent\n", "absent: no such face store"),
        (b"one\n.\n", "leads back to"),
        (b"\xff\n", "no such face store"),
    ]:
        file.write_bytes(content)
        with pytest.raises(InputError, match=text) as caught:
            open_store(file)
        assert str(tmp_path) in str(caught.value)
        assert "\n" not in str(caught.value)
    file.write_text("one\n")
    for order in ([0, 2], [0, 0], [-1, 0]):
        np.save(tmp_path / "order.npy", np.array(order))
        with pytest.raises(InputError, match="order.npy: not an order of the 2 faces"):
            open_store(file)


def test_split_depends_on_its_seed_only(tmp_path, make_faces):
    faces = make_faces(tmp_path / "f", identities=6, each=2)
    texts = [
        (split(faces, out=tmp_path / f"c{i}", labelled=3, seed=seed) / "unlabelled" / "faces.tsv").read_text()
        for i, seed in enumerate((1, 1, 2))
    ]
    assert texts[0] == texts[1] != texts[2]


def test_bytes_behind_the_end_of_a_png_do_no_harm(tmp_path, make_faces):
    faces = make_faces(tmp_path / "f", identities=1, each=1)
    whole = open_store(faces).read(0)
    with (faces / "person0" / "00.png").open("ab") as file:
        file.write(bytes(5000))
    np.testing.assert_array_equal(open_store(faces).read(0), whole)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty"), (b"no image", "not a readable image"), (None, "No such file"), ("half", "PNG cut short")],
)
def test_unreadable_face_says_why(tmp_path, make_faces, content, reason, capfd):
    faces = make_faces(tmp_path / "f", identities=1, each=2)
    target = faces / "person0" / "01.png"
    opened = open_store(faces)
    if content is None:
        target.unlink()
    else:
        target.write_bytes(target.read_bytes()[:500] if content == "half" else content)
    with pytest.raises(UnreadableFace, match=reason) as caught:
        opened.read(1)
    assert caught.value.key == "person0/01.png"
    assert opened.read(0).shape == (40, 40, 3)
    assert pickle.loads(pickle.dumps(caught.value)).reason == caught.value.reason
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("row", [-1, 2, "a", 0.0, None, [0], slice(1)])
def test_what_is_no_row_is_refused(tmp_path, make_faces, row):
    opened = open_store(make_faces(tmp_path / "f", identities=1, each=2))
    with pytest.raises(InputError, match="row is .*; it must be a whole number from 0 to 1"):
        opened.read(row)
    assert np.array_equal(opened.read(np.uint8(1)), opened.read(1))


def _bad_stores(tmp_path: Path, make_faces) -> dict[str, tuple[Path, str]]:
    faces = make_faces(tmp_path / "faces", identities=2, each=2)
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("x")
    lists = {
        "twice": "faces/person0/00.png\tx\nfaces/person0/00.png\ty\n",
        "columns": "faces/person0/00.png\tx\ty\n",
        "nowhere": "no/a.png\tx\nno/b.png\ty\n",
        "nothing": "",
    }
    for name, text in lists.items():
        (tmp_path / f"{name}.tsv").write_text(text)
    for name in ("cut_tar", "cut_index", "no_tar", "columns_index"):
        store(faces, out=tmp_path / name)
    tar = tmp_path / "cut_tar" / "faces-000000.tar"
    table = pq.read_table(tmp_path / "cut_tar" / "index.parquet").to_pandas()
    end = int((table["offset"] + table["length"]).max())
    tar.write_bytes(tar.read_bytes()[: end - 1])
    index = tmp_path / "cut_index" / "index.parquet"
    index.write_bytes(index.read_bytes()[:200])
    (tmp_path / "no_tar" / "faces-000000.tar").unlink()
    (tmp_path / "columns_index" / "index.parquet").unlink()
    write_index(tmp_path / "columns_index" / "index.parquet", ([None], [0], [1], ["a"], [None]))
    (tmp_path / "two").mkdir()
    for name in ("a.bin", "two/a.rec", "two/b.rec"):
        (tmp_path / name).write_bytes(b"x")
    return {
        "missing": (tmp_path / "missing", "no such face store"),
        "empty": (tmp_path / "empty", "no faces"),
        "kind": (tmp_path / "a.txt", "not a face store"),
        "bin": (tmp_path / "a.bin", "not a face store; insightface's pairs are unpacked by python -m facerec bin"),
        "records": (tmp_path / "two", "2 .rec files, a.rec and others; give one of them"),
        "twice": (tmp_path / "twice.tsv", "'faces/person0/00.png' stands there more than once"),
        "columns": (tmp_path / "columns.tsv", "line 1 is"),
        "nowhere": (tmp_path / "nowhere.tsv", "none of its first 2 files exists"),
        "nothing": (tmp_path / "nothing.tsv", "no faces"),
        "cut_tar": (tmp_path / "cut_tar", f"{end - 1} bytes, but the index refers to {end}"),
        "cut_index": (tmp_path / "cut_index", "not readable as an index"),
        "no_tar": (tmp_path / "no_tar", "no_tar/index.parquet refers to it; put it back, or pack"),
        "nulls": (tmp_path / "columns_index", "empty values"),
    }


def test_bad_stores_are_refused_with_their_reason(tmp_path, make_faces):
    for name, (path, text) in _bad_stores(tmp_path, make_faces).items():
        with pytest.raises(InputError, match=".") as caught:
            open_store(path)
        assert text in str(caught.value), name
        assert str(path) in str(caught.value), name


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["split", "--labelled", "3"], "--labelled 3 of 3 identities"),
        (["split", "--labelled", "0"], "--labelled 0 of 3 identities"),
        (["store", "--shard-megabytes", "0"], "--shard-megabytes: 0; expected a number above 0"),
        (["store", "--colour", "red"], "colour"),
    ],
)
def test_commands_refuse_bad_options(tmp_path, make_faces, capsys, arguments, text, status_of):
    faces = make_faces(tmp_path / "f", identities=3, each=1)
    assert status_of(COMMANDS, [*arguments, "--faces", faces, "--out", tmp_path / "out"]) == 2
    assert text in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_split_needs_identities(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(InputError, match="1 of 1 faces have no identity"):
        split(tmp_path, out=tmp_path / "out", labelled=1)


def test_a_header_that_asks_for_too_many_pixels_is_refused():
    encoded = bytearray(cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes())
    frame = encoded.index(b"\xff\xc0")
    encoded[frame + 5 : frame + 9] = (65500).to_bytes(2, "big") * 2
    with pytest.raises(ValueError, match="65500x65500 pixels, more than 100000000; see --max-pixels"):
        decode(bytes(encoded))
