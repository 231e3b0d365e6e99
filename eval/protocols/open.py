"""Opens a protocol of either layout."""

from __future__ import annotations

from pathlib import Path

from eval.protocols.insightface import FACES, load_meta
from eval.protocols.protocol import Protocol, check
from facerec.pipeline.files import InputError


def load_protocol(folder: Path) -> Protocol:
    """Reads a folder of protocol files of either layout.

    Raises:
        InputError: A file that is missing, there twice, empty or malformed (naming the line), a template with two
            subjects, a gallery or probe template that has no faces, a face twice in a template, or a subject in
            both galleries.
    """
    from eval.protocols.nist import is_nist, load_nist

    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; --protocol wants the folder of the protocol files")
    meta = any(folder.glob(f"*{FACES}"))
    protocol = load_nist(folder) if is_nist(folder) and not meta else load_meta(folder)
    check(protocol)
    return protocol
