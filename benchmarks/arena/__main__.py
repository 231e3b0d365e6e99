"""All methods on all sets, with a page, a table and a picture.

    PYTHONPATH=benchmarks python -m arena [--root DATA] [--out runs/arena] [--sets a,b.yaml] [--methods a,b] \\
        [--settings published,tuned,oracle] [--trials 20] [--processes 2] [--report-only]

Sets are names of benchmarks/arena/sets or paths of YAML files, see `arena.sets`. What is in --out already is not done
again unless a method, a set or the search has changed. A set whose faces are missing is left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from common import DATA

from arena.cells import SETTINGS
from arena.choices import Effort
from arena.jobs import Job, grouped, spread
from arena.methods import METHODS
from arena.sets import SETS


def main() -> None:
    parser = argparse.ArgumentParser(prog="arena", description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=DATA, help="folder that the sets' paths begin at")
    parser.add_argument("--out", type=Path, default=Path("runs/arena"))
    parser.add_argument("--sets", default="", help="names or YAML files; by default all of benchmarks/arena/sets")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--settings", default=",".join(SETTINGS))
    parser.add_argument("--trials", type=int, default=Effort.trials)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--report-only", action="store_true", help="of what is there, without running anything")
    given = parser.parse_args()
    for name, chosen, known in (("--methods", given.methods, METHODS), ("--settings", given.settings, SETTINGS)):
        if unknown := [each for each in chosen.split(",") if each not in known]:
            parser.error(f"{name}: {unknown[0]!r} is none of {', '.join(known)}")
    files = [SETS / f"{name}.yaml" if not name.endswith(".yaml") else Path(name) for name in given.sets.split(",")]
    files = files if given.sets else sorted(SETS.glob("*.yaml"))
    groups, left_out = grouped(files, given.root)
    if not given.report_only:
        effort = Effort(given.trials)
        for setting in given.settings.split(","):
            methods = given.methods.split(",")
            spread([Job(group, given.root, given.out, setting, methods, effort) for group in groups], given.processes)
    from arena.report import write_report

    print("\n".join(f"left out: {name}: {reason}" for name, reason in left_out.items()))
    print(write_report([file for group in groups for file in group], given.root, given.out, left_out))


if __name__ == "__main__":
    main()
