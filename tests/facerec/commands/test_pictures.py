"""Faces of any store as files, at the places of a table."""

import pytest

from facerec.commands.pictures import pictures
from facerec.commands.store import store
from facerec.pipeline.files import InputError, write_table
from facerec.stores.open import open_store
from facerec.stores.pictures import suffix_of


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


def test_all_faces_of_shards_under_their_keys(tmp_path, make_faces):
    faces = make_faces(tmp_path / "faces")
    shards = store(faces, tmp_path / "shards")
    assert contents(pictures(shards, tmp_path / "out")) == contents(faces)


def test_places_of_a_table(tmp_path, make_faces):
    faces = make_faces(tmp_path / "faces")
    first, second, third = open_store(faces).keys[:3]
    rows = [(first, "people/A/1.png"), (second, ""), (third, "people/B/=x")]
    write_table(tmp_path / "t.csv", ("key", "file"), rows)
    out = pictures(faces, tmp_path / "out", table=tmp_path / "t.csv")
    assert contents(out) == {
        "people/A/1.png": (faces / first).read_bytes(), "people/B/=x.png": (faces / third).read_bytes(),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("nobody.png", "a.png")], "'nobody.png' is no face of"),
        ([("FIRST", "../a.png")], "leads out of the folder"),
        ([("FIRST", "a.png"), ("SECOND", "a.png")], "two faces have one place"),
        ([("FIRST", "a.png"), ("SECOND", "a")], "two faces have one place, a.png"),
        ([("FIRST", "b/../a.png"), ("SECOND", "a.png")], "leads out of the folder"),
        ([("FIRST", "a.png"), ("SECOND", "./a.png")], "two faces have one place"),
        ([("FIRST", "a.png"), ("FIRST", "b.png")], "stands there more than once"),
        ([("FIRST", "")], "names no place for any face"),
    ],
)
def test_tables_that_are_refused(tmp_path, make_faces, rows, message):
    faces = make_faces(tmp_path / "faces")
    names = dict(zip(("FIRST", "SECOND"), open_store(faces).keys[:2], strict=True))
    write_table(tmp_path / "t.csv", ("key", "file"), [(names.get(key, key), place) for key, place in rows])
    with pytest.raises(InputError, match=message):
        pictures(faces, tmp_path / "out", table=tmp_path / "t.csv")


def test_two_faces_of_a_list_with_one_place_are_refused(tmp_path, make_faces):
    for people in ("one/faces", "faces"):
        make_faces(tmp_path / people)
    first = open_store(tmp_path / "faces").keys[0]
    (tmp_path / "one" / "both.tsv").write_text(f"faces/{first}\n../faces/{first}\n")
    with pytest.raises(
        InputError, match=rf"both.tsv: two faces have one place, faces/.*'faces/{first}' and '\.\./faces"
    ):
        pictures(tmp_path / "one" / "both.tsv", tmp_path / "out")


def test_pictures_among_the_faces_are_refused(tmp_path, make_faces):
    faces = make_faces(tmp_path / "faces", 1, 2)
    with pytest.raises(InputError, match="--out lies in --faces"):
        pictures(faces, faces / "copies")
    assert not (faces / "copies.partial").exists()


def test_suffix_by_content():
    assert [suffix_of(start + bytes(9)) for start in (b"\xff\xd8\xff", b"\x89PNG", b"II*\0")] == [
        ".jpg",
        ".png",
        ".tif",
    ]
