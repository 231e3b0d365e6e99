import json

import numpy as np
import pytest

from eval.commands.pairs import pairs
from eval.protocols.pair_list import load_pair_list
from facerec.pipeline.files import InputError, write_lines

LFW = "2\t1\nAnn\t1\t2\nAnn\t1\tBob\t1\nBob\t1\t3\nAnn\t2\tBob\t3\n"
KEYS = ["Ann/Ann_0001.jpg", "Ann/Ann_0002.png", "Bob/Bob_0001.jpg", "Bob/Bob_0003.jpg", "Cy/Cy_0001.jpg"]


@pytest.fixture
def faces(tmp_path):
    (tmp_path / "faces").mkdir()
    rows = np.array([[1, 0], [1, 0], [0, 1], [0.6, 0.8], [0, 0]], dtype=np.float32)
    np.save(tmp_path / "faces" / "embeddings.npy", rows)
    write_lines(tmp_path / "faces" / "keys.txt", KEYS)
    return tmp_path / "faces"


def run(listed, faces, out, **options):
    pairs(pairs=listed, embeddings=faces, out=out, **options)
    return json.loads((out / "metrics.json").read_text())


def written(tmp_path, text, name="pairs.txt"):
    (tmp_path / name).write_text(text)
    return tmp_path / name


def test_by_hand(tmp_path, faces, caplog):
    """Scores: Ann 1, Ann-Bob 0 | Bob .8, Ann-Bob .6. Fold 1 gives .8 to fold 0; fold 0 gives 1 to fold 1."""
    metrics = run(written(tmp_path, LFW), faces, tmp_path / "out", bootstrap=50, compatibility=True)
    assert [fold["accuracy"] for fold in metrics["folds"]] == [1.0, 0.5]
    assert [fold["threshold"] for fold in metrics["folds"]] == pytest.approx([0.8, 1.0])
    assert (metrics["accuracy"], metrics["accuracy_std"]) == (0.75, 0.25)
    assert metrics["fnmr_at_fmr"] == {"1e-1": 0, "1e-2": 0, "1e-3": 0}
    assert (metrics["eer"], metrics["auc"]) == (0, 1)
    counts = metrics["counts"]
    assert [counts[key] for key in ("pairs", "folds", "wrong", "genuine_pairs", "impostor_pairs")] == [4, 2, 1, 2, 2]
    assert counts["unreadable_faces"] == 0
    assert {"accuracy", "fnmr@1e-1"} <= set(metrics["few_errors"])
    assert metrics["intervals"]["over"] == "subjects"
    assert metrics["intervals"]["accuracy"][0] <= 0.75 <= metrics["intervals"]["accuracy"][1]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"metrics.json", "det.csv", "det.png", "meta.json"}
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == []


def test_a_fold_that_accepts_no_pair_has_no_threshold(tmp_path, faces):
    """JSON has no infinity."""
    a, b, c, d = KEYS[:4]
    rows = [(a, c, 1), (a, b, 0), (c, d, 0), (b, c, 1), (a, b, 0), (d, c, 0)]
    text = "".join(
        f"{one}\t{two}\t{same}\t{fold}\n" for (one, two, same), fold in zip(rows, [0] * 3 + [1] * 3, strict=True)
    )
    run(written(tmp_path, text, "some.tsv"), faces, tmp_path / "out")
    text = (tmp_path / "out" / "metrics.json").read_text()
    folds = json.loads(text, parse_constant=pytest.fail)["folds"]
    assert folds == [{"accuracy": 2 / 3, "threshold": None, "pairs": 3}] * 2


def test_a_list_of_names_with_and_without_folds(tmp_path, faces):
    rows = [(KEYS[0], KEYS[1], 1), (KEYS[0], KEYS[2], 0), (KEYS[2], KEYS[3], 1), (KEYS[1], KEYS[3], 0)]
    text = "".join(f"{a}\t{b}\t{same}\t{fold}\n" for (a, b, same), fold in zip(rows, [7, 7, 9, 9], strict=True))
    metrics = run(written(tmp_path, text, "some.tsv"), faces, tmp_path / "a", bootstrap=20)
    assert metrics["accuracy"] == 0.75
    assert metrics["intervals"]["over"] == "pairs"
    folder = tmp_path / "set"
    folder.mkdir()
    written(folder, "".join(f"{a}\t{b}\t{same}\n" for a, b, same in rows * 6), "pairs.tsv")
    listed = load_pair_list(folder)
    assert np.bincount(listed.fold).tolist() == [3] * 4 + [2] * 6


def test_unreadable_faces_score_nothing_and_are_counted(tmp_path, faces, caplog):
    text = LFW.replace("Bob\t1\t3", "Cy\t1\t1")
    metrics = run(written(tmp_path, text), faces, tmp_path / "out")
    assert metrics["counts"]["unreadable_faces"] == 1
    assert "faces could not be read (rows of zeros); their pairs score 0" in caplog.text
    assert metrics["fnmr_at_fmr"]["1e-1"] == 0.5
    rows = np.load(faces / "embeddings.npy")
    rows[-1] = np.nan
    np.save(faces / "embeddings.npy", rows)
    assert run(written(tmp_path, text), faces, tmp_path / "skipped", unreadable="skip") == metrics


