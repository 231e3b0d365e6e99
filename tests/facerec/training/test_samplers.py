import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facerec.pipeline.files import InputError
from facerec.training.samplers import Balanced, Sampler, Shuffled, choose_sampler

LABELS = np.array([0, 0, 0, 0, 0, 1, 1, 2, 2, 2, 3, 4])
GROUP = np.array([0] * 7 + [1] * 5)


def taken(name, steps, batch_size=6, seed=3, share=None):
    sampler = choose_sampler(name, LABELS, GROUP, batch_size, seed, share)
    return np.stack([sampler(step) for step in range(steps)])


def test_random_order_is_a_permutation_by_seed_and_pass():
    expected = np.concatenate([np.random.default_rng((3, epoch)).permutation(12) for epoch in range(5)])
    assert taken("random", 12, batch_size=5).ravel().tolist() == expected.tolist()
    assert not np.array_equal(taken("random", 2), taken("random", 2, seed=4))


def test_faces_of_a_class_are_in_an_order_by_seed_class_and_pass():
    expected, passes = [], dict.fromkeys(range(5), 0)
    for position in range(60):
        label = int(np.random.default_rng((3, position // 5)).permutation(5)[position % 5])
        mine = np.flatnonzero(label == LABELS)
        epoch, place = divmod(passes[label], len(mine))
        expected.append(mine[np.random.default_rng((3, label, epoch)).permutation(len(mine))[place]])
        passes[label] += 1
    assert taken("balanced", 12, batch_size=5).ravel().tolist() == expected


@pytest.mark.parametrize("name", ["random", "balanced"])
@pytest.mark.parametrize("share", [None, 0.4])
def test_batches_are_a_function_of_seed_and_step_alone(name, share):
    sampler = choose_sampler(name, LABELS, GROUP, 5, 3, share)
    backwards = np.stack([sampler(step) for step in reversed(range(9))])[::-1]
    assert np.array_equal(backwards, taken(name, 9, 5, share=share))


def test_balanced_order_has_every_class_once_a_pass_and_every_face_of_it_before_one_again():
    items = taken("balanced", 10, batch_size=5).ravel()
    passes = LABELS[items].reshape(10, 5)
    assert (np.sort(passes, axis=1) == np.arange(5)).all()
    assert len({tuple(one) for one in passes}) > 5
    for label, count in enumerate(np.bincount(LABELS)):
        mine = items[LABELS[items] == label]
        for start in range(0, len(mine) - count + 1, count):
            assert len(set(mine[start : start + count])) == count


def test_shares_are_kept_in_every_batch_and_spread_over_it():
    batches = taken("random", 14, batch_size=8, share=0.25)
    assert batches.shape == (14, 8)
    second = GROUP[batches] == 1
    assert (second.sum(axis=1) == 2).all()
    assert (second[:, :4].sum(axis=1) == 1).all()
    for number, count in ((0, 7), (1, 5)):
        mine = batches.ravel()[GROUP[batches.ravel()] == number]
        assert len(set(mine[:count])) == count


def test_each_kind_has_an_order_of_its_own():
    items = taken("random", 5, batch_size=8, share=0.25).ravel()
    for number, kind in enumerate((np.arange(7), np.arange(7, 12))):
        order = np.random.default_rng((3, number, 0)).permutation(len(kind))
        assert items[GROUP[items] == number][: len(kind)].tolist() == kind[order].tolist()


def test_shares_are_rounded():
    assert (GROUP[taken("random", 3, batch_size=8, share=0.2)] == 1).sum(axis=1).tolist() == [2, 2, 2]


def test_balanced_groups_have_each_of_their_classes_once_a_pass():
    """Group 1 has classes 2, 3 and 4, and the first face of class 0; it gets four places of seven."""
    group = np.array([1] + [0] * 6 + [1] * 5)
    sampler = choose_sampler("balanced", LABELS, group, 7, 3, 4 / 7)
    batches = np.stack([sampler(step) for step in range(6)])
    second = batches[group[batches] == 1].reshape(6, 4)
    assert (np.sort(LABELS[second], axis=1) == [0, 2, 3, 4]).all()
    first = batches[group[batches] == 0].reshape(9, 2)
    assert (np.sort(LABELS[first], axis=1) == [0, 1]).all()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(1, 9), st.integers(0, 5), st.integers(0, 2**31)
)
def test_balanced_classes_come_equally_often(labels, batch_size, step, seed):
    labels = np.array(labels) * 7
    order = Balanced(labels, (seed,))
    classes = len(np.unique(labels))
    counts = np.unique(labels[[order(position) for position in range(3 * classes)]], return_counts=True)[1]
    assert counts.tolist() == [3] * classes
    sampler = Sampler([np.arange(len(labels))], [order], [batch_size])
    assert sampler(step).tolist() == [order(position) for position in range(step * batch_size, (step + 1) * batch_size)]


def test_groups_get_their_places_at_even_distances():
    sampler = Sampler([np.arange(9), np.arange(10, 13)], [Shuffled(9, (0,)), Shuffled(3, (0,))], [9, 3])
    assert np.diff(np.flatnonzero(sampler(0) >= 10)).tolist() == [4, 4]
    assert Sampler(sampler.groups, sampler.orders, [3, 1]).spread.tolist() == [0, 1, 3, 2]  # the middles of parts


def test_wrong_names_and_shares_are_refused():
    cases = [
        (("weighted", GROUP, 6, None), "--sampler weighted; choose one of random, balanced"),
        (("random", GROUP, 6, 0.05), "--pseudo-share 0.05 of --batch-size 6; both kinds need a place"),
        (("random", GROUP, 6, 1.0), "both kinds need a place"),
        (("random", GROUP, 6, float("nan")), "both kinds need a place"),
        (("random", GROUP * 0, 6, 0.5), "both labelled and pseudo-labelled faces"),
    ]
    for (name, group, batch_size, share), text in cases:
        with pytest.raises(InputError) as refused:
            choose_sampler(name, LABELS, group, batch_size, 0, share)
        assert text in str(refused.value)
