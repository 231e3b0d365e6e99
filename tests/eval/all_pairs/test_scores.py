"""All pairs in blocks against loops over single pairs."""

from collections import Counter

import numpy as np
import pytest

from eval.all_pairs import scores as module
from eval.all_pairs.figures import counted_det, counted_verification, share_matching
from eval.all_pairs.scores import GRID, all_pairs
from eval.all_pairs.units import make_units
from eval.metrics import verification
from eval.report.histogram import counted_bins
from facerec.pipeline.files import InputError

RATES = [0.0, 1e-3, 0.01, 0.03, 0.1, 0.2, 0.5, 0.9, 1.0]


def random_set(seed, people=6, size=5, width=4):
    """Embeddings with a zero row and copies (ties) among them, and labels in no order, one of them unknown."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(-1, people, people * size) * 10
    labels[labels < 0] = -1
    labels[:4] = [0, 10, 0, 10]
    rows = generator.normal(size=(people * size, width)) + 2 * generator.normal(size=(people + 1, width))[labels // 10]
    rows[5], rows[6] = rows[4], 0
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(norms == 0, 1, norms)).astype(np.float32), labels


def slow_scores(embeddings, labels, session=None):
    """Scores of genuine and of impostor pairs by the definition, one by one, with the labels of both sides."""
    units = {}
    for row, label in enumerate(labels.tolist()):
        if label >= 0 and (session is None or session[row] >= 0):
            name = row if session is None else int(session[row])
            units.setdefault((label, name), []).append(embeddings[row].astype(np.float64))
    features = []
    for (label, _), faces in units.items():
        total = sum(face / (np.linalg.norm(face) or 1) for face in faces)
        features.append((label, total / (np.linalg.norm(total) or 1)))
    found = {True: [], False: []}
    for index, (one, left) in enumerate(features):
        for other, right in features[index + 1 :]:
            cosine = float(np.float32(left @ right))
            found[one == other].append((np.floor(cosine * GRID) / GRID, one, other))
    return found[True], found[False]


def test_every_figure_is_that_of_the_definition(monkeypatch):
    """60 random sets, 101 cells each."""
    monkeypatch.setattr(module, "BLOCK", 7)
    cells = wrong = 0
    for seed in range(60):
        embeddings, labels = random_set(seed)
        session = np.random.default_rng(seed).integers(-1, 4, len(labels)) if seed % 3 == 0 else None
        if session is not None:
            session[:4] = [0, 0, 1, 1]
        units = make_units(embeddings, labels, session, "x")
        pairs = all_pairs(units)
        genuine, impostor = slow_scores(embeddings, labels, session)
        one, two = (np.float32([score for score, _, _ in side]) for side in (genuine, impostor))
        slow, fast = verification(one, two, RATES), counted_verification(pairs, RATES)
        expected = [slow.eer, slow.auc, len(one), len(two)]
        found = [fast.eer, fast.auc, fast.genuine, fast.impostor]
        for rate in RATES:
            at = fast.points[rate].threshold
            for point, other in ((slow.points[rate], fast.points[rate]),):
                expected += [point.accepted, point.rejected, point.positives, point.supported, point.error]
                found += [other.accepted, other.rejected, other.positives, other.supported, other.error]
            expected += [np.count_nonzero(two >= at), np.count_nonzero(one < at)]
            found += list(share_matching(pairs, at))
        people = Counter((score, *sorted((a, b))) for score, a, b in impostor)
        held = pairs.highest
        sides = np.sort(units.labels[units.subject[np.stack([held.first, held.second])]], axis=0).T.tolist()
        expected += [people, pairs.is_whole]
        found += [Counter((score, *side) for score, side in zip(held.score.tolist(), sides, strict=True)), True]
        expected += sorted(one.tolist())[:32]
        found += sorted(pairs.genuine.score.tolist())[:32]
        cells += len(expected)
        wrong += sum(a != b for a, b in zip(expected, found, strict=True))
    assert cells > 5000
    assert wrong == 0


def test_scores_by_hand(monkeypatch):
    """Ann: (1, 0) and (.6, .8), cosine .6. Bob: (0, 1) and (0, 1), cosine 1. Between them 0, 0, .8, .8."""
    monkeypatch.setattr("eval.report.histogram.BINS", 10)
    embeddings = np.float32([[1, 0], [0, 1], [0.6, 0.8], [0, 1]])
    units = make_units(embeddings, np.array([3, 7, 3, 7]), None, "x")
    assert units.labels.tolist() == [3, 7]
    assert units.face.tolist() == [0, 2, 1, 3]
    pairs = all_pairs(units)
    figures = counted_verification(pairs, [0.5, 0.25])
    assert figures.points[0.25].threshold == (int(np.float32(0.8) * GRID) + 1) / GRID
    assert (figures.fnmr[0.25], figures.fnmr[0.5]) == (0.5, 0.0)
    assert figures.points[0.5].threshold == 1 / GRID
    assert figures.auc == (2 + 4) / 8  # .6 is above two of four, 1 above all
    assert [row[2:] for row in counted_bins(pairs)] == [(0, 2), (0, 0), (0, 0), (1, 0), (1, 2)]
    ends = [row[:2] for row in counted_bins(pairs)]
    np.testing.assert_allclose(ends, [(0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1)], atol=1 / GRID)
    assert counted_det(pairs)[-1][:2] == (1.0, 0.0)


@pytest.mark.parametrize(
    ("session", "unit_of", "face"),
    [
        (None, [4, 0, 5, 6, 7, -1, 1, 2, 3], [1, 6, 7, 8, 0, 2, 3, 4]),
        ([5, 2, 3, 5, -1, 1, 2, 9, 1], [4, 1, 3, 4, -1, -1, 1, 2, 0], [8, 1, 7, 2, 0]),
    ],
)
def test_units_know_their_faces(session, unit_of, face):
    """Labels in no order; sessions 1, 2 and 9 of person 4, then 3 and 5 of person 8."""
    labels = np.array([8, 4, 8, 8, 8, -1, 4, 4, 4])
    units = make_units(np.eye(9, dtype=np.float32), labels, None if session is None else np.array(session), "x")
    assert (units.unit_of.tolist(), units.face.tolist()) == (unit_of, face)
    assert units.labels[units.subject].tolist() == labels[face].tolist()


def test_few_are_held_and_the_rest_is_drawn(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 16)
    embeddings, labels = random_set(1, people=12, size=10)
    units = make_units(embeddings, labels, None, "x")
    monkeypatch.setattr(module, "SAMPLED", 400)
    whole, part = all_pairs(units), all_pairs(units, held=100)
    np.testing.assert_array_equal(part.impostor_counts, whole.impostor_counts)
    assert not part.is_whole
    assert 80 < len(part.highest) <= 200
    assert np.sort(part.highest.score).tolist() == np.sort(whole.highest.score)[-len(part.highest) :].tolist()
    assert (whole.highest.score >= part.highest.score.min()).sum() == len(part.highest)
    assert 300 < len(part.sample) < 500
    assert abs(part.sample.score.mean() - whole.sample.score.mean()) < 0.15


def test_a_collapsed_recogniser_fills_no_memory(monkeypatch):
    """Every score is 1: none can be held without all."""
    units = make_units(np.tile(np.float32([1, 0]), (60, 1)), np.repeat([0, 1, 2], 20), None, "x")
    monkeypatch.setattr(module, "SAMPLED", 100)
    pairs = all_pairs(units, held=50)
    assert len(pairs.highest) == 0
    figures = counted_verification(pairs, [0.1])
    assert (figures.fnmr[0.1], figures.eer, figures.auc) == (1.0, 0.5, 0.5)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([-1, -1, -1, -1], "0 labelled people; impostor pairs need at least two"),
        ([1, 1, 1, -1], "1 labelled person"),
        ([1, 1, 2, -1], "1 of 2 labelled people have two faces; at least two people need them"),
    ],
)
def test_sets_without_pairs_are_refused(labels, message):
    with pytest.raises(InputError, match=message):
        make_units(np.eye(4, dtype=np.float32), np.array(labels), None, "x")


def test_faces_that_cannot_be_read_are_no_set():
    with pytest.raises(InputError, match="every labelled face has a zero embedding"):
        make_units(np.zeros((4, 2), np.float32), np.array([1, 1, 2, 2]), None, "x")


def test_too_many_genuine_pairs_are_refused(monkeypatch):
    monkeypatch.setattr(module, "MOST_GENUINE", 1)
    units = make_units(np.eye(4, dtype=np.float32), np.array([1, 1, 2, 2]), None, "x")
    with pytest.raises(InputError, match="2 genuine pairs; at most 1 fit. Label 1 alone has 2 faces"):
        all_pairs(units)


def test_a_pair_at_the_threshold_matches():
    genuine, impostor = (np.zeros(2 * GRID + 1, np.int64) for _ in range(2))
    impostor[GRID + np.array([-5, 5, 6])], genuine[GRID + np.array([-5, 5, 6])] = (10, 2, 3), (1, 4, 20)
    pairs = module.AllPairs(None, genuine, impostor, None, None, True)
    assert [share_matching(pairs, place / GRID) for place in (-5, 5, 6, 7)] == [(15, 0), (5, 1), (3, 5), (0, 25)]
