"""What every registered backend must do. A new backend needs no new tests here."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_clustering

from clustering.backends.hilander.single_level import Lander
from clustering.backends.registry import BACKENDS, backend, load_clusterer
from clustering.clusterer import Clusterer
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import consecutive
from clustering.result import Clustering
from facerec.pipeline.embeddings import normalize
from facerec.pipeline.files import InputError, load_array

LIBRARIES = {"infomap": "infomap", "leiden": "igraph"}
QUICK: dict[str, dict[str, Any]] = {
    "gcn_e": {"k": 8, "faces": 256, "p_tau": 0.05},
    "gcn_v": {"k": 8, "epochs": 8},
    "l2c": {"k": 8, "epochs": 5},
    "lgcn": {"k": 8, "epochs": 10, "learning_rate": 0.01, "faces": 256, "p_tau": 0.5},
}


@cache
def quickly_trained(name: str, blobs, dimension: int) -> Clusterer:
    embeddings, labels = blobs(identities=8, dimension=dimension)
    return backend(name).learn(embeddings, labels, seed=0, **QUICK[name])


class AnyDimension:
    """A backend that is bound to the dimension of what it learned from: here a model for each that is asked for."""

    def __init__(self, name: str, blobs, **settings: Any):
        self.name, self.blobs, self.settings = name, blobs, settings
        for key, value in vars(quickly_trained(name, blobs, 16).with_settings(**settings)).items():
            setattr(self, key, value)

    def cluster(self, graph: KnnGraph) -> Clustering:
        found = quickly_trained(self.name, self.blobs, graph.embeddings.shape[1])
        return found.with_settings(**self.settings).cluster(graph)

    def with_settings(self, **settings: Any) -> AnyDimension:
        return AnyDimension(self.name, self.blobs, **settings)

    def save_pretrained(self, folder: Path) -> None:
        quickly_trained(self.name, self.blobs, 16).save_pretrained(folder)


@pytest.fixture(params=sorted(BACKENDS))
def clusterer(request: pytest.FixtureRequest, blobs) -> Clusterer:
    if request.param == "hilander":
        return request.getfixturevalue("hilander")
    if request.param == "lander":
        return Lander(**{**request.getfixturevalue("hilander").get_params(), "levels": 1})
    if request.param in QUICK:
        return AnyDimension(request.param, blobs)
    if request.param in LIBRARIES:
        pytest.importorskip(LIBRARIES[request.param])
    embeddings, labels = blobs()
    return backend(request.param).learn(embeddings, labels, seed=0)


@pytest.mark.parametrize("name", sorted(name for name in BACKENDS if backend(name).learns))
def test_learns_the_same_whatever_was_drawn_before(name, blobs, tmp_path):
    embeddings, labels = blobs(identities=8)
    settings = QUICK.get(name, {"epochs": 2, "hidden": 8, "k": 5, "simulated": 0})
    for before in (1, 2):
        torch.manual_seed(before)
        np.random.seed(before)  # noqa: NPY002
        drawn, torchs = np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
        (tmp_path / str(before)).mkdir()
        known = name in QUICK and before == 1  # after whatever the tests before this one drew
        learned = quickly_trained(name, blobs, 16) if known else backend(name).learn(embeddings, labels, 0, **settings)
        learned.save_pretrained(tmp_path / str(before))
        assert torch.equal(torch.get_rng_state(), torchs), "the caller's random numbers begin anew"
        assert np.random.get_state()[1].tolist() == drawn  # noqa: NPY002
    first, second = ({path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()} for folder in ("1", "2"))
    assert first == second


@pytest.fixture(params=sorted(BACKENDS))
def estimator(request: pytest.FixtureRequest, blobs) -> Clusterer:
    """With its defaults, or a small model for embeddings of two dimensions, as scikit-learn's checks have them."""
    if request.param in QUICK:
        few_steps = {"steps": 40} if request.param == "l2c" else {}
        return quickly_trained(request.param, blobs, 2).with_settings(**few_steps)
    if request.param in LIBRARIES:
        pytest.importorskip(LIBRARIES[request.param])
    few_neighbours = {"k": 10} if request.param == "aro" else {}  # 40, its default, are most of the check's 50 faces
    return backend(request.param)(**few_neighbours)


def test_it_is_an_estimator_of_scikit_learn(estimator):
    check_clustering(estimator.name, estimator, readonly_memmap=True)


def test_a_clone_has_equal_settings_and_is_not_fitted(estimator, blobs):
    embeddings, _ = blobs(dimension=2, identities=5)
    found = estimator.fit_predict(embeddings)
    copy = clone(estimator)
    assert type(copy) is type(estimator)
    assert not [name for name in vars(copy) if name.endswith("_")]
    plain, other = ({k: v for k, v in each.get_params().items() if k != "model"} for each in (estimator, copy))
    assert plain == other
    np.testing.assert_array_equal(copy.fit_predict(embeddings), found)


def test_params_are_checked_before_any_is_set(estimator):
    copy = clone(estimator)
    name = next(name for name, value in reversed(copy.get_params().items()) if isinstance(value, int | float))
    before = copy.get_params()
    assert copy.set_params(**{name: before[name]}) is copy
    with pytest.raises(InputError, match=f"{name} is 'x'; it must be"):
        copy.set_params(**{name: "x"})
    with pytest.raises(InputError, match=f"{copy.name} has no setting speed; {copy.name} has .*{name}"):
        copy.set_params(**{name: before[name], "speed": 3})
    assert copy.get_params() == before


