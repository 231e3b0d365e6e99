"""Clustering on a GPU gives what the CPU gives, but for rounding: `make test-cuda`."""

import faiss
import numpy as np
import pytest

from clustering import HiLander, KnnGraph, load, tune
from eval.clusters import scores

pytestmark = pytest.mark.usefixtures("gpu")


def test_the_package_s_model_finds_the_people_of_the_cpu(data):
    with np.load(data / "embeddings_lfw112_mobilefacenet128.npz") as file:
        X, y = (file[name] for name in ("embeddings", "labels"))
    clusterer = HiLander.from_pretrained()
    assert next(clusterer.model.parameters()).is_cuda
    found = scores(y, clusterer.fit_predict(X))
    assert found["pairwise_f"] == pytest.approx(0.980, abs=0.002)
    assert found["bcubed_f"] == pytest.approx(0.960, abs=0.002)


@pytest.mark.parametrize("backend", ["hilander", "lander", "gcn_v", "gcn_e", "lgcn", "l2c"])
def test_learned_backends_learn_and_cluster_on_a_gpu(blobs, tmp_path, backend):
    faces, labels = blobs(identities=20, faces=12, dimension=24, spread=0.5)
    new, truth = blobs(identities=20, faces=12, dimension=24, spread=0.5, seed=1)
    clusterer = tune(backend, faces, labels, trials=2, seed=0)
    first = clusterer.fit_predict(new)
    assert scores(truth, first)["bcubed_f"] > 0.8
    clusterer.save_pretrained(tmp_path / "model")
    again = load(backend, tmp_path / "model").fit_predict(new)
    assert scores(first, again)["bcubed_f"] > 0.99


def test_the_exact_graph_is_that_of_the_cpu(blobs):
    if not faiss.get_num_gpus():
        pytest.skip("faiss finds no GPU")
    faces, _ = blobs(identities=50, faces=20)
    graph = KnnGraph.build(faces, 10)
    exact = -np.sort(-(faces @ faces.T - 2 * np.eye(len(faces))), axis=1)[:, :10]
    np.testing.assert_allclose(graph.similarities, exact, atol=1e-5)
