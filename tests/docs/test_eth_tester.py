"""The example of the eth-tester page prints the documented output."""

import re

import pytest

from tests.packaging.project import PROJECT

PAGE = (PROJECT / "docs" / "eth-tester.md").read_text(encoding="utf-8")


def test_example_prints_output_stated_in_comment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(PROJECT)
    exec(compile(example, "eth-tester.md", "exec"), {})
    (said,) = re.findall(r"# .*: (\w+)$", example, re.MULTILINE)
    assert capsys.readouterr().out == f"{said}\n"


def test_the_variable_names_the_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    from eth_tester import EthereumTester

    from localnet.testing.eth_tester_backend import HypervisorBackend

    (name, value) = re.findall(r"`(ETHEREUM_TESTER_\w+)=([\w.]+)`", PAGE)[0]
    monkeypatch.setenv(name, value)
    assert isinstance(EthereumTester().backend, HypervisorBackend)
