from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eval.metrics import fnir as module
from eval.metrics import identification
from eval.metrics.fnir import cmc_curve, fnir_at_fpir, iet_curve, mean_fnir, search
from facerec.pipeline.files import InputError

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
    assert found.found_up_to(1) == 0.5
    assert found.highest == pytest.approx([0.4, 0.8])
    assert fnir_at_fpir(found, 1.0).rejected == 2  # ranks alone
    point = fnir_at_fpir(found, 0.5)  # one may pass: just above .4
    assert (point.accepted, point.rejected, point.supported) == (1, 3, True)
    point = fnir_at_fpir(found, 0.1)  # above .8
    assert (point.accepted, point.rejected, point.supported) == (0, 3, False)
    assert cmc_curve([found]) == [[1, 0.5, 0.5], [2, 1.0, 1.0], [3, 1.0, 1.0]]


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
    strangers = subjects >= 30
    assert 0 < strangers.sum() < len(subjects)
    np.testing.assert_allclose(whole.nonmated_scores, (probes[strangers] @ gallery.T).max(axis=1), rtol=1e-6)
    monkeypatch.setattr(module, "PROBES_PER_BLOCK", 17)
    monkeypatch.setattr(module, "SUBJECTS_PER_BLOCK", 7)
    parts = search(probes, subjects, gallery, np.arange(30))
    for name in ("mate_scores", "ranks", "highest"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


def test_iet_curve_has_each_gallery_and_their_mean():
    rng = np.random.default_rng(0)
    searches = [searched(rng.random((80, 3)), rng.choice([10, 20, 99], 80)) for _ in range(2)]
    curve = iet_curve(searches)
    mean = mean_fnir(curve)
    assert list(mean) == list(curve)
    assert list(curve)[-1] == 1
    for fpir, (first, second) in curve.items():
        assert (first, second) == tuple(fnir_at_fpir(each, fpir) for each in searches)
        assert first.error == first.rejected / len(searches[0].ranks)
        assert mean[fpir] == pytest.approx((first.error + second.error) / 2)


def unit(*rows):
    return np.array(rows) / np.linalg.norm(rows, axis=1, keepdims=True)


# Two galleries of two people. Probe 1 is its mate, 2 is nearer to 1, 3 is its mate, 4 lies between 3 and 4, a tie.
PROBES, WHO = np.array([[1.0, 0, 0, 0], [0.8, 0.6, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]), [1, 2, 3, 4]
GALLERIES = (np.eye(4)[:2], [1, 2]), (np.eye(4)[2:], [3, 4])


def test_figures_of_arrays_by_hand():
    """In each gallery one probe is found and one has rank 2; strangers score 0."""
    found = identification(PROBES, WHO, *GALLERIES, fpirs=(0.5, 0.1))
    assert found.fnir == {0.5: 0.5, 0.1: 0.5}
    assert (found.rank(1), found.rank(2)) == (0.5, 1)
    assert [point.threshold for point in found.points[0.1]] == pytest.approx([0, 0], abs=1e-6)
    assert [point.accepted for point in found.points[0.1]] == [0, 0]  # both strangers tie at 0: none may pass
    alone = identification(PROBES, WHO, GALLERIES[0])
    assert alone.fnir == {0.01: 0.5}


def test_figures_of_galleries_are_means_of_theirs():
    """In the first gallery both are found, in the second one has rank 2."""
    found = identification(np.vstack([np.eye(4)[:2], PROBES[2:]]), WHO, *GALLERIES, fpirs=(0.5,))
    assert (found.fnir, found.rank(1), found.rank(2)) == ({0.5: 0.25}, 0.75, 1)
    assert cmc_curve(found.searches) == [[1, 1, 0.5, 0.75], [2, 1, 1, 1]]


def test_equal_faces_tie_wherever_they_stand():
    """Products of matrices differ in the last bits from those of single rows, so scores are rounded."""
    rng = np.random.default_rng(0)
    gallery = unit(*rng.standard_normal((50, 37)))
    gallery[40] = gallery[3]
    probes = unit(*(gallery[[3, 40] * 50] + 0.1 * rng.standard_normal((100, 37))))
    assert (search(probes, np.array([3, 40] * 50), gallery, np.arange(50)).ranks == 2).all()


def test_a_stranger_who_scores_high_costs_mated_probes():
    """The stranger's .96 passes at FPIR 1 of 1; at 0 the threshold lies above it, and the mate's .8 is missed."""
    probes, gallery = unit([0.8, 0.6], [0.96, 0.28], [0, 1.0]), (unit([1.0, 0], [0, 1.0]), [1, 2])
    found = identification(probes, [1, 9, 2], gallery, fpirs=(0.0, 1.0))
    assert found.fnir == {0.0: 0.5, 1.0: 0.0}
    assert found.points[0.0][0].threshold == pytest.approx(0.96, abs=1e-6)


def test_rows_of_one_subject_are_pooled():
    """The sum of (1, 0) and (0, 1) at unit length: cosine .71 with either; the other subject has .6 with the probe."""
    gallery = [[1.0, 0], [0.6, -0.8], [0, 1.0]], [5, 6, 5]
    found = identification([[1.0, 0], [0, -1.0]], [5, 7], gallery, fpirs=(1.0,))
    assert found.searches[0].mate_scores == pytest.approx(0.5**0.5)
    assert found.searches[0].subjects == 2
    assert found.rank(1) == 1


def test_negative_subjects_are_people_but_minus_one():
    """Subjects that are names have such numbers, see `eval.protocols.ids`."""
    named = [(rows, [-(10**18) - who for who in subjects]) for rows, subjects in GALLERIES]
    found = identification(PROBES, [-(10**18) - who for who in WHO], *named, fpirs=(0.5, 0.1))
    assert found.fnir == identification(PROBES, WHO, *GALLERIES, fpirs=(0.5, 0.1)).fnir


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.longdouble])
def test_any_float_type_length_and_memory_order_will_do(kind):
    rng = np.random.default_rng(0)
    probes, subjects = rng.integers(-8, 8, (40, 6)) + 0.5, rng.integers(0, 12, 40)
    gallery = rng.integers(-8, 8, (8, 6)) + 0.5, np.arange(8)
    expected = identification(unit(*probes), subjects, (unit(*gallery[0]), gallery[1]))
    others = np.asfortranarray(probes.astype(kind)), (gallery[0].astype(kind) * 2, gallery[1].astype(np.int32))
    others[0].flags.writeable = False
    found = identification(others[0], subjects, others[1])
    assert found.fnir == expected.fnir
    np.testing.assert_array_equal(found.searches[0].ranks, expected.searches[0].ranks)
    np.testing.assert_allclose(found.searches[0].highest, expected.searches[0].highest, rtol=1e-6)


