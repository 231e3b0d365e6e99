import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.bootstrap import impostor_bins as bins
from eval.bootstrap import resampling as bootstrap
from eval.bootstrap.impostor_bins import bin_starts
from eval.bootstrap.resampling import (
    MOST_SAMPLES,
    check_samples,
    draw,
    fnir_samples,
    interval,
    rank_samples,
    verification_samples,
)
from eval.metrics import verification
from eval.metrics.fnir import Search, fnir_at_fpir
from eval.metrics.fnmr import area, equal_error
from eval.metrics.pair_scores import PairScores
from facerec.pipeline.files import InputError

RATES = [0.0, 0.05, 0.1, 0.3, 0.5, 0.9, 1.0]


def samples_of(genuine, of, impostor, sides, rates, drawn):
    """The samples, of both kinds of pairs and their subjects."""
    scores = PairScores.of(np.r_[genuine, impostor], np.arange(len(genuine) + len(impostor)) < len(genuine))
    return verification_samples(scores, [np.r_[of, side] for side in sides], rates, drawn)


def slow_figures(genuine, genuine_subject, impostor, one, two, weight):
    """Writes out the resampled pairs, each as often as it is drawn, and applies the definitions."""
    drawn = np.sort(np.repeat(genuine, [weight[s] for s in genuine_subject]))
    times = [weight[a] * weight[b] if a != b else weight[a] for a, b in zip(one, two, strict=True)]
    others = np.sort(np.repeat(impostor, times))
    if not len(drawn) or not len(others):
        return [np.nan] * (len(RATES) + 2)
    return [*verification(drawn, others, RATES).fnmr.values(), equal_error(drawn, others)[0], area(drawn, others)]


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
    fnmr, eer, auc = samples_of(genuine, of, impostor, (one, two), [0.4, 0.5, 1.0], drawn)
    np.testing.assert_allclose(fnmr[:, 0], [1 / 3, 0, 0])
    assert eer[0] == pytest.approx((1 / 2 + 1 / 3) / 2)  # at .5; just above it, none and 1/3 are further apart
    assert auc[0] == pytest.approx((2 * 4 + 2) / 12)  # .9 is above all four, .3 above two


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([1, 3, 50]), st.booleans(), st.sampled_from([3e-4, 1]), st.integers(0, 2))
def test_pairs_agree_with_oracle(seed, smallest, alone, compared, digits):
    """Figures are equal to the last bit, however the bins are cut, and whatever is beyond them."""
    rng = np.random.default_rng(seed)
    subjects, pairs, mates = rng.integers(1, 6), rng.integers(1, 60), rng.integers(1, 20)
    genuine = np.float32(rng.normal(rng.choice([-2, 0, 1, 3]), 1, mates).round(digits))
    of = rng.integers(0, subjects, mates)
    impostor = np.float32(rng.normal(0, 1, pairs).round(digits))
    one = rng.integers(0, subjects, pairs)
    two = one if alone else rng.integers(0, subjects, pairs)
    drawn = draw(subjects, 7, seed)
    expected = np.array([slow_figures(genuine, of, impostor, one, two, w) for w in drawn.T.astype(int)]).T
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bins, "SMALLEST_BIN", smallest)
        patch.setattr(bins, "MOST_COMPARED", compared)
        patch.setattr(bootstrap, "CELLS_PER_BLOCK", 40)
        for rates in (RATES, RATES[:3]):
            fnmr, eer, auc = samples_of(genuine, of, impostor, (one, two), rates, drawn)
            np.testing.assert_array_equal(fnmr, expected[: len(rates)])
            np.testing.assert_array_equal([eer, auc], expected[-2:])


def test_samples_without_genuine_or_impostor_pairs_have_no_figures():
    """In the first sample the genuine pair's subject is missing, in the second one of the impostors'."""
    drawn = np.array([[0, 2, 1], [1, 1, 1], [2, 0, 1]], dtype=np.float64)
    arguments = np.float32([0.5]), np.array([0]), np.float32([0.6, 0.1]), (np.array([1, 1]), np.array([2, 2]))
    fnmr, eer, auc = samples_of(*arguments, [0.5], drawn)
    np.testing.assert_array_equal(np.isnan([fnmr[0], eer, auc]), [[True, True, False]] * 3)
    assert (eer[2], auc[2]) == (0.25, 0.5)  # at .5 FMR is 1/2 and FNMR 0, at .6 1/2 and 1: as far apart, but higher
    nobody = np.array([], dtype=np.int64)
    for left_out in ("genuine", "impostor"):
        genuine = (np.float32([]), nobody) if left_out == "genuine" else arguments[:2]
        impostor = (np.float32([]), (nobody, nobody)) if left_out == "impostor" else arguments[2:]
        fnmr, eer, auc = samples_of(*genuine, *impostor, [0.5], drawn)
        assert np.isnan([fnmr[0], eer, auc]).all()


@pytest.fixture
def people():
    """Pairs of 150 subjects, who differ in how alike others they look, and weights of 40 samples."""
    rng = np.random.default_rng(0)
    common, own = rng.normal(0, 0.5, 150), rng.normal(2, 0.7, 150)
    of, sides = rng.integers(0, 150, 3000), rng.integers(0, 150, (2, 100_000))
    impostor = np.float32(rng.normal(0, 1, 100_000) + common[sides].sum(axis=0))
    return np.float32(rng.normal(0, 1, 3000) + own[of]), of, impostor, sides, [0.01], draw(150, 40, 0)


