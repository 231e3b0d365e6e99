from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from clustering.backends.hilander import hilander as hierarchy
from clustering.backends.hilander.hilander import cache_lowest_level
from clustering.backends.hilander.level import Level
from clustering.backends.registry import backend, load_clusterer
from clustering.commands.cluster import cluster
from clustering.graph.corpus_scale import CorpusScale
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import consecutive
from clustering.similarity.centres import mean_pair_cosine
from clustering.similarity.mixtures import (
    FEW,
    GROUPS,
    LARGEST,
    SHARE,
    SPREADS,
    STRICTEST,
    mean_similarities,
    mixed,
    nearest_of_few,
    unmixed,
)  # fmt: skip
from eval.clusters import scores
from facerec.pipeline.embeddings import normalize
from facerec.pipeline.files import read_json


def together(labels: np.ndarray, people: list[int]) -> np.ndarray:
    """The people as one cluster, of the number of the first."""
    return np.where(np.isin(labels, people), people[0], labels)


def test_people_are_no_mixtures_and_several_together_are(blobs):
    embeddings, labels = blobs(identities=60, faces=20, dimension=64, spread=0.7)
    graph = KnnGraph.build(embeddings, 10)
    assert not mixed(graph, labels)
    assert mixed(graph, consecutive(together(labels, list(range(20, 35)))))
    assert mixed(graph, np.zeros(len(labels), np.int64))
    assert not mixed(graph, np.full(len(labels), -1))


def test_only_the_largest_clusters_count(blobs):
    embeddings, labels = blobs(identities=LARGEST + 40, faces=30, dimension=64, spread=0.7)
    faces = np.concatenate([np.flatnonzero(labels < LARGEST), np.arange(LARGEST * 30, len(labels), 30)])
    embeddings, labels = embeddings[faces], labels[faces]  # people of 30 faces, and one face each of 40 others
    graph = KnnGraph.build(embeddings, 10)
    few, many = (together(labels, list(range(LARGEST, LARGEST + count))) for count in (9, 40))
    assert not mixed(graph, consecutive(few))
    assert mixed(graph, consecutive(many))
    assert not mixed(graph, consecutive(together(labels, list(range(LARGEST, LARGEST + 29)))))  # the eleventh in size
    assert mixed(graph, consecutive(together(labels, list(range(LARGEST, LARGEST + 30)))))  # as large as the tenth


def test_one_wide_person_is_no_mixture():
    """Pairs hardly more alike than strangers, but edges are not either; and pairs that are, though edges are near 1."""
    random = np.random.default_rng(0)
    strangers = normalize(random.normal(size=(600, 32)))
    centre, wide = normalize(random.normal(size=(1, 32))), normalize(random.normal(size=(40, 32)))
    person = normalize(centre + 1.3 * wide)
    assert not mixed(*clustered(person, strangers))
    halves = normalize(centre + 2.2 * normalize(random.normal(size=(2, 32))))
    person = normalize(np.repeat(halves, 20, axis=0) + 0.1 * wide)
    assert not mixed(*clustered(person, strangers))


def clustered(person: np.ndarray, strangers: np.ndarray) -> tuple[KnnGraph, np.ndarray]:
    """A graph of one person and strangers, and who is who."""
    labels = np.append(np.zeros(len(person), np.int64), 1 + np.arange(len(strangers)))
    return KnnGraph.build(np.vstack([person, strangers]), 10), labels


def test_one_person_with_hundreds_of_faces_is_no_mixture():
    """The nearest of hundreds is very near; that of a few is not."""
    random = np.random.default_rng(0)
    strangers = normalize(random.normal(size=(1200, 24)))
    directions = np.linalg.qr(random.normal(size=(24, 12)))[0]
    looks = random.normal(size=(600, 12)) @ directions.T / np.sqrt(12)
    person = normalize(normalize(random.normal(size=(1, 24))) + 0.9 * looks)
    graph, labels = clustered(person, strangers)
    scale = CorpusScale.of(graph)
    above = mean_pair_cosine(person.sum(axis=0, keepdims=True), np.array([600]))[0] - scale.location
    assert above < SPREADS * scale.spread
    assert above < SHARE * (graph.similarities[:600].mean() - scale.location)
    assert not mixed(graph, labels)


