"""Takes a recipe's YAML apart: every section becomes a file that one command reads with ``--config``.

Prints the ``recipe`` section as shell variables, so that the recipe itself stays a list of stages:

    eval "$(python recipes/sections.py --config recipes/conf/demo.yaml --out runs/demo/config)"
"""

import argparse
import shlex
import sys
from pathlib import Path

import yaml

SECTIONS = ("recipe", "corpus", "train", "embed", "knn", "tune", "cluster", "pseudolabel", "ijb", "compare")
SETTINGS = {
    "corpus": "synth",
    "teacher": "",
    "tune_on": "labelled",
    "test_faces": "",
    "protocol": "",
    "backends": [],
    "jobs": 1,
    "mode": "joint",
    "overlap": "",
}


def main() -> None:
    """Writes one file a section and prints the settings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="the recipe's YAML")
    parser.add_argument("--out", type=Path, required=True, help="folder for one YAML a section")
    arguments = parser.parse_args()
    try:
        sections = yaml.safe_load(arguments.config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        fail(f"{arguments.config}: {' '.join(str(error).split())}")
    if not isinstance(sections, dict):
        fail(f"{arguments.config}: expected sections, one of {', '.join(SECTIONS)}")
    settings = sections.get("recipe") or {}
    check(arguments.config, sections, SECTIONS, "section")
    check(arguments.config, settings, SETTINGS, "setting of recipe")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in SECTIONS[1:]:
        temporary = arguments.out / f".{name}.yaml"
        temporary.write_text(yaml.safe_dump(sections.get(name) or {}, sort_keys=False), encoding="utf-8")
        temporary.replace(arguments.out / f"{name}.yaml")
    for name, value in (SETTINGS | settings).items():
        text = ",".join(value) if isinstance(value, list) else str(value)
        print(f"{name.upper()}={shlex.quote(text)}")


def check(config: Path, found: dict[str, object], allowed: object, what: str) -> None:
    """Refuses names that nothing would read."""
    if unknown := [name for name in found if name not in allowed]:  # type: ignore[operator]
        fail(f"{config}: unknown {what} {', '.join(map(repr, unknown))}; there are {', '.join(allowed)}")  # type: ignore[arg-type]


def fail(message: str) -> None:
    """Ends with one line on stderr and status 2."""
    print(f"recipe: error: {message}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    main()
