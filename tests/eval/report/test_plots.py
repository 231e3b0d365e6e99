"""What plots show, by hand."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from eval.report.plots import plot_det, plot_reliability
from eval.report.set_plots import plot_ratios, plot_scores


def test_axes_cover_the_curve_from_a_thousandth_up(tmp_path):
    """The point at FMR 1 is off the axis, and beyond FMR 1/2 nothing counts for the range of FNMR."""
    curve = [(1e-3, 0.2), (1e-2, 0.1), (0.6, 0.01), (1.0, 0.0)]
    axes = plot_det({"a": curve}, tmp_path / "a.png", {"a": [(1e-3, 0.1, 0.3), (1e-2, 0.05, 0.2)]}).axes[0]
    assert axes.get_xlim() == pytest.approx((1e-3, 1))
    assert axes.get_ylim() == pytest.approx((0.08, 0.25))
    assert axes.lines[0].get_xydata().tolist() == [list(point) for point in curve]
    (band,) = axes.collections
    assert {tuple(point) for point in band.get_paths()[0].vertices} >= {(1e-3, 0.1), (1e-3, 0.3), (1e-2, 0.2)}
    axes = plot_det({"a": [(1e-2, 1e-5), (0.1, 0.0)]}, tmp_path / "b.png").axes[0]
    assert axes.get_ylim()[0] == pytest.approx(8e-4)
    assert not axes.collections


def test_reliability_is_the_share_that_is_right_over_the_confidence(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    plot_reliability(np.array([[0, 0.5, 10, 0.3, 0.4], [0.5, 1, 30, 0.8, 0.7]]), tmp_path / "a.png")
    axes = drawn[0].axes[0]
    assert axes.lines[1].get_xydata().tolist() == [[0.3, 0.4], [0.8, 0.7]]
    assert axes.get_title(loc="left") == "reliability: error 0.100 over 40 faces"


def test_scores_are_shares_of_their_own_kind():
    axes = plot_scores([(0.0, 0.5, 1, 30), (0.5, 1.0, 3, 10)], threshold=0.5).axes[0]
    found = {patch.get_label(): patch.get_data().values.tolist() for patch in axes.patches}
    assert (found["genuine"], found["impostor"]) == ([0.25, 0.75], [0.75, 0.25])


def test_likelihood_ratios_are_shown_by_their_decimal_logarithm():
    axes = plot_ratios([(-1.0, np.log(0.01), np.log(0.1)), (1.0, np.log(1000), np.log(10))]).axes[0]
    lines = {line.get_label(): line.get_xydata() for line in axes.lines}
    np.testing.assert_allclose(lines["logistic"], [[-1, -2], [1, 3]])
    np.testing.assert_allclose(lines["isotonic"], [[-1, -1], [1, 1]])
