"""Rows of one array among those of another, against a slow comparison of all with all."""

import numpy as np

from facerec.pipeline.equal_rows import EqualRows


def test_each_row_is_found_where_it_stands_first():
    rows = np.random.default_rng(0).integers(3, size=(40, 3)).astype(np.float32)
    wanted = np.random.default_rng(1).integers(4, size=(60, 3)).astype(np.float32)
    slow = [next((at for at, row in enumerate(rows) if np.array_equal(row, one)), -1) for one in wanted]
    assert EqualRows(rows).find(wanted).tolist() == slow
    assert -1 in slow


def test_rows_of_one_hash_are_compared():
    class Blind(EqualRows):
        def _hashes(self, rows):
            return np.zeros(len(rows), np.uint64)

    assert Blind(np.eye(2, dtype=np.float32)).find(np.eye(2, dtype=np.float32)).tolist() == [0, -1]
