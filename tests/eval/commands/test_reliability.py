import csv
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eval.__main__ import COMMANDS
from eval.clusters.calibration import calibration_error, in_majority, reliability
from eval.commands.reliability import reliability_report
from facerec.pipeline.command_line import run


def command(*arguments):
    return run("eval", COMMANDS, [str(argument) for argument in arguments])


def slow_majority(truth, predicted):
    found = []
    for t, p in zip(truth, predicted, strict=True):
        votes = [u for u, q in zip(truth, predicted, strict=True) if q == p and u >= 0]
        winner = min(set(votes), key=lambda u: (-votes.count(u), u)) if votes else None
        found.append(t >= 0 and (p < 0 or t == winner))
    return found


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 12).flatmap(lambda n: st.tuples(
    arrays(np.int64, n, elements=st.integers(-1, 3)), arrays(np.int64, n, elements=st.integers(-1, 4))
)))  # fmt: skip
def test_majority_equals_the_slow_one(labels):
    np.testing.assert_array_equal(in_majority(*labels), slow_majority(*labels))


def test_majority_by_hand():
    truth, predicted = np.array([7, 9, 9, 3, 2, -1, 5, 5]), np.array([0, 0, 0, 1, 1, 1, -1, -1])
    np.testing.assert_array_equal(in_majority(truth, predicted), [0, 1, 1, 0, 1, 0, 1, 1])


def test_reliability_by_hand():
    confidence = np.array([0.9, 0.1, 0.5, 0.3, 0.9, 0.9])
    right = np.array([True, False, False, True, True, False])
    table = reliability(confidence, right, bins=3)
    np.testing.assert_allclose(table, [[0.1, 0.3, 2, 0.2, 0.5], [0.5, 0.5, 1, 0.5, 0], [0.9, 0.9, 3, 0.9, 2 / 3]])
    assert calibration_error(table) == pytest.approx((2 * 0.3 + 1 * 0.5 + 3 * (0.9 - 2 / 3)) / 6)
    assert reliability(np.array([]), np.array([], bool)).shape == (0, 5)
    assert calibration_error(np.zeros((0, 5))) == 0


@settings(max_examples=100, deadline=None)
@given(
    arrays(np.float64, st.integers(1, 60), elements=st.sampled_from([0, 0.1, 0.2, 0.5, 0.55, 0.9, 1])),
    st.integers(1, 20), st.integers(0, 99),
)  # fmt: skip
def test_bins_hold_every_face_once_whatever_the_order(confidence, bins, seed):
    random = np.random.default_rng(seed)
    right = random.random(len(confidence)) < confidence
    table = reliability(confidence, right, bins)
    assert len(table) <= bins
    assert table[:, 2].sum() == len(confidence)
    assert np.all(table[1:, 0] > table[:-1, 1])  # equal values share a bin
    np.testing.assert_allclose(table[:, 2] @ table[:, 4], right.sum())
    np.testing.assert_allclose(table[:, 2] @ table[:, 3], confidence.sum())
    order = random.permutation(len(confidence))
    np.testing.assert_allclose(reliability(confidence[order], right[order], bins), table)


def test_what_is_right_as_often_as_it_says_has_no_error():
    random = np.random.default_rng(0)
    confidence = random.random(200_000)
    right = random.random(200_000) < confidence
    assert calibration_error(reliability(confidence, right)) < 0.01
    assert calibration_error(reliability(np.sqrt(confidence), right)) == pytest.approx(2 / 3 - 1 / 2, abs=0.01)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "clusters").mkdir()
    np.save(tmp_path / "truth.npy", np.array([1, 1, 2, 2, 3, -1, 4, 5, 6]))
    np.save(tmp_path / "clusters" / "labels.npy", np.array([0, 0, 0, 1, 1, 1, 2, -1, 3]))
    np.save(tmp_path / "clusters" / "confidence.npy", np.array([0.9, 0.8, 0.4, 0.6, 0.6, 0.7, 1, 0, 1], np.float32))
    return tmp_path


def test_command_counts_faces_in_company(folder):
    out = reliability_report(folder / "truth.npy", folder / "clusters", folder / "out", bins=2)
    figures = json.loads((out / "metrics.json").read_text())
    # Faces 0-4: .4 wrong; .6 right and .6 wrong (a tie goes to identity 2); .8 and .9 right.
    assert figures["faces"] == 5
    assert figures["right"] == pytest.approx(3 / 5)
    assert figures["confidence"] == pytest.approx(3.3 / 5)
    with (out / "reliability.csv").open() as file:
        rows = [[float(value) for value in row.values()] for row in csv.DictReader(file)]
    np.testing.assert_allclose(rows, [[0.4, 0.4, 1, 0.4, 0], [0.6, 0.9, 4, 0.725, 0.75]], atol=1e-6)
    assert figures["expected_calibration_error"] == pytest.approx((0.4 + 4 * 0.025) / 5)
    assert (out / "reliability.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("line", "damage", "message"),
    [
        ("--truth {t}/truth.npy --clusters {t}/nothing", None, "nothing: no such file or folder"),
        ("--truth {t}/truth.npy --clusters {t}/truth.npy", None, "truth.npy: no such folder"),
        ("--truth {t}/none.npy --clusters {t}/clusters", None, "none.npy: no such file"),
        ("--truth {t}/truth.npy --clusters {t}/clusters --bins 0", None, "bins is 0; it must be at least 1"),
        ("--truth {t}/truth.npy --clusters {t}/clusters", ("truth.npy", np.arange(3)), "9 labels and 9 values"),
        ("--truth {t}/truth.npy --clusters {t}/clusters", ("clusters/confidence.npy", np.ones(4)), "4 values"),
        ("--truth {t}/truth.npy --clusters {t}/clusters", ("clusters/confidence.npy", np.full(9, 2)), "int64"),
        ("--truth {t}/truth.npy --clusters {t}/clusters", ("clusters/confidence.npy", np.full(9, 1.5)), "beyond [0,"),
        ("--truth {t}/truth.npy --clusters {t}/clusters", ("clusters/confidence.npy", np.full(9, np.nan)), "or NaN"),
        ("--truth {t}/truth.npy --clusters {t}/clusters", ("clusters/labels.npy", np.arange(9)), "no cluster of two"),
        ("--truth {t}/truth.npy --clusters {t}/clusters", ("truth.npy", np.full(9, -1)), "no cluster of two"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(folder, line, damage, message, capsys):
    if damage:
        np.save(folder / damage[0], damage[1])
    assert command("reliability", *line.format(t=folder).split(), "--out", folder / "out") == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in error
    assert not (folder / "out").exists()
