import importlib
import multiprocessing
import os
import subprocess
import sys

import pytest

from facerec.pipeline.files import InputError
from facerec.pipeline.worker_pool import spread

# Worker processes import what they work on by its name, so it lies in a module on the path.
TOY = '''
import os


class Multiplied:
    """Counts how often it is pickled."""

    pickled = 0

    def __init__(self, factor):
        self.factor = factor

    def __reduce__(self):
        Multiplied.pickled += 1
        return Multiplied, (self.factor,)

    def __call__(self, item):
        return item * self.factor, os.getpid(), os.environ.get("TOY_PREPARED", "no")


def prepare():
    os.environ["TOY_PREPARED"] = "yes"


def end(item):
    os._exit(3)


def find(item):
    return open("/no/such/file")


def give_up():
    """Ends with status 2 after some items, and keeps the error."""
    from facerec.pipeline.worker_pool import spread

    try:
        for item, _, _ in spread(Multiplied(1), range(100), 2):
            if item == 5:
                raise OSError(28, "No space left on device")
    except OSError as error:
        global kept
        kept = error
    raise SystemExit(2)
'''


@pytest.fixture
def toy(tmp_path, monkeypatch):
    (tmp_path / "toy_of_the_worker_pool.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("toy_of_the_worker_pool")
    monkeypatch.delitem(sys.modules, "toy_of_the_worker_pool")


@pytest.mark.parametrize("workers", [1, 2])
def test_results_are_in_order(toy, workers):
    done = list(spread(toy.Multiplied(3), range(20), workers, toy.prepare))
    assert [number for number, _, _ in done] == [3 * item for item in range(20)]
    processes = {process for _, process, _ in done}
    assert (os.getpid() in processes) == (workers == 1)
    assert {prepared for _, _, prepared in done} == {"no" if workers == 1 else "yes"}
    assert toy.Multiplied.pickled == (0 if workers == 1 else workers)


def test_one_item_needs_no_process(toy):
    assert list(spread(toy.Multiplied(3), [5], 4)) == [(15, os.getpid(), "no")]


def test_a_worker_that_ends_is_one_line(toy):
    with pytest.raises(InputError, match="--workers 2: they cannot work here .one of them has ended.; memory"):
        list(spread(toy.end, range(4), 2))


def test_errors_of_the_work_are_as_they_were(toy):
    with pytest.raises(FileNotFoundError, match="/no/such/file"):
        list(spread(toy.find, range(4), 2))


def test_a_process_of_a_recipe_that_gives_up_in_the_midst_ends(toy):
    process = multiprocessing.get_context("spawn").Process(target=toy.give_up)
    process.start()
    process.join(60)
    try:
        assert process.exitcode == 2
    finally:
        process.kill()


def test_too_few_open_files_are_one_line(toy, few_open_files):
    with few_open_files(3), pytest.raises(InputError, match="--workers 2: they cannot work here .Too many open files"):
        list(spread(toy.Multiplied(3), range(4), 2))
    assert len(list(spread(toy.Multiplied(3), range(4), 2))) == 4


def test_a_script_that_its_workers_would_run_again_ends_with_a_hint(tmp_path):
    """Without it each worker waits for the folder that the first process has, which waits for its workers."""
    (tmp_path / "script.py").write_text(
        "from pathlib import Path\n"
        "from facerec.pipeline.stage import stage\n"
        "from facerec.pipeline.worker_pool import spread\n"
        "@stage('toy')\n"
        "def toy(out: Path):\n"
        "    list(spread(abs, [1, 2], 2))\n"
        "toy(Path('out'))\n"
    )
    done = subprocess.run(
        [sys.executable, "script.py"], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60
    )
    assert "InputError: this script starts worker processes, which import it again; put what it does" in done.stderr
    assert "ObstacleError: --workers 2: they cannot work here" in done.stderr
    assert not list(tmp_path.glob("out*"))
