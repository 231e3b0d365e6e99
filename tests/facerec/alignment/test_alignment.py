import csv
import json
import pickle
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from insightface.model_zoo import get_model
from insightface.utils.face_align import arcface_dst, norm_crop
from torch import nn

from facerec.__main__ import COMMANDS
from facerec.alignment import photographs as module
from facerec.alignment.crop import align_face, choose_face
from facerec.alignment.detector import Detector, find_detector
from facerec.alignment.photographs import crop_names
from facerec.commands.align import align
from facerec.commands.embed import embed
from facerec.pipeline.command_line import run
from facerec.pipeline.embeddings import load_embeddings
from facerec.pipeline.files import InputError, ObstacleError
from facerec.stores.folder import FileStore
from facerec.stores.open import open_store


@pytest.fixture(scope="session")
def detector(data: Path) -> Path:
    return data / "weights" / "scrfd_2.5g_bnkps.onnx"


@pytest.fixture(scope="session")
def wild(data: Path) -> list[Path]:
    return sorted((data / "wild").glob("*.jpg"))


@pytest.fixture
def photographs(tmp_path: Path, wild: list[Path]) -> Path:
    """Four photographs of two people."""
    for number, source in enumerate(wild[:4]):
        target = tmp_path / "photographs" / f"person{number // 2}" / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)
    return tmp_path / "photographs"


@pytest.fixture
def crowd(tmp_path: Path, wild: list[Path]) -> Path:
    """A photograph of two people: a large face at the left, a smaller one in the middle."""
    large, small = cv2.imread(str(wild[0])), cv2.imread(str(wild[1]))
    height, width = large.shape[:2]
    canvas = np.full((height, 3 * width, 3), 90, np.uint8)
    canvas[:, :width] = large
    small = cv2.resize(small, (small.shape[1] // 3, small.shape[0] // 3))
    top, left = (height - small.shape[0]) // 2, (3 * width - small.shape[1]) // 2
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    (tmp_path / "crowd").mkdir()
    cv2.imwrite(str(tmp_path / "crowd" / "two.png"), canvas)
    return tmp_path / "crowd"


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def results(out: Path) -> dict[str, int]:
    return json.loads((out / "meta.json").read_text())["results"]


def box(row: dict[str, str]) -> np.ndarray:
    return np.array([float(row[side]) for side in ("left", "top", "right", "bottom")])


@pytest.fixture(scope="session")
def theirs(detector: Path):
    """insightface's own detector, as it comes."""
    model = get_model(str(detector), providers=["CPUExecutionProvider"])
    model.prepare(-1, det_thresh=0.5)
    return model


def test_landmarks_in_place_leave_the_picture_as_it_is():
    picture = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    assert (align_face(picture, arcface_dst.copy()) == picture).all()


@pytest.mark.parametrize("turned", [0, 90, 180])
def test_landmarks_of_a_mirror_are_said(turned: int, caplog):
    picture, angle = np.zeros((240, 240, 3), np.uint8), np.deg2rad(turned)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = (arcface_dst - 56) @ turn.T + 120
    profile = (arcface_dst - 56) * [-0.2, 1] @ turn.T + 120
    for shown in (landmarks, profile):
        align_face(picture, shown)
    assert not caplog.messages
    for wrong in (landmarks[[1, 0, 2, 4, 3]], landmarks[:, ::-1]):
        align_face(picture, wrong)
    assert len(caplog.messages) == 2
    assert "landmarks are mirrored; their order is the eye on the left of the picture" in caplog.text


@pytest.mark.parametrize(("size", "border"), [(112, 0), (224, 0), (128, 8)])
def test_crop_is_cut_by_the_best_similarity(size: int, border: int):
    """With points as complex numbers, the similarity z -> a z + b of least squares has a closed form."""
    random = np.random.default_rng(size)
    picture = cv2.resize(
        random.integers(0, 256, (12, 15, 3), dtype=np.uint8), (300, 240), interpolation=cv2.INTER_CUBIC
    )
    turn = np.array([[0.9, -0.4], [0.4, 0.9]]) * 0.8
    landmarks = (arcface_dst @ turn.T + [110, 60] + random.normal(0, 2, (5, 2))).astype(np.float32)
    target = (arcface_dst + np.array([border, 0])) * (size / (128 if border else 112))
    source, goal = (points @ [1, 1j] for points in (landmarks, target))
    centred = source - source.mean()
    a = (centred.conj() @ (goal - goal.mean())) / (abs(centred) ** 2).sum()
    b = goal.mean() - a * source.mean()
    matrix = np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])
    expected = cv2.warpAffine(picture, matrix, (size, size))
    found = align_face(picture, landmarks, size)
    assert found.shape == (size, size, 3)
    assert abs(found.astype(int) - expected).max() <= 8
    assert (found == expected).mean() > 0.95


