"""Pairs that stand out: by hand, and against slow loops."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering.backends.hilander import pairs
from clustering.backends.hilander.hilander import HiLander
from clustering.backends.hilander.outstanding import LEAST_CLUSTERS, outstanding
from clustering.graph.constraints import Constraints
from clustering.graph.knn_graph import KnnGraph
from eval.clusters import scores
from facerec.pipeline.embeddings import normalize


def found(count=LEAST_CLUSTERS, sizes=(10,), **log_odds):
    """The pairs that stand out among `count` clusters, the first of which are of `sizes`, and the others of one face.

    Pairs have log-odds of -6 if no others are given.
    """
    edges = list(combinations(range(count), 2))
    values = np.full(len(edges), -6, np.float32)
    for pair, value in log_odds.items():
        values[edges.index(tuple(map(int, pair[1:].split("_"))))] = value
    i, j = np.array(edges, np.int32).T
    faces = np.append(sizes, np.ones(count - len(sizes))).astype(np.float32)
    return [edges[edge] for edge in outstanding(i, j, values, faces)]


def test_the_best_partner_stands_out_if_the_second_is_far_behind():
    assert found(_0_1=-3) == [(0, 1)]
    assert found(_0_1=-3, _1_2=-4.4, _0_2=-5) == [(0, 1)]  # for cluster 0 by 2, for cluster 1 by 1.4
    assert found() == found(_0_1=-3, _1_2=-4.4, _0_2=-4.4) == []


def test_neither_few_clusters_nor_unlikely_ones_nor_two_small_or_large_ones_stand_out():
    assert found(count=LEAST_CLUSTERS - 1, _0_1=-3) == []
    assert found(_0_1=-4.1) == []
    assert found(sizes=(9, 9), _0_1=-3) == found(sizes=(20, 20), _0_1=-3) == []
    assert found(sizes=(9, 10), _0_1=-3) == found(sizes=(19, 20), _0_1=-3) == [(0, 1)]


def test_above_the_second_best_partners_of_all():
    """Eight clusters have second-best partners of -4, seven of -6: the mean is -4.93, the deviation 1.00."""
    assert found(_0_9=-3, **ring(-4)) == []
    assert found(_0_9=-2.9, **ring(-4)) == [(0, 9)]


def test_nothing_stands_out_if_many_second_best_partners_are_likely():
    """With -2.4 instead, the mean is -4.08, the deviation 1.80, and the least log-odds are -.49, above -.5."""
    assert found(_0_9=1, **ring(-2.5)) == [(0, 9)]
    assert found(_0_9=1, **ring(-2.4)) == []


def ring(value):
    return {f"_{one}_{one + 1}": value for one in range(1, 8)} | {"_1_8": value}


def test_decoys_count_what_stands_out_by_chance():
    """Clusters 1 to 5 stand beside cluster 0. One more leads its third partner by 1 with its second: a decoy of 2."""
    beside = {f"_0_{one}": -3 for one in range(1, 6)}
    decoy = {"_6_7": -2.5, "_0_6": -3, "_6_8": -4}
    assert found(**beside) == [(0, one) for one in range(1, 6)]
    assert found(**beside, **decoy) == [(0, one) for one in range(1, 6)]  # one in five
    del beside["_0_1"]
    assert found(**beside, **decoy) == [(0, one) for one in range(2, 6)]  # beyond the decoy: they lead by 3


@given(st.integers(0, 10_000))
def test_as_slow_loops(seed):
    random = np.random.default_rng(seed)
    count = int(random.integers(2, 30))
    edges = [edge for edge in combinations(range(count), 2) if random.random() < 0.4]
    values = random.choice([-7, -6, -5, -4, -3, -2], len(edges)) + random.choice([0, 0.5], len(edges))
    sizes = random.choice([1, 9, 10, 19, 20, 40], count)
    i, j = np.array(edges, np.int32).reshape(-1, 2).T
    expected = slow(edges, values, sizes)
    np.testing.assert_array_equal(outstanding(i, j, values.astype(np.float32), sizes.astype(np.float32)), expected)


def slow(edges, values, sizes):
    partners = [sorted((-values[e], e) for e, edge in enumerate(edges) if node in edge) for node in range(len(sizes))]
    partners = [each[:3] for each in partners if len(each) >= 3]
    if len(partners) < LEAST_CLUSTERS:
        return []
    seconds = [-each[1][0] for each in partners]
    least = max(np.mean(seconds) + 2 * np.std(seconds), -4)
    if least > -0.5:
        return []
    chosen, decoys = [], []
    for (best, edge), (second, other), (third, _) in partners:
        fits, decoy_fits = (max(two) >= 10 and min(two) < 20 for two in (sizes[list(edges[e])] for e in (edge, other)))
        if fits and -best >= least and second - best >= 1.5:
            chosen.append((second - best, edge))
        if decoy_fits and -second >= least and 2 * (third - second) >= 1.5:
            decoys.append(2 * (third - second))
    for limit, _ in sorted(chosen):
        beyond = {edge for lead, edge in chosen if lead >= limit}
        if sum(lead >= limit for lead in decoys) <= 0.2 * sum(lead >= limit for lead, _ in chosen):
            return sorted(beyond)
    return []


def test_two_people_stay_apart_whatever_stands_out(blobs, monkeypatch):
    embeddings, labels = blobs(identities=4, faces=6, spread=0.5)
    graph = KnnGraph.build(embeddings, 5)
    monkeypatch.setattr(pairs, "outstanding", lambda i, j, values, sizes: np.arange(len(i)))
    assert HiLander(k=5).cluster(graph).labels.max() == 0  # everything stands out here
    rows = np.array([[np.flatnonzero(labels == one)[0], np.flatnonzero(labels == other)[0]] for one, other in [(0, 1)]])
    apart = HiLander(k=5).cluster_with(graph, Constraints(len(labels), rows, np.array([False]))).labels
    assert apart[rows[0, 0]] != apart[rows[0, 1]]


@pytest.mark.parametrize(("people", "least"), [(30, 0.95), (299, 0.935)])
def test_pieces_of_real_people_join(data, people, least):
    """Without these joins F is .938 and .926."""
    with np.load(data / "embeddings_celeba299_mobilefacenet128.npz", allow_pickle=False) as content:
        chosen = np.isin(content["labels"], np.unique(content["labels"])[:people])
        faces, truth = normalize(content["embeddings"][chosen]), content["labels"][chosen]
    figures = scores(truth, HiLander().cluster(KnnGraph.build(faces, 10)).labels)
    assert min(figures["pairwise_f"], figures["bcubed_f"]) > least
