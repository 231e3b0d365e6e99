"""Every command at the edges: each of its paths missing, damaged, odd or forbidden. A new command is tested, too.

The commands come from the programs' own lists and their paths from the annotations, so that nothing stands here by
name but what a path is a path of.
"""

import functools
import importlib
import inspect
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from facerec.pipeline.command_line import run
from facerec.pipeline.complaint import MOST_LETTERS
from facerec.pipeline.files import InputError

PROGRAMS = ("facerec", "clustering", "eval")
TARGETS = {
    f"{program} {name}": target
    for program in PROGRAMS
    for name, target in importlib.import_module(f"{program}.__main__").COMMANDS.items()
}
OUTPUTS = ("out", "json", "detail")
COMPANIONS = ("embeddings", "faces")
"""Optional inputs without which the others mean nothing."""
PLAIN = {"backend": "components", "labelled": 2, "level": 0, "face": 0, "trials": 1, "workers": 1, "k": 3}
BY_COMMAND = {
    "facerec embed": {"workers": 0}, "facerec train": {"steps": 1, "workers": 0}, "facerec sheet": {"out": "sheet.png"},
    "clustering compare": {"backends": ["components", "dbscan"]},
    "clustering train": {"backend": "lander"}, "clustering pretrain": {"corpora": 1, "epochs": 1},
    "clustering calibrate": {"corpora": 10},
    "eval folder": {"bootstrap": 0, "worst": 1},
}  # fmt: skip
NOT_RUN = (
    "facerec synth", "facerec align", "facerec train", "clustering train", "clustering pretrain", "clustering import",
    "clustering calibrate",
)  # fmt: skip
"""Commands without an input that is cheap to make or to work on; of them mistakes alone are tested."""
SECONDS = 20
NOBODY = 65534
TEXTS = (".txt", ".tsv", ".csv", ".yaml", ".json")
FACES = [("a0", 70, 1), ("a1", 70, 2), ("b0", 9, 3), ("c0", 12, 4), ("d0", 5, 5), ("pa", 40, 6), ("pb", 2, 7),
         ("pc", 55, 8), ("pd", 33, 9)]  # fmt: skip


@functools.cache
def signature(command: str) -> inspect.Signature:
    module, _, name = TARGETS[command].partition(":")
    return inspect.signature(getattr(importlib.import_module(module), name), eval_str=True)


def is_path(annotation: Any) -> bool:
    return annotation is Path or any(map(is_path, typing.get_args(annotation)))


PATHS = [
    (command, name)
    for command in TARGETS
    for name, parameter in signature(command).parameters.items()
    if is_path(parameter.annotation)
]
INPUTS = [(command, name) for command, name in PATHS if name not in OUTPUTS]
RESULTS = [(command, name) for command, name in PATHS if name in OUTPUTS]
RUN = [command for command in TARGETS if command not in NOT_RUN and any(command == one for one, _ in PATHS)]


def test_what_is_tested():
    assert ("facerec embed", "faces") in INPUTS
    assert ("facerec join", "embeddings") in INPUTS
    assert ("facerec train", "hierarchy") in INPUTS
    assert ("clustering pseudolabel", "decisions") in INPUTS
    assert ("eval clusters", "detail") in RESULTS
    assert len(INPUTS) > 40


# Small inputs of every kind, made once.


def pictures(folder: Path) -> Path:
    generator = np.random.default_rng(0)
    for person in range(4):
        (folder / f"person{person}").mkdir(parents=True)
        pattern = cv2.resize(generator.integers(0, 256, (5, 5, 3), dtype=np.uint8), (32, 32))
        for number in range(5):
            noisy = np.clip(pattern + generator.integers(-9, 10, pattern.shape), 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / f"person{person}" / f"{number}.png"), noisy)
    return folder


def protocol(folder: Path) -> Path:
    folder.mkdir()
    header = "TEMPLATE_ID,SUBJECT_ID,FILENAME\n"
    for name, text in {
        "face_tid_mid.txt": "".join(f"{name}.jpg {template} {media}\n" for name, template, media in FACES),
        "template_pair_label.txt": "70 40 1\n9 2 1\n12 55 1\n5 33 1\n70 2 0\n9 40 0\n12 33 0\n5 55 0\n",
        "1N_gallery_G1.csv": header + "70,1,x\n9,2,x\n",
        "1N_gallery_G2.csv": header + "12,3,x\n5,4,x\n",
        "1N_probe_mixed.csv": header + "40,1,x\n2,2,x\n55,3,x\n33,4,x\n",
    }.items():
        (folder / f"tiny_{name}").write_text(text)
    return folder