def test_choice_by_hand():
    boxes = np.array([[0, 0, 40, 40], [90, 40, 120, 70], [0, 90, 10, 100]], float)
    assert choose_face(boxes, 100, 200, "largest") == 0
    # Squared distances from (100, 50): 6400 + 900 and 25 + 25; 1600 - 2 * 7300 < 900 - 2 * 50.
    assert choose_face(boxes, 100, 200, "centre") == 1
    assert choose_face(np.array([[0, 0, 40, 10], [0, 0, 30, 30.0]]), 100, 200, "largest") == 1
    # 100 - 2 (3^2 + 4^2) = 50, seen from (50, 30), lies between 7 x 7 and 51 x 1 in the middle.
    aside, small, wide = [48, 29, 58, 39], [46.5, 26.5, 53.5, 33.5], [24.5, 29.5, 75.5, 30.5]
    assert choose_face(np.array([aside, small]), 61, 101, "centre") == 0
    assert choose_face(np.array([aside, wide]), 61, 101, "centre") == 1


def test_crops_are_insightface_s_to_the_pixel(tmp_path: Path, photographs: Path, detector: Path, theirs):
    cv2.setNumThreads(2)
    out = align(photographs=photographs, detector=detector, out=tmp_path / "faces", workers=1)
    assert cv2.getNumThreads() == 2
    source, store, table = open_store(photographs), open_store(out), rows(out / "faces.csv")
    assert store.keys == [key.replace(".jpg", ".png") for key in source.keys] == [row["crop"] for row in table]
    assert store.identities == ["person0", "person0", "person1", "person1"]
    assert results(out) == {
        "photographs": 4,
        "faces": 4,
        "several_faces": 0,
        "faces_left_out": 0,
        "no_face": 0,
        "unreadable": 0,
    }
    assert Detector(detector).sizes == [(128, 128), (640, 640)]
    assert Detector(detector, np.array([64, 128])).sizes == [(64, 64), (128, 128)]
    sent = pickle.loads(pickle.dumps(Detector(detector, [64], threshold=0.4)))
    assert (sent.sizes, sent.threshold) == ([(64, 64)], 0.4)
    for number, row in enumerate(table):
        picture = cv2.imread(str(photographs / row["photograph"]))
        found, landmarks = theirs.detect(picture, max_num=1, metric="max")
        assert (store.read(number)[..., ::-1] == crop_of(picture, landmarks[0])).all()
        np.testing.assert_allclose(box(row), found[0, :4], atol=0.006)
        assert float(row["score"]) == pytest.approx(found[0, 4], abs=6e-5)
        assert float(row["nose_y"]) == pytest.approx(landmarks[0, 2, 1], abs=0.006)


