"""Precompiles called for contracts that run elsewhere: named states, transfers, responses of contracts."""

from typing import Any

import pytest
from eth_abi.abi import decode, encode

from localnet.calls.side_states import SideStates
from tests.localnet.rpc.conftest import Client, Failed, refusal

CLIENT, OTHER = "0x" + "c1" * 20, "0x" + "c2" * 20
MASKED_MARKET = "0xff00000000000000000000000000000000000005"
FIL = 10**18

# FRC-42 numbers (facts of the actors' exported methods), and CBOR by RFC 8949.
NAME, ADD_BALANCE, GET_BALANCE, AUTHENTICATE_MESSAGE = 48890204, 822473126, 726108461, 2643134072
DATACAP, MARKET = 7, 5
TEXT_DATACAP = b"\x67DataCap"
CBOR_CODEC, NO_CODEC = 0x51, 0


def delegated(address: str) -> bytes:
    """Return the bytes of the f410 address: protocol 4, namespace 10, the subaddress."""
    return b"\x04\x0a" + bytes.fromhex(address[2:])


def call_actor(method: int, actor: int, params: bytes = b"", value: int = 0, read_only: bool = False) -> str:
    """Return the input of call_actor_id."""
    codec = CBOR_CODEC if params else NO_CODEC
    words = ["uint64", "uint256", "uint64", "uint64", "bytes", "uint64"]
    return "0x" + encode(words, [method, value, int(read_only), codec, params, actor]).hex()


class Side:
    """Calls in the name of contracts, from one state to the next."""

    def __init__(self, rpc: Client) -> None:
        self.rpc = rpc
        self.state: str = rpc("hypervisor_beginState", 0)
        self.changes: dict[str, int] = {}
        self.ask: tuple[str, str, bytes, bool] | None = None

    def __call__(self, place: int, data: str, sender: str = CLIENT, balance: int = 0, **more: Any) -> bytes | None:
        """Return the precompile's output; None if it fails or a contract must be executed first."""
        call = {
            "from": sender, "balance": hex(balance), "state": self.state,
            "block": {"number": "0x1", "time": 1_800_000_000}, **more,
        }  # fmt: skip
        reply = self.rpc("hypervisor_callPrecompile", "0xfe" + f"{place:02x}".rjust(38, "0"), data, call)
        shape = "(uint8,bytes,bytes32,(address,uint256,uint256)[],(address,address,bytes,bool))"
        ((status, output, state, changes, ask),) = decode([shape], bytes.fromhex(reply[2:]))
        self.state = "0x" + state.hex()
        self.changes = {address: after - before for address, before, after in changes}
        self.ask = ask if status == 2 else None
        return output if status == 1 else None


@pytest.fixture
def side(rpc: Client) -> Side:
    return Side(rpc)


def answer_of(output: bytes | None) -> tuple[int, bytes]:
    """Return exit code and data of call_actor's output."""
    assert output is not None
    exit_code, _, data = decode(["int256", "uint64", "bytes"], output)
    return exit_code, data


def escrow(side: Side) -> int:
    """Return the client's escrow, the first of GetBalance's two amounts."""
    params = b"\x56" + delegated(CLIENT)
    exit_code, data = answer_of(side(5, call_actor(GET_BALANCE, MARKET, params, read_only=True), readOnly=True))
    assert exit_code == 0
    assert data[0] == 0x82
    return int.from_bytes(data[2 : 2 + (data[1] & 0x1F)], "big")


def deposit(side: Side, amount: int, balance: int = 10 * FIL) -> int:
    params = b"\x56" + delegated(CLIENT)
    return answer_of(side(5, call_actor(ADD_BALANCE, MARKET, params, amount), balance=balance))[0]


def test_an_actor_answers(side: Side) -> None:
    assert answer_of(side(5, call_actor(NAME, DATACAP))) == (0, TEXT_DATACAP)


def test_a_state_is_named_and_the_older_one_stays(side: Side) -> None:
    first = side.state
    assert deposit(side, 2 * FIL) == 0
    assert side.changes == {CLIENT: -2 * FIL, MASKED_MARKET: 2 * FIL}
    assert escrow(side) == 2 * FIL
    side.state = first
    assert escrow(side) == 0


def test_the_chain_is_as_it_was(side: Side) -> None:
    before = side.rpc("eth_getBlockByNumber", "latest", False), side.rpc("eth_getBalance", MASKED_MARKET, "latest")
    deposit(side, FIL)
    assert before == (
        side.rpc("eth_getBlockByNumber", "latest", False), side.rpc("eth_getBalance", MASKED_MARKET, "latest")
    )  # fmt: skip
    assert side.rpc("eth_getCode", CLIENT, "latest") == "0x"


