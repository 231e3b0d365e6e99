"""What Python callers hand over: whole numbers, arrays, labels, keys."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from facerec.pipeline.files import InputError
from facerec.pipeline.values import as_array, as_labels, as_path, first_repeated, refuse_repeated, shown, whole


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
    assert shown(10**5000) == "of type int"
    with pytest.raises(InputError, match="k is a whole number of 16610 bits; at most 63"):
        whole("k", 10**5000, 1)


@pytest.mark.parametrize("value", [None, 3, 1.5, b"x", [], ["x"], np.zeros(3), "", "a\0b", "x" * 256, "x/" * 3000])
def test_what_is_no_path_is_named_in_a_line(value):
    with pytest.raises(InputError, match="^folder is .*; ") as error:
        as_path("folder", value)
    assert len(str(error.value)) < 150
    assert as_path("folder", "a/\u00e9") == as_path("folder", Path("a/\u00e9")) == Path("a/\u00e9")


def test_labels_are_int64():
    assert as_labels("labels", [3, -1]).dtype == as_labels("labels", np.array([1], np.uint8), 1).dtype == np.int64


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, 1, 2], r"labels are int64 of shape \[3\] for 2 faces; expected integers \[n\], -1 for none"),
        ([0.0, 1.0], r"labels are float64 of shape \[2\] for 2 faces"),
        ([np.nan, 1.0], r"expected integers \[n\], -1 for none: np.nan_to_num\(x, nan=-1\).astype\(int\)$"),
        ([0.5, 1.0], "-1 for none$"),
        ([np.inf, 1.0], "-1 for none$"),
        ([True, False], "labels are bool of"),
        (["a", "b"], r"labels are <U1 of .* -1 for none: np.unique\(names, return_inverse=True\)\[1\]"),
        (np.array(["a", "b"], object), r"labels are object of .* -1 for none: np.unique\(names, return_inverse=True\)"),
        ([10**30, 1], "labels are object of .* for none$"),
        ([[0], [1]], r"labels are int64 of shape \[2, 1\]"),
        ([[0], [1, 2]], "labels: no array of numbers: setting an array element"),
        (None, r"labels are object of shape \[\]"),
        (np.array([0, 2**64 - 1], np.uint64), "labels: 18446744073709551615 is larger than int64 can hold"),
        (np.ma.array([0, 1], mask=[False, True]), "labels: some values are masked; fill them, or leave those rows out"),
    ],
)
def test_what_labels_cannot_be(values, message):
    with pytest.raises(InputError, match=message):
        as_labels("labels", values, 2)


def test_without_masked_values_an_array_is_as_any_other():
    assert type(as_array("scores", np.ma.array([0.5, 1.0]))) is np.ndarray


def test_sparse_matrices_and_bfloat16_are_named_with_how_to_convert_them():
    with pytest.raises(InputError, match=r"^x: a sparse matrix; give x.toarray\(\)$"):
        as_array("x", csr_matrix(np.eye(2)))
    with pytest.raises(InputError, match=r"BFloat16; convert it: x.float\(\)$"):
        as_array("x", torch.zeros(2, dtype=torch.bfloat16))


def test_the_first_repeated_key_is_named():
    assert first_repeated(["a", "b", "c"]) is None
    assert first_repeated(["a", "b", "c", "b", "a"]) == "b"
    refuse_repeated("x", [])
    with pytest.raises(InputError, match="x: key 'a' stands there more than once"):
        refuse_repeated("x", ["a", "a"])
