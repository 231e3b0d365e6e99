"""Faces as other tools write them: lists, webdataset's tar files, ImageFolder, Hugging Face's Parquet files, zip."""

import errno
import io
import json
import os
import pickle
import shutil
import tarfile
import zipfile

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset

from facerec.commands.split import split
from facerec.commands.store import store
from facerec.commands.thumbnails import thumbnails
from facerec.pipeline.files import InputError, ObstacleError
from facerec.pipeline.fingerprint import InputFiles
from facerec.stores import tar_index
from facerec.stores.folder import write_list
from facerec.stores.open import open_store
from facerec.stores.parquet_store import ParquetStore, _pictures
from facerec.stores.pictures import write_pictures
from facerec.stores.shards import write_copies
from facerec.stores.store import UnreadableFace
from facerec.stores.tar_index import KEPT


def picture(seed, suffix=".png"):
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return cv2.imencode(suffix, pixels)[1].tobytes()


PICTURES = [picture(seed) for seed in range(6)]
PEOPLE = [0, 0, 3, 3, 10, 10]


def assert_faces(found, labels=(0, 0, 1, 1, 2, 2), pictures=PICTURES):
    """Pictures and labels of a store, row by row; also after it went to another process."""
    found = pickle.loads(pickle.dumps(found))
    assert [found.encoded(row) for row in range(len(found))] == list(pictures)
    assert (found.labels is None) if labels is None else (found.labels.tolist() == list(labels))
    assert found.read(0).shape == (8, 8, 3)


def warnings_in(caplog):
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def written(folder, names):
    for name, content in zip(names, PICTURES, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def pictures(tmp_path):
    return written(tmp_path, [f"img/{row}.png" for row in range(6)])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.tsv", "".join(f"img/{row}.png\t{' ' * (row % 2)}p{PEOPLE[row]:02d} \n" for row in range(6))),
        ("x.csv", "identity,path\n" + "".join(f"p{PEOPLE[row]:02d},img/{row}.png\n" for row in range(6))),
        ("x.csv", "Label,File,age\n" + "".join(f"p{PEOPLE[row]:02d},img/{row}.png,3\n" for row in range(6))),
        ("x.csv", "".join(f"img/{row}.png,p{PEOPLE[row]:02d}\n" for row in range(6))),
        ("x.csv", "".join(f"p{PEOPLE[row]:02d},img/{row}.png\n" for row in range(6))),
        ("x.csv", "path;identity\r\n" + "".join(f"img/{row}.png;p{PEOPLE[row]:02d}\r\n" for row in range(6))),
        ("mxnet.lst", "".join(f"{row}\t{PEOPLE[row]:f}\timg/{row}.png\n" for row in range(6))),
        ("insightface.lst", "".join(f"1\timg/{row}.png\t{PEOPLE[row]}\n" for row in range(6))),
        ("boxes.lst", "".join(f"0\timg/{row}.png\t{PEOPLE[row]}\t1\t2\t3\t4\n" for row in range(6))),
    ],
)
def test_lists_of_faces(tmp_path, pictures, name, text):
    (tmp_path / name).write_text(text)
    found = open_store(tmp_path / name)
    assert found.keys == [f"img/{row}.png" for row in range(6)]
    assert_faces(found)
    assert len(InputFiles(tmp_path / name).entries) == 7  # the pictures count


def test_a_heading_of_a_list_is_no_face(tmp_path, pictures):
    (tmp_path / "x.tsv").write_text("path\tidentity\nimg/0.png\tp00\nimg/1.png\tp00\n")
    assert open_store(tmp_path / "x.tsv").keys == ["img/0.png", "img/1.png"]


def test_lists_without_identities_and_as_pandas_writes_them(tmp_path, pictures):
    (tmp_path / "x.csv").write_text("".join(f"img/{row}.png\n" for row in range(6)))
    assert_faces(open_store(tmp_path / "x.csv"), None)
    people = [str(person) if person else None for person in PEOPLE]
    pd.DataFrame({"path": open_store(tmp_path / "x.csv").keys, "person": people}).to_csv(tmp_path / "y.csv")
    assert_faces(open_store(tmp_path / "y.csv"), [-1, -1, 1, 1, 0, 0])