def test_mean_similarities_equal_slow_code(blobs):
    embeddings, labels = blobs(spread=0.8)
    graph = KnnGraph.build(embeddings, 5)
    labels[3] = -1
    found = np.transpose(mean_similarities(graph, labels))
    assert len(found) == labels.max() + 1
    for number, figures in enumerate(found):
        rows = np.flatnonzero(labels == number)
        pairs = [embeddings[a] @ embeddings[b] for a in rows for b in rows if a != b]
        edges = [embeddings[a] @ embeddings[b] for a in rows for b in graph.neighbors[a] if b >= 0 and b in rows]
        assert figures == pytest.approx((np.mean(pairs), np.mean(edges)), abs=1e-6)
    lonely = replace(graph, neighbors=np.full_like(graph.neighbors, -1))
    assert (mean_similarities(lonely, labels)[1] == -1).all()


def test_nearest_of_few_equals_slow_code_within_a_group(blobs):
    embeddings, labels = blobs(identities=5, faces=FEW, spread=0.8)
    labels[3] = -1
    labels[labels == 4] = np.where(np.arange((labels == 4).sum()) < 2, 4, -1)
    found = nearest_of_few(embeddings, labels)
    for number, figure in enumerate(found):
        rows = np.flatnonzero(labels == number)
        nearest = [max(embeddings[a] @ embeddings[b] for b in rows if b != a) for a in rows]
        assert figure == pytest.approx(np.mean(nearest), abs=1e-6)


