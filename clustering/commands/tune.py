"""The command ``tune``: hyper-parameters of any backend, chosen on labelled faces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clustering.backends import registry
from clustering.learning.calibration import measure
from clustering.learning.labelled_faces import load_labelled, split_identities
from clustering.learning.tuning import graphs, search, strict
from facerec.pipeline.files import InputError, write_table
from facerec.pipeline.stage import stage


@stage("clustering tune")
def tune(
    backend: str,
    embeddings: Path,
    out: Path,
    labels: Path | None = None,
    trials: int = 40,
    trainings: list[dict[str, Any]] | None = None,
    seed: int = 0,
) -> Mapping[str, Any]:
    """Chooses a backend's hyper-parameters on labelled faces.

    Each trial's score is the harmonic mean of pairwise F and BCubed F over several versions of the faces: all, a
    heavy-tailed share of them, and simulated ones with hundreds of faces per identity or with many more identities, so
    that what is chosen holds beyond the labelled set's own distribution, and none of them falls apart. Of the trials
    that are nearly as good as the best, one of the strictest is chosen. The first trial is the default; half of the
    others are of all kinds, a quarter are near the best so far, and a quarter near what would be chosen by then. A
    backend that learns is trained on half the identities, scored on the rest, and trained again on all in the same way,
    takes the chosen settings; how far its confidence can be trusted is measured on the rest, too.

    Args:
        backend: The backend, see cluster.
        embeddings: Folder with embeddings.npy, or such a file.
        out: Folder to make: config.yaml (and model.safetensors), for cluster's --model; search.csv, every trial;
            reliability.csv of backends with a confidence of their own.
        labels: File or folder of identities (-1 = unknown); without it labels.npy of the embedding folder.
        trials: Settings to try, for each training.
        trainings: Ways to train a backend that learns, of which the best is taken, as train's --settings, e.g.
            --trainings '[{}, {inputs: features, encoder: gat}]'; by default the backend's own.
        seed: Of the trials, the versions and the training.
    """
    if trials < 1:
        raise InputError(f"trials is {trials}; it must be at least 1")
    found = registry.backend(backend)
    if trainings and not found.learns:
        raise InputError(f"{backend} has nothing to train; leave out --trainings")
    faces = load_labelled(embeddings, labels)
    learning, validation = split_identities(faces, seed) if found.learns else (faces, faces)
    ways = trainings or [{}]
    clusterers = [found.learn(learning.embeddings, learning.labels, seed, **way) for way in ways]
    widest = max([*found.search_space.get("k", ()), *(each.k for each in clusterers)])
    held = list(graphs(validation, int(widest), seed))
    results = [
        {"training": number, **result}
        for number, clusterer in enumerate(clusterers)
        for result in search(clusterer, held, trials, seed)
    ]
    write_search(out / "search.csv", results)
    best = strict(results)
    chosen = {name: best[name] for name in found.search_space}
    clusterer = clusterers[best["training"]].with_settings(**chosen)
    measured, errors = measure(clusterer, validation, seed, out)
    if found.learns:
        clusterer = found.learn(faces.embeddings, faces.labels, seed, **ways[best["training"]])
    clusterer.with_settings(**chosen, **measured).save(out)
    summary = {"score": best["score"], "default_score": results[0]["score"], "trials": len(results)}
    return {**ways[best["training"]], **chosen, **summary, "calibration_error": errors}


def write_search(path: Path, results: Sequence[Mapping[str, Any]]) -> None:
    """Writes a row a trial, the default first."""
    names = list(results[0])
    lines = ([round(row[name], 6) if isinstance(row[name], float) else row[name] for name in names] for row in results)
    write_table(path, names, lines)
