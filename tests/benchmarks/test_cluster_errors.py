"""Errors put into clusters by hand: as many as asked, of the kind asked, and nothing else."""

import sys

import cluster_errors as errors
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.clusters import scores

identities = (
    st.lists(st.integers(-1, 12), min_size=8, max_size=80)
    .map(np.array)
    .filter(lambda labels: len(np.unique(labels[labels >= 0])) > 1)
)
seeds = st.integers(0, 1000)


def spoil(kind: str, labels: np.ndarray, share: float, seed: int) -> np.ndarray | None:
    """Spoilt labels; None if the share is out of reach. Whatever the kind, unknown faces stay unknown."""
    before = labels.copy()
    try:
        spoilt = errors.spoilt(kind, labels, share, seed)
    except ValueError:
        return None
    assert np.array_equal(labels, before)
    assert spoilt.shape == labels.shape
    assert spoilt.dtype == labels.dtype
    assert (spoilt[labels < 0] == -1).all()
    assert np.array_equal(spoilt, errors.spoilt(kind, labels, share, seed))
    return spoilt


def wanted(labels: np.ndarray, share: float) -> int:
    return round(share * np.count_nonzero(labels >= 0))


@settings(max_examples=60, deadline=None)
@given(identities, st.sampled_from(["splits", "strays", "missing faces"]), st.floats(0, 0.5), seeds)
def test_as_many_faces_as_asked_have_another_label(labels, kind, share, seed):
    spoilt = spoil(kind, labels, share, seed)
    if spoilt is not None:
        assert np.count_nonzero(spoilt != labels) == wanted(labels, share)


@settings(max_examples=60, deadline=None)
@given(identities, st.floats(0, 0.5), seeds)
def test_splits_make_two_pure_parts_of_an_identity_and_no_more(labels, share, seed):
    spoilt = spoil("splits", labels, share, seed)
    if spoilt is None:
        return
    for name in np.unique(labels[labels >= 0]):
        parts, faces = np.unique(spoilt[labels == name], return_counts=True)
        assert len(parts) <= 2
        assert parts[0] == name
        assert len(parts) == 1 or faces[1] <= faces.sum() // 2
        assert not np.isin(parts[1:], labels).any()
    assert scores(labels, spoilt)["purity"] == 1


@settings(max_examples=60, deadline=None)
@given(identities, st.floats(0, 0.5), seeds)
def test_merges_join_whole_identities_in_pairs(labels, share, seed):
    spoilt = spoil("merges", labels, share, seed)
    if spoilt is None:
        return
    changed = np.count_nonzero(spoilt != labels)
    untouched = []
    for name in np.unique(spoilt[spoilt >= 0]):
        members, faces = np.unique(labels[spoilt == name], return_counts=True)
        assert len(members) <= 2
        assert name in members
        assert all(np.all(spoilt[labels == member] == name) for member in members)
        assert faces[members == name] == faces.max()
        untouched += [faces[0]] if len(members) == 1 else []
    assert changed <= wanted(labels, share)
    pairs = np.sort(untouched)[::-1][1::2]
    assert not len(pairs) or changed + pairs.min() > wanted(labels, share)


@settings(max_examples=60, deadline=None)
@given(identities, st.floats(0, 1), seeds)
def test_strays_go_to_another_identity(labels, share, seed):
    spoilt = spoil("strays", labels, share, seed)
    if spoilt is not None:
        assert np.isin(spoilt, labels).all()
        assert np.array_equal(spoilt < 0, labels < 0)


@settings(max_examples=60, deadline=None)
@given(identities, st.floats(0, 1), seeds)
def test_missing_identities_are_whole(labels, share, seed):
    spoilt = spoil("missing identities", labels, share, seed)
    if spoilt is None:
        return
    gone = spoilt != labels
    assert (spoilt[gone] == -1).all()
    names, faces = np.unique(labels[labels >= 0], return_counts=True)
    left = np.isin(names, spoilt)
    assert gone.sum() == faces[~left].sum() <= wanted(labels, share)
    assert gone.sum() + faces[left].min() > wanted(labels, share)


@pytest.mark.parametrize("kind", ["splits", "strays", "missing faces"])
def test_errors_of_a_smaller_share_are_among_those_of_a_larger(kind):
    labels = np.random.default_rng(1).integers(0, 40, 500)
    few, many = (errors.spoilt(kind, labels, share, 3) for share in (0.1, 0.3))
    changed = few != labels
    assert np.array_equal(few[changed], many[changed])
    assert changed.sum() == 50


def test_strays_go_to_identities_in_proportion_to_their_faces():
    labels = np.repeat([5, 6, 7], [400, 100, 300])
    spoilt = errors.spoilt("strays", labels, 0.5, 0)
    moved = spoilt[(labels == 5) & (spoilt != 5)]
    assert set(np.unique(moved)) == {6, 7}
    assert 0.15 < np.mean(moved == 6) < 0.35


def test_seeds_differ():
    labels = np.repeat(np.arange(30), 4)
    for kind in errors.KINDS:
        first, second = (errors.spoilt(kind, labels, 0.2, seed) for seed in (0, 1))
        assert not np.array_equal(first, second), kind
        assert np.count_nonzero(first != labels) == 24, kind


@pytest.mark.parametrize(
    ("kind", "share", "most"), [("splits", 0.6, 4), ("merges", 0.6, 4), ("missing identities", 1, 7)]
)
def test_shares_out_of_reach_are_refused(kind, share, most):
    with pytest.raises(ValueError, match=f"of 8 faces of 2 identities; at most {most} can be changed"):
        errors.spoilt(kind, np.array([0, 0, 0, 0, 1, 1, 1, 1]), share, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rows", "splits;melts"], "unknown melts; there are no error; splits"),
        ([], "not a finished folder of the recipe: no corpus/labelled"),
        (["--shares", "many"], "invalid float value: 'many'"),
    ],
)
def test_wrong_options_end_in_one_line(tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.setattr(sys, "argv", ["cluster_errors.py", str(tmp_path), *options])
    with pytest.raises(SystemExit) as end:
        errors.main()
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_without_a_run_it_says_so_and_ends_well(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["cluster_errors.py"])
    with pytest.raises(SystemExit) as end:
        errors.main()
    assert end.value.code is None
    assert capsys.readouterr().out.startswith("skipped: no runs/demo; make demo")


def test_repairs_by_hand():
    truth = np.array([5, 5, 5, 7, 7, 7, 7, 9])
    found = np.array([0, 0, 1, 1, 1, 2, 2, -1])
    assert errors.right_labels(truth, found).tolist() == [5, 5, 5, 7, 7, 7, 7, -1]
    assert errors.pieces_joined(truth, found).tolist() == [5, 5, 7, 7, 7, 7, 7, -1]
    assert errors.strays_out(truth, found).tolist() == [0, 0, -1, 1, 1, 2, 2, -1]


@settings(max_examples=30, deadline=None)
@given(identities, seeds)
def test_repairs_leave_what_they_say(truth, seed):
    rng = np.random.default_rng(seed)
    truth, found = np.abs(truth), rng.integers(-1, 5, len(truth))
    found = np.unique(found, return_inverse=True)[1] - (found.min() < 0)
    strays, joined = errors.strays_out(truth, found), errors.pieces_joined(truth, found)
    kept = strays >= 0
    if kept.any():
        assert scores(truth[kept], strays[kept])["purity"] == 1
    assert np.array_equal(joined[kept], truth[kept])
    assert np.array_equal(joined >= 0, found >= 0)