def test_nearest_of_few_does_not_grow_with_the_cluster(blobs):
    embeddings, _ = blobs(identities=1, faces=3 * FEW * GROUPS, dimension=16, spread=0.8)
    whole = nearest_of_few(embeddings, np.zeros(len(embeddings), np.int64))
    parts = nearest_of_few(embeddings, np.arange(len(embeddings)) // (len(embeddings) // 10))
    assert (len(whole), len(parts)) == (1, 10)
    assert whole[0] == pytest.approx(parts.mean(), abs=0.01)
    nearest = KnnGraph.build(embeddings, 1).similarities.mean()
    assert whole[0] < nearest - 0.05


def test_p_tau_is_raised_for_a_weak_recogniser_and_for_no_other(real):
    clusterer = load_clusterer("hilander", None).with_settings(merging="edges")  # which chain where pairs do not
    embeddings, truth = real("lfw112")
    strong = clusterer.cluster(KnnGraph.build(embeddings, 10))
    assert strong.notes["p_tau"] == clusterer.p_tau
    assert not strong.warning
    random = np.random.default_rng(0)
    weak = normalize(embeddings @ random.normal(size=(128, 24)).astype(np.float32))
    graph = KnnGraph.build(weak, 10)
    found = clusterer.cluster(graph)
    assert found.notes["p_tau"] > clusterer.p_tau
    assert f"{found.notes['p_tau']:g} is taken" in found.warning
    as_it_is = clusterer.with_settings(adaptive=False)
    raised = as_it_is.with_settings(p_tau=found.notes["p_tau"]).cluster(graph)
    np.testing.assert_array_equal(found.labels, raised.labels)
    before, after = (scores(truth, each.labels) for each in (as_it_is.cluster(graph), found))
    assert all(after[figure] > before[figure] + 0.1 for figure in ("pairwise_f", "bcubed_f"))
    order = random.permutation(len(weak))
    shuffled = clusterer.cluster(KnnGraph.build(weak[order], 10))
    assert shuffled.notes == found.notes


def test_trained_hilander_raises_p_tau_and_says_so_once(blobs, tmp_path, caplog, monkeypatch):
    """LANDER, which it is compared with, does not."""
    embeddings, labels = blobs(identities=8)
    for name in ("hilander", "lander"):
        (tmp_path / name).mkdir()
        backend(name).learn(embeddings, labels, 0, epochs=1, p_tau=0.5, simulated=0).save_pretrained(tmp_path / name)
    np.save(tmp_path / "faces.npy", embeddings)
    answers = iter([True, True, False])
    monkeypatch.setattr(hierarchy, "mixed", lambda graph, labels: next(answers))
    for name, p_tau in (("hilander", 0.875), ("lander", 0.5)):
        out = cluster(name, tmp_path / "faces.npy", tmp_path / f"{name}-clusters", tmp_path / name)
        assert read_json(out / "meta.json")["results"]["p_tau"] == p_tau
    assert caplog.text.count("0.875 is taken") == 1


def test_faces_are_linked_once_however_often_they_are_climbed_from(blobs):
    lowest = Level.of_faces(KnnGraph.build(blobs()[0], 5))
    upper = replace(lowest, sizes=lowest.sizes + 1)
    seen = []

    def link(level):
        seen.append(level)
        return np.full(level.graph.neighbors.shape, len(seen), np.float32)

    once = cache_lowest_level(link)
    assert [once(level)[0, 0] for level in (lowest, upper, lowest, upper)] == [1, 2, 1, 3]
    assert seen == [lowest, upper, upper]


def test_few_faces_in_mixtures_are_tolerated(blobs):
    embeddings, labels = blobs(identities=60, faces=20, dimension=64, spread=0.7)
    graph, pair = KnnGraph.build(embeddings, 10), consecutive(together(labels, [20, 21]))  # 40 of 1,200 faces
    assert mixed(graph, pair, tolerated=0)
    assert mixed(graph, pair, tolerated=0.033)
    assert not mixed(graph, pair)
    more = KnnGraph.build(np.vstack([embeddings, np.zeros((200, 64))]), 10)  # unreadable faces do not count
    assert mixed(more, np.append(pair, np.full(200, -1)), tolerated=0.033)


@pytest.mark.parametrize("name", ["components", "dbscan", "hac_single", "hdbscan"])
def test_untuned_thresholds_do_not_depend_on_neighbours_that_the_backend_does_not_take(blobs, name):
    embeddings, _ = blobs(identities=15, faces=12, dimension=32, spread=1)
    clusterer = load_clusterer(name)
    own, wide = (clusterer.cluster(KnnGraph.build(embeddings, k)) for k in (clusterer.k, 80))
    assert own.notes == wide.notes
    np.testing.assert_array_equal(own.labels, wide.labels)


@pytest.mark.parametrize("name", ["components", "dbscan", "hac_single", "hdbscan"])
def test_untuned_thresholds_rise_until_no_cluster_is_a_mixture(blobs, name):
    graph = KnnGraph.build(blobs(identities=20, faces=20, dimension=16, spread=0.9)[0], 40)
    untuned = load_clusterer(name, None)
    assert untuned.adaptive
    assert not backend(name)().adaptive
    setting = "max_distance" if name == "hdbscan" else "min_similarity"
    loose = untuned.with_settings(**{setting: 0.9 if name == "hdbscan" else 0.1})
    as_it_is, found = loose.with_settings(adaptive=False).cluster(graph), loose.cluster(graph)
    assert mixed(graph, as_it_is.labels)
    assert not mixed(graph, found.labels)
    assert not as_it_is.notes
    np.testing.assert_array_equal(
        found.labels, loose.with_settings(adaptive=False, **found.notes).cluster(graph).labels
    )


def test_thresholds_stop_at_the_strictest(blobs):
    embeddings, _ = blobs(identities=20, faces=20, dimension=16, spread=0.9)
    graph, seen = KnnGraph.build(embeddings, 10), []

    def one_heap(threshold: float) -> np.ndarray:
        seen.append(threshold)
        return np.zeros(len(graph), np.int64)

    assert unmixed(graph, one_heap, 0.8, adaptive=True)[0] == STRICTEST
    assert seen == [0.8, 0.85, 0.9, 0.95]
    assert unmixed(graph, one_heap, 0.8, adaptive=False)[0] == 0.8
