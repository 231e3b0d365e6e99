"""Whether embeddings, and what models learned from, are of the same recogniser, by the notes in their folders."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from facerec.pipeline.embeddings import EmbeddingSet
from facerec.pipeline.files import InputError, read_json

WAYS = {"mean": None, "std": None, "channels": "rgb", "output": None, "input_size": None}
"""Settings of ``facerec embed`` that make embeddings of another kind, and their defaults."""

logger = logging.getLogger(__name__)
learned_elsewhere = logging.getLogger(f"{__name__}.learned")
"""Logger of warnings about models that learned from another recogniser. The recipe, which means that, turns it off."""


def check_recogniser(faces: EmbeddingSet, others: EmbeddingSet) -> None:
    """Logs a warning if two embedding sets to be compared are known to come from different recognisers.

    Sets of one recogniser count as different if their pixels were prepared differently, or if only one is whitened.
    """
    one, other = (_made_by(each.path) for each in (faces, others))
    if one and other and one[0] != other[0]:
        logger.warning(
            "%s: %s, but %s %s; if these are two recognisers, or two ways to use one, cosines between them mean "
            "nothing: make both alike", others.path, other[1], faces.path, one[1],
        )  # fmt: skip


def noted_recogniser(embeddings: Path) -> dict[str, Any]:
    """For meta.json of a model: the recogniser of the faces it learns from; empty if it is unknown."""
    found = _made_by(embeddings)
    return {} if found is None else {"recogniser": found}


def check_model(model: Path, faces: EmbeddingSet) -> None:
    """Logs a warning if a model is known to have learned from another recogniser's embeddings.

    Args:
        model: Folder made by `tune` or `train`. Nothing is known of other folders.
        faces: The faces to cluster.
    """
    try:
        made_by, in_words = read_json(model / "meta.json")["results"]["recogniser"]
    except (InputError, KeyError, TypeError, ValueError):
        return
    _say_if_learned_elsewhere(model, (made_by, in_words), faces)


def check_labelled(labelled: Path, faces: EmbeddingSet) -> None:
    """Logs a warning if backends are about to be tuned on embeddings of a recogniser known to be another one."""
    _say_if_learned_elsewhere(labelled, _made_by(labelled), faces)


def _say_if_learned_elsewhere(origin: Path, learned: tuple[list[Any], str] | None, faces: EmbeddingSet) -> None:
    made = _made_by(faces.path)
    if learned and made and learned[0] != made[0]:
        learned_elsewhere.warning(
            "%s: learned from faces %s, but %s is %s; what is right for one recogniser may be wrong for another: tune "
            "on labelled faces of this one, unless you mean it", origin, learned[1], faces.path, made[1],
        )  # fmt: skip


def _made_by(path: Path) -> tuple[list[Any], str] | None:
    """An embedding set's recogniser and preparation, to compare with other sets, and in words; None if unknown."""
    try:
        noted = read_json(path / "meta.json")
        if noted["inputs"].get("people") and noted["results"]["whitened"]:
            people = noted["inputs"]["people"]
            return ["whitened", people["hash"]], f"whitened by {people['path']}"
        model, config = noted["inputs"]["model"], noted.get("config", {})
        ways = {name: config.get(name, usual) for name, usual in WAYS.items()}
        unusual = "".join(f", {name} {value}" for name, value in ways.items() if value != WAYS[name])
        return [model["hash"], ways], f"embedded by {model['path']}{unusual}"
    except (InputError, KeyError, TypeError, AttributeError):
        return None
