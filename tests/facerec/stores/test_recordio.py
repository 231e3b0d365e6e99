"""insightface's training sets: what mxnet would write is read, and damage ends in an error that says so."""

import importlib.util
import pickle
import shutil
import struct
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facerec.commands.split import split
from facerec.commands.store import store
from facerec.pipeline.files import InputError
from facerec.stores.open import open_store
from facerec.stores.store import UnreadableFace

MAGIC = struct.pack("<I", 0xCED7230A)


def image(seed, suffix=".png"):
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return cv2.imencode(suffix, pixels)[1].tobytes()


def with_magic(seed):
    """A JPEG whose comment has the magic twice running and once more, where the record has its words."""
    comment = b"--" + 2 * MAGIC + b"abcd" + MAGIC + b"end"
    jpeg = image(seed, ".jpg")
    return jpeg[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + jpeg[2:]


def payload(label, content=b"", key=0):
    """The header of a record, with one label or a list of them, and its image."""
    if isinstance(label, list):
        return struct.pack(f"<IfQQ{len(label)}f", len(label), 0, key, 0, *label) + content
    return struct.pack("<IfQQ", 0, label, key, 0) + content


def framed(content):
    """A record as it is stored: the magic cut out at whole words, parts padded to words."""
    cuts = [place for place in range(0, len(content) - 3, 4) if content[place : place + 4] == MAGIC]
    starts, ends = [0, *(cut + 4 for cut in cuts)], [*cuts, len(content)]
    stored = b""
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        kind = 0 if not cuts else 1 if number == 0 else 3 if number == len(cuts) else 2
        stored += MAGIC + struct.pack("<I", kind << 29 | end - start) + content[start:end] + bytes(-end % 4)
    return stored


def write(folder, payloads, order=None):
    """A set of the payloads by key, written in the order of the keys given. Returns where each record begins."""
    folder.mkdir(exist_ok=True)
    place, content = {}, b""
    for key in payloads if order is None else order:
        place[key] = len(content)
        content += framed(payloads[key])
    (folder / "train.rec").write_bytes(content)
    (folder / "train.idx").write_text("".join(f"{key}\t{offset}\n" for key, offset in place.items()))
    return place


def insightface(faces, first=0):
    """Payloads as face2rec2 makes them: faces, the header with key 0, and the identities' ranges of keys."""
    behind = first + 1 + len(faces)
    labels = [label[0] if isinstance(label, list) else label for label, _ in faces]
    groups = sorted(set(labels))
    payloads = {first + 1 + i: payload(label, content, first + 1 + i) for i, (label, content) in enumerate(faces)}
    payloads[first] = payload([behind, behind + len(groups)])
    for number, group in enumerate(groups):
        start = first + 1 + labels.index(group)
        payloads[behind + number] = payload([start, start + labels.count(group)])
    return payloads


FACES = [(label, image(i, (".png", ".jpg")[i % 2])) for i, label in enumerate([0, 0, 2, 2, 2, 10, 10])]


def opened(folder, payloads, order=None):
    write(folder, payloads, order)
    return open_store(folder)


def assert_same(found, faces):
    for row, (_, content) in enumerate(faces):
        assert found.encoded(row) == content
        np.testing.assert_array_equal(found.read(row), cv2.imdecode(np.frombuffer(content, np.uint8), 1)[..., ::-1])


def test_faces_of_a_set_with_header(tmp_path):
    found = opened(tmp_path / "set", insightface(FACES))
    assert found.keys == [f"00000000{i + 1}{('.png', '.jpg')[i % 2]}" for i in range(7)]
    assert found.identities == ["00", "00", "02", "02", "02", "10", "10"]
    assert found.labels.tolist() == [0, 0, 1, 1, 1, 2, 2]
    assert_same(found, FACES)
    by_file = pickle.loads(pickle.dumps(open_store(tmp_path / "set" / "train.rec")))
    assert by_file.keys == found.keys
    assert_same(by_file, FACES)
    for suffix in ("rec", "idx"):
        (tmp_path / "set" / f"train.{suffix}").rename(tmp_path / "set" / f"faces.{suffix}")
    assert_same(open_store(tmp_path / "set"), FACES)


LABELS = [label for label, _ in FACES]
NAMES = [f"m.{label}/{row}-FaceId-0.JPG" for row, label in enumerate(LABELS)]
LISTS = {
    "insightface's": [f"1\t{name}\t{label}" for name, label in zip(NAMES, LABELS, strict=True)],
    "with boxes": [f"0\t{name}\t{label}\t1\t2\t3.5\t4" for name, label in zip(NAMES, LABELS, strict=True)],
    "mxnet's": [f"{row + 1}\t{LABELS[row]:f}\t{NAMES[row]}" for row in (3, 1, 0, 2, 6, 5, 4)],
    "several labels": [f"{row + 1}\t{LABELS[row]:f}\t0.5\t{NAMES[row]}" for row in range(7)],
}


@pytest.mark.parametrize("kind", LISTS)
def test_a_list_names_the_faces(tmp_path, kind):
    write(tmp_path / "set", insightface(FACES))
    (tmp_path / "set" / "train.lst").write_text("".join(f"{line}\n" for line in LISTS[kind]))
    (tmp_path / "set" / "property").write_text("11,112,112\n")
    found = open_store(tmp_path / "set")
    assert found.keys == NAMES
    assert found.labels.tolist() == [0, 0, 1, 1, 1, 2, 2]
    assert_same(found, FACES)
    assert_same(open_store(store(tmp_path / "set", out=tmp_path / "shards")), FACES)


@pytest.mark.parametrize(
    "lines",
    [
        [*LISTS["insightface's"], "1\tx.jpg\t10", "1\ty.jpg\t11"],
        ["99\t3\tx.jpg", *LISTS["mxnet's"], "0\t8\ty.jpg"],
    ],
)
def test_a_list_may_have_lines_without_a_record(tmp_path, caplog, lines):
    """As WebFace42M's."""
    caplog.set_level("INFO")
    write(tmp_path / "set", insightface(FACES))
    (tmp_path / "set" / "train.lst").write_text("".join(f"{line}\n" for line in lines))
    assert open_store(tmp_path / "set").keys == NAMES
    assert "train.lst: 2 of its 9 lines have no record" in caplog.text


@pytest.mark.parametrize("header", [True, False])
def test_records_without_an_index_are_found_in_one_pass(tmp_path, caplog, monkeypatch, header):
    """As rec2shufrec leaves them; blocks end within frames, and magics within records begin none."""
    caplog.set_level("INFO")
    faces = [*FACES[:3], (2, with_magic(7)), (10, with_magic(8) + MAGIC + b"\0\0\0\x20")]
    payloads = insightface(faces) if header else {i: payload(*face) for i, face in enumerate(faces)}
    write(tmp_path / "set", payloads, sorted(payloads))
    expected = open_store(tmp_path / "set")
    (tmp_path / "set" / "train.idx").rename(tmp_path / "set" / "old")
    for words in (3, 64, 1 << 20):
        monkeypatch.setattr("facerec.stores.record_scan.BLOCK_WORDS", words)
        found = open_store(tmp_path / "set")
        assert found.keys == expected.keys
        assert found.identities == expected.identities
        assert [found.encoded(row) for row in range(5)] == [content for _, content in faces]
    assert f"no .idx beside it; {9 if header else 5} records found in one pass" in caplog.text


class Writer:
    """Of mxnet's recordio what insightface's builder calls, by its specification."""

    def __init__(self, index, records, flag):
        self.index, self.records, self.lines, self.content = index, records, [], b""

    def write_idx(self, key, content):
        self.lines.append(f"{key}\t{len(self.content)}\n")
        self.content += framed(content)
        Path(self.records).write_bytes(self.content)
        Path(self.index).write_text("".join(self.lines))


def test_what_insightfaces_own_builder_writes(tmp_path, monkeypatch, capsys):
    recordio = SimpleNamespace(
        MXIndexedRecordIO=Writer, IRHeader=lambda *fields: fields,
        pack=lambda header, content: struct.pack("<IfQQ", *header) + content,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "mxnet", SimpleNamespace(recordio=recordio))
    source = Path(importlib.util.find_spec("insightface").origin).parent / "data" / "rec_builder.py"
    spec = importlib.util.spec_from_file_location("rec_builder", source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    builder = module.RecBuilder(str(tmp_path / "set"))
    for person in range(3):
        builder.add([content for label, content in FACES if label == (0, 2, 10)[person]])
    builder.close()
    assert (tmp_path / "set" / "property").read_text() == "3,112,112\n7\n"
    found = open_store(tmp_path / "set")
    assert found.labels.tolist() == [0, 0, 1, 1, 1, 2, 2]
    assert_same(found, FACES)
    (tmp_path / "set" / "property").write_text("3,112,112\n8\n")
    with pytest.raises(InputError, match="property: 8 faces, but there are records of 7"):
        open_store(tmp_path / "set")
    other = shutil.copy(tmp_path / "set" / "train.rec", tmp_path / "set" / "other.rec")
    assert_same(open_store(Path(other)), FACES)  # the property is not about this one


def test_samples_of_the_builder(data, tmp_path):
    sample = data.parent / "faults" / "recbuilder"
    if not sample.is_dir():
        pytest.skip(f"no sample at {sample}")
    found = open_store(sample)
    assert found.labels.tolist() == np.load(sample / "labels.npy").tolist()
    shutil.copy(sample / "without_index.rec", tmp_path / "x.rec")
    without = open_store(tmp_path / "x.rec")
    assert all(without.read(row).ndim == 3 for row in range(len(without)))


def test_names_without_a_suffix_get_that_of_the_format(tmp_path):
    write(tmp_path / "set", insightface(FACES[:2]))
    (tmp_path / "set" / "train.lst").write_text("1\ta\t0\n1\tb.0\t0\n")
    assert open_store(tmp_path / "set").keys == ["a.png", "b.0.jpg"]


def test_a_list_may_name_a_damaged_record(tmp_path):
    place = write(tmp_path / "set", insightface(FACES))
    content = bytearray((tmp_path / "set" / "train.rec").read_bytes())
    content[place[3]] ^= 1
    (tmp_path / "set" / "train.rec").write_bytes(content)
    (tmp_path / "set" / "train.lst").write_text("\n".join(LISTS["insightface's"]))
    assert open_store(tmp_path / "set").keys[2] == NAMES[2]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train.lst", LISTS["mxnet's"][:-1], "its 6 lines are not those of the 7 faces"),
        ("train.lst", [*LISTS["mxnet's"], "5\t2\tx.jpg"], "its 8 lines are not those of the 7 faces"),
        ("train.lst", [*LISTS["mxnet's"][:-1], f"9\t2\t{NAMES[4]}"], "its 7 lines are not those of the 7 faces"),
        ("train.lst", [*LISTS["mxnet's"][:-1], f"5\t3\t{NAMES[4]}"], "label 3 for key 5, whose record has 2"),
        ("train.lst", [f"1\t{NAMES[0]}\t1", *LISTS["insightface's"][1:]], "label 1 for key 1, whose record has 0"),
        ("train.lst", [*LISTS["insightface's"][:-1], f"1\t{NAMES[0]}\t10"], "1 of its paths stand there more than"),
        ("train.lst", [], "not lines of flag, path, label or key, label, path"),
        ("train.lst", ["a"] * 7, "not lines of flag"),
        ("train.lst", ["1\ta\tb"] * 7, "not lines of flag"),
        ("train.lst", ["1\ta\t0", "1\tb"], "not lines of flag"),
        ("property", ["10,112,112"], "10 classes, but a record has label 10"),
        ("property", ["11,112"], "'11,112' is not classes,height,width"),
        ("property", ["11,112,-112"], "is not classes,height,width"),
        ("property", [], "'' is not classes,height,width"),
    ],
)
def test_lists_and_properties_of_other_sets_are_refused(tmp_path, name, content, message):
    write(tmp_path / "set", insightface(FACES))
    (tmp_path / "set" / name).write_text("".join(f"{line}\n" for line in content))
    with pytest.raises(InputError, match=f"{name}: .*{message}|{name}: {message}") as caught:
        open_store(tmp_path / "set")
    assert "or remove it" in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(["train.lst", "property"]), place=st.integers(0, 120), new=st.binary(max_size=6))