@pytest.mark.parametrize(
    ("features", "subjects", "galleries", "message"),
    [
        (PROBES, WHO, (), "no gallery; give at least one"),
        (PROBES, WHO, (GALLERIES[0][:1],), r"gallery 1: .*; expected two arrays, \(features, subjects\)"),
        ([[1, np.nan]], [1], GALLERIES, "probes: row 0 has NaN or infinite values"),
        (PROBES, WHO, (GALLERIES[0], ([[np.inf, 0]], [3])), "gallery 2: row 0 has NaN"),
        (PROBES, WHO[:3], GALLERIES, r"probes: subjects are int64 of shape \[3\] for 4 faces"),
        (PROBES, [0.5, 1, 2, 3], GALLERIES, "probes: subjects are float64"),
        (PROBES[0], [1], GALLERIES, r"probes: float64 with shape \[4\]; expected numbers \[n, d\]"),
        (PROBES, [1, 1, 2, 2], GALLERIES[:1], "gallery 1: no non-mated probe"),
        (PROBES, [7, 7, 8, 9], GALLERIES[:1], "gallery 1: no mated probe"),
        (PROBES, WHO, ((GALLERIES[0][0], [-1, 2]),), "gallery 1: subject -1 is nobody known"),
        (PROBES[:, :2], WHO, GALLERIES, "gallery 1: rows of 4 numbers, but the probes have 2"),
    ],
)
def test_features_that_cannot_be_used_are_refused(features, subjects, galleries, message):
    with pytest.raises(InputError, match=message):
        identification(features, subjects, *galleries)


