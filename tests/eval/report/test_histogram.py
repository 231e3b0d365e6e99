"""Scores in bins, by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from eval.all_pairs.scores import GRID
from eval.comparison.small_plots import plot_scores
from eval.metrics.pair_scores import PairScores
from eval.report.histogram import counted_bins, score_bins


def test_scores_are_counted_in_bins_without_empty_ends(monkeypatch):
    monkeypatch.setattr("eval.report.histogram.BINS", 8)
    scores = np.float32([-0.25, 0.1, 0.5, 0.9, 1.0000001, 0.5])
    found = score_bins(PairScores.of(scores, np.array([False, False, False, True, True, True])))
    assert found == [
        (-0.25, 0.0, 0, 1),  # -0.25 belongs to the bin that begins with it
        (0.0, 0.25, 0, 1),
        (0.25, 0.5, 0, 0),
        (0.5, 0.75, 1, 1),
        (0.75, 1.0, 2, 0),  # what rounding put above 1, too
    ]


def test_counted_scores_are_in_the_same_bins(monkeypatch):
    monkeypatch.setattr("eval.report.histogram.BINS", 8)
    genuine, impostor = np.zeros((2, 2 * GRID + 1), int)
    impostor[GRID - GRID // 4] = 3  # -0.25
    genuine[[GRID // 4 * 5 - 1, 2 * GRID]] = 1, 2  # just below 0.25, and 1
    found = counted_bins(SimpleNamespace(genuine_counts=genuine, impostor_counts=impostor))
    assert found == [(-0.25, 0.0, 0, 3), (0.0, 0.25, 1, 0), (0.25, 0.5, 0, 0), (0.5, 0.75, 0, 0), (0.75, 1.0, 2, 0)]


def test_a_plot_has_its_values_where_it_has_its_bars():
    svg, values = plot_scores([(0.0, 0.5, 1, 3), (0.5, 1.0, 3, 1)], threshold=0.5, limits=(0, 1), highest=0.75)
    assert values["heads"] == ["cosine 0 to 0.5", "cosine 0.5 to 1"]
    assert values["xs"] == [109, 239]  # the middles of both halves of 44 to 304
    genuine, impostor = values["series"]
    assert genuine["texts"] == ["25.00 % (1 pairs)", "75.00 % (3 pairs)"]
    assert genuine["ys"] == impostor["ys"][::-1] == [pytest.approx(150 - 126 / 3), 24]
    assert "M174.0 24V150" in svg  # the threshold, in the middle
    assert ">cosine</text>" in svg
    assert ">share of pairs</text>" in svg


def test_a_score_at_an_edge_is_in_the_bin_that_begins_there():
    """0.03 is smaller in single than in double precision."""
    scores = PairScores.of(np.float32([0.03, 0.035]), np.array([True, False]))
    assert score_bins(scores) == [(0.03, 0.04, 1, 1)]
