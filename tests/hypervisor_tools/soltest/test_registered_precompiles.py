"""Custom precompiles in Solidity tests: those of foundry.toml and the command line, and their traces.

Expected: sums done by hand, forge's words for precompiles in traces.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from eth_abi.abi import encode
from wasmtime import wat2wasm

from hypervisor.errors import InvalidInput
from hypervisor.precompiles import Precompile
from hypervisor_tools.soltest.cheatcodes.state import VM_ADDRESS
from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.execution.results import CaseStatus, TestResult
from hypervisor_tools.soltest.project.project import load_project
from tests.command import run as run_command
from tests.hypervisor_tools.soltest.contracts import artifact, forge_out

Run = Callable[..., dict[str, dict[str, TestResult]]]
PLACE = "0x0000000000000000000000000000000000000a11"
ADDS = bytes(
    wat2wasm("""(module (memory (export "memory") 1)
  (func (export "allocate") (param i32) (result i32) i32.const 16)
  (func (export "run") (param $at i32) (param $size i32) (result i64)
    (if (i32.ne (local.get $size) (i32.const 64)) (then unreachable))
    (i32.store8 (i32.add (local.get $at) (i32.const 31))
      (i32.add (i32.load8_u offset=31 (local.get $at)) (i32.load8_u offset=63 (local.get $at))))
    (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)) (i64.const 32))))""")
)
"""Returns the sum of the last bytes of two words."""
CALLS = ["6028", "5f52", "6002", "602052", f"60205f60405f73{PLACE[2:]}5afa"]
"""Code that requests 40 + 2; leaves the success flag on the stack, and the result in memory at 0."""
GOOD = [*CALLS, "5f51602a1416", "@good", "57", "5f5ffd", "good:", "00"]
FAILS = ["5f5f60035f73" + PLACE[2:] + "5afa", "@bad", "57", "00", "bad:", "5f5ffd"]
ADDER = Precompile("adder", PLACE, 150, module=ADDS, gas_per_word=3, signature="add(uint256,uint256)(uint256)")
TOML = f"""[precompiles.adder]
address = "{PLACE}"
wasm = "adder.wasm"
gas = 150
gas_per_word = 3
signature = "add(uint256,uint256)(uint256)"
"""
TEXT = "contract Adds {}\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project compiled by forge, whose tests need the precompile of its foundry.toml."""
    (tmp_path / "foundry.toml").write_text(TOML)
    (tmp_path / "adder.wasm").write_bytes(ADDS)
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "A.t.sol").write_text(TEXT)
    forge_out(tmp_path, "test/A.t.sol", TEXT, {"Adds": artifact({"testAdds()": GOOD, "testRefused()": FAILS})})
    return tmp_path


def run(*arguments: object) -> tuple[int, str]:
    found = run_command("test", *arguments, "--workers", "1")
    return found.exit_code, f"{found.stdout}{found.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("rules", ["ethereum", "filecoin"])
@pytest.mark.parametrize("evm", ["py-evm", "fast"])
def test_tests_call_the_modules_of_foundry_toml(project: Path, rules: str, evm: str) -> None:
    status, text = run(project, "--rules", rules, "--evm", evm, "-vvvv")
    assert status == 0, text
    assert re.search(
        r"\[\d+\] PRECOMPILES::adder\(40, 2\) \[staticcall\]\n *└─ ← \[Return\] 42\n", text.replace("│", " ")
    )
    words = "[PrecompileError] "
    assert f"← {words}" in text
    assert "the module trapped: unreachable instruction executed" in text


@pytest.mark.slow
def test_the_gas_of_a_call_is_its_price(project: Path) -> None:
    """150, and 3 for each of two words."""
    assert "[156] PRECOMPILES::adder(40, 2)" in run(project, "-vvvv")[1]


@pytest.mark.slow
def test_registered_precompile_is_absent_without_table(project: Path) -> None:
    (project / "foundry.toml").write_text("")
    status, text = run(project, "-vvvv")
    assert (status, "adder" in text) == (1, False)


@pytest.mark.slow
def test_the_command_line_names_another_file(project: Path, tmp_path: Path) -> None:
    (project / "foundry.toml").write_text("")
    (tmp_path / "mine.toml").write_text(TOML)
    assert run(project, "--precompile", tmp_path / "mine.toml")[0] == 0


def test_one_that_is_not_installed_is_refused(project: Path) -> None:
    status, text = run(project, "--precompile", "gone")
    assert (status, "precompile 'gone' is not installed" in text) == (2, True)