def test_columns_that_are_no_identities_are_named(tmp_path, pictures, caplog):
    (tmp_path / "x.csv").write_text("path,identity\nimg/0.png,\n")
    (tmp_path / "y.csv").write_text("img/0.png,-1\n")
    assert open_store(tmp_path / "x.csv").labels is open_store(tmp_path / "y.csv").labels is None
    assert caplog.messages == []
    (tmp_path / "x.csv").write_text("class_id,path\n7,img/0.png\n")
    assert open_store(tmp_path / "x.csv").labels is None
    said = "faces without identities; column class_id is not used: call the column with identities 'identity'"
    assert caplog.messages == [f"{tmp_path / 'x.csv'}: {said}"]
    pd.DataFrame({"bytes": PICTURES, "class_id": PEOPLE, "age": 3}).to_parquet(tmp_path / "x.parquet")
    assert open_store(tmp_path / "x.parquet").labels is None
    assert "x.parquet: faces without identities; columns class_id, age are not used" in caplog.text
    tar_of(tmp_path / "x.tar", {"0.png": PICTURES[0], "0.json": b'{"class_id": 7}'})
    assert "faces without identities, though files are beside them; an identity is a .cls or .txt" in caplog.text
    (tmp_path / "x.tsv").write_text("path\tclass_id\nimg/0.png\t7\n")
    assert open_store(tmp_path / "x.tsv").identities == ["7"]


@pytest.mark.parametrize(("name", "mark"), [("x.tsv", "\t"), ("x.csv", ","), ("x.csv", ", ")])
def test_nobody_in_lists(tmp_path, pictures, name, mark):
    for unknown in ("-1", "-1.0", "nan", "None"):
        lines = [f"img/{row}.png{mark}{person or unknown}" for row, person in enumerate(PEOPLE)]
        (tmp_path / name).write_text("\n".join(lines) + "\n")
        assert_faces(open_store(tmp_path / name), [-1, -1, 1, 1, 0, 0])
    lines = [f"{row}\t{person or -1}\timg/{row}.png" for row, person in enumerate(PEOPLE)]
    (tmp_path / "x.lst").write_text("\n".join(lines) + "\n")
    assert_faces(open_store(tmp_path / "x.lst"), [-1, -1, 0, 0, 1, 1])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.csv", "", "no lines; expected a path"),
        ("x.csv", "a,b,c\n1,2,3\n", "begins with 'a,b,c'; expected names of columns"),
        ("x.csv", "path,identity\na.png\n", "line 2 has 1 fields, the first one 2"),
        ("x.csv", "path,identity\n,zoe\n", "line 2 has no path"),
        ("x.csv", "path\nnowhere.png\n", "none of its first 1 files exists"),
        ("x.csv", ",".join(f"f{n}" for n in range(64)) + "\n", "64 columns are no list of faces"),
        ("x.lst", "a\n", "not lines of flag, path, label or key, label, path"),
        ("x.lst", "1\timg/0.png\t0.5\n", "labels are no identities"),
        ("x.lst", "1\timg/0.png\tnan\n", "labels are no identities"),
    ],
)
def test_lists_that_are_none(tmp_path, pictures, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=f"{name}: {message}"):
        open_store(tmp_path / name)


def webdataset_shards(folder, about):
    """Two shards of three samples each, as webdataset's own writer makes them."""
    folder.mkdir()
    for shard in range(2):
        with webdataset.TarWriter(str(folder / f"faces-{shard:06d}.tar")) as writer:
            for row in range(3 * shard, 3 * shard + 3):
                writer.write({"__key__": f"{row:09d}", "png": PICTURES[row], **about(PEOPLE[row])})
    return folder


@pytest.mark.parametrize(
    "about",
    [
        lambda person: {"cls": person},
        lambda person: {"json": {"identity": person, "age": 3}},
        lambda person: {"txt": f"p{person:02d}"},
    ],
)
def test_what_webdataset_wrote_is_indexed_on_first_use(tmp_path, about):
    folder = webdataset_shards(tmp_path / "shards", about)
    before = InputFiles(folder).hash
    found = open_store(folder)
    assert found.keys == [f"{row:09d}.png" for row in range(6)]
    assert_faces(found)
    assert (folder / KEPT).exists()
    assert InputFiles(folder).hash == before  # a second run is of the same input
    assert_faces(open_store(folder))
    assert_faces(open_store(folder / "faces-000000.tar"), [0, 0, 1], PICTURES[:3])


