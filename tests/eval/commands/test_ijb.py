"""`eval ijb` on a protocol whose figures can be seen, on LFW against a slow second implementation, and on bad input."""

import csv
import json
from collections import defaultdict

import numpy as np
import pytest

from eval.commands.ijb import ijb
from eval.report.curves import Curves
from facerec.pipeline.files import InputError, write_lines


def metrics_of(protocol, embeddings, out):
    ijb(protocol=protocol, embeddings=embeddings, out=out)
    return json.loads((out / "metrics.json").read_text())


def test_perfect_embeddings_make_no_errors(protocol, embeddings, tmp_path):
    metrics = metrics_of(protocol, embeddings, tmp_path / "report")
    assert list(metrics["fnmr_at_fmr"]) == ["1e-1", "1e-2", "1e-3", "1e-4", "1e-5", "1e-6"]
    assert set(metrics["fnmr_at_fmr"].values()) == {0.0}
    assert metrics["fnir_at_fpir"] == {"1e-1": 0.0, "1e-2": 0.0, "1e-3": 0.0}
    assert metrics["fnir_at_fpir_per_gallery"] == {name: {"1e-1": 0, "1e-2": 0, "1e-3": 0} for name in ("G1", "G2")}
    assert [metrics[key] for key in ("rank1", "rank5", "rank10", "eer", "auc")] == [1, 1, 1, 0, 1]
    assert metrics["tar_at_far"]["1e-3"] == 1
    assert set(metrics["few_errors"]) >= {"fnmr@1e-1", "fnir@1e-3/G1", "rank10/G2"}
    counts = metrics["counts"]
    assert [counts[key] for key in ("faces", "media", "templates", "probes")] == [11, 10, 9, 4]
    assert [counts[key] for key in ("genuine_pairs", "impostor_pairs", "unreadable_faces", "empty_templates")] == [
        4,
        5,
        0,
        0,
    ]
    assert counts["verification"]["1e-1"]["supported"] is False
    first = counts["identification"]["G1"]
    assert [first[key] for key in ("subjects", "mated_probes", "nonmated_probes", "rank1_hits")] == [2, 2, 2, 2]
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == {
        "metrics.json", "det.csv", "iet.csv", "cmc.csv", "scores.csv", "worst.csv", "det.png", "iet.png", "meta.json",
    }  # fmt: skip


def test_errors_are_counted_by_the_definition(protocol, embeddings, tmp_path, caplog):
    """Probe pb (subject 2) looks like subject 1, probe pd (4) is exactly between 3 and 4, pc (3) cannot be read."""
    rows = np.array(np.load(embeddings / "embeddings.npy"))
    rows[8] = [1, 0, 0, 0]
    rows[10] = [0, 0, 0.5**0.5, 0.5**0.5]
    rows[9] = 0
    np.save(embeddings / "embeddings.npy", rows)
    metrics = metrics_of(protocol, embeddings, tmp_path / "report")
    # Genuine 70-40: 1, 9-2: 0, 12-55: 0, 5-33: .71; impostor 70-2: 1, 12-33: .71, the other three 0.
    assert metrics["fnmr_at_fmr"]["1e-1"] == 1.0
    assert metrics["counts"]["verification"]["1e-1"]["false_matches"] == 0
    # G1: pa found, pb not at rank 1. G2: pc ties at 0, pd ties at .71.
    assert metrics["rank1"] == 0.25
    assert metrics["counts"]["identification"]["G1"]["rank1_hits"] == 1
    assert metrics["counts"]["identification"]["G2"]["rank1_hits"] == 0
    fnirs = {name: list(of.values()) for name, of in metrics["fnir_at_fpir_per_gallery"].items()}
    assert fnirs == {"G1": [0.5, 0.5, 0.5], "G2": [1.0, 1.0, 1.0]}
    assert (metrics["rank5"], metrics["eer"]) == (1, pytest.approx((0.5 + 0.4) / 2))  # at .71: 2 of 4, 2 of 5
    assert metrics["fnir_at_fpir"]["1e-2"] == 0.75
    assert metrics["counts"]["unreadable_faces"] == metrics["counts"]["empty_templates"] == 1
    assert "embeddings: 1 of 9 templates have no face that could be read, and count as failures" in caplog.text


