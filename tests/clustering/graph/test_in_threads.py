"""Work in parts by several threads."""

from __future__ import annotations

import threading
import time

import faiss

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
