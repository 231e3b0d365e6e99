"""The arena's rivals against values by hand, its statistics against oracles, and a run from sets to the page."""

import itertools
import multiprocessing
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from arena import __main__ as program
from arena import report
from arena.cells import SETTINGS, Cache, compile_for, key_of, run
from arena.choices import Effort
from arena.methods import METHODS
from arena.resampling import resampled
from arena.rivals import ada_nets, chinese_whispers, facemap, fc_es, neighborhoods, star_fc
from arena.rivals.album import Album
from arena.sets import SETS, Source, changed, projected, read_set, thinned
from arena.standings import FIGURES
from arena.statistics import contest, critical_difference, groups, mean_ranks, paired_p

from clustering.graph.knn_graph import KnnGraph
from clustering.learning.labelled_faces import LabelledFaces
from eval.clusters import scores
from eval.trainings.multiple import holm
from facerec.pipeline.embeddings import normalize
from facerec.pipeline.files import InputError
from facerec.pipeline.render import render


def people(count, faces, dimension=16, spread=0.25, seed=0):
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(count), faces)
    centres = normalize(random.normal(size=(count, dimension)).astype(np.float32))
    noise = random.normal(size=(len(labels), dimension)) * spread / np.sqrt(dimension)
    return LabelledFaces(normalize((centres[labels] + noise).astype(np.float32)), labels)


@pytest.fixture(scope="module")
def graph():
    return KnnGraph.build(people(8, 10, 64).embeddings, 40)


def test_lists_begin_with_the_face_itself():
    faces = np.float32([[1, 0], [0.6, 0.8], [-1, 0]])
    neighbors, cosines = neighborhoods.with_self(KnnGraph.build(faces, 4), 4)
    np.testing.assert_array_equal(neighbors[0], [0, 1, 2, 0])  # the last one is missing
    np.testing.assert_allclose(cosines[0], [1, 0.6, 0, 0], atol=1e-6)  # -1 is clipped


def test_a_matrix_leaves_the_lists_as_they_are():
    neighbors = np.array([[0, 1], [1, 0]])
    assert neighborhoods.sparse(neighbors, np.array([[0.0, 2], [3, 0]])).toarray().tolist() == [[0, 2], [0, 3]]
    np.testing.assert_array_equal(neighbors, [[0, 1], [1, 0]])


def test_edge_probability_by_hand():
    """Lists {0, 1}, {1, 0}, {2, 1}; exp(-d / tau) is 1 for the face itself and e, say, for the other."""
    neighbors, cosines = np.array([[0, 1], [1, 0], [2, 1]]), np.array([[1, 0.5], [1, 0.5], [1, 0.75]])
    e, f = np.exp(-1 / 0.5), np.exp(-0.5 / 0.5)
    found = fc_es.edge_probability(neighbors, cosines, 0.5)
    assert found[0, 1] == pytest.approx((1 / (1 + e) + e / (1 + e) + e / (1 + e) + 1 / (1 + e)) / 2)  # both in common
    assert found[2, 1] == pytest.approx((f / (1 + f) + 1 / (1 + e)) / 2)  # 1 alone: f of 2's list, 1 of its own


def test_edge_probability_agrees_with_the_definition(graph):
    neighbors, cosines = neighborhoods.with_self(graph, 9)
    p = np.where(cosines > 0, np.exp((2 * cosines - 2) / 0.5), 0)
    p /= p.sum(axis=1, keepdims=True)
    lists = [
        {int(h): float(x) for h, x, a in zip(neighbors[i], p[i], cosines[i], strict=True) if a > 0}
        for i in range(len(graph))
    ]
    found = fc_es.edge_probability(neighbors, cosines, 0.5)
    for i, place in itertools.product(range(0, len(graph), 9), range(9)):
        own, other = lists[i], lists[neighbors[i, place]]
        slow = sum(own[h] + other[h] for h in own.keys() & other.keys()) / 2 if cosines[i, place] > 0 else 0
        assert found[i, place] == pytest.approx(slow)


