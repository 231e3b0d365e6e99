"""Embeddings to labels at a given size: seconds, memory, recall, and what an approximate graph costs in the scores.

    python benchmarks/scale.py --faces 300000 [--d 512] [--index ivf] [--exact] [--threads 2] [--work DIR]
    python benchmarks/scale.py --index exact --k 40 --backends a,b --models DIR      # of backends.py --work DIR

Faces are simulated as in `hilander_speed`: new centres with the mean and covariance of real ones, faces like those
around real ones, and a heavy tail of faces an identity, so that some faces have thousands of near neighbours and
many have few. With --d a random rotation takes them into so many dimensions, which leaves their cosines as they are:
it shows what more numbers a face cost, not what a better recogniser gains. Each stage is a process of its own, as a
user would run it. Wall seconds depend on what else the machine does; CPU seconds much less. Peak memory is that of the
process with the mapped embeddings that it has touched; the last column is without them. --exact clusters with the
exact graph, too, and prints the differences.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from common import CELEBA, work_folder

SIMULATE = """
import sys; from pathlib import Path; import numpy as np; from hilander_speed import load, simulate
from facerec.pipeline.embeddings import save_embeddings
faces, labels = simulate(*load(Path(sys.argv[1])), int(sys.argv[2]))
if d := int(sys.argv[4]):
    faces = faces @ np.linalg.qr(np.random.default_rng(0).normal(size=(d, faces.shape[1])))[0].T.astype(np.float32)
save_embeddings(Path(sys.argv[3]), faces, labels=labels)
"""
SCORES = ("pairwise_f", "bcubed_f")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--index", default="ivf")
    parser.add_argument("--recall", type=float, default=0.985)
    parser.add_argument("--backends", default="hilander", help="separated by commas")
    parser.add_argument("--models", type=Path, help="folder with tuned-BACKEND for each; else they are as they come")
    parser.add_argument("--exact", action="store_true", help="the same with the exact graph")
    with simulated(parser, threads=2) as (arguments, work, faces):
        print(f"{arguments.faces:,} faces, d = {faces.shape[1]}, k = {arguments.k}, {arguments.threads} threads")
        print(f"{'stage':22} {'wall, s':>9} {'CPU, s':>9} {'peak, GiB':>10} {'beyond input':>13}", flush=True)
        scores = {index: whole(work, index, arguments, faces.nbytes) for index in indexes(arguments)}
    for name in arguments.backends.split(","):
        values = np.array([[found[name][score] for score in SCORES] for found in scores.values()])
        print(f"{name:22} " + ", ".join(f"{i} {fp:.4f} {fb:.4f}" for i, (fp, fb) in zip(scores, values, strict=True)))
        if len(values) > 1:
            print(f"{'':22} difference " + " ".join(f"{each:+.4f}" for each in values[0] - values[1]))


@contextmanager
def simulated(parser: argparse.ArgumentParser, threads: int) -> Iterator[tuple[argparse.Namespace, Path, np.ndarray]]:
    """Adds the options about faces; gives all options, a folder to work in, and the faces simulated there."""
    parser.add_argument("--faces", type=int, default=100_000)
    parser.add_argument("--d", type=int, default=0, help="dimensions to rotate the faces into; 0 for their own")
    parser.add_argument("--threads", type=int, default=threads, help="of each process")
    parser.add_argument("--embeddings", type=Path, default=CELEBA)
    parser.add_argument("--work", type=Path, help="folder that keeps all that is made; else a temporary one")
    arguments = parser.parse_args()
    with work_folder(arguments.work) as work:
        yield arguments, work, make(work / "faces", arguments)


def indexes(arguments: argparse.Namespace) -> list[str]:
    return list(dict.fromkeys([arguments.index, *(["exact"] if arguments.exact else [])]))


def make(folder: Path, arguments: argparse.Namespace) -> np.ndarray:
    """The simulated embeddings, mapped from disk.

    A process of its own makes them: a child is charged with the memory that its parent had when it was started.
    """
    if not (folder / "labels.npy").exists():
        folder.mkdir(exist_ok=True)
        options = [arguments.embeddings, str(arguments.faces), folder, str(arguments.d)]
        subprocess.run([sys.executable, "-c", SIMULATE, *options], check=True, env=environment(arguments.threads))
    mapped: np.ndarray = np.load(folder / "embeddings.npy", mmap_mode="r")
    return mapped


def environment(threads: int) -> dict[str, str]:
    """This process's, for a child with so many threads that finds `hilander_speed`."""
    here = Path(__file__).resolve().parent
    paths = os.pathsep.join([str(here), str(here.parent), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}


def whole(work: Path, index: str, arguments: argparse.Namespace, size: int) -> dict[str, dict[str, float]]:
    """Graph, clusters and scores of each backend, each a process, and a line of figures for each process."""
    graph = work / f"knn_{index}"
    embeddings = ["--embeddings", work / "faces" / "embeddings.npy"]
    recall = ["--recall", arguments.recall, "--min-recall", 0] if index != "exact" else []
    options = [*embeddings, "--k", arguments.k, "--index", index, *recall, "--out", graph]
    measured(f"knn {index}", ["clustering", "knn", *options], arguments.threads, size)
    results = json.loads((graph / "meta.json").read_text())["results"]
    print("  " + ", ".join(f"{name} {value}" for name, value in results.items()), flush=True)
    scores = {}
    for name in arguments.backends.split(","):
        clusters, found = work / f"clusters_{name}_{index}", work / f"scores_{name}_{index}.json"
        model = [] if arguments.models is None else ["--model", arguments.models / f"tuned-{name}"]
        options = ["--backend", name, *model, *embeddings, "--knn", graph, "--out", clusters]
        measured(f"cluster {name}", ["clustering", "cluster", *options], arguments.threads, size)
        options = ["--truth", work / "faces" / "labels.npy", "--predicted", clusters, "--json", found]
        measured("eval clusters", ["eval", "clusters", *options], arguments.threads, 0)
        scores[name] = json.loads(found.read_text())
    return scores


def measured(name: str, command: list[object], threads: int, size: int) -> None:
    """Runs a command in a process of its own and prints what it took."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", *map(str, command)],
        env=environment(threads),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    with process.stderr as stream:
        errors = stream.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if status:
        sys.exit(errors.decode()[-2000:])
    peak = used.ru_maxrss * 1024
    print(
        f"{name:22} {seconds:9.1f} {used.ru_utime + used.ru_stime:9.1f} {peak / 2**30:10.2f} "
        f"{(peak - size) / 2**30:13.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
