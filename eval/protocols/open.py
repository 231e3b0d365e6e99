"""Opens a protocol of any layout. To add one: a file with two functions as in `nist`, and a line in `LAYOUTS`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from eval.protocols.checks import check
from eval.protocols.insightface import FACES, is_meta, load_meta
from eval.protocols.nist import is_nist, load_nist
from eval.protocols.protocol import Protocol
from facerec.pipeline.files import InputError

LAYOUTS: tuple[tuple[Callable[[Path], bool], Callable[[Path], Protocol]], ...] = (
    (is_meta, load_meta),
    (is_nist, load_nist),
)
"""Whether a folder has a layout, and how it is read; the first that says yes reads."""


def load_protocol(folder: Path) -> Protocol:
    """Reads a folder of protocol files of any layout; where none is recognised, the message says what the first lacks.

    Raises:
        InputError: A file that is missing, there twice, empty or malformed (naming the line), a template with two
            subjects, or a face twice in a template.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; --protocol wants the folder of the protocol files")
    load = next((load for recognises, load in LAYOUTS if recognises(folder)), None)
    if load is None:
        below = next(folder.rglob(f"*{FACES}"), None)
        if below:
            raise InputError(f"{folder}: no protocol files here, but {below.parent} has some; give that folder")
        load = LAYOUTS[0][1]
    protocol = load(folder)
    check(protocol)
    return protocol
