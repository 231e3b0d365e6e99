"""Errors of the input and of the operating system in one line."""

from __future__ import annotations

import errno

MOST_LETTERS = 300
REMEDIES = {
    errno.ENOSPC: "; free some, and the same command goes on", errno.EDQUOT: "; free some, or choose another --out",
    errno.EACCES: "; check who may read and write there", errno.EROFS: "; choose another --out",
    errno.ENAMETOOLONG: "; give a shorter name", errno.ELOOP: "; a link leads to itself",
    errno.ENOTDIR: "; a file stands where a folder should be", errno.EMFILE: "; raise the limit, see ulimit -n",
    errno.EFBIG: "; raise the limit, see ulimit -f",
}  # fmt: skip
OF_THE_TARGET = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "size calculation overflowed")
"""Of PyTorch, which has no other sign of it on a CPU."""
LOST_PROCESS = ("closed by peer", "reset by peer")
"""Of Gloo, by which the processes of one run talk to each other."""

NOT_WRITTEN = ("requested and", "written")
"""Of NumPy, where a disk is full."""


def is_of_the_system(error: Exception) -> bool:
    """Whether it is one that `said` can tell, and no mistake in this program."""
    known = any(words in str(error) for words in (*OUT_OF_MEMORY, *LOST_PROCESS))
    return known or not isinstance(error, RuntimeError)


def said(error: Exception) -> str:
    """What an error of an input or of the system says."""
    if isinstance(error, UnicodeEncodeError):
        return f"{error.object[:80]!r}: a name that is not UTF-8, which this output cannot hold; rename the file"
    if isinstance(error, RuntimeError) and any(words in str(error) for words in LOST_PROCESS):
        return "another process of this run has ended, its own last lines say why; the same command goes on"
    if isinstance(error, (MemoryError, RuntimeError)):
        return f"too little memory ({(str(error) or 'no more said').splitlines()[0][:120]}); lower sizes and numbers"
    if isinstance(error, OSError) and error.strerror:
        written = error.filename2 if error.errno in OF_THE_TARGET else None  # of a copy the other name is the source
        place = written or error.filename or "the system"
        return f"{place}: {error.strerror}{REMEDIES.get(error.errno or 0, '')}"
    if isinstance(error, OSError) and all(word in str(error) for word in NOT_WRITTEN):
        return f"too little room for an array ({error}), or a limit of files (ulimit -f){REMEDIES[errno.EDQUOT]}"
    return str(error)


def complaint(program: str, text: str) -> str:
    """One line of at most `MOST_LETTERS` letters."""
    text = printable(" ".join(f"{program}: error: {text}".split()))
    half = MOST_LETTERS // 2
    return text if len(text) <= MOST_LETTERS else f"{text[:half]} ... {text[5 - half :]}"


def printable(text: str) -> str:
    """The same for any output: bytes that are no UTF-8, which names of files may have, stand as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