def test_facemap_cuts_where_steps_stand_out():
    steps = np.array([[0.1, 0.1, 5, 0.1, 0.2, 0.1], [0.1, 9, 0.1, 0.2, 0.1, 0.1]])
    assert facemap.cut(steps, 1).tolist() == [3, 2]  # window at 2 and 1, and (1 + 1) // 2 on
    z = [abs(steps[0, j : j + 2].mean() - steps[0, j:].mean()) / steps[0, j:].std() for j in range(4)]
    assert facemap.cut(steps[:1], 2).tolist() == [int(np.argmax(z)) + 1]


def test_node_intimacy_by_hand():
    """0 - 1 - 2 all linked, 3 linked to 0 alone: 0 and 1 have 2 in common, of 3 and 2; 0 and 3 nothing."""
    neighbors = np.array([[0, 1, 2, 3], [1, 0, 2, 3], [2, 0, 1, 3], [3, 0, 1, 2]])
    edges = np.array([[0, 1, 1, 1], [0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 0, 0]], bool)
    found = star_fc.intimacy(neighbors, edges)
    assert found[0, 1] == pytest.approx(1 / 2)
    assert found[1, 2] == pytest.approx(1 / 2)
    assert found[0, 3] == 0


def test_structure_space_agrees_with_sets(graph):
    k = 10
    neighbors, cosines = neighborhoods.with_self(graph, k)
    lists = [{int(h) for h, a in zip(neighbors[i], cosines[i], strict=True) if a > 0} for i in range(len(graph))]
    halves = [
        {int(h) for h, a in zip(neighbors[i][: k // 2], cosines[i], strict=False) if a > 0} for i in range(len(graph))
    ]
    whole, half = ([{j for j in part[i] if i in part[j]} for i in range(len(graph))] for part in (lists, halves))
    star = [
        whole[i].union(*(half[j] for j in whole[i] if len(half[j] & whole[i]) >= 2 / 3 * len(half[j])))
        for i in range(len(graph))
    ]
    found = ada_nets.structural(neighbors, cosines > 0)
    for i, place in itertools.product(range(0, len(graph), 7), range(k)):
        j = neighbors[i, place]
        assert found[i, place] == pytest.approx(len(star[i] & star[j]) / len(star[i] | star[j]))


def test_chinese_whispers_by_hand():
    """A triangle, a pair and a face alone; whichever order, each part agrees on one label of its own."""
    edges = [(0, 1), (0, 2), (1, 2), (3, 4)]
    others = [[b if a == node else a for a, b in edges if node in (a, b)] for node in range(6)]
    starts = np.cumsum([0, *map(len, others)])
    found = chinese_whispers.whispers(starts, np.concatenate(others).astype(int), 30, 0)
    assert found[0] == found[1] == found[2]
    assert found[3] == found[4]
    assert len(set(found.tolist())) == 3
    assert chinese_whispers.cosine_of_distance(0.6, 1.5) == pytest.approx(0.92)
    assert chinese_whispers.cosine_of_distance(2, 1) == -1


@pytest.mark.parametrize("name", ["album", "facemap", "fc_es", "structure_space", "star_fc"])
def test_rivals_find_people_that_are_far_apart(name, graph):
    if name in ("facemap", "fc_es"):
        pytest.importorskip("infomap", reason="needs the extra 'communities'")
    fitting = {"fc_es": {"k": 10}, "facemap": {"k": 20, "window": 1}, "star_fc": {"intimacy": 0.3},
               "structure_space": {"k": 10}}  # fmt: skip
    found = METHODS[name].kind(**fitting.get(name, {})).cluster(graph).labels
    assert scores(people(8, 10, 64).labels, found)["pairwise_precision"] == 1
    assert scores(people(8, 10, 64).labels, found)["bcubed_f"] > 0.9


def test_album_has_noise():
    faces = np.float32([[1, 0, 0], [1, 0.1, 0], [0, 0, 1]])
    assert Album(0.28, 2).cluster(KnnGraph.build(faces, 2)).labels.tolist() == [0, 0, -1]


def test_libraries_that_are_missing_say_so(monkeypatch, graph):
    monkeypatch.setitem(sys.modules, "evoc", None)
    with pytest.raises(InputError, match="evoc is not installed; pip install 'facerec-pseudolabel.arena.'"):
        METHODS["evoc"].kind().cluster(graph)


def test_resampling_is_scoring_the_drawn_faces():
    """Copies of an identity as identities of their own; pairs of two copies that share a cluster are taken away."""
    random = np.random.default_rng(0)
    truth, labels = random.integers(0, 6, 40), random.integers(-1, 7, 40)
    drawn = np.stack([np.ones(6), [2, 1, 0, 1, 1, 1], [0, 0, 0, 0, 3, 1]], axis=1)
    found = resampled(truth, labels, drawn)
    plain = scores(truth, labels)
    for figure in ("pairwise_f", "bcubed_f"):
        assert found[figure][0] == pytest.approx(plain[figure])
    for sample in (1, 2):
        faces = [(s, copy, row) for s in range(6) for copy in range(int(drawn[s, sample]))
                 for row in np.flatnonzero(truth == s)]  # fmt: skip
        both = claimed = true = precision = recall = 0
        for one in faces:
            seen = [o for o in faces if o[0] != one[0] or o[1] == one[1]]
            cluster = [o for o in seen if o[2] == one[2] or (labels[o[2]] >= 0 and labels[o[2]] == labels[one[2]])]
            mine = [o for o in seen if o[0] == one[0]]
            shared = sum(o[0] == one[0] for o in cluster)
            both, claimed, true = both + shared - 1, claimed + len(cluster) - 1, true + len(mine) - 1
            precision, recall = precision + shared / len(cluster), recall + shared / len(mine)
        p, r = precision / len(faces), recall / len(faces)
        assert found["bcubed_f"][sample] == pytest.approx(2 * p * r / (p + r))
        p, r = both / claimed if claimed else 1, both / true
        assert found["pairwise_f"][sample] == pytest.approx(2 * p * r / (p + r) if p + r else 0)


def test_statistics_by_hand():
    assert paired_p(np.array([1.0, 2, 3, 4]), np.array([0.0, 0, 0, 5])) == pytest.approx(2 * 2 / 5)
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert mean_ranks(np.array([[0.9, 0.5, 0.5], [0.1, 0.2, 0.3]])).tolist() == [2, 2.25, 1.75]
    assert critical_difference(5, 30) == pytest.approx(2.728 * np.sqrt(5 * 6 / (6 * 30)), rel=1e-3)  # Demsar, table 5
    assert groups(np.array([1.0, 2, 3.5, 6]), 2) == [(0, 1), (1, 2)]


def test_a_contest_is_with_the_best():
    noise = np.random.default_rng(0).normal(0, 0.01, (3, 500))
    samples = {"a": 0.9 + noise[0], "b": 0.899 + noise[1], "c": 0.5 + noise[2]}
    found = contest({"a": 0.9, "b": 0.899, "c": 0.5}, samples)
    assert [found.verdict(name) for name in "abc"] == ["best", "tied", "worse"]


def test_changes_of_sets():
    faces = people(10, 12)
    first, second = (changed(faces, Source("", part=(number, 2))) for number in (1, 2))
    assert set(first.labels) | set(second.labels) == set(range(10))
    assert not set(first.labels) & set(second.labels)
    sizes = np.unique(thinned(faces, 2, 5, np.random.default_rng(0)).labels, return_counts=True)[1]
    assert len(sizes) == 10
    assert {2, 5} <= set(sizes.tolist()) <= {2, 3, 4, 5}
    small = projected(faces, 4)
    assert small.embeddings.shape == (120, 4)
    np.testing.assert_allclose(np.linalg.norm(small.embeddings, axis=1), 1, rtol=1e-5)


def test_every_set_of_the_arena_can_be_read_or_says_why(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a checkout may have runs/demo
    for file in SETS.glob("*.yaml"):
        with pytest.raises(InputError, match="^no .*; give --root or make it$"):
            read_set(file, tmp_path)
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("test: {faces: a.npz, frm: 1}\n")
    with pytest.raises(InputError, match="frm"):
        read_set(wrong, tmp_path)


def test_keys_of_projected_faces_are_of_the_faces_before(small, tmp_path, monkeypatch):
    """Last bits of a projection change with the number of threads; its dimensions count, though."""
    whole = read_set(small, tmp_path)
    small.write_text(small.read_text() + "dimensions: 4\n")
    plain = read_set(small, tmp_path)
    assert {plain.key, plain.labelled_key}.isdisjoint({whole.key, whole.labelled_key})
    monkeypatch.setattr("arena.sets.normalize", lambda rows: np.nextafter(normalize(rows), np.float32(2)))
    other = read_set(small, tmp_path)
    assert (other.key, other.labelled_key) == (plain.key, plain.labelled_key)
    assert not np.array_equal(other.faces.embeddings, plain.faces.embeddings)


@pytest.fixture
def small(tmp_path):
    for name, seed in (("test", 1), ("other", 2)):
        faces = people(12, 6, seed=seed)
        np.savez(tmp_path / f"{name}.npz", embeddings=faces.embeddings * 2, labels=faces.labels)
    file = tmp_path / "small.yaml"
    file.write_text("title: small\nrecogniser: none\ntest: {faces: test.npz}\nlabelled: {faces: other.npz}\n")
    return file


def test_a_cell_is_made_once(small, tmp_path):
    faces, cache = read_set(small, tmp_path), Cache(tmp_path / "cells")
    assert faces.length == pytest.approx(2)
    effort = Effort(trials=3)
    for setting, new in itertools.product(("published", "tuned", "oracle"), (True, False)):
        cell, made = run(METHODS["components"], faces, setting, effort, cache)
        assert made is new
        assert scores(faces.faces.labels, cache.labels(cell)) == cell.figures
    _, made = run(METHODS["components"], faces, "tuned", Effort(trials=4), cache)
    assert made
    cell, _ = run(METHODS["gcn_v"], faces, "published", effort, cache)
    assert "learns from labelled faces" in cell.reason
    best, other = (cache.load("small", setting, "components").figures for setting in ("oracle", "published"))
    assert best["pairwise_f"] >= other["pairwise_f"]


@pytest.mark.parametrize(
    ("source", "concerned"),
    [
        ("backends/communities.py", {"infomap", "leiden"}),
        ("backends/infomap.py", {"infomap", "fc_es", "facemap"}),
        ("backends/networks/learned.py", {"gcn_v"}),
        ("graph/edges.py", {"infomap", "leiden", "gcn_v", "dbscan", "fc_es", "facemap"}),
        ("result.py", {"infomap", "leiden", "gcn_v", "dbscan", "fc_es", "facemap"}),
    ],
)
def test_a_changed_source_makes_the_cells_of_its_methods_anew(monkeypatch, source, concerned):
    names = ("infomap", "leiden", "gcn_v", "dbscan", "fc_es", "facemap")
    before = {name: METHODS[name].version for name in names}
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda file: read(file) + b"#" * file.as_posix().endswith(f"/{source}"))
    assert {name for name in names if METHODS[name].version != before[name]} == concerned


def test_a_changed_search_makes_tuned_cells_anew(small, tmp_path, monkeypatch):
    faces, effort = read_set(small, tmp_path), Effort()
    keys = [key_of(METHODS["dbscan"], faces, setting, effort) for setting in SETTINGS]
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda file: read(file) + b"#" * (file.name == "proposals.py"))
    again = [key_of(METHODS["dbscan"], faces, setting, effort) for setting in SETTINGS]
    assert [one == other for one, other in zip(keys, again, strict=True)] == [True, False, False]


def test_several_processes(small, tmp_path, monkeypatch, capfd):
    forked = multiprocessing.get_context("fork")  # which need not import everything again
    monkeypatch.setattr("arena.jobs.get_context", lambda _: forked)
    options = ["--root", tmp_path, "--out", tmp_path / "out", "--sets", small, "--processes", "2",
               "--methods", "components", "--settings", "published"]  # fmt: skip
    monkeypatch.setattr("sys.argv", ["arena", *map(str, options)])
    program.main()
    assert "small" in capfd.readouterr().out
    assert Cache(tmp_path / "out" / "cells").load("small", "published", "components").figures


def test_an_unknown_method_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["arena", "--methods", "components,hac"])
    with pytest.raises(SystemExit, match="2"):
        program.main()
    assert "--methods: 'hac' is none of aro, components" in capsys.readouterr().err


def test_a_library_compiles_before_the_clock_and_may_be_missing(small, tmp_path, monkeypatch):
    """Its first clustering of a process is of random faces; without it the cell says why it is empty."""
    seen = []

    def one_cluster(faces):
        seen.append(len(faces))
        return np.zeros(len(faces), int)

    library = SimpleNamespace(EVoC=lambda **settings: SimpleNamespace(fit_predict=one_cluster))
    faces, effort = read_set(small, tmp_path), Effort(trials=2)
    monkeypatch.setitem(sys.modules, "evoc", library)
    for _ in range(2):
        run(METHODS["evoc"], faces, "published", effort, Cache(tmp_path / str(len(seen))))
    assert seen == [200, 72, 72]
    compile_for.cache_clear()
    monkeypatch.setitem(sys.modules, "evoc", None)
    cell, _ = run(METHODS["evoc"], faces, "published", effort, Cache(tmp_path / "missing"))
    assert "evoc is not installed" in cell.reason
    compile_for.cache_clear()


def test_the_whole_arena(small, tmp_path, monkeypatch, capsys):
    missing = small.with_name("missing.yaml")
    missing.write_text("test: {faces: nowhere.npz}\n")
    options = ["--root", tmp_path, "--out", tmp_path / "out", "--sets", f"{small},{missing}", "--processes", "1",
               "--methods", "hilander,components,dbscan", "--settings", "published"]  # fmt: skip
    monkeypatch.setattr("sys.argv", ["arena", *map(str, options)])
    program.main()
    printed = capsys.readouterr().out
    assert "left out: missing" in printed
    assert "Hi-LANDER is best or tied in" in printed
    page = (tmp_path / "out" / "arena.html").read_text()
    assert all(text in page for text in ("Hi-LANDER", "components", "small", "sortable", "nowhere.npz"))
    assert "currentColor" in page  # plots are legible on a dark page
    assert "fill: #ffffff" not in page
    lines = (tmp_path / "out" / "arena.csv").read_text().splitlines()
    assert len(lines) == 4
    program.main()
    assert "clusters" not in capsys.readouterr().out  # nothing is done again
    np.savez(tmp_path / "test.npz", embeddings=people(12, 6, seed=3).embeddings, labels=people(12, 6).labels)
    monkeypatch.setattr("sys.argv", ["arena", *map(str, options), "--report-only"])
    program.main()
    assert "small: 3 results are of other faces than the set has now; they are left out" in capsys.readouterr().out


def test_headings_sort_the_table(browser, tmp_path):
    """Names from A, scores from the highest, ranks and seconds from the lowest; a second click turns the order."""
    score, rank, seconds = {"b": 0.9, "c": 0.8, "a": 0.1}, {"b": 1, "c": 2}, {"b": 10, "c": 9, "a": 100}

    def cell(_, __, name):
        figures = {"pairwise_f": score[name], "bcubed_f": score[name], "nmi": 1, "clusters": 3}
        return SimpleNamespace(figures=figures, seconds=seconds[name], memory=1, trials=0, settings="")

    found = SimpleNamespace(
        sets=[SimpleNamespace(name="s", title="S", recogniser="", faces=9, people=3)], cell=cell,
        intervals={("s", "published", name): dict.fromkeys(FIGURES, (0, 1)) for name in score},
        methods=lambda _: [SimpleNamespace(name=name, title=name) for name in score],
        ranks=lambda _: rank, mean_of_all=lambda _, name: score[name],
    )  # fmt: skip
    text = render(
        Path(report.__file__).with_name("arena.html"), found=found, settings=["published"], titles={"published": "P"},
        figures=FIGURES, verdict=lambda *_: "", left_out={}, ranks_of={}, versions={},
    )  # fmt: skip
    (tmp_path / "arena.html").write_text(text, encoding="utf-8")
    page = browser.new_page()
    page.goto((tmp_path / "arena.html").as_uri())
    rows = page.locator("tbody th")
    for heading, order, wanted in (
        ("mean", "ascending", "acb"), ("method", "ascending", "abc"), ("method", "descending", "cba"),
        ("S", "descending", "bca"), ("rank", "ascending", "bca"), ("CPU s", "ascending", "cba"),
    ):  # fmt: skip
        page.locator("thead button").filter(has_text=re.compile(f"^{heading}$")).focus()
        page.keyboard.press("Enter")
        assert "".join(rows.all_text_contents()) == wanted
        assert page.locator("th[aria-sort]").get_attribute("aria-sort") == order
    assert page.locator("text=Left out").count() == 0
    page.close()
