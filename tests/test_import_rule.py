"""Imports follow the data: facerec needs neither sibling; they need its file formats, stages and processes."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("facerec", "clustering", "eval")
SHARED = {"facerec.artifacts", "facerec.stages", "facerec.processes"}


def imported(source: str) -> set[str]:
    """Every module named by an import statement, wherever it stands; ``from a import b`` names ``a`` and ``a.b``."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def violations(package: str, source: str) -> set[str]:
    """What a module of `package` imports against the rule."""
    names = imported(source)
    ours = {name for name in names if name.split(".")[0] in PACKAGES and name.split(".")[0] != package}
    if package == "facerec":
        wrong = ours
    else:
        shared = {name for name in ours if any(name == s or name.startswith(f"{s}.") for s in SHARED)}
        scores = {name for name in ours if package == "clustering" and name.startswith("eval.clusters")}
        wrong = ours - shared - scores
    heavy = {name for name in names if package == "eval" and name.split(".")[0] in ("torch", "torchvision")}
    bare = {name for name in names if name == "eval"}
    return wrong | heavy | bare


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_keep_the_import_rule(package):
    modules = sorted((ROOT / package).rglob("*.py"))
    assert modules
    found = {str(m.relative_to(ROOT)): violations(package, m.read_text()) for m in modules}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_only_detect_imports_insightface_and_only_augment_imports_albumentations():
    for module, home in {"insightface": "detect.py", "albumentations": "augment.py"}.items():
        users = {
            path.name
            for package in PACKAGES
            for path in (ROOT / package).rglob("*.py")
            if any(name.split(".")[0] == module for name in imported(path.read_text()))
        }
        assert users == {home}


@pytest.mark.parametrize(
    ("package", "source", "wrong"),
    [
        ("facerec", "import clustering.knn", {"clustering.knn"}),
        ("facerec", "def f():\n    from eval.ijb import ijb", {"eval.ijb", "eval.ijb.ijb"}),
        ("clustering", "from facerec.store import open_store", {"facerec.store", "facerec.store.open_store"}),
        ("clustering", "from eval.report import compare", {"eval.report", "eval.report.compare"}),
        ("eval", "from facerec.train import train", {"facerec.train", "facerec.train.train"}),
        ("eval", "from clustering.knn import KnnGraph", {"clustering.knn", "clustering.knn.KnnGraph"}),
        ("eval", "import torch.nn", {"torch.nn"}),
        ("clustering", "import eval", {"eval"}),
        ("clustering", "from facerec.artifacts import InputError\nfrom eval.clusters import scores", set()),
        (
            "clustering",
            "from facerec.distributed import gathered",
            {"facerec.distributed", "facerec.distributed.gathered"},
        ),
        ("eval", "from facerec.stages import stage\nfrom facerec.processes import rank\nimport numpy", set()),
    ],
)
def test_the_rule_catches_what_it_should(package, source, wrong):
    assert violations(package, source) == wrong