def tar_of(file, members):
    with tarfile.open(file, "w") as tar:
        for name, content in members.items():
            about = tarfile.TarInfo(name)
            about.size, about.type = len(content), tarfile.REGTYPE if content else tarfile.DIRTYPE
            tar.addfile(about, io.BytesIO(content))
    return open_store(file)


def test_names_with_dots_have_a_label_each(tmp_path):
    members = {"._m.00.png": b"of macOS", "folder.png": b""} | {f"m.0{row}.png": PICTURES[row] for row in range(6)}
    members |= {f"m.0{row}.cls": b"%d" % PEOPLE[row] for row in range(6)}
    assert_faces(tar_of(tmp_path / "x.tar", members))
    one = {"a.left.png": PICTURES[0], "a.right.PNG": PICTURES[1], "a.CLS": b"3", "b.png": PICTURES[2]}
    assert tar_of(tmp_path / "y.tar", one).identities == ["3", "3", None]
    two = {f"{folder}/0.{part}.png": PICTURES[part] for folder in "ab" for part in (0, 1)}
    assert tar_of(tmp_path / "z.tar", two | {"b/0.cls": b"5", "a/0.cls": b"3"}).identities == ["3", "3", "5", "5"]


def test_a_class_counts_more_than_what_else_is_said_in_any_order(tmp_path):
    said = {"a.txt": b"a caption", "a.json": b'{"width": 8}', "a.cls": b"3", "b.cls": b"-1", "b.json": b'{"label": 5}'}
    pictures = {"a.png": PICTURES[0], "b.png": PICTURES[1], "c.txt": b"a caption", "c.json": b"4", "c.png": PICTURES[2]}
    assert tar_of(tmp_path / "x.tar", said | pictures).identities == ["3", None, "4"]
    assert tar_of(tmp_path / "y.tar", dict(reversed((said | pictures).items()))).identities == ["4", None, "3"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7.0, None, 12.0], ["07", None, "12"]),
        ([-1, 7, 12], [None, "07", "12"]),
        (["7", "007", "-1"], ["7", "007", None]),
        ([" ada", "", "zoe"], ["ada", None, "zoe"]),
        (["ada", "bo", "7"], ["ada", "bo", "7"]),
        (["nan", "None", "7"], [None, None, "7"]),
        ([0.5, 1.0, None], [None, "1", None]),
        ([-1.0, 1.0, None], [None, "1", None]),
    ],
)
def test_identities_of_any_type(tmp_path, values, expected):
    texts = {f"{row}.json": json.dumps({"label": value}).encode() for row, value in enumerate(values)}
    found = tar_of(tmp_path / "x.tar", texts | {f"{row}.png": PICTURES[row] for row in range(3)})
    assert found.identities == expected
    pd.DataFrame({"image": PICTURES[:3], "label": values}).to_parquet(tmp_path / "x.parquet")
    assert open_store(tmp_path / "x.parquet").identities == expected


def test_the_index_is_made_again_when_the_tar_files_change(tmp_path):
    folder = webdataset_shards(tmp_path / "shards", lambda person: {"cls": person})
    open_store(folder)
    (folder / KEPT).write_bytes(b"no index")
    assert len(open_store(folder)) == 6
    shard = folder / "faces-000001.tar"
    shard.write_bytes(shard.read_bytes().replace(b"000000005", b"000000050"))  # of the same length and checksum
    os.utime(shard, ns=(0, 0))
    assert "000000050.png" in open_store(folder).keys
    shard.unlink()
    assert len(open_store(folder)) == 3
    shutil.copy(folder / "faces-000000.tar", folder / "more.tar")
    found = open_store(folder)
    assert found.keys[0] == "faces-000000/000000000.png"
    assert found.keys[-1] == "more/000000002.png"


def test_names_that_are_not_utf_8_are_read_without_an_index(tmp_path, caplog):
    tar_of(tmp_path / "x.tar", {"Andr\udce9/0.png": PICTURES[0], "Andr\udce9/0.cls": b"3"})
    with caplog.at_level("INFO"):
        found = open_store(tmp_path)
    assert (found.keys, found.identities) == (["Andr\udce9/0.png"], ["3"])
    assert found.encoded(0) == PICTURES[0]
    assert f"{KEPT}: cannot be written (names that are not UTF-8); the tar files are read by" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar"]


