"""Pages from templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def render(template: Path, **content: Any) -> str:
    """A page from a template, which extends page.html, the frame and look of all; what it is given is escaped."""
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(template.name).render(**content)
