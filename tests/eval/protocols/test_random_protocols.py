"""Random protocols, with all that may be odd about them, against loops over single comparisons."""

from collections import defaultdict

import numpy as np
import pytest

from eval.protocols.evaluation import evaluate, without_empty
from eval.protocols.face_templates import pool_protocol
from eval.protocols.open import load_protocol
from eval.report.figures import FMRS, FPIRS, summarise
from facerec.pipeline.embeddings import save_embeddings
from facerec.pipeline.files import InputError

HEADER = "TEMPLATE_ID,SUBJECT_ID,FILENAME\n"


def random_protocol(folder, generator):
    """Subjects of a few templates, some without faces, some in both galleries; sometimes one gallery or none."""
    subjects = {}
    for template in generator.choice(90, 22, replace=False).tolist():
        subjects[template] = int(generator.integers(7))
    faces, rows = [], []
    centres = generator.normal(size=(7, 3))
    for template, subject in subjects.items():
        for face in range(int(generator.integers(0, 4)) or int(generator.random() < 0.7)):
            faces.append((f"{template}_{face}.jpg", template, face // 2))
            rows.append(centres[subject] + 0.7 * generator.normal(size=3) if generator.random() < 0.9 else np.zeros(3))
    lost = [face for face, keep in zip(faces, generator.random(len(faces)) < 0.1, strict=True) if keep]
    ids = list(subjects)
    pairs = {tuple(sorted(generator.choice(ids, 2, replace=False).tolist())) for _ in range(120)}
    galleries, probes = {}, ids
    for name in ("G1", "G2")[: int(generator.integers(0, 3))]:
        galleries[name] = generator.choice(ids, 6, replace=False).tolist()
        probes = [template for template in probes if template not in galleries[name]]
    (folder / "p").mkdir(parents=True)
    texts = {
        "face_tid_mid.txt": "".join(f"{name} {template} {medium}\n" for name, template, medium in faces),
        "template_pair_label.txt": "".join(f"{a} {b} {int(subjects[a] == subjects[b])}\n" for a, b in sorted(pairs)),
        **{f"1N_gallery_{name}.csv": HEADER + "".join(f"{t},{subjects[t]},x\n" for t in of)
           for name, of in galleries.items()},
        **({"1N_probe_mixed.csv": HEADER + "".join(f"{t},{subjects[t]},x\n" for t in probes)} if galleries else {}),
    }  # fmt: skip
    for name, text in texts.items():
        (folder / "p" / f"x_{name}").write_text(text)
    vectors = np.array(rows, np.float32)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(norms == 0, 1, norms)
    kept = [row for row, face in enumerate(faces) if face not in lost]
    (folder / "e").mkdir()
    save_embeddings(folder / "e", vectors[kept], [faces[row][0][:-4] + ".png" for row in kept])
    vectors[[row for row in range(len(faces)) if row not in kept]] = 0
    return subjects, faces, vectors.astype(np.float64), sorted(pairs), galleries, probes


def slow_templates(subjects, faces, vectors):
    media = defaultdict(lambda: defaultdict(list))
    for (_, template, medium), vector in zip(faces, vectors, strict=True):
        if vector.any():
            media[template][medium].append(vector)
    found = {}
    for template in subjects:
        total = sum((np.mean(of, axis=0) for of in media[template].values()), np.zeros(3))
        found[template] = total / (np.linalg.norm(total) or 1)
    return found


def slow_rates(positives, negatives, rate):
    """Errors just above the lowest of the negatives above which there is at most the rate of them."""
    for threshold in [-np.inf, *sorted(set(negatives))]:
        passing = sum(score > threshold for score in negatives)
        if passing / len(negatives) <= rate:
            return passing, sum(score <= threshold for score in positives)
    raise AssertionError


def slow_figures(subjects, features, pairs, galleries, probes):
    cells = []
    scores = {True: [], False: []}
    for a, b in pairs:
        scores[subjects[a] == subjects[b]].append(float(np.float32(features[a] @ features[b])))
    cells += [len(scores[True]), len(scores[False])]
    for f in FMRS:
        cells += slow_rates(scores[True], scores[False], float(f))
    searched = []
    for of in galleries.values():
        enrolled = {}
        for subject in {subjects[t] for t in of}:
            total = sum(features[t] for t in of if subjects[t] == subject)
            enrolled[subject] = total / (np.linalg.norm(total) or 1)
        hits, ranks, highest = [], [], []
        for probe in probes:
            found = {s: float(np.float32(features[probe] @ feature)) for s, feature in enrolled.items()}
            mate = found.pop(subjects[probe], None)
            if mate is None:
                highest.append(max(found.values()))
                continue
            ranks.append(1 + sum(score >= mate for score in found.values()))
            hits.append(mate if ranks[-1] == 1 else -np.inf)
        searched.append((hits, ranks, highest))
    open_set = all(highest for _, _, highest in searched)
    for hits, ranks, highest in searched:
        cells += [len(ranks), len(highest), *(sum(rank <= k for rank in ranks) for k in (1, 5, 10))]
        for f in FPIRS if open_set else ():
            cells += slow_rates(hits, highest, float(f))
    return cells


def fast_figures(evaluation):
    counts = summarise(evaluation)["counts"]
    cells = [counts["genuine_pairs"], counts["impostor_pairs"]]
    for f in FMRS:
        cells += [counts["verification"][f]["false_matches"], counts["verification"][f]["false_non_matches"]]
    for of in counts["identification"].values() if "identification" in counts else ():
        cells += [of[name] for name in ("mated_probes", "nonmated_probes", "rank1_hits", "rank5_hits", "rank10_hits")]
        for f in FPIRS:
            cells += [of[f]["false_positives"], of[f]["misses"]] if f in of else []
    return cells


def test_every_count_is_that_of_the_definition(tmp_path):
    cells = wrong = kinds = 0
    for seed in range(105):
        generator = np.random.default_rng(seed)
        folder = tmp_path / str(seed)
        subjects, faces, vectors, pairs, galleries, probes = random_protocol(folder, generator)
        try:
            files = load_protocol(folder / "p")
            templates = pool_protocol(files, folder / "e", "removed", None, refuse=False)
            evaluation = evaluate(files, templates, [float(f) for f in FPIRS])
        except InputError:  # of a gallery without a mated probe, or pairs of one kind
            continue
        features = slow_templates(subjects, faces, vectors)
        for exclude in (False, True):
            if exclude:
                there = {template for template, feature in features.items() if feature.any()}
                pairs = [pair for pair in pairs if set(pair) <= there]
                galleries = {name: [t for t in of if t in there] for name, of in galleries.items()}
                probes = [t for t in probes if t in there]
                try:
                    files = without_empty(files, templates)
                    evaluation = evaluate(files, templates, [float(f) for f in FPIRS])
                except InputError:
                    continue
            expected, found = slow_figures(subjects, features, pairs, galleries, probes), fast_figures(evaluation)
            assert len(expected) == len(found)
            cells += len(found)
            wrong += sum(one != other for one, other in zip(expected, found, strict=True))
            kinds |= 1 << len(galleries)
    assert cells > 5000
    assert wrong == 0
    assert kinds == 0b111  # without, with one and with two galleries


def test_the_slow_rates_by_hand():
    assert slow_rates([0.2, 0.3, 0.9], [0.1, 0.2, 0.3, 0.4], 0.25) == (1, 2)
    assert slow_rates([0.2], [0.5], 1.0) == (1, 0)
    with pytest.raises(ZeroDivisionError):
        slow_rates([0.2], [], 0.1)
