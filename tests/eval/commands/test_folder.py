"""`eval folder` by hand, with every option, and on LFW against loops."""

import json
import re

import cv2
import numpy as np
import pytest

from eval.all_pairs.scores import GRID
from eval.commands.folder import folder
from eval.comparison.runs import load_runs
from eval.comparison.several import figure_of
from eval.metrics import verification
from eval.report.set_figures import rate_name
from facerec.pipeline.embeddings import save_embeddings
from facerec.pipeline.files import InputError, write_lines

PEOPLE, FACES = 6, 4


@pytest.fixture
def faces(tmp_path):
    """Six people of four faces each, two of them unreadable or unlabelled."""
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(PEOPLE), FACES)
    rows = generator.normal(size=(PEOPLE, 8))[labels] + 0.5 * generator.normal(size=(len(labels), 8))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[3] = 0
    keys = [f"p{label}/{row}.png" for row, label in enumerate(labels)]
    labels[-1] = -1
    (tmp_path / "faces").mkdir()
    save_embeddings(tmp_path / "faces", rows, keys, labels)
    return tmp_path / "faces"


def run(faces, out, **options):
    folder(embeddings=faces, out=out, **{"fmr": 0.05, "bootstrap": 20, **options})
    return json.loads((out / "metrics.json").read_text())


def test_the_threshold_and_its_rates(faces, tmp_path, caplog):
    caplog.set_level("INFO")
    metrics = run(faces, tmp_path / "out")
    rows, labels = np.load(faces / "embeddings.npy").astype(np.float64), np.load(faces / "labels.npy")
    scores = {True: [], False: []}
    for one in range(23):
        for other in range(one + 1, 23):
            cosine = np.float32(rows[one] @ rows[other])
            scores[bool(labels[one] == labels[other])].append(np.floor(cosine * GRID) / GRID)
    expected = verification(scores[True], scores[False], [0.05])
    found = metrics["threshold"]
    assert found["fnmr_here"] == metrics["fnmr_at_fmr"]["5e-2"] == expected.fnmr[0.05]
    assert found["fmr_here"] == expected.points[0.05].accepted / len(scores[False])
    assert np.nextafter(expected.thresholds[0.05], 0) < found["value"] <= expected.thresholds[0.05] + 1 / GRID
    assert (metrics["eer"], metrics["auc"]) == (expected.eer, expected.auc)
    assert found["value_interval"][0] <= found["value"] <= found["value_interval"][1]
    assert found["fmr_here_interval"][0] <= found["fmr_here"] <= found["fmr_here_interval"][1]
    counts = metrics["counts"]
    names = ("faces", "templates", "subjects", "unlabelled_faces", "unreadable_faces", "empty_templates", "probes")
    assert [counts[name] for name in names] == [23, 23, 6, 1, 1, 1, 17]
    assert (counts["genuine_pairs"], counts["impostor_pairs"]) == (len(scores[True]), len(scores[False]))
    assert [counts["identification"][name]["subjects"] for name in ("G1", "G2")] == [3, 3]
    assert "1 labelled faces are unreadable: all their genuine pairs count as false non-matches" in caplog.text
    samples = np.load(tmp_path / "out" / "bootstrap.npy")
    assert samples.shape == (20, len(metrics["intervals"]["figures"]))
    plain = run(faces, tmp_path / "plain", bootstrap=0)
    assert plain["fnmr_at_fmr"] == metrics["fnmr_at_fmr"]
    assert "intervals" not in plain
    assert not (tmp_path / "plain" / "bootstrap.npy").exists()


def test_reports_on_other_people_are_not_compared(faces, tmp_path):
    """Numbered in another order, the people have the same counts, but each sample draws others."""
    rows, labels = np.load(faces / "embeddings.npy"), np.load(faces / "labels.npy")
    keys = (faces / "keys.txt").read_text().splitlines()
    for name, order in (("again", np.arange(len(labels))), ("other", np.argsort(-labels, kind="stable"))):
        numbers = labels if name == "again" else np.where(labels < 0, -1, PEOPLE - 1 - labels)
        (tmp_path / name).mkdir()
        save_embeddings(tmp_path / name, -rows[order], [keys[row] for row in order], numbers[order])
        run(tmp_path / name, tmp_path / f"of_{name}")
    run(faces, tmp_path / "out")
    load_runs([tmp_path / "out", tmp_path / "of_again"])
    with pytest.raises(InputError, match="of_other: other templates were compared than in .*out"):
        load_runs([tmp_path / "out", tmp_path / "of_other"])


