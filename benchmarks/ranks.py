"""How the graph's work divides among processes: CPU seconds of each rank, and whether the bits are those of one.

    python benchmarks/ranks.py --faces 100000 [--ranks 1 2] [--index exact] [--work DIR]

`clustering knn` runs alone, then under torchrun with so many processes of one thread each. Of a machine that is busy
the clock says little, so CPU seconds are compared: of the one process, and of the rank that needs most, for which the
others wait. That is the speed-up on as many free cores, if memory is fast enough for all. Starting Python is in it, and
PyTorch, which only several processes need.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from scale import environment, simulated

from clustering.__main__ import COMMANDS
from facerec.pipeline.command_line import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--index", default="exact")
    with simulated(parser, threads=1) as (arguments, work, _):
        print(f"knn {arguments.index}, {arguments.faces:,} faces, {arguments.threads} threads a process; CPU seconds")
        print(f"{'processes':>9} {'wall, s':>9} {'most':>9} {'speed-up':>9} {'same bits':>10}  of each")
        first: tuple[Path, float] | None = None
        for ranks in arguments.ranks:
            out = work / f"knn_{arguments.index}_{ranks}"
            wall, used = measured(work / "faces" / "embeddings.npy", out, arguments, ranks)
            first = first or (out, max(used))
            same = all((out / f"{n}.npy").read_bytes() == (first[0] / f"{n}.npy").read_bytes() for n in ARRAYS)
            each = ", ".join(f"{seconds:.2f}" for seconds in used)
            print(
                f"{ranks:9} {wall:9.1f} {max(used):9.2f} {first[1] / max(used):9.2f} {same!s:>10}  {each}", flush=True
            )


ARRAYS = ("neighbors", "similarities")


def measured(faces: Path, out: Path, arguments: argparse.Namespace, ranks: int) -> tuple[float, list[float]]:
    """Seconds of the clock, and CPU seconds of each process."""
    usage = out.with_suffix(".usage")
    options = ["--embeddings", faces, "--index", arguments.index, "--out", out]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", ranks] if ranks > 1 else []
    command = [sys.executable, *torchrun, __file__, "knn", *options]
    started = time.perf_counter()
    subprocess.run(
        [str(word) for word in command], check=True, env=environment(arguments.threads) | {"USAGE": str(usage)}
    )
    wall = time.perf_counter() - started
    return wall, [json.loads(usage.with_suffix(f".usage{rank}").read_text()) for rank in range(ranks)]


def work_and_tell() -> int:
    """One of the processes: the command, then what it took."""
    status = run("clustering", COMMANDS)
    used = resource.getrusage(resource.RUSAGE_SELF)
    Path(f"{os.environ['USAGE']}{os.environ.get('RANK', 0)}").write_text(json.dumps(used.ru_utime + used.ru_stime))
    return status


if __name__ == "__main__":
    sys.exit(work_and_tell() if "USAGE" in os.environ else main())
