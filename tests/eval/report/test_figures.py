"""Figures and their doubts, by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from eval.metrics.fnir import Search
from eval.metrics.operating_point import OperatingPoint
from eval.metrics.pair_scores import PairScores
from eval.report.figures import _search_counts, _verification_counts, few_errors, verification_figures
from eval.report.intervals import resample_searches
from eval.report.pair_set import pair_set_figures, pair_set_intervals
from eval.report.set_figures import threshold_entry
from eval.report.set_page import threshold_in_words
from eval.report.set_parts import _rate


def search(ranks, highest):
    """A search whose probes are first the mated ones."""
    mated = np.arange(len(ranks) + len(highest)) < len(ranks)
    scores = np.ones(len(ranks), np.float32)
    return Search(scores, np.array(ranks), np.sort(np.float32(highest)), 7, mated, np.float32(highest))


@pytest.mark.parametrize(("accepted", "rejected", "few"), [(10, 10, False), (9, 99, True), (99, 9, True)])
def test_ten_errors_of_either_kind_are_not_few(accepted, rejected, few):
    point = OperatingPoint(0.5, accepted, rejected, 100, supported=True)
    found = _verification_counts(point)
    assert (found["false_matches"], found["false_non_matches"], found["few_errors"]) == (accepted, rejected, few)
    found = _search_counts(search([1, 1, 2, 6], [0.3]), {"1e-1": point})
    assert (found["1e-1"]["false_positives"], found["1e-1"]["misses"]) == (accepted, rejected)
    assert found["1e-1"]["few_errors"] == few
    assert [found[f"rank{k}_hits"] for k in (1, 5, 10)] == [2, 3, 4]
    assert (found["subjects"], found["mated_probes"], found["nonmated_probes"]) == (7, 4, 1)


def test_figures_on_few_errors_are_named():
    counts = {
        "verification": {"1e-1": {"few_errors": False}, "1e-2": {"few_errors": True}},
        "identification": {"G1": {
            "mated_probes": 30, "rank1_hits": 20, "rank5_hits": 21, "rank10_hits": 29, "1e-1": {"few_errors": True},
        }},
    }  # fmt: skip
    assert few_errors(counts) == ["fnmr@1e-2", "fnir@1e-1/G1", "rank5/G1", "rank10/G1"]


def test_a_rate_is_compared_with_the_lowest():
    found = _rate("fmr", SimpleNamespace(errors=10, pairs=40, value=0.25, samples=np.array([0.2, 0.3])), best=0.05)
    assert (found["fmr"], found["fmr_ratio"], found["fmr_few_errors"]) == (0.25, 5, False)
    assert found["fmr_interval"] == pytest.approx((0.2025, 0.2975))
    none = _rate("fmr", SimpleNamespace(errors=0, pairs=0, value=np.nan, samples=np.array([np.nan])), best=0.0)
    assert (none["fmr"], none["fmr_interval"], none["fmr_ratio"], none["fmr_few_errors"]) == (None, None, None, True)


def test_match_rates_are_the_rest_of_the_error_rates():
    scores = PairScores.of(np.float32([0.9, 0.2, 0.5, 0.1]), np.array([True, True, False, False]))
    found = verification_figures(scores, ["1e-1"])
    assert (found["fnmr_at_fmr"], found["tar_at_far"]) == ({"1e-1": 0.5}, {"1e-1": 0.5})
    assert verification_figures(scores, ["0.5"])["tar_at_far"] == {"0.5": 1}


def test_closed_sets_have_ranks_alone():
    found, curve = resample_searches({"G1": search([1, 3], [])}, np.array([0, 1]), [], np.array([[2.0], [1.0]]))
    assert set(found) == {f"rank{k}{of}" for k in (1, 5, 10) for of in ("", "/G1")}
    assert (found["rank1"].tolist(), found["rank5/G1"].tolist(), curve) == ([2 / 3], [1], {})


@pytest.mark.parametrize(("matches", "misses", "few"), [(10, 3, False), (9, 30, True)])
def test_a_threshold_rests_on_its_false_matches(monkeypatch, matches, misses, few):
    monkeypatch.setattr("eval.report.set_figures.share_matching", lambda *_: (matches, misses))
    evaluation = SimpleNamespace(
        fmr=0.01, point=OperatingPoint(0.4, 0, 0, 60, supported=True), units=SimpleNamespace(impostor_pairs=900),
        pairs=None,
    )  # fmt: skip
    assert threshold_entry(evaluation) == {
        "fmr": 0.01, "value": 0.4, "fmr_here": matches / 900, "fnmr_here": misses / 60, "supported": True,
        "few_errors": few,
    }  # fmt: skip


def test_a_threshold_in_words():
    found = {"fmr": 0.001, "value": 113283 / 2**18, "fmr_here": 0.0012345, "fnmr_here": 0.05, "supported": True}
    plain = "For FMR 1e-3 use the threshold 0.432141. On these faces it has FMR 1.23e-3 and FNMR 5.00 %"
    assert threshold_in_words({"threshold": {**found, "few_errors": False}}) == f"{plain}."
    assert threshold_in_words({"threshold": {**found, "few_errors": True}}).startswith(f"{plain}. Fewer than ten")
    unsupported = {**found, "fmr_here": 0.0, "supported": False, "few_errors": True}
    assert "it has FMR 0 and FNMR 5.00 %. There are too few" in threshold_in_words({"threshold": unsupported})
    ends = {"value_interval": (0.4, 0.45), "fnmr_here_interval": (0.04, 0.061), "few_errors": False}
    said = threshold_in_words({"threshold": {**found, **ends}})
    assert "threshold 0.432141 (95 % interval 0.4000 to 0.4500). On" in said
    assert said.endswith("FNMR 5.00 % (4.00 to 6.10 %).")


PAIRS = SimpleNamespace(
    fold=np.array([0, 0, 0, 1, 1]), subjects=np.array([[0, 0], [0, 1], [1, 1], [1, 2], [2, 2]]), known=True
)
SCORES = PairScores.of(np.float32([0.9, 0.5, 0.3, 0.95, 0.7]), np.array([True, False, True, False, True]))


def test_accuracy_is_the_mean_over_folds_of_any_size():
    right = np.array([True, True, False, False, True])
    found = pair_set_figures(PAIRS, SCORES, right, [0.6, 0.8])
    assert (found["accuracy"], found["accuracy_std"]) == pytest.approx(((2 / 3 + 1 / 2) / 2, 1 / 12))
    assert [fold["pairs"] for fold in found["folds"]] == [3, 2]
    assert (found["counts"]["wrong"], "accuracy" in found["few_errors"]) == (2, True)
    many = SimpleNamespace(fold=np.zeros(20, int))
    scores = PairScores.of(np.arange(20, dtype=np.float32), np.arange(20) % 2 == 0)
    assert "accuracy" not in pair_set_figures(many, scores, np.arange(20) < 10, [0.5])["few_errors"]


def test_pairs_of_a_list_count_as_often_as_their_subjects(monkeypatch):
    """Subjects 0, 1 and 2 come once, twice and three times: genuine pairs as often, impostor pairs 1 x 2 and 2 x 3."""
    monkeypatch.setattr("eval.report.pair_set.draw", lambda *_: np.array([[1.0], [2], [3]]))
    right = np.array([True, False, True, True, False])
    found = pair_set_intervals(PAIRS, SCORES, right, samples=1, seed=5)
    assert found["accuracy"] == pytest.approx([((1 + 2) / (1 + 2 + 2) + 6 / (6 + 3)) / 2] * 2)
    assert found["auc"] == pytest.approx([(1 * 2 + 3 * 2) / (6 * 8)] * 2)
    assert found["fnmr_at_fmr"]["1e-1"] == (1, 1)
    assert (found["samples"], found["seed"], found["over"]) == (1, 5, "subjects")
    monkeypatch.setattr("eval.report.pair_set.draw", lambda *_: np.array([[1.0, 2.0], [0, 0], [0, 0]]))
    found = pair_set_intervals(PAIRS, SCORES, right, samples=2, seed=5)
    assert found["accuracy"] == (1, 1)  # of fold 1 nothing is drawn


def test_the_interval_of_an_accuracy_is_that_of_the_mean_over_unequal_folds(monkeypatch):
    listed = SimpleNamespace(
        fold=np.repeat([0, 1], [16, 4]), subjects=np.arange(20).repeat(2).reshape(20, 2), known=False
    )
    right, scores = np.arange(20) < 16, PairScores.of(np.linspace(0, 1, 20, dtype=np.float32), np.arange(20) % 2 == 0)
    monkeypatch.setattr("eval.report.pair_set.draw", lambda *_: np.ones((20, 1)))
    metrics = pair_set_figures(listed, scores, right, [0.5, 0.5])
    found = pair_set_intervals(listed, scores, right, samples=1, seed=0)
    assert metrics["accuracy"] == 0.5
    assert found["accuracy"] == (0.5, 0.5)
