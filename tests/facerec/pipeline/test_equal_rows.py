"""Rows of one array among those of another, against a slow comparison of all with all."""

import numpy as np

from facerec.pipeline.embeddings import normalize
from facerec.pipeline.equal_rows import EqualRows


def test_each_row_is_found_where_it_stands_first():
    rows = np.random.default_rng(0).integers(3, size=(40, 3)).astype(np.float32)
    wanted = np.random.default_rng(1).integers(4, size=(60, 3)).astype(np.float32)
    slow = [next((at for at, row in enumerate(rows) if np.array_equal(row, one)), -1) for one in wanted]
    assert EqualRows(rows).find(wanted).tolist() == slow
    assert -1 in slow


def test_rows_that_differ_by_rounding_are_equal():
    random = np.random.default_rng(0)
    rows = normalize(random.normal(size=(300, 64)))
    again = (rows * np.float32(1 + 1e-7)) / np.float32(1 - 1e-7)
    assert not np.array_equal(rows, again)
    assert np.mean(EqualRows(rows).find(again) == np.arange(300)) > 0.98
    assert np.all(EqualRows(rows).find(normalize(rows + 1e-4 * random.normal(size=rows.shape))) == -1)


def test_rows_of_one_hash_are_compared():
    class Blind(EqualRows):
        def _hashes(self, rows):
            return np.zeros(len(rows), np.uint64)

    wanted = np.array([[0, 0, 1], [1, 1, 1], [1, 0, 0]], np.float32)
    assert Blind(np.eye(3, dtype=np.float32)).find(wanted).tolist() == [2, -1, 0]
