"""The requirement files without CUDA libraries name what the packages import."""

import re
import sys
from pathlib import Path

import pytest

tomllib = pytest.importorskip("tomllib")  # of Python 3.11 and newer

ROOT = Path(__file__).resolve().parents[2]
NAMES = {
    "yaml": "pyyaml",
    "cv2": "opencv-python-headless",
    "sklearn": "scikit-learn",
    "PIL": "pillow",
    "faiss": "faiss-cpu",
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = [line for name, lines in PROJECT["optional-dependencies"].items() if name != "dev" for line in lines]
BROUGHT = {"docstring_parser": "jsonargparse", "typing_extensions": "torch", "markupsafe": "jinja2"}
"""What other requirements bring."""


def imported(folders: list[str]) -> set[str]:
    """Names of the modules from outside that the files of some folders import."""
    own = {"facerec", "clustering", "eval"}
    text = "\n".join(file.read_text(encoding="utf-8") for folder in folders for file in (ROOT / folder).rglob("*.py"))
    pattern = r"^ *(?:import (\w+)(?:\.\w+)*(?: as \w+)?|from (\w+)[\w.]* import .*)$"
    names = re.findall(pattern, text, re.MULTILINE)
    return {one or other for one, other in names} - own - set(sys.stdlib_module_names)


def name_of(line: str) -> str:
    return re.split(r"[^\w-]", line, maxsplit=1)[0]


def required(file: str) -> set[str]:
    found: set[str] = set()
    for line in (ROOT / file).read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            found |= required(line[3:])
        elif not line.startswith("#"):
            found.add(name_of(line))
    return found


@pytest.mark.parametrize(
    ("file", "folders"),
    [
        ("requirements-clustering.txt", ["clustering", "eval", "facerec/pipeline"]),
        ("requirements-cpu.txt", ["clustering", "eval", "facerec"]),
    ],
)
def test_they_name_what_is_imported(file, folders):
    optional = {"dgl"} | {name_of(line) for line in EXTRAS}
    wanted = {BROUGHT.get(name, NAMES.get(name, name)) for name in imported(folders)} - optional
    assert "numpy" in wanted
    assert wanted <= required(file)


def test_they_differ_from_the_project_in_what_needs_cuda_alone():
    project = {name_of(line) for line in PROJECT["dependencies"]}
    assert project - required("requirements-cpu.txt") == {"faiss-gpu", "dgl"}


@pytest.mark.parametrize(
    ("line", "because"),
    [
        ("opencv-python-headless>=4.13", "cv2.utils.logging"),
        ("insightface>=2.0", "SCRFD.detect(det_thresh=)"),
        ("jsonargparse[signatures]>=4.53", "ArgumentParser.format_help(formatter)"),
    ],
)
def test_the_oldest_version_that_is_allowed_has_what_is_called(line, because):
    files = [ROOT / file for file in ("requirements-clustering.txt", "requirements-cpu.txt")]
    assert line in PROJECT["dependencies"], because
    assert line in [each for file in files for each in file.read_text(encoding="utf-8").splitlines()], because
