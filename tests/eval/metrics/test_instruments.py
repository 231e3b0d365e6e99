"""Figures of random protocols against the field's own instruments; each test skips where its instrument is missing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.metrics import identification, verification
from eval.metrics.likelihood_ratios import cllr, min_cllr

SHAPES = st.tuples(st.integers(5, 60), st.integers(5, 200), st.integers(0, 2**31), st.sampled_from([1, 2, 6]))


def protocol(shape):
    """Genuine and impostor scores float64 of a random number of digits, so that some are equal."""
    genuine, impostor, seed, digits = shape
    random = np.random.default_rng(seed)
    return random.normal(1, 1, genuine).round(digits), random.normal(0, 1, impostor).round(digits)


@settings(max_examples=40)
@given(SHAPES)
def test_fnmr_and_eer_of_pyeer(shape):
    stats = pytest.importorskip("pyeer.eer_stats", reason="pip install pyeer")
    genuine, impostor = protocol(shape)
    _, fmr, fnmr = stats.calculate_roc(genuine, impostor)
    rates = (0.0, 0.1, 0.3)
    found = verification(genuine, impostor, rates)
    for rate in rates:
        passing = np.flatnonzero(fmr <= rate)  # pyeer's thresholds are scores; without any, all are refused
        assert found.fnmr[rate] == pytest.approx(fnmr[passing].min() if len(passing) else 1)
    if np.any(fmr <= fnmr):  # else its curves end before they cross, and it says that the EER is 1
        crossing = int(np.flatnonzero(fmr <= fnmr)[0])
        halves = ((fmr + fnmr) / 2)[[max(crossing - 1, 0), crossing]]  # ours: the nearer rates; its: the lower
        for eer in (found.eer, stats.get_eer_values(fmr, fnmr)[-1]):
            assert np.abs(halves - eer).min() < 1e-9


def test_ranks_of_pyeer():
    stats = pytest.importorskip("pyeer.cmc_stats", reason="pip install pyeer")
    random = np.random.default_rng(0)
    gallery, subjects = random.normal(size=(12, 6)), np.repeat(np.arange(12), 4)
    probes = gallery[subjects] + random.normal(size=(48, 6))
    found = identification(probes, subjects, (gallery, np.arange(12)), fpirs=())
    unit = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in (probes, gallery)]
    cosines = unit[0] @ unit[1].T
    sorted_lists = {probe: _query(stats, subjects[probe], cosines[probe]) for probe in range(len(probes))}
    curve = stats.get_cmc_curve(sorted_lists, 12)
    for rank in (1, 2, 5, 12):
        assert found.rank(rank) == pytest.approx(curve[rank - 1])


def _query(stats, subject, cosines):
    """What pyeer's reader of score files gives for a probe: its true templates, and all templates by score."""
    entry = [None, None]
    entry[stats.TEMPLATE_POS] = [int(subject)]
    candidates = []
    for template in np.argsort(-cosines):
        candidate = [None, None]
        candidate[stats.TEMPLATE_POS], candidate[stats.SCORE_POS] = int(template), float(cosines[template])
        candidates.append(candidate)
    entry[stats.SCORE_POS] = candidates
    return entry


@settings(max_examples=30)
@given(SHAPES)
def test_costs_of_lir(shape):
    metrics = pytest.importorskip("lir.metrics", reason="pip install lir")
    from lir.data.models import LLRData

    genuine, impostor = protocol(shape)
    labels = np.r_[np.ones(len(genuine), int), np.zeros(len(impostor), int)]
    ratios = LLRData(features=np.r_[genuine, impostor][:, None] / np.log(10), labels=labels)  # it has base 10
    assert cllr(genuine, impostor) == pytest.approx(metrics.cllr(ratios))
    assert min_cllr(genuine, impostor) == pytest.approx(metrics.cllr_min(ratios), abs=1e-6)
