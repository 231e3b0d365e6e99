"""The numbers on a comparison's page are those of its runs."""

import dataclasses

import numpy as np
import pytest

from eval.comparison.page import page
from eval.comparison.page_plots import Shown
from eval.comparison.paired import Difference
from eval.comparison.runs import Run
from eval.comparison.summary import verdict
from eval.comparison.table import tabulate

FNMR = {"labelled": 0.4, "a": 0.25, "b": 0.2563, "c": 0.262}
RATES = {"1e-1": 0.15, "1e-2": 0.1, "1e-3": 0.05, "1e-4": 0.0}
"""FMRs, and how much lower FNMR is there than at the lowest."""


def made(number, name):
    """A run in which no two figures are the same."""
    fnmr = {rate: FNMR[name] - less for rate, less in RATES.items()}
    points = {
        rate: {"false_non_matches": round(10_000 * error), "false_matches": int(1e6 * float(rate)), "threshold": 0.5}
        for rate, error in fnmr.items()
    }
    galleries = {
        gallery: {
            "subjects": 30 + extra, "mated_probes": 2000 + extra, "nonmated_probes": 900 + extra,
            "rank1_hits": 1500 - 7 * number, "1e-1": {"misses": 300 + number + extra},
            "1e-2": {"misses": 600 + number + extra},
        }
        for gallery, extra in (("G1", 10), ("G2", 50))
    }  # fmt: skip
    counts = {
        "faces": 1234, "templates": 321, "genuine_pairs": 10_000, "impostor_pairs": 10**6, "probes": 2900,
        "unreadable_faces": 70 + number, "empty_templates": 80 + number, "verification": points,
        "identification": galleries,
    }  # fmt: skip
    samples = FNMR[name] + 0.003 * np.random.default_rng(number).standard_normal((1, 500))
    metrics = {
        "fnmr_at_fmr": fnmr, "fnir_at_fpir": {"1e-1": FNMR[name] + 0.01, "1e-2": FNMR[name] + 0.02},
        "rank1": 0.7 + 0.05 * number, "counts": counts, "intervals": {"samples": 500, "seed": 0},
    }  # fmt: skip
    worst = [
        {"kind": kind, "score": score, "first_face": f"{kind}{score}", "second_face": "another"}
        for kind in ("impostor", "genuine") for score in ("0.5", "0.4996")
    ]  # fmt: skip
    return Run(
        name, metrics, [], [], None, None, {}, None, samples={f"fnmr@{rate}": samples for rate in RATES},
        worst=worst if name == "a" else [],
    )  # fmt: skip


@pytest.fixture(scope="module")
def runs():
    return [made(number, name) for number, name in enumerate(FNMR)]


@pytest.fixture(scope="module")
def content(runs, read_page, tmp_path_factory):
    nothing, out = Shown("det", "", {}), tmp_path_factory.mktemp("page")
    return read_page(page(tabulate(runs), {"det": nothing, "iet": nothing}, out, None, None, "x"))


@pytest.fixture(scope="module")
def tables(content):
    """The rows of the page's tables that are about runs: groups, pairs of rows, results, counts."""
    return [[row for row in table if row[0][0] in FNMR or "−" in row[0][0]] for table in content.tables]


def test_results_and_the_best_of_each_column(tables, runs):
    rows = tables[2]
    assert [row[0][0] for row in rows] == list(FNMR)
    for row, run in zip(rows, runs, strict=True):
        figures = run.metrics
        values = [*figures["fnmr_at_fmr"].values(), *figures["fnir_at_fpir"].values(), figures["rank1"]]
        assert [text for text, _ in row[1:]] == [f"{100 * value:.2f}" for value in values]
    bold = {row[0][0]: [is_bold for _, is_bold in row[1:]] for row in rows}
    assert bold == {"labelled": [False] * 7, "a": [True] * 6 + [False], "b": [False] * 7, "c": [False] * 6 + [True]}


