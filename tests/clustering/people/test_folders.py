"""Where pictures go: names in folders, copies and links."""

from shutil import copy2

import numpy as np
import pytest

from clustering.people.folders import link, places, put
from facerec.pipeline.files import InputError


def test_names_are_short_where_they_can_be():
    folders = ["people/A", "people/A", "people/B", "people/A", "people/A"]
    sources = ["x/1.jpg", "y/1.jpg", "x/1.jpg", "../a_b/2.jpg", "a/b_2.jpg"]
    assert places(folders, sources) == [
        "people/A/x_1.jpg", "people/A/y_1.jpg", "people/B/1.jpg", "people/A/2.jpg", "people/A/b_2.jpg",
    ]  # fmt: skip


def test_paths_that_flatten_alike_have_their_rows():
    assert places(["p"] * 2, ["a_b/c/1", "a/b_c/1"]) == ["p/0_a_b_c_1", "p/1_a_b_c_1"]
    called_so = ["a/x", "b/x", "a_x", "0_a_x", "x"]  # the last one is in another folder
    assert places([*"pppp", "q"], called_so) == ["p/0_a_x", "p/1_b_x", "p/2_a_x", "p/3_0_a_x", "q/x"]


def test_of_paths_too_long_for_a_name_the_ends_are_taken():
    tail = f"{'д' * 100}/{'写' * 30}"
    assert places(["p"] * 3, [f"{letter * 200}/{tail}/1.jpg" for letter in "aab"]) == [
        f"p/{row}_{'д' * 78}_{'写' * 30}_1.jpg" for row in range(3)
    ]
    other = places(["p"] * 2, [f"{letter * 40}/{tail[:60]}/1.jpg" for letter in "cд"])
    assert other == [f"p/{letter * 40}_{tail[:60]}_1.jpg" for letter in "cд"]  # 166 and 206 bytes


@pytest.mark.parametrize("action", [copy2, link])
def test_put(tmp_path, action):
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "1.jpg").write_bytes(b"one")
    (tmp_path / "out.partial").mkdir()
    sources, targets = ["1.jpg", "2.jpg", "1.jpg"], ["people/A/1.jpg", "people/A/2.jpg", "people/A/1.jpg"]
    found = put(tmp_path / "faces", sources, tmp_path / "out.partial", targets, action)
    np.testing.assert_array_equal(found, [True, False, True])
    (tmp_path / "out.partial").rename(tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "people" / "A").iterdir()] == ["1.jpg"]
    picture = tmp_path / "out" / "people" / "A" / "1.jpg"
    assert (picture.read_bytes(), picture.is_symlink()) == (b"one", action is link)


def test_a_picture_that_may_not_be_read_is_none(tmp_path, monkeypatch):
    for name in ("1.jpg", "2.jpg"):
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.setattr("os.access", lambda path, mode: path.name != "2.jpg")
    found = put(tmp_path, ["1.jpg", "2.jpg"], tmp_path / "out", ["nobody/1.jpg", "nobody/2.jpg"], copy2)
    assert found.tolist() == [True, False]
    assert [path.name for path in (tmp_path / "out" / "nobody").iterdir()] == ["1.jpg"]


def test_none_of_the_pictures(tmp_path):
    with pytest.raises(InputError, match="has none of the first 1 files, e.g. 1.jpg; of records and shards --as csv"):
        put(tmp_path, ["1.jpg"], tmp_path, ["a/1.jpg"], copy2)
