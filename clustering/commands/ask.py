"""The command ``ask``: a clustering to the questions "the same person?" that tell the most about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
from jsonargparse.typing import PositiveInt

from clustering.answers.file import SAME, UNSURE, answers_of, load_answers, save_answers
from clustering.answers.page import write_questions
from clustering.answers.questions import choose_questions
from clustering.answers.simulation import Turn, ask_in_rounds
from clustering.backends.registry import load_clusterer
from clustering.clusterer import Clusterer
from clustering.graph.build import graph_of
from clustering.graph.knn_graph import DEFAULT_K
from clustering.similarity.same_faces import check_faces, say_if_strangers
from eval.clusters import scores
from facerec.pipeline.console import show_kept_table
from facerec.pipeline.counts import counted
from facerec.pipeline.embeddings import Unreadable, load_embeddings, save_names
from facerec.pipeline.files import InputError, read_yaml, write_table
from facerec.pipeline.label_files import load_labels
from facerec.pipeline.options import flattened
from facerec.pipeline.stage import stage
from facerec.pipeline.thumbnails import thumbnails_of
from facerec.pipeline.values import refuse_repeated


@dataclass(frozen=True)
class Asking:
    """What is asked, and who answers.

    Attributes:
        count: Questions a round.
        answers: File of earlier answers, made by ask or saved by its page or the page of review. By default those that
            the clusters were made with. None of its pairs is asked about again. answers.json begins with them.
        truth: File or folder of true identities (-1 = unknown), which answer the questions instead of a person.
        rounds: Rounds of questions, with --truth. After each round the backend that made the clusters clusters again.
        thumbnails: Folder made by python -m facerec thumbnails from the same faces, for a page on which a person
            answers.
        knn: Graph of the embeddings, a folder made by knn; without it the graph is built here.
        unreadable: Embeddings with NaN or infinite values: refuse them, or skip them as unreadable faces.
    """

    count: PositiveInt = 50
    answers: Path | None = None
    truth: Path | None = None
    rounds: PositiveInt = 1
    thumbnails: Path | None = None
    knn: Path | None = None
    unreadable: Unreadable = "refuse"


@stage(
    "clustering ask",
    found=lambda results: results["said"],
    then="python -m clustering cluster {again} --embeddings {embeddings} --answers {out}/answers.json --out AGAIN",
)
@flattened
def ask(clusters: Path, embeddings: Path, out: Path, asking: Asking) -> Mapping[str, Any]:
    """Asks the questions "the same person?" that tell the most about a clustering: pairs of faces, the best first.

    Each question is about two clusters that may be one person, or about two sides of a cluster that may be two people.
    It shows the most typical face of each group. The answers are for cluster --answers.

    Args:
        clusters: Folder made by cluster, or a file of labels (-1 = unassigned).
        embeddings: What was clustered: embedding folder, or a file of embeddings, see knn.
        out: Folder to make: answers.json, in which unanswered questions are unsure; with --thumbnails questions.html,
            which saves the answers; with --truth rounds.csv, labels.npy and keys.txt.
        asking: See `Asking`.
    """
    if asking.truth is not None and asking.thumbnails is not None:
        raise InputError("--thumbnails with --truth; there is no page where identities answer, so leave one out")
    labels = load_labels(clusters)
    faces = load_embeddings(embeddings, rows=len(labels), unreadable=asking.unreadable)
    check_faces(clusters, labels, faces)
    refuse_repeated(embeddings, faces.keys or ())  # answers.json names faces by them
    truth = None if asking.truth is None else faces.labels_in(asking.truth)
    if asking.answers is None:
        before = answers_of(clusters, len(labels), faces.keys)
    else:
        before = load_answers(asking.answers, len(labels), faces.keys)
        say_if_strangers(asking.answers, before.constraints(len(faces)).together, faces)
    pictures = None if asking.thumbnails is None else thumbnails_of(asking.thumbnails, faces)
    if truth is None and asking.rounds > 1:
        raise InputError(
            f"--rounds {asking.rounds} needs --truth; without it answer the questions, cluster and ask again"
        )
    clusterer = None if truth is None else _clusterer(clusters)
    graph = graph_of(faces, asking.knn, DEFAULT_K if clusterer is None else clusterer.k, out)
    if truth is not None and clusterer is not None:
        begin = Turn(before, labels)
        turns = [begin, *ask_in_rounds(clusterer, graph, begin, truth, asking.count, asking.rounds)]
        return {**_simulated(turns, truth, faces.keys, out), "again": _again(clusters)}
    found, again = choose_questions(graph, labels, before, asking.count), _again(clusters)
    if pictures is not None:
        command = f"python -m clustering cluster {again} --embeddings {quote(str(embeddings))}"
        command += " --answers answers.json --out again"
        write_questions(out / "questions.html", found, before, pictures, faces.keys is not None, command)
    save_answers(out / "answers.json", before.followed_by(found), faces.keys)
    where = "answers.json"
    if pictures is not None:
        where = f"questions.html, and move the answers.json that it saves into {out.name.removesuffix('.partial')}"
    said = f"{counted(len(found), 'question')}, {len(before):,} asked before; answer them in {where}"
    return {"questions": len(found), "before": len(before), "said": said, "again": again}


def _simulated(turns: Sequence[Turn], truth: np.ndarray, keys: list[str] | None, out: Path) -> Mapping[str, Any]:
    """Writes what rounds of questions brought that true identities answered."""
    rows, answers = [_row(turn, truth) for turn in turns], turns[-1].answers
    save_answers(out / "answers.json", answers, keys)
    save_names(out, keys, turns[-1].labels)
    write_table(out / "rounds.csv", list(rows[0]), [list(row.values()) for row in rows])
    show_kept_table(rows)
    first, last = rows[0], rows[-1]
    said = f"{counted(len(answers), 'answer')}, {int(np.sum(answers.answer == SAME)):,} of them yes"
    said += "".join(f"{mark} {name} {first[name]:.4f} to {last[name]:.4f}" for mark, name in ((":", "Fp"), (",", "Fb")))
    return {"answers": len(answers), "unsure": int(np.sum(answers.answer == UNSURE)), "rounds": rows, "said": said}


def _row(turn: Turn, truth: np.ndarray) -> dict[str, Any]:
    known = truth >= 0
    found = scores(truth[known], turn.labels[known])
    return {
        "answers": len(turn.answers), "yes_in_round": "" if turn.same is None else round(turn.same, 3),
        "Fp": round(found["pairwise_f"], 4), "Fb": round(found["bcubed_f"], 4),
        "clusters": int(turn.labels.max(initial=-1)) + 1,
    }  # fmt: skip


def _again(clusters: Path) -> str:
    """The options that cluster again as these clusters were made, as far as that is known."""
    file = clusters / "config.yaml"
    name = read_yaml(file).get("backend") if file.is_file() else None
    return "--backend BACKEND" if name is None else f"--backend {name} --model {quote(str(clusters))}"


def _clusterer(clusters: Path) -> Clusterer:
    """The backend that made the clusters, with its settings.

    Raises:
        InputError: Not a folder of cluster.
    """
    file = clusters / "config.yaml"
    if not file.is_file():
        raise InputError(f"{file}: not found; --truth clusters again, so it needs a folder made by cluster")
    return load_clusterer(str(read_yaml(file).get("backend")), clusters)
