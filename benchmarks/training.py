"""What a training step, the data path and extraction cost, beside plain ways of doing the same and beside floors.

    OMP_NUM_THREADS=1 python benchmarks/training.py [--parts step,data] [--backbones mobilefacenet,iresnet50]

Figures are CPU seconds (user and system, all threads) a face, on one thread: other work on the machine disturbs them
less than wall seconds. Ways are taken in turns, several times, in one run; each figure is the least. The floor is the
operations of convolutions, full connections and attentions over the rate of a large product of matrices in the same
run and precision; a backward pass takes twice the operations of a forward pass.

- step: forward, loss, backward and optimiser. Plain is PyTorch as it comes: fp32, ``nn.PReLU``, NCHW, AdamW.
- data: reading, decoding and augmenting. Plain is torchvision's ImageFolder with PIL, and with torchvision's transforms
  of PIL images that are nearest to ours. Pictures are smoothed noise of 112x112 pixels, JPEG.
- whole: training as the command does it, one thread that computes and one process that reads, against the same steps
  from memory; seconds of the clock, for a machine with two idle cores.
- embed: the backbone, by us and by onnxruntime from our export; batch normalisations are those of a fresh network.
"""

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # or idle threads spin, which counts as CPU time

import cv2
import numpy as np
import onnxruntime
import torch
from common import gemm_rate, seconds
from torch import nn
from torchvision import transforms
from torchvision.datasets import ImageFolder

from facerec.backbones import build
from facerec.backbones.costs import costs
from facerec.backbones.prelu import PReLU
from facerec.commands.store import store
from facerec.devices.device import autocast, to_input
from facerec.devices.loader import read_ahead
from facerec.losses.heads import MarginHead
from facerec.losses.margins import MarginLoss
from facerec.stores.open import open_store
from facerec.stores.store import Store
from facerec.training.augment import Augmentation
from facerec.training.dataset import Batches
from facerec.training.optimizer import weight_groups
from facerec.training.samplers import choose_sampler
from facerec.training.step import Learner
from facerec.training.training_set import combine_stores

SIZE, CLASSES, STEPS = 112, 1000, 20
DIMENSION = {"mobilefacenet": 128, "iresnet50": 512}
BATCH = {"mobilefacenet": 32, "iresnet50": 8}
CPU = torch.device("cpu")
COSFACE = MarginLoss(32.0, (1.0, 0.0, 0.2))
Ways = dict[str, Callable[[], object]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="step,data,embed,whole")
    parser.add_argument("--backbones", default="mobilefacenet,iresnet50")
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--faces", type=int, default=400, help="pictures of the data path")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rates = {"fp32": gemm_rate() / 1e9, "bf16": gemm_rate("bfloat16") / 1e9}
    print(f"one thread; products of matrices: fp32 {rates['fp32']:.0f}, bf16 {rates['bf16']:.0f} GFLOP/s\n")
    print("| what | way | CPU ms a face | times as fast | floor, ms | share of the floor's rate |")
    print("|---|---|---:|---:|---:|---:|")
    for name in arguments.backbones.split(","):
        if "step" in arguments.parts:
            report(f"step, {name}, batch {BATCH[name]}", steps(name), BATCH[name], rates, 3, name, arguments.repeats)
        if "embed" in arguments.parts:
            with tempfile.TemporaryDirectory() as folder:
                ways = embedders(name, Path(folder))
                report(f"embed, {name}, batch {BATCH[name]}", ways, BATCH[name], rates, 1, name, arguments.repeats)
        if "whole" in arguments.parts:
            with tempfile.TemporaryDirectory() as folder:
                ways = trainings(name, Path(folder), arguments.faces, arguments.repeats)
                report(f"whole, {name}, batch {BATCH[name]}, by the clock", ways, STEPS * BATCH[name], rates, 0, name,
                       arguments.repeats, time.perf_counter)  # fmt: skip
    if "data" in arguments.parts:
        with tempfile.TemporaryDirectory() as folder:
            for what, ways in data_ways(Path(folder), arguments.faces).items():
                report(what, ways, arguments.faces, rates, 0, "", arguments.repeats)