def test_keys_free_the_order_and_allow_more_embeddings(protocol, embeddings, keys, tmp_path):
    expected = metrics_of(protocol, embeddings, tmp_path / "a")
    rows = np.load(embeddings / "embeddings.npy")
    order = np.random.default_rng(0).permutation(len(rows))
    np.save(embeddings / "embeddings.npy", np.concatenate([rows[order], rows[:1]]))
    write_lines(embeddings / "keys.txt", [*(keys[i] for i in order), "another.jpg"])
    assert metrics_of(protocol, embeddings, tmp_path / "b") == expected


def test_a_bare_array_will_do(protocol, embeddings, tmp_path):
    expected = metrics_of(protocol, embeddings, tmp_path / "a")
    assert metrics_of(protocol, embeddings / "embeddings.npy", tmp_path / "b") == expected


def run(protocol, embeddings, out, **options):
    ijb(protocol=protocol, embeddings=embeddings, out=out, **options)
    return json.loads((out / "metrics.json").read_text())


def test_intervals_are_seeded_and_stand_in_every_file(protocol, embeddings, tmp_path):
    rows = np.load(embeddings / "embeddings.npy") + 0.8 * np.random.default_rng(3).standard_normal((11, 4))
    np.save(embeddings / "embeddings.npy", rows.astype(np.float32))
    plain = run(protocol, embeddings, tmp_path / "plain")
    metrics = run(protocol, embeddings, tmp_path / "a", bootstrap=50, seed=3)
    again = run(protocol, embeddings, tmp_path / "b", bootstrap=50, seed=3)
    assert metrics == again
    intervals = metrics.pop("intervals")
    assert metrics == plain
    run(protocol, embeddings, tmp_path / "c", bootstrap=50)
    samples = np.load(tmp_path / "a" / "bootstrap.npy")
    assert samples.shape == (50, len(intervals["figures"]))
    assert (samples != np.load(tmp_path / "c" / "bootstrap.npy")).any()
    column = samples[:, intervals["figures"].index("rank1/G1")]
    assert len(set(column)) > 1
    assert ((column >= 0) & (column <= 1) | np.isnan(column)).all()
    with (tmp_path / "a" / "det.csv").open() as file:
        assert {"fnmr_low", "fnmr_high", "tar"} <= set(next(csv.reader(file)))
    with (tmp_path / "a" / "iet.csv").open() as file:
        assert {"fnir_mean_low", "fnir_mean_high"} <= set(next(csv.reader(file)))
    assert Curves([(0.1, 0.2, 3)], {0.4: ()}, (), ()).rates() == ([0.1], [0.4])  # FMR and FPIR


def test_templates_are_made_as_asked_and_say_so(protocol, embeddings, tmp_path, caplog):
    """Template 70 has a good still and a wrong video: only the lengths or the weights can tell."""
    rows = np.array(np.load(embeddings / "embeddings.npy"))
    rows[1:3] = [0, 1, 0, 0]  # the video shows subject 2, whose own gallery faces are poor
    rows[3:5] = [0, 0.6, 0.8, 0]
    rows[0] *= 3
    np.save(embeddings / "embeddings.npy", rows)
    removed = run(protocol, embeddings, tmp_path / "removed")
    kept = run(protocol, embeddings, tmp_path / "kept", norm="kept")
    assert (removed["template"]["norm"], kept["template"]["norm"]) == ("removed", "kept")
    assert removed["rank1"] == 0.5 * (0.5 + 1)  # probe pb of subject 2: .71 with subject 1, .6 with its own
    assert kept["rank1"] == 1.0
    np.save(tmp_path / "scores.npy", np.array([1.0, 0.2, 0.2, *[1.0] * 8]))
    weighted = run(protocol, embeddings, tmp_path / "w", detector_scores=tmp_path / "scores.npy")
    assert weighted["rank1"] == 1.0
    assert weighted["template"]["detector_scores"] is True
    lines = [f"{i}.jpg {'1.5 ' * 10}{score}" for i, score in enumerate([1.0, 0.2, 0.2, *[1.0] * 8])]
    write_lines(tmp_path / "five.txt", lines)
    listed = run(protocol, embeddings, tmp_path / "l", detector_scores=tmp_path / "five.txt")
    assert listed == weighted
    assert "five.txt: none of its names is a face of the protocol; line i is taken for face i" in caplog.text
    names = [line.split()[0] for line in (protocol / "tiny_face_tid_mid.txt").read_text().splitlines()]
    lines = [f"{name.removeprefix('img/')} {line.partition(' ')[2]}" for name, line in zip(names, lines, strict=True)]
    write_lines(tmp_path / "named.txt", [*lines[::-1], "more.jpg 1 1 1 1 1 1 1 1 1 1 9"])
    assert run(protocol, embeddings, tmp_path / "n", detector_scores=tmp_path / "named.txt") == weighted
    write_lines(tmp_path / "lacking.txt", lines[1:])
    with pytest.raises(InputError, match="line 1: face 'img/a0.jpg' has no score in .*lacking.txt .1 of 11 faces"):
        run(protocol, embeddings, tmp_path / "none", detector_scores=tmp_path / "lacking.txt")


