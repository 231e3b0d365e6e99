from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustering.graph import blocks_on_disk as passes
from clustering.graph.blocks_on_disk import block_rows, cached_json, even_rows, fill, release
from facerec.pipeline.files import row_blocks


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    for name in ("LEAST_ROWS", "MOST_ROWS"):
        monkeypatch.setattr(passes, name, 4)


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


def filled(folder, work, n=10, finished="finished"):
    return fill(folder, folder / finished, n, 2, "pass", work)


def test_fills_every_block(tmp_path):
    lists = filled(tmp_path / "lists", Counted())
    np.testing.assert_array_equal(lists.neighbors, np.stack([np.arange(10), np.arange(1, 11)], axis=1))
    np.testing.assert_array_equal(lists.similarities[:, 0], (np.arange(10) / 10).astype(np.float32))
    assert lists.neighbors.dtype == np.int32
    assert lists.similarities.dtype == np.float32
    np.testing.assert_array_equal(np.load(tmp_path / "lists" / "similarities.npy"), lists.similarities)


@pytest.mark.parametrize(
    ("n", "most", "blocks"),
    [(4, 4, [2, 2]), (7, 3, [2, 2, 2, 1]), (9, 4, [3, 3, 3]), (24, 10, [6, 6, 6, 6]), (1, 4, [1]), (0, 4, [])],
)
def test_even_blocks_are_alike_and_two_processes_have_equally_many(n, most, blocks):
    assert [len(range(n)[block]) for block in row_blocks(n, even_rows(n, most))] == blocks


@given(st.integers(3, 100_000), st.integers(1_000, 70_000))
def test_even_blocks_are_even_in_number(n, most):
    rows = even_rows(n, most)
    assert rows <= most
    assert len(row_blocks(n, rows)) % 2 == 0


def test_goes_on_from_finished_blocks(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        filled(tmp_path, Counted(fails_at=8))
    rest = Counted()
    lists = filled(tmp_path, rest)
    assert rest.blocks == [8]
    np.testing.assert_array_equal(lists.neighbors[:, 0], np.arange(10))


def test_finished_blocks_need_not_be_the_first(tmp_path):
    filled(tmp_path, Counted())
    for mark in ("0-4", "8-10"):
        (tmp_path / "finished" / mark).unlink()
    rest = Counted()
    filled(tmp_path, rest)
    assert rest.blocks == [0, 8]


def test_a_finished_pass_is_not_even_prepared(tmp_path):
    filled(tmp_path, Counted())
    lists = filled(tmp_path, lambda: pytest.fail("prepared again"))
    np.testing.assert_array_equal(lists.neighbors[:, 1], np.arange(1, 11))


def test_a_block_counts_only_when_it_is_written(tmp_path, monkeypatch):
    def stopped(path, first, rows):
        if first == 4 and path.name == "similarities.npy":
            raise KeyboardInterrupt
        write(path, first, rows)

    write = passes._write
    monkeypatch.setattr(passes, "_write", stopped)
    with pytest.raises(KeyboardInterrupt):
        filled(tmp_path, Counted())
    assert [mark.name for mark in (tmp_path / "finished").iterdir()] == ["0-4"]


def test_blocks_of_another_size_or_pass_do_not_count(tmp_path, monkeypatch):
    filled(tmp_path, Counted())
    other = Counted()
    filled(tmp_path, other, finished="other")
    assert other.blocks == [0, 4, 8]
    monkeypatch.setattr(passes, "MOST_ROWS", 3)
    smaller = Counted()
    filled(tmp_path, smaller)
    assert smaller.blocks == [0, 3, 6, 9]


@pytest.mark.parametrize(("n", "rows"), [(1, 512), (100_000, 512), (10**6, 977), (10**8, 16_384)])
def test_blocks_grow_with_the_rows(monkeypatch, n, rows):
    monkeypatch.undo()
    assert block_rows(n) == rows


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 30), ranks=st.integers(1, 4))
def test_every_block_is_some_rank_s(tmp_path_factory, n, ranks):
    folder, works = tmp_path_factory.mktemp("lists"), [Counted() for _ in range(ranks)]
    with pytest.MonkeyPatch.context() as patch:  # each rank sees what is left before anyone has begun
        patch.setattr(passes, "world_size", lambda: ranks)
        patch.setattr(passes, "_mark", lambda finished, block: folder / "marks" / f"{patch.number}-{block.start}")
        (folder / "marks").mkdir()
        for patch.number, work in enumerate(works):
            patch.setattr(passes, "rank", lambda: patch.number)
            lists = filled(folder, work, n)
    assert sorted(block for work in works for block in work.blocks) == list(range(0, n, 4))
    assert max(len(work.blocks) for work in works) - min(len(work.blocks) for work in works) <= 1
    np.testing.assert_array_equal(lists.neighbors[:, 0], np.arange(n))


def test_noted_values_are_found_once(tmp_path):
    assert cached_json(tmp_path / "a" / "note.json", lambda: [0.1, float("inf")]) == [0.1, np.inf]
    assert cached_json(tmp_path / "a" / "note.json", lambda: pytest.fail("found again")) == [0.1, np.inf]


@pytest.mark.parametrize("mode", ["r", "c"])
def test_released_rows_are_read_again_and_what_was_written_into_a_copy_stays(tmp_path, mode):
    np.save(tmp_path / "rows.npy", np.arange(100_000))
    rows = np.load(tmp_path / "rows.npy", mmap_mode=mode)
    if mode == "c":
        rows[5] = -1
    release(rows[3:])
    assert rows[5] == (5 if mode == "r" else -1)
    assert rows.sum() == 4_999_950_000 - (0 if mode == "r" else 6)
    release(np.arange(3))
