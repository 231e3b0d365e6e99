import os

import pytest

from facerec.pipeline.worker_pool import spread


class Multiplied:
    """Counts how often it is pickled."""

    pickled = 0

    def __init__(self, factor: int):
        self.factor = factor

    def __reduce__(self):
        Multiplied.pickled += 1
        return Multiplied, (self.factor,)

    def __call__(self, item: int) -> tuple[int, int, str]:
        return item * self.factor, os.getpid(), os.environ.get("TOY_PREPARED", "no")


def prepare() -> None:
    os.environ["TOY_PREPARED"] = "yes"


@pytest.mark.parametrize("workers", [1, 2])
def test_results_are_in_order(workers):
    Multiplied.pickled = 0
    done = list(spread(Multiplied(3), range(20), workers, prepare))
    assert [number for number, _, _ in done] == [3 * item for item in range(20)]
    processes = {process for _, process, _ in done}
    assert (os.getpid() in processes) == (workers == 1)
    assert {prepared for _, _, prepared in done} == {"no" if workers == 1 else "yes"}
    assert Multiplied.pickled == (0 if workers == 1 else workers)


def test_one_item_needs_no_process():
    assert list(spread(Multiplied(3), [5], 4)) == [(15, os.getpid(), "no")]