def test_rows_that_cannot_be_told_apart_share_a_bar(tables):
    """The lowest FNMR first; c differs from a, and labelled from all."""
    assert [[text for text, _ in row] for row in tables[0]] == [
        ["a", "25.00", "┃", "", ""],
        ["b", "25.63", "┃", "┃", ""],
        ["c", "26.20", "", "┃", ""],
        ["labelled", "40.00", "", "", "┃"],
    ]


def test_differences_have_their_sign_and_verdict(tables, runs):
    pairs = {row[0][0]: [text for text, _ in row[1:]] for row in tables[1]}
    found = {name: (cells[0], cells[3]) for name, cells in pairs.items()}
    assert found == {
        "labelled − a": ("+15.00", "labelled is worse"), "labelled − b": ("+14.37", "labelled is worse"),
        "labelled − c": ("+13.80", "labelled is worse"), "a − b": ("−0.63", "not significant"),
        "a − c": ("−1.20", "a is better"), "b − c": ("−0.57", "not significant"),
    }  # fmt: skip
    for cells in pairs.values():
        low, high = (float(end.replace("−", "-")) for end in cells[1].split(" to "))
        value = float(cells[0].replace("−", "-"))
        assert low < value < high
        assert (low <= 0 <= high) == (cells[3] == "not significant")
        assert (float(cells[2]) > 0.05) == (cells[3] == "not significant")
    found = list(tabulate(runs).compared.pairs())
    assert [cells[2] for cells in pairs.values()] == [f"{each.adjusted:.3f}" for each in found]
    assert any(f"{each.adjusted:.3f}" != f"{each.p:.3f}" for each in found)


@pytest.mark.parametrize(("adjusted", "said"), [(0.05, "a is better"), (0.051, "not significant")])
def test_a_verdict_is_by_the_corrected_p(adjusted, said):
    assert verdict(Difference("fnmr@1e-4", "a", "b", -0.01, -0.02, -0.001, 0.02, adjusted)) == said


def test_counts_behind_the_figures(tables, runs):
    rows = [[text for text, _ in row] for row in tables[3]]
    assert [row[0] for row in rows] == list(FNMR)
    for row, run in zip(rows, runs, strict=True):
        counts = run.metrics["counts"]
        expected = [point["false_non_matches"] for point in counts["verification"].values()]
        for of in counts["identification"].values():
            expected += [of["1e-1"]["misses"], of["1e-2"]["misses"], of["mated_probes"] - of["rank1_hits"]]
        expected += [counts["unreadable_faces"], counts["empty_templates"]]
        assert row[1:] == [f"{count:,}" for count in expected]


def test_counts_stand_below_their_rate_if_a_report_has_further_ones(runs, tables, read_page, tmp_path):
    """Those of eval folder have the rate of --fmr as well."""
    counts = runs[1].metrics["counts"]
    more = {"3e-2": {**counts["verification"]["1e-2"], "false_non_matches": 7}, **counts["verification"]}
    metrics = {
        "fnmr_at_fmr": {"3e-2": 0.1, **runs[1].metrics["fnmr_at_fmr"]},
        "counts": {**counts, "verification": more},
    }
    other = dataclasses.replace(runs[1], metrics={**runs[1].metrics, **metrics})
    nothing = Shown("det", "", {})
    for some in ([runs[0], other], [other, runs[0]]):
        found = read_page(page(tabulate(some), {"det": nothing, "iet": nothing}, tmp_path, None, None, "x")).tables[3]
        assert [row for row in found if row[0][0] == "a"] == [row for row in tables[3] if row[0][0] == "a"]
        assert "3e-2" not in [text for row in found for text, _ in row]


def test_worst_pairs_have_their_verdict(content):
    """Scores at the threshold, and just below it."""
    captions = [caption for caption in content.captions if caption.startswith("0.")]
    assert captions == ["0.500 false match", "0.500", "0.500", "0.500 false non-match"]
