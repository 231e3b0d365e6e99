"""What being killed again and again costs: graph and Hi-LANDER, killed at random moments and started again each time.

    python benchmarks/kills.py --faces 100000 [--kills 20] [--index auto] [--seed 0] [--work DIR]

The job is what a user types: `clustering knn`, then `clustering cluster`. It runs once undisturbed. Then it is started
again and again, and `kill -9` ends it at moments that are spread uniformly over the CPU seconds that it needs with all
its starts. Every array of both results must have the same bits as undisturbed. Costs are CPU seconds (user and system)
of all processes, those that were killed included. What it costs to start Python and its libraries is measured with the
same commands on a few faces, and told apart from work that was done twice. Linux only: it reads /proc.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scale import environment, simulated

FEW = 50
TICK = 1 / os.sysconf("SC_CLK_TCK")
NAMES = ("knn", "cluster")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--index", default="auto")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    with simulated(parser, threads=1) as (arguments, work, faces):
        np.save(work / "few.npy", faces[:FEW])
        report(work, arguments)


def report(work: Path, arguments: argparse.Namespace) -> None:
    """Runs the job on a few faces, undisturbed, and killed, and prints what each took."""
    all_faces = work / "faces" / "embeddings.npy"
    starts = life(job(work / "few.npy", work / "start", "exact"), np.inf, arguments.threads)
    calm = life(job(all_faces, work / "calm", arguments.index), np.inf, arguments.threads)
    needed = sum(calm) + arguments.kills * starts[0]
    spent = [
        life(job(all_faces, work / "killed", arguments.index), seconds, arguments.threads)
        for seconds in lives(needed, arguments.kills, arguments.seed)
    ]
    differences = list(differing(work / "calm", work / "killed"))
    used = np.array([[*one, 0.0][:2] for one in spent])
    at = {name: sum(len(one) == number for one in spent[:-1]) for number, name in enumerate(NAMES, 1)}
    told = ", ".join(f"{number} in {name}" for name, number in at.items())
    print(f"{arguments.faces:,} faces, {arguments.threads} threads, {len(spent) - 1} kills ({told}); CPU seconds")
    print(f"{'':24} {'knn':>9} {'cluster':>9} {'all':>9}")
    again = np.minimum(used, starts).sum(axis=0) - starts
    rows = {"start": starts, "undisturbed": calm, "killed": used.sum(axis=0), "of that, starts again": again}
    for name, (knn, cluster) in {**rows, "of that, work again": rows["killed"] - calm - again}.items():
        print(f"{name:24} {knn:9.1f} {cluster:9.1f} {knn + cluster:9.1f}")
    extra = used.sum() - sum(calm)
    print(f"extra: {extra / sum(calm):.1%} with the starts, {(extra - again.sum()) / sum(calm):.1%} without")
    print(f"arrays that differ: {', '.join(differences) or 'none'}")
    sys.exit(1 if differences else 0)


def job(faces: Path, out: Path, index: str) -> list[list[str]]:
    """The commands that a user types."""
    knn = ["knn", "--embeddings", str(faces), "--index", index, "--out", f"{out}_knn"]
    cluster = ["cluster", "--backend", "hilander", "--embeddings", str(faces), "--knn", f"{out}_knn"]
    return [knn, [*cluster, "--out", f"{out}_clusters"]]


def lives(seconds: float, kills: int, seed: int) -> list[float]:
    """How long each life of the job is, in CPU seconds: the gaps between random moments, then without an end."""
    moments = np.sort(np.random.default_rng(seed).uniform(0, seconds, kills))
    return [*np.diff(moments, prepend=0).tolist(), np.inf]


def life(commands: list[list[str]], seconds: float, threads: int) -> list[float]:
    """Runs commands one after the other and kills the one that is on after so many CPU seconds of all.

    Returns:
        CPU seconds of each command that was started.
    """
    used: list[float] = []
    for command in commands:
        process = subprocess.Popen(
            [sys.executable, "-m", "clustering", *command],
            env=environment(threads), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        while sum(used) + cpu_seconds(process.pid) < seconds and os.waitid(
            os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT
        ) is None:  # fmt: skip
            time.sleep(0.01)
        killed = sum(used) + cpu_seconds(process.pid) >= seconds
        if killed:
            os.killpg(process.pid, signal.SIGKILL)
        assert process.stderr is not None
        with process.stderr as stream:
            errors = stream.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        used.append(usage.ru_utime + usage.ru_stime)
        if process.returncode not in (0, -signal.SIGKILL):
            sys.exit(errors.decode()[-2000:])
        if killed:
            break
    return used


def cpu_seconds(process: int) -> float:
    """Of all threads of a process, until now; also of one that has ended and is not yet waited for."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK


def differing(one: Path, other: Path) -> Iterator[str]:
    """Arrays of the two results that are not the same, or not in both."""
    folders = [(Path(f"{one}_{name}"), Path(f"{other}_{name}")) for name in ("knn", "clusters")]
    for left, right in folders:
        names = {path.relative_to(folder) for folder in (left, right) for path in folder.rglob("*.npy")}
        for name in sorted(names):
            pair = [folder / name for folder in (left, right)]
            if not all(path.exists() for path in pair) or pair[0].read_bytes() != pair[1].read_bytes():
                yield str(Path(right.name) / name)
    yield from (path.name for path in other.parent.glob(f"{other.name}*.partial"))


if __name__ == "__main__":
    main()
