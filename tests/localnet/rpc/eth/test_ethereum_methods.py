"""eth_config, eth_getAccount, eth_fillTransaction, and geth's 4byteTracer and muxTracer.

Figures are anvil's (1.7.1) for the same requests, except that fork IDs are of this chain's first block, and there are
no system contracts of a consensus layer. anvil has neither tracer: their rules are go-ethereum's.
"""

import zlib

import pytest

from bridge.ethereum.transactions import SET_CODE, Transaction
from localnet import Network
from localnet.rpc.node import Node
from runtimes.evm.forks.forks import fork_names
from tests.localnet.conftest import Clock
from tests.localnet.rpc.asking import ALICE, BOB, NOBODY
from tests.localnet.rpc.conftest import Client, Failed, client_fixture, refusal

GWEI = 10**9
EMPTY_CODE = "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
EMPTY_TRIE = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
OUTER, INNER = "0x" + "e1" * 20, "0x" + "e2" * 20


rpc = client_fixture(lambda: Network(clock=Clock(), rules="ethereum"))


OSAKA = {
    "BLAKE2F": 9, "BLS12_G1ADD": 0xB, "BLS12_G1MSM": 0xC, "BLS12_G2ADD": 0xD, "BLS12_G2MSM": 0xE,
    "BLS12_MAP_FP2_TO_G2": 0x11, "BLS12_MAP_FP_TO_G1": 0x10, "BLS12_PAIRING_CHECK": 0xF, "BN254_ADD": 6, "BN254_MUL": 7,
    "BN254_PAIRING": 8, "ECREC": 1, "ID": 4, "KZG_POINT_EVALUATION": 0xA, "MODEXP": 5, "P256VERIFY": 0x100,
    "RIPEMD160": 3, "SHA256": 2,
}  # fmt: skip


PINNED = {
    "Frontier": (None, 4),
    "SpuriousDragon": (None, 4),
    "Byzantium": (None, 8),
    "Istanbul": (None, 9),
    "Shanghai": (None, 9),
    "Cancun": ((3, 6, 3_338_477), 0xA),
    "Prague": ((6, 9, 5_007_716), 0x11),
    "Osaka": ((6, 9, 5_007_716), 0x100),
    "BPO1": ((10, 15, 8_346_193), 0x100),
    "BPO2": ((14, 21, 11_684_671), 0x100),
}
"""Blob target, maximum and fraction (EIP-4844, 7691, 7892), and the last precompile of a fork."""


@pytest.mark.parametrize("hardfork", PINNED)
def test_eth_config_reports_fork_configuration(hardfork: str) -> None:
    with Network(clock=Clock(), rules="ethereum", hardfork=hardfork) as network:
        rpc = Client(Node(network))
        found = rpc("eth_config")
        assert (found["next"], found["last"]) == (None, None)
        current = found["current"]
        genesis = bytes.fromhex(rpc("eth_getBlockByNumber", "0x0", False)["hash"][2:])
        assert (current["activationTime"], current["chainId"]) == (0, hex(31337))
        assert current["forkId"] == f"0x{zlib.crc32(genesis):08x}"
        older = fork_names().index(hardfork) <= fork_names().index("Cancun")
        figures, last = PINNED[hardfork]
        named = figures and dict(zip(("target", "max", "baseFeeUpdateFraction"), figures, strict=True))
        assert current["blobSchedule"] == named
        assert current["precompiles"] == {name: f"0x{at:040x}" for name, at in OSAKA.items() if at <= last}
        history = {"HISTORY_STORAGE_ADDRESS": "0x0000f90827f1c53a10cb7a02335b175320002935"}
        assert current["systemContracts"] == ({} if older else history)


def test_eth_get_account_returns_fields(rpc: Client) -> None:
    nothing = {"nonce": "0x0", "balance": "0x0", "storageRoot": EMPTY_TRIE, "codeHash": EMPTY_CODE}
    assert rpc("eth_getAccount", NOBODY, "latest") == nothing
    before = rpc("eth_blockNumber")
    rpc("eth_sendTransaction", {"from": BOB, "to": NOBODY, "value": "0x7"})
    assert rpc("eth_getAccount", NOBODY, "latest") == {**nothing, "balance": "0x7"}
    assert rpc("eth_getAccount", NOBODY, before) == nothing
    assert rpc("eth_getAccount", BOB, "latest")["nonce"] == "0x1"
    rpc("anvil_setCode", NOBODY, "0x00")
    assert rpc("eth_getAccount", NOBODY, "latest")["codeHash"] == rpc("eth_getProof", NOBODY, [], "latest")["codeHash"]


