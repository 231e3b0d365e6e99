"""Whether models learned from embeddings of the recogniser that made the faces, by the notes in their folders."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from facerec.pipeline.embeddings import EmbeddingSet
from facerec.pipeline.files import InputError, read_json
from facerec.pipeline.same_recogniser import made_by

learned_elsewhere = logging.getLogger(f"{__name__}.learned")
"""Logger of warnings about models that learned from another recogniser. The recipe, which means that, turns it off."""


def check_model(model: Path, faces: EmbeddingSet) -> None:
    """Logs a warning if a model is known to have learned from another recogniser's embeddings.

    Args:
        model: Folder made by `tune` or `train`. Nothing is known of other folders.
        faces: The faces to cluster.
    """
    try:
        made, in_words = read_json(model / "meta.json")["results"]["recogniser"]
    except (InputError, KeyError, TypeError, ValueError):
        return
    _say_if_learned_elsewhere(model, (made, in_words), faces)


def check_labelled(labelled: Path, faces: EmbeddingSet) -> None:
    """Logs a warning if backends are about to be tuned on embeddings of a recogniser known to be another one."""
    _say_if_learned_elsewhere(labelled, made_by(labelled), faces)


def _say_if_learned_elsewhere(origin: Path, learned: tuple[list[Any], str] | None, faces: EmbeddingSet) -> None:
    made = made_by(faces.path)
    if learned and made and learned[0] != made[0]:
        learned_elsewhere.warning(
            "%s: learned from faces %s, but %s is %s; what is right for one recogniser may be wrong for another: tune "
            "on labelled faces of this one, unless you mean it", origin, learned[1], faces.path, made[1],
        )  # fmt: skip
