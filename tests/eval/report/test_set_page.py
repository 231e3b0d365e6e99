"""The numbers on the page of a labelled set are those of its metrics.json."""

import re
from types import SimpleNamespace

import pytest

from eval.report.set_page import _page, usable

POINTS = {
    rate: {"threshold": 0.3 + number / 100, "false_matches": 5000 + number, "false_non_matches": 7000 + number,
           "supported": number != 3, "few_errors": number > 1}
    for number, rate in enumerate(("1e-1", "1e-2", "1e-3", "1e-4"))
}  # fmt: skip
GALLERIES = {
    name: {"subjects": 20 + number, "mated_probes": 1300 + number, "nonmated_probes": 1400 + number,
           "1e-1": {"threshold": 0.5 + number / 10, "few_errors": False},
           "1e-2": {"threshold": 0.7 + number / 10, "few_errors": number == 1}}
    for number, name in enumerate(("G1", "G2"))
}  # fmt: skip


def group(number, **changed):
    """Rates of a group, no two alike."""
    return {
        "subjects": 1100 + number, "fmr": 0.00012 + number / 1e5, "fmr_interval": (0.0001, 0.0004 + number / 1e4),
        "fmr_ratio": 1.2 + number, "fmr_few_errors": number == 1, "fnmr": 0.05 + number / 100,
        "fnmr_interval": (0.04, 0.08 + number / 100), "fnmr_ratio": 2.3 + number, "fnmr_few_errors": number == 2,
    } | changed  # fmt: skip


METRICS = {
    "threshold": {
        "fmr": 1e-3, "value": 0.4321, "fmr_here": 0.0009, "fnmr_here": 0.05, "supported": True, "few_errors": False
    },
    "fnmr_at_fmr": {"1e-1": 0.011, "1e-2": 0.022, "1e-3": 0.033, "1e-4": None},
    "fnir_at_fpir": {"1e-1": 0.044, "1e-2": 0.055},
    "eer": 0.066, "auc": 0.98765, "rank1": 0.877,
    "intervals": {
        "fnmr_at_fmr": {"1e-1": (0.01, 0.012), "1e-2": (0.02, 0.024), "1e-3": None, "1e-4": (0.03, 1)},
        "fnir_at_fpir": {"1e-1": (0.04, 0.05), "1e-2": None}, "eer": (0.06, 0.07),
    },
    "groups": {"sex": {
        "within": {"f": group(1), "m": group(2), "x": group(3, fmr=None, fmr_interval=None, fmr_ratio=None)},
        "across": [{"groups": ["f", "m"], **group(4)}],
    }},
    "calibration": {"cllr_cross_validated": {"logistic": 0.1111, "isotonic": None}, "min_cllr": 0.0999},
    "counts": {
        "faces": 4000, "subjects": 1700, "templates": 2600, "genuine_pairs": 8100, "impostor_pairs": 9_200_000,
        "unreadable_faces": 41, "unlabelled_faces": 42, "faces_without_session": 43, "verification": POINTS,
        "identification": GALLERIES,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def html():
    return _page(SimpleNamespace(worst=[], metrics=METRICS), {})


@pytest.fixture(scope="module")
def tables(html, read_page):
    """Verification, search and groups, without their headings."""
    return [[[text for text, _ in row] for row in table[1:]] for table in read_page(html).tables]


def test_verification_and_search(tables):
    assert tables[0] == [
        ["1e-1", "0.300000", "1.10", "1.00 to 1.20", "5,000", "7,000", ""],
        ["1e-2", "0.310000", "2.20", "2.00 to 2.40", "5,001", "7,001", ""],
        ["1e-3", "0.320000", "3.30", "–", "5,002", "7,002", "fewer than ten errors"],
        ["1e-4", "0.330000", "–", "3.00 to 100.00", "5,003", "7,003", "too few impostor pairs"],
    ]
    assert tables[1] == [
        ["1e-1", "4.40", "4.00 to 5.00", "0.500000", "0.600000"],
        ["1e-2", "5.50", "–", "0.700000", "0.800000 ‡"],
    ]


def test_every_heading_has_a_name_and_every_table_its_own(html):
    sure = {rate: point | {"supported": True, "few_errors": False} for rate, point in POINTS.items()}
    counts = METRICS["counts"] | {"verification": sure}
    groups = METRICS["groups"] | {"age": METRICS["groups"]["sex"]}
    without = _page(SimpleNamespace(worst=[], metrics=METRICS | {"counts": counts, "groups": groups}), {})
    assert "caution" in html
    assert "caution" not in without
    assert without.count("<td>5,000</td><td>7,000</td></tr>") == 1
    for page in (html, without):
        assert not re.search("<th[^>]*></th>", page)
        labels = re.findall('aria-label="([^"]*)"', page)
        assert len(labels) == len(set(labels)) >= 3


def test_groups(tables):
    assert tables[2] == [
        ["f", "1,101", "1.30e-04 ‡", "1.0e-04 to 5.0e-04", "2.2", "6.00", "4.00 to 9.00", "3.3"],
        ["m", "1,102", "1.40e-04", "1.0e-04 to 6.0e-04", "3.2", "7.00 ‡", "4.00 to 10.00", "4.3"],
        ["x", "1,103", "–", "–", "–", "8.00", "4.00 to 11.00", "5.3"],
        ["f with m", "", "1.60e-04", "1.0e-04 to 8.0e-04", "", "9.00", "4.00 to 12.00", ""],
    ]


def test_figures_in_sentences(html):
    text = " ".join(html.split())
    for said in (
        "use the threshold 0.4321",
        "4,000 faces of 1,700 people in 2,600 templates; 8,100 genuine and 9,200,000 impostor pairs.",
        "41 faces could not be read", "42 faces without a label", "43 faces without a session",
        "EER 6.60 % (6.00 to 7.00). AUC 0.98765.",
        "Rank 1: 87.70 %.", "G1 has 20 people, 1,300 mated and 1,400 non-mated probes. G2 has 21 people, 1,301 mated",
        "Groups at the threshold 0.4321", "logistic 0.1111, isotonic –; min Cllr 0.0999.",
    ):  # fmt: skip
        assert said in text, said


@pytest.mark.parametrize("multiple", [93118, 113283, 2**18, 1, 0, -40001])
def test_a_threshold_to_copy_decides_as_the_exact_one_does(multiple):
    step = 1 / 2**18
    exact, shown = multiple * step, float(usable(multiple * step))
    assert exact <= shown < exact + step
