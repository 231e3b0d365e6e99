"""What several benchmarks need: the real faces, a folder to work in, a command of a package, and the machine's rate."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

DATA = Path(os.environ.get("FACEREC_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
CELEBA, LFW = (DATA / f"embeddings_{name}_mobilefacenet128.npz" for name in ("celeba299", "lfw112"))
DLIB = DATA / "embeddings_celeba299_dlib128.npz"
CLINC, CLINC_TEST = (DATA / f"embeddings_clinc150_minilm384_{half}.npz" for half in ("train", "test"))
GEMM = 3072


def faces_of(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows, float32 [n, d], and identities from 0, int64 [n], of an archive with ``embeddings`` and ``labels``."""
    from facerec.pipeline.embeddings import normalize

    with np.load(path, allow_pickle=False) as archive:
        return normalize(archive["embeddings"]), np.unique(archive["labels"], return_inverse=True)[1]


@contextmanager
def work_folder(given: Path | None) -> Iterator[Path]:
    """The folder given, made if it is missing, or else a temporary one."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = (given or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        yield folder


def command(package: str, *arguments: object, folder: Path | None = None) -> None:
    """Runs a command of a package, in a folder if one is given; its progress is shown only if it fails."""
    words = [sys.executable, "-m", package, *map(str, arguments)]
    done = subprocess.run(words, cwd=folder, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, arguments))}: {done.stderr[-1000:]}")


def seconds(work: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    """CPU seconds of this process, or those of another clock."""
    started = clock()
    work()
    return clock() - started


def gemm_rate(kind: str = "float32") -> float:
    """Operations a CPU second of a square matrix product of a kind of PyTorch's numbers, the best of some."""
    import torch  # other benchmarks measure processes that do without

    a, b = (torch.rand(GEMM, GEMM).to(getattr(torch, kind)) for _ in range(2))
    return 2 * GEMM**3 / min(seconds(lambda: a @ b) for _ in range(5))
