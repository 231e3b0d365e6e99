"""The evaluation at IJB-C's real size, on simulated embeddings, and how near it is to its floor.

    python benchmarks/ijb_scale.py [--faces 469375] [--bootstrap 0] [--work DIR] [--gallery 0] [--profile]

469,375 faces of 23,124 templates, 15,658,489 pairs, galleries of 1,772 and 1,759 templates, 19,593 probes, d = 512. The
floor is reading the embeddings once plus the matrix products (pairs, and probes against both galleries) in double
precision, measured in the same run. Seconds of CPU are printed beside those of the clock, which depend on what else
the machine does. --gallery N searches probes in a gallery of N templates instead.
"""

import argparse
import multiprocessing
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import gemm_rate, work_folder

TEMPLATES, GALLERIES, PAIRS, GENUINE, WIDTH = 23_124, (1_772, 1_759), 15_658_489, 19_557, 512
SUBSPACE = 40
PROBES = TEMPLATES - sum(GALLERIES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=469_375, help="faces; the rest of the protocol keeps its size")
    parser.add_argument("--bootstrap", type=int, default=0, help="samples")
    parser.add_argument("--work", type=Path, help="folder that keeps the simulated files; else a temporary one")
    parser.add_argument("--gallery", type=int, default=0, help="measure a search in a gallery of so many templates")
    parser.add_argument("--probes", type=int, default=2_000, help="probes of that search")
    parser.add_argument("--profile", action="store_true", help="also where the time goes, by function")
    arguments = parser.parse_args()
    with work_folder(arguments.work) as work:
        if arguments.gallery:
            search_large_gallery(work, arguments.gallery, arguments.probes)
        else:
            whole_protocol(work, arguments.faces, arguments.bootstrap, arguments.profile)


def whole_protocol(work: Path, faces: int, bootstrap: int, profile: bool) -> None:
    if not (work / "done").exists():
        simulate(work, faces)
        (work / "done").touch()
    floor = timed("read embeddings once", lambda: read_once(work / "embeddings.npy"))[1]
    floor += timed("products of pairs and probes, float64", products)[1]
    parse_cpu = timed("parse the pair file", lambda: parse(work / "protocol"))[1]
    print(f"pair file: {PAIRS / parse_cpu / 1e6:.1f} million lines a second of CPU")
    script = (
        "import sys, cProfile; from pathlib import Path; from eval.commands.ijb import ijb; w = Path(sys.argv[1]);"
        "f = lambda: ijb(protocol=w / 'protocol', embeddings=w / 'embeddings.npy', out=Path(sys.argv[2]),"
        "bootstrap=int(sys.argv[3]));"
        "cProfile.run('f()', sys.argv[4]) if sys.argv[4] else f()"
    )
    with tempfile.TemporaryDirectory() as out:
        stats = str(Path(out) / "stats") if profile else ""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", script, work, Path(out) / "report", str(bootstrap), stats], check=True)
        seconds = time.perf_counter() - started
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
        report("eval ijb" + f" --bootstrap {bootstrap}" * bool(bootstrap), seconds, cpu)
        print(f"{cpu / floor:.1f} times the floor's CPU seconds; peak memory {used.ru_maxrss / 2**20:.2f} GiB")
        if profile:
            pstats.Stats(stats).sort_stats("tottime").print_stats(25)


def simulate(work: Path, faces: int) -> None:
    """Protocol files and embeddings of people who differ in how well they are recognised."""
    rng = np.random.default_rng(0)
    (work / "protocol").mkdir(exist_ok=True)
    subjects = sum(GALLERIES)
    probe_subject = rng.integers(0, subjects, PROBES)
    ids = rng.permutation(TEMPLATES) + 1
    gallery, probe = ids[:subjects], ids[subjects:]
    subject_of = np.zeros(TEMPLATES + 1, np.int64)
    subject_of[gallery], subject_of[probe] = np.arange(subjects), probe_subject
    edge = GALLERIES[0]
    for name, part, who in [
        ("gallery_G1", gallery[:edge], np.arange(edge)),
        ("gallery_G2", gallery[edge:], np.arange(edge, subjects)),
        ("probe_mixed", probe, probe_subject),
    ]:
        lines = [f"{t},{s},img/{t}.jpg\n" for t, s in zip(part, who, strict=True)]
        (work / "protocol" / f"ijbc_1N_{name}.csv").write_text("TEMPLATE_ID,SUBJECT_ID,FILENAME\n" + "".join(lines))
    write_pairs(work / "protocol" / "ijbc_template_pair_label.txt", rng, gallery, probe, probe_subject)
    template = np.sort(np.r_[ids, rng.choice(ids, faces - TEMPLATES)])
    media = rng.integers(0, 6, faces)
    text = "".join(f"{i}.jpg {t} {m}\n" for i, (t, m) in enumerate(zip(template, media, strict=True), 1))
    (work / "protocol" / "ijbc_face_tid_mid.txt").write_text(text)
    centres = rng.standard_normal((subjects, SUBSPACE), dtype=np.float32)
    spread = rng.uniform(0.2, 1.2, (TEMPLATES + 1, 1)).astype(np.float32)
    templates = centres[subject_of] + spread * rng.standard_normal((TEMPLATES + 1, SUBSPACE), dtype=np.float32)
    write_embeddings(work / "embeddings.npy", rng, templates, template)


