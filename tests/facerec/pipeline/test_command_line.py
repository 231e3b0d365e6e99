"""What a program says when the operating system or a person ends it."""

import csv
import errno
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from facerec.pipeline.command_line import run
from facerec.pipeline.complaint import MOST_LETTERS
from facerec.pipeline.console import show_kept_table
from facerec.pipeline.files import InputError, new_array, write_table
from facerec.pipeline.interruption import Terminated, signals_as_exceptions
from facerec.pipeline.stage import stage

raised: list[BaseException] = []


def fail(name: str = "") -> None:
    """Raises what the test says."""
    raise raised[-1]


@pytest.fixture
def ended(capsys):
    """Runs a command that raises; status and what was said."""

    def call(error: BaseException) -> tuple[int, str]:
        raised.append(error)
        status = run("prog", {"fail": f"{__name__}:fail"}, ["fail"])
        return status, capsys.readouterr().err

    sys.modules[__name__] = sys.modules.get(__name__) or sys.modules["test_command_line"]
    return call


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ENOSPC, "x: No space left on device; free some, and the same command goes on"),
        (errno.EACCES, "x: Permission denied; check who may read and write there"),
        (errno.EROFS, "x: Read-only file system; choose another --out"),
        (errno.ENAMETOOLONG, "x: File name too long; give a shorter name"),
        (errno.ELOOP, "x: Too many levels of symbolic links; a link leads to itself"),
        (errno.ENOENT, "x: No such file or directory"),
    ],
)
def test_errors_of_the_system_are_one_line(ended, number, text):
    assert ended(OSError(number, os.strerror(number), "x")) == (2, f"prog: error: {text}\n")


def test_of_a_copy_that_finds_no_room_its_place_is_named(ended):
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "source", None, "target")
    assert ended(error)[1].startswith("prog: error: target: No space left on device;")
    error = OSError(errno.ENOENT, os.strerror(errno.ENOENT), "source", None, "target")
    assert ended(error)[1].startswith("prog: error: source: No such file")


def test_long_texts_are_cut_in_the_middle(ended):
    status, said = ended(InputError("begin " + "x" * 1000 + " end"))
    assert status == 2
    assert said.startswith("prog: error: begin x")
    assert said.endswith("x end\n")
    assert len(said) <= MOST_LETTERS + 1


def test_a_name_that_an_output_cannot_hold(ended):
    status, said = ended(UnicodeEncodeError("utf-8", "caf\udce9", 3, 4, "surrogates not allowed"))
    assert status == 2
    assert "caf\\udce9': a name that is not UTF-8, which this output cannot hold; rename the file" in said


@pytest.mark.parametrize(
    "error", [MemoryError("Unable to allocate 38.6 TiB"), RuntimeError("[enforce] can't allocate memory: 1\nmore")]
)
def test_too_little_memory_is_one_line(ended, error):
    status, said = ended(error)
    assert status == 2
    assert said.startswith("prog: error: too little memory (")
    assert said.endswith("); lower sizes and numbers\n")
    assert said.count("\n") == 1


def test_a_lost_process_is_one_line(ended):
    status, said = ended(RuntimeError("[gloo/pair.cc:561] Connection closed by peer [10.0.0.2]:44738. This is"))
    assert status == 2
    assert said == (
        "prog: error: another process of this run has ended, its own last lines say why; the same command goes on\n"
    )


def test_windows_is_refused_before_anything_is_imported(monkeypatch, capsys):
    monkeypatch.setattr(sys, "platform", "win32")
    assert run("prog", {"fail": "no_such_module:fail"}, ["fail"]) == 2
    assert capsys.readouterr().err == "prog: error: commands need Linux or macOS; on Windows, run them in WSL\n"


def test_other_runtime_errors_are_ours(ended):
    with pytest.raises(RuntimeError, match="a mistake"):
        ended(RuntimeError("a mistake"))


def test_a_person_who_stops_it_gets_one_line(ended):
    assert ended(KeyboardInterrupt()) == (130, "prog: stopped; the same command goes on\n")


WAITING = """
import sys, time
from pathlib import Path
from facerec.pipeline.command_line import run
from facerec.pipeline.stage import stage

@stage("toy wait")
def wait(out: Path):
    print("working", flush=True)
    time.sleep(60)

sys.exit(run("prog", {"wait": "__main__:wait"}, ["wait", "--out", sys.argv[1]]))
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_a_stage_with_one_line_and_nothing_half_done(tmp_path, number, status):
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING, str(tmp_path / "out")], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"working\n"
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == status
    assert said == b"prog: stopped; the same command goes on\n"
    assert list(tmp_path.iterdir()) == []


EARLY = """
import os, sys
from facerec.pipeline.interruption import end_at_once, signals_as_exceptions

number = int(sys.argv[1])
end_at_once("prog")
with signals_as_exceptions():
    try:
        exec("os.kill(os.getpid(), number)")
    except BaseException as error:
        print(type(error).__name__, flush=True)
if sys.argv[2:]:
    sys.exit(128 + number)