def test_read_only_frame_changes_no_state(side: Side) -> None:
    params = b"\x56" + delegated(CLIENT)
    exit_code, _ = answer_of(side(5, call_actor(ADD_BALANCE, MARKET, params, FIL), balance=FIL, readOnly=True))
    assert exit_code == -13  # ReadOnly, facts of the precompile: value in a static frame
    assert side.changes == {}


def test_money_that_is_not_there_cannot_be_sent(side: Side) -> None:
    assert deposit(side, 2 * FIL, balance=FIL) == -5  # InsufficientFunds


def test_addresses_in_use_elsewhere_have_ids(side: Side) -> None:
    other = "0x" + delegated(OTHER).hex()
    assert side(1, other) == b""
    known = side(1, other, contracts=[OTHER])
    assert known is not None
    assert int.from_bytes(known, "big") >= 100
    assert side(1, other) == known
    assert side(2, "0x" + known.hex()) == delegated(OTHER)


def test_input_that_no_precompile_takes_fails(side: Side) -> None:
    assert side(1, "0x09") is None
    assert side(5, call_actor(5, MARKET)) is None  # a private method


def test_a_contract_answers_where_it_runs(side: Side) -> None:
    actor = int.from_bytes(side(1, "0x" + delegated(OTHER).hex(), contracts=[OTHER]) or b"", "big")
    asked = call_actor(AUTHENTICATE_MESSAGE, actor, b"\x82\x41a\x41b")
    before = side.state
    assert side(5, asked) is None
    assert side.ask is not None
    contract, caller, calldata, read_only = side.ask
    assert (contract, caller, read_only) == (OTHER, CLIENT, False)
    # handle_filecoin_method(uint64,uint64,bytes): 0x868e10c4
    assert calldata[:4].hex() == "868e10c4"
    assert decode(["uint64", "uint64", "bytes"], calldata[4:]) == (
        AUTHENTICATE_MESSAGE, CBOR_CODEC, b"\x82\x41a\x41b"
    )  # fmt: skip
    assert side.state == before
    accepted = {"success": True, "output": "0x" + encode(["uint32", "uint64", "bytes"], [0, 0x51, b"\xf5"]).hex()}
    assert answer_of(side(5, asked, answers=[accepted])) == (0, b"\xf5")
    refused = {"success": False, "output": "0x"}
    assert answer_of(side(5, asked, answers=[refused]))[0] == 33  # EVM_CONTRACT_REVERTED


def test_money_alone_runs_no_contract(side: Side) -> None:
    actor = int.from_bytes(side(1, "0x" + delegated(OTHER).hex(), contracts=[OTHER]) or b"", "big")
    # method 0 is a bare transfer, which runs nobody's code: facts of the machine
    assert answer_of(side(5, call_actor(0, actor, value=FIL), balance=2 * FIL)) == (0, b"")
    assert side.changes == {CLIENT: -FIL, OTHER: FIL}


def test_unknown_state_root_is_an_error(side: Side) -> None:
    side.state = "0x" + "11" * 32
    with refusal(-32602, "is not stored, or was dropped"):
        side(5, call_actor(NAME, DATACAP))


def test_side_states_are_kept_up_to_limit(rpc: Client) -> None:
    rpc.node._side_states = SideStates(rpc.node.network.chain, max_bytes=1)
    side = Side(rpc)
    first = side.state
    assert deposit(side, FIL) == 0
    with pytest.raises(Failed, match="is not stored, or was dropped: start again from a block"):
        escrow(side)
    side.state = first
    assert escrow(side) == 0


def test_addresses_of_accounts_in_use_elsewhere_have_ids_too(side: Side) -> None:
    other = "0x" + delegated(OTHER).hex()
    known = side(1, other, accounts=[OTHER])
    assert known is not None
    assert side(2, "0x" + known.hex()) == delegated(OTHER)


@pytest.mark.parametrize(
    ("place", "more"),
    [(4, {}), (5, {"from": None}), (5, {"state": None}), (5, {"answers": [1]}), (5, {"block": {"number": 1 << 63}})],
    ids=["no precompile", "no caller", "no state", "no answer", "no epoch"],
)
def test_requests_that_make_no_sense(side: Side, place: int, more: dict[str, Any]) -> None:
    with refusal(-32602):
        side(place, "0x", **more)