def write_pairs(
    path: Path, rng: np.random.Generator, gallery: np.ndarray, probe: np.ndarray, probe_subject: np.ndarray
) -> None:
    """All probes against their mates, and against galleries at random."""
    import pyarrow as pa
    from pyarrow import csv

    count = PAIRS - len(probe)
    columns, rows = rng.integers(0, len(gallery), count), rng.integers(0, len(probe), count)
    columns = np.where(columns == probe_subject[rows], (columns + 1) % len(gallery), columns)
    table = pa.table(
        {
            "a": np.r_[gallery[probe_subject], gallery[columns]],
            "b": np.r_[probe, probe[rows]],
            "label": np.r_[np.ones(len(probe), np.int64), np.zeros(count, np.int64)],
        }
    )
    table = table.take(rng.permutation(len(table)))
    csv.write_csv(table, path, csv.WriteOptions(include_header=False, delimiter=" "))


def write_embeddings(path: Path, rng: np.random.Generator, centres: np.ndarray, which: np.ndarray) -> None:
    """Unit rows around some centres, which lie in a subspace, so that impostors are sometimes alike."""
    basis = rng.standard_normal((SUBSPACE, WIDTH), dtype=np.float32) / SUBSPACE**0.5
    out = np.lib.format.open_memmap(path, "w+", np.float32, (len(which), WIDTH))
    for start in range(0, len(which), 8192):
        rows = centres[which[start : start + 8192]] @ basis
        rows += 0.5 * rng.standard_normal(rows.shape, dtype=np.float32)
        out[start : start + 8192] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    out.flush()


def search_large_gallery(work: Path, size: int, probes: int) -> None:
    """Probes in a gallery that is a memory map of single precision."""
    from eval.metrics.fnir import search

    rng = np.random.default_rng(0)
    path = work / f"gallery_{size}.npy"
    if not path.exists():  # in a process of its own, whose memory does not count
        writer = multiprocessing.get_context("spawn").Process(target=write_gallery, args=(path, size))
        writer.start()
        writer.join()
    gallery = np.load(path, mmap_mode="r")
    features = rng.standard_normal((probes, WIDTH))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    subjects = np.r_[np.arange(probes // 2), size + np.arange(probes - probes // 2)]
    rate = gemm_rate("float64")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _, cpu = timed(
        f"{probes:,} probes in {size:,} templates", lambda: search(features, subjects, gallery, np.arange(size))
    )
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{cpu * rate / (2 * probes * size * WIDTH):.2f} times the product's CPU seconds; "
          f"peak memory {(after - before) / 2**20:.2f} GiB more than before, mapped pages included")  # fmt: skip


def write_gallery(path: Path, size: int) -> None:
    rng = np.random.default_rng(0)
    write_embeddings(path, rng, rng.standard_normal((1000, SUBSPACE), dtype=np.float32), np.arange(size) % 1000)


def read_once(path: Path) -> None:
    array = np.load(path, mmap_mode="r")
    for start in range(0, len(array), 8192):
        array[start : start + 8192].sum()


def products() -> None:
    """Each gallery template with each probe, twice: once for 1:1, once for 1:N."""
    rng = np.random.default_rng(0)
    gallery, probes = rng.random((sum(GALLERIES), WIDTH)), rng.random((PROBES, WIDTH))
    for _ in range(2):
        for start in range(0, len(gallery), 512):
            gallery[start : start + 512] @ probes.T


def parse(folder: Path) -> None:
    from eval.protocols.insightface import load_pairs

    load_pairs(folder / "ijbc_template_pair_label.txt")


def timed(name: str, work: Callable[[], object]) -> tuple[float, float]:
    started, before = time.perf_counter(), time.process_time()
    work()
    seconds, cpu = time.perf_counter() - started, time.process_time() - before
    report(name, seconds, cpu)
    return seconds, cpu


def report(name: str, seconds: float, cpu: float) -> None:
    print(f"{name:45}{seconds:8.2f} s{cpu:8.2f} s CPU", flush=True)


if __name__ == "__main__":
    main()
