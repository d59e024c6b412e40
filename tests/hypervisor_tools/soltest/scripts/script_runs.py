"""Helpers to run `hypervisor script` and read its records; scripts assembled from bytecode."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypervisor_tools.soltest.cheatcodes.state import VM_ADDRESS
from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.cheatcodes.values import encode
from tests.command import run as run_command
from tests.hypervisor_tools.soltest.contracts import artifact, forge_out

KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
OTHER_KEY = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
SENDER = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
CHAIN = 31415926


def run(project: Path, *options: str, status: int = 0, file: str = "Deploy.s.sol") -> str:
    done = run_command("script", str(project / "script" / file), "--root", str(project), *options)
    assert done.exit_code == status, done.output
    return done.stdout if status == 0 else done.stderr


def record(project: Path, name: str = "run", folder: str = "") -> dict[str, Any]:
    file = project / "broadcast" / "Deploy.s.sol" / str(CHAIN) / folder / f"{name}-latest.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def edit_record(project: Path, change: Callable[[Any], object], chain: int = CHAIN) -> None:
    """Change the record of the last broadcast of Deploy.s.sol."""
    file = project / "broadcast" / "Deploy.s.sol" / str(chain) / "run-latest.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    change(content)
    file.write_text(json.dumps(content), encoding="utf-8")


def without_gas(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return transactions without fields that differ by network: hashes, gas, the chain ID."""
    return [
        {**row, "hash": None, "transaction": {**row["transaction"], "gas": None, "chainId": None}} for row in rows
    ]  # fmt: skip


def vm_call(signature: str, *values: Any) -> str:
    """Return code that calls a cheatcode and fails if it fails."""
    types = signature[signature.index("(") + 1 : -1]
    kinds = tuple(types.split(",")) if types and not types.startswith("(") else ((types,) if types else ())
    data = selector(signature) + encode(kinds, values)
    words = [data[at : at + 32].ljust(32, b"\0").hex() for at in range(0, len(data), 32)]
    fill = "".join(f"7f{word}61{at * 32:04x}52" for at, word in enumerate(words))
    return f"{fill}5f5f61{len(data):04x}5f5f73{VM_ADDRESS.hex()}5af1"


BROADCAST, TRANSFER = vm_call("startBroadcast()"), "5f5f5f5f600173000000000000000000000000000000000000beef5af1"


def assembled_script(root: Path, *parts: str) -> Path:
    """Return a project with a script of this code, in which each call must succeed."""
    (root / "foundry.toml").write_text('[profile.default]\nsolc = "0.8.30"\n', encoding="utf-8")
    (root / "script").mkdir()
    (root / "script" / "Own.s.sol").write_text("contract Own {}", encoding="utf-8")
    body = [piece for n, part in enumerate(parts) for piece in (part, f"@good{n}", "57", "5f5ffd", f"good{n}:")]
    forge_out(root, "script/Own.s.sol", "contract Own {}", {"Own": artifact({"run()": [*body, "00"]})})
    return root
