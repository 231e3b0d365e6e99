"""Pickles of plain data, read without running them.

Unpickling runs whatever the file says. So its instructions are checked first. Only those that build lists, tuples,
dictionaries, numbers, text and bytes are let through, with lengths that fit the file. Then Python's unpickler builds
them. It finds stand-ins for the few names by which NumPy writes an array of numbers, and no other name.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from facerec.pipeline.files import InputError

MOST_REPEATS = 4
PUTS = {"PUT", "BINPUT", "LONG_BINPUT"}
PLAIN = PUTS | {
    "GET", "BINGET", "LONG_BINGET", "MEMOIZE", "PROTO", "FRAME", "MARK", "STOP", "NONE", "NEWTRUE", "NEWFALSE", "INT",
    "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "UNICODE", "BINUNICODE",
    "SHORT_BINUNICODE", "BINUNICODE8", "EMPTY_LIST", "LIST", "APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE", "TUPLE1",
    "TUPLE2", "TUPLE3", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD",
}  # fmt: skip
NUMPY = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
MODULES = {
    "_reconstruct": NUMPY, "ndarray": NUMPY, "dtype": NUMPY, "scalar": NUMPY, "_frombuffer": NUMPY,
    "encode": ("_codecs",), "bytes": ("builtins", "__builtin__"),
}  # fmt: skip
CODINGS = {"latin1": "latin1", "latin-1": "latin1"}
OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
NUMBERS = re.compile(r"[|<>=]?(b1|[iu][1248]|f[248]|[SU][1-9][0-9]{0,6})")
DAMAGE = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, EOFError, RecursionError, pickle.PickleError,
)  # fmt: skip
"""What Python's unpickler and the stand-ins raise for a damaged pickle."""


def load_plain(data: bytes, what: str = "a pickle of arrays") -> Any:
    """What a pickle holds: plain data, and an `Array` for each array or number of NumPy.

    Args:
        data: The pickle, of any protocol. Text of Python 2 comes as bytes.
        what: It should be, for messages.

    Raises:
        InputError: A damaged pickle, or one that asks for more than plain data; without the file's name.
    """
    try:
        _check_instructions(data)
        return _Unpickler(data).load()
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"asks for more memory than there is; not {what}") from None
    except DAMAGE as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"not readable as {what} ({reason}); it may be truncated") from None


class Array:
    """An array or a number of NumPy, as its type, shape and bytes."""

    def __init__(self) -> None:
        self.kind, self.shape, self.order = "|u1", (0,), "C"
        self.content: bytes | bytearray = b""
        self.objects: list[Any] | None = None

    @classmethod
    def of(cls, kind: Any, content: Any, shape: Any = (), order: Any = "C") -> Array:
        """An array of some bytes."""
        array = cls()
        array.__setstate__((1, shape, kind, order in ("F", b"F"), content))
        return array

    def __setstate__(self, state: Any) -> None:
        """Takes what NumPy writes of an array: version, shape, type, order, bytes, or objects."""
        _, shape, kind, fortran, content = state
        if not isinstance(kind, _Type) or not isinstance(shape, tuple) or not all(type(n) is int for n in shape):
            raise ValueError("an array without type or shape")
        if kind.code.lstrip("|")[:1] == "O" and isinstance(content, list) and math.prod(shape) == len(content):
            self.objects = content
            return
        if not NUMBERS.fullmatch(kind.code):
            raise ValueError(f"an array of {kind.code[:20]!r}")
        if not isinstance(content, bytes | bytearray):
            raise ValueError("an array without its bytes")
        if min(shape, default=0) < 0 or math.prod(shape) * np.dtype(kind.code).itemsize != len(content):
            raise ValueError("an array of another length than it says")
        self.kind, self.shape, self.content, self.order = kind.code, shape, content, "F" if fortran else "C"

    def numpy(self) -> np.ndarray:
        """The array, read-only; of objects, if there are such, a list's array."""
        if self.objects is not None:
            found = np.empty(len(self.objects), object)
            found[:] = self.objects
            return found
        return np.frombuffer(self.content, self.kind).reshape(self.shape, order=self.order)  # type: ignore[call-overload]


class _Type:
    """A type of NumPy: its code, as ``f4``, with the byte order that its state adds."""

    def __init__(self, code: Any):
        self.code = code.decode("ascii") if isinstance(code, bytes) else code
        if not isinstance(self.code, str):
            raise ValueError("a type without a code")

    def __setstate__(self, state: Any) -> None:
        order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
        if state[3] is not None or order not in ("<", ">", "|", "="):
            raise ValueError("a type with fields")
        self.code = order + self.code.lstrip("<>|=")


class _Call:
    """A stand-in for a function, which a pickle may call and not change."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., Any]):
        self.function = function

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise ValueError("the state of a function")


def _check_instructions(data: bytes) -> None:
    """Goes through a pickle without following it.

    Raises:
        InputError: An instruction that is not of plain data.
        ValueError: A damaged pickle, or lengths and memo places that do not fit it.
    """
    for number, (name, argument, position) in enumerate(_instructions(io.BytesIO(data))):
        if name not in PLAIN:
            raise InputError(f"instruction {name} at byte {position} is not of plain data; nothing was run")
        if name in PUTS and int(argument or 0) > number:  # the unpickler would make room for as many
            raise ValueError(f"memo place {argument} at byte {position}")


def _instructions(stream: io.BytesIO) -> Iterator[tuple[str, Any, int]]:
    """Name, argument and place of each instruction, as `pickletools.genops`; that refuses bytes in Python 2's text."""
    code = b""
    while code != b".":
        position, code = stream.tell(), stream.read(1)
        opcode = OPCODES.get(code.decode("latin1"))
        if opcode is None:
            raise ValueError(f"byte {position} is no instruction" if code else "it ends before its last instruction")
        if opcode.name == "STRING":
            argument: Any = stream.readline()
        else:
            argument = None if opcode.arg is None else opcode.arg.reader(stream)
        yield opcode.name, argument, position


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
            raise InputError(f"it asks for {module}.{name}, which plain data does not need; nothing was run")
        calls: dict[str, Callable[..., Any]] = {
            "_reconstruct": lambda *_: Array(),
            "dtype": lambda code, *_: _Type(code),
            "scalar": Array.of,
            "_frombuffer": lambda content, kind, shape, order: Array.of(kind, content, shape, order),
            "encode": lambda text, coding: self._counted(text.encode(CODINGS[coding])),
            "bytes": lambda: b"",  # so old protocols write bytes of length 0
        }
        return _Call(calls[name]) if name in calls else name

    def _counted(self, content: bytes) -> bytes:
        self.room -= len(content)
        if self.room < 0:
            raise InputError("the same bytes again and again, far more than the file holds; it is no real set")
        return content
