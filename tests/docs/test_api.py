"""`help` of every public name states units and errors and has a working example; docs/api.md includes them."""

import doctest
import pydoc
import re
from pathlib import Path

import pytest

import hypervisor
import localnet
from tests.docs.api_page import PublicName, names_text, public_names

API_PROJECT = Path(__file__).resolve().parents[2]
PUBLIC_NAMES = [name for package in (hypervisor, localnet) for name in public_names(package)]


@pytest.mark.parametrize("name", PUBLIC_NAMES, ids=lambda name: name.full)
def test_the_example_of_a_public_name_runs(name: PublicName, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(API_PROJECT)
    example = doctest.DocTestParser().get_doctest(name.docstring, {}, name.full, None, None)
    assert example.examples, f"{name.full} has no example"
    report: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    runner.run(example, out=report.append)
    assert not runner.failures, "".join(report)


def test_page_has_each_public_name_with_its_docstring() -> None:
    text = names_text()
    for name in PUBLIC_NAMES:
        summary = name.docstring.splitlines()[0].replace("<", "&lt;")
        assert f"\n### {name.name}\n\n```text\n{name.signature}\n```\n\n{summary}" in text


@pytest.mark.parametrize("name", PUBLIC_NAMES, ids=lambda name: name.full)
def test_every_public_method_has_a_docstring_and_types(name: PublicName) -> None:
    bare = [member.name for member in name.members if not member.docstring]
    assert not bare, f"{name.full}: without a docstring are {', '.join(bare)}"
    untyped = [member.name for member in name.members if "->" not in member.signature]
    assert not untyped, f"{name.full}: without types are {', '.join(untyped)}"


@pytest.mark.parametrize("package", [hypervisor, localnet], ids=lambda package: package.__name__)
def test_help_of_a_package_shows_every_public_name(package: object) -> None:
    shown = re.sub(".\x08", "", pydoc.render_doc(package))  # names are struck twice, to be bold
    names: list[str] = package.__all__  # type: ignore[attr-defined]  # every public package has it
    assert [name for name in names if name not in shown] == []
    assert set(names) <= set(dir(package))
