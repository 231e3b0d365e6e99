import contextlib
import gc
import hashlib
import itertools
import pickle
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from facerec.pipeline.command_line import run


@pytest.fixture
def make_faces() -> Callable[..., Path]:
    """Writes a folder of pictures: an identity is a blurred random pattern, a photograph adds noise to it."""

    def make(folder: Path, identities: int = 4, each: int = 5, size: int = 40, suffix: str = ".png") -> Path:
        generator = np.random.default_rng(identities * 1000 + each)
        for identity in range(identities):
            (folder / f"person{identity}").mkdir(parents=True)
            pattern = cv2.resize(generator.integers(0, 256, (5, 5, 3), dtype=np.uint8), (size, size))
            for photograph in range(each):
                noise = generator.integers(-12, 13, pattern.shape)
                face = np.clip(pattern.astype(int) + noise, 0, 255).astype(np.uint8)
                cv2.imwrite(str(folder / f"person{identity}" / f"{photograph:02d}{suffix}"), face)
        return folder

    return make


@pytest.fixture(scope="session")
def hashes() -> Callable[[Path], dict[str, str]]:
    """A function: the hash of each file in a folder but ``meta.json``, by its path."""

    def of_files(folder: Path) -> dict[str, str]:
        files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "meta.json")
        return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    return of_files


@pytest.fixture
def status_of() -> Callable[[Mapping[str, str], Sequence[object]], int | str | None]:
    """Runs a command as the shell does and gives its exit status; the parser or the command may find the mistake."""

    def status(commands: Mapping[str, str], arguments: Sequence[object]) -> int | str | None:
        try:
            return run("python -m facerec", commands, [str(argument) for argument in arguments])
        except SystemExit as ended:
            return ended.code

    return status


@pytest.fixture(scope="session")
def processes() -> SimpleNamespace:
    """Functions ``wait``, ``children`` and ``alive``, to look after processes that a test starts and kills."""
    return SimpleNamespace(wait=wait, children=children, alive=alive)


def wait(holds, seconds: float = 90):
    """What a function gives when it first gives something, or at the end."""
    end = time.monotonic() + seconds
    while not (found := holds()) and time.monotonic() < end:
        time.sleep(0.01)
    return found


def children(process: int) -> list[int]:
    """The workers that a process has spawned."""
    found = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(child) for child in found if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def alive(process: int) -> bool:
    """Whether a process is there and not merely waiting to be collected."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def make_bin() -> Callable[..., Path]:
    """Writes a verification set of a store's pictures: ten pairs of one person and ten of two."""

    def make(file: Path, faces: Path) -> Path:
        people = [sorted(person.iterdir()) for person in sorted(faces.iterdir())]
        numbers = range(10)
        genuine = [(people[i % len(people)][0], people[i % len(people)][1 + i % 2]) for i in numbers]
        impostor = [(people[i % len(people)][0], people[(i + 1) % len(people)][i % 2]) for i in numbers]
        pairs = [pair for both in zip(genuine, impostor, strict=True) for pair in both]
        images = [path.read_bytes() for pair in pairs for path in pair]
        file.write_bytes(pickle.dumps((images, [True, False] * 10)))
        return file

    return make


@pytest.fixture
def few_open_files() -> Callable[[int], contextlib.AbstractContextManager[None]]:
    """A context in which only so many more files can be opened."""

    @contextlib.contextmanager
    def limited(more: int):
        gc.collect()  # closes files that nobody uses any more
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        used = {int(path.name) for path in Path("/proc/self/fd").iterdir()}
        limit = next(itertools.islice((n for n in itertools.count() if n not in used), more, None))
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)

    return limited
