"""Items that other processes read, and what stops these."""

import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from facerec.devices.loader import read_ahead
from facerec.pipeline.files import InputError

CANNOT = "--workers 1: they cannot work here"


class Squares(Dataset):
    """Squares, and for some numbers trouble."""

    def __getitem__(self, number):
        if number == 13:
            raise ValueError("thirteen")
        if number == 14:
            return threading.Lock()  # cannot be handed over
        if number == 15:
            raise OSError(24, "Too many open files", "face.png")
        return np.full(2, number**2), [number]


@pytest.mark.parametrize("workers", [0, 1])
def test_items_come_in_order(workers):
    found = list(read_ahead(Squares(), [3, 1, 2], workers))
    assert [values.tolist() for values, _ in found] == [[9, 9], [1, 1], [4, 4]]
    assert all(isinstance(values, torch.Tensor) for values, _ in found)


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_of_the_data_are_as_they_were(workers):
    with pytest.raises(ValueError, match="thirteen"):
        list(read_ahead(Squares(), [1, 13], workers))


def test_what_a_worker_cannot_hand_over_is_one_line():
    with pytest.raises(InputError, match=f"{CANNOT} .*an item cannot be handed over.*cannot pickle"):
        list(read_ahead(Squares(), [1, 14, 2], 1))


def test_errors_of_the_system_are_one_line():
    with pytest.raises(InputError, match=f"{CANNOT} .*Too many open files.*ulimit -n"):
        list(read_ahead(Squares(), [1, 15], 1))
    with pytest.raises(OSError, match="face.png"):
        list(read_ahead(Squares(), [1, 15], 0))


@pytest.mark.parametrize("more", [2, 11])
def test_too_few_open_files_are_one_line(few_open_files, more):
    with few_open_files(more), pytest.raises(InputError, match=CANNOT):
        list(read_ahead(Squares(), [1, 2], 1))
    assert len(list(read_ahead(Squares(), [1, 2], 1))) == 2


SMALL = """
import sys
import numpy as np
from torch.utils.data import Dataset
from facerec.devices.loader import read_ahead
from facerec.pipeline.files import InputError

class Large(Dataset):
    def __getitem__(self, number):
        return np.ones(1 << 20, np.uint8)

try:
    list(read_ahead(Large(), range(4), 1))
except InputError as error:
    sys.exit(str(error))
"""


def test_a_full_dev_shm_is_one_line():
    shell = f"mount -t tmpfs -o size=64k tmpfs /dev/shm && exec {sys.executable} -c '{SMALL}'"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", shell], capture_output=True, text=True, check=False, timeout=120
    )
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip("no file system may be mounted here")
    assert done.returncode == 1
    assert CANNOT in done.stderr.splitlines()[-1]
