"""Imports follow the data, and no file imports itself by way of others."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("facerec", "clustering", "eval")
SHARED = {"facerec": (), "clustering": ("facerec.pipeline", "eval.clusters"), "eval": ("facerec.pipeline",)}


def imported(source: str) -> set[str]:
    """Every module named by an import, wherever it stands; ``from a import b`` names ``a`` and ``a.b``."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "import_module":
            names |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
    return names


def violations(package: str, source: str) -> set[str]:
    """What a module of `package` imports against the rule."""
    names = imported(source)
    ours = {name for name in names if name.split(".")[0] in PACKAGES and name.split(".")[0] != package}
    wrong = {name for name in ours if not any(f"{name}.".startswith(f"{shared}.") for shared in SHARED[package])}
    heavy = {name for name in names if package == "eval" and name.split(".")[0] in ("torch", "torchvision")}
    bare = {name for name in names if name == "eval"}
    return wrong | heavy | bare


def import_graph(sources: dict[str, str]) -> dict[str, set[str]]:
    """The modules that each module imports; a package's own face, which only hands names on, leads nowhere below it."""
    edges = {}
    for name, source in sources.items():
        found = {each for each in imported(source) if each in sources and each != name}
        edges[name] = {each for each in found if not (is_package(name, sources) and each.startswith(f"{name}."))}
    return edges


def is_package(name: str, sources: dict[str, str]) -> bool:
    return any(other.startswith(f"{name}.") for other in sources)


def circles(edges: dict[str, set[str]]) -> list[set[str]]:
    """Groups of modules each of which is reached from each other one of the group."""
    reached = {name: reachable(name, edges) for name in edges}
    groups = {frozenset(other for other in reached[name] if name in reached[other]) for name in edges}
    return [set(group) for group in groups if group]


def reachable(start: str, edges: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    pending = list(edges[start])
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += edges[name]
    return found


def sources() -> dict[str, str]:
    files = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files]
    return {name: file.read_text(encoding="utf-8") for name, file in zip(names, files, strict=True)}


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        ("graph", {"answers", "backends", "clusterer", "learning", "pseudolabels", "quality", "result", "similarity"}),
        ("similarity", {"answers", "backends", "clusterer", "learning", "pseudolabels", "quality", "result"}),
        ("backends", {"answers", "commands", "pseudolabels", "quality", "review"}),
        ("learning", {"answers", "commands", "pseudolabels", "quality", "review"}),
    ],
)
def test_lower_parts_of_clustering_import_no_higher_ones(lower, higher):
    modules = {name: source for name, source in sources().items() if name.startswith(f"clustering.{lower}.")}
    assert modules
    for name, source in modules.items():
        parts = {each.split(".")[1] for each in imported(source) if each.startswith("clustering.")}
        assert not parts & higher, f"{name} imports {parts & higher}"


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_keep_the_import_rule(package):
    modules = sorted((ROOT / package).rglob("*.py"))
    assert modules
    found = {str(m.relative_to(ROOT)): violations(package, m.read_text()) for m in modules}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_no_file_imports_itself_by_way_of_others():
    assert circles(import_graph(sources())) == []


def test_insightface_and_albumentations_have_one_home_each():
    homes = {
        "insightface": {"facerec.alignment.crop", "facerec.alignment.detector"},
        "albumentations": {"facerec.training.augment"},
    }
    for module, home in homes.items():
        users = {name for name, text in sources().items() if any(x.split(".")[0] == module for x in imported(text))}
        assert users == home


@pytest.mark.parametrize(
    ("package", "source", "wrong"),
    [
        ("facerec", "import clustering.graph", {"clustering.graph"}),
        ("facerec", "def f():\n    from eval.report import figures", {"eval.report", "eval.report.figures"}),
        ("facerec", "import_module('eval.report.figures')", {"eval.report.figures"}),
        ("clustering", "from facerec.stores import open", {"facerec.stores", "facerec.stores.open"}),
        ("clustering", "from eval.report import page", {"eval.report", "eval.report.page"}),
        ("clustering", "from eval import clusters_of", {"eval", "eval.clusters_of"}),
        ("eval", "from facerec.training import step", {"facerec.training", "facerec.training.step"}),
        ("eval", "from clustering.graph import edges", {"clustering.graph", "clustering.graph.edges"}),
        ("eval", "import torch.nn", {"torch.nn"}),
        ("clustering", "import eval", {"eval"}),
        ("clustering", "from facerec.pipelines import x", {"facerec.pipelines", "facerec.pipelines.x"}),
        ("clustering", "from facerec.pipeline.files import InputError\nfrom eval.clusters import scores", set()),
        ("eval", "from facerec.pipeline.stage import stage\nimport numpy", set()),
    ],
)
def test_the_rule_catches_what_it_should(package, source, wrong):
    assert violations(package, source) == wrong


@pytest.mark.parametrize(
    "hidden",
    [
        "from facerec import a",
        "def f():\n    from facerec.a import g",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import facerec.a",
        "import importlib\nimportlib.import_module('facerec.a')",
    ],
)
def test_a_circle_is_found_wherever_its_import_hides(hidden):
    modules = {"facerec": "from facerec import a, b", "facerec.a": "import facerec.b", "facerec.b": "import facerec.c"}
    assert circles(import_graph({**modules, "facerec.c": "import numpy"})) == []
    assert circles(import_graph({**modules, "facerec.c": hidden})) == [{"facerec.a", "facerec.b", "facerec.c"}]