def test_changed_lists_and_properties_never_crash(tmp_path_factory, name, place, new):
    folder = tmp_path_factory.mktemp("set")
    write(folder, insightface(FACES))
    (folder / "train.lst").write_text("".join(f"{line}\n" for line in LISTS["mxnet's"]))
    (folder / "property").write_text("11,112,112\n")
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:place] + new + content[place + len(new) :])
    if survives(folder):
        assert open_store(folder).labels.tolist() == [0, 0, 1, 1, 1, 2, 2]


def test_all_records_of_a_set_without_header_are_faces(tmp_path):
    found = opened(tmp_path / "set", {key: payload(label, content) for key, (label, content) in enumerate(FACES)})
    assert found.keys[0] == "000000000.png"
    assert found.labels.tolist() == [0, 0, 1, 1, 1, 2, 2]
    assert_same(found, FACES)


def test_rows_are_in_the_order_of_keys_wherever_records_lie(tmp_path):
    payloads = insightface(FACES)
    found = opened(tmp_path / "set", payloads, order=[3, 0, 9, 7, 1, 10, 8, 2, 6, 4, 5])
    assert found.keys == opened(tmp_path / "sorted", payloads, order=sorted(payloads)).keys
    assert_same(found, FACES)


def test_more_records_than_a_block(tmp_path, monkeypatch):
    monkeypatch.setattr("facerec.stores.recordio.BLOCK_RECORDS", 2)
    found = opened(tmp_path / "set", insightface(FACES), order=[3, 0, 9, 7, 1, 10, 8, 2, 6, 4, 5])
    assert found.labels.tolist() == [0, 0, 1, 1, 1, 2, 2]
    assert_same(found, FACES)