def test_the_index_is_made_again_when_identities_are_read_otherwise(tmp_path, monkeypatch):
    folder = webdataset_shards(tmp_path / "shards", lambda person: {"cls": person})
    with monkeypatch.context() as before:
        before.setattr(tar_index, "SAID_BY", ("txt",))
        assert open_store(folder).labels is None
    assert_faces(open_store(folder))


def test_tar_files_that_cannot_be_read(tmp_path):
    (tmp_path / "x.tar").write_bytes(b"no tar" * 200)
    with pytest.raises(InputError, match="x.tar: not readable as a tar file"):
        open_store(tmp_path / "x.tar")
    with tarfile.open(tmp_path / "y.tar", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("a.png"), io.BytesIO())
    with pytest.raises(InputError, match="unpack it if it is compressed"):
        open_store(tmp_path / "y.tar")
    with tarfile.open(tmp_path / "z.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("a.txt"), io.BytesIO())
    with pytest.raises(InputError, match="z.tar: no faces"):
        open_store(tmp_path / "z.tar")


def test_the_sample_that_webdataset_wrote(data, tmp_path):
    sample = data.parent / "faults" / "webdataset"
    if not sample.is_dir():
        pytest.skip(f"no sample at {sample}")
    shutil.copytree(sample, tmp_path / "set")
    found = open_store(tmp_path / "set")
    assert found.keys[0] == "000000000.jpg"
    assert found.labels.tolist() == np.repeat(np.arange(5), 6).tolist()
    assert found.read(0).shape == (112, 112, 3)


def test_parts_of_an_image_folder_are_no_identities(tmp_path, caplog):
    caplog.set_level("INFO")
    names = ["train/ada/0.png", "train/zoe/1.png", "train/zoe/2.png", "val/ada/3.png", "val/eve/4.png", "val/eve/5.png"]
    found = open_store(written(tmp_path / "set", names))
    assert found.identities == ["ada", "zoe", "zoe", "ada", "eve", "eve"]
    assert "people of train, val; 1 of them in several of these" in caplog.text
    assert_faces(found, [0, 2, 2, 0, 1, 1])
    assert open_store(written(tmp_path / "flat", [f"train/{row}.png" for row in range(6)])).labels.tolist() == [0] * 6
    (tmp_path / "none").mkdir()
    caplog.clear()
    with pytest.raises(InputError, match="none: no faces"):
        open_store(tmp_path / "none")
    assert "people" not in caplog.text
    other = open_store(written(tmp_path / "other", [*names[:5], "eve/5.png"]))
    assert other.identities[1:3] == ["train/ada", "train/zoe"]


def test_an_archive_beside_folders_of_pictures_is_said(tmp_path, caplog):
    tar_of(tmp_path / "old.tar", {"0.png": PICTURES[0]})
    assert open_store(tmp_path).keys == ["0.png"]
    assert not warnings_in(caplog)
    written(tmp_path / "2020", [f"{row}.PNG" for row in range(6)])
    assert open_store(tmp_path).keys == ["0.png"]
    (said,) = warnings_in(caplog)
    assert "old.tar and the like are read, but not the pictures in folders beside it, such as 2020/" in said


def test_archives_and_tables_beside_pictures_do_not_hide_them(tmp_path, caplog):
    flat = written(tmp_path / "flat", [f"{row}.PNG" for row in range(6)])
    for name in ("all.tar", "about.parquet", "a.rec"):
        (flat / name).write_bytes(b"of something else")
    assert_faces(open_store(flat), None)
    people = written(tmp_path / "people", [f"p{PEOPLE[row]:02d}.tar/{row}.png" for row in range(6)])
    pd.DataFrame({"a": [1.0]}).to_parquet(people / "about.parquet")
    assert_faces(open_store(people))
    assert not warnings_in(caplog)


def test_files_of_many_faces_are_known_by_suffixes_in_capitals(tmp_path):
    pd.DataFrame({"image": PICTURES, "label": PEOPLE}).to_parquet(tmp_path / "X.PARQUET")
    assert_faces(open_store(tmp_path / "X.PARQUET"))
    for name in ("._X.PARQUET", "._a.png"):
        (tmp_path / name).write_bytes(b"of macOS")
    assert_faces(open_store(tmp_path))
    tar_of(tmp_path / "Y.TAR", {"0.png": PICTURES[0]})
    assert open_store(tmp_path).keys == ["0.png"]  # tar files before tables


def hugging_face(file, rows, names=None, paths=True):
    """As ``datasets`` writes an Image and a ClassLabel column."""
    images = [{"bytes": PICTURES[row], "path": f"{row}.png" if paths else None} for row in rows]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    table = pa.table({"image": pa.array(images, kind), "label": [PEOPLE[row] for row in rows]})
    note = {"huggingface": json.dumps({"info": {"features": features}})} if names else {}
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(note), file, row_group_size=2)


