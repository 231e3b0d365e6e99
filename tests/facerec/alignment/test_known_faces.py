"""Crops by landmarks and boxes that are known, named so that `eval ijb` finds them."""

import csv
import json
import warnings

import cv2
import numpy as np
import pytest
from insightface.utils.face_align import arcface_dst, norm_crop

from eval.commands.ijb import ijb
from eval.protocols.open import load_protocol
from facerec.alignment.known_faces import KnownFace, best_overlap, read_boxes, read_landmarks, window
from facerec.alignment.photographs import Aligner, Job
from facerec.commands.align import align
from facerec.pipeline.embeddings import save_embeddings
from facerec.pipeline.files import InputError, read_json, write_lines
from facerec.stores.open import open_store

HEADER = "SUBJECT_ID,FACE_X,FACE_Y,FACE_WIDTH,FACE_HEIGHT,FILENAME,TEMPLATE_ID\n"


@pytest.fixture
def loose(tmp_path):
    """Eleven pictures 1.jpg to 11.jpg with landmarks, as insightface's loose_crop has them."""
    generator = np.random.default_rng(0)
    (tmp_path / "loose_crop").mkdir()
    lines = []
    for number in range(1, 12):
        picture = cv2.resize(generator.integers(0, 256, (9, 9, 3), dtype=np.uint8), (160, 150))
        cv2.imwrite(str(tmp_path / "loose_crop" / f"{number}.jpg"), picture)
        points = arcface_dst + generator.normal(10, 2, (5, 2))
        lines.append(f"{number}.jpg {' '.join(f'{x:.4f}' for x in points.ravel())} 0.9{number}")
    write_lines(tmp_path / "tiny_name_5pts_score.txt", lines)
    return tmp_path


