"""Training and embedding on a GPU give what the CPU gives, but for rounding: `make test-cuda`."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from facerec.commands.embed import embed
from facerec.commands.train import train
from facerec.pipeline.embeddings import load_embeddings

pytestmark = pytest.mark.usefixtures("gpu")
SMALL = {
    "width": 0.125, "input_size": 32, "embedding_size": 16, "batch_size": 8, "learning_rate": 0.01, "workers": 0,
}  # fmt: skip


@pytest.fixture
def faces(tmp_path, make_faces):
    return make_faces(tmp_path / "faces", identities=4, each=6)


def cosines(a, b):
    return np.einsum("nd,nd->n", *(load_embeddings(path).embeddings for path in (a, b)))


@pytest.mark.parametrize(("precision", "least"), [("fp32", 0.9999), ("bf16", 0.995)])
def test_training_and_embedding_are_those_of_the_cpu(faces, tmp_path, precision, least):
    slow = SMALL | {"learning_rate": 1e-4}  # Adam makes whole steps of gradients that rounding turns around
    models = {
        device: train(faces=faces, out=tmp_path / device, device=device, precision=precision, steps=2, **slow)
        for device in ("cpu", "cuda")
    }
    for model in models.values():
        sets = [
            embed(model=model, faces=faces, out=tmp_path / f"{model.name}-{device}", device=device, precision=precision)
            for device in ("cpu", "cuda")
        ]
        assert cosines(*sets).min() > least
    crossed = [tmp_path / f"{device}-cpu" for device in ("cpu", "cuda")]
    assert cosines(*crossed).min() > (0.99 if precision == "fp32" else 0.9)


def test_default_training_on_a_gpu_learns(faces, tmp_path):
    out = train(faces=faces, out=tmp_path / "model", steps=60, **SMALL)
    assert json.loads((out / "meta.json").read_text())["results"]["accuracy"] > 0.8


def test_more_processes_than_gpus_are_refused(faces, tmp_path):
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    processes = torch.cuda.device_count() + 1
    ran = subprocess.run(
        [sys.executable, *words, str(processes), "-m", "facerec", "train", "--faces", faces, "--out", tmp_path / "m",
         "--steps", "2", "--device", "cuda"], capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert ran.returncode != 0
    assert "start fewer" in ran.stderr