def test_a_sample_of_everybody_once_is_every_figure_itself(faces, tmp_path, monkeypatch):
    once = "eval.all_pairs.evaluation.draw"
    monkeypatch.setattr(once, lambda subjects, samples, seed: np.ones((subjects, samples)))
    write_lines(tmp_path / "a.csv", ["identity,sex", *(f"p{person},{'fm'[person % 2]}" for person in range(PEOPLE))])
    metrics = run(faces, tmp_path / "out", attributes=tmp_path / "a.csv")
    for name, column in zip(
        metrics["intervals"]["figures"], np.load(tmp_path / "out" / "bootstrap.npy").T, strict=True
    ):
        np.testing.assert_allclose(column, figure_of(metrics, name), rtol=1e-12, err_msg=name)
    threshold, sex = metrics["threshold"], metrics["groups"]["sex"]
    assert threshold["value_interval"] == pytest.approx([threshold["value"]] * 2, rel=1e-12)
    for entry, names in (
        (threshold, ("fmr_here", "fnmr_here")),
        *((of, ("fmr", "fnmr")) for of in sex["within"].values()),
    ):
        for name in names:
            assert entry[f"{name}_interval"] == pytest.approx([entry[name]] * 2, rel=1e-12)


def test_sessions_make_templates(faces, tmp_path):
    lines = [f"{key},{row % 2}" for row, key in enumerate((faces / "keys.txt").read_text().split())]
    write_lines(tmp_path / "sessions.csv", ["key,session", *lines[:-2]])
    metrics = run(faces, tmp_path / "out", sessions=tmp_path / "sessions.csv")
    counts = metrics["counts"]
    names = ("faces", "templates", "faces_without_session", "empty_templates")
    assert [counts[name] for name in names] == [22, 12, 1, 0]
    assert counts["genuine_pairs"] == 6


def test_quality_groups_and_calibration(faces, tmp_path, read_csv):
    np.save(faces / "norms.npy", np.arange(24, dtype=np.float32))
    np.save(tmp_path / "q.npy", np.random.default_rng(1).random(24))
    write_lines(tmp_path / "a.csv", ["identity,sex", *(f"p{person},{'fm'[person % 2]}" for person in range(5))])
    metrics = run(faces, tmp_path / "out", quality=tmp_path / "q.npy", attributes=tmp_path / "a.csv")
    assert set(metrics["discard"]) == {"quality", "norm"}
    for entry in metrics["discard"].values():
        assert entry["fnmr"] == metrics["threshold"]["fnmr_here"]
        assert entry["mean_fnmr_up_to"]["0.2"] >= entry["perfect_mean_fnmr_up_to"]["0.2"]
    first = read_csv(tmp_path / "out" / "discard.csv")[0]
    assert float(first["fnmr_norm"]) == float(first["fnmr_quality"]) == metrics["threshold"]["fnmr_here"]
    sex = metrics["groups"]["sex"]
    assert (sex["unknown"], sex["within"]["f"]["subjects"], sex["within"]["m"]["subjects"]) == (3, 3, 2)
    assert [of["fmr_pairs"] for of in sex["within"].values()] == [3 * 16, 16]
    assert (sex["across"][0]["groups"], sex["across"][0]["fmr_pairs"]) == (["f", "m"], 12 * 8)
    total = sum(of["fnmr_errors"] for of in sex["within"].values())
    rows = read_csv(tmp_path / "out" / "groups.csv")
    assert [(row["group"], row["other"]) for row in rows] == [("f", "f"), ("m", "m"), ("f", "m")]
    assert sum(int(row["fnmr_errors"]) for row in rows) == total
    lowest = min(of["fnmr"] for of in sex["within"].values())
    assert [of["fnmr_ratio"] for of in sex["within"].values()] == [of["fnmr"] / lowest for of in sex["within"].values()]
    found = metrics["calibration"]
    assert 0 < found["min_cllr"] <= found["cllr"]["isotonic"] < 1
    assert found["min_cllr"] < found["cllr_cross_validated"]["isotonic"]
    assert found["folds"] == 5
    rows = read_csv(tmp_path / "out" / "calibration.csv")
    isotonic, logistic = ([float(row[f"llr_{name}"]) for row in rows] for name in ("isotonic", "logistic"))
    assert isotonic == sorted(isotonic)
    np.testing.assert_allclose(np.diff(logistic, 2), 0, atol=1e-9)  # a straight line
    assert found["cllr"]["isotonic"] < found["cllr"]["logistic"]


