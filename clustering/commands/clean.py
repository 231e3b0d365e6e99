"""The command ``clean``: label errors in a labelled set."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from clustering.answers.file import keys_hash
from clustering.cleaning.clean import Cleaned
from clustering.cleaning.clean import clean as find_errors
from clustering.cleaning.findings import proposals, write_findings
from clustering.review.decision_files import load_decisions
from clustering.review.decisions import apply_decisions, joined_by_name, labels_hash
from clustering.review.page import LARGEST, Frame, write_page
from clustering.settings import check_number
from clustering.similarity.same_faces import say_if_unlike
from facerec.pipeline.arguments import Seed
from facerec.pipeline.counts import told
from facerec.pipeline.embeddings import EmbeddingSet, Unreadable, load_embeddings, save_names
from facerec.pipeline.files import InputError, write_json
from facerec.pipeline.stage import stage
from facerec.pipeline.thumbnails import thumbnails_of

MIN_PROBABILITY = 0.5


def _found(results: Mapping[str, Any]) -> str:
    if "changed" in results:
        return told("{changed:,} of {faces:face} have another label")(results)
    return told(
        "{faces:face} under {labels:label}: {strays:stray} ({strays_of_others:,} of people in the set), "
        "{merged_labels:label} of several people, {split_people:pair} of labels of one person"
    )(results)


@stage(
    "clustering clean",
    found=_found,
    then="{then} python -m facerec train --faces FACES --labels {out}/labels.npy --out MODEL",
)
def clean(
    embeddings: Path,
    out: Path,
    labels: Path | None = None,
    thumbnails: Path | None = None,
    decisions: Path | None = None,
    min_probability: float = MIN_PROBABILITY,
    strays: Literal["drop", "move"] = "drop",
    seed: Seed = 0,
    unreadable: Unreadable = "refuse",
) -> Mapping[str, Any]:
    """Finds label errors: strays, people merged under one label, and people under two labels.

    A stray is a face under the label of somebody else. Each error has a probability. How many errors there are is
    estimated from the set itself.

    Args:
        embeddings: The labelled faces, best by a recogniser that was not trained on these labels.
        out: Folder to make: labels.npy, cleaned (-1 = not to be used); confidence.npy of the given labels;
            findings.csv; decisions.json, the same as proposals for a person; keys.txt where the faces have names;
            page/ (with --thumbnails).
        labels: File or folder of identities (-1 = unknown); without it labels.npy of the embedding folder.
        thumbnails: Folder made by python -m facerec thumbnails of the same faces. With it page/review.html shows the
            given labels, the most doubtful first. Each finding is there as a decision to look through.
        decisions: decisions.json saved from the page, about exactly these labels. It is applied, and no errors are
            looked for. Labels of one name become one.
        min_probability: Least probability of an error that labels.npy corrects.
        strays: What to do with strays: drop them (label -1), or move those of a person in the set to that label.
        seed: Seed of the examples that are made to learn from.
        unreadable: Embeddings with NaN or infinite values: refuse them, or skip them as unreadable faces.
    """
    check_number("min_probability", min_probability, 0, 1)
    if decisions is not None and (thumbnails is not None or strays == "move" or min_probability != MIN_PROBABILITY):
        raise InputError(
            "--decisions with --thumbnails, --strays move or --min-probability; decisions are applied as they are, "
            "alone"
        )
    faces, known = _read(embeddings, labels, unreadable)
    save_names(out, faces.keys)
    if decisions is not None:
        cleaned = apply_decisions(known, joined_by_name(load_decisions(decisions, known, faces.keys)))
        np.save(out / "labels.npy", cleaned, allow_pickle=False)
        return {"faces": len(known), "changed": int(np.count_nonzero(cleaned != known)), "then": "train with"}
    say_if_unlike(labels or embeddings, known, faces)
    pictures = None if thumbnails is None else thumbnails_of(thumbnails, faces)
    found = find_errors(faces.embeddings, known, min_probability, seed)
    np.save(out / "labels.npy", found.labels(move=strays == "move"), allow_pickle=False)
    np.save(out / "confidence.npy", found.confidence(), allow_pickle=False)
    write_findings(out / "findings.csv", found, faces.keys)
    proposed = proposals(found)
    named = {} if faces.keys is None else {"faces": keys_hash(faces.keys)}
    write_json(out / "decisions.json", {"clustering": labels_hash(known), "decisions": proposed, **named})
    if pictures is not None:
        (out / "page").mkdir()
        frame = Frame(f"Label errors of {embeddings.name}", [_command(embeddings, labels)], proposed)
        write_page(out / "page", frame, faces.embeddings, known, found.confidence(), [], pictures)
    page = "" if pictures is None else " and page/review.html"
    return {**_results(found), "then": f"look at its findings.csv{page}, then train with"}


def _command(embeddings: Path, labels: Path | None) -> str:
    """The command that applies decisions saved on the page."""
    inputs = ["--embeddings", str(embeddings), *([] if labels is None else ["--labels", str(labels)])]
    return shlex.join(
        ["python", "-m", "clustering", "clean", *inputs, "--decisions", "decisions.json", "--out", "cleaned"]
    )


def _read(embeddings: Path, labels: Path | None, unreadable: Unreadable) -> tuple[EmbeddingSet, np.ndarray]:
    faces = load_embeddings(embeddings, unreadable=unreadable)
    known = faces.labels_in(labels)
    if known is None:
        raise InputError(f"{embeddings}: no labels.npy beside the embeddings; give the identities as --labels")
    sizes = np.unique(known[(known >= 0) & faces.readable], return_counts=True)[1]
    people = len(sizes)
    if people < 2:
        raise InputError(f"{labels or embeddings}: {people} label(s) with readable faces; at least two are needed")
    if known.max() >= LARGEST:
        raise InputError(f"{labels or embeddings}: label {known.max()}; number labels from 0, below 2^30")
    if sizes.max() == 1:
        raise InputError(
            f"{labels or embeddings}: no label has two readable faces, so nothing shows how alike faces of one person "
            "are; group the faces with clustering cluster"
        )
    return faces, known


def _results(found: Cleaned) -> dict[str, Any]:
    elsewhere = found.is_stray & (found.strays.elsewhere >= found.strays.probability / 2)
    return {
        "faces": len(found.given), "labels": len(found.names), "strays": int(found.is_stray.sum()),
        "strays_of_others": int(elsewhere.sum()), "merged_labels": len(found.mixed_labels),
        "split_people": int(found.joined.sum()),
    }  # fmt: skip
