"""Damaged input: every reader either reads it or refuses it in one line.

    python benchmarks/fuzz.py [--seconds 300] [--reader NAME ...] [--seed 0] [--workers 2]

A small valid input of every reader is damaged: flipped bits, other bytes, parts left out, doubled or cut off, numbers
that are huge or negative, values of other types, deep nesting, byte order marks. Each trial runs in a child process
with 4 GB more address space than its libraries take. A trial fails if the reader raises what a command does not say
in one line, takes longer than 60 s or more memory, ends the process, or starts a program. Trial i of a reader is
the same for the same seed. The status is 1 if any failed.
"""

import argparse
import logging
import multiprocessing
import os
import random
import re
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import fuzz_inputs

ROOM = 4 << 30
LIMIT = 60.0
FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "subprocess.Popen", "pty.spawn", "socket.connect")
NUMBERS = (b"-1", b"0", b"1", b"1e999", b"NaN", b"4294967296", b"9223372036854775807", b"1000000000000", b"9" * 5000)
VALUES = (b"null", b"[]", b"{}", b'"x"', b"true", b"3", b"-1.5", b"[[[1]]]", b"")
KINDS = ("read", "refused", "traceback", "hang", "memory", "killed", "code run")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--reader", nargs="+", default=list(fuzz_inputs.READERS), choices=list(fuzz_inputs.READERS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        found = fuzzed(arguments.reader, Path(work), arguments.seconds, arguments.seed, arguments.workers)
    print(f"{'reader':16} {'tried':>7} {'failed':>7} " + " ".join(f"{kind:>9}" for kind in KINDS))
    failed = 0
    for name, counts in found.items():
        bad = sum(counts[kind] for kind in KINDS[2:])
        failed += bad
        print(f"{name:16} {counts.total():7} {bad:7} " + " ".join(f"{counts[kind]:9}" for kind in KINDS))
    print(f"{'all':16} {sum(counts.total() for counts in found.values()):7} {failed:7}")
    sys.exit(1 if failed else 0)


def mutated(content: bytes, generator: random.Random) -> bytes:
    """Content with one to three kinds of damage."""
    for _ in range(generator.choice((1, 1, 1, 2, 3))):
        content = generator.choice(DAMAGES)(content, generator)
    return content


