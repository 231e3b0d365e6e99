"""The fuzz harness: its damage is seeded, and it sees every way in which a reader can fail."""

import multiprocessing
import os
import random
import time
from pathlib import Path

import fuzz
import fuzz_inputs
import numpy as np
import pytest

from facerec.pipeline.files import InputError


def test_damage_is_seeded_and_of_every_kind():
    content = b'{"a": 1, "b": [2, 3]}\n' * 20
    several = [fuzz.mutated(content, random.Random(seed)) for seed in range(200)]
    assert several == [fuzz.mutated(content, random.Random(seed)) for seed in range(200)]
    assert sum(one != content for one in several) > 190
    assert any(len(one) > 100_000 for one in several)
    assert any(one.startswith(b"\xef\xbb\xbf") for one in several)
    assert any(len(one) == len(content) for one in several)
    for damage in fuzz.DAMAGES:
        damage(b"", random.Random(0))


def test_one_file_is_damaged_and_what_is_kept_is_whole(tmp_path):
    good = tmp_path / "good"
    good.mkdir()
    for name in ("a", "b", "kept"):
        (good / name).write_bytes(bytes(100))
    different = set()
    for number in range(30):
        bad = fuzz.damaged(good, tmp_path / f"bad{number}", str(number))
        changed = [path.name for path in bad.iterdir() if path.read_bytes() != bytes(100)]
        assert len(changed) <= 1
        different |= set(changed)
    assert different == {"a", "b"}


def refuses(path: Path) -> None:
    raise InputError(str(path))


def fails(path: Path) -> None:
    raise KeyError(path)


def fills(path: Path) -> None:
    np.ones(1 << 44)


def ends(path: Path) -> None:
    if path.name == "bad":
        os._exit(3)


def starts_a_program(path: Path) -> None:
    if path.name == "bad":
        os.system("true")


def waits(path: Path) -> None:
    if path.name == "bad":
        time.sleep(60)


def make(folder: Path) -> None:
    (folder / "file").write_bytes(bytes(100))


@pytest.mark.parametrize(("read", "kind"), [(ends, "killed"), (starts_a_program, "code run"), (waits, "hang")])
def test_what_a_child_does_is_noted_and_another_goes_on(tmp_path, monkeypatch, capsys, read, kind):
    monkeypatch.setitem(fuzz_inputs.READERS, "odd", fuzz_inputs.Reader(make, read))
    fork = multiprocessing.get_context("fork")
    monkeypatch.setattr(fuzz.multiprocessing, "get_context", lambda _: fork)
    monkeypatch.setattr(fuzz, "LIMIT", 1.0 if read is waits else 60.0)
    counts = fuzz.fuzzed(["odd"], tmp_path, 2.5, 0, 1)["odd"]
    assert set(counts) == {kind}
    assert counts.total() > 1
    assert f"odd 0: {kind}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("read", "kind"), [(lambda path: None, "read"), (refuses, "refused"), (fails, "traceback"), (fills, "memory")]
)
def test_how_a_reader_ends(tmp_path, read, kind):
    assert fuzz.outcome(read, tmp_path)[0] == kind


@pytest.mark.parametrize("name", fuzz_inputs.READERS)
def test_every_reader_reads_what_is_whole(tmp_path, name):
    (tmp_path / "good").mkdir()
    fuzz_inputs.READERS[name].make(tmp_path / "good")
    fuzz_inputs.READERS[name].read(tmp_path / "good")


def test_readers_are_tried_for_a_while(tmp_path):
    counts = fuzz.fuzzed(["pairs"], tmp_path, 0.5, 0, 1)["pairs"]
    assert counts["read"] + counts["refused"] == counts.total() >= 1
