"""``eval pairs``: LFW and sets like it: 10-fold accuracy, and the figures of 1:1 verification.

Accuracy: the pairs lie in folds. For each fold the threshold is chosen on the other folds: of all their scores, the one
from which on acceptance is right for most of their pairs, and of several such the middle one. Then the pairs of the
fold are decided. The accuracy is the mean over the folds (Huang et al. 2007, protocol for View 2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eval.bins import pair_weights
from eval.bootstrap import draw, interval, verification_samples
from eval.compatibility import grid_accuracy
from eval.figures import Scores, few_errors, verification_figures
from eval.verification import det_curve
from facerec.artifacts import EmbeddingSet, InputError, load_embeddings, write_json, write_table
from facerec.stages import stage

FOLDS = 10
FMRS = ("1e-1", "1e-2", "1e-3")


@dataclass(frozen=True)
class PairList:
    """Pairs of faces by name; arrays and lists of [p].

    Attributes:
        path: The file.
        first: Names, without suffix where ``stems``.
        second: The same.
        same: bool, whether a pair shows one person.
        fold: int64, from 0.
        subjects: The two people of each pair, int64 [p, 2] from 0; a number a pair where they are not known.
        lines: The line of each pair, for messages.
        stems: Whether names have no file suffix.
        known: Whether the subjects are known.
    """

    path: Path
    first: list[str]
    second: list[str]
    same: np.ndarray
    fold: np.ndarray
    subjects: np.ndarray
    lines: list[int]
    stems: bool
    known: bool


@stage("eval pairs")
def pairs(
    pairs: Path, embeddings: Path, out: Path, bootstrap: int = 0, seed: int = 0, compatibility: bool = False
) -> Mapping[str, Any]:
    """Evaluates embeddings on a list of pairs: 10-fold accuracy, FNMR@FMR, EER, AUC.

    Args:
        pairs: LFW's pairs.txt; or a .tsv file with two names, 1 (one person) or 0, and if there is a fourth column the
            fold; or a folder with pairs.tsv, as `facerec bin` writes.
        embeddings: Embedding folder with keys.txt; faces match by name.
        out: Folder for metrics.json, det.csv and det.png.
        bootstrap: How many times subjects (pairs, where nobody knows the subjects) are drawn for 95 % intervals; 0 for
            none.
        seed: Draws them.
        compatibility: Also give the accuracy as widely used scripts do (docs/compatibility.md).
    """
    from eval.plots import plot_det

    if bootstrap < 0:
        raise InputError(f"--bootstrap {bootstrap}; a number of samples, or 0 for no intervals")
    listed = load_pair_list(pairs)
    embedded = load_embeddings(embeddings)
    first, second = _rows(listed, embedded)
    scores = _cosines(embedded.embeddings, first, second)
    right, thresholds = decide(scores, listed.same, listed.fold)
    metrics = _metrics(listed, scores, right, thresholds)
    unreadable = ~embedded.embeddings[np.unique([first, second])].any(axis=1)
    metrics["counts"]["unreadable_faces"] = int(np.count_nonzero(unreadable))
    if bootstrap:
        metrics["intervals"] = _intervals(listed, scores, right, bootstrap, seed)
    if compatibility:
        metrics["compatibility"] = {"insightface_verification": grid_accuracy(scores, listed.same)}
    write_json(out / "metrics.json", metrics)
    curve = det_curve(np.sort(scores[listed.same]), np.sort(scores[~listed.same]))
    write_table(out / "det.csv", ["fmr", "fnmr", "threshold", "tar"], [[*point, 1 - point[1]] for point in curve])
    plot_det({"": [point[:2] for point in curve]}, out / "det.png")
    return {key: metrics[key] for key in ("accuracy", "accuracy_std", "fnmr_at_fmr")}


def decide(scores: np.ndarray, same: np.ndarray, fold: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Whether each pair is decided rightly by the threshold of its fold, bool [p], and the thresholds.

    Args:
        scores: float [p].
        same: bool [p].
        fold: int64 [p], from 0.

    Example:
        >>> scores, same = np.array([.9, .2, .8, .1]), np.array([True, False, True, False])
        >>> decide(scores, same, np.array([0, 0, 1, 1]))   # thresholds .8 of fold 1 and .9 of fold 0
        (array([ True,  True, False,  True]), [0.8, 0.9])
    """
    right, thresholds = np.empty(len(scores), dtype=bool), []
    for index in range(int(fold.max()) + 1):
        inside = fold == index
        threshold = best_threshold(scores[~inside], same[~inside])
        right[inside] = (scores[inside] >= threshold) == same[inside]
        thresholds.append(float(threshold))
    return right, thresholds