@pytest.mark.parametrize("below", ["", "data/"])
def test_hugging_face_parquet_files(tmp_path, below):
    for number, rows in enumerate(([0, 1, 2], [3, 4, 5])):
        hugging_face(tmp_path / f"set/{below}train-0000{number}-of-00002.parquet", rows)
    found = open_store(tmp_path / "set")
    assert found.keys == [f"{row}.png" for row in range(6)]
    assert found.identities == ["00", "00", "03", "03", "10", "10"]
    assert_faces(found)
    packed = open_store(store(tmp_path / "set", tmp_path / "packed"))
    assert_faces(packed)


def test_names_of_classes_and_other_columns(tmp_path):
    names = [f"person {number:02d}" for number in range(11)]
    hugging_face(tmp_path / "x.parquet", range(6), names, paths=False)
    found = open_store(tmp_path / "x.parquet")
    assert found.identities[2:4] == ["person 03"] * 2
    assert found.keys[1] == "000000001.png"
    assert_faces(found)
    pd.DataFrame({"image": PICTURES, "label": [0.0, 0.0, 3.0, None, -1.0, 3.0]}).to_parquet(tmp_path / "f.parquet")
    table, note = pq.read_table(tmp_path / "f.parquet"), pq.read_schema(tmp_path / "x.parquet").metadata
    pq.write_table(table.replace_schema_metadata(note), tmp_path / "f.parquet")
    assert open_store(tmp_path / "f.parquet").identities == [names[0]] * 2 + [names[3], None, None, names[3]]
    hugging_face(tmp_path / "w.parquet", range(6), names[:10])
    with pytest.raises(InputError, match="w.parquet: not readable as Parquet .label 10 of 10 names in its schema"):
        open_store(tmp_path / "w.parquet")
    people = [f"p{person:02d}" for person in PEOPLE]
    pd.DataFrame({"image": PICTURES, "identity": people}).to_parquet(tmp_path / "y.parquet")
    assert_faces(open_store(tmp_path / "y.parquet"))
    pd.DataFrame({"a": [1.0]}).to_parquet(tmp_path / "z.parquet")
    with pytest.raises(InputError, match="z.parquet: no column of pictures; it has a"):
        open_store(tmp_path / "z.parquet")
    (tmp_path / "z.parquet").write_bytes((tmp_path / "x.parquet").read_bytes()[:-9])
    with pytest.raises(InputError, match="z.parquet: not readable as Parquet"):
        open_store(tmp_path / "z.parquet")


def test_columns_of_names_and_people_in_parquet(tmp_path):
    names = [f"d/{row}.png" for row in range(6)]
    columns = {
        "small": [b"another"] * 6, "name": list("ababab"), "Label": pd.to_datetime(["2020-01-01"] * 6),
        "Person": pd.Categorical([f"p{person:02d}" for person in PEOPLE]), "size": np.arange(6), "File_Name": names,
        "image": PICTURES,
    }  # fmt: skip
    pd.DataFrame(columns).to_parquet(tmp_path / "x.parquet")
    found = open_store(tmp_path / "x.parquet")
    assert found.keys == names
    assert_faces(found)
    columns |= {"File_Name": [*names[:5], names[0]]}
    table = pa.Table.from_pandas(pd.DataFrame(columns))
    place = table.schema.get_field_index("image")
    table = table.set_column(place, "IMG", table["image"].cast(pa.large_binary()))
    pq.write_table(table, tmp_path / "y.parquet")
    found = open_store(tmp_path / "y.parquet")
    assert found.keys == [f"00000000{row}.png" for row in range(6)]
    assert_faces(found)
    (tmp_path / "both").mkdir()
    for name in ("x.parquet", "y.parquet"):
        shutil.copy(tmp_path / name, tmp_path / "both" / name)
    with pytest.raises(InputError, match="y.parquet: no column of pictures; it has"):
        open_store(tmp_path / "both")