def test_kept_lengths_come_from_norms_where_rows_are_unit(protocol, embeddings, tmp_path):
    rows = np.array(np.load(embeddings / "embeddings.npy"), dtype=np.float32)
    rows[1:3] = [0, 1, 0, 0]
    rows[3:5] = [0, 0.6, 0.8, 0]
    np.save(embeddings / "embeddings.npy", rows)
    with pytest.raises(InputError, match="every embedding has unit length and there is no norms.npy beside them"):
        run(protocol, embeddings, tmp_path / "refused", norm="kept")
    lengths = np.r_[3, np.ones(10)].astype(np.float32)
    np.save(embeddings / "norms.npy", lengths)
    noted = run(protocol, embeddings, tmp_path / "noted", norm="kept")
    (embeddings / "norms.npy").unlink()
    np.save(embeddings / "embeddings.npy", rows * lengths[:, None])
    assert noted == run(protocol, embeddings, tmp_path / "raw", norm="kept")
    np.save(embeddings / "norms.npy", lengths[:-1])
    with pytest.raises(InputError, match="norms.npy: 10 values for 11 embeddings; expected a length for each"):
        run(protocol, embeddings, tmp_path / "short", norm="kept")
    np.save(embeddings / "norms.npy", np.where(np.arange(11) == 4, -1, lengths))
    with pytest.raises(InputError, match=r"norms.npy: -1.0 in row 4; lengths are finite and not negative"):
        run(protocol, embeddings, tmp_path / "below", norm="kept")


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([1.0] * 10, "10 scores for 11 faces"),
        ([1.0] * 10 + [np.nan], "score nan of face 10"),
        ([1.0] * 10 + [-1.0], "score -1.0 of face 10"),
        ([0.0] * 11, "every score is 0"),
    ],
)
def test_bad_detector_scores_are_refused(protocol, embeddings, tmp_path, scores, message):
    np.save(tmp_path / "scores.npy", np.array(scores))
    with pytest.raises(InputError, match=message):
        run(protocol, embeddings, tmp_path / "report", detector_scores=tmp_path / "scores.npy")
    assert not (tmp_path / "report").exists()


def test_unknown_options_are_refused(protocol, embeddings, tmp_path):
    with pytest.raises(InputError, match="--bootstrap -1; a number of samples"):
        run(protocol, embeddings, tmp_path / "report", bootstrap=-1)
    with pytest.raises(InputError, match="--norm: 'l2'; expected one of removed, kept"):
        run(protocol, embeddings, tmp_path / "report", norm="l2")


def nan_row(embeddings):
    rows = np.array(np.load(embeddings / "embeddings.npy"))
    rows[3, 1] = np.nan
    np.save(embeddings / "embeddings.npy", rows)


def zero_rows(embeddings):
    np.save(embeddings / "embeddings.npy", np.zeros((11, 4), np.float32))


def few_rows(embeddings):
    np.save(embeddings / "embeddings.npy", np.load(embeddings / "embeddings.npy")[:5])


