"""Pages from templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SCRIPT = (Path(__file__).parent / "wide.js").read_text(encoding="ascii")
"""The script of every page."""


def render(template: Path, **content: Any) -> str:
    """A page from a template, which extends page.html, the frame and look of all pages. What it is given is escaped."""
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(template.name).render(hint_script=Markup(SCRIPT), **content)
