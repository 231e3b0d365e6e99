"""Estimates of quality: what they are by definition, bad clusterings are seen to be bad, files are checked."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from clustering.commands.cluster import cluster
from clustering.commands.estimate import estimate
from clustering.commands.knn import knn as make_knn
from clustering.graph.knn_graph import KnnGraph
from clustering.quality import features as seen
from clustering.quality.estimate import Interval, Quality, estimate_quality
from clustering.quality.estimator import FIGURES, SIGNS, Estimator, error_signs, packaged
from clustering.quality.features import Corpus, features, names, squeezed, unsqueezed
from eval.clusters import scores
from eval.clusters.agreement import harmonic
from facerec.pipeline.embeddings import normalize, save_embeddings
from facerec.pipeline.files import InputError, read_json


@pytest.fixture(scope="module")
def people() -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of 60 people with 10 faces each."""
    random, labels = np.random.default_rng(0), np.repeat(np.arange(60), 10)
    centres = normalize(random.normal(size=(60, 96)))
    return normalize(centres[labels] + 0.08 * random.normal(size=(len(labels), 96))), labels


@pytest.fixture(scope="module")
def corpus(people) -> Corpus:
    return Corpus.of(KnnGraph.build(people[0], 10))


def test_squeezed_shares_come_back():
    shares = np.array([0, 0.001, 0.5, 1])
    np.testing.assert_allclose(unsqueezed(squeezed(shares)), shares, atol=1e-12)
    assert squeezed(0.5) == pytest.approx(0)
    assert unsqueezed(np.array([99.0, -99])).tolist() == [1, 0]


def test_features_by_hand(corpus, people):
    found = dict(zip(names(), features(corpus, people[1]), strict=True))
    assert len(names()) == len(found)
    assert found["log faces"] == pytest.approx(np.log(600))
    assert found["clusters"] == pytest.approx(np.log(60 / 600))
    assert found["pairs"] == pytest.approx(np.log(9.1))
    assert (found["alone"], found["largest"]) == (0, pytest.approx(10 / 600))
    reference = scores(corpus.cuts.labels[2], people[1])
    assert found["Pp by cut 0.55"] == pytest.approx(squeezed(reference["pairwise_precision"]))
    assert found["Rb by cut 0.55"] == pytest.approx(squeezed(reference["bcubed_recall"]))
    sums = np.array([people[0][people[1] == person].sum(axis=0) for person in range(60)])
    between = sums @ sums.T / 100
    assert found["next cluster"] <= np.sort(between, axis=1)[:, -2].mean()  # the rest are its own
    pairs = ((sums**2).sum(axis=1) - 10) / 90
    assert found["pair cosine"] == pytest.approx(corpus.scale.corrected(pairs).mean(), abs=1e-5)


@pytest.fixture(scope="module")
def uneven() -> tuple[np.ndarray, np.ndarray]:
    """Faces of 40 people, 2 to 11 of each, that share a direction; clusters, some of two people, some faces in none."""
    random, truth = np.random.default_rng(2), np.repeat(np.arange(40), 2 + np.arange(40) % 10)
    centres = normalize(random.normal(size=(40, 64))) + np.eye(64)[0]
    labels = np.where(truth < 20, truth // 2, truth - 10)
    labels[::13] = -1
    return normalize(centres[truth] + 0.1 * random.normal(size=(len(truth), 64))), labels


def test_cosines_are_those_of_slow_loops(uneven):
    faces, labels = uneven
    corpus = Corpus.of(KnnGraph.build(faces, 10))
    found = dict(zip(names(), features(corpus, labels), strict=True))
    assert corpus.scale.common > 0.2
    cosines = corpus.scale.corrected(faces @ faces.T)
    nearest = np.argsort(-(cosines - 9 * np.eye(len(faces))), axis=1)[:, :8]
    first, last = (cosines[np.arange(len(faces)), nearest[:, rank]] for rank in (0, 7))
    same = (labels[:, None] == labels) & (labels >= 0) & ~np.eye(len(faces), dtype=bool)
    several = np.flatnonzero(same.any(axis=1))
    expected = {
        "first neighbour 0.25": np.quantile(first, 0.25),
        "first less last neighbour 0.9": np.quantile(first - last, 0.9),
        "pair cosine": cosines[same].mean(),
        "pair cosine by face": np.mean([cosines[np.ix_(*2 * [labels == labels[row]])][
            ~np.eye(np.sum(labels == labels[row]), dtype=bool)].mean() for row in several]),
    }  # fmt: skip
    cut = corpus.cuts.labels[3]
    sizes = np.bincount(cut)[cut]
    rest = [(cosines[row, cut == cut[row]].sum() - 1) / (sizes[row] - 1) for row in np.flatnonzero(sizes >= 4)]
    expected |= {f"cosine to the rest {share} of cut 0.4": np.quantile(rest, share) for share in (0.05, 0.5)}
    expected["share in company of cut 0.4"] = len(rest) / len(faces)
    expected["companies of cut 0.4"] = np.log(np.count_nonzero(np.bincount(cut) >= 4) / len(faces))
    links = {(labels[row], labels[other]) for row in range(len(faces)) for other in nearest[row]}
    links |= {(other, one) for one, other in links}
    highest = []
    for label in range(labels.max() + 1):
        near = [other for one, other in links if one == label and other not in (-1, label)]
        means = [cosines[np.ix_(labels == label, labels == other)].mean() for other in near]
        highest += [max(means)] * np.sum(labels == label) if means else []
    expected["next cluster"] = np.mean(highest)
    location, spread = corpus.scale.usual
    expected["next cluster above chance"] = (np.mean(highest) - location) / spread
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-4)


