"""Every kind of command, stopped at random moments and started again: same result, nothing left over.

    python benchmarks/interruptions.py [--stops 3] [--seed 0] [--command NAME ...] [--work DIR]

Each command runs once undisturbed. Then for each signal it is stopped `--stops` times one after the other, and runs to
its end. KILL and TERM go to the command's own process, INT to it and its workers, as Ctrl-C in a terminal does. A
quarter of the moments lies before OUT.partial is there, after the 0.2 s in which Python itself starts. The others lie
in the time of the work. All of these must hold:

- INT ends with status 130, TERM with 143, both with one line; within 60 s;
- 15 s later no process of the command is left;
- the last run ends with status 0, and its folder has the same files with the same bytes as the undisturbed one;
- beside the folder nothing is left.

Of ``meta.json`` the time, memory and speed are left out of the comparison, and of a model the folder ``tensorboard``.
The status is 1 if anything did not hold. Linux only: it reads /proc.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from common import DATA, work_folder
from interruption_inputs import make_inputs
from scale import environment

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
STATUS = {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 143, signal.SIGINT: 130}
STOPPED = "stopped; the same command goes on"
MASKED = ("seconds", "peak_memory_bytes", "finished", "faces_per_second", "images_per_second")
EARLY, EARLIEST, LONGEST, GRACE = 0.25, 0.2, 60.0, 15.0


def cases(given: Path) -> dict[str, list[str]]:
    """The words of each command, without its OUT."""
    faces, own, many = (str(given / name) for name in ("faces", "own", "many"))
    graph, clusters = str(given / "knn"), str(given / "clusters")
    words = {
        "facerec store": ["--faces", faces],
        "facerec split": ["--faces", faces, "--labelled", "10"],
        "facerec thumbnails": ["--faces", faces],
        "facerec embed": ["--model", str(given / "network"), "--faces", faces, "--batch-size", "16"],
        "facerec join": ["--embeddings", f"[{many}, {many}]"],
        "facerec synth": ["--labelled", "4", "--validation", "4", "--unlabelled", "4", "--test", "4", "--size", "48"],
        "facerec train": ["--faces", faces, "--backbone", "mobilefacenet", "--width", "0.125", "--input-size", "32",
                          "--embedding-size", "16", "--batch-size", "32", "--steps", "40", "--checkpoint-steps", "7"],
        "facerec align": ["--photographs", str(given / "photographs"), "--detection-size", "320", "--detector",
                          str(DATA / "weights" / "scrfd_2.5g_bnkps.onnx")],
        "clustering knn": ["--embeddings", many],
        "clustering tune": ["--backend", "dbscan", "--embeddings", own, "--trials", "6"],
        "clustering cluster": ["--backend", "hilander", "--embeddings", many],
        "clustering pseudolabel": ["--clusters", clusters, "--embeddings", many, "--knn", graph],
        "clustering review": ["--clusters", f"{own}/labels.npy", "--embeddings", own, "--thumbnails",
                              str(given / "thumbnails")],
        "eval ijb": ["--protocol", str(given / "protocol"), "--embeddings", str(given / "test"), "--bootstrap", "200"],
        "eval compare": ["--runs", f"[{given / 'ijb'}, {given / 'ijb2'}]"],
    }  # fmt: skip
    if not (given / "photographs").is_dir():
        del words["facerec align"]
    return words


@dataclass
class Calm:
    """An undisturbed run.

    Attributes:
        folder: Its result.
        begun: Seconds until OUT.partial was there.
        worked: Seconds from then to the end.
        said: Its lines on stderr, without paths and numbers.
    """

    folder: Path
    begun: float
    worked: float
    said: set[str]


@dataclass
class Found:
    """What was seen of one command.

    Attributes:
        stops: How often a signal stopped it.
        late: How often it had ended before the signal.
        early: Stops before its work had begun.
        wrong: What did not hold.
    """

    stops: Counter[signal.Signals] = field(default_factory=Counter)
    late: int = 0
    early: int = 0
    wrong: list[str] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stops", type=int, default=3, help="of each command by each signal")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--command", nargs="+", help="such as 'facerec embed'; by default all")
    parser.add_argument("--work", type=Path, help="folder that keeps all that is made; else a temporary one")
    arguments = parser.parse_args()
    with work_folder(arguments.work) as work:
        given = make_inputs(work / "given")
        chosen = {name: words for name, words in cases(given).items() if name in (arguments.command or [name])}
        print(f"{'command':24} {'KILL':>5} {'TERM':>5} {'INT':>5} {'early':>6} {'late':>5} {'wrong':>6}", flush=True)
        all_found = [report(name, words, work, arguments) for name, words in chosen.items()]
    total = sum(found.stops.total() for found in all_found)
    wrong = sum(len(found.wrong) for found in all_found)
    print(f"{total} stops of {len(chosen)} commands, {wrong} wrong")
    sys.exit(1 if wrong else 0)


def report(name: str, words: list[str], work: Path, arguments: argparse.Namespace) -> Found:
    """Runs one command undisturbed and disturbed, and prints a line."""
    place = work / name.replace(" ", "_")
    place.mkdir(parents=True)
    command = [sys.executable, "-m", *name.split(), *words, "--out"]
    calm, found = undisturbed(command, place / "calm" / "out"), Found()
    for number in SIGNALS:
        generator = np.random.default_rng([arguments.seed, number, *name.encode()])
        chain(command, calm, number, place / number.name / "out", arguments.stops, generator, found)
    counts = " ".join(f"{found.stops[number]:5}" for number in SIGNALS)
    print(f"{name:24} {counts} {found.early:6} {found.late:5} {len(found.wrong):6}", flush=True)
    for text in found.wrong:
        print(f"    {text}", flush=True)
    return found


def undisturbed(command: list[str], out: Path) -> Calm:
    """Runs a command to its end."""
    out.parent.mkdir(parents=True)
    process, started = start([*command, str(out)]), time.monotonic()
    begun = wait_for_work(process, out) - started
    said = process.communicate()[1].decode()
    if process.returncode:
        sys.exit(said[-2000:])
    return Calm(out, begun, max(time.monotonic() - started - begun, 0.05), set(map(plain, said.splitlines())))


def chain(
    command: list[str], calm: Calm, number: signal.Signals, out: Path, stops: int,
    generator: np.random.Generator, found: Found,
) -> None:  # fmt: skip
    """Stops a command again and again, lets it end, and notes what was wrong."""
    out.parent.mkdir(parents=True)
    while found.stops[number] < stops and found.late < 20:
        early = generator.random() < EARLY
        moment = generator.uniform(EARLIEST, max(calm.begun, EARLIEST)) if early else generator.uniform(0, calm.worked)
        process = start([*command, str(out)])
        status, said = stop(process, out, number, moment, early)
        if status in (0, -number) and out.exists():
            found.late += 1
            shutil.rmtree(out)
            continue
        found.stops[number] += 1
        found.early += early
        where = f"{number.name} {moment:.2f} s {'after the start' if early else 'into the work'}"
        found.wrong += [f"{where}: {text}" for text in mistakes(number, status, said, calm)]
        if left := survivors(process.pid):
            found.wrong.append(f"{where}: {left} left")
    process = start([*command, str(out)])
    said = process.communicate()[1].decode()
    if process.returncode:
        found.wrong.append(f"{number.name}: started again: status {process.returncode}: {said[-300:]}")
    found.wrong += [f"{number.name}: {text}" for text in differences(calm.folder, out)]


def start(command: list[str]) -> subprocess.Popen[bytes]:
    """Starts a command in a session of its own."""
    return subprocess.Popen(
        command, env=environment(1), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )


def wait_for_work(process: subprocess.Popen[bytes], out: Path) -> float:
    """Waits for the work to begin, or for the command's end; returns the time."""
    partial = out.with_name(out.name + ".partial")
    while not partial.exists() and not out.exists() and process.poll() is None:
        time.sleep(0.002)
    return time.monotonic()


