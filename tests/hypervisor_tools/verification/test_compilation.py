"""Submissions and their compilation: malformed requests, compilers that fail, and limits."""

import json
from pathlib import Path
from typing import Any

import pytest

from hypervisor_tools.soltest.compile.compiler import Solc
from hypervisor_tools.verification import compilation
from hypervisor_tools.verification.compilation import Submission, VerificationError, compile_submission, solc_of
from tests.hypervisor_tools.verification.contracts import (
    FILE,
    OUTPUTS,
    SOURCE,
    body,
    printing,
    recorded_answer,
    running,
)


def source_json(**changes: Any) -> dict[str, Any]:
    return {**body()["stdJsonInput"], **changes}


def outcome(solc: Solc, **changes: Any) -> VerificationError:
    with pytest.raises(VerificationError) as raised:
        compile_submission(Submission.of(body(**changes)), lambda _: solc)
    return raised.value


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"stdJsonInput": None}, "invalid_parameter", "stdJsonInput is missing"),
        ({"stdJsonInput": source_json(language="Vyper")}, "unsupported_language", "'Vyper' is not supported"),
        ({"stdJsonInput": source_json(sources={})}, "invalid_parameter", "1 to 5000 sources"),
        ({"stdJsonInput": source_json(sources=[1])}, "invalid_parameter", "1 to 5000 sources"),
        ({"stdJsonInput": source_json(sources={str(key): {} for key in range(5001)})}, "invalid_parameter", "5000"),
        ({"stdJsonInput": source_json(settings=1)}, "invalid_parameter", "settings is not an object"),
        ({"stdJsonInput": source_json(sources={"a\nb": {"content": ""}})}, "invalid_parameter", "printable"),
        ({"stdJsonInput": source_json(sources={"a" * 1025: {"content": ""}})}, "invalid_parameter", "printable"),
        ({"stdJsonInput": source_json(sources={FILE: {"urls": ["/etc/passwd"]}})}, "invalid_parameter", "not fetched"),
        ({"stdJsonInput": source_json(sources={FILE: {"content": 1}})}, "invalid_parameter", "has no content"),
        ({"compilerVersion": "0.8.30"}, "invalid_parameter", "expected a version with its commit"),
        ({"compilerVersion": "../../x+commit.12345678"}, "invalid_parameter", "expected a version with its commit"),
        ({"compilerVersion": None}, "invalid_parameter", "compilerVersion is None"),
        (
            {"compilerVersion": "0.8.31-nightly.2025.8.11+commit.635fe8f8"},
            "invalid_compiler_version",
            "is a nightly build",
        ),
        ({"contractIdentifier": "Kept"}, "invalid_parameter", "such as src/Vault.sol:Vault"),
        ({"contractIdentifier": f"{FILE}:"}, "invalid_parameter", "such as src/Vault.sol:Vault"),
        ({"contractIdentifier": "src/Other.sol:Kept"}, "invalid_parameter", f"which has {FILE}"),
        ({"creationTransactionHash": "0x12"}, "invalid_parameter", "creationTransactionHash is '0x12'"),
    ],
)
def test_malformed_submissions_are_refused(changes: dict[str, Any], code: str, words: str) -> None:
    with pytest.raises(VerificationError, match=words) as raised:
        Submission.of(body(**changes))
    assert raised.value.code == code
    assert len(str(raised.value)) < 700


def test_body_that_is_not_an_object_is_refused() -> None:
    with pytest.raises(VerificationError, match="not a JSON object"):
        Submission.of([])


def test_output_of_the_compiler_is_used(tmp_path: Path) -> None:
    found = compile_submission(Submission.of(body()), lambda _: printing(tmp_path, recorded_answer()))
    assert found.artifact.runtime.object == OUTPUTS["as deployed"]["Kept"]["evm"]["deployedBytecode"]["object"]
    assert found.artifact.abi == OUTPUTS["as deployed"]["Kept"]["abi"]