def test_features_do_not_depend_on_the_order_of_faces(corpus, people):
    order = np.random.default_rng(1).permutation(len(people[1]))
    other = Corpus.of(KnnGraph.build(people[0][order], 10))
    found, expected = features(other, people[1][order]), features(corpus, people[1])
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_unassigned_faces_count_as_clusters_of_one(corpus, people):
    alone = np.where(people[1] < 30, people[1], -1)
    numbered = np.where(alone < 0, 100 + np.arange(len(alone)), alone)
    one, other = (features(corpus, seen.in_order(each, corpus.graph.readable)) for each in (alone, numbered))
    places = [names().index(name) for name in ("clusters", "alone", "Pp by cut 0.4", "Rb by cut 0.4", "largest")]
    np.testing.assert_allclose(one[places], other[places], atol=1e-9)


@pytest.mark.parametrize(
    ("clusters", "figure", "low", "high"),
    [
        (lambda labels: labels, "pairwise_f", 0.8, 1),
        (lambda labels: np.zeros_like(labels), "pairwise_precision", 0, 0.15),
        (lambda labels: np.arange(len(labels)), "pairwise_recall", 0, 0.1),
        (lambda labels: np.full_like(labels, -1), "bcubed_recall", 0, 0.35),
        (lambda labels: labels // 10, "pairwise_precision", 0, 0.3),
    ],
)
def test_good_and_bad_clusterings(corpus, people, clusters, figure, low, high):
    quality = estimate_quality(corpus, clusters(people[1]))
    assert low <= quality.figures[figure].estimate <= high
    for interval in [*quality.figures.values(), quality.people]:
        assert interval.low <= interval.estimate <= interval.high
    assert 1 <= quality.people.low <= quality.people.high <= len(people[1])
    p, r, f = (quality.figures[f"bcubed_{x}"].estimate for x in ("precision", "recall", "f"))
    assert p == 1 or r == 1 or f == pytest.approx(harmonic(np.array(p), np.array(r)), abs=1e-6)


def test_the_packaged_estimate_reads_features_as_those_that_it_was_learned_from():
    """A weak recogniser; pairs of people in one cluster, three faces of ten elsewhere, some faces alone."""
    random, rows, truth = np.random.default_rng(0), np.arange(600), np.repeat(np.arange(60), 10)
    centres = normalize(random.normal(size=(60, 96)))
    faces = normalize(centres[truth] + 0.15 * random.normal(size=(600, 96)))
    labels = np.where(truth < 30, truth // 2, truth) + np.where(rows % 10 < 3, 100, 0)
    labels[::17] = -1
    found = estimate_quality(KnnGraph.build(faces, 10), labels)
    seen = [found.figures[name].estimate for name in FIGURES] + [found.unlike]
    assert seen == pytest.approx([0.905, 0.460, 0.610, 0.927, 0.576, 0.711, 0.341], abs=0.005)
    assert found.figures["pairwise_f"].low == pytest.approx(0.180, abs=0.005)
    assert (found.people.low, found.people.estimate, found.people.high) == pytest.approx((11, 50, 232), abs=2)


def test_what_is_so_by_definition(corpus, people):
    alone = estimate_quality(corpus, np.arange(len(people[1])))
    heap = estimate_quality(corpus, np.zeros(len(people[1]), int))
    certain = Interval(1, 1, 1)
    assert alone.figures["pairwise_precision"] == alone.figures["bcubed_precision"] == certain
    assert heap.figures["pairwise_recall"] == heap.figures["bcubed_recall"] == certain
    rows = np.arange(len(people[1]))
    assert estimate_quality(corpus, np.maximum(rows, 1)).figures["pairwise_precision"] != certain  # a pair
    assert estimate_quality(corpus, np.minimum(rows, 1)).figures["pairwise_recall"] != certain  # a face elsewhere


def test_unreadable_faces_and_further_neighbours_do_not_count(uneven):
    faces, labels = uneven[0].copy(), uneven[1]
    faces[[5, 50]] = 0
    labels = np.where(faces.any(axis=1), 3 * labels, 7)
    found = estimate_quality(KnnGraph.build(faces, 16), labels)
    expected = estimate_quality(KnnGraph.build(faces, 10), np.where(faces.any(axis=1), labels, -1))
    assert found.as_json() == expected.as_json()
    kept = faces.any(axis=1)
    unread, left_out = KnnGraph.build(faces, 10), KnnGraph.build(faces[kept], 10)
    one, other = (
        features(Corpus.of(graph), seen.in_order(some, graph.readable))
        for graph, some in ((unread, labels), (left_out, labels[kept]))
    )
    np.testing.assert_allclose(one, other, atol=1e-6)
    heap = estimate_quality(KnnGraph.build(faces, 10), np.where(faces.any(axis=1), 0, -1))
    assert heap.figures["pairwise_recall"] == Interval(1, 1, 1)


def test_too_few_faces_or_neighbours(people):
    assert estimate_quality(KnnGraph.build(people[0][:49], 10), people[1][:49]) is None
    assert estimate_quality(KnnGraph.build(people[0], 5), people[1]) is None
    assert estimate_quality(KnnGraph.build(people[0][:50], 6), people[1][:50]) is not None


def test_what_is_no_graph_or_no_labels_is_refused(corpus):
    graph, labels = corpus.graph, np.zeros(len(corpus.graph), np.int64)
    for given, clusters, message in (
        (graph.embeddings, labels, "graph is .*; expected KnnGraph"),
        (graph, labels[:5], r"labels are int64 of shape \[5\] for"),
        (graph, labels.astype(str), "labels are <U"),
    ):
        with pytest.raises(InputError, match=message):
            estimate_quality(given, clusters)


def test_an_unlike_corpus_is_said_and_has_wider_intervals(corpus, people):
    near = packaged()
    one = estimate_quality(corpus, people[1], near)
    far = estimate_quality(corpus, people[1], replace(near, furthest=near.furthest * one.unlike / 2))
    assert far.unlike == pytest.approx(2)
    assert "the squared distance is 2 times that of 99 % of them" in far.doubt()
    assert "its intervals are 2 times as wide" in far.doubt()
    assert far.figures["bcubed_recall"].low < one.figures["bcubed_recall"].low
    sharp = replace(near, quantile=near.quantile / 20)
    two, five, fifty = (
        estimate_quality(corpus, people[1], replace(sharp, furthest=near.furthest * one.unlike / times))
        for times in (2, 5, 50)
    )
    assert "5 times that of 99 % of them): its intervals are 3 times as wide" in five.doubt()
    assert five.figures == fifty.figures
    assert 0 < five.figures["bcubed_recall"].low < two.figures["bcubed_recall"].low


def test_intervals_end_where_figures_and_people_do(corpus, people):
    blind = replace(packaged(), quantile=packaged().quantile * 50)
    quality = estimate_quality(corpus, people[1], blind)
    assert {(each.low, each.high) for each in quality.figures.values()} == {(0, 1)}
    assert (quality.people.low, quality.people.high) == (1, len(people[1]))


def test_errors_are_told_by_how_far_an_estimate_is_from_a_half(corpus):
    """Of all faces in one cluster precision is far below; the last columns are the spreads of five outputs."""
    x = features(corpus, np.zeros(len(corpus.graph), int))[None]
    signs = error_signs(packaged().quality, packaged().people, x)[0, -SIGNS:]
    assert signs[0] < -1
    np.testing.assert_array_equal(signs[5:9], np.abs(signs[:4]))


def test_there_are_no_more_people_than_faces(corpus, people):
    """Networks that expect more say as many; the interval begins below that."""
    networks = packaged().people
    outer = networks.outer + np.eye(networks.outer.shape[1])[-1][:, None] * 9
    x = features(corpus, people[1])[None]
    share, low, _ = replace(packaged(), people=replace(networks, outer=outer)).intervals(x)[0][0, -1]
    assert low < share == 1


def test_words():
    sure, broad = Interval(0.9, 0.85, 0.95), Interval(0.5, 0.1, 0.9)
    quality = Quality(dict.fromkeys(FIGURES, sure), Interval(1000.4, 900, 1100), 0.5)
    assert "pairwise F 0.900 (0.850 to 0.950)" in quality.say()
    assert quality.say().endswith("1,000 people (900 to 1,100)")
    assert quality.doubt() == ""
    assert "uncertain" in replace(quality, figures=dict.fromkeys(FIGURES, broad)).doubt()
    assert replace(quality, figures=dict.fromkeys(FIGURES, Interval(0.5, 0.31, 0.7))).doubt() == ""
    assert quality.as_json()["bcubed_f"] == [0.9, 0.85, 0.95]
    assert quality.as_json()["people"] == [1000, 900, 1100]


def test_an_estimator_comes_back_from_disk_and_damage_is_refused(tmp_path, corpus, people):
    from safetensors.numpy import load_file, save_file

    packaged().save(tmp_path)
    x = features(corpus, people[1])[None]
    np.testing.assert_allclose(Estimator.load(tmp_path).intervals(x)[0], packaged().intervals(x)[0], rtol=1e-5)
    file = tmp_path / "quality.safetensors"
    arrays = load_file(file)
    save_file({**arrays, "quantile": arrays["quantile"][:3]}, file)
    with pytest.raises(InputError, match=r"quantile has shape \(3,\), expected \(7,\)"):
        Estimator.load(tmp_path)
    save_file({**arrays, "quantile": np.full_like(arrays["quantile"], np.nan)}, file)
    with pytest.raises(InputError, match="quantile has NaN"):
        Estimator.load(tmp_path)
    save_file({name: array for name, array in arrays.items() if name != "quality.inner"}, file)
    with pytest.raises(InputError, match="has shape .*, expected .*; calibrate again"):
        Estimator.load(tmp_path)
    file.write_bytes(b"no")
    with pytest.raises(InputError, match="not readable as safetensors"):
        Estimator.load(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        Estimator.load(tmp_path / "nowhere")


def test_the_command(tmp_path, people, capsys):
    (tmp_path / "emb").mkdir()
    save_embeddings(tmp_path / "emb", people[0])
    np.save(tmp_path / "labels.npy", people[1])
    out = estimate(tmp_path / "emb", tmp_path / "labels.npy", tmp_path / "out")
    found = json.loads((out / "estimate.json").read_text())
    assert set(found) == {*FIGURES, "people", "unlike_simulated"}
    assert found["pairwise_f"][1] <= found["pairwise_f"][0] <= found["pairwise_f"][2]
    heading, *lines = (line.split() for line in capsys.readouterr().out.splitlines())
    assert heading == ["figure", "estimate", "low", "high"]
    assert {name: list(map(float, numbers)) for name, *numbers in lines} == {name: found[name] for name, *_ in lines}
    save_embeddings(tmp_path / "emb", people[0][:40])
    np.save(tmp_path / "labels.npy", people[1][:40])
    with pytest.raises(InputError, match="40 readable faces with 10 neighbours; the estimate needs 50 with 6"):
        estimate(tmp_path / "emb", tmp_path / "labels.npy", tmp_path / "other")


def test_copies_count_once_as_where_they_were_clustered(people, tmp_path):
    faces = np.repeat(people[0], np.where(np.arange(600) % 3 == 0, 15, 1), axis=0)
    np.save(tmp_path / "faces.npy", faces[np.random.default_rng(0).permutation(len(faces))])
    clusters = cluster("dbscan", tmp_path / "faces.npy", tmp_path / "clusters")
    expected = read_json(clusters / "meta.json")["results"]["estimate"]
    for knn in (None, make_knn(tmp_path / "faces.npy", tmp_path / "knn", k=80)):
        out = tmp_path / ("with_knn" if knn else "without")
        assert read_json(estimate(tmp_path / "faces.npy", clusters, out, knn) / "estimate.json") == expected
        assert sorted(path.name for path in out.iterdir()) == ["estimate.json", "meta.json"]
