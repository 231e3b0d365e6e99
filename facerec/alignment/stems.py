"""Names of pictures without their suffixes, where these tell them apart."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence

from facerec.pipeline.files import InputError
from facerec.pipeline.keys import parts_inside


def distinct_stems(names: Sequence[str], complaint: Callable[[str, int], str]) -> list[str]:
    """Relative paths without suffix, or with it where two would be the same.

    Args:
        names: Paths; ``.`` and ``..`` in them are left out.
        complaint: Gives the message for a name that is there several times even with its suffix, from name and number.

    Raises:
        InputError: A name is there several times.
    """
    paths = ["/".join(parts_inside(name)) for name in names]
    stems = [os.path.splitext(path)[0] for path in paths]  # noqa: PTH122 (of many)
    counts = Counter(stems)
    found = [stem if counts[stem] == 1 else path for stem, path in zip(stems, paths, strict=True)]
    name, times = Counter(found).most_common(1)[0]
    if times > 1:
        raise InputError(complaint(name, times))
    return found
