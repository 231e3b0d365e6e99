"""A folder that one run at a time works in: ``OUT.partial`` of a stage, or the folder of a recipe."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from facerec.pipeline.complaint import OF_THE_TARGET
from facerec.pipeline.files import InputError, read_json, write_json
from facerec.pipeline.work import partial_of, same_work

logger = logging.getLogger(__name__)


class Workplace:
    """The folder in which a stage works: claimed by one run, and at the end renamed or removed."""

    def __init__(self, out: Path, work: dict[str, Any], resumable: bool):
        self.out, self.work, self.resumable = out, work, resumable
        self.folder = partial_of(out)
        self.note = self.folder / "work.json"
        self.lock: TextIO | None = None
        self.continued = False

    @property
    def claimed(self) -> bool:
        """Whether this run has the folder."""
        return self.lock is not None

    def claim(self) -> bool:
        """Locks the folder. If another run has it for the same work, waits until that has ended, and says False.

        Raises:
            InputError: Another run has it for other work, or a file stands in the way.
        """
        if self.out.exists() and not self.out.is_dir():
            raise InputError(f"{self.out}: a file stands where the output folder should be made; choose another --out")
        lock = _open_lock(self.folder)
        if not _take(lock):
            if not self._is_noted():
                lock.close()
                raise _busy(self.folder)
            logger.info("%s: another run is doing this; waiting for it", self.out)
            fcntl.lockf(lock, fcntl.LOCK_EX)
            lock.close()
            return False
        if not _is_there(lock):  # the folder was renamed or removed meanwhile, and maybe made again by another run
            lock.close()
            return False
        if (self.out / "meta.json").exists():  # it has just been done
            shutil.rmtree(self.folder, ignore_errors=True)
            lock.close()
            return False
        self.lock = lock
        return True

    def __enter__(self) -> Path:
        self.continued = self.resumable and self._is_noted()
        if not self.continued:
            if self.resumable and self.note.is_file():
                logger.warning("%s: was begun with other inputs or settings; it starts afresh", self.out)
            try:
                self._clear()
                write_json(self.note, self.work)
            except BaseException as error:
                self.__exit__(type(error), error, None)
                raise
        for pattern in (".tmp*", "*.partial"):  # left by a kill while safetensors or `write_json` wrote
            for unfinished in self.folder.glob(pattern):
                unfinished.unlink()
        return self.folder

    def _is_noted(self) -> bool:
        try:
            return same_work(read_json(self.note), self.work)
        except InputError:  # none, or a damaged one: the work starts afresh
            return False

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        assert self.lock is not None
        if isinstance(error, OSError) and error.errno in OF_THE_TARGET and error.filename is None:
            error.filename = str(self.folder)  # most likely; a full disk says nothing itself
        if kind is None:
            self.folder.rename(self.out)
            remove_notes(self.out)
        elif not self.resumable or (kind is InputError and not self.continued):
            with suppress(OSError):
                self._clear()  # the lock goes last: then the next run finds nothing that this one still removes
            shutil.rmtree(self.folder, ignore_errors=True)
        self.lock.close()

    def _clear(self) -> None:
        for entry in self.folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != ".lock":
                entry.unlink()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Makes a folder and keeps other runs out of it.

    Raises:
        InputError: Another run works there, or the folder cannot be made.
    """
    try:
        lock = _open_lock(folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written to ({error.strerror}); choose another --out") from None
    with lock:
        if not _take(lock):
            raise _busy(folder)
        yield


def _open_lock(folder: Path) -> TextIO:
    """Makes a folder and opens the file that its lock is on."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # another run has just renamed or removed it
            return (folder / ".lock").open("w")


def _take(lock: TextIO) -> bool:
    """Takes a lock until its file is closed or this process ends, however it ends; False if another process has it."""
    try:
        # Not flock: worker processes would inherit it, and hold it for a while after their parent was killed.
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _is_there(lock: TextIO) -> bool:
    """Whether a lock is on the file that has its name now."""
    try:
        return os.path.samestat(os.fstat(lock.fileno()), Path(lock.name).stat())
    except FileNotFoundError:
        return False


def _busy(folder: Path) -> InputError:
    return InputError(f"{folder}: another run is working there; wait or choose another --out")


def remove_notes(out: Path) -> None:
    """Removes what tells of work under way: only after the rename, so that a kill in between loses nothing."""
    for note in (out / "work.json", out / ".lock"):
        if note.exists():  # of a mount that is read-only, what is not there cannot be removed either
            note.unlink(missing_ok=True)