def crop_of(picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of scikit-image from 0.26 on
        return norm_crop(picture, landmarks)


def test_which_of_several_faces(tmp_path: Path, crowd: Path, detector: Path, theirs, caplog):
    one = {
        rule: align(photographs=crowd, detector=detector, out=tmp_path / rule, faces=rule, workers=1)
        for rule in ("largest", "centre")
    }
    picture = cv2.imread(str(crowd / "two.png"))
    for rule, metric in (("largest", "max"), ("centre", "default")):
        (row,) = rows(one[rule] / "faces.csv")
        assert (row["crop"], row["found"]) == ("two.png", "2")
        np.testing.assert_allclose(box(row), theirs.detect(picture, max_num=1, metric=metric)[0][0, :4], atol=0.006)
        assert (results(one[rule])["several_faces"], results(one[rule])["faces_left_out"]) == (1, 1)
        assert (
            f"1 of 1 photographs show several faces; of each one was kept (--faces {rule}) and 1 faces" in caplog.text
        )
    everyone = align(photographs=crowd, detector=detector, out=tmp_path / "all", faces="all", workers=1)
    table = rows(everyone / "faces.csv")
    assert open_store(everyone).keys == [row["crop"] for row in table] == ["two.000.png", "two.001.png"]
    scores = [float(row["score"]) for row in table]
    assert scores[0] > scores[1]
    sure = align(photographs=crowd, detector=detector, out=tmp_path / "sure", threshold=np.mean(scores), workers=1)
    assert [(row["found"], float(row["score"])) for row in rows(sure / "faces.csv")] == [("1", scores[0])]
    assert results(everyone) == {
        "photographs": 1,
        "faces": 2,
        "several_faces": 1,
        "faces_left_out": 0,
        "no_face": 0,
        "unreadable": 0,
    }
    ones = {(out / "two.png").read_bytes() for out in one.values()}
    assert {(everyone / row["crop"]).read_bytes() for row in table} == ones
    assert len(ones) == 2


def test_photographs_of_every_kind(tmp_path: Path, wild: list[Path], detector: Path):
    picture = cv2.imread(str(wild[0]))
    pictures = {
        "colour.png": picture,
        "grey.png": cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY),
        "alpha.png": cv2.cvtColor(picture, cv2.COLOR_BGR2BGRA),
        "deep.png": picture.astype(np.uint16) * 257,
        "huge.jpg": cv2.resize(picture, (6000, 6000 * picture.shape[0] // picture.shape[1])),
        "tiny.png": cv2.resize(picture, (3, 2)),
        "strip.png": picture[:1].repeat(3, axis=1),
        "plain.bmp": np.full_like(picture, 128),
    }
    folder = tmp_path / "photographs"
    folder.mkdir()
    for name, content in pictures.items():
        cv2.imwrite(str(folder / name), content)
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_bytes(b"no photograph")
    (folder / "cut.png").write_bytes((folder / "colour.png").read_bytes()[:3000])
    out = align(photographs=folder, detector=detector, out=tmp_path / "faces", detection_size=[128, 320], workers=1)
    assert [row["photograph"] for row in rows(out / "faces.csv")] == [
        "alpha.png", "colour.png", "deep.png", "grey.png", "huge.jpg",
    ]  # fmt: skip
    reasons = {row["photograph"]: row["reason"] for row in rows(out / "missing.csv")}
    assert reasons == {
        "cut.png": "PNG cut short", "empty.jpg": "empty file", "plain.bmp": "no face found",
        "strip.png": f"{3 * picture.shape[1]}x1 pixels, a shape that cannot be worked on",
        "text.jpg": "not a readable image", "tiny.png": "no face found",
    }  # fmt: skip
    assert (out / "alpha.png").read_bytes() == (out / "colour.png").read_bytes() == (out / "deep.png").read_bytes()
    large, usual = (cv2.imread(str(out / name)).astype(float) for name in ("huge.png", "colour.png"))
    assert abs(large - usual).mean() < 6
    assert results(out) == {
        "photographs": 11,
        "faces": 5,
        "several_faces": 0,
        "faces_left_out": 0,
        "no_face": 2,
        "unreadable": 4,
    }


def test_jpeg_and_size(tmp_path: Path, photographs: Path, detector: Path):
    small = {"detection_size": 128, "workers": 1, "detector": detector, "photographs": photographs / "person0"}
    png = align(out=tmp_path / "png", size=224, **small)
    jpeg = align(out=tmp_path / "jpeg", size=224, jpeg_quality=90, **small)
    assert [Path(key).suffix for key in open_store(jpeg).keys] == [".jpg", ".jpg"]
    exact, lossy = (open_store(out).read(0).astype(int) for out in (png, jpeg))
    assert exact.shape == lossy.shape == (224, 224, 3)
    assert 0 < abs(exact - lossy).mean() < 4
    assert open_store(png).identities == [None, None]


def test_list_keeps_its_identities_and_order(tmp_path: Path, photographs: Path, detector: Path):
    keys = open_store(photographs).keys
    (tmp_path / "lists").mkdir()
    lines = [f"../photographs/{key}\tname{number % 2}\n" for number, key in enumerate(reversed(keys))]
    (tmp_path / "lists" / "some.tsv").write_text("".join(lines))
    out = align(
        photographs=tmp_path / "lists" / "some.tsv", detector=detector, out=tmp_path / "faces", detection_size=128,
        workers=1,
    )  # fmt: skip
    store = open_store(out)
    assert store.keys == [f"photographs/{key[:-4]}.png" for key in reversed(keys)]
    assert store.identities == ["name0", "name1", "name0", "name1"]
    assert store.read(3).shape == (112, 112, 3)


def test_crops_are_what_a_recogniser_expects(tmp_path: Path, data: Path, detector: Path):
    """Faces of three people, found by identity through a recogniser that was trained on this alignment."""
    people: dict[str, list[str]] = {}
    for row in rows(data / "wild" / "identities.csv"):
        people.setdefault(row["identity"], []).append(row["file"])
    for person, names in sorted(people.items())[:3]:
        (tmp_path / "people" / person).mkdir(parents=True)
        for name in names[:3]:
            (tmp_path / "people" / person / name).symlink_to(data / "wild" / name)
    out = align(
        photographs=tmp_path / "people", detector=detector, out=tmp_path / "faces", detection_size=320, workers=1
    )
    recogniser = data / "weights" / "mobilefacenet_ms1m_128d.onnx"
    found = load_embeddings(embed(model=recogniser, faces=out, out=tmp_path / "embeddings", workers=0))
    cosines = found.embeddings @ found.embeddings.T
    same = found.labels[:, None] == found.labels
    np.fill_diagonal(cosines, np.nan)
    assert same.sum() == 27
    assert np.nanmin(cosines[same]) > cosines[~same].max() + 0.1
    assert np.nanmean(cosines[same]) > 0.5


def test_crops_of_photographs_that_differ_in_suffix_keep_it():
    keys = ["a/x.jpg", "a/x.png", "a/y.jpg", "../b/./x.jpg"]
    assert crop_names(FileStore(Path(), Path(), keys, [None] * 4)) == ["a/x.jpg", "a/x.png", "a/y", "b/x"]
    keys = ["x.jpg", "x.png", "x.jpg.png"]
    with pytest.raises(InputError, match="2 photographs would be named x.jpg; rename"):
        crop_names(FileStore(Path(), Path(), keys, [None] * 3))


@pytest.mark.parametrize("folder", ["b/x.png", "b/x.000.png", "b/x.png/c/d"])
def test_a_photograph_beside_a_folder_that_its_crop_would_be_named_is_refused(folder):
    keys = ["a.jpg", "b/x.jpg", f"{folder}/y.jpg"]
    with pytest.raises(InputError, match=r"a crop of b/x could be named b/x(\.000)?\.png, which is a folder; rename"):
        crop_names(FileStore(Path(), Path(), keys, [None] * 3))
    assert len(crop_names(FileStore(Path(), Path(), ["b/x.png/y.jpg", "b/x.png/y.png", "x.jpg"], [None] * 3))) == 3


def test_names_that_no_file_of_a_crop_can_have_are_refused_before_the_work():
    keys = [f"{'é' * 60}/{'写' * 82}a.jpg", "x.jpg"]
    assert len(f"{crop_names(FileStore(Path(), Path(), keys, [None] * 2))[0]}.000.png".encode()) == 2 * 60 + 1 + 255
    with pytest.raises(InputError, match="1 name of more than 247 bytes, too long for the crops, such as '写{40}'"):
        crop_names(FileStore(Path(), Path(), [f"a/{'写' * 83}.jpg", "x.jpg"], [None] * 2))


def test_what_was_found_is_counted_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog):
    """Two blocks of photographs with known faces, as if both had been aligned."""
    monkeypatch.setattr(module, "BLOCK", 4)
    keys = [f"{name}.jpg" for name in "abcdefg"]
    store = FileStore(Path("photographs"), Path(), keys, ["one", "two", None, "two", "one", None, "one"])
    (tmp_path / module.NOTES).mkdir()
    places = [0.9] + [0.0] * 14
    parts = [
        {
            "faces": [
                ["a.png", "a.jpg", 1, *places], ["b#1.png", "b.jpg", 3, *places], ["b#2.png", "b.jpg", 3, *places]
            ],
            "missing": [
                ["b.jpg", "no face found in the box 0,0,2,2"], ["c.jpg", "no face found"], ["d.jpg", "truncated"]
            ],
        },
        {
            "faces": [["f.png", "f.jpg", 4, *places], ["g.png", "g.jpg", 1, *places]],
            "missing": [["e.jpg", "not in the list"]],
        },
    ]  # fmt: skip
    for block, part in enumerate(parts):
        (tmp_path / module.NOTES / f"{block:07d}.json").write_text(json.dumps(part))
    job = module.Job(store, [], tmp_path, None, "all", 0.5, None, 112, None)
    counts = module.align_photographs(job, 1)
    assert counts == {
        "photographs": 7, "faces": 5, "several_faces": 2, "faces_left_out": 3 + 4 - 2 - 1, "no_face": 2,
        "unreadable": 1, "not_listed": 1,
    }  # fmt: skip
    assert "no face in 2, 1 cannot be read" in caplog.text
    assert "2 of 7 photographs show several faces; of each one was kept (--faces all) and 4 faces" in caplog.text
    listed = [line.split("\t") for line in (tmp_path / "faces.tsv").read_text().splitlines()]
    assert [line[:2] for line in listed if line[0] in ("a.png", "b#2.png", "g.png")] == [
        ["a.png", "one"], ["b#2.png", "two"], ["g.png", "one"]
    ]  # fmt: skip
    assert not (tmp_path / module.NOTES).exists()


def test_finished_blocks_are_not_done_again(
    tmp_path: Path, photographs: Path, detector: Path, monkeypatch: pytest.MonkeyPatch, hashes
):
    monkeypatch.setattr(module, "BLOCK", 1)
    options = {"photographs": photographs, "detector": detector, "detection_size": 128, "workers": 1}
    whole = align(out=tmp_path / "whole", **options)
    real, asked = module.Aligner.__call__, []

    def interrupted(self: module.Aligner, block: int) -> int:
        asked.append(block)
        if asked == [0, 1, 2]:
            raise KeyboardInterrupt
        return real(self, block)

    monkeypatch.setattr(module.Aligner, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        align(out=tmp_path / "faces", **options)
    again = align(out=tmp_path / "faces", **options)
    assert asked == [0, 1, 2, 2, 3]
    assert hashes(again) == hashes(whole)
    assert results(again) == results(whole)


def test_photographs_that_are_gone_in_the_midst_leave_what_is_done(
    tmp_path: Path, photographs: Path, detector: Path, monkeypatch: pytest.MonkeyPatch, hashes
):
    monkeypatch.setattr(module, "BLOCK", 1)
    options = {"photographs": photographs, "detector": detector, "detection_size": 128, "workers": 1}
    whole, real = align(out=tmp_path / "whole", **options), module.Aligner.__call__

    def gone(self: module.Aligner, block: int) -> int:
        if block == 2:
            photographs.rename(tmp_path / "elsewhere")
        return real(self, block)

    with monkeypatch.context() as patch:
        patch.setattr(module.Aligner, "__call__", gone)
        with pytest.raises(ObstacleError, match="photographs: its pictures cannot be reached any more"):
            align(out=tmp_path / "faces", **options)
    (tmp_path / "elsewhere").rename(photographs)
    assert hashes(align(out=tmp_path / "faces", **options)) == hashes(whole)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for children in /proc")
def test_killed_with_two_workers_it_goes_on_and_ends_as_undisturbed_with_one(
    tmp_path: Path, wild: list[Path], detector: Path, processes: SimpleNamespace, hashes
):
    folder = tmp_path / "photographs"
    folder.mkdir()
    for source in wild[:40]:  # two blocks
        (folder / source.name).symlink_to(source)
    options = ["--photographs", str(folder), "--detector", str(detector), "--detection-size", "160"]
    command = [sys.executable, "-m", "facerec", "align", *options, "--out", str(tmp_path / "faces")]
    parent = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=Path(__file__).resolve().parents[3])
    notes = tmp_path / "faces.partial" / ".progress"
    assert processes.wait(lambda: list(notes.glob("*.json")))
    workers = processes.children(parent.pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert len(workers) >= 2
    assert processes.wait(lambda: not any(processes.alive(worker) for worker in workers))
    assert list(notes.glob("*.json"))
    assert not (tmp_path / "faces").exists()
    first = hashes(tmp_path / "faces.partial")
    done = run("python -m facerec", COMMANDS, ["align", *options, "--out", str(tmp_path / "faces")])
    assert done == 0
    whole = align(photographs=folder, detector=detector, out=tmp_path / "whole", detection_size=160, workers=1)
    assert hashes(tmp_path / "faces") == hashes(whole)
    assert results(tmp_path / "faces") == results(whole)
    assert results(whole)["faces"] + results(whole)["no_face"] == 40
    assert {name for name in first if name.endswith(".png")} <= set(hashes(whole))


def test_detector_by_name(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, detector: Path):
    pack = tmp_path / ".insightface" / "models" / "pack"
    pack.mkdir(parents=True)
    (pack / "a_recogniser.onnx").symlink_to(data / "weights" / "mobilefacenet_ms1m_128d.onnx")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(InputError, match="no detector with landmarks"):
        find_detector(Path("pack"))
    (pack / "det.onnx").symlink_to(detector)
    (pack.parent / "scrfd.onnx").symlink_to(detector)
    assert find_detector(Path("pack")) == pack / "det.onnx"
    assert find_detector(Path("scrfd")) == find_detector(Path("scrfd.onnx")) == pack.parent / "scrfd.onnx"
    assert find_detector(detector) == detector


def test_a_detector_by_its_path_needs_no_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def unknown(number: int) -> None:
        raise KeyError(number)

    (tmp_path / "det.onnx").touch()
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert find_detector(tmp_path / "det.onnx") == tmp_path / "det.onnx"


@pytest.mark.filterwarnings("ignore")
def test_bad_inputs_are_refused_in_one_line_with_status_2(
    tmp_path: Path, data: Path, photographs: Path, detector: Path, capsys: pytest.CaptureFixture[str], status_of
):
    (tmp_path / "bad.onnx").write_bytes(b"not onnx")
    (tmp_path / "none").mkdir()
    (tmp_path / "plain").mkdir()
    cv2.imwrite(str(tmp_path / "plain" / "a.png"), np.full((64, 64, 3), 99, np.uint8))
    boxes, odd = tmp_path / "boxes.onnx", tmp_path / "odd.onnx"
    torch.onnx.export(Many(6), (torch.zeros(1, 3, 64, 64),), str(boxes), dynamo=False)
    torch.onnx.export(Many(9), (torch.zeros(1, 3, 64, 64),), str(odd), dynamo=False)
    recogniser = data / "weights" / "mobilefacenet_ms1m_128d.onnx"
    good = ["--photographs", photographs, "--detector", detector]
    cases = [
        (["--photographs", tmp_path / "absent", "--detector", detector], "no such file or folder"),
        (["--photographs", tmp_path / "none", "--detector", detector], "no faces; a store holds"),
        (["--photographs", tmp_path / "plain", "--detector", detector], "no face in any of its 1 photographs"),
        (["--photographs", photographs, "--detector", tmp_path / "absent.onnx"], "no such detector"),
        (["--photographs", photographs, "--detector", tmp_path / "none"], "no detector with landmarks"),
        (["--photographs", photographs, "--detector", tmp_path / "bad.onnx"], "not readable as an ONNX network"),
        (["--photographs", photographs, "--detector", recogniser], "perhaps a recogniser"),
        (["--photographs", photographs, "--detector", boxes], "a detector without landmarks"),
        (["--photographs", photographs, "--detector", odd], "not readable as an ONNX network"),
        (["--photographs", photographs, "--detector", odd, "--detection-size", "128"], "made for 64x64 pixels"),
        ([*good, "--faces", "nearest"], "--faces: nearest; expected one of largest, centre, all"),
        ([*good, "--threshold", "0"], "--threshold: 0; expected a number above 0 and below 1"),
        ([*good, "--threshold", "1.5"], "--threshold: 1.5; expected a number above 0 and below 1"),
        ([*good, "--detection-size", "100"], "--detection-size [100]; multiples of 32"),
        ([*good, "--detection-size", "[128,0]"], "--detection-size [128, 0]; multiples of 32"),
        ([*good, "--size", "100"], "--size 100; a multiple of 112 or 128"),
        ([*good, "--jpeg-quality", "0"], "--jpeg-quality 0; between 1 and 100"),
        ([*good, "--workers", "-1"], "--workers: -1; expected a number at least 0"),
    ]
    for arguments, text in cases:
        words = ["align", *map(str, arguments), "--out", str(tmp_path / "out")]
        status = status_of(COMMANDS, words)
        message = capsys.readouterr().err.strip().splitlines()[-1]
        assert status == 2, text
        assert text in message, (text, message)
        assert not list(tmp_path.glob("out*")), text


def test_output_inside_the_photographs_is_refused(photographs: Path, detector: Path):
    with pytest.raises(InputError, match="lies in --photographs"):
        align(photographs=photographs, detector=detector, out=photographs / "faces", workers=1)
    assert not (photographs / "faces.partial").exists()


class Many(nn.Module):
    """A network with a number of outputs, whose shapes are no detector's."""

    def __init__(self, outputs: int):
        super().__init__()
        self.outputs = outputs

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(x.mean(dim=1) + number for number in range(self.outputs))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": [33]}, "a detection size is 33; it must be a multiple of 32"),
        ({"sizes": ["64"]}, "a detection size is '64'; it must be a whole number from 32 to 4096"),
        ({"threshold": float("nan")}, "threshold is nan; a score is a number from 0 to 1"),
        ({}, "detector.onnx: no such file"),
    ],
)
def test_settings_of_a_detector(options, message):
    with pytest.raises(InputError, match=message):
        Detector("detector.onnx", **options)