def report(
    what: str, ways: Ways, faces: int, rates: dict[str, float], passes: int, name: str, repeats: int,
    clock: Callable[[], float] = time.process_time,
) -> None:  # fmt: skip
    """A line for each way, compared with the first."""
    for work in ways.values():
        work()
    least = dict.fromkeys(ways, float("inf"))
    for _ in range(repeats):
        for way, work in ways.items():
            least[way] = min(least[way], seconds(work, clock))
    plain = next(iter(least.values()))
    for way, value in least.items():
        floor = share = ""
        if passes:
            operations = 2e-9 * costs(name, DIMENSION[name], SIZE)[1] * passes
            ideal = operations / rates["bf16" if "bf16" in way else "fp32"]
            floor, share = f"{1e3 * ideal:.1f}", f"{ideal * faces / value:.0%}"
        print(f"| {what} | {way} | {1e3 * value / faces:.2f} | {plain / value:.2f} | {floor} | {share} |", flush=True)


def steps(name: str) -> Ways:
    """Training steps on one batch."""
    faces = torch.randint(0, 256, (BATCH[name], SIZE, SIZE, 3), dtype=torch.uint8)
    labels, weights = torch.randint(CLASSES, (BATCH[name],)), torch.ones(BATCH[name])

    def way(plain: bool, precision: str, fused: bool) -> Callable[[], None]:
        network, head = network_of(name), MarginHead(CLASSES, DIMENSION[name], COSFACE)
        network = with_plain_prelu(network) if plain else network.to(memory_format=torch.channels_last)
        trained = [weight for weight in [*network.parameters(), *head.parameters()] if weight.requires_grad]
        optimizer = torch.optim.AdamW(trained, 1e-3, fused=fused)

        def step() -> None:
            images = to_input(faces, CPU)
            with autocast(CPU, precision):
                embeddings = network(images.contiguous() if plain else images)
            optimizer.zero_grad()
            head(embeddings, labels, weights)[0].backward()
            optimizer.step()

        return step

    return {
        "plain": way(True, "fp32", False), "ours": way(False, "fp32", False),
        "ours, fused AdamW": way(False, "fp32", True), "ours, bf16, fused AdamW": way(False, "bf16", True),
    }  # fmt: skip


def trainings(name: str, folder: Path, faces: int, repeats: int) -> Ways:
    """Training steps on a batch in memory, and from files through another process."""
    pictures = open_store(draw(folder / "pictures", faces))
    assert pictures.labels is not None
    known = combine_stores([(pictures, pictures.labels, None)])
    network = network_of(name).to(memory_format=torch.channels_last)
    head = MarginHead(CLASSES, DIMENSION[name], COSFACE)
    optimizer = torch.optim.AdamW(weight_groups(nn.ModuleList([network, head]), 0.0), 1e-3)
    learner = Learner(network, head, optimizer, CPU, autocast(CPU, "fp32"))
    order = choose_sampler("random", known.label, known.store, BATCH[name], seed=0)
    batches = read_ahead(Batches(known, order, Augmentation(SIZE, 0)), range(1 + STEPS * (1 + repeats)), 1)
    kept = next(batches)[:3]

    def from_memory() -> None:
        for _ in range(STEPS):
            learner(*kept)

    def from_files() -> None:
        for _ in range(STEPS):
            learner(*next(batches)[:3])

    return {"from memory": from_memory, "from files": from_files}


