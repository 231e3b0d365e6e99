import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval import bootstrap
from eval.bootstrap import draw, fnir_samples, verification_samples, interval, rank_samples
from eval.identification import Search, fnir_at_fpir
from eval.verification import fnmr_at_fmr

RATES = [0.0, 0.05, 0.1, 0.3, 0.5, 0.9, 1.0]


def slow_fnmr(genuine, genuine_subject, impostor, one, two, rate, weight):
    """Writes out the resampled pairs, each as often as it is drawn, and applies the definition."""
    drawn = np.repeat(genuine, [weight[s] for s in genuine_subject])
    times = [weight[a] * weight[b] if a != b else weight[a] for a, b in zip(one, two, strict=True)]
    others = np.repeat(impostor, times)
    return fnmr_at_fmr(drawn, others, rate) if len(drawn) and len(others) else np.nan


def slow_search(found, subject, weight):
    """The search with each probe as often as its subject is drawn."""
    mated = np.repeat(np.arange(len(found.ranks)), [weight[s] for s in subject[found.mated]])
    highest = np.repeat(found.nonmated_scores, [weight[s] for s in subject[~found.mated]])
    parts = found.mate_scores[mated], found.ranks[mated], np.sort(highest)
    return Search(*parts, found.subjects, found.mated, highest)


def test_by_hand():
    """Subject 0 is drawn twice, subject 1 not at all, subject 2 once."""
    drawn = np.array([[2.0], [0.0], [1.0]])
    genuine, of = np.float32([0.9, 0.1, 0.3]), np.array([0, 1, 2])
    impostor = np.float32([0.8, 0.5, 0.2])
    one, two = np.array([0, 0, 2]), np.array([1, 2, 0])
    # Impostors left: .5 twice, .2 twice. Genuine: .9 twice, .3 once.
    found = verification_samples(genuine, of, impostor, (one, two), [0.4, 0.5, 1.0], drawn)
    np.testing.assert_allclose(found[:, 0], [1 / 3, 0, 0])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([1, 3, 50]), st.booleans())
def test_pairs_agree_with_oracle(seed, smallest, alone):
    rng = np.random.default_rng(seed)
    subjects, pairs = rng.integers(1, 6), rng.integers(1, 60)
    genuine, of = np.float32(rng.integers(-3, 6, 12)), rng.integers(0, subjects, 12)
    impostor = np.float32(rng.integers(-5, 4, pairs))
    one = rng.integers(0, subjects, pairs)
    two = one if alone else rng.integers(0, subjects, pairs)
    drawn = draw(subjects, 7, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "SMALLEST_BIN", smallest)
        patch.setattr(bootstrap, "CELLS_PER_BLOCK", 40)
        for rates in (RATES, RATES[:3]):
            found = verification_samples(genuine, of, impostor, (one, two), rates, drawn)
            expected = [[slow_fnmr(genuine, of, impostor, one, two, f, w) for w in drawn.T.astype(int)] for f in rates]
            np.testing.assert_array_equal(found, expected)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_searches_agree_with_oracle(seed):
    rng = np.random.default_rng(seed)
    probes = 25
    subject, mated = rng.integers(0, 6, probes), rng.random(probes) < 0.5
    mated[:2] = [True, False]
    best = np.float32(rng.integers(0, 9, probes))
    ranks = rng.integers(1, 4, mated.sum())
    found = Search(best[mated], ranks, np.sort(best[~mated]), 3, mated, best[~mated])
    drawn = draw(6, 9, seed)
    fnirs = fnir_samples(found, subject, RATES, drawn)
    rank2 = rank_samples(found, subject, 2, drawn)
    for column, weight in enumerate(drawn.T.astype(int)):
        again = slow_search(found, subject, weight)
        if not len(again.ranks):
            assert np.isnan(rank2[column])
            continue
        assert rank2[column] == again.found_up_to(2)
        if len(again.highest):
            expected = [fnir_at_fpir(again, f).rejected / len(again.ranks) for f in RATES]
            np.testing.assert_array_equal(fnirs[:, column], expected)
        else:
            assert np.isnan(fnirs[:, column]).all()


def test_a_sample_of_everybody_once_is_the_figure_itself():
    rng = np.random.default_rng(0)
    genuine, impostor = np.float32(rng.normal(2, 1, 300)), np.float32(rng.normal(0, 1, 20_000))
    of, sides = rng.integers(0, 40, 300), tuple(rng.integers(0, 40, (2, 20_000)))
    found = verification_samples(genuine, of, impostor, sides, RATES, np.ones((40, 1)))
    np.testing.assert_array_equal(found[:, 0], [fnmr_at_fmr(genuine, impostor, f) for f in RATES])


def test_intervals_cover_as_often_as_they_say():
    """Subjects differ in difficulty: drawing pairs instead would give intervals that are far too narrow."""
    rng, covered, widths = np.random.default_rng(0), 0, []
    limit = np.quantile(rng.normal(0, 1, 10**6), 0.9)  # FMR 0.1 of infinitely many impostors
    easy = rng.normal(1.5, 1, 10**5)[:, None] + rng.normal(0, 0.2, (10**5, 2))
    truth = np.mean(easy < limit)
    for trial in range(60):
        centre = rng.normal(1.5, 1, 50)
        genuine = np.float32(centre[:, None] + rng.normal(0, 0.2, (50, 20))).ravel()
        impostor, sides = np.float32(rng.normal(0, 1, 5000)), tuple(rng.integers(0, 50, (2, 5000)))
        samples = verification_samples(genuine, np.repeat(np.arange(50), 20), impostor, sides, [0.1], draw(50, 200, trial))[0]
        low, high = interval(samples)
        covered += low <= truth <= high
        widths.append(high - low)
    assert covered >= 50
    assert np.mean(widths) > 3 * 4 * (truth * (1 - truth) / 1000) ** 0.5 * 0.75  # binomial: 4 standard errors wide


def test_draws_are_seeded_and_draw_as_many_as_there_are():
    assert (draw(30, 10, 1).sum(axis=0) == 30).all()
    np.testing.assert_array_equal(draw(30, 10, 1), draw(30, 10, 1))
    assert (draw(30, 10, 1) != draw(30, 10, 2)).any()
    assert interval(np.array([np.nan])) is None
    assert interval(np.array([np.nan, 1.0, 2.0]))[0] == pytest.approx(1.025)
