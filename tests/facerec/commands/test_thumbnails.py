import cv2
import numpy as np
import pytest

from facerec.__main__ import COMMANDS
from facerec.commands.thumbnails import thumbnails
from facerec.pipeline.files import InputError
from facerec.stores.open import open_store


def picture(folder, row: int) -> np.ndarray:
    offsets = np.load(folder / "offsets.npy")
    encoded = (folder / "images.bin").read_bytes()[offsets[row] : offsets[row + 1]]
    return cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)


def test_a_picture_for_every_row(tmp_path, make_faces):
    faces = make_faces(tmp_path / "faces", identities=3, each=4)
    out = thumbnails(faces, tmp_path / "out", size=32)
    store = open_store(faces)
    assert (out / "keys.txt").read_text().splitlines() == store.keys
    offsets = np.load(out / "offsets.npy")
    assert offsets.dtype == np.int64
    assert len(offsets) == 13
    assert offsets[-1] == (out / "images.bin").stat().st_size
    for row in range(12):
        wanted = cv2.resize(store.read(row), (32, 32), interpolation=cv2.INTER_AREA).astype(float)
        assert picture(out, row).shape == (32, 32, 3)
        assert np.abs(picture(out, row) - wanted).mean() < 8
        other = picture(out, (row + 4) % 12)
        assert np.abs(other - wanted).mean() > 20


def test_unreadable_faces_have_no_bytes(tmp_path, make_faces):
    faces = make_faces(tmp_path / "faces", identities=1, each=3)
    (faces / "person0" / "01.png").write_bytes(b"no picture")
    out = thumbnails(faces, tmp_path / "out", size=16)
    assert (np.diff(np.load(out / "offsets.npy")) > 0).tolist() == [True, False, True]
    assert '"unreadable": 1' in (out / "meta.json").read_text()


def test_same_pictures_from_any_number_of_workers(tmp_path, make_faces):
    faces = make_faces(tmp_path / "faces", identities=4, each=5)
    one, three = (thumbnails(faces, tmp_path / str(count), workers=count) for count in (1, 3))
    assert (one / "images.bin").read_bytes() == (three / "images.bin").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "40"], "--size: 40; expected one of 16, 32, 48, 64, 80, 96, 112, 128"),
        (["--workers", "-1"], "--workers: -1; expected a number at least 0"),
        (["--faces", "{t}/nowhere"], "nowhere: no such"),
    ],
)
def test_bad_input_is_one_line(options, message, tmp_path, make_faces, capsys, status_of):
    faces = make_faces(tmp_path / "faces", identities=1, each=2)
    options = [option.format(t=tmp_path) for option in options]
    assert status_of(COMMANDS, ["thumbnails", "--faces", faces, "--out", tmp_path / "o", *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_faces_none_of_which_can_be_read(tmp_path, make_faces):
    faces = make_faces(tmp_path / "faces", identities=1, each=2)
    for file in faces.rglob("*.png"):
        file.write_bytes(b"")
    with pytest.raises(InputError, match="none of the 2 faces can be read"):
        thumbnails(faces, tmp_path / "out")