@pytest.mark.parametrize("key", ["python", "function", "entry_point", "module"])
def test_project_python_code_is_never_run(project: Path, key: str) -> None:
    """Neither one named by a table, nor one where an import would find it."""
    (project / "evil.py").write_text("raise SystemExit('it ran')")
    table = TOML.replace('wasm = "adder.wasm"', f'{key} = "evil:run"')
    (project / "foundry.toml").write_text(table)
    status, text = run(project)
    assert (status, "files cannot name Python code" in text, "it ran" in text) == (2, True, False)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('"adder.wasm"', '"gone.wasm"', "precompiles.adder.wasm .*gone.wasm cannot be read"),
        ('"adder.wasm"', '"../adder.wasm"', "precompiles.adder.wasm '../adder.wasm' is .*, outside of"),
        ('"adder.wasm"', '"/etc/passwd"', "precompiles.adder.wasm '/etc/passwd' is /etc/passwd, outside of"),
        ('"adder.wasm"', '"link.wasm"', "precompiles.adder.wasm 'link.wasm' is .*, outside of"),
        ('"adder.wasm"', '"pipe.wasm"', "precompiles.adder.wasm .*pipe.wasm is not a file"),
        ('"adder.wasm"', '"test"', "precompiles.adder.wasm .*test cannot be read"),
        ('"adder.wasm"', '"empty.wasm"', "precompiles.adder.wasm .*empty.wasm is empty"),
        ('"adder.wasm"', "5", "precompiles.adder.wasm is 5, expected the path of a module"),
        ("gas = 150", "gas = -1", "-1 cannot be the gas of precompile 'adder'"),
        ("gas = 150", 'gas = "1"', "'1' cannot be the gas of precompile 'adder'"),
        ("gas = 150", "", "precompiles.adder is missing gas"),
        ("gas = 150", "gas = 150\ncolour = 1", "precompiles.adder.colour is not known"),
        (PLACE, "0x02", "precompile 'adder': '0x02' is not an address"),
        ("[precompiles.adder]", "[precompiles]", "precompiles.address is '0x0+a11', expected a table"),
    ],
)
def test_a_table_that_is_wrong_is_named_with_its_key(project: Path, before: str, after: str, words: str) -> None:
    import os

    os.mkfifo(project / "pipe.wasm")
    (project / "empty.wasm").touch()
    (project / "link.wasm").symlink_to("/etc/passwd")
    (project / "foundry.toml").write_text(TOML.replace(before, after))
    with pytest.raises(InvalidInput, match=words) as raised:
        load_project(project)
    assert str(raised.value).startswith(str(project / "foundry.toml"))


def test_a_profile_has_its_own(project: Path) -> None:
    toml = TOML.replace("[precompiles.adder]", "[profile.other.precompiles.adder]")
    (project / "foundry.toml").write_text(f"[profile.default]\n{toml}")
    assert load_project(project).precompiles == ()
    assert [row.name for row in load_project(project, "other").precompiles] == ["adder"]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (f"0x{VM_ADDRESS.hex()}", "the address of the cheatcodes"),
        ("0x" + "00" * 9 + b"\0\0console.log"[2:].hex().rjust(22, "0"), "the address of console.log"),
        ("0x" + "00" * 19 + "02", "which is built in or reserved"),
    ],
)
def test_an_address_that_the_tests_need_is_refused(project: Path, address: str, words: str) -> None:
    (project / "foundry.toml").write_text(TOML.replace(PLACE, address))
    status, text = run(project)
    assert (status, words in " ".join(text.split())) == (2, True), text


def _cheats(call: str, *given: object) -> list[str]:
    data = selector(call) + encode(call[call.index("(") + 1 : -1].split(","), list(given))
    parts = [f"7f{data[at : at + 32].ljust(32, bytes(1)).hex()}61{at:04x}52" for at in range(0, len(data), 32)]
    return [*parts, f"5f5f61{len(data):04x}5f5f73{VM_ADDRESS.hex()}5af1", "@done", "57", "3d5f5f3e3d5ffd", "done:"]


def test_a_mock_stands_in_for_it_under_ethereums_rules(run_contracts: Run) -> None:
    """The mock works as at any address; without it the same test passes."""
    mocked = [*_cheats("mockCall(address,bytes,bytes)", PLACE, b"", (7).to_bytes(32, "big")), *GOOD]
    found = run_contracts({"Mocks": {"testMocked()": mocked, "testGood()": GOOD}}, precompiles=(ADDER,))["Mocks"]
    assert found["testMocked()"].status is CaseStatus.FAILURE
    assert found["testGood()"].status is CaseStatus.SUCCESS


@pytest.mark.parametrize(
    ("rules", "words"), [("ethereum", "cannot use precompile"), ("filecoin", "whose code cannot be replaced")]
)
def test_registered_precompile_cannot_be_etched(run_contracts: Run, rules: str, words: str) -> None:
    etched = [*_cheats("etch(address,bytes)", PLACE, bytes.fromhex("602a5f5260205ff3")), "00"]
    found = run_contracts({"Etches": {"testEtches()": etched}}, precompiles=(ADDER,), rules=rules)["Etches"]
    assert words in (found["testEtches()"].reason or "")


def test_registered_precompile_survives_set_evm_version(run_contracts: Run) -> None:
    body = [*_cheats("setEvmVersion(string)", "osaka"), *GOOD]
    assert run_contracts({"Sets": {"testSets()": body}}, precompiles=(ADDER,))["Sets"]["testSets()"].reason is None


@pytest.mark.parametrize("evm", ["py-evm", "fast"])
def test_engines_give_the_same_gas(run_contracts: Run, evm: str) -> None:
    body = [*GOOD[:-1], *CALLS, "50", "00"]
    (found,) = run_contracts({"Twice": {"testTwice()": body}}, precompiles=(ADDER,), evm=evm)["Twice"].values()
    plain = run_contracts({"Twice": {"testTwice()": body}}, precompiles=(ADDER,))["Twice"]["testTwice()"]
    assert (found.status, found.gas) == (CaseStatus.SUCCESS, plain.gas)