def _flipped(content: bytes, generator: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(generator.choice((1, 1, 2, 8, 64)) if content else 0):
        # Headers decide most, so half of the flips are there.
        place = generator.randrange(generator.choice((min(len(changed), 128), len(changed))))
        changed[place] ^= 1 << generator.randrange(8)
    return bytes(changed)


def _overwritten(content: bytes, generator: random.Random) -> bytes:
    start, length = generator.randrange(len(content) + 1), generator.choice((1, 4, 8, 100))
    new = generator.choice((generator.randbytes(length), bytes(length), b"\xff" * length))
    return content[:start] + new + content[start + length :]


def _cut(content: bytes, generator: random.Random) -> bytes:
    return content[: generator.randrange(len(content) + 1)]


def _without(content: bytes, generator: random.Random) -> bytes:
    start = generator.randrange(len(content) + 1)
    return content[:start] + content[start + generator.choice((1, 4, 32, 500)) :]


def _doubled(content: bytes, generator: random.Random) -> bytes:
    start = generator.randrange(len(content) + 1)
    part = content[start : start + generator.choice((1, 8, 64, 1000))]
    return content[:start] + part * generator.choice((2, 2, 50)) + content[start + len(part) :]


def _replaced(pattern: bytes, values: tuple[bytes, ...]) -> Callable[[bytes, random.Random], bytes]:
    def replace(content: bytes, generator: random.Random) -> bytes:
        places = list(re.finditer(pattern, content[:200_000]))
        if not places:
            return _flipped(content, generator)
        place = generator.choice(places)
        return content[: place.start()] + generator.choice(values) + content[place.end() :]

    return replace


def _nested(content: bytes, generator: random.Random) -> bytes:
    start = generator.choice((0, generator.randrange(len(content) + 1)))
    return content[:start] + generator.choice((b"[", b'{"a":', b"- ", b"(")) * 100_000 + content[start:]


def _marked(content: bytes, generator: random.Random) -> bytes:
    return generator.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\0")) + content


DAMAGES = (
    _flipped, _flipped, _flipped, _overwritten, _cut, _without, _doubled, _nested, _marked,
    _replaced(rb"-?\d+(\.\d+)?", NUMBERS), _replaced(rb"(?<=: )[^,}\n]+", VALUES),
    _replaced(rb"[\t\n ,]", (b"", b"\r", b"\x0c")),
)  # fmt: skip


@dataclass
class Child:
    """A process that tries one damaged input after the other."""

    reader: str
    process: Any
    pipe: Connection
    trial: int = 0
    since: float = 0.0


def fuzzed(readers: list[str], work: Path, seconds: float, seed: int, workers: int) -> dict[str, Counter[str]]:
    """Tries readers in turn for some seconds altogether; how often each trial ended how."""
    found: dict[str, Counter[str]] = {name: Counter() for name in readers}
    pending = list(readers)
    running: list[tuple[Child, float]] = []
    share = seconds * workers / max(len(readers), 1)
    while pending or running:
        while pending and len(running) < workers:
            running.append((_started(pending.pop(0), work, seed, 0), time.monotonic() + share))
        wait([child.pipe for child, _ in running], timeout=1)
        kept = []
        for child, end in running:
            child = _advanced(child, found[child.reader], work, seed)
            if child.trial and time.monotonic() > end:
                child.process.kill()
            else:
                kept.append((child, end))
        running = kept
    return found


def _advanced(child: Child, counts: Counter[str], work: Path, seed: int) -> Child:
    """Notes how a trial ended, if it has; a child that hangs or is gone is replaced."""
    try:
        if child.pipe.poll():
            trial, kind, said = child.pipe.recv()
            child.trial, child.since = trial + 1, time.monotonic()
            if kind != "ready":
                _note(counts, child.reader, trial, kind, said)
            return child
        if time.monotonic() - child.since < LIMIT or not child.since:
            return child
        kind = "hang"
    except EOFError:
        kind = "killed"
    _note(counts, child.reader, child.trial, kind, "")
    child.process.kill()
    child.process.join()
    return _started(child.reader, work, seed, child.trial + 1)


def _note(counts: Counter[str], reader: str, trial: int, kind: str, said: str) -> None:
    counts[kind] += 1
    if kind in KINDS[2:]:
        print(f"{reader} {trial}: {kind} {said}", file=sys.stderr)


def _started(reader: str, work: Path, seed: int, first: int) -> Child:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_tries, args=(reader, work, seed, first, theirs))
    process.start()
    theirs.close()
    return Child(reader, process, ours, first)


def _tries(name: str, work: Path, seed: int, first: int, pipe: Connection) -> None:
    """Tries damaged inputs of a reader for ever."""
    warnings.simplefilter("ignore")
    reader = fuzz_inputs.READERS[name]
    good = Path(tempfile.mkdtemp(dir=work)) / "good"
    good.mkdir()
    reader.make(good)
    reader.read(good)  # what is not damaged can be read; and libraries are there before memory is limited
    logging.disable()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what decoders print
    os.dup2(2, 1)
    ran: list[str] = []
    sys.addaudithook(lambda event, _: ran.append(event) if event in FORBIDDEN else None)
    _limit_memory()
    pipe.send((first - 1, "ready", ""))
    for trial in range(first, sys.maxsize):
        bad = damaged(good, good.with_name("bad"), f"{seed} {name} {trial}")
        kind, said = outcome(reader.read, bad)
        pipe.send((trial, "code run" if ran else kind, ran.pop() if ran else said))
        shutil.rmtree(bad)


def damaged(good: Path, bad: Path, seed: str) -> Path:
    """A copy of a folder in which one file is damaged."""
    generator = random.Random(seed)
    shutil.copytree(good, bad)
    file = generator.choice(sorted(path for path in bad.rglob("*") if path.is_file() and "kept" not in path.name))
    file.write_bytes(mutated(file.read_bytes(), generator))
    return bad


def outcome(read: Callable[[Path], object], path: Path) -> tuple[str, str]:
    """How a reader ends, and the last lines of what it says."""
    from facerec.pipeline.files import InputError
    from facerec.stores.store import UnreadableFace

    try:
        read(path)
    except (InputError, UnreadableFace, OSError):
        return "refused", ""
    except MemoryError:
        return "memory", traceback.format_exc()[-600:]
    except BaseException:
        return "traceback", traceback.format_exc()[-600:]
    return "read", ""


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    main()
