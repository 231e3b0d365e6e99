"""insightface's verification sets (``lfw.bin``, ``cfp_fp.bin``, ...): images and pairs, without running the pickle.

Such a file is a pickle of two lists: encoded images (bytes, or arrays of bytes), two a pair, and whether each pair
shows one person. Unpickling would run whatever the file says. So its instructions are checked first: only those that
build lists, tuples, numbers and bytes are let through, with lengths that fit the file. Then Python's unpickler builds
them. It finds stand-ins for the few names by which NumPy writes an array of bytes, and no other name.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from pathlib import Path
from typing import Any

from facerec.pipeline.files import InputError

MOST_REPEATS = 4
PUTS = {"PUT", "BINPUT", "LONG_BINPUT"}
PLAIN = PUTS | {
    "GET", "BINGET", "LONG_BINGET", "MEMOIZE", "PROTO", "FRAME", "MARK", "STOP", "NONE", "NEWTRUE", "NEWFALSE", "INT",
    "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES",
    "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "EMPTY_LIST", "LIST", "APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3",
    "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD",
}  # fmt: skip
NUMPY = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
MODULES = {
    "_reconstruct": NUMPY, "ndarray": NUMPY, "dtype": NUMPY, "scalar": NUMPY, "_frombuffer": NUMPY,
    "encode": ("_codecs",),
}  # fmt: skip
CODINGS = {"latin1": "latin1", "latin-1": "latin1"}
BYTE_TYPES = ("u1", "|u1", "b1", "i1", b"u1", b"|u1")


def read_bin(file: Path) -> tuple[list[bytes], list[bool]]:
    """Encoded images, two a pair, and whether each pair shows one person.

    Raises:
        InputError: Missing, truncated or damaged, not such a set, or a pickle that asks for more than data.
    """
    if not file.is_file():
        raise InputError(f"{file}: no such file")
    data = file.read_bytes()
    try:
        _check_instructions(data)
        content = _Unpickler(data).load()
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, EOFError, pickle.PickleError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{file}: not a readable verification set ({reason}); it may be truncated") from None
    return _checked(content, len(data), file)


def _check_instructions(data: bytes) -> None:
    """Goes through a pickle without following it.

    Raises:
        InputError: An instruction that is not of plain data.
        ValueError: A damaged pickle, or lengths and memo places that do not fit it.
    """
    for number, (opcode, argument, position) in enumerate(pickletools.genops(data)):
        if opcode.name not in PLAIN:
            raise InputError(f"instruction {opcode.name} at byte {position} is not of plain data; nothing was run")
        if opcode.name in PUTS and int(argument or 0) > number:  # the unpickler would make room for as many
            raise ValueError(f"memo place {argument} at byte {position}")


class _Unpickler(pickle.Unpickler):
    """Builds plain data. For a name that the file asks for it has a stand-in; it imports nothing.

    Bytes that a stand-in copies are counted, so that a small file cannot fill the memory.
    """

    def __init__(self, data: bytes):
        super().__init__(io.BytesIO(data), encoding="bytes")
        self.room = MOST_REPEATS * len(data)

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for a name."""
        if module not in MODULES.get(name, ()):
            raise InputError(f"it asks for {module}.{name}, which no verification set needs; nothing was run")
        calls: dict[str, Any] = {
            "_reconstruct": lambda *_: _Array(),
            "dtype": lambda kind, *_: _Array(kind),
            "scalar": lambda _, content: _Array(content),
            "_frombuffer": lambda content, *_: _Array(self._counted(bytes(memoryview(content)))),
            "encode": lambda text, coding: self._counted(text.encode(CODINGS[coding])),
        }
        return calls.get(name, name)

    def _counted(self, content: bytes) -> bytes:
        self.room -= len(content)
        if self.room < 0:
            raise InputError("the same bytes again and again, far more than the file holds; it is not a real set")
        return content


class _Array:
    """An array of NumPy, or one of its types, as far as it is known: its bytes, or the name of its type."""

    def __init__(self, content: Any = None):
        self.content = content

    def __setstate__(self, state: Any) -> None:
        """Takes the bytes of an array's state; a type stays what it is."""
        if self.content is not None:
            return
        _, shape, kind, _, content = state
        if not isinstance(kind, _Array) or kind.content not in BYTE_TYPES:
            raise ValueError("an array of other than bytes")
        if not isinstance(content, bytes) or math.prod(shape) != len(content):
            raise ValueError("an array of another length than it says")
        self.content = content


def _checked(content: Any, length: int, file: Path) -> tuple[list[bytes], list[bool]]:
    """The two lists, if they are such lists."""
    wants = "expected a list of encoded images and a list of as many truth values as there are pairs"
    if not isinstance(content, (tuple, list)) or len(content) != 2 or not all(isinstance(x, list) for x in content):
        raise InputError(f"{file}: holds something else than two lists; {wants}")
    images = [image.content if isinstance(image, _Array) else image for image in content[0]]
    lengths = [len(image) if isinstance(image, bytes | bytearray) else 0 for image in images]
    if not all(lengths):
        raise InputError(f"{file}: item {lengths.index(0)} of the images has no bytes")
    same = [_truth(value, index, file) for index, value in enumerate(content[1])]
    if not same or len(images) != 2 * len(same):
        raise InputError(f"{file}: {len(images)} images for {len(same)} pairs; {wants}")
    if sum(lengths) > MOST_REPEATS * length:
        raise InputError(f"{file}: the same images again and again, far more than the file holds; it is not a real set")
    return [bytes(image) for image in images], same


def _truth(value: Any, index: int, file: Path) -> bool:
    if isinstance(value, _Array):
        value = {b"\x00": False, b"\x01": True}.get(value.content)
    if not isinstance(value, int) or value not in (0, 1):
        raise InputError(f"{file}: item {index} of the pairs is not a truth value")
    return bool(value)
