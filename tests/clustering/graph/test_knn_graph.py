from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clustering.commands.knn import knn
from clustering.graph.knn_graph import KnnGraph, exact_graph
from clustering.graph.second_search import is_listed, share_per_row
from facerec.pipeline.embeddings import normalize
from facerec.pipeline.files import InputError, row_blocks


def brute_force(embeddings: np.ndarray, i: int, k: int) -> list[int]:
    """The k nearest of one row: sort all others by cosine, then index."""
    others = [j for j in range(len(embeddings)) if j != i and embeddings[j].any()]
    return sorted(others, key=lambda j: (-float(embeddings[i] @ embeddings[j]), j))[:k]


@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 40), d=st.integers(2, 9), k=st.integers(1, 12), seed=st.integers(0, 99))
def test_equals_brute_force(n, d, k, seed):
    embeddings = normalize(np.random.default_rng(seed).normal(size=(n, d)))
    graph = KnnGraph.build(embeddings, k)
    assert graph.neighbors.dtype == np.int32
    assert graph.similarities.dtype == np.float32
    for i in range(n):
        expected = brute_force(embeddings, i, k)
        assert graph.neighbors[i].tolist() == expected + [-1] * (k - len(expected))
        np.testing.assert_allclose(
            graph.similarities[i, : len(expected)], embeddings[expected] @ embeddings[i], atol=1e-6
        )
    assert np.all(np.diff(graph.similarities[:, : min(k, n - 1)], axis=1) <= 0)


def test_duplicates_stay_neighbours():
    embeddings = np.repeat(np.eye(2, dtype=np.float32), 3, axis=0)
    graph = KnnGraph.build(embeddings, 2)
    np.testing.assert_array_equal(graph.neighbors, [[1, 2], [0, 2], [0, 1], [4, 5], [3, 5], [3, 4]])
    np.testing.assert_array_equal(graph.similarities, np.ones((6, 2)))


def test_many_duplicates_never_list_themselves():
    graph = KnnGraph.build(np.ones((50, 1), np.float32), 4)
    assert not np.any(graph.neighbors == np.arange(50)[:, None])
    assert graph.valid.all()


def test_unreadable_rows_neither_have_nor_are_neighbours():
    embeddings = np.eye(4, dtype=np.float32)
    embeddings[1] = 0
    graph = KnnGraph.build(embeddings, 3)
    np.testing.assert_array_equal(graph.neighbors, [[2, 3, -1], [-1, -1, -1], [0, 3, -1], [0, 2, -1]])
    np.testing.assert_array_equal(graph.readable, [True, False, True, True])


@pytest.fixture
def folder(tmp_path):
    embeddings = normalize(np.random.default_rng(0).normal(size=(20, 4)))
    np.save(tmp_path / "embeddings.npy", embeddings)
    return tmp_path, embeddings


def test_command_writes_what_load_reads(folder):
    path, embeddings = folder
    out = knn(path / "embeddings.npy", path / "knn", k=3)
    graph = KnnGraph.load(out, embeddings)
    np.testing.assert_array_equal(graph.neighbors, KnnGraph.build(embeddings, 3).neighbors)
    assert graph.narrowed(2).k == 2


def test_half_precision_gives_nearly_the_same_neighbours(tmp_path, blobs):
    faces, _ = blobs(identities=40, faces=10, spread=0.8)
    np.save(tmp_path / "half.npy", faces.astype(np.float16))
    half, single = KnnGraph.load(knn(tmp_path / "half.npy", tmp_path / "half", k=5), faces), KnnGraph.build(faces, 5)
    assert share_per_row(is_listed(single.neighbors, half.neighbors), single.neighbors).mean() > 0.995
    np.testing.assert_allclose(half.similarities, single.similarities, atol=1e-3)


