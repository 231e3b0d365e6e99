"""The analysis over trainings and people against a slow oracle, a published example, and simulated truth."""

from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from eval.trainings.analysis import compare_rows


def oracle(values, samples, i, j):
    """V, degrees of freedom and p of rows i and j, by the definitions, sum by sum."""
    rows, trainings = values.shape
    square = 0.0
    for row in range(rows):
        for s in range(trainings):
            square += (values[row, s] - values[row].mean() - values[:, s].mean() + values.mean()) ** 2
    square /= (rows - 1) * (trainings - 1)
    d = samples[i] - samples[j]
    covariances = [np.cov(d[s], d[t])[0, 1] for s, t in permutations(range(trainings), 2)]
    variance = 2 * square / trainings + max(np.mean(covariances), 0)
    freedom = variance**2 / ((2 * square / trainings) ** 2 / ((rows - 1) * (trainings - 1)))
    t = (values[i].mean() - values[j].mean()) / np.sqrt(variance)
    return variance, freedom, 2 * stats.t.sf(abs(t), freedom)


@pytest.fixture
def drawn():
    rng = np.random.default_rng(3)
    values = np.array([0.2, 0.19, 0.14])[:, None] + 0.01 * rng.standard_normal((3, 4))
    people = 0.02 * rng.standard_normal((1, 1, 150)) + 0.008 * rng.standard_normal((3, 1, 150))
    return values, values[:, :, None] + people + 0.003 * rng.standard_normal((3, 4, 150))


def test_is_as_the_oracle(drawn):
    values, samples = drawn
    found = compare_rows(values, samples)
    for i, j in permutations(range(3), 2):
        variance, freedom, p = oracle(values, samples, i, j)
        assert found.p[i, j] == pytest.approx(p)
        half = stats.t.isf(0.025, freedom) * np.sqrt(variance)
        assert found.high[i, j] == pytest.approx(values[i].mean() - values[j].mean() + half)
        assert found.low[i, j] == pytest.approx(-found.high[j, i])


def test_a_published_example():
    """Van Dyke's data: two modalities, five readers, AUC by Wilcoxon; Cov2 .000339, Cov3 .000236 by the jackknife.

    Published with these: difference -.0438, standard error .0207, 15.3 degrees of freedom, p .052 (Hillis 2007).
    """
    auc = np.array([[0.9196, 0.8588, 0.9039, 0.9731, 0.8298], [0.9478, 0.9053, 0.9217, 0.9994, 0.9300]])
    common = np.random.default_rng(0).standard_normal(200)
    common *= np.sqrt(2 * (0.000339 - 0.000236)) / common.std(ddof=1)  # Cov(d_s, d_t) = 2 (Cov2 - Cov3)
    samples = np.stack([np.tile(common, (5, 1)), np.zeros((5, 200))])
    found = compare_rows(auc, samples)
    assert found.difference[0, 1] == pytest.approx(-0.0438, abs=5e-5)
    assert found.p[0, 1] == pytest.approx(0.052, abs=0.001)
    error = (found.high - found.low)[0, 1] / 2 / stats.t.isf(0.025, 15.26)
    assert error == pytest.approx(0.0207, abs=1e-4)
    assert found.letters == ["a", "a"]


def test_one_training_counts_what_was_assumed(drawn):
    values, samples = drawn[0][:, :1], drawn[1][:, :1]
    people = np.var(samples[0, 0] - samples[2, 0], ddof=1)
    very = compare_rows(values, samples)
    assert very.high[0, 2] - very.difference[0, 2] == pytest.approx(1.959964 * np.sqrt(people), rel=1e-5)
    found = compare_rows(values, samples, assumed_sd=0.01)
    assert found.high[0, 2] - found.difference[0, 2] == pytest.approx(1.959964 * np.sqrt(people + 0.0002), rel=1e-5)
    assert (found.sd, found.freedom) == (0.01, np.inf)


def test_draws_without_the_figure_are_left_out_and_few_are_refused(drawn):
    values, samples = drawn
    gappy = samples.copy()
    gappy[1, 2, :30] = np.nan
    expected = compare_rows(values, samples[:, :, 30:])
    assert np.array_equal(compare_rows(values, gappy).p, expected.p)
    with pytest.raises(ValueError, match="at least 100 draws"):
        compare_rows(values, samples[:, :, :99])


def test_rows_differ_by_p_after_the_correction():
    """One training each, whose deviation is known: t of 2.1 would do for one pair, but not for one of three."""
    found = compare_rows(np.array([[0.0], [2.1], [2.1]]), np.zeros((3, 1, 100)), assumed_sd=np.sqrt(0.5))
    assert found.p[0, 1] == pytest.approx(0.0357, abs=1e-4)
    assert found.adjusted[0, 1] == pytest.approx(3 * found.p[0, 1])
    assert (found.differs.any(), found.letters) == (False, ["a", "a", "a"])


def test_rows_that_do_not_vary_at_all():
    found = compare_rows(np.array([[0.2, 0.2], [0.2, 0.2], [0.1, 0.1]]), np.zeros((3, 2, 100)))
    assert found.p[0].tolist() == [1, 1, 0]
    assert found.letters == ["b", "b", "a"]


def test_one_row_alone_has_no_residual():
    found = compare_rows(np.array([[0.2, 0.3, 0.4]]), np.zeros((1, 3, 100)), assumed_sd=0.1)
    assert (found.sd, found.freedom, found.letters) == (0.1, np.inf, ["a"])


def test_a_negative_covariance_over_people_counts_as_none():
    values, noise = np.array([[0.2, 0.21], [0.1, 0.13]]), np.random.default_rng(0).normal(0, 0.01, 200)
    samples = values[:, :, None] + np.array([[noise, -noise], [0 * noise, 0 * noise]])
    assert compare_rows(values, samples).people[0, 1] == 0
