"""Pages of the site from notebooks: their text, code, printed output and pictures."""

from __future__ import annotations

import base64
from typing import Any


def page(notebook: dict[str, Any], name: str) -> tuple[str, dict[str, bytes]]:
    """Markdown of a notebook, and its pictures by file name.

    Args:
        notebook: The parsed ``.ipynb`` file.
        name: Begins the pictures' names.
    """
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                file = f"{name}-{len(pictures) + 1}.png"
                pictures[file] = base64.b64decode(data["image/png"])
                parts.append(f"![]({file})")
            elif printed := "".join(output.get("text", data.get("text/plain", ""))):
                parts.append(f"```text\n{printed.rstrip()}\n```")
    parts.append(f"The notebook is `docs/notebooks/{name}.ipynb`.")
    return "\n\n".join(parts) + "\n", pictures