@pytest.mark.parametrize("index", ["exact", "ivf"])
def test_half_precision_is_that_of_its_rounded_rows(tmp_path, blobs, index):
    faces = blobs(identities=150, faces=10, spread=0.8)[0].astype(np.float16)
    np.save(tmp_path / "half.npy", faces)
    np.save(tmp_path / "rounded.npy", normalize(faces))
    half, rounded = (knn(tmp_path / f"{name}.npy", tmp_path / name, k=5, index=index) for name in ("half", "rounded"))
    for name in ("neighbors.npy", "similarities.npy"):
        assert (half / name).read_bytes() == (rounded / name).read_bytes()
    assert {path.name for path in half.iterdir()} == {"meta.json", "neighbors.npy", "similarities.npy"}


def test_a_recall_that_an_exact_graph_does_not_need_is_said(folder, caplog):
    path, _ = folder
    knn(path / "embeddings.npy", path / "plain", k=3, index="exact")
    assert "no effect" not in caplog.text
    knn(path / "embeddings.npy", path / "aimed", k=3, index="exact", recall=0.5)
    assert "--recall has no effect: an exact graph has all neighbours" in caplog.text


@pytest.mark.parametrize(("k", "message"), [(0, "k is 0"), (20, "at most 19 neighbours; k is 20")])
def test_impossible_k(folder, k, message):
    path, _ = folder
    with pytest.raises(InputError, match=message):
        knn(path, path / "knn", k=k)
    assert not (path / "knn").exists()
    assert not (path / "knn.partial").exists()


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("neighbors", lambda a: a + 20, r"neighbour \d\d of 20 rows"),
        ("neighbors", lambda a: np.where(a == a[0, 0], 20, a), "neighbour 20 of 20 rows"),
        ("neighbors", lambda a: np.where(a == a[0, 0], -2, a), "neighbour -2 of 20 rows"),
        ("neighbors", lambda a: np.where(a >= 0, np.arange(20)[:, None], a), "row 0 is its own neighbour"),
        ("neighbors", lambda a: np.where(np.arange(20)[:, None] == 15, 15, a), "row 15 is its own neighbour"),
        ("neighbors", lambda a: a[:-1], "for 20 embeddings"),
        ("neighbors", lambda a: a.astype(float), "expected integers"),
        ("similarities", lambda a: a * np.nan, "NaN or values beyond"),
        ("similarities", lambda a: a[:, :1], "similarities"),
    ],
)
def test_graph_that_cannot_be_right(folder, file, change, message, monkeypatch):
    monkeypatch.setattr("clustering.graph.knn_graph.row_blocks", lambda rows: row_blocks(rows, 7))
    path, embeddings = folder
    out = knn(path, path / "knn", k=3)
    np.save(out / f"{file}.npy", change(np.load(out / f"{file}.npy")))
    with pytest.raises(InputError, match=message):
        KnnGraph.load(out, embeddings)


def test_arrays_of_any_type_length_and_order_make_the_graph_of_their_unit_rows(blobs):
    unit = blobs(identities=20, faces=5)[0]
    graph = KnnGraph.build(unit, 4)
    assert graph.embeddings is unit
    for other in (20 * unit, unit.astype(np.float64), np.asfortranarray(unit * 3), unit[::-1][::-1]):
        found = KnnGraph.build(other, 4)
        np.testing.assert_array_equal(found.neighbors, graph.neighbors)
        np.testing.assert_allclose(found.similarities, graph.similarities, atol=1e-6)
    whole = KnnGraph.build(np.array([[3, 4], [4, 3], [-5, 0]]), 1)
    np.testing.assert_allclose(whole.similarities[:, 0], [0.96, 0.96, -0.6], atol=1e-6)
    assert KnnGraph.build(unit.astype(np.float16), 4).embeddings.dtype == np.float32


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1.0, 0], [0, np.nan]], "embeddings: row 1 has NaN or infinite values"),
        ([[np.inf, 0], [0, 1]], "embeddings: row 0 has NaN or infinite values"),
        ([1.0, 2], "embeddings: float64 of shape .2.; expected numbers .n, d."),
        ([["a"]], "embeddings: <U1 of shape .1, 1.; expected numbers .n, d.: np.asarray.x, dtype=np.float32.$"),
        (np.ones((1, 2), object), "embeddings: object of shape .1, 2.; .*: np.asarray.x, dtype=np.float32.$"),
        ([[1.0, 2], [3.0]], "embeddings: no array of numbers: .*inhomogeneous"),
        (torch.ones(2, 2, dtype=torch.bfloat16), "embeddings: no array of numbers: .*BFloat16"),
        (np.ma.masked_less([[1.0, -2]], 0), "embeddings: some values are masked; fill them"),
    ],
)
def test_arrays_that_are_no_embeddings(rows, message):
    with pytest.raises(InputError, match=message):
        KnnGraph.build(rows, 1)


