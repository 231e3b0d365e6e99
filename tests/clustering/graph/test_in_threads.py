"""Work in parts by several threads."""

from __future__ import annotations

import multiprocessing
import threading
import time

import faiss
import numpy as np
import pytest
import torch

import clustering
from clustering.graph.in_threads import in_threads


def test_results_come_in_the_order_of_the_parts_from_threads_that_work_at_once():
    barrier = threading.Barrier(2)

    def work(part: int) -> tuple[int, int]:
        if part < 2:
            barrier.wait(timeout=60)
        time.sleep(0.02 if part == 0 else 0)
        return part, threading.get_ident()

    faiss.omp_set_num_threads(2)
    try:
        found = in_threads(work, range(6))
    finally:
        faiss.omp_set_num_threads(1)
    assert [part for part, _ in found] == list(range(6))
    assert len({thread for _, thread in found}) == 2


def test_one_thread_works_where_it_is():
    assert in_threads(lambda _: threading.get_ident(), range(3)) == [threading.get_ident()] * 3


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_process_that_is_forked_after_threads_worked_does_not_wait_for_them():
    """As in `multiprocessing.Pool` on Linux, whose processes are forked. OpenMP waits for ever there."""
    X = np.random.default_rng(0).normal(size=(300, 8))

    def work() -> None:
        clustering.Dbscan(k=3).fit(X)
        assert in_threads(abs, [-1, 2]) == [1, 2]
        assert torch.ones(300, 300).matmul(torch.ones(300, 300)).min() == 300

    faiss.omp_set_num_threads(2)
    torch.set_num_threads(2)
    try:
        work()
        process = multiprocessing.get_context("fork").Process(target=work)
        process.start()
        process.join(20)
        process.kill()
        process.join()
    finally:
        faiss.omp_set_num_threads(1)
        torch.set_num_threads(1)
    assert process.exitcode == 0