def best_threshold(scores: np.ndarray, same: np.ndarray) -> float:
    """Of all scores (and infinity), the one from which on acceptance is right for most pairs; the middle of several."""
    candidates = np.append(np.unique(scores), np.inf)
    genuine, impostor = np.sort(scores[same]), np.sort(scores[~same])
    right = len(genuine) - np.searchsorted(genuine, candidates) + np.searchsorted(impostor, candidates)
    best = np.flatnonzero(right == right.max())
    return float(candidates[best[(len(best) - 1) // 2]])


def load_pair_list(path: Path) -> PairList:
    """Reads LFW's own list, or a .tsv file, or the pairs.tsv of a folder.

    Raises:
        InputError: Missing, empty or malformed (naming the line), one fold, or one kind of pairs.
    """
    file = path / "pairs.tsv" if path.is_dir() else path
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read as text ({error})") from None
    lines = [(number, line.split("\t")) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise InputError(f"{file}: no lines; expected LFW's pairs.txt, or two names and 1 or 0 a line, tab-separated")
    listed = _tab_separated(file, lines) if file.suffix == ".tsv" else _lfw(file, lines)
    for kind, missing in [("genuine", not listed.same.any()), ("impostor", listed.same.all())]:
        if missing:
            raise InputError(f"{file}: no {kind} pair in {len(listed.same)}; both kinds are needed")
    if listed.fold.max() == 0:
        raise InputError(f"{file}: one fold of {len(listed.same)} pairs; the threshold of a fold comes from the others")
    return listed


def _lfw(file: Path, lines: list[tuple[int, list[str]]]) -> PairList:
    """``folds<TAB>n``, then for each fold n lines ``name i j`` of one person and n lines ``name i name j`` of two."""
    header = lines.pop(0)[1]
    if len(header) > 2 or not all(_is_count(number) for number in header):
        raise InputError(
            f"{file} line 1: {' '.join(header)!r}; expected the number of folds and of pairs, as LFW has it"
        )
    folds, size = (int(header[0]), int(header[1])) if len(header) == 2 else (1, int(header[0]))
    if len(lines) != 2 * folds * size:
        raise InputError(f"{file}: {len(lines)} pairs; line 1 announces {folds} folds of {size} and {size}")
    first, second, people = [], [], []
    same = np.tile(np.repeat([True, False], size), folds)
    for (number, fields), genuine in zip(lines, same, strict=True):
        expected, wants = (3, "a name and two numbers") if genuine else (4, "a name, a number, a name, a number")
        if len(fields) != expected or not all(map(_is_count, fields[1::2] + fields[-1:])):
            raise InputError(f"{file} line {number}: {' '.join(fields)!r}; expected {wants}, separated by tabs")
        names = [fields[0], fields[-2] if expected == 4 else fields[0]]
        one, two = (
            f"{name}/{name}_{int(index):04d}" for name, index in zip(names, (fields[1], fields[-1]), strict=True)
        )
        first.append(one)
        second.append(two)
        people.append(names)
    subjects = np.unique(np.array(people), return_inverse=True)[1].reshape(-1, 2)
    fold = np.repeat(np.arange(folds), 2 * size)
    return PairList(file, first, second, same, fold, subjects, [number for number, _ in lines], True, True)


def _tab_separated(file: Path, lines: list[tuple[int, list[str]]]) -> PairList:
    width = len(lines[0][1])
    for number, fields in lines:
        if len(fields) != width or width not in (3, 4):
            raise InputError(
                f"{file} line {number}: {len(fields)} fields; expected two names, 1 or 0, and perhaps a fold"
            )
        if fields[2] not in ("0", "1"):
            raise InputError(f"{file} line {number}: {fields[2]!r}; expected 1 (one person) or 0")
        if width == 4 and not _is_count(fields[3]):
            raise InputError(f"{file} line {number}: fold {fields[3]!r}; expected a whole number")
    if width == 3 and len(lines) < FOLDS:
        raise InputError(f"{file}: {len(lines)} pairs without a fold; at least {FOLDS} are needed, for {FOLDS} folds")
    named = [int(fields[3]) for _, fields in lines] if width == 4 else _even_folds(len(lines))
    fold = np.unique(np.array(named), return_inverse=True)[1]
    first, second, label = (list(column) for column in zip(*(fields[:3] for _, fields in lines), strict=True))
    subjects = np.repeat(np.arange(len(lines))[:, None], 2, axis=1)
    numbers = [number for number, _ in lines]
    return PairList(file, first, second, np.array(label) == "1", fold, subjects, numbers, False, False)


def _even_folds(count: int) -> np.ndarray:
    """Ten folds of consecutive pairs, as equal as can be, the larger ones first."""
    return np.repeat(np.arange(FOLDS), [len(part) for part in np.array_split(np.arange(count), FOLDS)])


def _is_count(text: str) -> bool:
    return text.strip().isascii() and text.strip().isdigit()


def _rows(listed: PairList, embedded: EmbeddingSet) -> tuple[np.ndarray, np.ndarray]:
    if embedded.keys is None:
        raise InputError(f"{embedded.path}: no keys.txt; the faces of pairs match by name, so that it is needed")
    keys = [key.removeprefix("img/") for key in embedded.keys]
    if listed.stems:
        keys = [key.rpartition(".")[0] or key for key in keys]
    row_of = dict(zip(keys, range(len(keys)), strict=True))
    if len(row_of) != len(keys):
        repeated = next(key for index, key in enumerate(keys) if row_of[key] != index)
        raise InputError(f"{embedded.path}: key {repeated!r} occurs twice in keys.txt; faces match by key")
    sides = []
    for names in (listed.first, listed.second):
        missing = [index for index, name in enumerate(names) if name.removeprefix("img/") not in row_of]
        if missing:
            raise InputError(
                f"{listed.path} line {listed.lines[missing[0]]}: face {names[missing[0]]!r} has no embedding in "
                f"{embedded.path} ({len(missing)} of {len(names)} pairs lack one)"
            )
        sides.append(np.array([row_of[name.removeprefix("img/")] for name in names]))
    return sides[0], sides[1]


def _cosines(embeddings: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    one, two = (embeddings[side].astype(np.float64) for side in (first, second))
    return np.einsum("pd,pd->p", one, two).astype(np.float32)


def _metrics(listed: PairList, scores: np.ndarray, right: np.ndarray, thresholds: Sequence[float]) -> dict[str, Any]:
    folds = [right[listed.fold == index] for index in range(len(thresholds))]
    accuracies = [float(np.mean(fold)) for fold in folds]
    figures = verification_figures(Scores.of(scores, listed.same), FMRS)
    counts = {
        "pairs": len(scores),
        "folds": len(folds),
        "wrong": int(np.count_nonzero(~right)),
        **figures.pop("counts"),
    }
    return {
        "accuracy": float(np.mean(accuracies)),
        "accuracy_std": float(np.std(accuracies)),
        "folds": [
            {"accuracy": accuracy, "threshold": threshold, "pairs": len(fold)}
            for accuracy, threshold, fold in zip(accuracies, thresholds, folds, strict=True)
        ],
        **figures,
        "few_errors": few_errors(counts) + (["accuracy"] if counts["wrong"] < 10 else []),
        "counts": counts,
    }


def _intervals(listed: PairList, scores: np.ndarray, right: np.ndarray, samples: int, seed: int) -> dict[str, Any]:
    """Of FNMR, EER and AUC anew in each sample; of the accuracy, over all pairs, with the thresholds as they are."""
    one, two = listed.subjects.T
    drawn = draw(int(listed.subjects.max()) + 1, samples, seed)
    genuine = listed.same
    others = one[~genuine], two[~genuine]
    fnmr, eer, auc = verification_samples(
        scores[genuine], one[genuine], scores[~genuine], others, [float(f) for f in FMRS], drawn
    )
    weights = pair_weights(one, two, drawn)
    total = weights.sum(axis=0)
    accuracy = np.divide(right @ weights, total, out=np.full(len(total), np.nan), where=total > 0)
    return {
        "confidence": 0.95,
        "samples": samples,
        "seed": seed,
        "over": "subjects" if listed.known else "pairs",
        "accuracy": interval(accuracy),
        "fnmr_at_fmr": {f: interval(row) for f, row in zip(FMRS, fnmr, strict=True)},
        "eer": interval(eer),
        "auc": interval(auc),
    }
