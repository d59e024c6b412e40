"""Rewriting of tests: what is replaced, and positions of the code. Rules: forge, crates/common/src/preprocessor."""

import json
from pathlib import Path
from typing import Any

import pytest

from hypervisor_tools.soltest.compile.compiler import CompileError, WarningsDenied
from hypervisor_tools.soltest.compile.dynamic_linking import Linked, link_dynamically
from hypervisor_tools.soltest.execution.discovery import SuiteFilter
from hypervisor_tools.soltest.execution.job import Options
from hypervisor_tools.soltest.project.project import Project, load_project
from hypervisor_tools.soltest.project.sources import read_sources
from hypervisor_tools.soltest.run.session import SuiteSession
from tests.hypervisor_tools.soltest.contracts import PASS, artifact, forge_out

COUNTERS = """contract Plain { uint256 public x; }
contract Named { constructor(uint256 a, string memory /* label */ b, address[] calldata) payable {} }
"""
VM = r"VmContractHelper0_test_T_t_sol(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D)"


def linked(folder: Path, test: str, name: str = "test/T.t.sol") -> Linked:
    (folder / "foundry.toml").touch()
    for path, text in (("src/Counters.sol", COUNTERS), (name, f'import "../src/Counters.sol";\n{test}')):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    project = Project(folder)
    return link_dynamically(project, read_sources(project, ["src/Counters.sol", name]))


def body(folder: Path, test: str) -> str:
    """Return the second line of the rewritten test."""
    return linked(folder, test).sources.texts["test/T.t.sol"].splitlines()[1]


def test_creation_loads_the_code_by_name(tmp_path: Path) -> None:
    found = body(tmp_path, 'contract T { Plain p = new Plain(); string s = "new Plain()"; /* new Plain() */ }')
    deployed = f'Plain(payable({VM}.deployCode({{_artifact: "src/Counters.sol:Plain"}})))'
    assert found == f'contract T {{ Plain p = {deployed}; string s = "new Plain()"; /* new Plain() */ }}'


def test_arguments_are_encoded_by_a_helper(tmp_path: Path) -> None:
    made = linked(tmp_path, 'contract T { function t() public { new Named{\n salt: "s", value: 7}(1, "b", a); } }')
    text = made.sources.texts["test/T.t.sol"]
    options = '_artifact: "src/Counters.sol:Named", _value: 7, _salt: "s"'
    encoded = '_args: encodeArgs0(DeployHelper0.FoundryPpConstructorArgs\n(1, "b", a))'
    assert f"Named(payable({VM}.deployCode({{{options}, {encoded}}})))" in text
    assert text.count("\n", 0, text.index("(1,")) == 2  # as in the test
    helper = made.sources.texts["foundry-pp/DeployHelper0.sol"]
    assert "{ uint256 a; string b; address[] foundry_pp_ctor_arg1; }" in helper
    assert "abi.encode(args.a, args.b, args.foundry_pp_ctor_arg1)" in helper
    assert made.sources.closure(["test/T.t.sol"]) >= {"foundry-pp/DeployHelper0.sol", "src/Counters.sol"}


def test_creation_in_a_try_statement_has_a_function_for_its_type(tmp_path: Path) -> None:
    found = body(tmp_path, "contract T { function t() public { try new Plain() returns (Plain p) {} catch {} } }")
    assert f'try this.addressToPlain0_test_T_t_sol({VM}.deployCode({{_artifact: "src/Counters.sol:Plain"}}))' in found
    assert "function addressToPlain0_test_T_t_sol(address addr) public pure returns (Plain)" in found


def test_creation_code_stays_in_constants_pure_functions_and_modifiers(tmp_path: Path) -> None:
    code = "type(Plain).creationCode"
    kept = f"bytes constant CODE = {code}; function f() pure returns (bytes memory) {{ return {code}; }}"
    kept += f" modifier m() {{ {code}; _; }}"
    found = body(tmp_path, f"contract T {{ {kept} function g() view returns (bytes memory) {{ return {code}; }} }}")
    assert found == f"contract T {{ {kept} function g() view returns (bytes memory) {{ return {VM}.getCode(\"src/Counters.sol:Plain\"); }} }}"  # fmt: skip  # noqa: E501


def test_mocks_scripts_and_other_contracts_stay(tmp_path: Path) -> None:
    create = "contract T { function t() public { new Plain(); } }"
    assert not linked(tmp_path, f"contract Mock is Plain {{}} {create}").edits
    assert not linked(tmp_path, f"contract Script {{}} {create.replace('T', 'T is Script')}").edits
    assert not linked(tmp_path, "contract Own {} contract T { function t() public { new Own(); } }").edits
    assert not linked(tmp_path, create, "script/T.s.sol").edits


