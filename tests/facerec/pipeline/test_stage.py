import errno
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
from jsonargparse.typing import PositiveInt

from facerec.pipeline.command_line import run
from facerec.pipeline.files import InputError, read_json
from facerec.pipeline.fingerprint import InputFiles
from facerec.pipeline.ranks import init_group
from facerec.pipeline.stage import stage
from facerec.pipeline.workplace import Workplace

calls: list[str] = []


@stage("toy copy", incidental=("workers",))
def copy(source: Path, out: Path, times: int = 1, workers: int = 1):
    """Copies a text.

    Args:
        source: The text.
        out: Where it goes.
        times: How often.
        workers: Does not matter.
    """
    calls.append("copy")
    text = source.read_text()
    if not text:
        raise InputError(f"{source}: empty\ntext")
    (out / "text.txt").write_text(text * times)
    return {"letters": len(text) * times}


@stage("toy names")
def copy_names(folder: Path, out: Path):
    """Lists a folder."""
    (out / "names.txt").write_text("\n".join(sorted(path.name for path in folder.rglob("*"))))


@stage("toy resume", resumable=True)
def resume(out: Path, fail: bool = False, steps: int = 3):
    """Counts, and can go on."""
    seen = out / "steps.txt"
    with seen.open("a") as file:
        file.write("x")
    if len(seen.read_text()) < steps:
        raise KeyboardInterrupt


@stage("toy resume otherwise", resumable=True)
def resume_otherwise(out: Path, fail: bool = False, steps: int = 3):
    """Does what `resume` does."""
    resume.__wrapped__(out, fail, steps)


@pytest.fixture
def source(tmp_path):
    calls.clear()
    path = tmp_path / "source.txt"
    path.write_text("ab")
    return path


def test_result_is_whole_and_says_what_made_it(tmp_path, source):
    out = copy(source, tmp_path / "deep" / "out", times=2)
    meta = json.loads((out / "meta.json").read_text())
    assert (out / "text.txt").read_text() == "abab"
    assert sorted(p.name for p in out.iterdir()) == ["meta.json", "text.txt"]
    assert meta["command"] == "toy copy"
    assert meta["config"] == {"times": 2}
    assert meta["inputs"]["source"]["hash"] == InputFiles(source).hash
    assert meta["results"] == {"letters": 4}
    assert meta["seconds"] >= 0
    assert meta["peak_memory_bytes"] > 1 << 20
    assert "python" in meta["versions"]


def test_same_work_is_not_repeated_and_incidental_options_do_not_count(tmp_path, source, monkeypatch):
    copy(source, tmp_path / "out", workers=1)
    monkeypatch.setattr(InputFiles, "hash", property(lambda _: pytest.fail("what has not changed is read again")))
    copy(source, tmp_path / "out", workers=7)
    assert calls == ["copy"]


def test_finished_work_on_a_read_only_mount_is_done(tmp_path, source, monkeypatch):
    def refuse(path, missing_ok=False):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    copy(source, tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)  # there it says so of a file that is not there, too
        copy(source, tmp_path / "out")
    assert calls == ["copy"]


def test_moved_input_is_the_same_input(tmp_path, source):
    copy(source, tmp_path / "out")
    moved = source.rename(tmp_path / "elsewhere.txt")
    copy(moved, tmp_path / "out")
    assert calls == ["copy"]


@stage("toy join")
def join(sources: list[Path], out: Path):
    """Joins texts."""
    (out / "text.txt").write_text("".join(source.read_text() for source in sources))


def test_each_of_several_inputs_counts(tmp_path, source):
    other = tmp_path / "other.txt"
    other.write_text("cd")
    join([source, other], tmp_path / "out")
    moved = other.rename(tmp_path / "moved.txt")
    join([source, moved], tmp_path / "out")
    with pytest.raises(InputError, match="holds other work than what was asked .inputs.sources"):
        join([moved, source], tmp_path / "out")
    moved.write_text("ce")
    with pytest.raises(InputError, match="holds other work than what was asked .inputs.sources"):
        join([source, moved], tmp_path / "out")


@pytest.mark.parametrize(
    ("config", "said"), [({}, "null there, 1 asked"), ({"times": 1, "x": 2}, "2 there, null asked")]
)
def test_options_that_only_one_version_has_are_other_work(tmp_path, source, config, said):
    out = copy(source, tmp_path / "out")
    note = read_json(out / "meta.json")
    (out / "meta.json").write_text(json.dumps({**note, "config": config}))
    with pytest.raises(InputError, match=said):
        copy(source, out)


