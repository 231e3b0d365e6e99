"""insightface's verification sets (``lfw.bin``, ``cfp_fp.bin``, ...): images and pairs, without running the pickle.

Such a file is a pickle of two lists: encoded images (bytes, or arrays of bytes), two a pair, and whether each pair
shows one person. Unpickling would run whatever the file says. Here its instructions are only read: a small machine
follows those that build lists, tuples, numbers and bytes, knows the few names by which NumPy writes an array of
bytes, and refuses everything else. Lengths are checked against the file: nothing large is made that is not there.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facerec.pipeline.files import InputError

MOST_REPEATS = 4
PUSHED = {
    "BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
    "BYTEARRAY8", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE",
}  # fmt: skip
CONSTANTS: dict[str, Any] = {"NEWTRUE": True, "NEWFALSE": False, "NONE": None}
BYTE_STRINGS = {"STRING", "BINSTRING", "SHORT_BINSTRING"}
TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
PUTS, GETS = {"PUT", "BINPUT", "LONG_BINPUT"}, {"GET", "BINGET", "LONG_BINGET"}
NUMPY = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")


class _Mark:
    """Where on the stack a list or tuple begins."""


@dataclass(frozen=True)
class _Name:
    """A name that the file asks for; nothing is imported."""

    module: str
    name: str


@dataclass
class _Array:
    """An array of NumPy, or one of its types, as far as it is known: its bytes, or the name of its type."""

    content: Any = None
    parts: list[Any] = field(default_factory=list)


def read_bin(file: Path) -> tuple[list[bytes], list[bool]]:
    """Encoded images, two a pair, and whether each pair shows one person.

    Raises:
        InputError: Missing, truncated or damaged, not such a set, or a pickle that asks for more than data.
    """
    if not file.is_file():
        raise InputError(f"{file}: no such file")
    data = file.read_bytes()
    try:
        content = _Machine().run(data)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(f"{file}: not a readable verification set ({_brief(error)}); it may be truncated") from None
    return _checked(content, len(data), file)


class _Machine:
    """Follows the instructions of a pickle that build plain data (Python's ``pickletools`` documents them)."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        """What the pickle describes.

        Raises:
            InputError: An instruction or a name that is not of plain data.
            ValueError, IndexError, KeyError, TypeError: A damaged pickle.
        """
        for opcode, argument, position in pickletools.genops(data):
            if opcode.name == "STOP":
                (result,) = self.stack
                return result
            if not self._follow(opcode.name, argument):
                raise InputError(f"instruction {opcode.name} at byte {position} is not of plain data; nothing was run")
        raise ValueError("no end")

    def _follow(self, name: str, argument: Any) -> bool:
        """Follows one instruction; False if it is not known."""
        stack = self.stack
        if name in PUSHED:
            stack.append(argument)
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in BYTE_STRINGS:
            stack.append(argument.encode("latin1"))
        elif name in TUPLES:
            self._build(tuple, TUPLES[name])
        elif name in PUTS:
            self.memo[argument] = stack[-1]
        elif name in GETS:
            stack.append(self.memo[argument])
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            module, _, word = argument.partition(" ") if name == "GLOBAL" else (stack.pop(-2), "", stack.pop())
            stack.append(_known(_Name(module, word)))
        else:
            return self._follow_structure(name)
        return True

    def _follow_structure(self, name: str) -> bool:
        stack = self.stack
        if name == "MARK":
            stack.append(_Mark)
        elif name in ("LIST", "TUPLE"):
            self._build(list if name == "LIST" else tuple, self._since_mark())
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name in ("APPENDS", "APPEND"):
            count = self._since_mark() if name == "APPENDS" else 1
            items = self._take(count)
            if not isinstance(stack[-1], list):
                raise ValueError("items of what is not a list")
            stack[-1].extend(items)
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name == "REDUCE":
            called, arguments = self._take(2)
            stack.append(_made(called, arguments))
        elif name == "BUILD":
            made, state = self._take(2)
            stack.append(_filled(made, state))
        else:
            return name in ("PROTO", "FRAME")
        return True

    def _take(self, count: int) -> list[Any]:
        if count > len(self.stack):
            raise IndexError("nothing left on the stack")
        items = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return items

    def _build(self, kind: Callable[[list[Any]], Any], count: int) -> None:
        self.stack.append(kind(self._take(count)))

    def _since_mark(self) -> int:
        """How many items stand above the last mark, which goes."""
        for count, item in enumerate(reversed(self.stack)):
            if item is _Mark:
                del self.stack[len(self.stack) - 1 - count]
                return count
        raise IndexError("no mark on the stack")


def _known(name: _Name) -> _Name:
    numpy = name.module in NUMPY and name.name in ("_reconstruct", "ndarray", "dtype", "scalar", "_frombuffer")
    if not numpy and (name.module, name.name) != ("_codecs", "encode"):
        raise InputError(f"it asks for {name.module}.{name.name}, which no verification set needs; nothing was run")
    return name


def _made(called: Any, arguments: Any) -> Any:
    """What a call of one of the known names stands for."""
    if not isinstance(called, _Name) or not isinstance(arguments, tuple):
        raise ValueError("a call of what is not a function")
    if called.name == "encode":
        text, coding = arguments
        if coding not in ("latin1", "latin-1"):
            raise ValueError(f"text in {coding!r}")
        return text.encode("latin1")
    if called.name == "scalar":
        return _Array(arguments[1])
    if called.name == "_frombuffer":
        return _Array(bytes(arguments[0]))
    if called.name == "dtype":
        return _Array(arguments[0])
    if called.name == "_reconstruct":
        return _Array()
    raise ValueError(f"a call of {called.name}")


def _filled(made: Any, state: Any) -> Any:
    """An array with the bytes of its state; a type stays what it is."""
    if not isinstance(made, _Array) or not isinstance(state, tuple):
        raise ValueError("a state of what has none")
    if made.content is None:
        _, shape, kind, _, content = state
        if not isinstance(kind, _Array) or kind.content not in ("u1", "|u1", "b1", "i1", b"u1", b"|u1"):
            raise ValueError("an array of other than bytes")
        if not isinstance(content, bytes) or math.prod(shape) != len(content):
            raise ValueError("an array of another length than it says")
        made.content = content
    return made


def _checked(content: Any, length: int, file: Path) -> tuple[list[bytes], list[bool]]:
    """The two lists, if they are such lists."""
    wants = "expected a list of encoded images and a list of as many truth values as there are pairs"
    if not isinstance(content, (tuple, list)) or len(content) != 2 or not all(isinstance(x, list) for x in content):
        raise InputError(f"{file}: holds something else than two lists; {wants}")
    images = [_bytes(image) for image in content[0]]
    if not all(images):
        raise InputError(f"{file}: item {[bool(image) for image in images].index(False)} of the images has no bytes")
    same = [_truth(value, index, file) for index, value in enumerate(content[1])]
    if not same or len(images) != 2 * len(same):
        raise InputError(f"{file}: {len(images)} images for {len(same)} pairs; {wants}")
    if sum(map(len, images)) > MOST_REPEATS * length:
        raise InputError(f"{file}: the same images again and again, far more than the file holds; it is not a real set")
    return images, same


def _bytes(image: Any) -> bytes:
    content = image.content if isinstance(image, _Array) else image
    return bytes(content) if isinstance(content, (bytes, bytearray)) else b""


def _truth(value: Any, index: int, file: Path) -> bool:
    if isinstance(value, _Array):
        value = {b"\x00": False, b"\x01": True}.get(value.content)
    if not isinstance(value, int) or value not in (0, 1):
        raise InputError(f"{file}: item {index} of the pairs is not a truth value")
    return bool(value)


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