def test_a_split_of_parquet_keeps_names_and_people_apart_and_faces_without_a_picture_unreadable(tmp_path, caplog):
    pd.DataFrame({"image": [*PICTURES[:5], b""], "label": PEOPLE}).to_parquet(tmp_path / "x.parquet")
    halves = split(tmp_path / "x.parquet", tmp_path / "split", labelled=1)
    (said,) = warnings_in(caplog)
    assert "1 face of the part" in said
    assert "cannot be read, such as 000000005.png: its row has no picture; what is copied has no pictures of" in said
    parts = [open_store(halves / name) for name in ("labelled", "unlabelled")]
    assert parts[1].identities == [None] * 4
    assert set(parts[0].identities) < {"00", "03", "10"}
    assert sorted(parts[0].keys + parts[1].keys) == open_store(tmp_path / "x.parquet").keys
    for part in (*parts, open_store(tmp_path / "x.parquet")):
        for row, key in enumerate(part.keys):
            if key == "000000005.png":
                with pytest.raises(UnreadableFace):
                    part.read(row)
            else:
                assert part.encoded(row) == PICTURES[int(key[:9])]


def test_rows_without_a_picture_and_files_without_rows_in_parquet(tmp_path):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    images = [None if row == 2 else {"bytes": PICTURES[row], "path": None} for row in range(6)]
    table = pa.table({"image": pa.array(images, kind), "label": PEOPLE})
    (tmp_path / "set").mkdir()
    for number, part in enumerate((table.slice(0, 0), table.slice(0, 4), table.slice(4))):
        pq.write_table(part, tmp_path / "set" / f"{number}.parquet")
    found = open_store(tmp_path / "set")
    assert found.keys == [f"00000000{row}.png" for row in range(6)]
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2]
    with pytest.raises(UnreadableFace, match="its row has no picture"):
        found.read(2)
    assert [found.encoded(row) for row in (0, 1, 3, 4, 5)] == [*PICTURES[:2], *PICTURES[3:]]


def test_labels_in_parquet_that_are_none_are_said(tmp_path, caplog):
    pd.DataFrame({"image": PICTURES, "Label": [True, False] * 3}).to_parquet(tmp_path / "x.parquet")
    assert open_store(tmp_path / "x.parquet").labels is None
    assert "x.parquet: column Label is bool, no names or whole numbers; it is not used" in warnings_in(caplog)[0]


def test_a_thread_that_reads_another_group_of_a_parquet_file_changes_no_face(tmp_path, monkeypatch):
    hugging_face(tmp_path / "x.parquet", range(6))
    found = open_store(tmp_path / "x.parquet")
    own, other = ((group, _pictures(*found.groups[group], "image")) for group in (0, 1))
    looks = iter([own, own, other])  # of which the third is after another thread has read
    monkeypatch.setattr(ParquetStore, "kept", property(lambda store: next(looks)), raising=False)
    assert found.encoded(0) == PICTURES[0]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip_files(tmp_path, method, caplog):
    with zipfile.ZipFile(tmp_path / "x.zip", "w", method) as archive:
        for row, content in enumerate(PICTURES):
            archive.writestr(f"faces/{PEOPLE[row]:02d}/{row}.{'png' if row else 'PNG'}", content)
        for name in ("__MACOSX/faces/00/0.png", "faces/00/._0.png", "faces/.Trash/0.png", "./faces/00/.old.png"):
            archive.writestr(name, b"x")
        archive.writestr("readme.txt", b"x")
    with caplog.at_level("INFO"):
        found = open_store(tmp_path / "x.zip")
    assert "x.zip: left out as hidden: 2 entries, such as ./faces/00/.old.png" in caplog.text
    assert found.keys[0] == "faces/00/0.PNG"
    assert found.identities[0] == "faces/00"
    assert_faces(found)
    halves = split(tmp_path / "x.zip", tmp_path / "split", labelled=2)
    labelled = open_store(halves / "labelled")
    assert labelled.labels.tolist() == [0, 0, 1, 1]
    assert open_store(halves / "unlabelled").labels is None
    both = [*labelled.keys, *open_store(halves / "unlabelled").keys]
    assert sorted(both) == found.keys
    for part in ("labelled", "unlabelled"):
        opened = open_store(halves / part)
        assert [opened.encoded(row) for row in range(len(opened))] == [
            found.encoded(found.keys.index(key)) for key in opened.keys
        ]