def test_lfw_has_its_known_accuracy(data, tmp_path):
    archive = np.load(data / "embeddings_lfw112_mobilefacenet128.npz")
    (tmp_path / "faces").mkdir()
    np.save(tmp_path / "faces" / "embeddings.npy", archive["embeddings"])
    write_lines(tmp_path / "faces" / "keys.txt", archive["files"].tolist())
    metrics = run(data / "lfw_pairs.txt", tmp_path / "faces", tmp_path / "out", bootstrap=100, compatibility=True)
    assert metrics["accuracy"] == pytest.approx(0.980, abs=0.001)
    assert len(metrics["folds"]) == 10
    assert metrics["counts"]["genuine_pairs"] == metrics["counts"]["impostor_pairs"] == 3000
    grid = metrics["compatibility"]["insightface_verification"]["accuracy"]
    assert grid == pytest.approx(metrics["accuracy"], abs=0.002)
    low, high = metrics["intervals"]["accuracy"]
    assert 0.97 < low < metrics["accuracy"] < high < 0.99


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no lines"),
        ("hello\n", "line 1: 'hello'; expected the number of folds"),
        (LFW + "Ann\t1\t2\n", "5 pairs; line 1 announces 2 folds of 1 and 1"),
        (
            LFW.replace("Ann\t1\tBob\t1", "Ann\t1\tBob"),
            "line 3: 'Ann 1 Bob'; expected a name, a number, a name, a number",
        ),
        (LFW.replace("Ann\t1\t2", "Ann\t1"), "line 2: 'Ann 1'; expected a name and two numbers"),
        (LFW.replace("Ann\t1\t2", "Ann"), "line 2: 'Ann'; expected a name and two numbers"),
        (LFW.replace("Bob\t1\t3", "Bob\t1\tx"), "line 4: 'Bob 1 x'"),
        (LFW.replace("Bob\t1\t3", "Bob\t1\t4"), r"line 4: face 'Bob/Bob_0004' has no embedding in .* \(1 of 4 pairs"),
        ("1\nAnn\t1\t2\nAnn\t1\tBob\t1\n", "one fold of 2 pairs"),
    ],
)
def test_bad_lists_are_refused(tmp_path, faces, text, message):
    with pytest.raises(InputError, match=f"pairs.txt.*{message}"):
        run(written(tmp_path, text), faces, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tb\n", "line 1: 2 fields; expected two names"),
        ("a\tb\t1\nc\td\t2\n", "line 2: '2'; expected 1"),
        ("a\tb\t1\nc\td\t0\t3\n", "line 2: 4 fields"),
        ("a\tb\t1\t0\nc\td\t0\tx\n", "line 2: fold 'x'"),
        ("a\tb\t1\nc\td\t0\n", "2 pairs without a fold; at least 10"),
        ("a\tb\t1\t0\nc\td\t0\t1\na\tc\t0\t0\n", "one fold has all genuine pairs, and its threshold comes from"),
        ("a\tb\t1\n" * 12, "no impostor pair in 12"),
    ],
)
def test_bad_tables_are_refused(tmp_path, faces, text, message):
    with pytest.raises(InputError, match=f"pairs.tsv.*{message}"):
        run(written(tmp_path, text, "pairs.tsv"), faces, tmp_path / "out")


def test_faces_need_unique_names(tmp_path, faces):
    listed = written(tmp_path, LFW)
    write_lines(faces / "keys.txt", [*KEYS[:4], "Ann/Ann_0001.png"])
    with pytest.raises(InputError, match="key 'Ann/Ann_0001' occurs twice"):
        run(listed, faces, tmp_path / "out")
    with pytest.raises(InputError, match="no keys.txt; the faces of pairs match by name"):
        run(listed, faces / "embeddings.npy", tmp_path / "out")


def test_pairs_that_stand_there_twice_and_equal_embeddings_are_told(tmp_path, faces, caplog):
    lines = [(KEYS[0], KEYS[1], 1, 0), (KEYS[0], KEYS[2], 0, 0), (KEYS[2], KEYS[3], 1, 1), (KEYS[2], KEYS[0], 0, 1)]
    listed = written(tmp_path, "".join("\t".join(map(str, line)) + "\n" for line in lines), "some.tsv")
    run(listed, faces, tmp_path / "a")
    assert "some.tsv line 4: this pair stands there before (1 such line)" in caplog.text
    np.save(faces / "embeddings.npy", np.tile(np.float32([[0.6, 0.8]]), (5, 1)))
    run(listed, faces, tmp_path / "b")
    assert "faces: all 4 comparisons score 1.000000: the embeddings are all alike" in caplog.text