def test_what_is_not_counted_singly_is_hardly_wrong(people, monkeypatch):
    _, _, exact = samples_of(*people)
    monkeypatch.setattr(bootstrap, "EXACT_CELLS", 0)
    _, _, close = samples_of(*people)
    assert 0 < np.abs(close - exact).max() < exact.std() / 50


def test_a_bin_counted_singly_leaves_less_for_the_others(people, monkeypatch):
    _, _, exact = samples_of(*people)
    errors = []
    for cells in (0, 1 << 20, 1 << 21):
        monkeypatch.setattr(bootstrap, "EXACT_CELLS", cells)
        errors.append(np.abs(samples_of(*people)[2] - exact).mean())
    assert errors[0] > errors[1] > errors[2]


def test_bins_are_small_where_thresholds_lie_and_many_equal_scores_have_their_own(people, monkeypatch):
    monkeypatch.setattr(bins, "MOST_COMPARED", 1)
    genuine, _, impostor, *_ = people
    impostor[:5000] = np.float32(-1.5)
    genuine, impostor = np.sort(genuine), np.sort(impostor)
    error = equal_error(genuine, impostor)[0]
    starts = bin_starts(impostor, genuine, 0.01)
    assert (np.diff(starts) < 0).all()
    assert starts[-1] == impostor[0]
    edges = np.r_[0, len(impostor) - np.searchsorted(impostor, starts)]
    within = edges[:-1] < 1.5 * error * len(impostor)
    assert (np.diff(edges)[within] <= np.maximum(2048, 0.03 * edges[:-1][within])).all()
    assert np.diff(edges).max() > 5000
    assert np.diff(edges)[starts == np.float32(-1.5)] == 5000


def test_small_bins_beyond_the_reach_are_joined(monkeypatch):
    """Edge 1 stays, as edge 0 is before the reach; 2 to 4 stay, as .1, .21 and .1 are compared around them; 5 goes."""
    monkeypatch.setattr(bins, "MOST_COMPARED", 0.022)
    passing = np.array([0, 0.2, 0.3, 0.4, 0.6, 0.8, 1])
    failing = np.array([1, 1, 1, 0.5, 0.3, 0.25, 0.25])
    assert bins._kept(passing, failing, reach=0.1) == [0, 1, 2, 3, 4, 6]


def test_bins_of_most_genuine_scores_are_counted_singly(monkeypatch):
    """The second and the fourth cost 20 together; the first or the last would be too much, the third has no score."""
    monkeypatch.setattr(bootstrap, "EXACT_CELLS", 20)
    chosen = bootstrap._affordable(np.array([1, 5, 0, 3, 9]), np.array([1, 12, 0, 8, 21]))
    assert chosen.tolist() == [False, True, False, True, False]


@pytest.mark.parametrize("cells", [1 << 27, 0])
def test_a_collapsed_network_is_not_counted_pair_by_pair(people, monkeypatch, cells):
    """All scores are equal, so that all pairs lie in one bin."""
    genuine, of, impostor, sides, rates, drawn = people
    monkeypatch.setattr(bins, "pair_weights", None)
    monkeypatch.setattr(bootstrap, "EXACT_CELLS", cells)
    fnmr, eer, auc = samples_of(np.ones_like(genuine), of, np.ones_like(impostor), sides, rates, drawn)
    assert (fnmr == 1).all()
    assert (eer == 0.5).all()
    assert (auc == 0.5).all()


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
    fnmr, eer, auc = samples_of(genuine, of, impostor, sides, RATES, np.ones((40, 1)))
    np.testing.assert_array_equal(fnmr[:, 0], list(verification(genuine, impostor, RATES).fnmr.values()))
    genuine, impostor = np.sort(genuine), np.sort(impostor)
    assert (eer[0], auc[0]) == (equal_error(genuine, impostor)[0], area(genuine, impostor))


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
        of = np.repeat(np.arange(50), 20)
        fnmr, _, _ = samples_of(genuine, of, impostor, sides, [0.1], draw(50, 200, trial))
        low, high = interval(fnmr[0])
        covered += low <= truth <= high
        widths.append(high - low)
    assert covered >= 50
    assert np.mean(widths) > 3 * 4 * (truth * (1 - truth) / 1000) ** 0.5 * 0.75  # binomial: 4 standard errors wide


def test_draws_are_seeded_and_draw_as_many_as_there_are():
    assert (draw(30, 10, 1).sum(axis=0) == 30).all()
    np.testing.assert_array_equal(draw(30, 10, 1), draw(30, 10, 1))
    assert (draw(30, 10, 1) != draw(30, 10, 2)).any()
    assert interval(np.array([np.nan])) is None
    assert interval(np.r_[np.nan, np.arange(1001.0)]) == pytest.approx((25, 975))


def test_numbers_of_samples():
    for samples in (0, 20, MOST_SAMPLES):
        check_samples(samples)
    for samples in (-1, 1, 19, MOST_SAMPLES + 1):
        with pytest.raises(InputError, match=f"--bootstrap {samples}; "):
            check_samples(samples)