def test_rates_beyond_one_are_refused():
    with pytest.raises(InputError, match=r"FPIR 2; a rate is in"):
        identification(PROBES, WHO, *GALLERIES, fpirs=(2,))


@pytest.mark.parametrize("rank", [0, -1, 1.5, "1"])
def test_ranks_are_whole_numbers_from_one_on(rank):
    with pytest.raises(InputError, match="k is .*; it must be a whole number from 1 on"):
        identification(np.eye(3), [7, 8, 9], (np.eye(3)[:2], [7, 8])).rank(rank)


def test_a_mated_probe_keeps_its_own_score_where_others_score_higher():
    found = searched([[0.3, 0.9, 0.1], [0.2, 0.4, 0.8]], [10, 99])
    np.testing.assert_array_equal(found.mate_scores, np.float32([0.3]))
    np.testing.assert_array_equal(found.highest, np.float32([0.8]))


def test_ties_are_ties_where_the_cosine_is_0_or_anything_else():
    """Cosines of whole numbers, compared as fractions: double precision alone gives 1e-17 for some that are 0."""
    generator = np.random.default_rng(5)
    wrong = ties = 0
    for _ in range(400):
        probes, gallery = (generator.integers(-2, 3, (size, 7)) for size in (8, 5))
        subjects = np.r_[np.arange(5), 9, 9, 9]
        dots = probes @ gallery.T
        squares = np.sum(gallery**2, axis=1) * np.sum(probes**2, axis=1)[:, None]
        exact = [[Fraction(int(d) * abs(int(d)), int(s) or 1) for d, s in zip(*row, strict=True)]
                 for row in zip(dots, squares, strict=True)]  # fmt: skip
        ranks = [sum(other >= exact[row][row] for other in exact[row]) for row in range(5)]
        found = identification(probes, subjects, (gallery, np.arange(5)))
        wrong += sum(found.searches[0].ranks != ranks)
        ties += sum(exact[row].count(exact[row][row]) > 1 for row in range(5))
    assert ties > 50
    assert wrong == 0


def test_enrolled_faces_among_the_probes_are_said(caplog):
    enrolled, faces = np.eye(3)[:2], np.eye(3) + 0.1
    identification(faces, [7, 8, 9], (enrolled, [7, 8]))
    assert caplog.messages == []
    identification(np.vstack([faces, faces[:1]]), [7, 8, 9, 7], (enrolled[1:], [8]), (faces[:2], [7, 8]))
    assert [each.partition(" (")[0] for each in caplog.messages] == ["gallery 2: 3 probes seem to be there"]


@pytest.mark.parametrize("names", [["b", "c", "z"], np.array(["b", "c", "z"]), np.array(["b", "c", "z"], object)])
def test_names_of_probes_and_galleries_are_to_be_numbered_together(names):
    """Numbered each by themselves, "b" of the probes would be "a" of the gallery."""
    with pytest.raises(InputError, match="probes: subjects are text; number those of probes and galleries in one go"):
        identification(np.eye(3), names, (np.eye(3)[:2], ["a", "b"]))
    with pytest.raises(InputError, match="gallery 1: subjects are text; number those of probes"):
        identification(np.eye(3), [1, 2, 3], (np.eye(3)[:2], ["a", "b"]))
