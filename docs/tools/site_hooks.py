"""Hooks of ``mkdocs build``: generated pages, files from outside docs/, and a navigation that finds new pages."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))
import command_pages
import notebook_pages

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = {
    "recipes/RESULTS.md": "results.md",
    "benchmarks/RESULTS.md": "lab/benchmarks.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""Pages of the site that lie elsewhere in the repository."""
SECTIONS = {
    "Tutorials": "tutorials", "How to": "how-to", "Reference": "reference", "Explanation": "explanation",
    "Laboratory diary": "lab",
}  # fmt: skip
FIRST = (
    "cluster-embeddings",
    "photographs-to-people",
    "whole-loop",
    "how-hi-lander-works",
    "facerec",
    "clustering",
    "eval",
)
"""Pages that come first in their section, by file name; the others follow by name."""
LINK = re.compile(r"\]\(([^)#:\s]+)(#[^)]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Adds the generated pages and orders the navigation; a page that is added to a folder appears by itself."""
    for program in command_pages.PROGRAMS:
        files.append(File.generated(config, f"reference/{program}.md", content=command_pages.page(program)))
    for source, page in OUTSIDE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    for notebook in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        markdown, pictures = notebook_pages.page(json.loads(notebook.read_text(encoding="utf-8")), notebook.stem)
        files.append(File.generated(config, f"tutorials/{notebook.stem}.md", content=markdown))
        for name, content in pictures.items():
            files.append(File.generated(config, f"tutorials/{name}", content=content))
    config.nav = navigation([file.src_uri for file in files.documentation_pages()])
    return files


def navigation(pages: list[str]) -> list[Any]:
    """The site's navigation from the paths of its pages."""
    sections = [{title: _ordered(pages, folder)} for title, folder in SECTIONS.items()]
    single = [{"Results": "results.md"}, {"Changes": "changelog.md"}, {"Contributing": "contributing.md"}]
    return [{"Home": "index.md"}, *sections, *single]


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Points links between docs/ and the rest of the repository to pages of the site."""
    uri = page.file.src_uri
    source = next((path for path, target in OUTSIDE.items() if target == uri), f"docs/{uri}")
    return LINK.sub(lambda found: f"]({_relinked(found[1], source, uri)}{found[2] or ''})", markdown)


def _relinked(link: str, source: str, uri: str) -> str:
    target = os.path.normpath(PurePosixPath(source).parent / link)
    inside = OUTSIDE.get(target, target.removeprefix("docs/"))
    if inside.startswith("notebooks/"):
        inside = f"tutorials/{PurePosixPath(inside).stem}.md"
    if inside == target:  # neither in docs/ nor a page of the site
        return link
    return os.path.relpath(inside, PurePosixPath(uri).parent)


def _ordered(pages: list[str], folder: str) -> list[str]:
    def place(page: str) -> tuple[int, str]:
        stem = PurePosixPath(page).stem
        return (FIRST.index(stem) if stem in FIRST else len(FIRST), page)

    return sorted((page for page in pages if page.startswith(f"{folder}/")), key=place)