@pytest.mark.parametrize("header", [True, False])
def test_the_first_of_several_labels_counts(tmp_path, header):
    faces = [([5, 0.25, -1], image(0)), ([3, 1], image(1)), (5, image(2)), ([4], image(3))]
    payloads = insightface(faces) if header else {i: payload(*face) for i, face in enumerate(faces)}
    found = opened(tmp_path / "set", payloads)
    assert found.identities == ["5", "3", "5", "4"]
    assert_same(found, faces)


def test_labels_that_float32_rounds_are_told(tmp_path, caplog):
    faces = [((1 << 24) + row, image(row)) for row in range(3)]
    assert opened(tmp_path / "set", insightface(faces)).identities == ["16777216", "16777216", "16777218"]
    assert "labels up to 16777218; RecordIO rounds those above 16777216, so two people may have one" in caplog.text
    caplog.clear()
    for number, told in (((1 << 24) - 1, False), ((1 << 24) + 1, True)):  # the second becomes 2^24
        opened(tmp_path / str(number), insightface([(0, image(0)), (number, image(1))]))
        assert ("labels up to 16777216;" in caplog.text) == told


def test_records_in_parts_are_put_together(tmp_path):
    faces = [(1, image(0)), (0, with_magic(1)), ([1, 4], with_magic(2))]
    write(tmp_path / "set", insightface(faces))
    assert (tmp_path / "set" / "train.rec").read_bytes().count(MAGIC) == 4 + 2 + 2 * 3
    assert_same(open_store(tmp_path / "set"), faces)


