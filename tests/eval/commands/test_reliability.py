import csv
import json

import numpy as np
import pytest

from eval.__main__ import COMMANDS
from eval.commands.reliability import reliability_report
from facerec.pipeline.command_line import run
from facerec.pipeline.files import InputError


def command(*arguments):
    return run("eval", COMMANDS, [str(argument) for argument in arguments])


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


def test_clusters_without_a_confidence_are_told(folder, caplog):
    np.save(folder / "clusters" / "confidence.npy", np.ones(9, np.float32))
    reliability_report(folder / "truth.npy", folder / "clusters", folder / "out")
    assert "clusters: no confidence of its own, all values are 1" in caplog.text


def test_identities_in_another_order_are_refused(folder):
    (folder / "people").mkdir()
    np.save(folder / "people" / "labels.npy", np.load(folder / "truth.npy"))
    for name, keys in (("people", "abcdefghi"), ("clusters", "bacdefghi")):
        (folder / name / "keys.txt").write_text("\n".join(keys) + "\n")
    with pytest.raises(InputError, match="people: face 'a' is in row 0 there, but in row 1 of"):
        reliability_report(folder / "people", folder / "clusters", folder / "out")


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
        ("--truth {t}/truth.npy --clusters {t}/clusters", ("clusters/confidence.npy", np.arange(9.0)), "beyond [0,"),
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
