"""Tables of a labelled set, by hand."""

from types import SimpleNamespace

import numpy as np

from eval.all_pairs.worst import FALSE_MATCH, WorstPair
from eval.metrics.discard import error_discard
from eval.report.set_tables import write_discard, write_groups, write_pairs


def test_pairs_have_the_faces_and_labels_of_their_units(tmp_path, read_csv):
    """Two templates: faces 1 and 3 of label 40, face 2 of label 90."""
    units = SimpleNamespace(face=np.array([1, 2]), subject=np.array([0, 1]), labels=np.array([40, 90]))
    worst = [WorstPair(FALSE_MATCH, 0.75, (1, 0), (np.nan, 0.5), (0.25, 0.125), 3, "alike")]
    write_pairs(tmp_path / "a.csv", worst, units, ["a", "b", "c", "d"])
    (row,) = read_csv(tmp_path / "a.csv")
    assert row == {
        "kind": "false match", "reading": "alike", "score": "0.75", "first": "c", "second": "b", "first_label": "90",
        "second_label": "40", "first_with_own": "", "second_with_own": "0.5", "first_with_other": "0.25",
        "second_with_other": "0.125", "pairs": "3",
    }  # fmt: skip
    write_pairs(tmp_path / "b.csv", worst, units, None)
    assert [read_csv(tmp_path / "b.csv")[0][side] for side in ("first", "second")] == ["row 2", "row 1"]


def test_discarded_pairs_are_those_of_lowest_quality(tmp_path, read_csv):
    """Of ten pairs the worst fails; a tenth is left out from .1 on."""
    curve = error_discard(np.arange(10) == 0, np.arange(10))
    write_discard(tmp_path / "a.csv", {"q": curve})
    rows = read_csv(tmp_path / "a.csv")
    assert [float(row["discarded"]) for row in rows] == [step / 100 for step in range(100)]
    assert [float(row["fnmr_q"]) for row in rows] == [0.1] * 10 + [0] * 90


def test_groups_without_an_interval_have_empty_cells(tmp_path, read_csv):
    rate = {"fmr": 0.5, "fmr_interval": (0.25, 0.75), "fmr_ratio": 2.0, "fmr_errors": 1, "fmr_pairs": 2}
    none = {"fnmr": None, "fnmr_interval": None, "fnmr_ratio": None, "fnmr_errors": 0, "fnmr_pairs": 0}
    entry = {"within": {"f": {**rate, **none}}, "across": [{"groups": ["f", "m"], "fmr": 0.0, "fmr_interval": None}]}
    write_groups(tmp_path / "a.csv", {"sex": entry})
    within, across = read_csv(tmp_path / "a.csv")
    assert [within[name] for name in ("attribute", "group", "other", "fmr", "fmr_low", "fmr_high", "fmr_ratio")] == [
        "sex", "f", "f", "0.5", "0.25", "0.75", "2.0",
    ]  # fmt: skip
    assert [within[name] for name in ("fnmr", "fnmr_low", "fnmr_high", "fnmr_pairs")] == ["", "", "", "0"]
    assert [across[name] for name in ("group", "other", "fmr", "fmr_low", "fnmr")] == ["f", "m", "0.0", "", ""]