def check(clustering: Clustering, n: int) -> None:
    labels = clustering.labels
    assert labels.shape == (n,)
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(consecutive(labels), labels)
    assert clustering.confidence.shape == (n,)
    assert clustering.confidence.dtype == np.float32
    assert np.all((clustering.confidence >= 0) & (clustering.confidence <= 1))
    assert np.all(clustering.confidence[labels < 0] == 0)
    for level in clustering.levels:
        assert level["labels"].shape == (n,)


def partition(labels: np.ndarray) -> np.ndarray:
    """Bool [n, n]: which faces share a cluster."""
    return (labels[:, None] == labels) & (labels[:, None] >= 0)


def random_faces(n: int, d: int, seed: int = 0) -> np.ndarray:
    return normalize(np.random.default_rng(seed).normal(size=(n, d)))


def test_finds_clusters_and_leaves_a_read_only_map_alone(clusterer, blobs, tmp_path):
    embeddings, truth = blobs()
    np.save(tmp_path / "embeddings.npy", embeddings)
    KnnGraph.build(embeddings, 5).save(tmp_path)
    mapped = load_array(tmp_path / "embeddings.npy", "f", 2)
    assert not mapped.flags.writeable
    clustering = clusterer.cluster(KnnGraph.load(tmp_path, mapped))
    check(clustering, len(truth))
    np.testing.assert_array_equal(mapped, embeddings)
    pairs = partition(truth)
    assert (partition(clustering.labels) & pairs).sum() > 0.6 * pairs.sum()


def test_two_far_blobs(clusterer):
    centres = np.array([[1.0] + [0.0] * 15, [-1.0] + [0.0] * 15])
    truth = np.repeat([0, 1], 8)
    faces = normalize(centres[truth] + 0.02 * np.random.default_rng(0).normal(size=(16, 16)))
    settings = {"faces_per_cluster": 8.0} if hasattr(clusterer, "faces_per_cluster") else {}
    clustering = clusterer.with_settings(**settings).cluster(KnnGraph.build(faces, 7))
    np.testing.assert_array_equal(clustering.labels, truth)


def test_deterministic(clusterer, blobs):
    graph = KnnGraph.build(blobs(spread=0.8)[0], 5)
    first, second = clusterer.cluster(graph), clusterer.cluster(graph)
    np.testing.assert_array_equal(first.labels, second.labels)
    np.testing.assert_array_equal(first.confidence, second.confidence)


def test_a_wider_graph_than_it_wants_changes_nothing(clusterer, blobs):
    """So that settings that were tuned on one graph mean the same on another."""
    embeddings, _ = blobs(identities=12, faces=30, spread=0.6)
    wide = KnnGraph.build(embeddings, clusterer.k + 15)
    found = clusterer.cluster(wide)
    own = clusterer.cluster(wide.narrowed(clusterer.k))
    np.testing.assert_array_equal(found.labels, own.labels)
    np.testing.assert_array_equal(found.confidence, own.confidence)


def test_permuted_rows_are_clustered_alike(clusterer, blobs):
    embeddings, _ = blobs(spread=0.8)
    order = np.random.default_rng(1).permutation(len(embeddings))
    straight = clusterer.cluster(KnnGraph.build(embeddings, 5)).labels
    permuted = clusterer.cluster(KnnGraph.build(embeddings[order], 5)).labels
    np.testing.assert_array_equal(partition(straight)[np.ix_(order, order)], partition(permuted))


@pytest.mark.parametrize(("n", "d"), [(1, 4), (2, 4), (3, 2), (5, 64), (40, 2), (40, 64)])
def test_any_size_with_k_beyond_n(clusterer, n, d):
    check(clusterer.cluster(KnnGraph.build(random_faces(n, d), 10)), n)


def test_all_duplicates_are_one_cluster(clusterer):
    faces = np.repeat(random_faces(1, 4), 30, axis=0)
    clustering = clusterer.cluster(KnnGraph.build(faces, 5))
    check(clustering, 30)
    if not hasattr(clusterer, "faces_per_cluster"):  # such a one is told the number of clusters
        assert clustering.labels.max() <= 2


def test_negative_cosines(clusterer):
    faces = normalize(np.vstack([np.eye(4), -np.eye(4)]))
    graph = KnnGraph.build(faces, 7)
    assert graph.similarities.min() == -1
    check(clusterer.cluster(graph), 8)


def test_graph_with_missing_neighbours_and_an_unreadable_face(clusterer, blobs):
    embeddings, _ = blobs()
    embeddings[3] = 0
    graph = KnnGraph.build(embeddings, 5)
    neighbors, similarities = graph.neighbors.copy(), graph.similarities.copy()
    neighbors[10:20, 2:] = -1
    similarities[10:20, 2:] = 0
    neighbors[30] = -1
    similarities[30] = 0
    clustering = clusterer.cluster(KnnGraph(embeddings, neighbors, similarities))
    check(clustering, len(embeddings))
    assert clustering.labels[3] == -1
    assert np.count_nonzero(clustering.labels == clustering.labels[40]) > 1


def test_no_readable_face(clusterer):
    clustering = clusterer.cluster(KnnGraph.build(np.zeros((4, 4), np.float32), 2))
    np.testing.assert_array_equal(clustering.labels, [-1] * 4)


def test_saved_and_loaded_it_does_the_same(clusterer, blobs, tmp_path):
    graph = KnnGraph.build(blobs(spread=0.8)[0], 5)
    clusterer.save_pretrained(tmp_path)
    loaded = load_clusterer(clusterer.name, tmp_path)
    np.testing.assert_array_equal(loaded.cluster(graph).labels, clusterer.cluster(graph).labels)
