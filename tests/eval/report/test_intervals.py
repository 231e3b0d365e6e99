"""Intervals of EER and AUC go from the scores to metrics.json, bootstrap.npy and the comparison of runs."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest

from eval.commands.compare import compare
from eval.commands.ijb import ijb
from eval.commands.pairs import pairs
from eval.comparison.several import figure_of
from eval.metrics.pair_scores import PairScores
from eval.report.intervals import resample
from facerec.pipeline.files import write_lines

SUBJECTS, TEMPLATES = 40, 4
HEADER = "TEMPLATE_ID,SUBJECT_ID,FILENAME\n"


@pytest.fixture
def folder(tmp_path):
    """40 subjects of four faces, each a template; the first is in a gallery, the others are probes."""
    (tmp_path / "protocol").mkdir()
    subject = np.arange(SUBJECTS * TEMPLATES) // TEMPLATES
    first = np.arange(0, SUBJECTS * TEMPLATES, TEMPLATES)
    probes = np.setdiff1d(np.arange(len(subject)), first)
    for name, part in [("gallery_G1", first[::2]), ("gallery_G2", first[1::2]), ("probe_mixed", probes)]:
        text = HEADER + "".join(f"{t},{subject[t]},x\n" for t in part)
        (tmp_path / "protocol" / f"some_1N_{name}.csv").write_text(text)
    write_lines(tmp_path / "protocol" / "some_face_tid_mid.txt", [f"{t}.jpg {t} 0" for t in range(len(subject))])
    compared = [f"{a} {b} {int(subject[a] == subject[b])}" for a in first for b in probes]
    write_lines(tmp_path / "protocol" / "some_template_pair_label.txt", compared)
    return tmp_path


def embedded(folder, noise):
    """A folder of embeddings with keys."""
    rng = np.random.default_rng(0)
    vectors = np.repeat(rng.standard_normal((SUBJECTS, 16)), TEMPLATES, axis=0)
    vectors += noise * rng.standard_normal(vectors.shape)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    folder.mkdir()
    np.save(folder / "embeddings.npy", vectors.astype(np.float32))
    write_lines(folder / "keys.txt", [f"{t}.jpg" for t in range(len(vectors))])
    return folder


def test_ijb_gives_them_and_runs_are_compared_by_them(folder, tmp_path):
    for run, noise in [("better", 0.8), ("worse", 1.0)]:
        rows = embedded(tmp_path / f"{run}_embeddings", noise)
        ijb(protocol=folder / "protocol", embeddings=rows, out=tmp_path / run, bootstrap=200)
    metrics = json.loads((tmp_path / "better" / "metrics.json").read_text())
    samples = np.load(tmp_path / "better" / "bootstrap.npy")
    assert metrics["intervals"]["figures"][-2:] == ["eer", "auc"]
    for name, column in zip(("eer", "auc"), samples.T[-2:], strict=True):
        low, high = metrics["intervals"][name]
        assert low < metrics[name] < high
        assert [low, high] == pytest.approx(np.quantile(column, [0.025, 0.975]))
        assert high - low < 0.1

    compare(runs=[tmp_path / "better", tmp_path / "worse"], out=tmp_path / "report")
    with (tmp_path / "report" / "intervals.csv").open() as file:
        values = {(line["row"], line["figure"]): float(line["value"]) for line in csv.DictReader(file)}
    assert (values["better", "eer"], values["better", "auc"]) == (metrics["eer"], metrics["auc"])
    with (tmp_path / "report" / "differences.csv").open() as file:
        lines = {line["figure"]: line for line in csv.DictReader(file)}
    assert float(lines["eer"]["high"]) < 0 < float(lines["auc"]["low"])  # the better run has the lower EER


def test_a_sample_of_everybody_once_is_every_figure_itself(folder, tmp_path, monkeypatch):
    """Each column has the figure of its name, and each interval is that of its rate and gallery."""
    monkeypatch.setattr("eval.report.intervals.draw", lambda subjects, samples, seed: np.ones((subjects, samples)))
    ijb(protocol=folder / "protocol", embeddings=embedded(tmp_path / "rows", 1.2), out=tmp_path / "out", bootstrap=20)
    metrics, samples = (
        json.loads((tmp_path / "out" / "metrics.json").read_text()),
        np.load(tmp_path / "out/bootstrap.npy"),
    )
    found, names = metrics["intervals"], metrics["intervals"]["figures"]
    assert {"fnmr@1e-2", "fnir@1e-1", "fnir@1e-1/G1", "fnir@1e-1/G2", "rank5", "rank1/G2", "eer", "auc"} <= set(names)
    for name, column in zip(names, samples.T, strict=True):
        np.testing.assert_allclose(column, figure_of(metrics, name), rtol=1e-12, err_msg=name)
    values = [metrics[name] for name in ("eer", "auc", "rank1", "rank5", "rank10")]
    ends = [found[name] for name in ("eer", "auc", "rank1", "rank5", "rank10")]
    galleries = [of["fnir_at_fpir_per_gallery"] for of in (metrics, found)]
    assert galleries[0]["G1"] != galleries[0]["G2"]
    for figures, intervals in (
        *((metrics[name], found[name]) for name in ("fnmr_at_fmr", "fnir_at_fpir")),
        *((galleries[0][name], galleries[1][name]) for name in ("G1", "G2")),
    ):
        values, ends = [*values, *figures.values()], [*ends, *(intervals[rate] for rate in figures)]
    np.testing.assert_allclose(ends, np.stack([values, values], axis=1), rtol=1e-12)
    for curve, rate, value in (("det", "fmr", "fnmr"), ("iet", "fpir", "fnir_mean")):
        with (tmp_path / "out" / f"{curve}.csv").open() as file:
            rows = [row for row in csv.DictReader(file) if float(row[rate]) <= 0.1]
        assert len(rows) > 10
        for row in rows:
            assert float(row[f"{value}_low"]) == pytest.approx(float(row[value]), rel=1e-12)
            assert float(row[f"{value}_high"]) == pytest.approx(float(row[value]), rel=1e-12)
            assert curve == "iet" or float(row["tar"]) == 1 - float(row["fnmr"])
    tenth = next(row for row in rows if float(row["fpir"]) == 0.1)
    for gallery, of in metrics["counts"]["identification"].items():
        figures = [metrics["fnir_at_fpir_per_gallery"][gallery]["1e-1"], of["1e-1"]["threshold"]]
        assert [float(tenth[f"{name}_{gallery}"]) for name in ("fnir", "threshold")] == pytest.approx(figures)


def test_pairs_count_as_often_as_both_of_their_subjects(monkeypatch):
    """Subject 0 once, 1 twice, 2 never: genuine .9 and twice .3, impostors twice .5 and twice .2."""
    monkeypatch.setattr("eval.report.intervals.draw", lambda *_: np.array([[1.0], [2], [0]]))
    first, second = np.array([0, 2, 4, 0, 0, 1, 2]), np.array([1, 3, 5, 2, 4, 3, 4])
    scores = PairScores.of(np.float32([0.9, 0.3, 0.1, 0.5, 0.8, 0.2, 0.7]), np.arange(7) < 3)
    evaluation = SimpleNamespace(
        subject=np.array([0, 0, 1, 1, 2, 2]), pairs=(first, second), scores=scores, identification=None, galleries=(),
        probes=np.array([], int),
    )  # fmt: skip
    found = resample(evaluation, 1, 0, ([0.1], []))
    assert found.of("fnmr@1e-1") == found.det[0.1] == pytest.approx((2 / 3, 2 / 3))
    assert found.of("auc") == pytest.approx((8 / 12, 8 / 12))


def test_pairs_gives_them(folder, tmp_path):
    lines = []
    for line in (folder / "protocol" / "some_template_pair_label.txt").read_text().splitlines():
        one, two, same = line.split()
        lines.append(f"{one}.jpg\t{two}.jpg\t{same}")
    order = np.random.default_rng(0).permutation(len(lines))
    write_lines(tmp_path / "some.tsv", [lines[index] for index in order])
    pairs(pairs=tmp_path / "some.tsv", embeddings=embedded(tmp_path / "rows", 0.8), out=tmp_path / "out", bootstrap=200)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    for name in ("eer", "auc"):
        low, high = metrics["intervals"][name]
        assert low < metrics[name] < high
