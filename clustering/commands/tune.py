"""The command ``tune``: hyper-parameters of any backend, chosen on labelled faces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clustering.learning import tuning
from clustering.learning.labelled_faces import load_labelled
from facerec.pipeline.arguments import Seed
from facerec.pipeline.counts import told
from facerec.pipeline.embeddings import Unreadable
from facerec.pipeline.same_recogniser import noted_recogniser
from facerec.pipeline.stage import stage


@stage(
    "clustering tune",
    found=told("score {score:.3f} (by default {default_score:.3f}) after {trials:trial}"),
    then="python -m clustering cluster --backend {backend} --model {out} --embeddings EMBEDDINGS --out CLUSTERS",
)
def tune(
    backend: str,
    embeddings: Path,
    out: Path,
    labels: Path | None = None,
    trials: int = 40,
    trainings: list[dict[str, Any]] | None = None,
    seed: Seed = 0,
    unreadable: Unreadable = "refuse",
) -> Mapping[str, Any]:
    """Chooses a backend's hyper-parameters on labelled faces.

    A trial's score is the harmonic mean of pairwise F and BCubed F over several versions of the faces. These are all of
    them, a heavy-tailed share, and simulated faces of larger or many more identities. So the choice holds for corpora
    of other shapes. Of the trials that are nearly as good as the best, one of the strictest is chosen, of the same
    training. The first trial is the default. Half of the others are spread over all settings. A quarter is near the
    best trial so far, and a quarter near the one that would be chosen by then.

    A backend that learns is trained on half the identities and scored on the rest. With the chosen settings it is
    trained again on all. How far its confidence can be trusted is measured on the rest, too. Hi-LANDER's packaged model
    goes on learning. As it is, it is tried, too, and taken unless the other scores 2 % more; its own settings stay
    unless others score 2 % more.

    Args:
        backend: The backend, see cluster.
        embeddings: Embedding folder, or a file of embeddings (.npy, .npz, .h5, .pt, .pkl, .parquet, .csv, .bin;
            FILE:NAME for one of several arrays in it).
        out: Folder to make: config.yaml (and model.safetensors), for cluster's --model; search.csv, every trial;
            reliability.csv of backends with a confidence of their own.
        labels: File or folder of identities (-1 = unknown): .npy, or a number or name a line, or FILE.csv:COLUMN.
            Without it those of the embedding folder or file.
        trials: Settings to try, for each training.
        trainings: Ways to train a backend that learns, each as train's --settings. The best one is taken. Example:
            --trainings '[{}, {inputs: features, encoder: gat}]'. By default the backend's own and its packaged model.
        seed: Seed of the trials, the versions and the training.
        unreadable: Embeddings with NaN or infinite values: refuse them, or skip them as unreadable faces.
    """
    clusterer = tuning.tune(backend, *load_labelled(embeddings, labels, unreadable), trials, seed, trainings)
    found = clusterer.tuning_
    clusterer.save_pretrained(out)
    found.save(out / "search.csv")
    if found.calibration is not None:
        found.calibration.save(out / "reliability.csv")
    return {
        **found.training,
        **found.chosen,
        "score": found.best["score"],
        "default_score": found.untuned["score"],
        "trials": len(found.trials),
        "calibration_error": {} if found.calibration is None else found.calibration.errors,
        **noted_recogniser([embeddings]),
    }
