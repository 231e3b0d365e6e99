"""Names that are not UTF-8, in YAML, which knows no such bytes: letters for private use stand for them."""

from __future__ import annotations

import re
from typing import Any

SHIFT = 0x10FF00 - 0xDC00
BYTES, SHIFTED = re.compile("[\udc80-\udcff]"), re.compile("[\U0010ff80-\U0010ffff]")
"""Bytes in a name as Python has them (``surrogateescape``), and the letters for them."""


def as_letters(text: str) -> str:
    """Text in which a letter of Unicode's private use stands for each byte that is not UTF-8."""
    return BYTES.sub(lambda found: chr(ord(found[0]) + SHIFT), text)


def as_bytes(value: Any) -> Any:
    """What YAML made of such a text, with the bytes put back."""
    if isinstance(value, list):
        return [as_bytes(item) for item in value]
    if isinstance(value, dict):
        return {as_bytes(key): as_bytes(item) for key, item in value.items()}
    return SHIFTED.sub(lambda found: chr(ord(found[0]) - SHIFT), value) if isinstance(value, str) else value