@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
def test_four_byte_tracer_counts_called_selectors(rules: str) -> None:
    with Network(clock=Clock(), rules=rules) as network:
        rpc = Client(Node(network))
        # twice STATICCALL(gas, INNER, 0, 36, 0, 0), once with 2 bytes, which have no selector
        call = "5f5f60{:02x}5f73" + INNER[2:] + "5afa50"
        rpc("anvil_setCode", OUTER, "0x63aabbccdd60e01b5f52" + call.format(36) * 2 + call.format(2) + "00")
        rpc("anvil_setCode", INNER, "0x00")
        request = {"from": ALICE, "to": OUTER, "data": "0x11223344" + "00" * 32}
        counted = {"0x11223344-32": 1, "0xaabbccdd-32": 2}
        assert rpc("debug_traceCall", request, "latest", {"tracer": "4byteTracer"}) == counted
        sent = rpc("eth_sendTransaction", request)
        options = {"onlyTopCall": True}
        several = {"tracer": "muxTracer", "tracerConfig": {"4byteTracer": None, "callTracer": options}}
        expected = {
            "4byteTracer": counted,
            "callTracer": rpc("debug_traceTransaction", sent, {"tracer": "callTracer", "tracerConfig": options}),
        }
        assert "calls" not in expected["callTracer"]
        assert rpc("debug_traceTransaction", sent, several) == expected
        block = rpc("debug_traceBlockByNumber", "latest", several)
        assert block == [{"txHash": sent, "result": expected}]
        assert set(rpc("debug_traceCall", request, "latest", several)) == set(expected)
        assert rpc("debug_traceTransaction", sent, {"tracer": "muxTracer"}) == {}


@pytest.mark.parametrize("inner", [{"muxTracer": {}}, {"noTracer": {}}, {"callTracer": 5}])
def test_invalid_mux_tracers_are_refused(rpc: Client, inner: dict[str, object]) -> None:
    with refusal(-32602):
        rpc("debug_traceCall", {"to": BOB}, "latest", {"tracer": "muxTracer", "tracerConfig": inner})


@pytest.mark.parametrize(("rules", "hardfork"), [("filecoin", ""), ("ethereum", "Cancun"), ("ethereum", "Prague")])
def test_empty_authorization_list_is_refused_as_in_raw_form(rules: str, hardfork: str) -> None:
    """go-ethereum's `TransactionArgs` make type 4 of any present list; no block contains one with an empty list."""
    with Network(clock=Clock(), rules=rules, hardfork=hardfork) as network:
        rpc, alice = Client(Node(network)), network.accounts[0]
        bare = Transaction(SET_CODE, network.chain_id, 0, network.accounts[1].address, 0, b"", 100_000, 10**10, 10**9)
        with pytest.raises(Failed) as of_raw:
            rpc("eth_sendRawTransaction", f"0x{alice.sign(bare).raw().hex()}")
        request = {"from": f"0x{alice.address.hex()}", "to": f"0x{network.accounts[1].address.hex()}"}
        for given in ({}, {"gas": hex(100_000)}):
            with pytest.raises(Failed) as of_object:
                rpc("eth_sendTransaction", {**request, **given, "authorizationList": []})
            assert (of_object.value.code, str(of_object.value)) == (of_raw.value.code, str(of_raw.value))
        assert of_raw.value.code == -32003
        assert network.block_number == 0


@pytest.mark.parametrize("method", ["eth_fillTransaction", "eth_signTransaction", "eth_sendTransaction"])
def test_gas_price_beside_authorizations_is_refused(rpc: Client, method: str) -> None:
    """go-ethereum, internal/ethapi `setFeeDefaults`: a legacy transaction has no authorizations."""
    item = {"chainId": "0x0", "address": BOB, "nonce": "0x0", "yParity": "0x0", "r": "0x1", "s": "0x1"}
    request = {"from": ALICE, "to": BOB, "gas": hex(100_000), "nonce": "0x0", "authorizationList": [item]}
    with refusal(-32003, "both gasPrice and authorizationList specified"):
        rpc(method, {**request, "gasPrice": hex(2 * GWEI)})


@pytest.mark.parametrize("hardfork", ["frontier", "berlin"])
def test_blocks_before_london_have_no_base_fee(hardfork: str) -> None:
    """Source: go-ethereum internal/ethapi, `RPCMarshalHeader`."""
    with Network(clock=Clock(), rules="ethereum", hardfork=hardfork) as network:
        rpc = Client(Node(network))
        for tag in ("latest", "pending"):
            assert "baseFeePerGas" not in rpc("eth_getBlockByNumber", tag)
        [simulated] = rpc("eth_simulateV1", {"blockStateCalls": [{}]})
        assert "baseFeePerGas" not in simulated


def test_a_fork_without_base_fees_or_blobs_has_none_to_set_or_read() -> None:
    """anvil 1.7.1 and Hardhat refuse the base fee; go-ethereum's eth/api_backend.go has no blob base fee."""
    with Network(clock=Clock(), rules="ethereum", hardfork="berlin") as network:
        rpc = Client(Node(network))
        for prefix in ("anvil", "hardhat"):
            with refusal(-32602, "no base fee"):
                rpc(f"{prefix}_setNextBlockBaseFeePerGas", "0x1")
        assert rpc("eth_blobBaseFee") is None


@pytest.mark.parametrize("kind", [2, "2", "0x2"])
def test_type_may_be_a_number(rpc: Client, kind: object) -> None:
    """web3.py's `modify_transaction` sends the number that it read."""
    sent = rpc("eth_sendTransaction", {"from": ALICE, "to": BOB, "type": kind})
    assert rpc("eth_getTransactionByHash", sent)["type"] == "0x2"
