"""What `from eval.x import y` gives, and what it doesn't import."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import eval.clusters
import eval.metrics

WINGS = ["clusters", "metrics", "bootstrap", "protocols", "report", "commands"]


@pytest.mark.parametrize("wing", [eval.clusters, eval.metrics])
def test_every_name_is_a_function_or_class_even_after_all_modules_are_imported(wing):
    for file in Path(wing.__file__).parent.glob("*.py"):
        import_module(f"{wing.__name__}.{file.stem}".removesuffix(".__init__"))
    for name in wing.__all__:
        assert callable(getattr(wing, name)), name
    assert dir(wing) == sorted(wing.__all__)
    with pytest.raises(AttributeError, match=f"module '{wing.__name__}' has no attribute 'nothing'"):
        wing.nothing  # noqa: B018


def test_nothing_heavy_is_imported():
    lines = [f"import eval.{wing}" for wing in WINGS]
    lines += ["from eval.clusters import scores", "from eval.metrics import verification, identification"]
    lines += ["import sys", "print(sorted({'torch', 'matplotlib', 'sklearn', 'faiss'} & set(sys.modules)))"]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_types_are_for_users_too():
    assert (Path(eval.metrics.__file__).parents[1] / "py.typed").exists()