def test_other_work_into_the_same_folder_is_refused_naming_both(tmp_path, source):
    copy(source, tmp_path / "out")
    with pytest.raises(InputError, match=r"out: holds other work .*config.times 1 there, 5 asked"):
        copy(source, tmp_path / "out", times=5)
    source.write_text("other")
    with pytest.raises(InputError, match=r"inputs.source .* there, .* asked"):
        copy(source, tmp_path / "out")
    assert (tmp_path / "out" / "text.txt").read_text() == "ab"


def test_a_folder_with_foreign_files_is_left_alone(tmp_path, source):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="a folder with other files in it"):
        copy(source, tmp_path / "out")
    assert (tmp_path / "out" / "thesis.tex").read_text() == "mine"
    with pytest.raises(InputError, match="a file stands where"):
        copy(source, source)


def test_an_empty_folder_is_used(tmp_path, source):
    (tmp_path / "out").mkdir()
    copy(source, tmp_path / "out")
    assert (tmp_path / "out" / "meta.json").exists()


def test_failed_work_leaves_nothing(tmp_path, source):
    source.write_text("")
    with pytest.raises(InputError):
        copy(source, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["source.txt"]
    with pytest.raises(InputError, match="no such file or folder"):
        copy(tmp_path / "absent", tmp_path / "out")


@pytest.mark.parametrize("filename", [None, "elsewhere"])
def test_a_full_disk_is_named(tmp_path, filename):
    @stage("toy full")
    def full(out: Path):
        raise OSError(errno.ENOSPC, "No space left on device", filename)

    with pytest.raises(OSError, match="No space left") as caught:
        full(tmp_path / "out")
    assert caught.value.filename == (filename or str(tmp_path / "out.partial"))


def test_resumable_work_goes_on_and_other_work_starts_afresh(tmp_path, caplog):
    out = tmp_path / "out"
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            resume(out, steps=3)
    assert not out.exists()
    resume(out, steps=3)
    assert (out / "steps.txt").read_text() == "xxx"
    assert "afresh" not in caplog.text
    other = tmp_path / "other"
    with pytest.raises(KeyboardInterrupt):
        resume(other, steps=3)
    with pytest.raises(KeyboardInterrupt):
        resume(other, steps=2)
    assert "other: was begun with other inputs or settings; it starts afresh" in caplog.text
    with pytest.raises(KeyboardInterrupt):
        resume_otherwise(other, steps=2)
    resume_otherwise(other, steps=2)
    assert (other / "steps.txt").read_text() == "xx"


def test_what_a_killed_run_left_counts_only_if_the_work_can_go_on(tmp_path, source):
    left = copy(source, tmp_path / "out").rename(tmp_path / "out.partial")
    (left / "meta.json").rename(left / "work.json")
    (left / "half.txt").write_text("of the killed run")
    assert sorted(path.name for path in copy(source, tmp_path / "out").iterdir()) == ["meta.json", "text.txt"]


def test_wrong_input_removes_what_was_just_begun_but_not_what_goes_on(tmp_path):
    ends = [InputError("wrong"), KeyboardInterrupt(), InputError("wrong"), InputError("wrong")]

    @stage("toy end", resumable=True)
    def end(out: Path):
        (out / "half.txt").write_text("half")
        raise ends.pop(0)

    for left in (False, True, True, True):
        with pytest.raises((InputError, KeyboardInterrupt)):
            end(tmp_path / "out")
        assert (tmp_path / "out.partial" / "half.txt").exists() == left


SLOW = """
import os, signal, sys, time
from pathlib import Path
from facerec.pipeline.stage import stage

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])

@stage("toy slow")
def slow(out: Path, word: str):
    (out / "half.txt").write_text(word)
    if "wait" in sys.argv and os.fork() == 0:
        os.close(1), os.close(2)
        time.sleep(10)  # a worker that outlives its parent
        os._exit(0)
    print("working", flush=True)
    if "wait" in sys.argv:
        signal.sigwait([signal.SIGUSR1])

slow(Path(sys.argv[1]), sys.argv[2])
"""


def start(script: Path, *arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(script), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=script.parent)


@pytest.fixture
def at_work(tmp_path):
    """A run that is at work on "half" in tmp_path/out, with a worker process, and its script."""
    script = tmp_path / "slow.py"
    script.write_text(SLOW)
    process = start(script, tmp_path / "out", "half", "wait")
    assert process.stdout is not None
    assert process.stdout.readline() == b"working\n"
    yield process, script
    process.kill()
    process.wait()
    for pipe in (process.stdout, process.stderr):
        assert pipe is not None
        pipe.close()


def test_killed_work_leaves_nothing_that_looks_finished(tmp_path, at_work):
    process, script = at_work
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "out.partial" / "half.txt").exists()
    assert start(script, tmp_path / "out", "half").communicate()[0] == b"working\n"
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["half.txt", "meta.json"]
    assert not (tmp_path / "out.partial").exists()


