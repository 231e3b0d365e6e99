import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eval.metrics import identification
from eval.metrics.identification import cmc_curve, fnir_at_fpir, iet_curve, search

SUBJECTS = np.array([10, 20, 30])
RATES = st.sampled_from([0.0, 0.1, 0.2, 0.25, 0.5, 0.9, 1.0])


def searched(scores, subjects, enrolled=SUBJECTS):
    """A search whose score matrix is `scores`: the gallery is the identity matrix."""
    return search(np.asarray(scores, float), np.asarray(subjects), np.eye(len(enrolled)), enrolled)


def slow_fnir(scores, subjects, enrolled, fpir):
    """Misses of the mated probes, by the definition, for the smallest threshold that is allowed."""
    nonmated = [max(row) for row, subject in zip(scores, subjects, strict=True) if subject not in enrolled]
    for above in [-np.inf, *sorted(nonmated)]:
        if sum(score > above for score in nonmated) / len(nonmated) <= fpir:
            break
    missed = mated = 0
    for row, subject in zip(scores, subjects, strict=True):
        if subject in enrolled:
            mate = list(enrolled).index(subject)
            first = all(row[mate] > other for j, other in enumerate(row) if j != mate)
            missed += not (first and row[mate] > above)
            mated += 1
    return missed / mated


@st.composite
def galleries(draw):
    n = draw(st.integers(2, 15))
    scores = draw(arrays(np.int64, (n, 3), elements=st.integers(-4, 4)))
    subjects = [*draw(st.lists(st.sampled_from([5, 10, 20, 30, 99]), min_size=n - 2, max_size=n - 2)), 10, 99]
    return scores, np.array(subjects)


def test_by_hand():
    scores = [
        [0.9, 0.1, 0.0],  # mate 10 first with .9
        [0.6, 0.5, 0.1],  # mate 20 second
        [0.2, 0.7, 0.7],  # mate 30 ties with 20: second
        [0.4, 0.1, 0.1],  # mate 10 first, with only .4
        [0.3, 0.4, 0.1],  # not enrolled: at most .4
        [0.8, 0.2, 0.1],  # not enrolled: at most .8
    ]
    found = searched(scores, [10, 20, 30, 10, 77, 88])
    assert found.ranks.tolist() == [1, 2, 2, 1]
    assert found.rank1 == 0.5
    assert found.highest == pytest.approx([0.4, 0.8])
    assert fnir_at_fpir(found, 1.0).rejected == 2  # ranks alone
    point = fnir_at_fpir(found, 0.5)  # one may pass: just above .4
    assert (point.accepted, point.rejected, point.supported) == (1, 3, True)
    point = fnir_at_fpir(found, 0.1)  # above .8
    assert (point.accepted, point.rejected, point.supported) == (0, 3, False)
    assert [row[1:] for row in cmc_curve({"G1": found})] == [[0.5, 0.5], [1.0, 1.0], [1.0, 1.0]]


@settings(max_examples=100, deadline=None)
@given(galleries(), RATES)
def test_agrees_with_oracle(gallery, fpir):
    scores, subjects = gallery
    found = searched(scores, subjects)
    assert fnir_at_fpir(found, fpir).rejected / len(found.ranks) == slow_fnir(scores, subjects, SUBJECTS, fpir)


@settings(max_examples=40, deadline=None)
@given(galleries(), RATES, st.randoms())
def test_order_and_increasing_maps_do_not_matter(gallery, fpir, random):
    scores, subjects = gallery
    order = list(range(len(subjects)))
    random.shuffle(order)
    expected = fnir_at_fpir(searched(scores, subjects), fpir)
    assert fnir_at_fpir(searched(scores[order], subjects[order]), fpir) == expected
    mapped = fnir_at_fpir(searched(scores**3 + 2 * scores - 7, subjects), fpir)
    assert (mapped.accepted, mapped.rejected) == (expected.accepted, expected.rejected)


@settings(max_examples=40, deadline=None)
@given(galleries(), RATES, RATES)
def test_more_false_positives_never_cost_mated_probes(gallery, one, other):
    found = searched(*gallery)
    assert fnir_at_fpir(found, min(one, other)).rejected >= fnir_at_fpir(found, max(one, other)).rejected


def test_blocks_make_no_difference(monkeypatch):
    rng = np.random.default_rng(0)
    probes, gallery = rng.standard_normal((200, 6)), rng.standard_normal((30, 6))
    subjects = rng.integers(0, 60, 200)
    whole = search(probes, subjects, gallery, np.arange(30))
    monkeypatch.setattr(identification, "PROBES_PER_BLOCK", 17)
    monkeypatch.setattr(identification, "SUBJECTS_PER_BLOCK", 7)
    parts = search(probes, subjects, gallery, np.arange(30))
    for name in ("mate_scores", "ranks", "highest"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


def test_iet_curve_has_each_gallery_and_their_mean():
    rng = np.random.default_rng(0)
    searches = {name: searched(rng.random((80, 3)), rng.choice([10, 20, 99], 80)) for name in ("G1", "G2")}
    curve = iet_curve(searches)
    assert curve[-1][0] == 1
    for fpir, first, second, mean in curve:
        assert first == fnir_at_fpir(searches["G1"], fpir).rejected / len(searches["G1"].ranks)
        assert mean == pytest.approx((first + second) / 2)
