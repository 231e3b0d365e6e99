"""The notebooks run from their first cell to their last."""

import json
from pathlib import Path

import matplotlib
import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(notebook, monkeypatch, capsys):
    import matplotlib.pyplot as plt

    matplotlib.use("Agg")
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gcf()) or plt.close("all"))
    cells = [cell for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    names: dict[str, object] = {"__name__": "__main__"}
    for cell in cells:
        exec(compile("".join(cell["source"]), notebook.name, "exec"), names)
    kept = [output for cell in cells for output in cell["outputs"] if "image/png" in output.get("data", {})]
    assert len(shown) == len(kept) >= 2
    assert capsys.readouterr().out


def test_there_are_two():
    assert len(NOTEBOOKS) == 2