def test_faces_beyond_the_edge_are_not_found():
    """A detector may find one in the border with which it fits a photograph."""
    places = (arcface_dst + np.array([[[0, 0]], [[-200, 0]], [[0, 61]]])).astype(np.float32)
    found = np.array([[0, 0, 9, 9, 0.9], [1, 0, 9, 9, 0.8], [2, 0, 9, 9, 0.7]], np.float32)
    detector = Detector.__new__(Detector)
    detector.sizes, detector.threshold = [(128, 128)], 0.5
    detector.model = SimpleNamespace(detect=lambda *_, **__: (found, places))
    scores, boxes, landmarks = detector(np.zeros((112, 112, 3), np.uint8))
    np.testing.assert_array_equal(scores, found[:1, 4])
    np.testing.assert_array_equal(boxes, found[:1, :4])
    np.testing.assert_array_equal(landmarks, places[:1])


@pytest.mark.parametrize(
    ("image", "landmarks", "size", "message"),
    [
        (np.zeros((9, 9, 3)), arcface_dst, 112, r"image: float64 \[9, 9, 3\]; expected uint8"),
        (np.zeros((9, 9), np.uint8), arcface_dst, 112, r"image: uint8 \[9, 9\]"),
        (np.zeros((9, 9, 3), np.uint8), arcface_dst[:3], 112, r"landmarks: shape \[3, 2\]; expected five points"),
        (np.zeros((9, 9, 3), np.uint8), arcface_dst * np.nan, 112, "expected five points .*, finite"),
        (np.zeros((9, 9, 3), np.uint8), np.ones((5, 2)), 112, "not all one"),
        (np.zeros((9, 9, 3), np.uint8), arcface_dst, 112, "landmarks: they lie outside of the 9x9 image"),
        (np.zeros((9, 9, 3), np.uint8), None, 112, r"landmarks: object; expected numbers \[5, 2\]"),
        (np.zeros((9, 9, 3), np.uint8), arcface_dst, 0, "size is 0; it must be a whole number from 112"),
        (np.zeros((9, 9, 3), np.uint8), arcface_dst, 200, "size is 200; it must be a multiple of 112 or of 128"),
    ],
)
def test_what_cannot_be_aligned(image, landmarks, size, message):
    with pytest.raises(InputError, match=message):
        align_face(image, landmarks, size)
