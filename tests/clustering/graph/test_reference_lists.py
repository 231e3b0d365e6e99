"""learn-to-cluster's kNN files."""

import numpy as np
import pytest

from clustering.commands.cluster import cluster
from clustering.graph.knn_graph import KnnGraph
from facerec.pipeline.embeddings import normalize
from facerec.pipeline.files import InputError, row_blocks

X = normalize(np.random.default_rng(0).normal(size=(40, 6)))


def reference(k=5, rows=X):
    """As its knn_faiss: k nearest by inner product, the row itself first, distances 1 - cosine; a list of pairs."""
    cosines = rows @ rows.T
    nearest = np.argsort(-cosines, axis=1)[:, :k]
    sims = np.take_along_axis(cosines, nearest, axis=1)
    return [(np.array(n, np.int32), 1 - np.array(s, np.float32)) for n, s in zip(nearest, sims, strict=True)]


def test_its_lists_are_our_graph(tmp_path, monkeypatch):
    monkeypatch.setattr("clustering.graph.reference_lists.row_blocks", lambda rows: row_blocks(rows, 15))
    np.savez_compressed(tmp_path / "faiss_k_5.npz", data=reference())
    found, expected = KnnGraph.load(tmp_path / "faiss_k_5.npz", X), KnnGraph.build(X, 4)
    np.testing.assert_array_equal(found.neighbors, expected.neighbors)
    np.testing.assert_allclose(found.similarities, expected.similarities, atol=1e-6)
    assert found.neighbors.dtype == np.int32
    np.testing.assert_array_equal(KnnGraph.load(tmp_path / "faiss_k_5.npz:data", X).neighbors, expected.neighbors)
    np.save(tmp_path / "x.npy", X)
    np.savez(tmp_path / "all.npz", reference(40))
    out = cluster("components", tmp_path / "x.npy", tmp_path / "out", knn=tmp_path / "all.npz")
    ours = cluster("components", tmp_path / "x.npy", tmp_path / "ours")
    np.testing.assert_array_equal(np.load(out / "labels.npy"), np.load(ours / "labels.npy"))


def test_a_row_that_is_not_in_its_own_list_keeps_its_nearest(tmp_path):
    lists = np.array(reference(4), np.float64)
    lists[3] = lists[3][:, [1, 2, 3, 0]]  # itself last
    lists[7, 0, 0], lists[7, 1, 0] = -1, 0  # hnsw found itself not
    np.savez(tmp_path / "x.npz", data=lists)
    np.testing.assert_array_equal(KnnGraph.load(tmp_path / "x.npz", X).neighbors, KnnGraph.build(X, 3).neighbors)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"data": np.zeros((40, 5))}, r"it has data f\[40, 5\]; expected neighbours and distances \[n, 2, k\]"),
        ({"a": np.zeros((40, 2, 3)), "b": np.zeros((40, 2, 3))}, "expected neighbours and distances"),
        ({"data": np.full((40, 2, 3), np.nan)}, "NaN or infinite values in data"),
        ({"data": np.full((40, 2, 3), 77.0)}, "neighbour 77 of 40 rows"),
        ({"data": np.array(reference())[:39]}, "for 40 embeddings"),
        ({"data": np.array(reference(rows=X[::-1]))}, "the graph is of other faces"),
    ],
)
def test_other_arrays_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(InputError, match=message):
        KnnGraph.load(tmp_path / "x.npz", X)
