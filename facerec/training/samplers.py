"""Which faces are in the batch of each step: pure functions of the seed and the step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from facerec.pipeline.files import InputError

SAMPLERS = ("random", "balanced")


class Shuffled:
    """Every item once a pass, in an order that each pass has for itself.

    Args:
        count: Number of items.
        key: Seeds of the orders.
    """

    def __init__(self, count: int, key: tuple[int, ...]):
        self.count, self.key = count, key
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def __call__(self, position: int) -> int:
        """The item at a position, counted from 0 through all passes."""
        epoch, index = divmod(position, self.count)
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = np.random.default_rng((*self.key, epoch)).permutation(self.count)
        return int(self._order[index])


class Balanced:
    """Every class once a pass over the classes; every item of a class before one of them comes again.

    Args:
        labels: int64 [n], the class of each item.
        key: Seeds of the orders.
    """

    def __init__(self, labels: np.ndarray, key: tuple[int, ...]):
        self.items = np.argsort(labels, kind="stable")
        _, self.starts, self.counts = np.unique(labels[self.items], return_index=True, return_counts=True)
        self.key, self.classes = key, Shuffled(len(self.counts), key)

    def __call__(self, position: int) -> int:
        """The item at a position, counted from 0 through all passes."""
        label = self.classes(position)
        count = int(self.counts[label])
        epoch, index = divmod(position // len(self.counts), count)
        order = np.random.default_rng((*self.key, label, epoch)).permutation(count)
        return int(self.items[self.starts[label] + order[index]])


class Sampler:
    """The batches of groups of items, each group with a fixed number of positions, spread over the batch.

    Args:
        groups: The items of each group, int64.
        orders: The order of each, in which 0 is its first item.
        counts: Positions of each in a batch.
    """

    def __init__(self, groups: Sequence[np.ndarray], orders: Sequence[Callable[[int], int]], counts: Sequence[int]):
        self.groups, self.orders, self.counts = groups, orders, counts
        self.batch_size = sum(counts)
        ends = np.concatenate([(np.arange(count) + 0.5) / count for count in counts])
        self.spread = np.argsort(ends, kind="stable")

    def __call__(self, step: int) -> np.ndarray:
        """Int64 [batch_size], the items of a step's batch."""
        items = [
            group[[order(position) for position in range(step * count, (step + 1) * count)]]
            for group, order, count in zip(self.groups, self.orders, self.counts, strict=True)
        ]
        return np.concatenate(items)[self.spread]


def choose_sampler(
    name: str, labels: np.ndarray, group: np.ndarray, batch_size: int, seed: int, share: float | None = None
) -> Sampler:
    """A sampler by its name.

    Args:
        name: One of `SAMPLERS`.
        labels: int64 [n], classes.
        group: int64 [n], the group of each item, 0 or 1; it counts if there is a share.
        batch_size: Items a step.
        seed: Seed of the order.
        share: Of group 1 in each batch, or None: groups do not matter.

    Raises:
        InputError: No such sampler. Or a share that is not between 0 and 1, leaves a group without a place, or is of a
            group without items.
    """
    if name not in SAMPLERS:
        raise InputError(f"--sampler {name}; choose one of {', '.join(SAMPLERS)}")
    keys: list[tuple[int, ...]] = [(seed,)]
    if share is None:
        groups, counts = [np.arange(len(labels))], [batch_size]
    else:
        groups = [np.flatnonzero(group == number) for number in (0, 1)]
        second = round(share * batch_size) if 0 < share < 1 else 0
        counts = [batch_size - second, second]
        keys = [(seed, 0), (seed, 1)]
        if min(counts) < 1:
            raise InputError(f"--pseudo-share {share} of --batch-size {batch_size}; both kinds need a place in it")
        if not all(map(len, groups)):
            raise InputError(f"--pseudo-share {share}; it needs both labelled and pseudo-labelled faces")
    orders: list[Callable[[int], int]] = [
        Shuffled(len(items), key) if name == "random" else Balanced(labels[items], key)
        for items, key in zip(groups, keys, strict=True)
    ]
    return Sampler(groups, orders, counts)
