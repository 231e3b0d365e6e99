"""What Python callers hand over: whole numbers, arrays, labels, keys."""

from __future__ import annotations

import numpy as np
import pytest

from facerec.pipeline.files import InputError
from facerec.pipeline.values import as_labels, first_repeated, refuse_repeated, shown, whole


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_whole_numbers_become_pythons(value):
    assert type(whole("k", value, 1)) is int
    assert whole("k", value, 3, 3) == 3


@pytest.mark.parametrize(
    "value", [0, -1, 9, 1.5, 2.0, np.nan, "3", None, [3], True, np.bool_(True), np.float32(3), np.array([1, 2]), 10**30]
)
def test_what_is_no_whole_number_in_range_is_named(value):
    with pytest.raises(InputError, match="^k is .*; it must be a whole number from 1 to 8$") as error:
        whole("k", value, 1, 8)
    assert shown(value) in str(error.value)


def test_what_is_shown_is_one_short_line():
    assert shown(np.zeros((3, 2))) == "array([[0., 0.], [0., 0.], [0., 0.]])"
    assert shown("x" * 999) == f"'{'x' * 59}..."


def test_labels_are_int64():
    assert as_labels("labels", [3, -1]).dtype == as_labels("labels", np.array([1], np.uint8), 1).dtype == np.int64


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, 1, 2], r"labels are int64 of shape \[3\] for 2 faces; expected integers \[n\], -1 for none"),
        ([0.0, 1.0], r"labels are float64 of shape \[2\] for 2 faces"),
        ([True, False], "labels are bool of"),
        (["a", "b"], "labels are <U1 of"),
        ([10**30, 1], "labels are object of"),
        ([[0], [1]], r"labels are int64 of shape \[2, 1\]"),
        ([[0], [1, 2]], "labels: no array of numbers: setting an array element"),
        (None, r"labels are object of shape \[\]"),
        (np.array([0, 2**64 - 1], np.uint64), "labels: 18446744073709551615 is larger than int64 can hold"),
    ],
)
def test_what_labels_cannot_be(values, message):
    with pytest.raises(InputError, match=message):
        as_labels("labels", values, 2)


def test_the_first_repeated_key_is_named():
    assert first_repeated(["a", "b", "c"]) is None
    assert first_repeated(["a", "b", "c", "b", "a"]) == "b"
    refuse_repeated("x", [])
    with pytest.raises(InputError, match="x: key 'a' stands there more than once"):
        refuse_repeated("x", ["a", "a"])
