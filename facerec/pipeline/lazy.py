"""Names of a package that are imported when they are first used, as PyTorch, faiss and OpenCV take seconds."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: Its ``__name__``.
        homes: For each name the module below the package that has it, as ``module``, or ``module:name`` where it has
            another name there.

    Example:
        >>> get, names = lazy_names("json", {"JSONDecoder": "decoder", "Reader": "decoder:JSONDecoder"})
        >>> get("Reader").__name__, names()
        ('JSONDecoder', ['JSONDecoder', 'Reader'])
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}; it has {', '.join(sorted(homes))}")
        module, _, attribute = homes[name].partition(":")
        return getattr(importlib.import_module(f"{package}.{module}"), attribute or name)

    def names() -> list[str]:
        return sorted(homes)

    return get, names