@pytest.mark.parametrize("named", [True, False])
def test_a_subset_refers_to_the_records(tmp_path, named):
    faces = [*FACES, (10, with_magic(8)), (11, with_magic(9))]
    found = opened(tmp_path / "set", insightface(faces))
    (tmp_path / "some").mkdir()
    rows = [8, 0, 7, 5]
    found.subset(rows, tmp_path / "some", named)
    (tmp_path / "some").rename(tmp_path / "renamed")
    some = open_store(tmp_path / "renamed")
    assert some.keys == [found.keys[row] for row in rows]
    assert some.identities == [found.identities[row] if named else None for row in rows]
    assert_same(some, [faces[row] for row in rows])
    assert_same(found, faces)


def test_a_subset_without_parts_is_an_index_only(tmp_path):
    found = opened(tmp_path / "set", insightface(FACES))
    (tmp_path / "some").mkdir()
    found.subset([1], tmp_path / "some", True)
    assert [path.name for path in (tmp_path / "some").iterdir()] == ["index.parquet"]


def test_commands_take_a_set(tmp_path):
    faces = [*FACES, (10, with_magic(8))]
    write(tmp_path / "set", insightface(faces))
    packed = store(tmp_path / "set", out=tmp_path / "shards")
    assert_same(open_store(packed), faces)
    assert open_store(packed).labels.tolist() == [0, 0, 1, 1, 1, 2, 2, 2]
    with tarfile.open(packed / "faces-000000.tar") as tar:
        assert tar.getnames()[:3] == ["000000000.png", "000000000.cls", "000000001.jpg"]
    corpus = split(tmp_path / "set" / "train.rec", out=tmp_path / "corpus", labelled=2)
    labelled, unlabelled = open_store(corpus / "labelled"), open_store(corpus / "unlabelled")
    found = [part.encoded(row) for part in (labelled, unlabelled) for row in range(len(part))]
    assert sorted(found) == sorted(content for _, content in faces)


