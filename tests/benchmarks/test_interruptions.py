"""The harness that stops commands: what it takes for right, and that it sees what is wrong."""

import json
import signal
import sys
from collections import Counter

import interruptions
import numpy as np
import pytest

CALM = "3 faces in /tmp/calm/out\n"
STOPPED = "python -m x: stopped; the same command goes on\n"


def calm_of(tmp_path, said=CALM):
    return interruptions.Calm(tmp_path / "calm" / "out", 0.1, 0.3, {interruptions.plain(said.strip())})


@pytest.mark.parametrize(
    ("number", "status", "said", "wrong"),
    [
        (signal.SIGKILL, -9, "anything", 0),
        (signal.SIGTERM, 143, "7 faces in /tmp/other/out\n" + STOPPED, 0),
        (signal.SIGINT, 130, STOPPED, 0),
        (signal.SIGINT, -2, STOPPED, 1),
        (signal.SIGTERM, 130, STOPPED, 1),
        (signal.SIGTERM, 143, "Traceback\n" + STOPPED, 1),
        (signal.SIGTERM, 143, "", 1),
        (signal.SIGTERM, -1, "no end after 60 s", 1),
    ],
)
def test_how_a_command_may_end(tmp_path, number, status, said, wrong):
    assert len(list(interruptions.mistakes(number, status, said, calm_of(tmp_path)))) == wrong


def test_what_differs_or_is_left_over_is_named(tmp_path):
    for name, seconds in (("one", 1.0), ("two", 2.0)):
        out = tmp_path / name / "out"
        (out / "tensorboard").mkdir(parents=True)
        (out / "tensorboard" / name).touch()
        (out / "meta.json").write_text(json.dumps({"seconds": seconds, "results": {"faces": 3, "finished": name}}))
        np.save(out / "labels.npy", np.arange(3))
    one, two = tmp_path / "one" / "out", tmp_path / "two" / "out"
    assert list(interruptions.differences(one, two)) == []
    np.save(two / "labels.npy", np.arange(4))
    (one / "a").touch()
    (two / "b").touch()
    (two / "meta.json").write_text(json.dumps({"results": {"faces": 4}}))
    (tmp_path / "two" / "out.partial").mkdir()
    assert list(interruptions.differences(one, two)) == [
        "a: missing", "b: more", "labels.npy: differs", "meta.json: differs", "out.partial beside it",
    ]  # fmt: skip


WORK = """
import os, signal, sys, time
from pathlib import Path

def stop(number, frame):
    os.write(2, b"prog: stopped; the same command goes on\\n")
    os._exit(128 + number)
signal.signal(signal.SIGTERM, stop)
out = Path(sys.argv[-1])
partial = out.with_name("out.partial")
partial.mkdir(exist_ok=True)
(partial / ".lock").write_text("")
time.sleep(0.3)
(partial / ".lock").unlink()
(partial / "labels").write_text(sys.argv[1])
partial.rename(out)
"""


def test_a_chain_of_stops_ends_with_the_result(tmp_path):
    command = [sys.executable, "-c", WORK, "whole"]
    calm = interruptions.undisturbed(command, tmp_path / "first" / "out")
    found = interruptions.Found()
    for number in (signal.SIGTERM, signal.SIGKILL):
        out = tmp_path / number.name / "out"
        interruptions.chain(command, calm, number, out, 1, np.random.default_rng(1), found)
        assert (out / "labels").read_text() == "whole"
    assert found.stops == Counter({signal.SIGTERM: 1, signal.SIGKILL: 1})
    assert found.wrong == []
