"""The site finds new pages by itself, and links between docs/ and the rest of the repository lead to its pages."""

import json
from pathlib import Path
from types import SimpleNamespace

import command_pages
import notebook_pages
import pytest
import site_hooks
from jsonargparse.typing import OpenUnitInterval

ROOT = Path(__file__).resolve().parents[2]


def test_a_new_page_appears_by_itself():
    pages = ["index.md", "how-to/new.md", "how-to/another.md", "tutorials/photographs-to-people.md", "tutorials/a.md"]
    found = {title: value for section in site_hooks.navigation(pages) for title, value in section.items()}
    assert found["How to"] == ["how-to/another.md", "how-to/new.md"]
    assert found["Tutorials"] == ["tutorials/photographs-to-people.md", "tutorials/a.md"]


@pytest.mark.parametrize(
    ("uri", "written", "wanted"),
    [
        ("explanation/scale.md", "[x](../../recipes/RESULTS.md#5-scale)", "[x](../results.md#5-scale)"),
        ("results.md", "[x](../docs/lab/results.md)", "[x](lab/results.md)"),
        ("lab/benchmarks.md", "[x](../docs/lab/scale.md)", "[x](scale.md)"),
        ("explanation/how.md", "[x](../notebooks/hi-lander-climb.ipynb)", "[x](../tutorials/hi-lander-climb.md)"),
        (
            "index.md",
            "[x](reference/glossary.md), [y](https://a.b/c.md)",
            "[x](reference/glossary.md), [y](https://a.b/c.md)",
        ),
    ],
)
def test_links_are_pointed_to_pages_of_the_site(uri, written, wanted):
    page = SimpleNamespace(file=SimpleNamespace(src_uri=uri))
    assert site_hooks.on_page_markdown(written, page) == wanted


def test_a_notebook_becomes_a_page():
    notebook = json.loads((ROOT / "docs" / "notebooks" / "hi-lander-climb.ipynb").read_text(encoding="utf-8"))
    text, pictures = notebook_pages.page(notebook, "climb")
    assert text.startswith("# A climb, level by level")
    assert list(pictures) == ["climb-1.png", "climb-2.png"]
    assert all(name in text and content[1:4] == b"PNG" for name, content in pictures.items())


@pytest.mark.parametrize(
    ("annotation", "shown"),
    [
        (OpenUnitInterval, "NUMBER > 0 and < 1"),
        (Path | None, "PATH"),
        (list[Path], "list of PATH"),
        (int, "INTEGER"),
        (bool, "true or false"),
    ],
)
def test_types_are_named_as_users_know_them(annotation, shown):
    assert command_pages.type_name(annotation) == shown


def test_a_site_opened_from_disk_can_search(browser, tmp_path):
    """The theme's search asks a worker, which browsers refuse to files."""
    assert "polyfills: [javascripts/iframe-worker.js]" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    script = (ROOT / "docs" / "javascripts" / "iframe-worker.js").read_text(encoding="utf-8")
    (tmp_path / "worker.js").write_text("addEventListener('message', (event) => postMessage(event.data + 1));")
    page = f"""<body><script>{script}</script><script>
        const worker = new Worker("worker.js");
        worker.addEventListener("message", (event) => {{ document.title += event.data; }});
        for (const value of [1, 2]) worker.postMessage(value);</script>"""
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    opened = browser.new_page()
    opened.goto((tmp_path / "page.html").as_uri())
    opened.wait_for_function("document.title === '23'")
    opened.close()