def stop(
    process: subprocess.Popen[bytes], out: Path, number: signal.Signals, moment: float, early: bool
) -> tuple[int, str]:
    """Sends a signal at a moment; returns the status and what was said."""
    if early:
        time.sleep(moment)
    else:
        # What an earlier start left is there at once; the work goes on when Python and its libraries are.
        lock = out.with_name(out.name + ".partial") / ".lock"
        before = lock.stat().st_mtime_ns if lock.exists() else 0
        while process.poll() is None and not (lock.exists() and lock.stat().st_mtime_ns > before):
            time.sleep(0.002)
        time.sleep(moment)
    if number == signal.SIGINT and process.poll() is None:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    try:
        said = process.communicate(timeout=LONGEST)[1]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return -1, f"no end after {LONGEST:.0f} s"
    return process.returncode, said.decode()


def mistakes(number: signal.Signals, status: int, said: str, calm: Calm) -> Iterator[str]:
    """What is wrong with how a command ended."""
    if status != STATUS[number]:
        yield f"status {status}: {said[-300:]}"
    elif number != signal.SIGKILL:
        lines = [line for line in said.splitlines() if plain(line) not in calm.said]
        if len(lines) != 1 or not lines[0].endswith(STOPPED):
            yield f"{len(lines)} lines: {said[:600]}"


def plain(line: str) -> str:
    """A line of the log without paths and numbers."""
    return re.sub(r"\S*/\S*|[\d.,]+", "#", line)


def survivors(session: int) -> list[str]:
    """The processes of a session that are still there when it had its time to end, by their command."""
    end = time.monotonic() + GRACE
    while (left := list(processes(session))) and time.monotonic() < end:
        time.sleep(0.1)
    if left:
        os.killpg(session, signal.SIGKILL)
    return left


def processes(session: int) -> Iterator[str]:
    """The commands of the processes of a session that have not ended."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                yield (folder / "cmdline").read_text().replace("\0", " ")[:100]
        except OSError:  # it has ended
            continue


def differences(one: Path, other: Path) -> Iterator[str]:
    """What of two results differs, and what stands beside the second."""
    files = [{path.relative_to(folder): path for path in folder.rglob("*") if counts(path)} for folder in (one, other)]
    for name in sorted(files[0].keys() | files[1].keys()):
        if name not in files[0] or name not in files[1]:
            yield f"{name}: {'more' if name in files[1] else 'missing'}"
        elif files[0][name].is_file() and contents(files[0][name]) != contents(files[1][name]):
            yield f"{name}: differs"
    for path in other.parent.iterdir():
        if path != other:
            yield f"{path.name} beside it"


def counts(path: Path) -> bool:
    """Whether a file or folder is part of the result: TensorBoard's files have times in their names."""
    return "tensorboard" not in path.parts


def contents(file: Path) -> object:
    """A file's bytes; of ``meta.json`` what is in it but the figures of this run."""
    if file.name != "meta.json":
        return file.read_bytes()
    return without(json.loads(file.read_bytes()), lambda name: name in MASKED)


def without(value: object, masked: Callable[[str], bool]) -> object:
    """JSON without some of its keys, at any depth."""
    if isinstance(value, dict):
        return {name: without(item, masked) for name, item in value.items() if not masked(name)}
    return [without(item, masked) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main()
