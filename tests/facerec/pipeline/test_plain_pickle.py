"""Pickles of arrays: every protocol, type and order; nothing else is built, and nothing is run."""

import pickle
import struct

import numpy as np
import pytest

from facerec.pipeline.files import InputError
from facerec.pipeline.plain_pickle import Array, load_plain

NUMPY = b"cnumpy.core.multiarray\n"


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.arange(6, dtype=">i8").reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=np.float16).reshape(2, 3)),
        np.array([True, False]),
        np.array(["ann", "zoë"]),
        np.array([b"ann", b"bob"]),
        np.zeros((0, 4)),
    ],
)
def test_arrays_come_back(array, protocol):
    found = load_plain(pickle.dumps({"a": array, "n": [1, 2.5, None, "x"]}, protocol))
    values = {name.decode() if isinstance(name, bytes) else name: value for name, value in found.items()}
    back = values["a"].numpy()
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype
    assert values["n"][:3] == [1, 2.5, None]


def test_numbers_and_objects_of_numpy():
    assert load_plain(pickle.dumps(np.float32(2.5))).numpy() == 2.5
    assert load_plain(pickle.dumps(np.array(["a", 3], object))).numpy().tolist() == ["a", 3]


def array(state, kind=b"(S'f4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"):
    """A pickle of one array whose state is `state`; T in it stands for the type."""
    head = NUMPY + b"_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    return head + state.replace(b"T", b"cnumpy\ndtype\n" + kind) + b"b."


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (array(b"(I1\n(I2\ntTI00\nS'12345678'\nt"), None),
        (array(b"(I1\n(I3\ntTI00\nS'12345678'\nt"), "another length than it says"),
        (array(b"(I1\n(I-2\ntTI00\nS'12345678'\nt"), "another length than it says"),
        (array(b"(I1\n(I9999999999\nI9999999999\ntTI00\nS'12345678'\nt"), "another length than it says"),
        (array(b"(I1\n(I2\ntI7\nI00\nS'12345678'\nt"), "without type or shape"),
        (array(b"(I1\nI2\nTI00\nS'12345678'\nt"), "without type or shape"),
        (array(b"(I1\n(I2\ntTI00\nI5\nt"), "without its bytes"),
        (array(b"(I1\n(I1\ntTI00\nS'12345678'\nt", b"(S'O8'\ntR"), "an array of 'O8'"),
        (array(b"(I1\n(I1\ntTI00\nS'12345678'\nt", b"(S'V8'\ntR"), "an array of 'V8'"),
        (array(b"(I1\n(I2\ntTI00\nS'12345678'\nt", b"(S'f4'\ntR(I3\nS'<'\nN(S'a'\ntNI-1\nI-1\nI0\ntb"), "fields"),
        (b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b"K\x01.", "not readable as a pickle of arrays"),
        (b"}]K\x01s.", "unhashable"),
        (b"", "it ends before its last instruction"),
        (b"\xffx", "byte 0 is no instruction"),
    ],
)
def test_states_that_no_array_has(data, message):
    if message is None:
        assert isinstance(load_plain(data), Array)
        return
    with pytest.raises(InputError, match=message):
        load_plain(data)
