"""The requirement files without CUDA libraries name what the packages import."""

import ast
import re
import sys
from pathlib import Path

import pytest
import tomllib

ROOT = Path(__file__).resolve().parents[2]
NAMES = {
    "yaml": "pyyaml",
    "cv2": "opencv-python-headless",
    "sklearn": "scikit-learn",
    "PIL": "pillow",
    "faiss": "faiss-cpu",
}
OPTIONAL = {"dgl", "igraph", "infomap"}
"""Imported where they are used; one line says what to install."""
BROUGHT = {"docstring_parser": "jsonargparse", "typing_extensions": "torch"}
"""What other requirements bring."""


def imported(folders: list[str]) -> set[str]:
    """Names of the modules from outside that the files of some folders import."""
    own = {"facerec", "clustering", "eval"}
    trees = [
        ast.parse(file.read_text(encoding="utf-8")) for folder in folders for file in (ROOT / folder).rglob("*.py")
    ]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.partition(".")[0] for name in names} - own - set(sys.stdlib_module_names)


def required(file: str) -> set[str]:
    found: set[str] = set()
    for line in (ROOT / file).read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            found |= required(line[3:])
        elif name := re.match(r"[\w-]+", line):
            found.add(name[0])
    return found


@pytest.mark.parametrize(
    ("file", "folders"),
    [
        ("requirements-clustering.txt", ["clustering", "eval", "facerec/pipeline"]),
        ("requirements-cpu.txt", ["clustering", "eval", "facerec"]),
    ],
)
def test_they_name_what_is_imported(file, folders):
    wanted = {BROUGHT.get(name, NAMES.get(name, name)) for name in imported(folders) - OPTIONAL}
    assert "numpy" in wanted
    assert wanted <= required(file)


def test_they_differ_from_the_project_in_what_needs_cuda_alone():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    names = {re.match(r"[\w-]+", line)[0] for line in project}
    assert names - required("requirements-cpu.txt") == {"faiss-gpu", "dgl"}
