import cv2
import numpy as np
import pytest

from facerec.__main__ import COMMANDS
from facerec.commands.sheet import sheet
from facerec.pipeline.files import InputError, write_lines
from facerec.stores.cluster_sheet import GAP, LEFT, STRANGER, TILE, _commonest, choose
from facerec.stores.open import open_store


def test_choose_takes_large_middling_and_small_clusters():
    sizes = np.arange(1, 31)
    cluster = np.concatenate([np.repeat(np.arange(30), sizes), [-1, -1]])
    names = choose(cluster, 9, np.random.default_rng(0))
    assert names[:3].tolist() == [29, 28, 27]
    assert all(10 <= name <= 20 for name in names[3:6])
    assert all(1 <= name <= 13 for name in names[6:])
    assert len(set(names.tolist())) == 9


@pytest.mark.parametrize("count", [1, 2, 4, 50])
def test_choose_takes_what_there_is(count):
    cluster = np.array([0, 0, 0, 1, 1, 2, 2, 3, 4, 4, 4, 4])
    names = choose(cluster, count, np.random.default_rng(0)).tolist()
    assert len(names) == len(set(names)) == min(count, 4)
    assert 3 not in names
    assert choose(np.array([0, 1, 2]), 2, np.random.default_rng(0)).shape == (2,)


@pytest.mark.parametrize("truth", [[0, 0, 0, 1, 1, 1], [0, 0, -1, 1, -1, -1]])
def test_strangers_in_a_cluster_have_a_frame_and_unknown_faces_none(tmp_path, make_faces, truth):
    faces = make_faces(tmp_path / "f", identities=2, each=3)
    np.save(tmp_path / "clusters.npy", np.array([0, 0, 0, 0, 1, 1]))
    np.save(tmp_path / "truth.npy", np.array(truth))
    out = tmp_path / "s" / "sheet.png"
    sheet(faces=faces, labels=tmp_path / "clusters.npy", out=out, truth=tmp_path / "truth.npy", columns=5)
    picture = cv2.imread(str(out))[..., ::-1]
    assert picture.shape == (GAP + 2 * (TILE + GAP), LEFT + 5 * (TILE + GAP), 3)

    def framed(row: int, column: int) -> bool:
        corner = picture[GAP + row * (TILE + GAP) + 1, LEFT + column * (TILE + GAP) + 1]
        return tuple(corner) == STRANGER

    assert [[framed(row, column) for column in range(4)] for row in range(2)] == [
        [False, False, False, True],
        [False] * 4,
    ]


def test_the_share_of_one_person_is_of_the_known_faces():
    assert _commonest(np.array([7, 3, 3, -1, 3, -1, -1, -1, -1])) == (3, "75% one person")
    assert _commonest(np.array([-1, 3, 3])) == (3, "one person")
    assert _commonest(np.array([-1, -1])) == (-1, "unknown people")


def test_a_sheet_among_the_faces_is_refused(tmp_path, make_faces):
    """It would be one of them for every later command."""
    faces = make_faces(tmp_path / "f", identities=1, each=2)
    np.save(tmp_path / "labels.npy", np.zeros(2, int))
    with pytest.raises(InputError, match="--out lies in --faces .*; the sheet would count as a further face"):
        sheet(faces, tmp_path / "labels.npy", faces / "sheet.png")
    assert len(open_store(faces)) == 2


def test_same_seed_same_sheet_and_a_finished_one_stays(tmp_path, make_faces):
    faces = make_faces(tmp_path / "f", identities=2, each=6)
    np.save(tmp_path / "labels.npy", np.repeat([0, 1], 6))
    for name in ("a", "b"):
        sheet(faces=faces, labels=tmp_path / "labels.npy", out=tmp_path / f"{name}.png", columns=3)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    (tmp_path / "a.png").write_bytes(b"mine")
    sheet(faces=faces, labels=tmp_path / "labels.npy", out=tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == b"mine"


def test_unreadable_faces_are_blank(tmp_path, make_faces):
    faces = make_faces(tmp_path / "f", identities=1, each=2)
    (faces / "person0" / "00.png").write_bytes(b"")
    np.save(tmp_path / "labels.npy", np.zeros(2, np.int64))
    sheet(faces=faces, labels=tmp_path / "labels.npy", out=tmp_path / "a.png")
    assert (cv2.imread(str(tmp_path / "a.png"))[GAP + 30, LEFT + 30] == 225).all()


@pytest.mark.parametrize(
    ("labels", "options", "text"),
    [
        (np.zeros(3, np.int64), {}, "3 labels for 2 rows"),
        (np.full(2, -1), {}, "every face is unassigned"),
        (np.zeros(2, np.int64), {"name": "a.jpg"}, "ending in .png"),
    ],
)
def test_bad_inputs_are_refused(tmp_path, make_faces, labels, options, text):
    faces = make_faces(tmp_path / "f", identities=1, each=2)
    np.save(tmp_path / "labels.npy", labels)
    out = tmp_path / options.pop("name", "a.png")
    with pytest.raises(InputError) as caught:
        sheet(faces=faces, labels=tmp_path / "labels.npy", out=out, **options)
    assert text in str(caught.value)
    assert not out.exists()


@pytest.mark.parametrize("option", ["clusters", "columns"])
def test_numbers_below_1_are_refused(tmp_path, make_faces, status_of, capsys, option):
    faces = make_faces(tmp_path / "f", identities=1, each=2)
    np.save(tmp_path / "labels.npy", np.zeros(2, np.int64))
    options = ["--faces", faces, "--labels", tmp_path / "labels.npy", "--out", tmp_path / "a.png", f"--{option}", "0"]
    assert status_of(COMMANDS, ["sheet", *options]) == 2
    assert f"--{option}: 0; expected a number above 0" in capsys.readouterr().err
    assert not (tmp_path / "a.png").exists()


def test_clusters_of_the_faces_in_another_order_are_refused(tmp_path, make_faces):
    faces = make_faces(tmp_path / "f", identities=2, each=3)
    (tmp_path / "clusters").mkdir()
    np.save(tmp_path / "clusters" / "labels.npy", np.array([0, 0, 0, 0, 1, 1]))
    write_lines(tmp_path / "clusters" / "keys.txt", reversed(open_store(faces).keys))
    with pytest.raises(InputError, match=r"clusters: face '.*' is in row 0 there, but in row 5 of .*f; both"):
        sheet(faces=faces, labels=tmp_path / "clusters", out=tmp_path / "sheet.png")
