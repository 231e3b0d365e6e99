"""Ids of templates, media and subjects: whole numbers as they are; words as negative numbers that stand for them.

The number of a word is a hash of it, so that a word has the same number in every file. A column has either numbers or
words: a few words among numbers are mistakes.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import numpy as np

NUMBER = re.compile(r"-?\d+(\.0*)?")
_words: dict[int, str] = {}  # for messages


def whole_number(text: str) -> int | None:
    """A whole number that int64 holds, also written as 12.0; else None."""
    text = text.strip()
    if len(text) > 40 or not text.isascii() or not NUMBER.fullmatch(text):
        return None
    number = int(text.partition(".")[0])
    return number if -(2**63) <= number < 2**63 else None


def id_text(number: Any) -> str:
    """An id as the files have it."""
    return _words.get(int(number), str(number))


def as_ids(column: Any, words: bool) -> np.ndarray | None:
    """A column of text as int64 [n]; None if it cannot be.

    Args:
        column: pyarrow strings [n].
        words: Whether words will do where they are not fewer than the numbers.
    """
    coded = column.combine_chunks().dictionary_encode()
    texts = coded.dictionary.to_pylist()
    numbers = [whole_number(text) for text in texts]
    others = [text for text, number in zip(texts, numbers, strict=True) if number is None]
    if others and (not words or 2 * len(others) < len(texts) or not all(map(str.strip, others))):
        return None
    values = [_word(text) if number is None else number for text, number in zip(texts, numbers, strict=True)]
    return np.array(values, np.int64)[np.asarray(coded.indices)]


def codes(texts: Any) -> np.ndarray:
    """A number for each text, int64 [n], the same for the same; without sorting.

    Args:
        texts: Strings, a pyarrow or NumPy array [n].
    """
    import pyarrow as pa

    return np.asarray(pa.array(texts, pa.string()).dictionary_encode().indices, dtype=np.int64)


def _word(text: str) -> int:
    digest = hashlib.blake2b(text.strip().encode(), digest_size=8).digest()
    number = -1 - (int.from_bytes(digest, "big") >> 2)
    _words[number] = text.strip()
    return number