def test_the_page_shows_pictures(faces, tmp_path, read_csv):
    """Of every face but the fourth, which has no bytes."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    jpeg = cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes()
    (pictures / "images.bin").write_bytes(jpeg * 23)
    np.save(pictures / "offsets.npy", np.cumsum([0, *(len(jpeg) * (row != 3) for row in range(24))]))
    keys = (faces / "keys.txt").read_text().split()
    write_lines(pictures / "keys.txt", keys)
    run(faces, tmp_path / "out", thumbnails=pictures, worst=2, bootstrap=0)
    page = (tmp_path / "out" / "report.html").read_text()
    shown = [row[side] for row in read_csv(tmp_path / "out" / "pairs.csv") for side in ("first", "second")]
    assert page.count("data:image/jpeg;base64,") == sum(name != keys[3] for name in shown) > 0
    write_lines(pictures / "keys.txt", reversed(keys))
    with pytest.raises(InputError, match="face 0 is .*, but .* in .*; make thumbnails of the faces that were embedded"):
        run(faces, tmp_path / "other", thumbnails=pictures)


def test_the_worst_pairs_are_listed(faces, tmp_path, caplog, read_csv):
    labels = np.load(faces / "labels.npy")
    labels[0] = 5  # a face of p0 under p5
    np.save(faces / "labels.npy", labels)
    run(faces, tmp_path / "out", worst=3)
    rows = read_csv(tmp_path / "out" / "pairs.csv")
    assert [row["kind"] for row in rows] == ["false match"] * 3 + ["false non-match"] * 3
    assert {"p0/0.png"} < {rows[0]["first"], rows[0]["second"], rows[3]["first"], rows[3]["second"]}
    assert "belongs to" in rows[0]["reading"]
    assert "of the worst 6 pairs look like errors of labels" in caplog.text
    page = (tmp_path / "out" / "report.html").read_text()
    assert "For FMR 5e-2 use the threshold" in page
    assert page.count("<figure>") >= 6 + 4
    assert "p0/0.png" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda faces: (faces / "labels.npy").unlink(), {}, "no labels.npy; give --labels"),
        (lambda faces: np.save(faces / "norms.npy", np.ones(3, np.float32)), {}, "norms.npy: 3 values for 24 embedd"),
        (lambda faces: np.save(faces / "labels.npy", np.arange(24)), {}, "0 of 24 labelled people have two faces"),
        (lambda faces: None, {"fmr": 1.5}, "--fmr"),
        (lambda faces: None, {"bootstrap": -1}, "--bootstrap"),
        (lambda faces: None, {"seed": -1}, "--seed: -1; expected a number at least 0"),
        (lambda faces: None, {"bootstrap": 19}, "--bootstrap 19; 95 % intervals need at least 20 samples"),
    ],
)
def test_bad_input_is_refused(faces, tmp_path, change, options, message):
    change(faces)
    with pytest.raises(InputError, match=message):
        run(faces, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_attributes_of_too_many_values_are_refused(faces, tmp_path, monkeypatch):
    write_lines(tmp_path / "a.csv", ["age", *map(str, range(24))])
    monkeypatch.setattr("eval.report.set_parts.MOST_GROUPS", 23)
    with pytest.raises(InputError, match="'age' has 24 values, e.g. '0'; at most 23: put it into classes"):
        run(faces, tmp_path / "out", attributes=tmp_path / "a.csv")


def test_rates_have_short_names():
    assert [rate_name(rate) for rate in (0.1, 1e-6, 0.003, 0.025, 0.05)] == ["1e-1", "1e-6", "3e-3", "2.5e-2", "5e-2"]


def test_labels_in_another_order_are_said(tmp_path, caplog):
    """Faces of one person are no more alike than those of two, as with labels of other faces."""
    generator = np.random.default_rng(3)
    (tmp_path / "faces").mkdir()
    save_embeddings(tmp_path / "faces", generator.normal(size=(60, 16)), None, np.arange(60) % 15)
    metrics = run(tmp_path / "faces", tmp_path / "out", bootstrap=0)
    assert metrics["auc"] < 0.55
    assert "genuine pairs score hardly higher than impostor pairs (AUC 0." in caplog.text


def test_copies_of_a_picture_are_said(faces, tmp_path, caplog):
    rows = np.load(faces / "embeddings.npy")
    rows[[1, 5, 6]] = rows[[0, 4, 4]]
    np.save(faces / "embeddings.npy", rows)
    run(faces, tmp_path / "out", bootstrap=0)
    assert "4 genuine pairs with a cosine of 1, as copies of one picture have; they make the figures" in caplog.text


@pytest.mark.parametrize(("fmr", "name"), [(1 / 30, "3.333333333333333e-2"), (0.00123456789, "1.23456789e-3")])
def test_a_rate_of_many_digits_has_its_figures(faces, tmp_path, fmr, name):
    metrics = run(faces, tmp_path / "out", fmr=fmr)
    assert metrics["threshold"]["fmr"] == fmr
    assert metrics["fnmr_at_fmr"][name] == metrics["threshold"]["fnmr_here"]
    assert rate_name(fmr) == name