def test_a_zip_file_with_backslashes_has_folders_too(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for row, content in enumerate(PICTURES):
            archive.writestr(f"{PEOPLE[row]:02d}\\{row}.png", content)
    found = open_store(tmp_path / "x.zip")
    assert found.identities == ["00", "00", "03", "03", "10", "10"]
    assert_faces(found)


def test_zip_files_that_are_damaged(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/0.png", PICTURES[0])
        archive.writestr("a/1.png", PICTURES[1])
    content = bytearray((tmp_path / "x.zip").read_bytes())
    content[60] ^= 255
    (tmp_path / "x.zip").write_bytes(content)
    found = open_store(tmp_path / "x.zip")
    with pytest.raises(UnreadableFace, match=r"a/0.png: (cannot be unpacked|Bad CRC)"):
        found.read(0)
    assert found.read(1).shape == (8, 8, 3)
    (tmp_path / "x.zip").write_bytes(content[:-30])
    with pytest.raises(InputError, match="x.zip: not readable as a zip file"):
        open_store(tmp_path / "x.zip")


def test_a_parquet_group_with_fewer_pictures_than_rows_cannot_be_read(tmp_path):
    file, refused, said = tmp_path / "x.parquet", 0, []
    pd.DataFrame({"image": PICTURES, "label": PEOPLE}).to_parquet(file)
    whole = file.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    for place in (place for place in range(footer, len(whole) - 8) if whole[place] == 2 * len(PICTURES)):
        file.write_bytes(whole[:place] + b"\0" + whole[place + 1 :])  # one of the counts in it, as zigzag, is 0 now
        try:
            found = open_store(file)
        except InputError:
            refused += 1
            continue
        try:
            assert [found.encoded(row) for row in range(len(found))] == PICTURES
        except OSError as error:
            said.append(str(error))
    assert refused
    assert said
    assert all("cannot be read (0 pictures for 6 rows)" in message for message in said)


def test_a_tar_file_of_a_folder_has_the_faces_of_the_folder(tmp_path, caplog):
    folder = written(tmp_path / "faces", ["a/0.png", "a/1.png", *(f"b/{row}.png" for row in range(2, 6))])
    os.link(folder / "a" / "0.png", folder / "b" / "again.png")
    (folder / "b" / "link.png").symlink_to("../a/1.png")
    (folder / "b" / "broken.png").symlink_to("absent.png")
    for name in (".trash/0.png", "a/.0.png", "@eaDir/0.png", "a/._0.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.add(folder, ".")
    with caplog.at_level("INFO"):
        found, expected = open_store(tmp_path / "x.tar"), open_store(folder)
    assert "left out as hidden: 3 entries, such as ./.trash/0.png" in caplog.text
    assert sorted(found.keys) == expected.keys
    for row, key in enumerate(found.keys):
        if key == "b/broken.png":
            with pytest.raises(UnreadableFace):
                found.read(row)
        else:
            assert found.encoded(row) == (folder / key).read_bytes()


def test_a_tar_file_that_is_cut_between_faces_or_joined_to_another_is_said(tmp_path, caplog):
    tar_of(tmp_path / "x.tar", {"0.png": PICTURES[0], "1.png": PICTURES[1]})
    tar_of(tmp_path / "y.tar", {"2.png": PICTURES[2]})
    assert not warnings_in(caplog)
    whole = (tmp_path / "x.tar").read_bytes()
    (tmp_path / "x.tar").write_bytes(whole[: 512 + -(-len(PICTURES[0]) // 512) * 512])
    assert open_store(tmp_path / "x.tar").keys == ["0.png"]
    assert "x.tar: has no end, so it may be cut short; if faces are missing, copy it again" in warnings_in(caplog)[0]
    (tmp_path / "x.tar").write_bytes(whole + (tmp_path / "y.tar").read_bytes())
    assert open_store(tmp_path / "x.tar").keys == ["0.png", "1.png"]
    assert "x.tar: what stands behind its end, at byte 2048, is not read" in warnings_in(caplog)[1]


def test_packed_pictures_whose_names_have_no_suffix_are_faces_for_webdataset(tmp_path):
    names = [f"n{row}/00.{row}" for row in range(6)]
    pd.DataFrame({"image": PICTURES, "path": names, "label": PEOPLE}).to_parquet(tmp_path / "x.parquet")
    packed = store(tmp_path / "x.parquet", tmp_path / "packed")
    assert open_store(packed).keys == names
    shutil.copytree(packed, tmp_path / "tars", ignore=lambda *_: ["index.parquet"])
    found = open_store(tmp_path / "tars")
    assert found.keys == [f"00000000{row}.png" for row in range(6)]
    assert_faces(found)


def test_each_kind_of_store_knows_whether_its_files_are_there(tmp_path):
    source = written(tmp_path / "source", [f"p{row}/{row}.png" for row in range(6)])
    write_list(tmp_path / "list.tsv", ((f"source/p{row}/{row}.png", None) for row in range(6)))
    hugging_face(tmp_path / "x.parquet", range(6))
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("0.png", PICTURES[0])
    packed = store(source, tmp_path / "packed")
    (tmp_path / "stores.txt").write_text("packed\nx.zip\n")
    files = {
        "source": source, "list.tsv": source, "x.parquet": tmp_path / "x.parquet", "x.zip": tmp_path / "x.zip",
        "packed": packed, "packed/faces-000000.tar": packed, "stores.txt": tmp_path / "x.zip",
    }  # fmt: skip
    for name, file in files.items():
        found = open_store(tmp_path / name)
        assert found.is_there(), name
        file.rename(tmp_path / "away")
        assert not found.is_there(), name
        with pytest.raises(ObstacleError, match="its pictures cannot be reached any more"):
            found.refuse_if_gone()
        (tmp_path / "away").rename(file)
    (source / "p0" / "0.png").unlink()
    assert open_store(tmp_path / "list.tsv").is_there()


def test_thumbnails_and_copies_of_faces_that_are_gone_are_none(tmp_path, monkeypatch):
    source = written(tmp_path / "source", [f"p{row}/{row}.png" for row in range(6)])
    opened = open_store(source)
    monkeypatch.setattr("facerec.commands.thumbnails.open_store", lambda *_: opened)
    read = opened.encoded

    def gone(row):
        if row == 3:
            source.rename(tmp_path / "away")
        return read(row)

    monkeypatch.setattr(opened, "encoded", gone)
    with pytest.raises(ObstacleError, match="source: its pictures cannot be reached any more"):
        thumbnails(source, tmp_path / "out", workers=0)
    assert not (tmp_path / "out").exists()
    (tmp_path / "away").rename(source)
    with pytest.raises(ObstacleError, match="source: its pictures cannot be reached any more"):
        write_pictures(opened, dict(zip(opened.keys, opened.keys, strict=True)), tmp_path)
    (tmp_path / "away").rename(source)
    with pytest.raises(ObstacleError, match="source: its pictures cannot be reached any more"):
        write_copies(opened, range(6), tmp_path, named=True)


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "Too many open files"), pa.ArrowMemoryError("malloc failed")])
def test_an_error_of_the_process_makes_no_face_of_a_parquet_or_zip_file_unreadable(tmp_path, monkeypatch, error):
    hugging_face(tmp_path / "x.parquet", range(6))
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("0.png", PICTURES[0])
    stores = [open_store(tmp_path / name) for name in ("x.parquet", "x.zip")]

    def refuse(*_):
        raise error

    monkeypatch.setattr(pq, "ParquetFile", refuse)
    monkeypatch.setattr(zipfile.ZipFile, "read", refuse)
    for found in stores:
        with pytest.raises(type(error)):
            found.read(0)


def test_people_with_a_tab_or_an_end_of_line_in_the_name_are_refused(pictures):
    for name in ("a\tb", "a\rb"):
        (pictures / "x.csv").write_bytes(f'path,identity\nimg/0.png,"{name}"\nimg/1.png,c\n'.encode())
        with pytest.raises(InputError, match="x.csv: person 'a.[tr]b' has a tab or an end of line in the name"):
            open_store(pictures / "x.csv")
    pd.DataFrame({"image": PICTURES, "label": [*"abcde", "f\ng"]}).to_parquet(pictures / "x.parquet")
    with pytest.raises(InputError, match="x.parquet: person 'f.ng' has a tab or an end of line in the name"):
        open_store(pictures / "x.parquet")