def network(folder: Path) -> Path:
    from facerec.backbones import build
    from facerec.recognisers.model_folder import save_model

    folder.mkdir()
    config = {"backbone": "mobilefacenet", "width": 0.125, "input_size": 32, "embedding_size": 16}
    save_model(folder, build("mobilefacenet", 16, 32, 0.125), config)
    return folder


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Paths by the parameter's name, or by command and name where commands differ."""
    from clustering.commands.cluster import cluster
    from clustering.commands.export import export
    from clustering.commands.knn import knn
    from clustering.quality.estimator import packaged
    from clustering.review.decisions import labels_hash
    from eval.commands.ijb import ijb
    from facerec.commands.thumbnails import thumbnails
    from facerec.pipeline.embeddings import normalize, save_embeddings

    root = tmp_path_factory.mktemp("inputs")
    faces = pictures(root / "faces")
    truth = np.repeat(np.arange(4), 5)
    keys = [path.relative_to(faces).as_posix() for path in sorted(faces.glob("*/*"))]
    generator = np.random.default_rng(1)
    rows = normalize(np.eye(4, 16)[truth] + 0.1 * generator.normal(size=(20, 16)))
    for name, count in (("embeddings", 20), ("few", len(FACES))):
        (root / name).mkdir()
        save_embeddings(root / name, rows[:count], keys[:count], truth[:count])
    save_embeddings(root / "few", rows[: len(FACES)], [f"{name}.jpg" for name, _, _ in FACES])
    many = normalize(np.eye(4, 16)[np.repeat(np.arange(4), 15)] + 0.1 * generator.normal(size=(60, 16)))
    for name in ("many", "quality"):
        (root / name).mkdir()
    packaged().save(root / "quality")
    save_embeddings(root / "many", many, labels=np.repeat(np.arange(4), 15))
    np.save(root / "labels.npy", truth)
    np.save(root / "detector_scores.npy", np.ones(len(FACES)))
    (root / "quality.csv").write_text("key,quality\n" + "".join(f"{key},{len(key)}\n" for key in keys))
    (root / "attributes.csv").write_text("identity,sex\nperson0,f\nperson1,m\nperson2,f\nperson3,m\n")
    (root / "settings").mkdir()
    (root / "settings" / "config.yaml").write_text("backend: components\n")
    graph = knn(root / "embeddings", root / "knn", k=10)
    found = cluster("hilander", root / "embeddings", root / "clusters", knn=graph)
    labels = np.load(found / "labels.npy")
    content = {"clustering": labels_hash(labels), "decisions": [{"action": "keep", "cluster": 0}]}
    (root / "decisions.json").write_text(json.dumps(content))
    (root / "answers.json").write_text(json.dumps({"answers": [{"faces": keys[:2], "answer": "same"}]}))
    (root / "recipe.yaml").write_text("train: {steps: 3}\n")
    (root / "pseudo").mkdir()
    np.save(root / "pseudo" / "labels.npy", truth)
    np.save(root / "pseudo" / "weights.npy", np.ones(20, np.float32))
    pairs = [(keys[5 * (i % 4)], keys[5 * ((i + i // 4 % 2) % 4) + 1], 1 - i // 4 % 2) for i in range(16)]
    (root / "pairs.tsv").write_text("".join(f"{one}\t{two}\t{same}\n" for one, two, same in pairs))
    images = [(faces / key).read_bytes() for pair in pairs for key in pair[:2]]
    (root / "set.bin").write_bytes(pickle.dumps((images, [bool(pair[2]) for pair in pairs])))
    (root / "weights.pth").write_bytes(b"no weights")
    (root / "detector.onnx").write_bytes(b"no network")
    exported = export(clusters=found, out=root / "exported", faces=faces)
    report = ijb(protocol(root / "protocol"), root / "few", root / "ijb")
    return {
        "root": root, "faces": faces, "photographs": faces, "unlabelled": faces, "embeddings": root / "embeddings",
        "new": root / "embeddings", "calibration": root / "embeddings", "labels": root / "labels.npy",
        "truth": root / "labels.npy", "predicted": root / "labels.npy", "clusters": found, "hierarchy": found,
        "labelled": root / "embeddings", "knn": graph, "protocol": root / "protocol", "runs": [report],
        "eval ijb embeddings": root / "few", "detector_scores": root / "detector_scores.npy",
        "pairs": root / "pairs.tsv", "recipe": root / "recipe.yaml", "decisions": root / "decisions.json",
        "answers": root / "answers.json",
        "model": root / "settings", "facerec embed model": network(root / "network"), "init": root / "network",
        "facerec export model": root / "network", "pseudo_labels": root / "pseudo", "validation": root / "set.bin",
        "file": root / "set.bin", "thumbnails": thumbnails(faces, root / "thumbnails"), "weights": root / "weights.pth",
        "sessions": root / "labels.npy", "quality": root / "quality.csv", "attributes": root / "attributes.csv",
        "detector": root / "detector.onnx", "previous": exported, "table": exported / "faces.csv",
        "clustering estimate embeddings": root / "many", "clustering estimate clusters": root / "many" / "labels.npy",
        "clustering estimate knn": knn(root / "many", root / "many_knn", k=10),
        "clustering estimate model": root / "quality",
        "facerec join embeddings": [root / "embeddings", root / "embeddings"],
    }  # fmt: skip


def arguments(command: str, inputs: dict[str, Any], out: Path, wanted: str = "") -> dict[str, Any]:
    """The least that a command needs, and one more parameter; of an unknown path an embedding set."""
    given: dict[str, Any] = {}
    known = PLAIN | BY_COMMAND.get(command, {})
    for name, parameter in signature(command).parameters.items():
        path, needed = is_path(parameter.annotation), parameter.default is parameter.empty
        if name in OUTPUTS and (needed or name == wanted):
            given[name] = out / known.get(name, name)
        elif path and name not in OUTPUTS and (needed or name in (wanted, *COMPANIONS)):
            given[name] = inputs.get(f"{command} {name}", inputs.get(name, inputs["embeddings"]))
        elif not path and (needed or name in BY_COMMAND.get(command, {}) or name in ("k", "trials", "workers")):
            given[name] = known.get(name, 1)
    return given


def words(given: dict[str, Any]) -> Iterator[str]:
    for name, value in given.items():
        yield "--" + name.replace("_", "-")
        yield json.dumps([str(item) for item in value]) if isinstance(value, list) else str(value)


class Hangs(BaseException):
    """A command that waits; no exception that it could take for one of its own."""


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., SimpleNamespace]:
    """Runs a command as the shell does: its status and what it said. What hangs is an error.

    With ``parsed=False`` it gets the values themselves, which saves the half of the time that the parser takes.
    """

    def hangs(*_: object) -> None:
        raise Hangs(f"no end after {SECONDS} s")

    def call(command: str, given: dict[str, Any], parsed: bool = True) -> SimpleNamespace:
        program, _, name = command.partition(" ")
        patch = pytest.MonkeyPatch()
        if not parsed:
            patch.setattr("facerec.pipeline.parser.call", lambda program, name, function, *_: function(**given))
        before = signal.signal(signal.SIGALRM, hangs)
        signal.alarm(SECONDS)
        try:
            status: Any = run(f"python -m {program}", {name: TARGETS[command]}, [name, *words(given)])
        except SystemExit as end:
            status = end.code
        except BaseException as error:
            status = f"{type(error).__name__}: {error}"
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
            patch.undo()
        return SimpleNamespace(status=status, said=capsys.readouterr().err)

    return call


@pytest.mark.parametrize(("command", "name"), [path for path in PATHS if path in INPUTS or path[0] in RUN])
def test_python_callers_give_paths_as_text(command, name, tmp_path):
    known, given = PLAIN | BY_COMMAND.get(command, {}), {}
    for each, parameter in signature(command).parameters.items():
        if each == name or parameter.default is parameter.empty:
            alone = Path in (parameter.annotation, *typing.get_args(parameter.annotation))
            file = "sheet.png" if (command, each) == ("facerec sheet", "out") else each
            text = str(tmp_path / file) if is_path(parameter.annotation) else known.get(each, 1)
            given[each] = text if alone or not is_path(parameter.annotation) else [text]
    module, _, function = TARGETS[command].partition(":")
    with pytest.raises(InputError):  # of a missing file
        getattr(importlib.import_module(module), function)(**given)


# What a path can be.


def same_name(good: Path, folder: Path) -> Path:
    folder.mkdir()
    return folder / good.name


def copied(good: Path, bad: Path, change: Callable[[Path], None]) -> Path:
    if good.is_dir():
        shutil.copytree(good, bad)
    else:
        shutil.copy(good, bad)
    for file in [bad, *bad.rglob("*")]:
        if file.is_file():
            change(file)
    return bad


def halve(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def add_mark(file: Path) -> None:
    if file.suffix in TEXTS:
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())


def add_huge_label(file: Path) -> None:
    if file.name == "labels.npy":
        labels = np.load(file)
        labels[0] = 2**40
        np.save(file, labels)


def pipes(good: Path, bad: Path) -> Path:
    """A pipe for every file that there is: nobody writes into it."""
    names = [path.relative_to(good) for path in good.rglob("*") if path.is_file()] if good.is_dir() else [Path()]
    for name in names:
        (bad / name).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(bad / name)
    return bad


SITUATIONS: dict[str, Callable[[Path, Path], object]] = {
    "missing": lambda good, bad: None,
    "empty": lambda good, bad: bad.touch(),
    "folder": lambda good, bad: bad.mkdir(),
    "file": lambda good, bad: bad.write_text("x\n"),
    "dangling link": lambda good, bad: bad.symlink_to("nowhere"),
    "link to itself": lambda good, bad: bad.symlink_to(bad.name),
    "no permission": lambda good, bad: copied(good, bad, lambda file: None).chmod(0),
    "pipe": lambda good, bad: os.mkfifo(bad),
    "pipes inside": pipes,
    "truncated": lambda good, bad: copied(good, bad, halve),
    "a huge label": lambda good, bad: copied(good, bad, add_huge_label),
    "folders for files": lambda good, bad: copied(good, bad, lambda file: (file.unlink(), file.mkdir())),
}
USABLE = {("eval compare", "recipe"): ("empty", "file", "truncated")}
"""Where a file of any contents is right."""
MAY_DO = ("truncated", "pipes inside", "folders for files", "a huge label")
"""Where a command may do with what is left, as `store`, which does not look into pictures."""


def complaint(called: SimpleNamespace) -> str | None:
    """What is wrong with how a command refused: one line with status 2 is right."""
    if called.status != 2:
        return f"status {called.status}: {called.said[-200:]}"
    lines = [line for line in called.said.splitlines() if "error: " in line]
    if len(lines) != 1 or "Traceback" in called.said:
        return f"{len(lines)} lines: {called.said[-400:]}"
    if len(lines[0]) > MOST_LETTERS:
        return f"{len(lines[0])} letters: {lines[0]}"
    if "allow_pickle" in called.said or "weights_only" in called.said:
        return f"advice to load unsafely: {lines[0]}"
    return None


class as_nobody:  # noqa: N801 (a context)
    """Gives up root's rights for a while, for whom no file is forbidden."""

    def __enter__(self) -> None:
        self.is_root = os.geteuid() == 0
        if self.is_root:
            os.seteuid(NOBODY)

    def __exit__(self, *_: object) -> None:
        if self.is_root:
            os.seteuid(0)


@pytest.mark.parametrize(("command", "name"), INPUTS, ids=[" ".join(pair) for pair in INPUTS])
def test_inputs(tmp_path, inputs, call, command, name):
    wrong = []
    for number, (situation, make) in enumerate(SITUATIONS.items()):
        if situation in USABLE.get((command, name), ()) or (situation == "a huge label" and command in NOT_RUN):
            continue
        out = tmp_path / f"out {number}"
        given = arguments(command, inputs, out, name)
        out.mkdir()
        whole = isinstance(given[name], list)
        good = given[name][0] if whole else given[name]
        bad = same_name(good, tmp_path / str(number))
        make(good, bad)
        given[name] = [*given[name][:-1], bad] if whole else bad
        if situation == "no permission":
            with as_nobody():
                called = call(command, given, parsed=False)
        else:
            called = call(command, given, parsed=False)
        if found := None if situation in MAY_DO and called.status == 0 else complaint(called):
            wrong.append(f"{situation}: {found}")
        elif called.status != 0 and (left := sorted(path.name for path in out.iterdir())):
            wrong.append(f"{situation}: left {left}")
    assert not wrong, "\n".join(wrong)


def contents(out: Path) -> dict[str, bytes]:
    """Every file of a result but the note of what was done, and when; without the places of inputs."""
    places = re.compile(rb"'?[./]*/(inputs|odd)\d+(/caf(\xe9|\\udce9))?/")
    return {
        path.relative_to(out).as_posix(): places.sub(b"", path.read_bytes()).replace(b"'", b"")
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != "meta.json"
    }


def moved(inputs: dict[str, Any], root: Path) -> dict[str, Any]:
    """The same inputs at another place."""

    def there(path: Path) -> Path:
        return root / path.relative_to(inputs["root"])

    return {name: [*map(there, path)] if isinstance(path, list) else there(path) for name, path in inputs.items()}


@pytest.fixture(scope="module")
def odd(inputs: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The inputs below a folder whose name is Latin-1, with a byte order mark at the beginning of every text."""
    root = tmp_path_factory.mktemp("odd") / os.fsdecode(b"caf\xe9")
    copied(inputs["root"], root, add_mark)
    return moved(inputs, root)


@pytest.mark.parametrize("command", RUN)
def test_odd_inputs_and_a_linked_result_are_as_any(tmp_path, inputs, odd, call, command):
    """Byte order marks, names that are not UTF-8, and a link as OUT change nothing."""
    plain, other = tmp_path / "plain", tmp_path / "other"
    plain.mkdir()
    other.mkdir()
    given = arguments(command, odd, other)
    name = next((name for name in OUTPUTS if name in given), None)
    folder = name and not given[name].suffix
    if folder:
        (tmp_path / "target").mkdir()
        given[name].symlink_to(tmp_path / "target")
    first, second = call(command, arguments(command, inputs, plain)), call(command, given)
    assert (first.status, first.said.count("error: ")) == (0, 0), first
    if second.status:  # libraries that take no such name
        assert complaint(second) is None
        assert "caf\\udce9" in second.said
        return
    assert contents(tmp_path / "target" if folder else other) == contents(plain / given[name].name if folder else plain)
    assert [path.name for path in other.iterdir()] == ([given[name].name] if name else [])


def file_there(out: Path) -> Path:
    out.write_text("mine")
    return out


def link_to_itself(out: Path) -> Path:
    out.symlink_to(out.name)
    return out


def pipe(out: Path) -> Path:
    os.mkfifo(out)
    return out


PLACES: dict[str, Callable[[Path], Path | str]] = {
    "nothing": lambda out: "",
    "here": lambda out: ".",
    "below a file": lambda out: file_there(out) / "x",
    "link to itself": link_to_itself,
    "pipe": pipe,
    "long name": lambda out: out.with_name("x" * 300),
    "a full disk": lambda out: out,
    "forbidden": lambda out: out,
}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path | None]:
    """A disk of one page that is full; None where none may be mounted."""
    folder = tmp_path_factory.mktemp("full")
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        yield None
        return
    (folder / "filling").write_bytes(bytes(4096))
    yield folder
    subprocess.run(["umount", str(folder)], check=False)


@pytest.mark.parametrize(("command", "name"), RESULTS, ids=[" ".join(pair) for pair in RESULTS])
def test_places_that_no_result_can_have(tmp_path, inputs, call, full, command, name):
    wrong = []
    for number, (situation, make) in enumerate(PLACES.items()):
        place = tmp_path / str(number)
        place.mkdir()
        if situation == "a full disk":
            if full is None:
                continue
            place = full / "deeper"
            place.mkdir()
        if situation == "forbidden":
            place.chmod(0o555)
        given = arguments(command, inputs, place, name)
        given[name] = make(given[name])
        before = sorted(path.name for path in place.iterdir())
        if situation == "forbidden":
            for folder in (*inputs["root"].parents, *tmp_path.parents, tmp_path):
                if folder.stat().st_uid == os.geteuid() == 0 and str(folder).count("/") > 1:
                    folder.chmod(folder.stat().st_mode | 0o755)
            with as_nobody():
                called = call(command, given)
        else:
            called = call(command, given)
        if found := complaint(called):
            wrong.append(f"{situation}: {found}")
        elif before != (after := sorted(path.name for path in place.iterdir())) and "goes on" not in called.said:
            wrong.append(f"{situation}: left {after}")
        if situation == "a full disk":
            shutil.rmtree(place)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("command", [command for command in RUN if "out" in signature(command).parameters])
def test_a_result_below_an_input_is_no_part_of_it(tmp_path, inputs, call, command):
    """It is refused, or the second run says that it is done: never that it is other work."""
    given = arguments(command, inputs, tmp_path)
    folders = [name for name, path in given.items() if isinstance(path, Path) and name != "out" and path.is_dir()]
    if not folders:
        pytest.skip("it takes no folder")
    name = folders[0]
    given[name] = copied(given[name], tmp_path / "input", lambda file: None)
    given["out"] = given[name] / given["out"].name
    first, before = call(command, given), contents(tmp_path)
    second = call(command, given)
    assert first.status == second.status, (first, second)
    assert complaint(second) is None if second.status else contents(tmp_path) == before
