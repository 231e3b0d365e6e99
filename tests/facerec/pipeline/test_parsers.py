"""Readers of arrays, text, JSON and YAML: their result, or one line that says what to do."""

import os

import numpy as np
import pytest

from facerec.pipeline.files import (
    InputError,
    check_target,
    load_array,
    read_json,
    read_lines,
    read_text,
    read_yaml,
    write_json,
)


def test_every_flipped_bit_of_a_header_is_read_or_refused(tmp_path):
    np.save(tmp_path / "good.npy", np.eye(3, dtype=np.float32))
    good = (tmp_path / "good.npy").read_bytes()
    refused: list[str] = []
    for bit in range(8 * 128):
        changed = bytearray(good)
        changed[bit // 8] ^= 1 << bit % 8
        (tmp_path / "bad.npy").write_bytes(changed)
        try:
            load_array(tmp_path / "bad.npy", "f", 2)
        except InputError as error:
            refused.append(str(error))
    assert 500 < len(refused) < 1024
    assert not any("pickle" in text for text in refused)


@pytest.mark.parametrize("suffix", [".csv", ".txt", ".parquet", ".bin", ".npz"])
def test_other_formats_are_named_with_the_way_from_them(tmp_path, suffix):
    file = tmp_path / f"x{suffix}"
    if suffix == ".npz":
        np.savez(file, x=np.eye(2))
    else:
        file.write_bytes(b"1,2,3\n")
    with pytest.raises(InputError, match=r"make .*np\.save\('x\.npy', ") as raised:
        load_array(file, "f", 2)
    assert "pickle" not in str(raised.value)


def test_what_numpy_would_load_unsafely_is_refused_without_advice(tmp_path):
    np.save(tmp_path / "x.npy", np.array([{}, []], object), allow_pickle=True)
    (tmp_path / "y.npy").write_text("1 2 3\n")
    for name in ("x.npy", "y.npy"):
        with pytest.raises(
            InputError, match="holds Python objects, which are not read; save|does not begin as one does"
        ) as raised:
            load_array(tmp_path / name, "f", 2)
        assert "allow_pickle" not in str(raised.value)


def test_numbers_wider_than_64_bits_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.eye(3, dtype=np.longdouble))
    with pytest.raises(InputError, match="float128"):
        load_array(tmp_path / "x.npy", "f", 2)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "9" * 5000, "[1", "\udcff"])
def test_json_that_no_parser_takes(tmp_path, text):
    (tmp_path / "x.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match="x.json: "):
        read_json(tmp_path / "x.json")


@pytest.mark.parametrize("text", ["[" * 100_000, "a: " + "{a: " * 20_000, "a: 2001-99-99", "a: &a [*a, *b]", "[1]"])
def test_yaml_that_no_parser_takes(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(InputError, match="x.yaml: "):
        read_yaml(tmp_path / "x.yaml")


def test_byte_order_marks_are_left_out(tmp_path):
    (tmp_path / "x").write_bytes(b"\xef\xbb\xbf" + b'{"a": 1}')
    assert read_json(tmp_path / "x") == {"a": 1}
    assert read_yaml(tmp_path / "x") == {"a": 1}
    assert read_text(tmp_path / "x") == '{"a": 1}'
    assert read_lines(tmp_path / "x") == ['{"a": 1}']


@pytest.mark.parametrize("read", [read_lines, read_text, read_json, read_yaml, lambda path: load_array(path, "f", 2)])
def test_pipes_are_not_waited_for(tmp_path, read):
    os.mkfifo(tmp_path / "x")
    with pytest.raises(InputError, match="x: not a regular file"):
        read(tmp_path / "x")
    with pytest.raises(InputError, match="y: no such file"):
        read(tmp_path / "y")


def test_a_file_is_written_where_a_file_can_be(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for place in (tmp_path, tmp_path / "pipe", tmp_path / "loop"):
        with pytest.raises(InputError, match="no regular file"):
            write_json(place, {})
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    for name in ("file", "link", "new"):
        check_target(tmp_path / name)
