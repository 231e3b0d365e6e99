"""Graph and Hi-LANDER on two machines, which two network namespaces stand in for: the same bits, also after a kill.

    sudo python benchmarks/two_machines.py --faces 20000 [--index exact] [--work DIR]

Each namespace has an address of its own, a cable (veth) between them, and nothing else: no loopback is shared, and
processes find each other over TCP alone. They share a folder, as machines share a network file system. Each runs an
agent of torchrun with one process. The job is what a user types, `clustering knn`, then `clustering cluster`:

- alone: one process, without torchrun;
- together: on both machines;
- killed: the same, but one machine loses all its processes (`kill -9`) when a block of the graph is there. The
  other has to end by itself. Then both start again.

Linux only; it needs the right to make namespaces, and the program ip.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from kills import differing, job
from scale import environment, simulated

MACHINES = {"faces-a": "10.213.7.1", "faces-b": "10.213.7.2"}
FIRST, SECOND = MACHINES
PORT = 29511
BLOCK = re.compile("[0-9]+-[0-9]+")


def main() -> None:
    """Runs the job three times and says whether its bits are the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", default="ivf")
    with simulated(parser, threads=1) as (arguments, work, _), machines():
        faces, env = work / "faces" / "embeddings.npy", environment(arguments.threads)
        alone, together, killed = (job(faces, work / name, arguments.index) for name in ("alone", "together", "killed"))
        for command in alone:
            subprocess.run([sys.executable, "-m", "clustering", *command], check=True, env=env)
        print(f"together: {run(together, env):.1f} s of the clock")
        print(f"killed: the other machine ended after {lose_one(killed[0], env, work / 'killed_knn.partial'):.1f} s")
        print(f"again: {run(killed, env):.1f} s of the clock")
        different = [each for name in ("together", "killed") for each in differing(work / "alone", work / name)]
        print(f"arrays that differ: {', '.join(different) or 'none'}")
    sys.exit(1 if different else 0)


@contextlib.contextmanager
def machines() -> Iterator[None]:
    """Two namespaces with a cable between them; they are removed at the end."""
    try:
        for name in MACHINES:
            ip("netns", "add", name)
        ip("link", "add", "cable", "netns", FIRST, "type", "veth", "peer", "name", "cable", "netns", SECOND)
        for name, address in MACHINES.items():
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "cable")
            for device in ("lo", "cable"):
                ip("-n", name, "link", "set", device, "up")
        yield
    finally:
        for name in MACHINES:
            subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)


def ip(*words: str) -> None:
    """Runs the program ip."""
    subprocess.run(["ip", *words], check=True)


def run(commands: list[list[str]], env: dict[str, str]) -> float:
    """Runs commands on both machines, one after the other: seconds of the clock."""
    started = time.perf_counter()
    for command in commands:
        for agent in [start(name, command, env) for name in MACHINES]:
            if agent.wait():
                raise SystemExit(f"{' '.join(command)}: status {agent.returncode}")
    return time.perf_counter() - started


def start(machine: str, command: list[str], env: dict[str, str]) -> subprocess.Popen[bytes]:
    """An agent of torchrun on a machine, with a session of its own."""
    rendezvous = ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"{MACHINES[FIRST]}:{PORT}", "--rdzv-id", "1"]
    rendezvous += ["--rdzv-conf", f"is_host={machine == FIRST}"]  # both have one host name
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", *rendezvous]
    words = ["ip", "netns", "exec", machine, *torchrun, "--local-addr", MACHINES[machine], "-m", "clustering", *command]
    return subprocess.Popen(
        words, env=env | {"GLOO_SOCKET_IFNAME": "cable"}, start_new_session=True, stderr=subprocess.DEVNULL
    )


def lose_one(command: list[str], env: dict[str, str], partial: Path) -> float:
    """Kills all that is on the second machine when a block is there: seconds that the first goes on."""
    first, second = (start(name, command, env) for name in MACHINES)
    while not any(BLOCK.fullmatch(path.name) for path in partial.rglob("*")):
        if first.poll() is not None:
            raise SystemExit("it was done before it could be killed; take more faces")
        time.sleep(0.05)
    there = subprocess.run(["ip", "netns", "pids", SECOND], capture_output=True, text=True, check=True).stdout
    for process in there.split():
        os.kill(int(process), signal.SIGKILL)
    second.wait()
    started = time.perf_counter()
    first.wait()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
