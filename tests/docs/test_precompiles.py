"""Tests of docs/precompiles.md: its code, limits and tables."""

import re
import shutil
import subprocess
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from hypervisor.machine.precompile_registration import ENTRY_POINT_GROUP
from hypervisor.precompiles import MAX_MODULE_BYTES, MAX_OUTPUT_BYTES, Precompile, precompiles_of
from runtimes.evm.precompiles.registered import _STACK, FUEL, MEMORY, SECONDS, wasm_function
from tests.localnet.test_precompiles import ANSWERS, INVERTS, module
from tests.runtimes.evm.assembler import assemble, deployer

PRECOMPILES_PAGE = (Path(__file__).resolve().parents[2] / "docs" / "precompiles.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PRECOMPILES_PAGE, re.MULTILINE | re.DOTALL)


def test_python_blocks_of_page_work_as_documented() -> None:
    names: dict[str, Any] = {}
    first, hook = blocks("python")
    exec(first, names)
    with names["network"] as network:
        at = network.send(None, 0, deployer(assemble(ANSWERS))).contract_address
        adder = bytes.fromhex(names["ADDER"].address[2:]).rjust(32, b"\0")
        numbers = (40).to_bytes(32, "big") + (2).to_bytes(32, "big")
        assert network.call(at, adder + numbers) == (42).to_bytes(32, "big")
        exec(hook, names)
        receiver = network.machine.state_tree.lookup_id(network.accounts[1].delegated)
        to, exit_code, gas = names["hook"].seen[0]
        assert (to in (str(network.accounts[1].delegated), f"f0{receiver}"), exit_code, gas > 0) == (True, 0, True)
        assert network.machine.interceptor is None


def test_the_tables_of_the_page_are_read(tmp_path: Path) -> None:
    table, points = map(tomllib.loads, blocks("toml"))
    (tmp_path / "inverts.wasm").write_bytes(module(INVERTS))
    (row,) = precompiles_of(table["precompiles"], tmp_path)
    assert (row.name, row.gas, row.gas_per_word) == ("inverts", 60, 3)
    assert list(points["project"]["entry-points"]) == [ENTRY_POINT_GROUP]


@pytest.mark.slow
def test_the_rust_of_the_page_is_a_precompile(tmp_path: Path) -> None:
    if shutil.which("rustc") is None:
        pytest.skip("needs rustc")
    (source,) = blocks("rust")
    (tmp_path / "inverts.rs").write_text(source)
    command = "rustc --target wasm32-unknown-unknown -O -C strip=symbols inverts.rs"
    assert f"`{command}`" in PRECOMPILES_PAGE
    built = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, text=True, check=False)
    if "may not be installed" in built.stderr:
        pytest.skip("needs Rust's target wasm32-unknown-unknown")
    assert built.returncode == 0, built.stderr
    row = Precompile("inverts", "0x" + "00" * 18 + "0a12", 60, module=(tmp_path / "inverts.wasm").read_bytes())
    assert wasm_function(row)(b"\x00\xff\x0f") == b"\xff\x00\xf0"


def test_bounds_and_fields_are_the_codes() -> None:
    compiling = f"A module may have {MAX_MODULE_BYTES >> 20} MiB and take {SECONDS} seconds to\ncompile"
    running = f"{FUEL:,} instructions", f"{MEMORY >> 20} MiB of memory", f"{_STACK >> 10} KiB of stack"
    for words in (*running, compiling, f"at most {MAX_OUTPUT_BYTES >> 20} MiB"):
        assert words in PRECOMPILES_PAGE
    table = PRECOMPILES_PAGE.split("| field | meaning |")[1].split("\n\n")[0]
    listed = re.findall(r"`(\w+)`", "".join(row.split("|")[1] for row in table.splitlines()[2:]))
    assert sorted(listed) == sorted(field.name for field in fields(Precompile))
