"""Training, extraction and clustering on a GPU beside the same machine's CPU, by the clock.

    python benchmarks/gpu.py [--faces 300000] [--backbone iresnet50]

- step: a training step from memory, in the precision that ``facerec train`` chooses there (bfloat16 on CUDA).
- embed: extraction of a batch with its mirror image, likewise.
- graph: the exact graph of 50,000 of the faces, by faiss on the GPU where it finds one.
- link: Hi-LANDER's linkage probabilities of the lowest level, by the package's network and by one of the size of the
  public reference (a graph convolution 512 wide, a head 256 wide, random weights).
- cluster: all levels of the package's model.

Faces to cluster are simulated, and so is their graph's noise (`hilander_speed.simulate`). Each figure is the least of
three. The CPU uses as many threads as PyTorch chooses.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from common import CELEBA, seconds
from hilander_speed import K, load, simulate

from clustering import HiLander, KnnGraph
from clustering.backends.hilander.engines import link
from clustering.backends.hilander.lander import LinkageModel
from clustering.backends.hilander.level import Level
from clustering.graph.exact import gpu_index, search
from facerec.backbones import build
from facerec.devices.device import autocast, choose_device, to_input
from facerec.losses.heads import MarginHead
from facerec.losses.margins import MarginLoss
from facerec.training.optimizer import weight_groups
from facerec.training.step import Learner

CLASSES, DIMENSION, SIZE, GRAPH_FACES = 10_000, 512, 112, 50_000
BATCH = {"cpu": 32, "cuda": 256}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=300_000)
    parser.add_argument("--backbone", default="iresnet50")
    parser.add_argument("--embeddings", type=Path, default=CELEBA)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measured(arguments)))
        return
    if not torch.cuda.is_available():
        sys.exit("PyTorch finds no CUDA device here")
    with tempfile.TemporaryDirectory() as folder:
        faces, _ = simulate(*load(arguments.embeddings), arguments.faces)
        graph = KnnGraph.build(faces, K)
        np.savez(Path(folder) / "faces.npz", faces=faces, neighbors=graph.neighbors, similarities=graph.similarities)
        rows = {device: on(device, Path(folder), arguments) for device in ("cpu", "cuda")}
    print(f"{torch.cuda.get_device_name()}, {os.cpu_count()} CPU cores; {arguments.faces:,} faces to cluster\n")
    print("| what | CPU | GPU | times as fast |\n|---|---:|---:|---:|")
    for name, cpu in rows["cpu"].items():
        gpu = rows["cuda"].get(name)
        print(f"| {name} | {cpu:.3g} | {gpu:.3g} | {cpu / gpu:.1f} |" if gpu else f"| {name} | {cpu:.3g} | | |")


def on(device: str, folder: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """What a process measures that sees the GPU, or doesn't."""
    environment = os.environ | ({"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {})
    words = [sys.executable, __file__, "--measure", folder, "--backbone", arguments.backbone]
    done = subprocess.run([str(word) for word in words], env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measured(arguments: argparse.Namespace) -> dict[str, float]:
    """Seconds by part."""
    device = choose_device("auto")
    batch = BATCH[device.type]
    with np.load(arguments.measure / "faces.npz") as file:
        graph = KnnGraph(file["faces"], file["neighbors"], file["similarities"])
    found = {f"{name}, ms a face": 1e3 * least(work) / batch for name, work in networks(arguments, device).items()}
    some = graph.embeddings[:GRAPH_FACES]
    index = gpu_index(some, np.arange(len(some)))
    if device.type == "cpu" or index is not None:
        found[f"graph, {GRAPH_FACES:,} faces, s"] = least(lambda: search(some, *2 * [np.arange(len(some))], K, index))
    package = HiLander.from_pretrained()
    reference = LinkageModel("features", graph.embeddings.shape[1], width=512, hidden=256).to(device)
    for name, model in (("package's", package.model), ("reference's", reference)):
        level = Level.of_faces(graph)
        found[f"link, {name} network, s"] = least(lambda model=model, level=level: link(model, level))
    return found | {"cluster, s": least(lambda: package.cluster(graph))}


def networks(arguments: argparse.Namespace, device: torch.device) -> dict[str, Callable[[], object]]:
    """A step and an extraction of one batch."""
    faces = torch.randint(0, 256, (BATCH[device.type], SIZE, SIZE, 3), dtype=torch.uint8)
    labels, weights = torch.randint(CLASSES, (len(faces),)), torch.ones(len(faces))
    network = build(arguments.backbone, DIMENSION, SIZE, 1.0).to(device, memory_format=torch.channels_last)
    head = MarginHead(CLASSES, DIMENSION, MarginLoss(64.0, (1.0, 0.0, 0.4))).to(device)
    optimizer = torch.optim.AdamW(weight_groups(torch.nn.ModuleList([network, head]), 0.0), 1e-3)
    learner = Learner(network, head, optimizer, device, autocast(device))

    @torch.inference_mode()
    def embed() -> np.ndarray:
        network.eval()
        with autocast(device):
            images = to_input(faces, device)
            found = (network(images) + network(images.flip(3))).float().cpu().numpy()
        network.train()
        return found

    return {"step": lambda: learner(faces, labels, weights), "embed": embed}


def least(work: Callable[[], object]) -> float:
    """Seconds of the clock, the least of three after one that doesn't count."""

    def whole() -> None:
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    whole()
    return min(seconds(whole, time.perf_counter) for _ in range(3))


if __name__ == "__main__":
    main()