def embedders(name: str, folder: Path) -> Ways:
    """Embeddings of one batch."""
    network = network_of(name).eval().to(memory_format=torch.channels_last)
    faces = torch.randint(0, 256, (BATCH[name], SIZE, SIZE, 3), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the exporter without dynamo
        torch.onnx.export(network, (to_input(faces, CPU),), str(folder / "m.onnx"), input_names=["x"], dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(str(folder / "m.onnx"), options, providers=["CPUExecutionProvider"])

    def peer() -> np.ndarray:
        images = (faces.numpy().transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 127.5
        return session.run(None, {"x": images})[0]

    def way(precision: str) -> Callable[[], torch.Tensor]:
        @torch.inference_mode()
        def embed() -> torch.Tensor:
            with autocast(CPU, precision):
                return network(to_input(faces, CPU)).float()

        return embed

    return {"onnxruntime": peer, "ours": way("fp32"), "ours, bf16": way("bf16")}


def data_ways(folder: Path, faces: int) -> dict[str, Ways]:
    """Ways to read pictures, without and with a random variation of each."""
    pictures = draw(folder / "pictures", faces)
    stores = {
        "ours, folder": open_store(pictures), "ours, tar shards": open_store(store(pictures, out=folder / "shards")),
        "ours, .rec": open_store(write_records(folder, open_store(pictures))),
    }  # fmt: skip
    augment, varied, plain = Augmentation(SIZE, 0), ImageFolder(pictures, peer_transforms()), ImageFolder(pictures)

    def ours(source: Store, change: bool) -> Callable[[], None]:
        def read() -> None:
            for row in range(faces):
                face = source.read(row)
                if change:
                    augment(face, row)

        return read

    def theirs(source: ImageFolder) -> Callable[[], None]:
        return lambda: [np.asarray(source[row][0]) for row in range(faces)] and None

    peers = {False: theirs(plain), True: theirs(varied)}
    return {
        what: {"ImageFolder, PIL": peers[change]} | {name: ours(source, change) for name, source in stores.items()}
        for what, change in (("read and decode", False), ("read, decode and augment", True))
    }


def peer_transforms() -> transforms.Compose:
    """Ours, as near as torchvision comes: without shear's border, quality and size; blur for all of the three."""
    turn = transforms.RandomAffine(8, shear=(-4, 4), interpolation=transforms.InterpolationMode.BILINEAR)
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(SIZE, (0.85, 1.0), (0.95, 1.05)),
            transforms.RandomHorizontalFlip(),
            transforms.RandomApply([turn], 0.3),
            transforms.RandomApply([transforms.ColorJitter(0.25, 0.25)], 0.5),
            transforms.RandomApply([transforms.ColorJitter(0, 0, 0.12, 0.02)], 0.2),
            transforms.RandomApply([transforms.GaussianBlur(5, (0.4, 1.2))], 0.2),
            transforms.RandomGrayscale(0.2),
        ]
    )


def draw(folder: Path, faces: int) -> Path:
    """A folder of pictures of ten identities."""
    random = np.random.default_rng(0)
    for number in range(faces):
        (folder / f"{number % 10}").mkdir(parents=True, exist_ok=True)
        coarse = random.integers(0, 256, (14, 14, 3), dtype=np.uint8)
        noise = random.integers(-8, 9, (SIZE, SIZE, 3))
        picture = np.clip(cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC) + noise, 0, 255)
        cv2.imwrite(str(folder / f"{number % 10}" / f"{number:06d}.jpg"), picture.astype(np.uint8))
    return folder


def write_records(folder: Path, source: Store) -> Path:
    """The pictures as a ``.rec`` with its index, in one part each."""
    folder, labels = folder / "records", source.labels
    folder.mkdir()
    with (folder / "train.rec").open("wb") as records, (folder / "train.idx").open("w") as index:
        for row in range(len(source)):
            content = source.encoded(row)
            header = np.array([0], "<u4").tobytes() + np.array([labels[row]], "<f4").tobytes() + bytes(16)
            index.write(f"{row}\t{records.tell()}\n")
            frame = np.array([0xCED7230A, len(header) + len(content)], "<u4").tobytes()
            records.write(frame + header + content + bytes(-len(content) % 4))
    return folder


def network_of(name: str) -> nn.Module:
    torch.manual_seed(0)
    return build(name, DIMENSION[name], SIZE)


def with_plain_prelu(network: nn.Module) -> nn.Module:
    """The network with PyTorch's own PReLU."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, PReLU):
                setattr(parent, name, nn.PReLU(child.num_parameters))
    return network


if __name__ == "__main__":
    main()
