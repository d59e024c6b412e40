"""A network with content for all pages: the demo's contracts and native actor, and failures of each kind."""

from dataclasses import dataclass, field
from pathlib import Path

from hypervisor.types import ActorID
from localnet import Contract, Network, TransactionFailed

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"
ARTIFACTS = EXAMPLES / "solidity" / "artifacts"
FIL = 10**18


@dataclass
class Stage:
    """The network, its contracts and accounts, and message hashes by case."""

    network: Network
    bridge: Contract
    inbox: Contract
    counter: ActorID
    messages: dict[str, str] = field(default_factory=dict)


def make_stage(network: Network) -> Stage:
    """Create the demo's deployment and three failures: a caught abort, an unknown method, a nested out-of-gas."""
    code = network.actors.install((EXAMPLES / "counter" / "counter.wasm").read_bytes())
    counter = network.machine.create(code).id
    network.mine()
    bridge, inbox = network.deploy(ARTIFACTS / "Bridge.json"), network.deploy(ARTIFACTS / "Inbox.json")
    stage = Stage(network, bridge, inbox, counter)
    note = stage.messages
    note["deposit"] = bridge.send("deposit", counter, value=3 * FIL).hash.hex()
    greeting = inbox.interface.encode_call("greet", "from a contract, through native code")
    note["two borders"] = bridge.send("callThrough", counter, inbox.address, greeting, 0).hash.hex()
    note["caught"] = bridge.send("tryFail", counter, 42, "refused on purpose", value=FIL).hash.hex()
    note["wrong method"] = _failing(network, bridge, "increment", 4, 5)
    note["out of gas"] = _failing(network, bridge, "increment", counter, 5, gas_limit=4_000_000)
    note["native"] = network.send_native(network.accounts[1].native, value=FIL).hash.hex()
    stage.messages = {name: f"0x{found}" for name, found in note.items()}
    return stage


def _failing(network: Network, contract: Contract, function: str, *arguments: int, gas_limit: int = 50_000_000) -> str:
    """Send a failing message and return its hash."""
    try:
        network.send(contract.address, 0, contract.interface.encode_call(function, *arguments), gas_limit=gas_limit)
    except TransactionFailed:
        return network.head.transactions[-1].hex()
    raise AssertionError(f"{function} did not fail")
