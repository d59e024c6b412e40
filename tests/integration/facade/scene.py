"""A machine with the facade and the state that methods need, and helpers of the facade tests."""

import json
from pathlib import Path
from typing import Any

from bridge.abi.abi import ContractInterface
from bridge.actors.facade import facade
from bridge.filecoin.parameters import INVOKE_EVM, invoke_params, invoke_return
from hypervisor import Address
from hypervisor.exit_codes import ExitCode
from hypervisor.types import INIT_ACTOR
from store.codec import link
from tests.hypervisor.builtin_actors.people import ETHEL, packed, raw
from tests.integration.filecoin_solidity.stage import Stage

FOLDER = Path(__file__).parent / "facade"
INTERFACES = Path(__file__).parents[2] / "bridge" / "solidity"
RELAY = ContractInterface(json.loads((FOLDER / "compiled" / "Relay.json").read_text())["abi"])
ERRORS = ContractInterface(json.loads((INTERFACES / "IDatacap.json").read_text()))


def ask(stage: Stage, typed: tuple[Address, ContractInterface], name: str, *arguments: Any, value: int = 0) -> Any:
    """Return the result of a function of `Typed`, called by ETHEL."""
    address, interface = typed
    calldata = interface.encode_call(name, *arguments)
    result = stage.apply(address, INVOKE_EVM, invoke_params(calldata), value, ETHEL)
    assert result.exit_code == ExitCode.OK, result.message
    return interface.decode_result(name, invoke_return(result.return_data))


def multisig(stage: Stage, *signers: Address) -> int:
    """Create a multisig with a threshold of two."""
    code = stage.machine.manifest.code("multisig")
    constructor = packed([raw(signer) for signer in signers], 2, 0, 0)
    created, _ = stage.send(Address.id(INIT_ACTOR), 2, packed(link(code), constructor), 10**9)
    return int(stage.id_of(Address.from_bytes(created)))


def relayed(stage: Stage, function: str, target: bytes, data: bytes, value: int | None = None) -> tuple[bool, str]:
    """Call through a Relay; return True and the result in hex, or False and the revert data as text."""
    given = () if value is None else (value,)
    call = RELAY.encode_call(function, "0x" + target.hex(), data, *given)
    result = stage.apply(stage.address("SendAPI"), INVOKE_EVM, invoke_params(call), 0, ETHEL)
    assert result.exit_code == ExitCode.OK, result.message
    succeeded, returned = RELAY.decode_result(function, invoke_return(result.return_data))
    return succeeded, returned.hex() if succeeded else ERRORS.decode_revert(returned)


def selector(actor: str, name: str) -> bytes:
    return next(key for key, function in facade(actor).items() if function.name == name)


def words(*numbers: int) -> bytes:
    return b"".join((number % 2**256).to_bytes(32, "big") for number in numbers)
