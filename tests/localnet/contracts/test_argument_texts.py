"""Functions and arguments in user input, compared with the Solidity ABI's examples and eth-abi."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import is_encodable_type
from eth_abi.exceptions import ParseError
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.errors import InvalidInput
from hypervisor.types import octets, whole_number
from hypervisor.versions.network_versions import NETWORK_VERSIONS
from hypervisor.versions.stream_settings import DEVELOPMENT
from localnet import Network, stream_settings
from localnet.accounts import accounts
from localnet.chain.retention import FolderCollector
from localnet.contracts.argument_texts import (
    as_plain,
    calldata_of,
    is_type,
    parse_amount,
    payment,
    signature_interface,
    values,
)
from localnet.ledger.genesis import GenesisOptions
from tests.localnet.conftest import ARTIFACTS, Clock


def plain(text: str) -> str:
    return text


@pytest.mark.parametrize(  # the examples of the Solidity ABI specification
    ("signature", "arguments", "calldata"),
    [
        ("baz(uint32,bool)", ["69", "true"], f"cdcd77c0{69:064x}{1:064x}"),
        ("bar(bytes3[2])", ["[0x616263,0x646566]"], "fce353f6" + "616263".ljust(64, "0") + "646566".ljust(64, "0")),
        (
            "sam(bytes,bool,uint[])",
            ["0x64617665", "true", "[1, 2, 3]"],
            f"a5643bf2{96:064x}{1:064x}{160:064x}{4:064x}"
            + "64617665".ljust(64, "0")
            + f"{3:064x}{1:064x}{2:064x}{3:064x}",
        ),
    ],
)
def test_calls_are_encoded_as_the_specification_has_them(signature: str, arguments: list[str], calldata: str) -> None:
    interface, name = signature_interface(signature)
    assert calldata_of(interface, name, arguments, plain).hex() == calldata


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("uint256", "0x10", 16),
        ("int8", "-5", -5),
        ("uint256", "1.5fil", 15 * 10**17),
        ("string", " as it is, ", " as it is, "),
        ("string[]", '["a,b", c]', ["a,b", "c"]),
        ("string[]", '["say \\"hi\\""]', ['say "hi"']),
        ("uint256[][2]", "[[1],[2,3]]", [[1], [2, 3]]),
        ("(uint256,(bool,string))[]", "[(1,(true,x)),(2,(false,\"y)\"))]", [(1, (True, "x")), (2, (False, "y)"))]),
        ("uint256[]", "[]", []),
        ("bytes", "0x", b""),
    ],
)  # fmt: skip
def test_values_are_read_by_their_types(kind: str, text: str, expected: Any) -> None:
    assert values([{"type": kind}], [text], plain) == [expected]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("uint256", ""), ("uint256", "five"), ("uint256", "1.5"), ("uint256", "9" * 200), ("bool", "1"),
        ("bytes", "12"),
        ("bytes", "0x1"), ("uint256[]", "1,2"), ("uint256[]", "[1"), ("uint256[]", "[1]]"), ("(uint256,bool)", "(1)"),
        ("string[]", '["x]'), ("uint256" + "[]" * 40, "[" * 40 + "]" * 40),
    ],
)  # fmt: skip
def test_value_not_matching_type_is_refused(kind: str, text: str) -> None:
    with pytest.raises(InvalidInput):
        values([{"type": kind}], [text], plain)


@pytest.mark.parametrize(
    "text", ["", "f", "f(", "f)", "(uint256)", "f(foo)", "f(uint7)", "f()()()", "1f()", "f(uint256", "f(((((", "f()x"]
)
def test_invalid_function_signature_is_rejected(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a function"):
        signature_interface(text)


def test_names_keywords_and_answers_may_be_there() -> None:
    interface, name = signature_interface("get((uint a, bytes32[2] b)[] calldata items) external view returns (int x)")
    (entry,) = interface.abi
    assert (name, entry["inputs"][0]["type"], entry["outputs"][0]["type"]) == (
        "get", "(uint256,bytes32[2])[]", "int256"
    )  # fmt: skip


def test_results_convert_to_lossless_json() -> None:
    assert as_plain((2**255, b"\x01", [True, "x", None])) == [str(2**255), "0x01", [True, "x", None]]


@pytest.mark.slow
@given(st.text(max_size=40) | st.text('f(uint256,)[]" returnsview', max_size=40))
def test_any_text_is_a_function_or_is_refused(text: str) -> None:
    with suppress(InvalidInput):
        signature_interface(text)


@pytest.mark.slow
@given(
    st.sampled_from(["uint256", "int8", "bytes4[]", "string[2]", "(uint256,(bool,string)[])[]", "address", "bool"]),
    st.text(max_size=40) | st.text('[](),"0x1a\\ ', max_size=40),
)
def test_any_text_is_a_value_or_is_refused(kind: str, text: str) -> None:
    with suppress(InvalidInput):
        values([{"type": kind}], [text], plain)


BASES = [
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (0, 7, 8, 16, 24, 136, 255, 256, 264)),
    *(f"bytes{size}" for size in ("", 0, 1, 9, 10, 19, 20, 29, 30, 31, 32, 33, "032")),
    "address", "bool", "string", "function", "uint", "int", "fixed128x18", "tuple", "bytes 4", "Uint8", "",
]  # fmt: skip


@pytest.mark.parametrize("dimensions", ["", "[]", "[1]", "[0]", "[01]", "[12345]", "[][3][]", "[", "[-1]", "[] "])
def test_type_recognition_matches_eth_abi(dimensions: str) -> None:
    for base in BASES:
        try:
            expected = is_encodable_type(base + dimensions)
        except (ParseError, ValueError):
            expected = False
        assert is_type(base + dimensions) == expected, base + dimensions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.5fil", 15 * 10**17),
        ("1.5", 15 * 10**17),
        ("1.50 FIL", 15 * 10**17),
        ("0", 0),
        ("20nanofil", 2 * 10**10),
        ("1gwei", 10**9),
        ("1ether", 10**18),
        ("0.000000000000000001", 1),
        ("1000attofil", 1000),
        ("7wei", 7),
        ("5.0attofil", 5),
    ],
)
def test_units_are_decimal_shifts(text: str, expected: int) -> None:
    assert parse_amount(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "fil", "-1", "1e18", "1,5", "1.", ".5", "0x10", "1 bitcoin", "1.5attofil", "1.0000000001gwei", "٣", "9" * 41],
)
def test_invalid_amount_is_rejected(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_amount(text)


@pytest.mark.parametrize("text", ["1", "007", " 12 "])
def test_money_to_send_is_no_bare_whole_number(text: str) -> None:
    bare = text.strip()
    with pytest.raises(InvalidInput, match=f"write {bare}fil, or {bare}wei"):
        payment(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("0", 0), ("000", 0), ("1.0", 10**18), ("1wei", 1), ("2fil", 2 * 10**18)]
)
def test_money_to_send_has_a_unit_or_decimals_or_is_0(text: str, expected: int) -> None:
    assert payment(text) == expected


COUNTER = ARTIFACTS / "Counter.json"

WRONG_NUMBERS: dict[str, Callable[[Network, Any], object]] = {
    "increase_time": lambda network, number: network.increase_time(number),
    "set_time": lambda network, number: network.set_time(number),
    "set_next_timestamp": lambda network, number: network.set_next_timestamp(number),
    "set_block_interval": lambda network, number: network.set_block_interval(number),
    "set_balance": lambda network, number: network.set_balance(network.accounts[1], number),
    "set_nonce": lambda network, number: network.set_nonce(network.accounts[1], number),
    "set_next_base_fee": lambda network, number: network.set_next_base_fee(number),
    "set_storage, a slot": lambda network, number: network.set_storage(network.deploy(COUNTER), {number: 1}),
    "set_storage, a word": lambda network, number: network.set_storage(network.deploy(COUNTER), {1: number}),
    "grant_datacap": lambda network, number: network.grant_datacap(network.accounts[1], number),
    "mine": lambda network, number: network.mine(number),
    "mine, null rounds": lambda network, number: network.mine(null_rounds=number),
    "revert": lambda network, number: network.revert(number),
    "block": lambda network, number: network.block(number),
    "upgrade": lambda network, number: network.upgrade(number),
    "send": lambda network, number: network.send(network.accounts[1], number),
    "send, gas": lambda network, number: network.send(network.accounts[1], gas_limit=number),
    "send_native": lambda network, number: network.send_native(network.accounts[1], value=number),
    "send_native, method": lambda network, number: network.send_native(network.accounts[1], number),
    "send_native, gas": lambda network, number: network.send_native(network.accounts[1], gas_limit=number),
    "call": lambda network, number: network.call(network.accounts[1], value=number),
    "estimate_gas": lambda network, number: network.estimate_gas(network.accounts[1], value=number),
    "deploy": lambda network, number: network.deploy(COUNTER, value=number),
    "upgrade, ramp": lambda network, number: network.upgrade(29, streams=stream_settings(ramp=number)),
    "create_miner": lambda network, number: network.create_miner(sectors=number),
    "create_miner, expiration": lambda network, number: network.create_miner(expiration=number),
}
OPENINGS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "accounts": lambda number: {"account_count": number},
    "balance": lambda number: {"balance": number},
    "chain id": lambda number: {"chain_id": number},
    "upgrades": lambda number: {"upgrades": {number: 28}},
    "a version": lambda number: {"upgrades": {3: number}},
    "a timelock": lambda number: {"streams": stream_settings(timelock=number)},
    "a ramp, unchecked": lambda number: {"streams": replace(DEVELOPMENT, ramp=number)},
    "a ramp of an upgrade": lambda number: {
        "network": 28,
        "upgrades": {5: 29},
        "streams": replace(DEVELOPMENT, ramp=number),
    },
    "other balances": lambda number: {"genesis": GenesisOptions(balances={Network().accounts[0].native: number})},
}


@pytest.mark.parametrize("wrong", [1.5, 2.0, "7", b"7", True, (1, 2)], ids=repr)
@pytest.mark.parametrize("asked", WRONG_NUMBERS)
def test_invalid_number_is_refused_before_any_state_change(network: Network, asked: str, wrong: Any) -> None:
    network.mine()
    machine = network.machine
    with pytest.raises(InvalidInput, match="expected a whole number"):
        WRONG_NUMBERS[asked](network, wrong)
    head, root = network.head, machine.root
    assert root == head.state
    assert network.send(network.accounts[1], 1).succeeded  # the network is not broken
    assert network.head.parent == head.height
    assert type(network.head.timestamp) is int


@pytest.mark.parametrize("wrong", [1.5, "7", True], ids=repr)
@pytest.mark.parametrize("option", OPENINGS)
def test_a_network_is_not_opened_with_a_wrong_number(option: str, wrong: Any) -> None:
    with pytest.raises(InvalidInput, match="expected a whole number"):
        Network(clock=Clock(), **OPENINGS[option](wrong))


def test_fil_amount_error_mentions_attofil(network: Network) -> None:
    with pytest.raises(InvalidInput, match=r"1 FIL is 10\*\*18 attoFIL"):
        network.set_balance(network.accounts[1], 1.5)  # type: ignore[arg-type]  # what this is about


def test_text_is_no_code_and_no_data(network: Network) -> None:
    wrong: Any = "0x6000"
    for ask in (
        lambda: network.set_code(b"\x77" * 20, wrong),
        lambda: network.send(network.accounts[1], data=wrong),
        lambda: network.call(network.accounts[1], wrong),
        lambda: network.send_native(network.accounts[1], params=wrong),
        lambda: network.submit(wrong),
        lambda: network.load_state(wrong),
    ):
        with pytest.raises(InvalidInput, match=r"'0x6000' cannot be .*: expected bytes, bytes\.fromhex reads"):
            ask()


def test_a_miner_has_no_fewer_sectors_than_none(network: Network) -> None:
    height = network.block_number
    with pytest.raises(InvalidInput, match="-1 cannot be a number of sectors: expected a whole number, 0 to 10000"):
        network.create_miner(sectors=-1)
    assert network.block_number == height  # no miner was made for it
    assert network.create_miner(sectors=0).sectors == ()


def test_number_bounds_are_reported_in_readable_form() -> None:
    assert whole_number(3, "a number", 3, 3) == 3
    assert octets(bytearray(b"ab"), "code") == b"ab"
    for number, least, most, words in (
        (4, 0, 3, "4 cannot be a thing: expected a whole number, 0 to 3"),
        (-1, 0, (1 << 127) - 1, r"-1 cannot be a thing: expected a whole number, 0 to 2\^127 - 1"),
        (10**5_000, 0, 3, "a number of 16610 bits cannot be a thing"),
        ("x" * 100, None, None, "'x{59}\\.\\.\\. cannot be a thing: expected a whole number$"),
    ):
        with pytest.raises(InvalidInput, match=words):
            whole_number(number, "a thing", least, most)


@pytest.mark.slow
def test_a_collection_keeps_a_number_of_states(tmp_path: Path) -> None:
    with Network(tmp_path / "chain", clock=Clock()) as network:
        for wrong in (1.5, "7", 1 << 255):
            with pytest.raises(InvalidInput, match=r"expected a whole number, 2\^63 - 1 or less"):
                FolderCollector(network).collect(0.1, wrong)  # type: ignore[arg-type]  # what this is about
        folder_collector = FolderCollector(network)
        while (phase := folder_collector.collect(10.0, (1 << 63) - 1).phase) != "done":
            assert phase in ("mark", "sweep", "compact")


@pytest.mark.parametrize("number", [18, 19, 20])
def test_our_own_actors_are_not_started_where_they_cannot_run(number: int) -> None:
    with pytest.raises(
        InvalidInput, match=rf"runs on nv21 to nv{max(NETWORK_VERSIONS)}, not on nv{number}: .*--bundle v1[01]"
    ):
        Network(network=number, clock=Clock())


def test_our_own_actors_run_on_the_oldest_version_that_is_theirs() -> None:
    with Network(network=21, clock=Clock()) as network:
        assert network.deploy(COUNTER).call("number") == 0


@pytest.mark.parametrize(("setting", "value", "expected"), [
    ("rules", 5, "expected 'filecoin', 'ethereum' or 'lab:NAME'"),
    ("genesis", None, "expected GenesisOptions"),
    ("mnemonic", None, "expected the words of a mnemonic"),
    ("hardfork", 3, "expected the name of a hardfork"),
    ("mnemonic", None.__class__, "expected the words of a mnemonic"),
    ("derivation_path", b"m/0", "expected a BIP-32 path"),
    ("bundle", 5, "expected a Bundle or the path of its CAR file"),
    ("network", 2.5, "expected a network version"),
    ("overlay", [], "expected an Overlay or the path of its file"),
    ("genesis", {}, "expected GenesisOptions"),
    ("upgrades", [29], "expected a mapping of epochs to network versions"),
    ("streams", 1, "expected StreamSettings"),
    ("clock", 5, "expected a function"),
    ("precompiles", 5, "expected a list of precompiles"),
    ("precompiles", "name", r"expected a list, \['name'\]"),
    ("fork", "http://127.0.0.1:1", r"Network\.fork\(url\) forks the network of a node"),
    ("deferred", "no", "expected True or False"),
    ("path", 5, "expected a path or ':memory:'"),
    ("settings", {}, "expected NetworkSettings"),
])  # fmt: skip
def test_settings_of_a_wrong_type_are_refused(setting: str, value: Any, expected: str) -> None:
    with pytest.raises(InvalidInput, match=expected):
        Network(**{setting: value})


def test_null_rounds_are_bounded(network: Network) -> None:
    """An epoch has 64 bits; each null round runs cron."""
    with pytest.raises(InvalidInput, match="cannot be a number of null rounds: expected a whole number, 0 to 10000000"):
        network.mine(null_rounds=10**30)


@pytest.mark.parametrize(("delegate", "nonce", "chain_id", "expected"), [
    (bytes(19), 0, 1, "has 20 bytes, not 19"),
    ("0x" + "00" * 20, 0, 1, "expected bytes"),
    (bytes(20), 1 << 64, 1, r"expected a whole number, 0 to 2\^64 - 1"),
    (bytes(20), 0, -1, "expected a whole number"),
])  # fmt: skip
def test_an_authorization_is_signed_only_if_it_can_be_encoded(
    delegate: Any, nonce: int, chain_id: int, expected: str
) -> None:
    """EIP-7702: `chain_id < 2**256`, `nonce < 2**64`, `len(address) == 20`."""
    with pytest.raises(InvalidInput, match=expected):
        accounts()[0].sign_authorization(delegate, nonce, chain_id)