def test_other_work_in_the_folder_of_a_run_is_refused(tmp_path, at_work):
    _, script = at_work
    assert b"another run is working there" in start(script, tmp_path / "out", "other").communicate()[1]


@pytest.mark.parametrize("killed", [False, True])
def test_the_same_work_waits_for_the_run_that_does_it(tmp_path, at_work, killed):
    process, script = at_work
    second = start(script, tmp_path / "out", "half")
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(1.5)
    process.send_signal(signal.SIGKILL if killed else signal.SIGUSR1)
    assert second.communicate()[0] == (b"working\n" if killed else b"")
    assert (tmp_path / "out" / "half.txt").read_text() == "half"


def test_a_folder_that_another_run_removes_is_made_again(tmp_path, monkeypatch):
    mkdir, gone = Path.mkdir, [True]

    def make(path, *args, **kwargs):
        mkdir(path, *args, **kwargs)
        if gone:
            gone.pop()
            path.rmdir()

    workplace = Workplace(tmp_path / "out", {}, resumable=False)
    monkeypatch.setattr(Path, "mkdir", make)
    assert workplace.claim()
    with workplace:
        pass
    assert (tmp_path / "out").is_dir()


def test_a_lock_on_a_folder_that_was_made_anew_meanwhile_does_not_count(tmp_path, monkeypatch):
    workplace = Workplace(tmp_path / "out", {}, resumable=False)

    def others(lock):
        """One run fails and removes the folder, the next one begins to work there."""
        (workplace.folder / ".lock").unlink()
        (workplace.folder / ".lock").touch()
        (workplace.folder / "half.txt").touch()
        return True

    monkeypatch.setattr("facerec.pipeline.workplace._take", others)
    assert not workplace.claim()
    assert not workplace.claimed
    assert (workplace.folder / "half.txt").exists()


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setitem(sys.modules, "toy_commands", sys.modules[__name__])
    return {"copy": "toy_commands:copy"}


def test_program_runs_commands_and_reads_both_spellings_and_yaml(tmp_path, source, toy):
    config = tmp_path / "c.yaml"
    config.write_text("times: 3\n")
    arguments = ["copy", "--config", str(config), "--source", str(source), "--out", str(tmp_path / "out")]
    assert run("toy", toy, arguments) == 0
    assert (tmp_path / "out" / "text.txt").read_text() == "ababab"


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--times", "many"], "--times: many; expected a whole number"),
        (["--colour", "red"], "colour"),
        ([], "--out"),
    ],
)
def test_wrong_options_end_with_one_line_and_status_2(source, toy, capsys, extra, message):
    with pytest.raises(SystemExit) as ended:
        run("toy", toy, ["copy", "--source", str(source), *extra])
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert message in error
    assert error.count("\n") == 1