def truncated(embeddings):
    path = embeddings / "embeddings.npy"
    path.write_bytes(path.read_bytes()[:-9])


def integers(embeddings):
    np.save(embeddings / "embeddings.npy", np.ones((11, 4), np.int64))


def other_keys(embeddings):
    write_lines(embeddings / "keys.txt", [f"{i}.png" for i in range(11)])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (nan_row, "row 3 has NaN"),
        (zero_rows, "every embedding of the protocol's faces is zero"),
        (few_rows, "5 embeddings without keys.txt, but .* has 11 faces"),
        (truncated, "not a readable .npy array"),
        (integers, "expected floats"),
        (other_keys, r"line 1: face 'img/a0.jpg' has no embedding .* \(11 of 11 faces .*; a face there is '0.png'\)"),
        (lambda folder: (folder / "embeddings.npy").unlink(), "no embeddings.npy in this folder"),
    ],
)
def test_bad_embeddings_are_refused_and_leave_nothing(protocol, embeddings, tmp_path, damage, message):
    damage(embeddings)
    before = set(tmp_path.iterdir())
    with pytest.raises(InputError, match=message):
        ijb(protocol=protocol, embeddings=embeddings, out=tmp_path / "report")
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("tiny_template_pair_label.txt", "9 2 1", "9 2", "line 2: 2 fields"),
        (
            "tiny_template_pair_label.txt",
            "9 2 1",
            "9 40 1",
            r"line 2: templates 9 and 40 are labelled genuine \(1\), but",
        ),
        (
            "tiny_template_pair_label.txt",
            "31 55 0",
            "31 9 0",
            r"line 9: templates 31 and 9 are labelled impostor \(0\)",
        ),
        ("tiny_1N_probe_mixed.csv", "40,1,x\n2,2,x\n", "", "G1.csv: no mated probe in tiny_1N_probe_mixed.csv"),
        ("tiny_1N_probe_mixed.csv", "55,3,x\n33,4,x\n", "", "G2.csv: no mated probe"),
    ],
)
def test_bad_protocols_are_refused_and_leave_nothing(protocol, embeddings, tmp_path, name, old, new, message):
    text = (protocol / name).read_text()
    (protocol / name).write_text(text.replace(old, new))
    before = set(tmp_path.iterdir())
    with pytest.raises(InputError, match=message):
        ijb(protocol=protocol, embeddings=embeddings, out=tmp_path / "report")
    assert set(tmp_path.iterdir()) == before


