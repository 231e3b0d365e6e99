from __future__ import annotations

import faiss
import numpy as np
import pytest

from clustering.graph import exact as module
from clustering.graph.exact import search, take
from facerec.pipeline.embeddings import normalize


@pytest.fixture
def embeddings():
    return normalize(np.random.default_rng(0).normal(size=(90, 6)))


def test_blocks_of_rows_give_what_all_at_once_give(embeddings, monkeypatch):
    rows = np.arange(90)
    whole = search(embeddings, rows, rows, 7)
    monkeypatch.setattr(module, "SEARCH_ROWS", 13)
    monkeypatch.setattr(module, "QUERY_ROWS", 20)
    ids, cosines = search(embeddings, rows, rows, 7)
    np.testing.assert_array_equal(ids, whole[0])
    np.testing.assert_allclose(cosines, whole[1], atol=1e-6)


def test_equals_a_faiss_index(embeddings):
    index = faiss.IndexFlatIP(6)
    index.add(embeddings)
    expected = index.search(embeddings, 6)[1][:, 1:]
    np.testing.assert_array_equal(search(embeddings, np.arange(90), np.arange(90), 5)[0], expected)


def test_blocks_keep_the_order_of_equal_ones(monkeypatch):
    monkeypatch.setattr(module, "SEARCH_ROWS", 2)
    ids = search(np.ones((5, 1), np.float32), np.array([2, 4]), np.arange(5), 4)[0]
    np.testing.assert_array_equal(ids, [[0, 1, 3, 4], [0, 1, 2, 3]])
    assert search(np.ones((6, 1), np.float32), np.array([5]), np.arange(6), 2)[0].tolist() == [[0, 1]]


def test_no_cosine_is_beyond_one():
    assert search(np.full((2, 1), 1 + 1e-6, np.float32), np.arange(2), np.arange(2), 1)[1].tolist() == [[1], [1]]


def test_only_among_the_named_rows(embeddings, monkeypatch):
    monkeypatch.setattr(module, "SEARCH_ROWS", 4)
    among = np.array([3, 5, 6, 7, 50, 80])
    ids, cosines = search(embeddings, np.array([5, 60]), among, 6)
    assert set(ids[0]) == {3, 6, 7, 50, 80, -1}
    assert set(ids[1]) == set(among)
    assert cosines[0, -1] == 0


def test_consecutive_rows_are_not_copied(embeddings):
    assert np.shares_memory(take(embeddings, np.arange(10, 20)), embeddings)
    np.testing.assert_array_equal(take(embeddings, np.array([1, 3, 2, 4])), embeddings[[1, 3, 2, 4]])


def test_half_precision_is_searched_in_single(embeddings):
    half = embeddings.astype(np.float16)
    rows = np.arange(90)
    expected = search(half.astype(np.float32), rows, rows, 4)
    for found, wanted in zip(search(half, rows, rows, 4), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_few_queries_are_multiplied_too(monkeypatch):
    before, during = faiss.cvar.distance_compute_blas_threshold, []
    real = faiss.knn
    monkeypatch.setattr(
        faiss, "knn", lambda *a, **b: during.append(faiss.cvar.distance_compute_blas_threshold) or real(*a, **b)
    )
    search(np.eye(4, dtype=np.float32), np.arange(4), np.arange(4), 2)
    assert during == [1024]
    assert faiss.cvar.distance_compute_blas_threshold == before > 1024


@pytest.mark.parametrize(("processes", "expected"), [(1, None), (3, [0])])
def test_a_process_has_all_gpus_or_one_of_several_its_own(embeddings, monkeypatch, processes, expected):
    used = []
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 2)
    monkeypatch.setattr(faiss, "index_cpu_to_gpus_list", lambda index, gpus: used.append(gpus) or index)
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    monkeypatch.setenv("LOCAL_RANK", str(processes - 1))
    ids, _ = search(embeddings, np.arange(90), np.arange(90), 5)
    assert used == [expected]
    monkeypatch.undo()
    np.testing.assert_array_equal(ids, search(embeddings, np.arange(90), np.arange(90), 5)[0])
