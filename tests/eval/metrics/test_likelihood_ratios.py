import numpy as np
import pytest

from eval.metrics.likelihood_ratios import (
    LabelledScores,
    cllr,
    cross_validated,
    isotonic_map,
    logistic_map,
    min_cllr,
)


def test_cllr_by_hand():
    """LR 3 for a genuine pair costs log2(4/3); LR 1/7 for an impostor pair log2(8/7)."""
    found = cllr(np.log([3.0]), np.log([1 / 7]))
    assert found == pytest.approx((np.log2(4 / 3) + np.log2(8 / 7)) / 2)
    assert cllr(np.log([1 / 3]), np.log([1 / 7])) == pytest.approx((2 + np.log2(8 / 7)) / 2)


def test_the_logistic_map_finds_the_ratio_of_two_normal_distributions():
    """N(1, 1) and N(0, 1): LLR = s - 1/2, whatever the numbers of pairs."""
    generator = np.random.default_rng(0)
    ratio = logistic_map(generator.normal(1, 1, 40_000), generator.normal(0, 1, 10_000))
    assert ratio(np.array([0.5, 2.0])) == pytest.approx([0, 1.5], abs=0.05)


def test_separated_scores_have_finite_ratios():
    genuine, impostor = np.array([0.8, 0.9]), np.array([0.1, 0.2, 0.3])
    for fit in (logistic_map, isotonic_map):
        ratio = fit(genuine, impostor)
        assert np.isfinite(ratio(np.array([-1.0, 0.5, 1.0]))).all()
        assert ratio(genuine).min() > 0 > ratio(impostor).max()
    assert min_cllr(genuine, impostor) == 0


def test_pool_adjacent_violators_by_hand():
    """Genuine 2 4, impostor 1 3. 2 and 3 violate the order: one block with one of each, LLR 0. 1 and 4 are sure."""
    assert min_cllr(np.array([2.0, 4.0]), np.array([1.0, 3.0])) == pytest.approx(0.5)
    ratio = isotonic_map(np.array([2.0, 4.0]), np.array([1.0, 3.0]))
    # With one misleading pair at either end: genuine -, 2, 4; impostor 1, 3, +; weights a third each.
    assert ratio(np.array([2.0, 3.0])) == pytest.approx([0, 0])
    assert min_cllr(np.array([1.0, 1.0]), np.array([1.0])) == 1


def slow_min_cllr(genuine, impostor):
    """The lowest Cllr of all rising maps: probabilities by the min-max formula of isotonic regression."""
    values = sorted({*genuine, *impostor})
    weight = np.array([[genuine.count(v) / len(genuine), impostor.count(v) / len(impostor)] for v in values])
    probability = []
    for index in range(len(values)):
        means = [
            [weight[low : high + 1, 0].sum() / weight[low : high + 1].sum() for high in range(index, len(values))]
            for low in range(index + 1)
        ]
        probability.append(max(min(row) for row in means))
    cost = sum(-w * np.log2(p) for (w, _), p in zip(weight, probability, strict=True) if w)
    cost += sum(-w * np.log2(1 - p) for (_, w), p in zip(weight, probability, strict=True) if w)
    return cost / 2


def test_min_cllr_is_the_lowest_of_all_rising_maps():
    generator = np.random.default_rng(1)
    for _ in range(20):
        genuine, impostor = (generator.integers(low, 12, 15).astype(float).tolist() for low in (3, 0))
        found = min_cllr(np.array(genuine), np.array(impostor))
        assert found == pytest.approx(slow_min_cllr(genuine, impostor), abs=1e-9)


def test_cross_validation_never_meets_a_person_again():
    """In fold 0 scores say the opposite of what they say in fold 1: fitted to the others, ratios mislead."""
    fold = np.array([0, 0, 1, 1])
    genuine, who = np.array([0.9, 0.8, 0.1, 0.2]), np.array([0, 1, 2, 3])
    sides = np.array([0, 0, 2, 2, 0]), np.array([1, 1, 3, 3, 2])
    scores = LabelledScores(genuine, np.array([0.1, 0.2, 0.9, 0.8, 5.0]), who, sides)
    assert cross_validated(scores, logistic_map, fold) > 2
    assert cross_validated(scores, isotonic_map, fold) > 1
    assert np.isnan(cross_validated(scores, logistic_map, np.array([0, 1, 1, 1])))  # no impostor pair in fold 0 ...
    same = LabelledScores(genuine[[0, 1, 0, 1]], np.array([0.1, 0.2, 0.1, 0.2, 5.0]), who, sides)
    assert cross_validated(same, logistic_map, fold) < 0.1