def test_crops_by_landmarks_are_those_of_insightface(loose):
    out = align(loose / "loose_crop", loose / "crops", landmarks=loose / "tiny_name_5pts_score.txt", workers=1)
    fields = (loose / "tiny_name_5pts_score.txt").read_text().splitlines()[3].split()
    picture = cv2.imread(str(loose / "loose_crop" / "4.jpg"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of scikit-image, about insightface
        expected = norm_crop(picture, np.float32(fields[1:11]).reshape(5, 2))
    np.testing.assert_array_equal(cv2.imread(str(out / "4.png")), expected)
    with (out / "faces.csv").open(newline="") as file:
        rows = {row["crop"]: row for row in csv.DictReader(file)}
    assert (float(rows["4.png"]["score"]), float(rows["4.png"]["nose_x"])) == (0.94, round(float(fields[5]), 2))
    left, bottom = min(map(float, fields[1:11:2])), max(map(float, fields[2:11:2]))
    assert [float(rows["4.png"][side]) for side in ("left", "bottom")] == pytest.approx([left, bottom], abs=0.006)
    options = {"landmarks": loose / "tiny_name_5pts_score.txt", "size": 224, "jpeg_quality": 90, "workers": 1}
    assert open_store(align(loose / "loose_crop", loose / "large", **options)).read(0).shape == (224, 224, 3)


def test_listed_pictures_that_are_not_there_are_counted(loose, caplog):
    for number in (5, 9):
        (loose / "loose_crop" / f"{number}.jpg").unlink()
    align(loose / "loose_crop", loose / "crops", landmarks=loose / "tiny_name_5pts_score.txt", workers=0)
    assert "tiny_name_5pts_score.txt: 2 of its 11 pictures are not in" in caplog.text
    assert "loose_crop, such as 5.jpg" in caplog.text


def test_align_embed_and_ijb_go_together_with_all_defaults(loose):
    """The keys of the crops are names of the protocol, but for the suffix."""
    (loose / "protocol").mkdir()
    templates = [70, 70, 70, 9, 31, 12, 5, 40, 2, 55, 33]
    faces = "".join(f"{row}.jpg {template} {row}\n" for row, template in enumerate(templates, 1))
    for name, text in [
        ("face_tid_mid.txt", faces),
        ("template_pair_label.txt", "70 40 1\n9 2 1\n12 55 1\n5 33 1\n70 2 0\n9 40 0\n12 33 0\n5 55 0\n31 55 0\n"),
    ]:
        (loose / "protocol" / f"tiny_{name}").write_text(text)
    crops = align(loose / "loose_crop", loose / "crops", landmarks=loose / "tiny_name_5pts_score.txt", workers=1)
    keys = open_store(crops).keys
    assert sorted(keys) == sorted(f"{row}.png" for row in range(1, 12))
    people = dict(zip(range(1, 12), [0, 0, 0, 1, 1, 2, 3, 0, 1, 2, 3], strict=True))
    (loose / "embeddings").mkdir()
    rows = np.eye(4, dtype=np.float32)[[people[int(key.removesuffix(".png"))] for key in keys]]
    save_embeddings(loose / "embeddings", rows, keys)
    ijb(loose / "protocol", loose / "embeddings", loose / "report")
    assert json.loads((loose / "report" / "metrics.json").read_text())["fnmr_at_fmr"]["1e-1"] == 0


def test_boxes_are_named_as_the_protocol_names_its_faces(tmp_path):
    """img/c0.jpg has two boxes, frames/a1.png one in two files; a file without templates is not looked at."""
    nist = tmp_path / "nist"
    nist.mkdir()
    one = "1,0,0,9,9,frames/a1.png,70\n3,0.0,0,9.0,9,img/c0.jpg,12\n4,20,0,9,9,img/c0.jpg,5\n"
    for name, text in [
        ("enroll_templates.csv", HEADER + one),
        ("verif_templates.csv", HEADER.lower() + "1,0,0,9,9,frames/a1.png,71\n4,3,4,5,6,img/d.jpg,6\n"),
        ("other.csv", "SUBJECT_ID,FILENAME,FACE_X\n1,x,3\n"),
        ("match.csv", "ENROLL_TEMPLATE_ID,VERIF_TEMPLATE_ID\n70,71\n12,6\n5,6\n"),
        (".ipynb_checkpoints/verif_templates-checkpoint.csv", HEADER + "4,3,4,5,7,img/d.jpg,6\n"),
    ]:
        (nist / name).parent.mkdir(exist_ok=True)
        (nist / name).write_text(text)
    known = read_boxes(nist)
    names = {photograph: [face.name for face in faces] for photograph, faces in known.items()}
    assert names == {
        "frames/a1.png": ["frames/a1"],
        "c0.jpg": ["img/c0.jpg#0,0,9,9", "img/c0.jpg#20,0,9,9"],
        "d.jpg": ["img/d"],
    }
    assert [face.box for face in known["d.jpg"]] == [(3, 4, 5, 6)]
    wanted = set(load_protocol(nist).faces.names.to_pylist())
    assert wanted == {"frames/a1.png", "img/c0.jpg#0,0,9,9", "img/c0.jpg#20,0,9,9", "img/d.jpg"}


def test_no_name_of_a_crop_leads_out_of_the_folder(tmp_path):
    (tmp_path / "b.csv").write_text(
        f"{HEADER}1,0,0,9,9,../one.jpg,1\n1,0,0,9,9,/../two.jpg,2\n1,9,0,9,9,/../two.jpg,3\n"
    )
    names = [face.name for faces in read_boxes(tmp_path / "b.csv").values() for face in faces]
    assert names == ["one", "two.jpg#0,0,9,9", "two.jpg#9,0,9,9"]


def test_a_list_whose_faces_are_mirrored_is_refused(tmp_path, caplog):
    right, mirrored = "38 52 74 52 56 72 42 92 71 92", "74 52 38 52 56 72 71 92 42 92"

    def listed(*faces):
        (tmp_path / "points.txt").write_text("".join(f"{number}.jpg {face} 1\n" for number, face in enumerate(faces)))
        return read_landmarks(tmp_path / "points.txt")

    assert len(listed(right, right)) == 2
    assert not caplog.messages
    assert len(listed(right, mirrored, right, mirrored)) == 4
    (said,) = caplog.messages
    assert "points.txt: landmarks of 2 of 4 faces are mirrored, first those of 1.jpg" in said
    with pytest.raises(InputError, match=r"points.txt: landmarks of 2 of 3 faces are mirrored; their order is the eye"):
        listed(mirrored, right, mirrored)


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_lines_without_anything_end_no_list(tmp_path, mark):
    lines = ["1,0,0,9,9,a.png,1", "", "2,0,0,9,9,b.png,2"]
    text = "\n".join([HEADER.strip().replace("FACE_X", " face_x "), *lines]).replace(",", mark)
    (tmp_path / "boxes.csv").write_text(text)
    assert {name: face.box for name, (face,) in read_boxes(tmp_path / "boxes.csv").items()} == {
        "a.png": (0, 0, 9, 9), "b.png": (0, 0, 9, 9),
    }  # fmt: skip
    (tmp_path / "points.txt").write_text("1.jpg 1 2 3 4 5 6 7 8 9 0 1\n\n2.jpg 1 2 3 4 5 6 7 8 9 0 1\n")
    assert list(read_landmarks(tmp_path / "points.txt")) == ["1.jpg", "2.jpg"]


@pytest.mark.parametrize(
    "line", ["1,0,0,9,9,x", "1,0.5,0,9,9,x,1", "1,0,0,9.5,9,x,1", "1,0,0,9,nan,x,1", "1,a,0,9,9,x,1", "1,0,0,9,-9,x,1"]
)
def test_what_is_no_box_is_refused(tmp_path, line):
    (tmp_path / "boxes.csv").write_text(f"{HEADER}{line}\n")
    with pytest.raises(InputError, match="boxes.csv line 2: .*expected a box of whole pixels"):
        read_boxes(tmp_path / "boxes.csv")


def test_each_box_gets_the_face_in_it(data, tmp_path):
    """Two people on one photograph: the boxes of their faces, shifted and widened as a protocol's are."""
    photographs = sorted((data / "wild").glob("*.jpg"))[:2]
    pictures = [cv2.resize(cv2.imread(str(path)), (400, 400)) for path in photographs]
    (tmp_path / "media" / "img").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "media" / "img" / "two.png"), np.concatenate(pictures, axis=1))
    detector = data / "weights" / "scrfd_2.5g_bnkps.onnx"
    every = align(tmp_path / "media", tmp_path / "all", detector, faces="all", workers=1)
    with (every / "faces.csv").open(newline="") as file:
        found = [[float(row[side]) for side in ("left", "top", "right", "bottom")] for row in csv.DictReader(file)]
    assert len(found) == 2
    boxes = [[int(a - 8), int(b - 8), int(c - a + 16), int(d - b + 16)] for a, b, c, d in found]
    lines = [f"{row},{','.join(map(str, box))},img/two.png,{row}" for row, box in enumerate(boxes)]
    without = ["0,0,20,20", "5000,0,20,20", "0,395,800,1"]
    lines += [f"9,{box},img/two.png,9" for box in without]
    write_lines(tmp_path / "boxes.csv", [HEADER.strip(), *lines])
    out = align(tmp_path / "media", tmp_path / "known", detector, boxes=tmp_path / "boxes.csv", workers=1)
    with (out / "faces.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["crop"] for row in rows] == [f"img/two.png#{','.join(map(str, box))}.png" for box in sorted(boxes)]
    again = sorted([float(row[side]) for side in ("left", "top", "right", "bottom")] for row in rows)
    np.testing.assert_allclose(again, sorted(found), atol=15)
    for box in without:
        assert f"no face found in the box {box}" in (out / "missing.csv").read_text()


def test_landmarks_outside_of_the_photograph_are_no_face(tmp_path):
    """Such as those of a larger copy of the photograph; a face that the edge cuts is one."""
    (tmp_path / "photographs").mkdir()
    lines = []
    for name, shift in (("whole", 0), ("cut", 70), ("right", 100), ("above", -200)):
        cv2.imwrite(str(tmp_path / "photographs" / f"{name}.png"), np.full((112, 112, 3), 200, np.uint8))
        points = arcface_dst + np.array([shift, min(shift, 0)])
        lines.append(f"{name}.png {' '.join(map(str, points.ravel()))} 0.9")
    write_lines(tmp_path / "points.txt", lines)
    out = align(tmp_path / "photographs", tmp_path / "out", landmarks=tmp_path / "points.txt", workers=0)
    with (out / "faces.csv").open(newline="") as file:
        assert [row["photograph"] for row in csv.DictReader(file)] == ["cut.png", "whole.png"]
    reason = "no face found: its landmarks lie outside of the photograph"
    missing = (out / "missing.csv").read_text().splitlines()
    assert missing == ["photograph,reason", f"above.png,{reason}", f"right.png,{reason}"]
    assert read_json(out / "meta.json")["results"]["no_face"] == 2


def test_what_is_found_in_a_window_is_placed_in_the_photograph(tmp_path):
    """The box (40, 30, 20, 10) is looked for from x = 30 and y = 25 on; the second of two faces lies in it."""
    seen = []

    def detector(part):
        seen.append(part)
        points = np.arange(20, dtype=np.float32).reshape(2, 5, 2)
        return np.float32([0.9, 0.6]), np.float32([[0, 0, 8, 8], [11, 6, 29, 15]]), points

    image = np.arange(100 * 200 * 3, dtype=np.uint32).astype(np.uint8).reshape(100, 200, 3)
    aligner = Aligner(Job(None, [], tmp_path, None, "all", 0.5, None, 112, None, {}))
    aligner.detector = detector
    score, box, landmarks = aligner._find(image, KnownFace("x", None, (40, 30, 20, 10)))
    np.testing.assert_array_equal(seen[0], image[25:46, 30:71])
    assert (score, box.tolist()) == (pytest.approx(0.6), [41, 31, 59, 40])
    np.testing.assert_array_equal(landmarks, np.arange(10, 20).reshape(5, 2) + np.array([30, 25]))


def test_overlaps_and_windows_by_hand():
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [90, 90, 99, 99]], float)
    assert best_overlap(boxes, (6, 0, 10, 10)) == 1  # 90 of 110 against 40 of 160
    assert best_overlap(boxes, (40, 40, 10, 10)) is None
    assert best_overlap(np.empty((0, 4)), (0, 0, 9, 9)) is None
    square = (0, 0, 10, 10)
    assert best_overlap(np.array([[0, 0, 100, 100], [0, 0, 8, 8]], float), square) == 1  # 64 of 100, 100 of 10,000
    assert best_overlap(np.array([[0, 0, 10, 2.0]]), square) == 0  # a fifth
    assert best_overlap(np.array([[0, 0, 10, 1.9]]), square) is None
    assert best_overlap(np.array([[0, 0, 1, 1.0]]), (5, 5, 1, 1)) is None
    assert best_overlap(np.array([[0, 0, 10, 10.0]]), (16, 16, 10, 10)) is None  # 6 apart in both directions
    assert window((1, 1, 8, 4), 100, 200) == (slice(0, 8), slice(0, 14))
    assert window((10, 20, 8, 4), 100, 15) == (slice(18, 27), slice(6, 15))
    assert window((20, 10, 8, 4), 100, 200) == (slice(8, 17), slice(16, 33))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no lines; expected a name, ten coordinates"),
        ("1.jpg 1 2 3\n", "line 1: '1.jpg 1 2 3'; expected a name, ten"),
        ("1.jpg 1 2 3 4 5 6 7 8 9 x 1\n", "line 1: "),
        ("1.jpg 1 2 3 4 5 6 7 8 9 inf 1\n", "line 1: "),
        ("1.jpg 1 2 3 4 5 6 7 8 9 0 1\n" * 2, "1.jpg stands there 2 times"),
        ("1.jpg 1 2 3 4 5 6 7 8 9 0 1\nimg/1.jpg 1 2 3 4 5 6 7 8 9 0 1\n", "1.jpg and img/1.jpg are one picture"),
        (f"1.jpg 1 2 3 4 5 6 7 8 9 0 1\n2.jpg {'0 ' * 10}1\n", "line 2: '2.jpg' has all five landmarks at one point"),
        ("99.jpg 1 2 3 4 5 6 7 8 9 0 1\n", "none of its 1 pictures, e.g. 99.jpg, is in"),
    ],
)
def test_bad_lists_are_refused(loose, text, message):
    (loose / "tiny_name_5pts_score.txt").write_text(text)
    with pytest.raises(InputError, match=f"tiny_name_5pts_score.txt.*{message}"):
        align(loose / "loose_crop", loose / "crops", landmarks=loose / "tiny_name_5pts_score.txt", workers=1)
    assert not (loose / "crops").exists()