@pytest.mark.parametrize(("faces", "said"), [(4, 4), (6, 8)])
def test_the_header_of_a_large_set_is_rounded(tmp_path, faces, said):
    """Above 2^24 a float32 has even numbers only: 2^24 + 5, behind four faces, becomes 4, and 7, behind six, 8."""
    payloads = insightface(FACES[:faces], first=1 << 24)
    assert struct.unpack_from("<f", payloads[1 << 24], 24) == ((1 << 24) + said,)
    assert_same(opened(tmp_path / "set", payloads), FACES[:faces])


def test_a_damaged_record_is_one_unreadable_face(tmp_path, caplog):
    place = write(tmp_path / "set", insightface(FACES))
    file = tmp_path / "set" / "train.rec"
    content = bytearray(file.read_bytes())
    content[place[3]] ^= 1  # the magic
    content[place[5] + 10] ^= 255  # the number of labels: far more than the record can hold
    content[place[6] + 32] ^= 255  # the image
    file.write_bytes(content)
    found = open_store(tmp_path / "set")
    assert "2 damaged records, the first with key 3" in caplog.text
    assert found.labels.tolist() == [0, 0, -1, 1, -1, 2, 2]
    for row, reason in ((2, "is damaged or has no image"), (4, "is damaged"), (5, "not a readable image")):
        with pytest.raises(UnreadableFace, match=reason):
            found.read(row)
    assert found.encoded(3) == FACES[3][1]
    (tmp_path / "some").mkdir()
    found.subset([2, 3], tmp_path / "some", True)
    assert open_store(tmp_path / "some").encoded(1) == FACES[3][1]
    with pytest.raises(UnreadableFace, match="empty"):
        open_store(tmp_path / "some").read(0)


@pytest.mark.parametrize(
    ("place", "change"),
    [
        pytest.param(0, 1, id="no magic"),
        pytest.param(5, 0x40, id="longer than what is left"),
        pytest.param(7, (3 ^ 2) << 5, id="a middle part, and no last one"),
        pytest.param(7, (3 ^ 0) << 5, id="a whole record"),
    ],
)
def test_damage_in_the_last_part_makes_one_unreadable_face(tmp_path, place, change):
    begins = write(tmp_path / "set", insightface([(0, image(0)), (1, with_magic(1)), (2, image(2))]))
    file = tmp_path / "set" / "train.rec"
    content = bytearray(file.read_bytes())
    content[content.rindex(MAGIC, begins[2], begins[3]) + place] ^= change
    file.write_bytes(content)
    found = open_store(tmp_path / "set")
    with pytest.raises(UnreadableFace, match="lacks part [45]"):
        found.read(1)
    assert found.labels.tolist() == [0, 1, 2]
    assert found.encoded(2) == image(2)
    (tmp_path / "some").mkdir()
    found.subset([1, 0], tmp_path / "some", True)
    assert open_store(tmp_path / "some").encoded(1) == image(0)


def test_a_record_too_long_for_a_face_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("facerec.stores.recordio.MOST_BYTES", 1000)
    found = opened(tmp_path / "set", insightface([(0, image(0)), (1, bytes(1000)), (2, image(2))]))
    with pytest.raises(UnreadableFace, match="damaged"):
        found.read(1)
    assert found.encoded(2) == image(2)


def test_a_face_without_image_is_unreadable(tmp_path):
    found = opened(tmp_path / "set", insightface([(0, image(0)), (1, b"")]))
    assert found.labels.tolist() == [0, 1]
    with pytest.raises(UnreadableFace, match="no image"):
        found.read(1)


def test_packing_says_which_record_is_damaged(tmp_path):
    write(tmp_path / "set", insightface([(0, image(0)), (1, b"")]))
    with pytest.raises(InputError, match="000000002.jpg cannot be read .its record, at byte"):
        store(tmp_path / "set", out=tmp_path / "shards")


def rewritten(**changed):
    return insightface(FACES) | {int(key[1:]): content for key, content in changed.items()}


