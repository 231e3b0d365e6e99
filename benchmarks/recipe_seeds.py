"""A recipe on several corpora: what its rows are worth in the mean, and which of them differ.

    python benchmarks/recipe_seeds.py --config recipes/conf/demo.yaml --seeds 5 6 7 8 9 --out runs/demo_seeds

Each seed is one of corpus, training and tuning, and a whole run of the recipe in OUT/SEED; finished work is not
repeated. Printed: each row's figures, mean ± standard deviation over seeds; the share of the gap that it closes, of
the mean figures, with the 95 % interval of its mean over seeds; and letters: rows that share one cannot be told apart
(paired over seeds, Holm's correction, see docs/reference/comparison.md). Every seed has other people, so nothing is
added for them. With --json the figures are written as a file of results.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml
from scipy import stats

from eval.trainings.analysis import LEAST_DRAWS, compare_rows

ROOT = Path(__file__).resolve().parents[1]
SEEDED = ("corpus", "train", "tune")
FIGURES = {"bcubed_f": "BCubed F", "purity": "label purity", "fnmr@1e-3": "FNMR@FMR 1e-3", "fnmr@1e-4": "FNMR@FMR 1e-4",
           "fnir@1e-1": "FNIR@FPIR 1e-1"}  # fmt: skip
DECIDES = "fnmr@1e-3"


def seeded(config: Path, seed: int, out: Path) -> Path:
    """The recipe's YAML with this seed in all that draws."""
    sections = yaml.safe_load(config.read_text(encoding="utf-8"))
    for name in SEEDED:
        sections[name] = {**(sections.get(name) or {}), "seed": seed}
    out.mkdir(parents=True, exist_ok=True)
    (out / "recipe.yaml").write_text(yaml.safe_dump(sections, sort_keys=False), encoding="utf-8")
    return out / "recipe.yaml"


def read(report: Path) -> dict[str, dict[str, float]]:
    """Row to figure to value, of a comparison.csv; figures that a row does not have are left out."""
    with (report / "comparison.csv").open(encoding="utf-8", newline="") as file:
        return {
            line["row"]: {key: float(line[key]) for key in FIGURES if line.get(key)} for line in csv.DictReader(file)
        }


def summarise(reports: list[dict[str, dict[str, float]]]) -> list[dict[str, str]]:
    """A line for each row: its figures, the gap that it closes, and its letters."""
    rows = list(reports[0])
    errors = np.array([[report[row][DECIDES] for report in reports] for row in rows])
    letters = compare_rows(errors, np.zeros((*errors.shape, LEAST_DRAWS))).letters
    lower, upper = errors[rows.index("labelled")], errors[rows.index("supervised")]
    lines = []
    for row, own, mark in zip(rows, errors, letters, strict=True):
        line = {"row": row}
        for key in FIGURES:
            values = [report[row][key] for report in reports if key in report[row]]
            line[key] = _spread(np.array(values), 1 if key == "bcubed_f" else 100) if values else ""
        shares = 100 * (lower - own) / (lower - upper)
        half = stats.t.isf(0.025, len(shares) - 1) * np.std(shares, ddof=1) / np.sqrt(len(shares))
        share = 100 * (lower - own).mean() / (lower - upper).mean()
        line |= {"gap": f"{share:.0f} ({shares.mean() - half:.0f} to {shares.mean() + half:.0f})", "group": mark}
        lines.append(line)
    return lines


def _spread(values: np.ndarray, scale: int) -> str:
    digits = 3 if scale == 1 else 1
    return f"{scale * values.mean():.{digits}f} ±{scale * np.std(values, ddof=1):.{digits}f}"


def main() -> None:
    """Runs what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=ROOT / "recipes" / "conf" / "demo.yaml")
    parser.add_argument("--seeds", type=int, nargs="+", default=[5, 6, 7, 8, 9], help="at least two")
    parser.add_argument("--out", type=Path, default=Path("runs/seeds"))
    parser.add_argument("--json", type=Path)
    options, others = parser.parse_known_args()
    if len(options.seeds) < 2:
        parser.error(f"--seeds {options.seeds[0]}: at least two are needed for a spread")
    reports = []
    for seed in options.seeds:
        out = options.out / str(seed)
        command = [str(ROOT / "recipes" / "run_pseudolabel.sh"), "--config", str(seeded(options.config, seed, out))]
        subprocess.run([*command, "--out", str(out), *others], check=True)
        reports.append(read(out / "report"))
    columns = {"row": "row", **FIGURES, "gap": "share of the gap closed (95 %)", "group": "group"}
    lines = summarise(reports)
    print(f"| {' | '.join(columns.values())} |\n|---{'|---:' * (len(columns) - 1)}|")
    for line in lines:
        print(f"| {' | '.join(line[key] for key in columns)} |")
    if options.json:
        shown = [{"key": key, "title": title, "show": "text"} for key, title in columns.items()]
        about = {
            "command": " ".join(["python", *sys.argv]),
            "seeds": options.seeds,
            "unit": "per cent; Fb is a fraction",
        }
        text = json.dumps({**about, "columns": shown, "rows": lines}, indent=1, ensure_ascii=False)
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
