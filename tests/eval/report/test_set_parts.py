"""Quality and groups of a labelled set, by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from eval.metrics.groups import Rate
from eval.report.set_parts import _lowest, _unit_groups, discard_entry, unit_quality


def test_a_template_has_the_mean_quality_of_its_faces_and_their_group_if_they_agree():
    units = SimpleNamespace(unit_of=np.array([0, 0, 1, -1, 2, 2]), face=np.array([0, 2, 4]))
    evaluation = SimpleNamespace(units=units)
    assert unit_quality(evaluation, np.array([1.0, 3, 5, 9, 2, 2])).tolist() == [2, 5, 2]
    assert _unit_groups(evaluation, np.array([1, 2, 2, 0, 3, 3])).tolist() == [-1, 2, 3]


def test_pairs_are_discarded_by_their_worse_side():
    """Of five pairs one is below the threshold, that with the worst face; one is just at it."""
    genuine = SimpleNamespace(
        score=np.array([0.2, 0.5, 0.9, 0.9, 0.9]), first=np.array([0, 1, 1, 1, 1]), second=np.array([3, 2, 2, 2, 2])
    )
    evaluation = SimpleNamespace(
        units=SimpleNamespace(unit_of=np.arange(4)), pairs=SimpleNamespace(genuine=genuine),
        point=SimpleNamespace(threshold=0.5),
    )  # fmt: skip
    entry, _ = discard_entry(evaluation, np.array([1.0, 2, 3, 9]))
    assert (entry["fnmr"], entry["fnmr_at_discard"]["0.2"]) == (0.2, 0)
    for name in ("mean_fnmr_up_to", "perfect_mean_fnmr_up_to"):
        assert entry[name] == pytest.approx({"0.2": 0.2, "1.0": 0.04})


def test_the_lowest_rate_is_of_groups_that_have_pairs():
    none, some, more = (Rate(errors, pairs, np.zeros(1)) for errors, pairs in ((0, 0), (1, 4), (2, 4)))
    assert _lowest([none, more, some]) == 0.25
