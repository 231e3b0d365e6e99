"""Whether two embedding sets are of one recogniser, by the notes in their folders."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from facerec.pipeline.embeddings import EmbeddingSet
from facerec.pipeline.files import InputError, read_json

WAYS = {"mean": None, "std": None, "channels": "rgb", "output": None, "input_size": None}
"""Settings of ``facerec embed`` that make embeddings of another kind, and their defaults."""

logger = logging.getLogger(__name__)


def check_recogniser(faces: EmbeddingSet, others: EmbeddingSet) -> None:
    """Logs a warning if two embedding sets to be compared are known to come from different recognisers.

    Sets of one recogniser count as different if their pixels were prepared differently, or if only one is whitened.
    """
    one, other = (made_by(each.path) for each in (faces, others))
    if one and other and one[0] != other[0]:
        logger.warning(
            "%s: %s, but %s %s; if these are two recognisers, or two ways to use one, cosines between them mean "
            "nothing: make both alike", others.path, other[1], faces.path, one[1],
        )  # fmt: skip


def noted_recogniser(embeddings: Sequence[Path]) -> dict[str, Any]:
    """For meta.json of what is made from embedding sets: their recognisers; empty if one of them is unknown."""
    found = [made for made in map(made_by, embeddings) if made is not None]
    if len(found) < len(embeddings):
        return {}
    if len(found) == 1:
        return {"recogniser": found[0]}
    return {"recogniser": [["joined", [made for made, _ in found]], f"joined: {'; '.join(said for _, said in found)}"]}


def made_by(path: Path) -> tuple[list[Any], str] | None:
    """An embedding set's recogniser and preparation, to compare with other sets, and in words; None if unknown."""
    try:
        noted = read_json(path / "meta.json")
        if noted["inputs"].get("people") and noted["results"]["whitened"]:
            people = noted["inputs"]["people"]
            return ["whitened", people["hash"]], f"whitened by {people['path']}"
        if "recogniser" in noted.get("results", {}):
            made, in_words = noted["results"]["recogniser"]
            return list(made), str(in_words)
        model, config = noted["inputs"]["model"], noted.get("config", {})
        ways = {name: config.get(name, usual) for name, usual in WAYS.items()}
        unusual = "".join(f", {name} {value}" for name, value in ways.items() if value != WAYS[name])
        return [model["hash"], ways], f"embedded by {model['path']}{unusual}"
    except (InputError, KeyError, TypeError, ValueError, AttributeError):
        return None
