"""Pictures that are damaged, entries that are no pictures, and names that no list can hold."""

import inspect
import json
import os
import warnings
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from facerec.commands.align import align
from facerec.commands.embed import embed
from facerec.commands.sheet import sheet
from facerec.commands.split import split
from facerec.commands.thumbnails import thumbnails
from facerec.commands.train import train
from facerec.pipeline.files import InputError, read_lines, write_lines
from facerec.pipeline.label_files import load_keys
from facerec.stores.open import open_store
from facerec.stores.pixels import decode
from facerec.stores.store import UnreadableFace
from facerec.training.options import TrainingData


@pytest.fixture(scope="module")
def jpeg() -> bytes:
    """A noisy picture of 112 x 112 pixels."""
    pattern = np.random.default_rng(0).integers(0, 256, (14, 14, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", cv2.resize(pattern, (112, 112)))[1].tobytes()


def write(path, content: bytes):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_undamaged_pictures_are_what_opencv_makes_of_them(jpeg):
    grey = cv2.imencode(".jpg", np.arange(64, dtype=np.uint8).reshape(8, 8))[1].tobytes()
    for encoded in (jpeg, grey, cv2.imencode(".png", np.full((5, 7, 3), 9, np.uint8))[1].tobytes()):
        expected = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
        np.testing.assert_array_equal(decode(encoded), expected)


def test_a_jpeg_that_is_damaged_anywhere_is_no_face(jpeg):
    half, middle = len(jpeg) // 2, len(jpeg) // 2 - 100
    damaged = {
        "second half zero": jpeg[:half] + bytes(len(jpeg) - half),
        "cut": jpeg[:half],
        "no end": jpeg[:-2],
        "a hole": jpeg[:middle] + bytes(200) + jpeg[middle + 200 :],
        "foreign bytes": jpeg[:middle] + b"\xff\xd9" * 100 + jpeg[middle + 200 :],
    }
    for name, encoded in damaged.items():
        with pytest.raises(ValueError, match=r"\w"):
            pytest.fail(f"{name}: {decode(encoded).shape}")


@pytest.mark.parametrize("profiles", [0, 3])
def test_photographs_are_turned_as_their_exif_says(profiles):
    picture = np.zeros((20, 40, 3), np.uint8)
    picture[:, :20] = 255
    plain = cv2.imencode(".jpg", picture)[1].tobytes()
    turned = b"II*\0\x08\0\0\0" + b"\x01\0" + b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0" + bytes(4)
    exif = b"Exif\0\0" + turned
    before = profiles * (b"\xff\xe2" + (65_000).to_bytes(2, "big") + bytes(64_998))
    encoded = plain[:2] + before + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + plain[2:]
    assert decode(plain).shape == (20, 40, 3)
    assert decode(encoded).shape == (40, 20, 3)


def test_more_pixels_than_the_bound_are_refused_before_they_are_decoded():
    for suffix in (".png", ".jpg", ".bmp", ".webp"):
        encoded = cv2.imencode(suffix, np.zeros((30, 40, 3), np.uint8))[1].tobytes()
        assert decode(encoded, most_pixels=1200).shape == (30, 40, 3)
        with pytest.raises(ValueError, match="40x30 pixels, more than"):
            decode(encoded, most_pixels=1199)


def test_a_picture_above_the_bound_of_pillow_is_refused_before_it_is_decoded():
    limit = Image.MAX_IMAGE_PIXELS
    for side, most in ((12_000, 10**8), (16_000, 2 * 10**8)):
        head = b"IHDR" + np.array([side, side], ">u4").tobytes() + b"\x08\2\0\0\0"
        png = b"\x89PNG\r\n\x1a\n" + len(head[4:]).to_bytes(4, "big") + head + zlib.crc32(head).to_bytes(4, "big")
        body = cv2.imencode(".png", np.zeros((1, 1, 3), np.uint8))[1].tobytes()[33:]
        text = b"zTXtk\0\0" + zlib.compress(bytes(3_000_000))  # more than Pillow takes
        noted = png + (len(text) - 4).to_bytes(4, "big") + text + zlib.crc32(text).to_bytes(4, "big") + body
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(ValueError, match=f"{side}x{side} pixels, more than {most}; see --max-pixels"):
                decode(png + body, most)
            with pytest.raises(ValueError, match=f"{side}x{side} pixels, more than {most}; see --max-pixels"):
                decode(noted, most)
    assert limit == Image.MAX_IMAGE_PIXELS


def test_a_store_has_the_bound_and_so_have_the_stores_in_it(tmp_path):
    encoded = cv2.imencode(".png", np.zeros((30, 40, 3), np.uint8))[1].tobytes()
    write(tmp_path / "a" / "1.png", encoded)
    (tmp_path / "stores.txt").write_text("a\n")
    for path in (tmp_path / "a", tmp_path / "stores.txt"):
        assert open_store(path).read(0).shape == open_store(path, max_pixels=1200).read(0).shape == (30, 40, 3)
        with pytest.raises(UnreadableFace, match="1.png: 40x30 pixels, more than 1199; see --max-pixels"):
            open_store(path, max_pixels=1199).read(0)


def test_commands_that_decode_pictures_have_the_bound_as_an_option(tmp_path):
    for number, side in enumerate((30, 40)):
        write(
            tmp_path / "faces" / f"{number}.png", cv2.imencode(".png", np.zeros((side, side, 3), np.uint8))[1].tobytes()
        )
    for command in (align, embed, sheet, thumbnails, train):
        assert "max_pixels" in inspect.signature(command).parameters
    about = json.loads((thumbnails(tmp_path / "faces", tmp_path / "out", max_pixels=1000) / "meta.json").read_text())
    assert about["results"] == {"faces": 2, "unreadable": 1}
    with pytest.raises(InputError, match="--max-pixels 0; at least 1"):
        TrainingData(tmp_path / "faces", max_pixels=0)


def test_entries_that_are_no_readable_files_are_unreadable_faces(tmp_path, jpeg):
    write(tmp_path / "a" / "1.jpg", jpeg)
    os.mkfifo(tmp_path / "a" / "2.jpg")
    for name, target in (("3.jpg", tmp_path / "nowhere"), ("4.jpg", "/dev/zero"), ("5.jpg", tmp_path / "a" / "5.jpg")):
        (tmp_path / "a" / name).symlink_to(target)
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    store = open_store(tmp_path)
    assert store.keys == [f"a/{number}.jpg" for number in range(1, 6)]
    assert store.read(0).shape == (112, 112, 3)
    for row, reason in enumerate(("not a regular file", "No such file", "not a regular file", "Too many levels"), 1):
        with pytest.raises(UnreadableFace, match=reason):
            store.read(row)


def test_a_folder_is_read_once_whatever_links_lead_to_it(tmp_path, jpeg):
    write(tmp_path / "faces" / "b" / "1.jpg", jpeg)
    write(tmp_path / "elsewhere" / "c" / "2.jpg", jpeg)
    for name in ("a", "z"):
        (tmp_path / "faces" / name).symlink_to(tmp_path / "faces" / "b")
    for name in ("d", "e"):
        (tmp_path / "faces" / name).symlink_to(tmp_path / "elsewhere" / "c")
    (tmp_path / "link").symlink_to(tmp_path / "faces")
    for root in ("faces", "link"):
        assert open_store(tmp_path / root).keys == ["b/1.jpg", "d/2.jpg"]
    (tmp_path / "elsewhere" / "up").symlink_to(tmp_path)
    (tmp_path / "faces" / "b" / "outside").symlink_to(tmp_path / "elsewhere")
    assert open_store(tmp_path / "faces").keys == ["b/1.jpg", "b/outside/c/2.jpg"]


def test_hidden_files_and_folders_are_left_out_and_said(tmp_path, jpeg, caplog):
    caplog.set_level("INFO")
    root = tmp_path / ".home" / "photographs"
    for name in ("a/1.jpg", "a/.2.jpg", ".trash/3.jpg", ".trash/4.jpg", "a/...jpg", "a/@eaDir/1.jpg/THUMB_M.jpg"):
        write(root / name, jpeg)
    (root / ".old.tar").write_bytes(b"no tar")
    assert open_store(root).keys == ["a/1.jpg"]
    assert f"{root}: left out as hidden: 5 entries, such as .old.tar" in caplog.text


def test_files_left_out_are_counted_and_said(tmp_path, jpeg, caplog):
    caplog.set_level("INFO")
    for name in ("a.jpg", "b.jfif", "c.JPE", "d.heic", "e.txt", "f", "._a.jpg", ".DS_Store", "Thumbs.db"):
        write(tmp_path / name, jpeg)
    assert open_store(tmp_path).keys == ["a.jpg", "b.jfif", "c.JPE"]
    assert "3 of 6 files are pictures; left out by their suffix: 1 .heic, 1 .txt, 1 no suffix" in caplog.text


def test_a_folder_of_other_files_names_their_suffixes(tmp_path):
    for name in ("a.HEIC", "b/c.heic", "d.mov"):
        write(tmp_path / name, b"of a telephone")
    with pytest.raises(InputError, match=r"no faces among its files \(2 .heic, 1 .mov\); pictures are .jpg"):
        open_store(tmp_path)


@pytest.mark.parametrize("name", ["line\nfeed.jpg", "carriage\rreturn.jpg", "tab\tulator.jpg"])
def test_names_that_no_list_can_hold_are_refused(tmp_path, jpeg, name):
    write(tmp_path / name, jpeg)
    with pytest.raises(InputError, match="has a tab or an end of line in it; rename the file"):
        open_store(tmp_path)


@pytest.mark.parametrize(
    "name", ["line\u2028separator", "form\x0cfeed", "next\x85line", os.fsdecode(b"caf\xe9"), "\ufeff"]
)
def test_other_names_survive_lists_and_splits(tmp_path, jpeg, name):
    for person in "ab":
        write(tmp_path / "faces" / person / f"{name}.jpg", jpeg)
    out = split(tmp_path / "faces", tmp_path / "split", labelled=1)
    for part in ("labelled", "unlabelled"):
        store = open_store(out / part)
        assert store.keys[0].endswith(f"{name}.jpg")
        assert store.read(0).shape == (112, 112, 3)
    write_lines(tmp_path / "keys.txt", [name, "second"])
    assert load_keys(tmp_path / "keys.txt", 2)[1] == "second"


def test_byte_order_marks_and_ends_of_lines_of_other_systems(tmp_path, jpeg):
    write(tmp_path / "a.jpg", jpeg)
    (tmp_path / "faces.tsv").write_bytes(b"\xef\xbb\xbfa.jpg\tx\r\na.jpeg\ty\r\n")
    store = open_store(tmp_path / "faces.tsv")
    assert store.keys == ["a.jpg", "a.jpeg"]
    assert store.identities == ["x", "y"]
    assert read_lines(tmp_path / "faces.tsv")[0] == "a.jpg\tx"
