"""Names of faces as paths: what makes two of them the same, and what keeps them inside a folder."""

from __future__ import annotations


def plain_key(key: str) -> str:
    """A key without a leading ``img/``, which the lists of IJB have: so faces match, whoever wrote their names.

    Example:
        >>> plain_key("img/1.jpg"), plain_key("ann/1.jpg")
        ('1.jpg', 'ann/1.jpg')
    """
    return key.removeprefix("img/")


def parts_inside(path: str) -> list[str]:
    """The parts of a path that stay in its folder: without empty parts, ``.`` and ``..``.

    Example:
        >>> parts_inside("/ann/../1.jpg")
        ['ann', '1.jpg']
    """
    return [part for part in path.split("/") if part not in ("", ".", "..")]