def test_a_graph_of_other_embeddings_is_refused_naming_the_row(blobs, tmp_path):
    embeddings = blobs(identities=30, faces=5)[0]
    KnnGraph.build(embeddings, 4).save(tmp_path)
    assert len(KnnGraph.load(tmp_path, embeddings)) == 150
    shuffled = embeddings[np.random.default_rng(0).permutation(150)]
    for other in (blobs(identities=30, faces=5, seed=1)[0], shuffled):
        with pytest.raises(
            InputError, match=r"row 0: 0\.\d+ with neighbour \d+, but the cosine of these embeddings is"
        ):
            KnnGraph.load(tmp_path, other)


def test_distances_in_place_of_cosines_are_refused(blobs, tmp_path):
    embeddings = blobs(identities=30, faces=5)[0]
    graph = KnnGraph.build(embeddings, 4)
    np.save(tmp_path / "neighbors.npy", graph.neighbors)
    np.save(tmp_path / "similarities.npy", 1 - graph.similarities)
    with pytest.raises(InputError, match="the graph is of other faces, or of another order or measure"):
        KnnGraph.load(tmp_path, embeddings)


def test_a_graph_of_rounded_embeddings_is_theirs(blobs, tmp_path):
    embeddings = blobs(identities=30, faces=5)[0]
    KnnGraph.build(embeddings.astype(np.float16), 4).save(tmp_path)
    assert len(KnnGraph.load(tmp_path, embeddings)) == 150


def test_missing_neighbours_are_loaded_and_checked(tmp_path):
    embeddings = normalize(np.array([[1, 0], [1, 1], [0.5, 1]]))
    KnnGraph.build(embeddings, 4).save(tmp_path)
    graph = KnnGraph.load(tmp_path, embeddings)
    graph.check()
    assert graph.neighbors[:, 2:].tolist() == [[-1, -1]] * 3
    assert exact_graph(embeddings, 10).k == 2
    nobody = KnnGraph(np.zeros((0, 2), np.float32), np.zeros((0, 1), np.int32), np.zeros((0, 1), np.float32))
    with pytest.raises(InputError, match="expected a face and a neighbour at least"):
        nobody.check()


def test_embeddings_of_other_lengths_are_named_as_what_they_are(tmp_path):
    embeddings = normalize(np.array([[1, 0], [1, 1], [0.5, 1]]))
    KnnGraph.build(embeddings, 2).save(tmp_path)
    with pytest.raises(InputError, match="embeddings: row 0 has length 3.000; give rows of unit length"):
        KnnGraph.load(tmp_path, 3 * embeddings)


def test_a_graph_of_lists_is_one_of_arrays():
    graph = KnnGraph([[1.0, 0.0], [0.0, 1.0]], [[1], [0]], [[0.0], [0.0]])
    assert graph.k == 1
    assert graph.valid.all()
    with pytest.raises(InputError, match=r"similarities: \[2, 2\], \[2, 1\], \[2\]; expected shapes"):
        KnnGraph([[1.0, 0.0], [0.0, 1.0]], [[1], [0]], [0.0, 0.0])
