"""insightface's verification sets (``lfw.bin``, ``cfp_fp.bin``, ...): images and pairs, without running the pickle.

Such a file is a pickle of two lists, tuples or arrays: encoded images (bytes, or arrays of bytes), two a pair, and
whether each pair shows one person. Nothing in it is run, see `facerec.pipeline.plain_pickle`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from facerec.pipeline.files import InputError, check_file
from facerec.pipeline.plain_pickle import MOST_REPEATS, Array, load_plain

BYTES = ("u1", "i1")


def read_bin(file: Path) -> tuple[list[bytes], list[bool]]:
    """Encoded images, two a pair, and whether each pair shows one person.

    Raises:
        InputError: Missing, truncated or damaged, not such a set, or a pickle that asks for more than data.
    """
    check_file(file)
    data = file.read_bytes()
    try:
        content = load_plain(data, "a verification set")
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    return _checked(content, len(data), file)


def _checked(content: Any, length: int, file: Path) -> tuple[list[bytes], list[bool]]:
    """The two lists, if they are such lists."""
    wants = "expected a list of encoded images and a list of as many truth values as there are pairs"
    parts = [_items(part) for part in content] if isinstance(content, tuple | list) else []
    if len(parts) != 2 or not all(isinstance(part, list | tuple) for part in parts):
        raise InputError(f"{file}: holds something else than two lists; {wants}")
    images, truths = [_encoded(image) for image in parts[0]], parts[1]
    lengths = [len(image) if isinstance(image, bytes | bytearray) else 0 for image in images]
    if not all(lengths):
        raise InputError(f"{file}: item {lengths.index(0)} of the images has no bytes")
    same = [_truth(value, index, file) for index, value in enumerate(truths)]
    if not same or len(images) != 2 * len(same):
        raise InputError(f"{file}: {len(images)} images for {len(same)} pairs; {wants}")
    if sum(lengths) > MOST_REPEATS * length:
        raise InputError(f"{file}: the same images again and again, far more than the file holds; it is not a real set")
    return [bytes(image) for image in images], same


def _items(part: Any) -> Any:
    """An array as a list of its items; anything else as it is."""
    return part.numpy().tolist() if isinstance(part, Array) and len(part.shape) == 1 else part


def _encoded(image: Any) -> Any:
    """The bytes of an image that is an array of bytes; anything else as it is."""
    return image.content if isinstance(image, Array) and image.kind.lstrip("|") in BYTES else image


def _truth(value: Any, index: int, file: Path) -> bool:
    if isinstance(value, Array) and not value.shape and value.kind:
        value = value.numpy().item()
    if not isinstance(value, int) or value not in (0, 1):
        raise InputError(f"{file}: item {index} of the pairs is not a truth value")
    return bool(value)
