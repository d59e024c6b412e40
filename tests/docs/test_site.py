"""The documentation site: its navigation lists every page, and a dead link fails the build."""

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from tests.packaging.project import PROJECT

SPHINX = PROJECT / "build" / "tools" / "docs" / "bin" / "python"


@pytest.fixture(scope="module")
def settings() -> ModuleType:
    specification = importlib.util.spec_from_file_location("docs_conf", PROJECT / "docs" / "conf.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_navigation_has_each_page_once(settings: ModuleType) -> None:
    pages = [f"docs/{page.stem}" for page in (PROJECT / "docs").glob("*.md") if page.stem != "README"]
    examples = [f"examples/{page.parent.name}/README" for page in (PROJECT / "examples").glob("*/README.md")]
    index = (PROJECT / "docs" / "README.md").read_text(encoding="utf-8")
    text = settings.navigation(index, [*pages, *examples, "docs/README", "docs/labs/README", "CHANGELOG"])
    found = re.findall(r"^/(.+)$", text, re.MULTILINE)
    assert sorted(found) == sorted([*pages, *examples, "docs/labs/README", "CHANGELOG"])
    captions = re.findall(r"^:caption: (.+)$", text, re.MULTILINE)
    assert captions == ["Use", "Protocol work", "Internals", "Reference", "Examples", "Project"]


@pytest.mark.slow
@pytest.mark.skipif(not SPHINX.exists(), reason="`make docs` has not installed its tools")
@pytest.mark.parametrize("link", ["missing.md", "page.md#no-such-heading"])
def test_a_dead_link_fails_the_build(link: str, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    shutil.copy(PROJECT / "docs" / "conf.py", docs)
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    index = "# Index\n\n## Use\n\n| page | purpose |\n|---|---|\n| [page](page.md) | a page |\n"
    (docs / "README.md").write_text(index)
    for target, status in (("README.md", 0), (link, 1)):
        (docs / "page.md").write_text(f"# Page\n\n[a link]({target})\n")
        command: list[str | Path] = [SPHINX, "-m", "sphinx", "-q", "-n", "-W", "-c", docs, tmp_path, tmp_path / "out"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