def test_unusable_input_ends_with_one_line_and_status_2(tmp_path, source, toy, capsys):
    source.write_text("")
    assert run("toy", toy, ["copy", "--source", str(source), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error == f"toy: error: {source}: empty text\n"


def test_unknown_keys_in_yaml_are_refused(tmp_path, source, toy, capsys):
    config = tmp_path / "c.yaml"
    config.write_text("tines: 3\n")
    with pytest.raises(SystemExit) as ended:
        run(
            "toy",
            toy,
            ["copy", "--config", str(config), "--source", str(source), "--out", str(tmp_path / "o")],
        )
    assert ended.value.code == 2
    assert "tines" in capsys.readouterr().err


def test_help_shows_defaults(toy, capsys):
    with pytest.raises(SystemExit) as ended:
        run("toy", toy, ["copy", "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "How often. (default: 1)" in shown


@stage("toy together", distributed=True)
def together(source: Path, out: Path):
    """Only the first process writes."""
    calls.append(out.name)
    if out.is_dir():
        (out / "text.txt").write_text(source.read_text())


def test_of_several_processes_the_first_has_the_folder(tmp_path, source, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert together(source, tmp_path / "out") == tmp_path / "out"
    assert calls == ["out.partial"]
    assert [path.name for path in tmp_path.iterdir()] == ["source.txt"]
    copy(source, tmp_path / "alone")
    assert (tmp_path / "alone" / "meta.json").exists()
    monkeypatch.setenv("RANK", "0")
    together(source, tmp_path / "out")
    assert (tmp_path / "out" / "meta.json").exists()
    monkeypatch.setenv("RANK", "1")
    together(source, tmp_path / "out")
    assert calls == ["out.partial", "copy", "out.partial"]
    source.write_text("other")
    with pytest.raises(InputError, match="holds other work"):
        together(source, tmp_path / "out")


@stage("toy joined", distributed=True)
def joined(out: Path, rate: float = 1.0):
    """Waits for the other processes."""
    init_group()


def test_processes_that_were_asked_for_different_work_do_none(tmp_path, monkeypatch):
    """As where the settings of one machine are old: its weights would go another way without a word."""
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.barrier", lambda: None)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr("facerec.pipeline.stage.partial_of", lambda out: tmp_path / "not waited for")
    note = tmp_path / "out.partial" / "work.json"
    joined(tmp_path / "out")
    note.parent.mkdir()
    note.write_text(json.dumps({"command": "toy joined", "config": {"rate": 1.0}, "inputs": {}}))
    joined(tmp_path / "out")
    with pytest.raises(
        InputError, match=r"other work than the first \(config.rate 2.0 here, 1.0 there\); start all with the same"
    ):
        joined(tmp_path / "out", rate=2.0)
    joined(tmp_path / "out", rate=1.0)


@pytest.mark.parametrize("changed", ["below", "listed"])
def test_changed_input_at_any_depth_is_other_work(tmp_path, changed):
    folder = tmp_path / "faces"
    for name in ("faces/person/1.png", "elsewhere/2.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"one")
    (folder / "faces.tsv").write_text("../elsewhere/2.png\n")
    copy_names(folder, tmp_path / "out")
    copy_names(folder, tmp_path / "out")
    (tmp_path / {"below": "faces/person/1.png", "listed": "elsewhere/2.png"}[changed]).write_bytes(b"two")
    with pytest.raises(InputError, match=r"holds other work than what was asked .inputs.folder"):
        copy_names(folder, tmp_path / "out")


def test_the_folder_of_another_command_is_named_in_a_line(tmp_path, source):
    copy(source, tmp_path / "out")
    note = read_json(tmp_path / "out" / "meta.json")
    (tmp_path / "out" / "meta.json").write_text(json.dumps({**note, "command": "toy other"}))
    with pytest.raises(InputError, match=r"out: made by toy other, not by .*; choose another --out or delete it$"):
        copy(source, tmp_path / "out")


def test_strings_are_paths(tmp_path, source):
    copy(str(source), str(tmp_path / "out"))
    assert "source" in read_json(tmp_path / "out" / "meta.json")["inputs"]
    source.write_text("changed")
    with pytest.raises(InputError, match="holds other work than what was asked"):
        copy(str(source), str(tmp_path / "out"))


def test_output_below_an_input_is_no_part_of_it(tmp_path):
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "1.png").write_bytes(b"one")
    copy_names(tmp_path / "faces", tmp_path / "faces" / "out")
    before = (tmp_path / "faces" / "out" / "meta.json").read_text()
    copy_names(tmp_path / "faces", tmp_path / "faces" / "out")
    assert (tmp_path / "faces" / "out" / "meta.json").read_text() == before


def test_out_may_be_a_link_or_lead_over_other_folders(tmp_path, source):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    copy(source, tmp_path / "link")
    copy(source, tmp_path / "real" / ".." / "other")
    assert (tmp_path / "real" / "meta.json").exists()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "other" / "meta.json").exists()


@pytest.mark.parametrize("out", ["", ".", ".."])
def test_out_that_is_the_current_folder_is_refused(tmp_path, source, monkeypatch, out):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(InputError, match="the current folder or one above it; name a folder to make"):
        copy(source, Path(out))


@pytest.mark.parametrize("note", ["", "[]", "{", '{"inputs": 3}', '{"inputs": {"source": {"stamp": 1}}}'])
def test_damaged_notes_of_begun_work_do_not_block(tmp_path, source, note):
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial" / "work.json").write_text(note)
    copy(source, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["meta.json", "text.txt"]
    assert not (tmp_path / "out.partial").exists()


@pytest.mark.parametrize("note", ["[]", "3", '{"config": 3, "inputs": []}'])
def test_a_meta_file_of_another_kind_is_refused(tmp_path, source, note):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "meta.json").write_text(note)
    with pytest.raises(InputError, match="not what a finished command writes|holds other work than what was asked"):
        copy(source, tmp_path / "out")


@stage("toy bounds")
def bounded(out: Path, size: PositiveInt = 1, least: PositiveInt | None = None):
    """Does nothing."""


def test_numbers_beyond_the_bounds_of_their_type_are_refused_from_python_too(tmp_path):
    bounded(tmp_path / "out", size=2)
    for name in ("size", "least"):
        with pytest.raises(InputError, match=rf"--{name}: \[1\]; expected a number"):
            bounded(tmp_path / "other", **{name: [1]})
        with pytest.raises(InputError, match=f"--{name}: 0; expected a number above 0"):
            bounded(tmp_path / "other", **{name: 0})


@stage("toy choose")
def choose(out: Path, how: Literal["some", "all"] | None = None, k: int = 3, where: Literal["here"] | int = 1) -> None:
    """Works."""


def test_choices_and_text_for_numbers_are_checked_from_python_too(tmp_path):
    choose(tmp_path / "out", how="all", where=7)
    with pytest.raises(InputError, match="--how: 'most'; expected one of some, all"):
        choose(tmp_path / "other", how="most")
    with pytest.raises(InputError, match="--k: '3'; expected a number"):
        choose(tmp_path / "other", k="3")


def test_what_a_kill_while_writing_left_is_gone_when_the_work_goes_on(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        resume(tmp_path / "out", steps=2)
    for name in (".tmpAbC123", "unread_0.json.partial"):
        (tmp_path / "out.partial" / name).write_text("half of it")
    resume(tmp_path / "out", steps=2)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["meta.json", "steps.txt"]


def test_finished_work_of_other_inputs_or_settings_is_refused_without_doing_any(tmp_path):
    source, out = tmp_path / "a.txt", tmp_path / "out"
    source.write_text("x")
    copy.refuse_stale(source, out)  # there is none
    copy(source, out)
    calls.clear()
    copy.refuse_stale(source, out)
    with pytest.raises(InputError, match=r"holds other work than what was asked \(config.times 1 there, 2 asked\)"):
        copy.refuse_stale(source, out, times=2)
    source.write_text("y")
    with pytest.raises(
        InputError, match=r"holds other work than what was asked \(inputs.source .*a.txt \(\w{8}\) there"
    ):
        copy.refuse_stale(source, out)
    source.unlink()
    copy.refuse_stale(source, out)  # an input that is gone
    with pytest.raises(InputError, match=r"b.txt \(missing\) asked"):
        copy.refuse_stale(tmp_path / "b.txt", out)
    with pytest.raises(InputError, match="made by toy copy, not by toy resume"):
        resume.refuse_stale(out)
    (out / "meta.json").write_text("[]")
    with pytest.raises(InputError, match="not what a finished command writes"):
        copy.refuse_stale(source, out)
    assert not calls


def test_of_lists_of_inputs_those_that_differ_are_named(tmp_path):
    for name in "abc":
        (tmp_path / name).write_text(name)
    join(sources=[tmp_path / "a", tmp_path / "b"], out=tmp_path / "out")
    with pytest.raises(InputError) as refused:
        join(sources=[tmp_path / "a", tmp_path / "c"], out=tmp_path / "out")
    assert re.search(r"\(inputs.sources \S+/b \(\w{8}\) there, \S+/c \(\w{8}\) asked\)", str(refused.value))


def test_a_broken_link_in_a_folder_is_no_file_that_was_moved(tmp_path):
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "a.jpg").symlink_to("nowhere.jpg")
    copy_names(tmp_path / "faces", tmp_path / "out")
    (tmp_path / "faces" / "b.jpg").write_text("b")
    with pytest.raises(InputError, match=r"holds other work than what was asked \(inputs.folder \S+/faces"):
        copy_names(tmp_path / "faces", tmp_path / "out")


def test_a_list_of_faces_that_was_moved_away_from_its_files_is_named(tmp_path):
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "a.jpg").write_text("a")
    (tmp_path / "list").mkdir()
    (tmp_path / "list" / "faces.tsv").write_text("../faces/a.jpg\tme\n")
    copy_names(tmp_path / "list", tmp_path / "out")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "list").rename(tmp_path / "deeper" / "list")
    message = r"deeper/list names 1 file not there now, such as \S+/deeper/faces/a.jpg: if it was moved since"
    with pytest.raises(InputError, match=message):
        copy_names(tmp_path / "deeper" / "list", tmp_path / "out")
