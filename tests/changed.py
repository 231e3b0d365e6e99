"""Prints the test files of what differs from a commit: python tests/changed.py [COMMIT].

Of a changed file of a package those in the folder of the same name below tests/, or in the nearest one above it; and
the changed tests themselves. Of a page, a notebook or a file of results those of the documentation.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ALWAYS = "tests/test_import_rule.py"
PAGES = {"tests/docs", "tests/test_readme.py"}


def tests_of(file: str) -> set[str]:
    """The test files or folders of a changed file."""
    path = Path(file)
    if path.parts[0] == "tests":
        return {file} if path.name.startswith("test_") and (ROOT / path).exists() else set()
    if path.suffix in (".md", ".ipynb") or path.parts[0] in ("docs", "results"):
        return PAGES
    if path.suffix != ".py":
        return set()
    folder = next((p for p in (Path("tests") / path).parents if (ROOT / p).is_dir()), Path("tests"))
    named = ROOT / folder / f"test_{path.name}"
    if named.exists():
        return {str(named.relative_to(ROOT))}
    found = {str(each.relative_to(ROOT)) for each in (ROOT / folder).glob("test_*.py")}
    return found if folder != Path("tests") else set()


def main() -> None:
    """Prints them, one a line."""
    base = sys.argv[1] if len(sys.argv) > 1 else "HEAD"
    changed = subprocess.run(["git", "diff", "--name-only", base], cwd=ROOT, check=True, capture_output=True, text=True)
    fresh = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    files = (changed.stdout + fresh.stdout).splitlines()
    print("\n".join(sorted({ALWAYS}.union(*map(tests_of, files)))))


if __name__ == "__main__":
    main()