@pytest.mark.parametrize(
    ("payloads", "message"),
    [
        (rewritten(_2=payload(-1, image(0))), "1 labels are no identities, e.g. -1.0 of key 2"),
        (rewritten(_2=payload(0.5, image(0)), _3=payload(0.5)), "2 labels are no identities, e.g. 0.5 of key 2"),
        (rewritten(_2=payload([float("nan"), 1], image(0))), "e.g. nan of key 2"),
        (rewritten(_2=payload(float("inf"), image(0))), "e.g. inf of key 2"),
        (rewritten(_2=payload(2.0**31, image(0))), "e.g. 2147483648.0 of key 2"),
        (rewritten(_0=payload([float("nan"), 1])), "faces end before key nan"),
        (rewritten(_0=payload([float("inf"), 1])), "faces end before key inf"),
        (rewritten(_0=payload([3e38, 1])), "faces end before key 3"),
        (rewritten(_0=payload([-1, 1])), "faces end before key -1.0"),
        (rewritten(_0=payload([1, 1])), "faces end before key 1.0"),
        (rewritten(_0=payload([3.5, 1])), "faces end before key 3.5"),
        (rewritten(_0=payload([2.0**30, 1])), "train.idx: 10 of the 1073741823 faces"),
        ({k: v for k, v in insightface(FACES).items() if k != 4}, "train.idx: 6 of the 7 faces"),
    ],
)
def test_sets_of_something_else_are_refused(tmp_path, payloads, message):
    with pytest.raises(InputError, match=f"train.(rec|idx): .*{message}|{message}"):
        opened(tmp_path / "set", payloads)


def without_its_last_lines(text):
    return "".join(text.splitlines(keepends=True)[:-2])


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("", "not lines of key<TAB>offset .Empty"),
        ("\n\n", "not lines|no lines"),
        ("key\toffset\n0\t0\n", "not lines of key<TAB>offset .*'key'"),
        ("0 0\n", "not lines of key<TAB>offset"),
        ("0\t0\t0\n", "not lines of key<TAB>offset .*Expected 2 columns, got 3"),
        ("0\t\n", "not lines of key<TAB>offset"),
        ("0\t1e3\n", "not lines of key<TAB>offset"),
        ("0\t99999999999999999999\n", "not lines of key<TAB>offset"),
        ("\x00\x01\n", "not lines of key<TAB>offset"),
        ("1\t8\n0\t-8\n", "train.idx: offset -8"),
        ("1\t8\n-1\t0\n", "train.idx: key -1"),
        ("7\t0\n7\t44\n", "train.idx: key 7 stands there more than once"),
        ("0\t44\n7\t44\n", "train.idx: offset 44 stands there more than once"),
        ("0\t9223372036854775807\n", "bytes, but train.idx refers to 9223372036854775807; copy both again"),
        (lambda text: text.replace("\n", "0\n"), "bytes, but train.idx refers to"),
        ("0\t1\n1\t5\n2\t9\n", "no record at 3 of the 3 places in train.idx"),
        (without_its_last_lines, r"train.idx: \d+ bytes of train.rec lie behind the last record listed"),
    ],
)
def test_bad_indexes_are_refused(tmp_path, index, message):
    write(tmp_path / "set", insightface(FACES))
    file = tmp_path / "set" / "train.idx"
    file.write_text(index(file.read_text()) if callable(index) else index)
    with pytest.raises(InputError, match=message) as caught:
        open_store(tmp_path / "set")
    assert str(tmp_path / "set") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("line", "told"), [(0, True), (3, True), (None, False)])
def test_records_that_an_index_leaves_out_are_told(tmp_path, caplog, line, told):
    write(tmp_path / "set", {key: payload(label, content, key) for key, (label, content) in enumerate(FACES)})
    file = tmp_path / "set" / "train.idx"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(text for number, text in enumerate(lines) if number != line))
    found = open_store(tmp_path / "set")
    assert len(found) == 7 - told
    assert (" bytes of train.rec lie before or between the records listed" in caplog.text) == told


def test_an_index_without_the_header_is_refused(tmp_path):
    """Else the records of people would be faces."""
    write(tmp_path / "set", insightface(FACES))
    file = tmp_path / "set" / "train.idx"
    file.write_text("".join(text for text in file.read_text().splitlines(keepends=True) if not text.startswith("0\t")))
    with pytest.raises(InputError, match=r"train.idx: key 8 says which faces are of one person, .* copy both again"):
        open_store(tmp_path / "set")


