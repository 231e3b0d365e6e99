from __future__ import annotations

import json

import numpy as np
import pytest

from clustering import passes
from clustering.passes import fill


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(passes, "PASS_ROWS", 4)


class Counted:
    """Lists that say which rows they are of; fails when a block starts at `fails_at`."""

    def __init__(self, fails_at: int = -1):
        self.fails_at, self.blocks = fails_at, []

    def __call__(self):
        return self.work

    def work(self, rows):
        if rows[0] == self.fails_at:
            raise KeyboardInterrupt
        self.blocks.append(int(rows[0]))
        return np.stack([rows, rows + 1], axis=1), np.stack([rows / 10, rows / 20], axis=1)


def test_fills_every_block(tmp_path):
    lists = fill(tmp_path / "lists", 10, 2, "pass", Counted())
    np.testing.assert_array_equal(lists.neighbors, np.stack([np.arange(10), np.arange(1, 11)], axis=1))
    assert lists.neighbors.dtype == np.int32
    assert lists.similarities.dtype == np.float32
    np.testing.assert_array_equal(np.load(tmp_path / "lists" / "similarities.npy"), lists.similarities)


def test_goes_on_from_finished_blocks(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path, 10, 2, "pass", Counted(fails_at=8))
    rest = Counted()
    lists = fill(tmp_path, 10, 2, "pass", rest)
    assert rest.blocks == [8]
    np.testing.assert_array_equal(lists.neighbors[:, 0], np.arange(10))


def test_a_finished_pass_is_not_even_prepared(tmp_path):
    fill(tmp_path, 10, 2, "pass", Counted())
    lists = fill(tmp_path, 10, 2, "pass", lambda: pytest.fail("prepared again"))
    np.testing.assert_array_equal(lists.neighbors[:, 1], np.arange(1, 11))


def test_a_block_is_noted_only_when_it_is_written(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path, 10, 2, "pass", Counted(fails_at=4))
    assert json.loads((tmp_path / "progress.json").read_text())["done"] == 1


@pytest.mark.parametrize("other", [{"name": "another"}, {"n": 9}, {"k": 2, "block": 3}])
def test_blocks_of_other_work_do_not_count(tmp_path, other, monkeypatch):
    fill(tmp_path, 10, 2, "pass", Counted())
    monkeypatch.setattr(passes, "PASS_ROWS", other.get("block", 4))
    work = Counted()
    fill(tmp_path, other.get("n", 10), 2, other.get("name", "pass"), work)
    assert work.blocks[0] == 0