os.kill(os.getpid(), number)
"""


@pytest.mark.parametrize(
    ("number", "status", "name"), [(signal.SIGINT, 130, "Interrupted"), (signal.SIGTERM, 143, "Terminated")]
)
def test_signals_before_and_after_the_work_end_it_at_once(tmp_path, number, status, name):
    (tmp_path / "early.py").write_text(EARLY)
    words = [sys.executable, "-m", "early", str(int(number))]  # with -c Python forgets what it saw in exec
    caught = subprocess.run([*words, "caught"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (caught.returncode, caught.stdout, caught.stderr) == (status, f"{name}\n", "")
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (
        status, f"{name}\n", "prog: stopped; the same command goes on\n"
    )  # fmt: skip


def test_a_signal_that_becomes_another_error_stays_a_signal():
    class Named:
        def __set_name__(self, owner: type, name: str) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Terminated), signals_as_exceptions():
        type("Owner", (), {"name": Named()})  # Python 3.11 says RuntimeError
    with pytest.raises(ValueError, match="no signal"), signals_as_exceptions():
        raise ValueError("no signal")


def test_new_arrays_have_their_room(tmp_path, monkeypatch):
    array = new_array(tmp_path / "a.npy", np.float32, (1000, 8))
    assert array.shape == (1000, 8)
    assert (tmp_path / "a.npy").stat().st_blocks * 512 >= 32_000

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(InputError, match="too little room for 1 MiB; free some, or choose another --out"):
        new_array(tmp_path / "b.npy", np.float32, (1000, 8))
    assert not (tmp_path / "b.npy").exists()


def test_arrays_that_find_no_room_are_told(monkeypatch, capsys):
    def command(target: str) -> None:
        """Fails as NumPy does where a disk is full."""
        raise OSError("1500 requested and 112 written")

    monkeypatch.setattr("facerec.pipeline.command_line._import", lambda target: command)
    assert run("x", {"c": "m:f"}, ["c", "--target", "a"]) == 2
    assert capsys.readouterr().err.strip() == (
        "x: error: too little room for an array (1500 requested and 112 written), or a limit of files (ulimit -f); "
        "free some, or choose another --out"
    )


def test_cells_that_a_spreadsheet_would_run_are_defused(tmp_path: Path):
    write_table(tmp_path / "t.csv", ["a"], [["=1+1"], ["+x"], ["-x"], ["@x"], [-1.5], ["plain"]])
    with (tmp_path / "t.csv").open(newline="") as file:
        assert [row[0] for row in csv.reader(file)] == ["a", "'=1+1", "'+x", "'-x", "'@x", "-1.5", "plain"]


def test_the_command_that_follows_has_what_this_one_was_given(tmp_path, monkeypatch, caplog):
    @stage("x", then="look --at {out} --model {model} --few {few_faces} --faces {faces} {found} {near}")
    def command(out: Path, model: str = "", few_faces: int = 1, near: str | None = None) -> dict[str, str]:
        """Does nothing."""
        return {"found": "--here"}

    monkeypatch.setattr("facerec.pipeline.command_line._import", lambda target: command)
    out = tmp_path / "the out"
    (tmp_path / "x.yaml").write_text("near: in a file\n")
    words = ["--config", str(tmp_path / "x.yaml"), "--model=a b", "--few-faces", "3"]
    assert run("x", {"c": "m:f"}, ["c", "--out", str(out), *words]) == 0
    assert f"next: look --at '{out}' --model 'a b' --few 3 --faces FACES --here 'in a file'" in caplog.text
    caplog.clear()
    monkeypatch.setenv("RANK", "1")
    (tmp_path / "there").mkdir()
    assert run("x", {"c": "m:f"}, ["c", "--out", str(tmp_path / "there"), *words]) == 0
    assert "next:" not in caplog.text, "of several processes, the first one alone says it"


SAYING = """
import sys
from facerec.pipeline.command_line import run

def say(times: int = 1) -> None:
    print("word " * times)

sys.exit(run("prog", {"say": "__main__:say"}, sys.argv[1:]))
"""


def say(words, output, unbuffered=""):
    """Runs a command that prints; status and what it complains about."""
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(
        [sys.executable, "-c", SAYING, *words], stdout=output, stderr=subprocess.PIPE, env=environment, check=False
    )
    return done.returncode, done.stderr.decode()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
@pytest.mark.parametrize(("words", "unbuffered"), [(["say"], ""), (["say"], "1"), (["--version"], "")])
def test_an_output_without_room_is_named_in_one_line(words, unbuffered):
    with Path("/dev/full").open("w") as full:
        found = say(words, full, unbuffered)
    text = "prog: error: standard output: No space left on device; free some, and the same command goes on\n"
    assert found == (2, text)


@pytest.mark.parametrize(("rank", "level"), [("0", logging.INFO), ("1", logging.WARNING)])
def test_of_several_processes_the_first_tells_what_all_do(monkeypatch, rank, level):
    monkeypatch.setenv("RANK", rank)
    run("prog", {}, ["--version"])
    assert {logging.getLogger(package).level for package in ("facerec", "clustering", "eval")} == {level}
    monkeypatch.setenv("RANK", "0")
    run("prog", {}, ["--version"])


def test_an_output_that_nobody_reads_ends_without_a_word():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as output:
        assert say(["say"], output) == (1, "")


class Full:
    """An output without room that keeps nothing back."""

    def write(self, text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_table_that_cannot_be_printed_loses_no_work(tmp_path, monkeypatch, caplog):
    @stage("toy table")
    def show(out: Path):
        (out / "table.txt").touch()
        show_kept_table([{"faces": 3}])

    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", Full())
        assert (show(tmp_path / "out") / "table.txt").exists()
    assert "standard output: No space left on device; the folder has the table" in caplog.text