def test_a_creation_with_an_error_stays(tmp_path: Path) -> None:
    for call in ("Plain(1)", "Named(1)", "Named({a: 1, b: s})"):
        assert not linked(tmp_path, f"contract T {{ function t() public {{ new {call}; }} }}").edits, call
    assert linked(tmp_path, "contract T { function t() public { new Named({a: 1, b: s, x: l}); } }").edits
    assert not linked(tmp_path, "contract T { function t() public { new Plain(); }").edits  # a bracket is missing


def test_errors_of_the_language_in_lines_without_an_edit_are_the_projects(tmp_path: Path) -> None:
    """Errors as solc 0.8.37 reports them."""
    made = linked(tmp_path, "contract T { function t() public {\nnew Plain();\ncal(); } }")
    text, name = made.sources.texts["test/T.t.sol"], "test/T.t.sol"
    own = error("DeclarationError", name, text.index("cal()"))
    in_source = error("TypeError", "src/Counters.sol", 0)
    others = [
        error("TypeError", name, text.index("Plain(")),
        error("TypeError", name, text.index("interface VmContractHelper")),
        error("TypeError", "foundry-pp/DeployHelper0.sol", 0),
        error("CompilerError", name, text.index("cal()")),  # the stack is too deep
        {"type": "JSONError"},
    ]
    assert made.errors_of_project([own, *others, in_source]) == [own, in_source]


def test_an_error_of_the_project_is_reported_after_one_compilation(tmp_path: Path) -> None:
    linked(tmp_path, "contract T { function t() public {\nnew Plain();\ncal(); } }")
    answer = json.dumps({"errors": [error("DeclarationError", "src/Counters.sol", 0) | {"message": "no cal"}]})
    solc, log = tmp_path / "solc", tmp_path / "log"
    asked = f"#!/bin/sh\n[ $1 = --version ] && echo Version: 0.8.37 && exit\necho >> {log}\ncat > /dev/null"
    solc.write_text(f"{asked}\necho '{answer}'", encoding="utf-8")
    solc.chmod(0o755)
    with pytest.raises(CompileError, match="no cal"):
        SuiteSession(Project(tmp_path, dynamic_test_linking=True), SuiteFilter(), Options(use=str(solc))).prepare()
    assert log.read_text(encoding="utf-8") == "\n"


def test_warnings_have_the_projects_line_and_forges_code(tmp_path: Path) -> None:
    """The texts are those of forge 1.7.1, whose line is the project's."""
    made = linked(tmp_path, "contract T { function t() public { Plain p = new Plain(); } }")
    line, name = made.sources.texts["test/T.t.sol"].splitlines()[1], "test/T.t.sol"
    place: dict[str, Any] = {
        "sourceLocation": {"file": name, "start": len('import "../src/Counters.sol";\n') + 1, "end": 60}
    }
    place |= {"severity": "warning"}
    shown = {"errorCode": "2072", "formattedMessage": f"Warning: Unused local variable.\n2 | {line}\n\n", **place}
    ignored = {"errorCode": "1878", "formattedMessage": "Warning: SPDX license identifier", **place}
    texts: list[str] = []
    session = SuiteSession(load_project(tmp_path), SuiteFilter(), Options(), texts.append)
    session._show_warnings(made, [shown, ignored, shown])
    text = "Warning (2072): Unused local variable.\n2 | contract T { function t() public { Plain p = new Plain(); } }"
    assert texts == [f"Compiler run successful with warnings:\n{text}"]
    (tmp_path / "foundry.toml").write_text("[profile.default]\ndeny = 'warnings'\n", encoding="utf-8")
    session.project = load_project(tmp_path)
    with pytest.raises(WarningsDenied, match="Unused local variable"):
        session._show_warnings(made, [shown])
    (tmp_path / "foundry.toml").write_text(
        "[profile.default]\ndeny = true\nignored_error_codes = ['unused-var', 1878]\n", encoding="utf-8"
    )
    session.project = load_project(tmp_path)
    session._show_warnings(made, [shown, ignored])
    assert len(texts) == 1


