"""compare as a command: the table, the agreement, the page, and what is left out."""

from __future__ import annotations

import re

import numpy as np
import pytest

from clustering.commands.cluster import cluster
from clustering.commands.compare import compare
from clustering.commands.estimate import estimate
from clustering.commands.knn import knn
from clustering.comparison.page import write_comparison
from clustering.comparison.runs import Run, agreement
from eval.clusters import scores
from facerec.pipeline.embeddings import save_embeddings
from facerec.pipeline.files import InputError, read_json


@pytest.fixture
def faces(tmp_path, blobs):
    embeddings, labels = blobs(identities=12, faces=6, spread=0.6)
    (tmp_path / "emb").mkdir()
    save_embeddings(
        tmp_path / "emb", np.concatenate([embeddings, embeddings[:5]]), labels=np.append(labels, labels[:5])
    )
    return tmp_path / "emb"


def run(name, labels):
    return Run(name, np.array(labels), {}, 0.0, 0.0)


def test_agreement_by_hand():
    found = agreement(
        [run("a", [0, 0, 1, 1]), run("b", [1, 1, 0, 0]), run("c", [-1, -1, -1, -1]), run("d", [0, 1, 0, 1])]
    )
    np.testing.assert_allclose(found, [[1, 1, 0, -0.5], [1, 1, 0, -0.5], [0, 0, 1, 0], [-0.5, -0.5, 0, 1]])


def test_figures_by_hand():
    found = run("a", [0, 0, 0, 1, -1]).row(np.array([5, 5, 6, 6, 6]))
    assert found == {
        "backend": "a", "Fp": 0.2857, "Fb": 0.66, "NMI": found["NMI"], "precision": 0.3333, "recall": 0.25,
        "clusters": 2, "largest": 3, "alone": 2,
    }  # fmt: skip
    assert run("a", [-1, -1]).row(None) == {"backend": "a", "clusters": 0, "largest": 0, "alone": 2}


def test_several_backends_with_identities(faces, tmp_path, capsys, caplog, read_csv):
    out = compare(faces, tmp_path / "out", backends=["components", "lander", "finch"])
    found = read_csv(out / "comparison.csv")
    assert sorted(row["backend"] for row in found) == ["components", "finch"]
    assert float(found[0]["Fb"]) >= float(found[1]["Fb"])
    truth = np.load(faces / "labels.npy")
    for row in found:
        labels = np.load(out / "clusters" / row["backend"] / "labels.npy")
        np.testing.assert_array_equal(labels[72:], labels[:5])
        assert float(row["Fp"]) == pytest.approx(scores(truth, labels)["pairwise_f"], abs=1e-4)
    assert "lander: left out: needs a model trained on labelled faces" in caplog.text
    page = (out / "comparison.html").read_text()
    assert "emb: 77 faces, 5 of them copies; default settings" in page
    assert "<li>lander: needs a model" in page
    assert capsys.readouterr().out.splitlines()[0].split()[:3] == ["backend", "Fp", "Fb"]
    results = read_json(out / "meta.json")["results"]
    assert (results["copies"], results["left_out"], set(results["seconds"])) == (5, ["lander"], {"components", "finch"})


@pytest.mark.parametrize("copies", [1, 6])  # 6 fill lists of 10 neighbours, but not those of 40
def test_clusters_are_those_of_cluster_also_where_faces_have_copies(blobs, tmp_path, copies):
    embeddings, _ = blobs(identities=30, faces=6, spread=0.9)
    np.save(tmp_path / "emb.npy", np.concatenate([embeddings, np.repeat(embeddings[:20], copies, axis=0)]))
    graph = knn(tmp_path / "emb.npy", tmp_path / "knn", k=40)
    names = ["components", "finch", "dbscan", "hac_average"]
    out = compare(tmp_path / "emb.npy", tmp_path / "out", backends=names, knn=graph)
    for name in names:
        alone = cluster(name, tmp_path / "emb.npy", tmp_path / name, knn=graph)
        np.testing.assert_array_equal(*(np.load(x / "labels.npy") for x in (out / "clusters" / name, alone)))


def test_tuned_and_without_identities_of_a_bare_file(faces, tmp_path, read_csv):
    out = compare(faces / "embeddings.npy", tmp_path / "out", backends=["dbscan"], tune_on=faces, trials=2)
    assert list(read_csv(out / "comparison.csv")[0]) == ["backend", "clusters", "largest", "alone"]
    assert read_json(out / "settings.json")["dbscan"]["adaptive"] is False
    np.save(tmp_path / "moved.npy", np.load(faces / "embeddings.npy")[::-1])
    estimate(faces / "embeddings.npy", out / "clusters" / "dbscan", tmp_path / "estimate")
    with pytest.raises(InputError, match="dbscan: clusters of other embeddings than .*moved.npy"):
        estimate(tmp_path / "moved.npy", out / "clusters" / "dbscan", tmp_path / "no_estimate")
    assert read_json(out / "meta.json")["results"]["seconds"]["dbscan"]["tuning"] > 0


def test_what_is_doubtful_of_a_backend_is_said_with_its_name(blobs, tmp_path, caplog):
    np.save(tmp_path / "emb.npy", np.concatenate([blobs(identities=1, faces=40)[0], blobs(seed=1)[0][:20]]))
    compare(tmp_path / "emb.npy", tmp_path / "out", backends=["hac_average"])
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert sum(line.startswith("hac_average: one cluster holds 40 of 60 faces") for line in said) == 1


@pytest.mark.parametrize("tuned", [False, True])
def test_trials_that_nothing_tries_are_said(faces, tmp_path, caplog, tuned):
    compare(faces, tmp_path / "out", backends=["components"], trials=1, tune_on=faces if tuned else None)
    assert ("--trials has no effect: there is no --tune-on" in caplog.text) == (not tuned)


def test_what_is_refused(faces, tmp_path):
    with pytest.raises(InputError, match="backend 'nope' is unknown"):
        compare(faces, tmp_path / "out", backends=["nope"])
    with pytest.raises(InputError, match="none of the 1 backends could run, e.g. lander: needs"):
        compare(faces, tmp_path / "out", backends=["lander"])
    with pytest.raises(InputError, match="backends: aro stands there twice"):
        compare(faces, tmp_path / "out", backends=["aro", "dbscan", "aro"])
    np.save(tmp_path / "none.npy", np.full(77, -1))
    with pytest.raises(InputError, match="every identity is -1"):
        compare(faces, tmp_path / "out", labels=tmp_path / "none.npy")
    assert not (tmp_path / "out").exists()


def test_text_on_the_page_stays_text(tmp_path):
    write_comparison(tmp_path / "p.html", "<b>", [{"backend": "a", "clusters": 1200}], np.eye(1), {"x": "<i>"})
    text = (tmp_path / "p.html").read_text()
    assert not re.search("<th[^>]*></th>", text)
    assert '<p class="lead">&lt;b&gt;</p>' in text
    assert "<li>x: &lt;i&gt;</li>" in text
    assert "<td>1,200</td>" in text
