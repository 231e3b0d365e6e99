import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from facerec.pipeline.pair_accuracy import best_threshold, decide


def slow_threshold(scores, same):
    candidates = [*sorted(set(scores.tolist())), np.inf]
    right = [sum((s >= t) == g for s, g in zip(scores, same, strict=True)) for t in candidates]
    best = [t for t, count in zip(candidates, right, strict=True) if count == max(right)]
    return best[(len(best) - 1) // 2]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=20))
def test_thresholds_agree_with_oracle(listed):
    scores, same = np.array([s for s, _ in listed], float), np.array([g for _, g in listed])
    assert best_threshold(scores, same) == slow_threshold(scores, same)
    assert best_threshold(scores**3 + 2, same) == slow_threshold(scores, same) ** 3 + 2


def test_folds_do_not_see_themselves():
    rng = np.random.default_rng(0)
    scores, same, fold = rng.random(60), rng.random(60) < 0.5, np.arange(60) % 5
    before = decide(scores, same, fold)[1]
    same[fold == 2] ^= True
    after = decide(scores, same, fold)[1]
    assert before[2] == after[2]
    assert before != after