def test_compiler_gets_the_sources_and_the_settings_that_concern_the_code(tmp_path: Path) -> None:
    """The model checker, which starts programs, and the client's choice of outputs are dropped."""
    settings = {
        "optimizer": {"enabled": True},
        "modelChecker": {"engine": "chc"},
        "outputSelection": {"*": {"*": ["*"]}},
    }
    sources = {FILE: {"content": SOURCE, "urls": ["x"]}, "../up.sol": {"content": "contract Up {}"}}
    script = f"import sys; open({str(tmp_path / 'asked')!r}, 'w').write(sys.stdin.read()); print('{{}}')"
    outcome(running(tmp_path, script), stdJsonInput=source_json(sources=sources, settings=settings, auxiliaryInput={}))
    asked = json.loads((tmp_path / "asked").read_text(encoding="utf-8"))
    assert set(asked) == {"language", "sources", "settings"}
    assert asked["sources"] == {FILE: {"content": SOURCE}, "../up.sol": {"content": "contract Up {}"}}
    assert set(asked["settings"]) == {"optimizer", "outputSelection"}
    assert list(asked["settings"]["outputSelection"]) == [FILE]
    assert list(asked["settings"]["outputSelection"][FILE]) == ["Kept"]


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        ({"errors": [{"severity": "error", "formattedMessage": "ParserError: ;"}]}, "compiler_error", "ParserError: ;"),
        ({"errors": [{"severity": "error", "message": "e" * 9000}]}, "compiler_error", "eee"),
        ({"errors": [{"severity": "warning", "message": "w"}]}, "contract_not_found_in_compiler_output", "'Kept' in"),
        ({"contracts": {FILE: {"Kept": {"metadata": "{"}}}}, "metadata_not_set", "no metadata"),
        ([], "compiler_error", "printed no JSON object"),
    ],
)
def test_failures_of_the_compiler_are_reported(tmp_path: Path, answer: Any, code: str, words: str) -> None:
    found = outcome(printing(tmp_path, answer))
    assert found.code == code
    assert words in str(found)
    assert len(str(found)) <= 4000


def test_compiler_of_another_commit_is_not_used(tmp_path: Path) -> None:
    found = outcome(printing(tmp_path, recorded_answer()), compilerVersion="0.8.30+commit.00000000")
    assert found.code == "invalid_compiler_version"
    assert "0.8.30+commit.73712a01, not 0.8.30+commit.00000000" in str(found)


def test_contracts_without_code_are_named(tmp_path: Path) -> None:
    empty = OUTPUTS["as deployed"]["Kept"] | {"evm": {"bytecode": {"object": ""}, "deployedBytecode": {"object": ""}}}
    found = outcome(printing(tmp_path, {"contracts": {FILE: {"Kept": empty}}}))
    assert found.code == "compiled_bytecode_is_zero"


def test_unknown_releases_are_refused_without_a_download(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no npm
    with pytest.raises(VerificationError, match=r"solc 0\.9\.99 is not a known release") as raised:
        solc_of("0.9.99")
    assert raised.value.code == "invalid_compiler_version"


def test_missing_compilers_are_not_downloaded_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    with pytest.raises(VerificationError, match=r"solc 0\.8\.29 is not installed, and --offline") as raised:
        compile_submission(
            Submission.of(body(compilerVersion="0.8.29+commit.ab55807c")), lambda name: solc_of(name, offline=True)
        )
    assert raised.value.code == "invalid_compiler_version"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "value", "program", "words"),
    [
        ("SECONDS", 0.5, "import time; time.sleep(20)", "did not end after 0.5 seconds"),
        ("MEMORY", 256 << 20, "import sys; sys.stdin.read(); bytearray(1 << 30)", "MemoryError"),
        (
            "OUTPUT",
            1 << 20,
            "import sys; sys.stdin.read(); [print('x' * 1_000) for _ in range(1_000_000)]",
            "printed more than 1,048,576 bytes",
        ),
    ],
    ids=["time", "memory", "output"],
)
def test_compilation_is_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: float, program: str, words: str
) -> None:
    monkeypatch.setattr(compilation, limit, value)
    found = outcome(running(tmp_path, program))
    assert (found.code, words in str(found)) == ("compiler_error", True)


def test_compiler_runs_in_an_empty_folder_with_a_bare_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODE_OPTIONS", "--require=./own.js")
    found = outcome(running(tmp_path, "import os; os.sys.exit(f'{os.listdir()} {sorted(os.environ)} {os.getcwd()}')"))
    assert "[] [" in str(found)
    assert "NODE_OPTIONS" not in str(found)
    assert str(Path.cwd()) not in str(found).split("]")[-1]