def test_notes_and_warnings_about_no_source_are_shown(tmp_path: Path) -> None:
    """As by forge 1.7.1 with a compiler whose output was changed so; it denies no notes."""
    made, texts = linked(tmp_path, "contract T {}"), list[str]()
    (tmp_path / "foundry.toml").write_text("[profile.default]\ndeny = 'notes'\nignored_warnings_from = ['']\n")
    session = SuiteSession(load_project(tmp_path), SuiteFilter(), Options(), texts.append)
    session._show_warnings(made, [{"severity": "info", "formattedMessage": "Info: proved\n\n"}])
    coded = {"severity": "info", "errorCode": "1391", "formattedMessage": "Info: proved safe\n\n"}
    session._show_warnings(made, [coded])
    begin = "Compiler run successful with warnings:\n"
    assert texts == [f"{begin}Info: proved", f"{begin}Info (1391): proved safe"]
    early = {"severity": "warning", "errorCode": "3805", "formattedMessage": "Warning: a pre-release\n\n"}
    with pytest.raises(WarningsDenied, match=r"Info: proved\nWarning \(3805\): a pre-release"):
        session._show_warnings(made, [{"severity": "info", "formattedMessage": "Info: proved"}, early])


@pytest.mark.parametrize(
    ("path", "is_shown"),
    [("src", False), ("src/", False), ("./src", False), ("src/ab.sol", False), ("", False),
     ("src/a", True), ("ab.sol", True), ("test/../src", True), ("/project/src", True)],
)  # fmt: skip
def test_paths_of_ignored_warnings_are_compared_by_part(path: str, is_shown: bool, tmp_path: Path) -> None:
    """Forge 1.7.1 shows and hides the same ones."""
    for line in (f"ignored_warnings_from = ['{path}']", f"ignored_error_codes_from = [['{path}', [5667]]]"):
        (tmp_path / "foundry.toml").write_text(f"[profile.default]\n{line}\n", encoding="utf-8")
        assert load_project(tmp_path).warnings.shows(5667, "src/ab.sol") is is_shown


def test_denied_warnings_of_code_that_forge_compiled_are_found(tmp_path: Path) -> None:
    text, name = "contract T { function testT() public {} }", "test/T.t.sol"
    (tmp_path / "test").mkdir()
    (tmp_path / name).write_text(text, encoding="utf-8")
    forge_out(tmp_path, name, text, {"T": artifact({"testT()": PASS})})
    warning = {
        "severity": "warning",
        "formattedMessage": "Warning: visible",
        "sourceLocation": {"file": name, "start": 0},
    }
    solc, answer = tmp_path / "solc", json.dumps({"errors": [warning]})
    solc.write_text(
        f"#!/bin/sh\n[ $1 = --version ] && echo Version: 0.8.30 && exit\ncat > /dev/null\necho '{answer}'",
        encoding="utf-8",
    )
    solc.chmod(0o755)
    (tmp_path / "foundry.toml").touch()
    SuiteSession(load_project(tmp_path), SuiteFilter(), Options(use=str(solc))).prepare()
    (tmp_path / "foundry.toml").write_text("[profile.default]\ndeny = 'warnings'\n", encoding="utf-8")
    for _ in range(2):
        with pytest.raises(WarningsDenied, match="visible"):
            SuiteSession(load_project(tmp_path), SuiteFilter(), Options(use=str(solc))).prepare()


def error(kind: str, file: str, start: int) -> dict[str, Any]:
    return {"type": kind, "sourceLocation": {"file": file, "start": start, "end": start + 5}, "severity": "error"}


def test_source_maps_have_the_positions_of_the_test(tmp_path: Path) -> None:
    made = linked(tmp_path, "contract T { function t() public { new Plain(); int é = 1; new Plain(); last(); } }")
    text, name = made.sources.texts["test/T.t.sol"].encode(), "test/T.t.sol"
    places = [(text.index(b"Plain(pay"), 5), (text.index(b"last("), 4), (len(text) - 3, 1)]
    code = {"sourceMap": ";".join(f"{start}:{length}:0:-" for start, length in places) + ";;3:1:1"}
    output = {"sources": {name: {"id": 0}, "foundry-pp/DeployHelper0.sol": {"id": 1}}, "contracts": {name: {"T": {"evm": {"bytecode": code}}}}}  # noqa: E501  # fmt: skip
    made.restore_maps(output, [name])
    original = made.original.texts[name].encode()
    first, last, tail, *rest = code["sourceMap"].split(";")
    assert first.split(":")[0] == str(original.index(b"new Plain"))
    assert last == f"{original.index(b'last(')}:4:0:-"
    assert tail == f"{len(original)}:0:0:-"
    assert rest[1] == "3:1:-1"
