"""The command ``compare``: backends side by side on one embedding set."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jsonargparse.typing import PositiveInt

from clustering.backends.registry import BACKENDS, backend
from clustering.comparison.page import write_comparison
from clustering.comparison.runs import NEIGHBORS, Run, agreement, estimates, run_all
from clustering.graph.build import graph_in
from clustering.graph.nodes import shared_nodes
from clustering.learning.labelled_faces import LabelledFaces, load_labelled
from clustering.similarity.same_faces import save_cosines
from clustering.similarity.same_recogniser import check_labelled
from facerec.pipeline.arguments import Seed
from facerec.pipeline.console import show_kept_table
from facerec.pipeline.counts import counted, told
from facerec.pipeline.embeddings import EmbeddingSet, Unreadable, load_embeddings, refuse_other_length, save_names
from facerec.pipeline.files import InputError, write_json, write_table
from facerec.pipeline.stage import stage
from facerec.pipeline.values import first_repeated

logger = logging.getLogger(__name__)

DEFAULT_TRIALS = 20


@stage(
    "clustering compare",
    found=told("{faces:face}, {copies:,} of them copies"),
    then="open {out}/comparison.html",
)
def compare(
    embeddings: Path,
    out: Path,
    labels: Path | None = None,
    backends: list[str] | None = None,
    knn: Path | None = None,
    tune_on: Path | None = None,
    trials: PositiveInt = DEFAULT_TRIALS,
    seed: Seed = 0,
    unreadable: Unreadable = "refuse",
) -> Mapping[str, Any]:
    """Clusters one embedding set with several backends: one table, how far they agree, and a page.

    All backends get the same graph. Copies (faces that are nearly the same picture) count once where they would fill a
    backend's lists of neighbours, as in cluster.

    Args:
        embeddings: Embedding folder, or a file of embeddings, see knn.
        out: Folder to make: comparison.csv, estimates.csv (without labels, see estimate), agreement.csv,
            comparison.html, settings.json; clusters/BACKEND with labels.npy and cosines.npy, for other commands.
        labels: File or folder of identities (-1 = unknown), for pairwise F, BCubed F and NMI. By default labels.npy of
            the embedding folder, if there is one.
        backends: Their names, as '[hilander, dbscan]'; by default all. A backend that cannot run is left out, and the
            reason is told: backends that learn need --tune-on, leiden and infomap need their libraries.
        knn: Folder made by knn from the same embeddings, best with --k 40; without it the graph is built here.
        tune_on: Labelled embeddings of other people by the same recogniser. Each backend is tuned on them first.
        trials: Settings that the tuning of each backend tries.
        seed: Seed of the tuning.
        unreadable: Embeddings with NaN or infinite values: refuse them, or skip them as unreadable faces.
    """
    if tune_on is None and trials != DEFAULT_TRIALS:
        logger.warning("--trials has no effect: there is no --tune-on")
    names = list(BACKENDS) if backends is None else backends
    for name in names:
        backend(name)
    if (twice := first_repeated(names)) is not None:
        raise InputError(f"backends: {twice} stands there twice; each has one row")
    faces, truth, learning = _read(embeddings, labels, tune_on, unreadable)
    made = out / "graph"
    nodes_for = shared_nodes(graph_in(faces, knn, NEIGHBORS, made), made / "nodes", NEIGHBORS)
    runs, refused = run_all(names, nodes_for, learning, trials, seed)
    figures = {run.name: run.row(truth) for run in runs}
    if truth is not None:
        runs.sort(key=lambda run: -float(str(figures[run.name]["Fb"])))
    rows, guessed = [figures[run.name] for run in runs], estimates(runs, nodes_for)
    copies = nodes_for(NEIGHBORS).found
    shutil.rmtree(made, ignore_errors=True)
    about = f"{embeddings.name}: {counted(len(faces), 'face')}, {copies:,} of them copies; " + (
        "default settings" if tune_on is None else f"tuned on {tune_on.name}, {counted(trials, 'trial')}"
    )
    _write_clusters(out / "clusters", runs, faces)
    similarity = agreement(runs)
    _write_tables(out, runs, rows, guessed, similarity)
    write_comparison(out / "comparison.html", about, rows, similarity, refused, guessed)
    times = {run.name: {"seconds": round(run.seconds, 2), "tuning": round(run.tuning_seconds, 1)} for run in runs}
    show_kept_table([{**row, **times[run.name]} for run, row in zip(runs, rows, strict=True)])
    return {"faces": len(faces), "copies": copies, "seconds": times, "left_out": sorted(refused)}


def _read(
    embeddings: Path, labels: Path | None, tune_on: Path | None, unreadable: Unreadable
) -> tuple[EmbeddingSet, np.ndarray | None, LabelledFaces | None]:
    """The faces, their identities, and the labelled faces."""
    faces = load_embeddings(embeddings, unreadable=unreadable)
    truth = faces.labels_in(labels)
    if truth is not None and truth.max() < 0:
        raise InputError(f"{labels or embeddings}: every identity is -1 (unknown); there is nothing to score")
    if tune_on is None:
        return faces, truth, None
    learning = load_labelled(tune_on, None, unreadable)
    refuse_other_length(learning.embeddings, tune_on, faces)
    check_labelled(tune_on, faces)
    return faces, truth, learning


def _write_clusters(folder: Path, runs: Sequence[Run], faces: EmbeddingSet) -> None:
    """Writes the labels of each run as other commands read them."""
    for run in runs:
        place = folder / run.name
        place.mkdir(parents=True)
        save_names(place, faces.keys, run.labels)
        save_cosines(faces.embeddings, place)


def _write_tables(
    out: Path,
    runs: Sequence[Run],
    rows: Sequence[Mapping[str, object]],
    guessed: Sequence[Mapping[str, object]],
    similarity: np.ndarray,
) -> None:
    """Writes the figures, the estimates without labels, the agreement and the settings."""
    write_table(out / "comparison.csv", list(rows[0]), [list(row.values()) for row in rows])
    if guessed:
        write_table(out / "estimates.csv", list(guessed[0]), [list(row.values()) for row in guessed])
    lines = [[run.name, *line] for run, line in zip(runs, similarity.round(4).tolist(), strict=True)]
    write_table(out / "agreement.csv", ["backend", *(run.name for run in runs)], lines)
    write_json(out / "settings.json", {run.name: dict(run.settings) for run in runs})