def test_a_file_without_records_is_refused(tmp_path):
    write(tmp_path / "set", insightface(FACES))
    (tmp_path / "set" / "train.idx").unlink()
    (tmp_path / "set" / "train.rec").write_bytes(bytes(100))
    with pytest.raises(InputError, match="train.rec: no records in it; copy it again"):
        open_store(tmp_path / "set")


def test_a_record_file_cut_short_is_refused(tmp_path):
    write(tmp_path / "set", insightface(FACES))
    file = tmp_path / "set" / "train.rec"
    content = file.read_bytes()
    for end, message in ((-1, "last record, at byte .* is cut short"), (-50, "refers to"), (0, "0 bytes, but")):
        file.write_bytes(content[:end])
        with pytest.raises(InputError, match=message):
            open_store(tmp_path / "set")


def test_a_damaged_header_is_refused(tmp_path):
    place = write(tmp_path / "set", insightface(FACES))
    file = tmp_path / "set" / "train.rec"
    content = bytearray(file.read_bytes())
    content[place[0]] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match="its first record, key 0, is damaged"):
        open_store(tmp_path / "set")


def test_something_else_than_records_is_refused(tmp_path):
    write(tmp_path / "set", insightface(FACES))
    file = tmp_path / "set" / "train.rec"
    file.write_bytes(np.random.default_rng(0).bytes(file.stat().st_size))
    with pytest.raises(InputError, match="no record at 11 of the 11 places in train.idx"):
        open_store(tmp_path / "set")


PAYLOADS = insightface([(0, image(0)), ([0, 2], image(1)), (3, with_magic(2)), (4, image(3))])


def survives(folder):
    """Whether all of it is faces, reading what can be opened."""
    try:
        found = open_store(folder)
    except InputError:
        return False
    assert found.labels is None or len(found.labels) == len(found)
    unread = 0
    for row in range(len(found)):
        try:
            assert found.read(row).shape[2] == 3
        except UnreadableFace:
            unread += 1
    out = folder / "some"
    out.mkdir(exist_ok=True)
    found.subset(range(len(found)), out, True)
    assert len(open_store(out)) == len(found)
    return unread == 0


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    write(folder, PAYLOADS)
    assert survives(folder)
    return folder, (folder / "train.rec").read_bytes(), (folder / "train.idx").read_bytes()


def changes(most):
    return st.lists(st.tuples(st.integers(0, most - 1), st.integers(0, 255)), max_size=6)


SIZE = sum(len(framed(content)) for content in PAYLOADS.values())
HEADS = st.sampled_from([0, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15, 32, 33, 35])  # of frame, header and first label


@settings(max_examples=150, deadline=None)
@given(changes(SIZE), st.lists(st.tuples(st.integers(0, 6), HEADS, st.integers(0, 255)), max_size=3), st.integers(0, 9))
def test_changed_records_never_crash(damaged, anywhere, in_heads, cut):
    folder, content, index = damaged
    places = [int(line.split(b"\t")[1]) for line in index.splitlines()]
    content = bytearray(content)
    for place, value in [*anywhere, *((places[record] + head, value) for record, head, value in in_heads)]:
        content[place] = value
    (folder / "train.rec").write_bytes(content[: len(content) - 60 * max(cut - 6, 0)])
    (folder / "train.idx").write_bytes(index)
    survives(folder)


@settings(max_examples=150, deadline=None)
@given(changes(25), st.integers(0, 60), st.binary(max_size=12), st.booleans())
def test_changed_indexes_never_crash(damaged, anywhere, cut, added, digits):
    folder, content, index = damaged
    index = bytearray(index)
    for place, value in anywhere:
        index[place] = b"0123456789\t\n-"[value % 13] if digits else value
    (folder / "train.rec").write_bytes(content)
    (folder / "train.idx").write_bytes(index[: max(len(index) - cut, 0)] + (b"" if digits else added))
    survives(folder)


def test_every_truncation_is_refused(damaged):
    folder, content, index = damaged
    (folder / "train.idx").write_bytes(index)
    for end in range(0, len(content), 7):
        (folder / "train.rec").write_bytes(content[:end])
        assert not survives(folder)
