"""What estimates of quality are learned from: cuts, simulated corpora, networks, and the fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from clustering.backends.hac import HacAverage
from clustering.graph.corpus_scale import CorpusScale
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import consecutive
from clustering.quality import fitting, simulated_clusterings
from clustering.quality.estimator import FIGURES, OWN
from clustering.quality.examples import Examples, example, examples
from clustering.quality.features import Corpus, features, names, squeezed
from clustering.quality.nested_cuts import nested_cuts, thresholds
from clustering.quality.networks import Networks
from clustering.quality.simulated_corpora import (
    SIZES,
    SimulatedRecogniser,
    corpus,
    embedded,
    faces_per_identity,
    log_uniform,
    recogniser,
    with_errors,
)
from eval.clusters import scores
from facerec.pipeline.embeddings import normalize


def test_cuts_are_nested_and_like_average_linkage(blobs):
    faces, _ = blobs(identities=30, faces=8, dimension=48, spread=0.9)
    graph = KnnGraph.build(normalize(faces + np.eye(48)[0]), 10)
    assert CorpusScale.of(graph).common > 0.2
    cuts = nested_cuts(graph, CorpusScale.of(graph))
    assert np.all(np.diff(cuts.thresholds) < 0)
    for fine, coarse in zip(cuts.labels, cuts.labels[1:], strict=False):
        assert scores(coarse, fine)["pairwise_precision"] == 1
    exact = HacAverage(min_similarity=float(cuts.thresholds[3])).cluster(graph).labels
    assert scores(exact, cuts.labels[3])["bcubed_f"] > 0.95


def test_cuts_lie_between_chance_and_near_faces():
    """Chance at .1 and 1.5 times .02, the nearest faces from .54 to .64."""
    nearest = np.linspace(0.54, 0.64, 11)
    graph = KnnGraph(np.eye(11), np.roll(np.arange(11), 1)[:, None].repeat(2, 1), np.stack([nearest, 0 * nearest], 1))
    by_hand = [0.555, 0.48, 0.405, 0.33, 0.27, 0.21, 0.16]
    np.testing.assert_allclose(thresholds(graph, CorpusScale(0.1, 0.02)), by_hand, atol=1e-6)


def test_unreadable_faces_are_in_no_cut(blobs):
    faces, _ = blobs(identities=20, faces=5)
    faces = faces.copy()
    faces[3] = 0
    graph = KnnGraph.build(faces, 10)
    assert all(labels[3] == -1 for labels in nested_cuts(graph, CorpusScale.of(graph)).labels)


@pytest.mark.parametrize("kind", SIZES)
def test_sizes(kind):
    numbers = faces_per_identity(kind, 1000, np.random.default_rng(0))
    assert numbers.min() >= 1
    assert 500 <= numbers.sum() <= 2000
    if kind == "few":
        assert numbers.max() <= 8


@pytest.mark.parametrize(
    ("change", "genuine", "kin"),
    [
        ({}, 0.5, 0),
        ({"scale": 0.5}, 1 / (1 + 0.25), 0),
        ({"looks": (1, 0.6)}, (1 + 0.6) / 2, 0),  # of one look
        ({"looks": (4, 0.6)}, (1 + 0.6 / 4) / 2, 0),
        ({"bad": (1.0, 1)}, 0.74, 0.58),  # .2 to .8 of a face, 1.4 long; the rest is of one kind and 2 long
        ({"kin": (0.7, 2)}, 0.5, 0.7 / 2),  # the cosine of two centres, and residuals as long as centres
        ({"mean": np.eye(400)[0]}, (1 + 1) / (1 + 2), 1 / (1 + 2)),
    ],
)
def test_cosines_of_simulated_faces_are_those_wanted(change, genuine, kin):
    """Two people with 400 faces each, of one group."""
    even = np.full(400, 1 / 20)
    usual = {"mean": np.zeros(400), "scale": 1.0, "uneven": (0.0, 0.0), "looks": (1, 0.0), "kin": (0.0, 2)}
    usual["bad"] = (0.0, 1)
    labels = np.repeat([0, 1], 400)
    cosines = []
    for seed in range(8):
        how = SimulatedRecogniser(even, even, **{**usual, **change})
        faces = embedded(labels, how, np.random.default_rng(seed))
        own, other = faces[:400] @ faces[:400].T, faces[:400] @ faces[400:].T
        cosines.append((own[~np.eye(400, dtype=bool)].mean(), other.mean()))
    assert np.mean(cosines, axis=0) == pytest.approx((genuine, kin), abs=0.05)


@pytest.mark.parametrize(("uneven", "people", "within"), [((0.7, 0.0), True, False), ((0.0, 0.7), False, True)])
def test_people_and_faces_are_unevenly_far_from_their_centres(uneven, people, within):
    even, labels = np.full(400, 1 / 20), np.repeat(np.arange(20), 20)
    how = SimulatedRecogniser(even, even, np.zeros(400), 1.0, uneven, (1, 0.0), (0.0, 1), (0.0, 1))
    faces = embedded(labels, how, np.random.default_rng(0)).reshape(20, 20, 400)
    cosines = np.einsum("pfd,pd->pf", faces, normalize(faces.sum(axis=1)))
    assert (cosines.mean(axis=1).std() > 0.1) == people
    assert (cosines.std(axis=1).mean() > 0.1) == within


def test_recognisers_are_within_their_ranges():
    drawn = [recogniser(np.random.default_rng(seed)) for seed in range(300)]
    scales, means = (np.array(each) for each in zip(*((how.scale, how.mean @ how.mean) for how in drawn), strict=True))
    assert np.all((scales**2 >= 1 / 0.85 - 1) & (scales**2 <= 1 / 0.2 - 1))
    common = means / (1 + means)  # cosine of two centres, which have unit length beside the mean
    assert common.max() == pytest.approx(0.9, abs=0.05)
    assert np.median([log_uniform(np.random.default_rng(seed), 1, 100) for seed in range(999)]) == pytest.approx(
        10, rel=0.2
    )


def test_corpora_depend_on_their_seed_alone():
    one, again, other = (corpus(np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.embeddings, again.embeddings)
    assert len(one.labels) != len(other.labels)
    np.testing.assert_allclose(np.linalg.norm(one.embeddings, axis=1), 1, atol=1e-5)


def test_wrong_labels():
    labels = np.arange(10_000)
    assert np.mean(with_errors(labels, 0.1, np.random.default_rng(0)) != labels) == pytest.approx(0.1, abs=0.01)


def test_networks_learn_and_doubt_what_is_far(monkeypatch):
    monkeypatch.setattr("clustering.quality.networks.MEMBERS", 2)
    random = np.random.default_rng(0)
    x = random.normal(size=(600, 3))
    y = np.column_stack([x[:, 0] * x[:, 1], x[:, 2]])
    found = Networks.fit(x, y, np.arange(600) // 3, seed=0)
    assert found.outputs(x).shape == (2, 600, 2)
    error = np.abs(found.outputs(x).mean(axis=0) - y).mean(axis=0)
    assert np.all(error < [0.35, 0.2])
    far = found.outputs(np.full((1, 3), 1e9))
    np.testing.assert_allclose(far, found.outputs(np.full((1, 3), 1e12)))


def test_networks_learn_from_draws_of_corpora_and_begin_otherwise(monkeypatch):
    learned = []
    monkeypatch.setattr(
        "clustering.quality.networks._weights",
        lambda network, x, y: learned.append((network.random_state, y[:, 0])) or (np.zeros(1), np.zeros(1)),
    )
    corpora = np.repeat(np.arange(10), 3)
    Networks.fit(np.arange(30.0)[:, None], np.arange(30.0)[:, None], corpora, seed=4)
    assert [seed for seed, _ in learned] == list(range(4, 16))
    Networks.fit(np.arange(30.0)[:, None], np.arange(30.0)[:, None], corpora, seed=2**31 - 2)
    assert [seed for seed, _ in learned[12:]] == [2**31 - 2, 2**31 - 1, *range(10)]
    del learned[12:]
    for _, rows in learned:
        drawn = np.bincount(rows.astype(int), minlength=30).reshape(10, 3)
        assert (drawn == drawn[:, :1]).all()  # whole corpora
        assert (drawn.sum(), drawn.max() > 1) == (30, True)
    assert len({tuple(rows) for _, rows in learned}) == 12


def test_ridge_is_least_squares_with_an_intercept():
    random = np.random.default_rng(0)
    x = random.normal(size=(100_000, 2))
    found = fitting.ridge(x + 1, np.stack([x @ [2, -1] + 3, 5 - x[:, 1]], axis=1))
    np.testing.assert_allclose(found, [[2, 0], [-1, -1], [2, 6]], atol=1e-2)


def test_intervals_hold_nine_of_ten(monkeypatch):
    monkeypatch.setattr("clustering.quality.networks.MEMBERS", 2)
    monkeypatch.setattr("clustering.quality.networks.STEPS", 8)
    random, inputs = np.random.default_rng(0), len(names())

    def drawn(corpora: int) -> Examples:
        x = random.normal(size=(4 * corpora, inputs))
        p = 1 / (1 + np.exp(-x[:, OWN : OWN + 4] - 0.3 * random.normal(size=(len(x), 4))))
        f = 2 * p[:, ::2] * p[:, 1::2] / (p[:, ::2] + p[:, 1::2])
        return Examples(
            x, np.hstack([p, f])[:, [0, 1, 4, 2, 3, 5]], np.exp(-1 + 0.1 * x[:, 0]), np.repeat(np.arange(corpora), 4)
        )

    wider = 1 + np.arange(7)
    monkeypatch.setattr(fitting, "REAL", wider)
    learned, networks, regressed, ridge = [], fitting.networks, [], fitting.ridge
    monkeypatch.setattr(fitting, "networks", lambda *given: learned.append(given[2]) or networks(*given))
    monkeypatch.setattr(fitting, "ridge", lambda x, y: regressed.append(len(x)) or ridge(x, y))
    new, known = drawn(150), drawn(150)
    fitted = fitting.fit(known, 0)
    assert regressed == [480] * 5 + [600]
    assert np.mean(fitted.distance(known.features) <= fitted.furthest) == pytest.approx(0.99, abs=0.002)
    fitted = replace(fitted, quantile=fitted.quantile / wider)
    ends, unlike = fitted.intervals(new.features)
    truth = new.figures
    held = np.mean((ends[:, :6, 1] <= truth) & (truth <= ends[:, :6, 2]), axis=0)
    people = np.mean((ends[:, 6, 1] <= new.people) & (new.people <= ends[:, 6, 2]))
    assert np.all((held > 0.8) & (held < 0.98))
    assert 0.89 < held.mean() < 0.95
    assert people > 0.8
    assert np.mean(unlike <= 1) > 0.6
    np.testing.assert_allclose(np.diag(np.linalg.inv(fitted.usual)), 1 + 0.05, atol=0.02)  # variances, and the ridge
    left_out = [np.setdiff1d(np.arange(150), corpora) for corpora in learned]  # whole corpora, each once
    assert [(len(corpora), len(left)) for corpora, left in zip(learned, left_out, strict=True)] == [
        *[(4 * 120, 30)] * 5, (600, 0),
    ]  # fmt: skip
    assert np.sort(np.concatenate(left_out)).tolist() == list(range(150))


def test_each_network_learns_its_own_figures(monkeypatch):
    """Two clusterings of each of three corpora; people are learned from one of them."""
    given = []
    monkeypatch.setattr(fitting.Networks, "fit", lambda *arguments: given.append(arguments))
    random = np.random.default_rng(0)
    found = Examples(random.random((6, len(names()))), random.random((6, 6)), random.random(6), np.repeat([4, 7, 9], 2))
    fitting.networks(found.features, fitting.targets(found), found.corpus, seed=3)
    (x, y, groups, _), (all_x, all_y, all_groups, _) = given
    np.testing.assert_array_equal(x, found.features[::2, :OWN])
    np.testing.assert_array_equal(y[:, 0], np.log(found.people[::2]))
    np.testing.assert_array_equal(all_x, found.features)
    np.testing.assert_array_equal(all_y, squeezed(found.figures[:, [0, 1, 3, 4]]))
    assert (groups.tolist(), all_groups.tolist()) == ([4, 7, 9], found.corpus.tolist())


def test_people_are_split_or_merged_and_some_faces_pair(blobs):
    """With 20 draws some only split people, and some have each person whole."""
    faces, truth = blobs(identities=20, faces=5)
    graph, found = KnnGraph.build(faces, 2), []
    for seed in range(20):
        given = simulated_clusterings.Given(graph, truth, None, np.random.default_rng(seed))
        figures = scores(truth, consecutive(simulated_clusterings.OTHERS["people"](given)))
        found.append((figures["pairwise_precision"] == 1, figures["pairwise_recall"] == 1))
        alone = np.unique(simulated_clusterings.OTHERS["alone"](given), return_counts=True)[1]
        assert (alone == 1).sum() > 50
    assert {(True, False), (False, False)} <= set(found)


def test_an_example_has_the_figures_of_its_clustering(blobs):
    """All faces of 20 people with 5 each in one cluster: 4 of 99 others are right, 5 of 100 with oneself."""
    faces, truth = blobs(identities=20, faces=5)
    seen, heap = Corpus.of(KnnGraph.build(faces, 10)), np.zeros(100, int)
    found, figures, people = example(seen, heap, truth)
    np.testing.assert_array_equal(found, features(seen, heap))
    expected = {"pairwise_precision": 4 / 99, "pairwise_recall": 1, "bcubed_precision": 0.05, "bcubed_recall": 1}
    assert dict(zip(FIGURES, figures, strict=True)) == pytest.approx(
        {**expected, "pairwise_f": 8 / 103, "bcubed_f": 0.1 / 1.05}
    )
    assert people == 0.2


def test_examples_are_what_they_say(monkeypatch):
    monkeypatch.setattr("clustering.quality.simulated_corpora.FACES", (150, 200))
    found = examples(3, 5, seed=0)
    assert found.features.shape == (len(found.corpus), len(names()))
    assert set(found.corpus) == {3, 4}
    assert np.all((found.figures >= 0) & (found.figures <= 1))
    again = Examples.of_table(found.table())
    for name in ("features", "figures", "people", "corpus"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    again = examples(4, 5, seed=0)
    np.testing.assert_array_equal(again.features, found.features[found.corpus == 4])
