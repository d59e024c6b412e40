"""go-ethereum's vectors of precompiles, called by a contract: success, output and gas must be equal.

    python -m tests.oracle.precompile_vectors FOLDER [--engine NAME]

FOLDER is `core/vm/testdata/precompiles` of go-ethereum's module, which `make geth` names. Each call gets exactly the
vector's gas, and must fail with one gas less.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress
from bridge.filecoin.parameters import unwrap_return
from hypervisor.installation import OWN_EVM
from runtimes.evm.blocks.alloc import AllocAccount
from tests.differential.grammar import SENDER
from tests.engines.scenes import Batch, Call
from tests.engines.worlds import EthereumMachine
from tests.runtimes.evm.assembler import assemble

FILES: Final = {
    "modexp": ("Byzantium", 5), "modexp_eip2565": ("Berlin", 5), "modexp_eip7883": ("Osaka", 5),
    "ecRecover": ("Prague", 1), "bn256Add": ("Prague", 6), "bn256ScalarMul": ("Prague", 7),
    "bn256Pairing": ("Prague", 8), "blake2F": ("Prague", 9), "fail-blake2f": ("Prague", 9),
    "pointEvaluation": ("Prague", 10), "blsG1Add": ("Prague", 11), "fail-blsG1Add": ("Prague", 11),
    "blsG1Mul": ("Prague", 12), "fail-blsG1Mul": ("Prague", 12), "blsG1MultiExp": ("Prague", 12),
    "fail-blsG1MultiExp": ("Prague", 12), "blsG2Add": ("Prague", 13), "fail-blsG2Add": ("Prague", 13),
    "blsG2Mul": ("Prague", 14), "fail-blsG2Mul": ("Prague", 14), "blsG2MultiExp": ("Prague", 14),
    "fail-blsG2MultiExp": ("Prague", 14), "blsPairing": ("Prague", 15), "fail-blsPairing": ("Prague", 15),
    "blsMapG1": ("Prague", 16), "fail-blsMapG1": ("Prague", 16), "blsMapG2": ("Prague", 17),
    "fail-blsMapG2": ("Prague", 17), "p256Verify": ("Osaka", 256),
}  # fmt: skip
"""Fork and address by file: the last fork without Osaka's gas limit of transactions, unless the price is another's."""
_CONTRACT: Final = EthAddress(b"\xc0" * 20)
_GAS: Final = {"Osaka": 1 << 24}
_MUCH_GAS: Final = 10**8
_FAILING_GAS: Final = 3_000_000


def outcome(machine: EthereumMachine, fork: str, data: bytes, limit: int) -> bytes | None:
    """Return the output of a precompile with a gas limit, None if it fails."""
    sent = Call(_CONTRACT, limit.to_bytes(32, "big") + data, 0, _MUCH_GAS)
    done = machine.attempt(sent, _GAS.get(fork, _MUCH_GAS))
    returned = unwrap_return(done.output)
    if done.exit_code or len(returned) < 32:
        raise RuntimeError(f"the contract ended with {done.exit_code}")
    return returned[32:] if returned[31] else None


def caller(address: int) -> bytes:
    """Return code that calls an address with the gas of the first word of calldata, and the rest as input.

    It returns 1 or 0 for success, and the output. PUSH1 pushes 0, since Byzantium has no PUSH0.
    """
    program = f"""
        32 CALLDATASIZE SUB 32 PUSH1 CALLDATACOPY
        PUSH1 PUSH1 32 CALLDATASIZE SUB PUSH1 PUSH1 {address} PUSH1 CALLDATALOAD CALL
        PUSH1 MSTORE RETURNDATASIZE PUSH1 32 RETURNDATACOPY RETURNDATASIZE 32 ADD PUSH1 RETURN
    """
    return b"".join(assemble(word) + (b"\0" if word == "PUSH1" else b"") for word in program.split())


def differences(machine: EthereumMachine, fork: str, vector: dict[str, Any]) -> list[str]:
    """Return what differs in a vector."""
    data, gas = bytes.fromhex(vector["Input"]), vector.get("Gas", _FAILING_GAS)
    expected = bytes.fromhex(vector["Expected"]) if "Expected" in vector else None
    found = [] if outcome(machine, fork, data, gas) == expected else ["output"]
    if expected is not None and gas and outcome(machine, fork, data, gas - 1) is not None:
        found.append("gas")
    return found


def main() -> int:
    """Run all vectors; return 1 if one differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--engine", default=OWN_EVM)
    given = parser.parse_args()
    vectors = {path.stem: json.loads(path.read_text()) for path in given.folder.glob("*.json")}
    if vectors.keys() != FILES.keys():
        parser.error(f"unknown or missing files: {', '.join(sorted(vectors.keys() ^ FILES.keys()))}")
    differ = 0
    for name, (fork, address) in FILES.items():
        machine, accounts = EthereumMachine(given.engine, fork), {SENDER: AllocAccount(10**30)}
        accounts[_CONTRACT] = AllocAccount(0, 1, caller(address))
        machine.begin(Batch(name, fork, False, accounts, ()))
        for vector in vectors[name]:
            if found := differences(machine, fork, vector):
                differ += 1
                print(f"{name}, {vector['Name']}: {', '.join(found)} differ")
    print(f"{sum(map(len, vectors.values()))} vectors of precompiles, {differ} differ")
    return min(differ, 1)


if __name__ == "__main__":
    sys.exit(main())
