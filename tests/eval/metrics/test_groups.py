import numpy as np
import pytest

from eval.bootstrap.resampling import draw
from eval.metrics.groups import Judged, group_rates


def judged_set(seed=0, samples=5):
    generator = np.random.default_rng(seed)
    subject = np.repeat(np.arange(8), 5)
    pairs = [(a, b) for a in range(40) for b in range(a + 1, 40)]
    scores = {pair: generator.random() for pair in pairs}
    genuine = np.array([pair for pair in pairs if subject[pair[0]] == subject[pair[1]]])
    failed = np.array([scores[tuple(pair)] < 0.3 for pair in genuine.tolist()])
    matches = np.array([pair for pair in pairs if subject[pair[0]] != subject[pair[1]] and scores[pair] > 0.9])
    group = np.where(generator.random(40) < 0.2, 1 - subject % 2, subject % 2)
    group[generator.random(40) < 0.1] = -1
    drawn = draw(8, samples, 0)
    return Judged(subject, genuine, failed, matches, drawn), group, scores


@pytest.mark.parametrize(("one", "other"), [(0, 0), (1, 1), (0, 1)])
def test_rates_are_those_of_single_pairs(one, other):
    judged, group, scores = judged_set()
    fmr, fnmr = group_rates(judged, group, one, other)
    subject = judged.subject
    inside = [pair for pair in scores if sorted(group[list(pair)].tolist()) == sorted([one, other])]
    impostor = [pair for pair in inside if subject[pair[0]] != subject[pair[1]]]
    genuine = [pair for pair in inside if subject[pair[0]] == subject[pair[1]]]
    assert (fmr.errors, fmr.pairs) == (sum(scores[pair] > 0.9 for pair in impostor), len(impostor))
    assert (fnmr.errors, fnmr.pairs) == (sum(scores[pair] < 0.3 for pair in genuine), len(genuine))
    assert fmr.value == fmr.errors / len(impostor)
    for sample in range(5):
        weight = judged.drawn[:, sample]
        each = np.array([weight[subject[a]] * weight[subject[b]] for a, b in impostor])
        hits = np.array([scores[pair] > 0.9 for pair in impostor])
        assert fmr.samples[sample] == pytest.approx(each @ hits / each.sum())
        each = np.array([weight[subject[a]] for a, _ in genuine])
        assert fnmr.samples[sample] == pytest.approx(each @ [scores[pair] < 0.3 for pair in genuine] / each.sum())


def test_a_group_without_pairs_has_no_rate():
    judged, group, _ = judged_set(samples=2)
    fmr, fnmr = group_rates(judged, np.where(np.arange(40) == 3, 7, group), 7, 7)
    assert (fmr.pairs, fnmr.pairs) == (0, 0)
    assert np.isnan([fmr.value, fnmr.value, *fmr.samples, *fnmr.samples]).all()