def test_options_that_do_not_go_together(loose, tmp_path):
    with pytest.raises(InputError, match="no --detector; give one"):
        align(loose / "loose_crop", loose / "crops")
    listed = loose / "tiny_name_5pts_score.txt"
    with pytest.raises(InputError, match="--landmarks and --boxes; give one of them"):
        align(loose / "loose_crop", loose / "crops", landmarks=listed, boxes=listed)
    with pytest.raises(InputError, match="--faces all with --landmarks or --boxes; the list says which"):
        align(loose / "loose_crop", loose / "crops", landmarks=listed, faces="all")
    (tmp_path / "detector.onnx").touch()
    with pytest.raises(InputError, match="--detector with --landmarks; nothing is detected"):
        align(loose / "loose_crop", loose / "crops", tmp_path / "detector.onnx", landmarks=listed)
    for name, options in (("threshold", {"threshold": 0.9}), ("detection-size", {"detection_size": 320})):
        with pytest.raises(InputError, match=f"--{name} with --landmarks; nothing is detected"):
            align(loose / "loose_crop", loose / "crops", landmarks=listed, **options)
    (tmp_path / "b.csv").write_text("TEMPLATE_ID,FILENAME\n1,x\n")
    with pytest.raises(InputError, match="no column FACE_X and FACE_Y"):
        read_boxes(tmp_path / "b.csv")
    with pytest.raises(InputError, match="no CSV file with columns TEMPLATE_ID"):
        read_boxes(tmp_path)
    (tmp_path / "b.csv").write_text(HEADER + "1,0,0,0,9,x,1\n")
    with pytest.raises(InputError, match="line 2: .*expected a box of whole pixels"):
        read_boxes(tmp_path / "b.csv")
    (tmp_path / "b.csv").write_text(HEADER + "1,0,0,9,9,img/1.jpg,1\n1,5,5,9,9,1.jpg,1\n")
    with pytest.raises(InputError, match=r"b.csv: img/1.jpg and 1.jpg are one picture; write its name in one way"):
        read_boxes(tmp_path / "b.csv")
    assert read_landmarks(listed)["3.jpg"][0].name == "3"