def test_a_missing_protocol_is_refused(embeddings, tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        ijb(protocol=tmp_path / "nowhere", embeddings=embeddings, out=tmp_path / "report")
    with pytest.raises(InputError, match="wants the folder of the protocol files"):
        ijb(protocol=embeddings / "embeddings.npy", embeddings=embeddings, out=tmp_path / "report")


def slow_templates(folder, vectors):
    media = defaultdict(lambda: defaultdict(list))
    for line in (folder / "lfw_face_tid_mid.txt").read_text().splitlines():
        name, template, medium = line.split()
        media[int(template)][medium].append(vectors[name])
    pooled = {t: sum(np.mean(faces, axis=0) for faces in of.values()) for t, of in media.items()}
    return {t: total / np.linalg.norm(total) for t, total in pooled.items()}


def slow_subjects(path):
    with path.open() as file:
        return {int(row["TEMPLATE_ID"]): int(row["SUBJECT_ID"]) for row in csv.DictReader(file)}


def slow_limit(negatives, rate):
    """The lowest negative score such that few enough are above it; the threshold is just above."""
    for above, score in enumerate(sorted(negatives, reverse=True), 1):
        if above / len(negatives) > rate:
            return score
    raise AssertionError


def slow_search(templates, gallery, probes):
    """Hits (mate's score, or None if it is not first) and the highest scores of probes that have no mate."""
    enrolled = defaultdict(list)
    for template, subject in gallery.items():
        enrolled[subject].append(templates[template])
    names = list(enrolled)
    matrix = np.stack([np.sum(of, axis=0) / np.linalg.norm(np.sum(of, axis=0)) for of in enrolled.values()])
    hits, highest = [], []
    for template, subject in probes.items():
        scores = matrix @ templates[template]
        if subject not in enrolled:
            highest.append(scores.max())
            continue
        mate = scores[names.index(subject)]
        hits.append(mate if np.sum(scores >= mate) == 1 else None)
    return hits, highest


def test_lfw_is_right_to_the_last_probe(data, tmp_path):
    folder = data / "lfw_ijbc_format"
    archive = np.load(data / "embeddings_lfw112_mobilefacenet128.npz")
    embeddings = tmp_path / "embeddings"
    embeddings.mkdir()
    np.save(embeddings / "embeddings.npy", archive["embeddings"].astype(np.float32))
    write_lines(embeddings / "keys.txt", archive["files"].tolist())
    ijb(protocol=folder, embeddings=embeddings, out=tmp_path / "report", bootstrap=200)
    metrics = json.loads((tmp_path / "report" / "metrics.json").read_text())
    intervals = metrics["intervals"]
    assert metrics["counts"]["subjects"] == 1676
    for fmr, (low, high) in intervals["fnmr_at_fmr"].items():
        assert low < metrics["fnmr_at_fmr"][fmr] < high
    assert intervals["fnir_at_fpir"]["1e-1"][0] < metrics["fnir_at_fpir"]["1e-1"] < intervals["fnir_at_fpir"]["1e-1"][1]
    assert intervals["rank1"][0] < metrics["rank1"] < intervals["rank1"][1]

    vectors = dict(zip(archive["files"].tolist(), archive["embeddings"].astype(np.float64), strict=True))
    templates = slow_templates(folder, vectors)
    scores = ([], [])
    for line in (folder / "lfw_template_pair_label.txt").read_text().splitlines():
        a, b, label = map(int, line.split())
        scores[label].append(float(templates[a] @ templates[b]))
    impostor, genuine = scores
    for fmr, fnmr in metrics["fnmr_at_fmr"].items():
        limit = slow_limit(impostor, float(fmr))
        expected = sum(score <= limit for score in genuine)
        assert metrics["counts"]["verification"][fmr]["false_non_matches"] == expected
        assert metrics["counts"]["verification"][fmr]["false_matches"] == sum(score > limit for score in impostor)
        assert fnmr == expected / len(genuine)

    probes, rank1, fnirs = slow_subjects(folder / "lfw_1N_probe_mixed.csv"), [], defaultdict(list)
    for name in ("G1", "G2"):
        hits, highest = slow_search(templates, slow_subjects(folder / f"lfw_1N_gallery_{name}.csv"), probes)
        rank1.append(sum(hit is not None for hit in hits) / len(hits))
        for fpir in ("1e-1", "1e-2", "1e-3"):
            limit = slow_limit(highest, float(fpir))
            missed = sum(hit is None or hit <= limit for hit in hits)
            assert metrics["counts"]["identification"][name][fpir]["misses"] == missed
            fnirs[fpir].append(missed / len(hits))
            assert metrics["fnir_at_fpir_per_gallery"][name][fpir] == fnirs[fpir][-1]
    assert metrics["rank1"] == pytest.approx(sum(rank1) / 2)
    assert metrics["fnir_at_fpir"] == pytest.approx({fpir: sum(both) / 2 for fpir, both in fnirs.items()})


def test_comparisons_that_say_nothing_are_told(protocol, embeddings, tmp_path, caplog):
    caplog.set_level("INFO")
    pairs = protocol / "tiny_template_pair_label.txt"
    pairs.write_text(pairs.read_text() + "40 70 1\n9 9 1\n")
    np.save(embeddings / "embeddings.npy", np.ones((11, 2), np.float32))
    metrics_of(protocol, embeddings, tmp_path / "out")
    assert "label.txt line 10: this pair stands there before (1 such line)" in caplog.text
    assert "label.txt line 11: compares something with itself (1 such line)" in caplog.text
    assert "all 11 comparisons score 1.000000" in caplog.text
    assert "no keys.txt; row i is taken for line i of" in caplog.text
    assert "genuine pairs score hardly higher than impostor pairs (AUC 0.500)" in caplog.text
