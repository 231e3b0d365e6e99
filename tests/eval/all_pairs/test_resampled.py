"""Samples of the figures against the definition on resampled sets."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from eval.all_pairs import scores as module
from eval.all_pairs.draws import draw_galleries, search_drawn
from eval.all_pairs.evaluation import evaluate_set
from eval.all_pairs.resampled import impostors_drawn, resample_pairs, resample_rates
from eval.all_pairs.scores import GRID, all_pairs
from eval.all_pairs.units import make_units
from eval.bootstrap.resampling import draw
from eval.metrics import verification
from facerec.pipeline.files import InputError

PEOPLE = 12


def labelled(seed=0, size=6):
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(PEOPLE), size)
    rows = generator.normal(size=(PEOPLE, 6))[labels] + 0.7 * generator.normal(size=(len(labels), 6))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels


def test_samples_are_the_figures_of_the_drawn_people():
    """A person drawn twice counts twice in genuine pairs, and four times with another who is drawn twice."""
    embeddings, labels = labelled()
    units = make_units(embeddings, labels, None, "x")
    pairs, drawn = all_pairs(units), draw(PEOPLE, 8, 5)
    rates = [0.2, 0.05, 0.01]
    samples = resample_pairs(pairs, units, rates, drawn)
    fmr, fnmr = resample_rates(pairs, units, 0.5, drawn)
    side = units.subject[pairs.genuine.first], units.subject[pairs.highest.first], units.subject[pairs.highest.second]
    for sample in range(8):
        weight = drawn[:, sample].astype(int)
        genuine = np.repeat(pairs.genuine.score, weight[side[0]])
        impostor = np.repeat(pairs.highest.score, weight[side[1]] * weight[side[2]])
        expected = verification(genuine, impostor, rates)
        assert samples.fnmr[:, sample].tolist() == [expected.fnmr[rate] for rate in rates]
        assert samples.eer[sample] == expected.eer
        assert samples.auc[sample] == expected.auc
        below = samples.threshold[:, sample] - 1 / GRID
        assert [np.nextafter(np.float32(score), np.float32(2)) for score in below] == [*expected.thresholds.values()]
        assert impostors_drawn(units.sizes, drawn)[sample] == len(impostor)
        assert (fmr[sample], fnmr[sample]) == (np.mean(impostor >= 0.5), np.mean(genuine < 0.5))


def test_low_rates_of_large_sets_are_exact_and_high_ones_near(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 32)
    monkeypatch.setattr(module, "SAMPLED", 6000)
    embeddings, labels = labelled(size=14)
    units = make_units(embeddings, labels, None, "x")
    drawn = draw(PEOPLE, 20, 0)
    whole, part = all_pairs(units), all_pairs(units, held=2500)
    assert not part.is_whole
    rates = [0.2, 0.05]
    one, two = (resample_pairs(pairs, units, rates, drawn) for pairs in (whole, part))
    np.testing.assert_array_equal(one.fnmr[1], two.fnmr[1])
    np.testing.assert_array_equal(one.threshold[1], two.threshold[1])
    assert np.abs(one.fnmr[0] - two.fnmr[0]).max() < 0.05
    assert np.abs(one.auc - two.auc).max() < 0.01
    assert np.abs(one.eer - two.eer).max() < 0.02
    assert (one.fnmr[0] != two.fnmr[0]).any()


def test_pairs_at_the_threshold_match():
    """Cosines 1, .5 and 0, exactly: at .5 the genuine pair of .5 is no miss, and the impostor pairs of .5 match."""
    embeddings = np.float32([[1, 0, 0, 0], [0.5, 0.5, 0.5, 0.5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0]])
    units = make_units(embeddings, np.array([0, 0, 1, 1, 1]), None, "x")
    found = evaluate_set(units, 0.5, ([0.5], [0.5]), 0, 0)
    at = SimpleNamespace(points={0.5: SimpleNamespace(threshold=0.5)})
    judged = replace(found, verification=at).judged
    assert judged.genuine.tolist() == [[0, 1], [2, 3], [2, 4], [3, 4]]
    assert judged.failed.tolist() == [False, True, False, True]
    assert sorted(judged.matches.tolist()) == [[1, 2], [1, 3], [1, 4]]
    fmr, fnmr = resample_rates(found.pairs, units, 0.5, np.ones((2, 1)))
    assert (fmr.tolist(), fnmr.tolist()) == ([0.5], [0.5])


def test_a_sample_that_needs_more_pairs_than_are_held_has_no_figure(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 32)
    monkeypatch.setattr(module, "SAMPLED", 6000)
    units = make_units(*labelled(size=14), None, "x")
    drawn = draw(PEOPLE, 40, 0)
    whole, part = all_pairs(units), all_pairs(units, held=2500)
    share = len(part.highest) / units.impostor_pairs

    def at(rate):
        return (resample_pairs(pairs, units, [rate], drawn).fnmr[0] for pairs in (whole, part))

    _, near = at(share / 1.1)  # too high to be exact
    assert not np.isnan(near).any()
    monkeypatch.setattr("eval.all_pairs.resampled.SPARE", 1)
    exact, found = at(share / 1.1)
    missing = np.isnan(found)
    assert 0 < missing.sum() < 40
    assert found[~missing].tolist() == exact[~missing].tolist()


def test_galleries_are_drawn():
    """Of four people with two faces each: every face is enrolled at times, and every two people share a gallery."""
    units = make_units(np.eye(8, dtype=np.float32), np.repeat(np.arange(4), 2), None, "x")
    drawn = [draw_galleries(units, seed).galleries for seed in range(40)]
    assert {int(row) for halves in drawn for rows in halves for row in rows} == set(range(8))
    assert len({tuple(units.subject[first]) for first, _ in drawn}) == 6


def test_galleries_enrol_each_person_once():
    embeddings, labels = labelled()
    embeddings = np.concatenate([embeddings, embeddings[:1]])
    units = make_units(embeddings, np.append(labels, 99), None, "x")  # 99 has one face
    found = draw_galleries(units, 3)
    enrolled = np.concatenate(found.galleries)
    assert sorted(units.subject[enrolled].tolist()) == list(range(PEOPLE))
    assert [len(rows) for rows in found.galleries] == [PEOPLE // 2, PEOPLE // 2]
    assert sorted([*enrolled, *found.probes]) == list(range(len(units)))
    searched = search_drawn(units, found, [0.1])
    assert [int(search.mated.sum()) for search in searched.searches] == [30, 30]
    assert [len(search.highest) for search in searched.searches] == [31, 31]
    assert [rows.tolist() for rows in draw_galleries(units, 3).galleries] == [rows.tolist() for rows in found.galleries]
    assert draw_galleries(units, 4).galleries[0].tolist() != found.galleries[0].tolist()


def test_a_rate_whose_matches_cannot_be_held_is_refused(monkeypatch):
    monkeypatch.setattr("eval.all_pairs.evaluation.HELD", 100)
    monkeypatch.setattr("eval.all_pairs.evaluation.MOST_HELD", 200)
    units = make_units(*labelled(), None, "x")
    with pytest.raises(InputError, match=r"--fmr 0.1 of 2,376 impostor pairs: 309 pairs to hold; at most 200, .*0.06"):
        evaluate_set(units, 0.1, ([0.1], [0.1]), 0, 0)
    assert evaluate_set(units, 0.05, ([0.1], [0.1]), 0, 0).point.accepted == 118
