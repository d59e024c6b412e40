"""Gas cap of requests without effect, which a missing block gas limit does not lift.

The cap is geth's (`--rpc.gascap`, 50,000,000 by default); counted gas is computed by hand.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from localnet import Network
from localnet.ledger.records import MAX_GAS_LIMIT
from localnet.rpc.node import Node
from tests.localnet.conftest import Clock
from tests.localnet.rpc.asking import ALICE, NOBODY
from tests.localnet.rpc.conftest import Client, refusal

CAP = 50_000_000
RETURNS_ITS_GAS = "0x5a5f5260205ff3"
LEFT_AT_ITS_FIRST_OPCODE = CAP - 21_000 - 2
FAILS_ABOVE_THE_CAP = "0x6302faf0805a11600b57005bfe"
"""Code with INVALID if GAS is more than 50,000,000."""
USES_ALL_GAS = "0xfe"


@pytest.fixture(params=["prague", "osaka"])
def rpc(request: pytest.FixtureRequest) -> Iterator[Client]:
    with Network(clock=Clock(), rules="ethereum", hardfork=request.param) as network:
        client = Client(Node(network))
        client("evm_setBlockGasLimit", hex(MAX_GAS_LIMIT))
        yield client


@pytest.mark.parametrize("asked", [{}, {"gas": hex(MAX_GAS_LIMIT)}])
def test_a_call_has_at_most_the_cap(rpc: Client, asked: dict[str, str]) -> None:
    rpc("anvil_setCode", NOBODY, RETURNS_ITS_GAS)
    assert int(rpc("eth_call", {"to": NOBODY, **asked}), 16) == LEFT_AT_ITS_FIRST_OPCODE
    traced = rpc("debug_traceCall", {"to": NOBODY, **asked}, "latest", {"tracer": "callTracer"})
    assert int(traced["output"], 16) == LEFT_AT_ITS_FIRST_OPCODE


@pytest.mark.parametrize("asked", [{}, {"gas": hex(MAX_GAS_LIMIT)}])
def test_an_estimate_tries_no_more_than_the_cap(rpc: Client, asked: dict[str, str]) -> None:
    rpc("anvil_setCode", NOBODY, FAILS_ABOVE_THE_CAP)
    assert int(rpc("eth_estimateGas", {"to": NOBODY, **asked}), 16) < 30_000


def test_state_call_of_filecoin_message_is_capped_in_gas(rpc: Client) -> None:
    rpc("anvil_setCode", NOBODY, USES_ALL_GAS)
    to, sender = (rpc("Filecoin.EthAddressToFilecoinAddress", address) for address in (NOBODY, ALICE))
    message = {"To": to, "From": sender, "Value": "0", "Method": 3844450837, "GasLimit": 0}
    assert rpc("Filecoin.StateCall", message, None)["MsgRct"]["GasUsed"] == CAP


def test_the_calls_of_a_simulation_share_the_cap(rpc: Client) -> None:
    rpc("anvil_setCode", NOBODY, USES_ALL_GAS)
    call = {"to": NOBODY, "gas": hex(30_000_000)}
    unlimited = {"blockOverrides": {"gasLimit": hex(MAX_GAS_LIMIT)}, "calls": [call]}

    def used(blocks: list[dict[str, Any]]) -> list[int]:
        response = rpc("eth_simulateV1", {"blockStateCalls": blocks}, "latest")
        return [int(call["gasUsed"], 16) for block in response for call in block["calls"]]

    assert used([unlimited, unlimited]) == [30_000_000, 20_000_000]
    with refusal(-38013, "used up the 50,000,000 gas of a request"):
        used([unlimited] * 3)


def test_a_smaller_block_limit_is_a_calls_default_limit() -> None:
    """A call may ask for more, as in geth and in EDR's test of debug_traceCall."""
    with Network(clock=Clock(), rules="ethereum") as network:
        rpc = Client(Node(network))
        rpc("evm_setBlockGasLimit", hex(5_000_000))
        rpc("anvil_setCode", NOBODY, RETURNS_ITS_GAS)
        assert int(rpc("eth_call", {"to": NOBODY}), 16) == 5_000_000 - 21_002
        assert int(rpc("eth_call", {"to": NOBODY, "gas": hex(40_000_000)}), 16) == 40_000_000 - 21_002
        assert network.rules.limits.message_gas == 5_000_000, "a message that names no limit fits into a block"
