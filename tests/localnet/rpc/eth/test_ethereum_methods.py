"""eth_config, eth_getAccount, eth_fillTransaction, and geth's 4byteTracer and muxTracer.

Figures are anvil's (1.7.1) for the same requests, except that fork IDs are of this chain's first block, and there are
no system contracts of a consensus layer. anvil has neither tracer: their rules are go-ethereum's.
"""

import zlib

import pytest
from eth_account import Account as EthAccount

from bridge.ethereum.transactions import SET_CODE, Transaction
from localnet import Network
from localnet.rpc.node import Node
from runtimes.evm.ethereum.forks import fork_names
from tests.localnet.conftest import Clock
from tests.localnet.rpc.asking import ALICE, ALICE_KEY, BOB, NOBODY
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


def test_filecoin_has_no_forks_of_ethereum() -> None:
    with Network(clock=Clock()) as network, pytest.raises(Failed, match="network versions") as failed:
        Client(Node(network))("eth_config")
    assert failed.value.code == -32004


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


@pytest.mark.parametrize("fields", [{}, {"gasPrice": hex(3 * GWEI)}, {"gasPrice": hex(3 * GWEI), "accessList": []}])
def test_a_transaction_is_filled_in_and_not_sent(rpc: Client, fields: dict[str, str]) -> None:
    """Check that the filled-in transaction can be signed as it is; the oracle is eth_account."""
    height = rpc("eth_blockNumber")
    filled = rpc("eth_fillTransaction", {"from": ALICE, "to": BOB, "value": "0x1", **fields})
    found = filled["tx"]
    assert (found["from"], found["gas"], found["nonce"], found["chainId"]) == (ALICE, "0x5208", "0x0", hex(31337))
    assert (found["r"], found["s"], found["blockHash"]) == ("0x0", "0x0", None)
    names = {"type", "nonce", "gas", "value", "chainId", "to", "accessList"} & set(found)
    names |= {"maxFeePerGas", "maxPriorityFeePerGas"} if found["type"] == "0x2" else {"gasPrice"}
    if found["type"] == "0x0":
        names.remove("type")
    values = {name: found[name] for name in names} | {"to": bytes.fromhex(BOB[2:])}
    signed = EthAccount.sign_transaction(values, ALICE_KEY)
    assert rpc("eth_blockNumber") == height
    assert rpc("eth_sendRawTransaction", f"0x{signed.raw_transaction.hex()}") == f"0x{signed.hash.hex()}"


def test_the_bytes_of_a_transaction_that_is_filled_in_are_anvils(rpc: Client) -> None:
    """Expected: anvil 1.7.1's response to the same request at its first account's nonce 9."""
    request = {"to": BOB, "value": "0x1", "nonce": "0x9", "maxFeePerGas": "0xb2d05e00", "gas": "0x5208"}
    filled = rpc("eth_fillTransaction", request)
    assert filled["raw"] == (
        "0x02ec827a6909843b9aca0084b2d05e008252089470997970c51812dc3a010c7d01b50e0d17dc79c80180c0808080"
    )
    assert filled["tx"]["hash"] == "0xc6cc5cfd659b70366c50ec789fbd1d936b3f0781356765d5f7aa635165d30baf"
    legacy = rpc("eth_fillTransaction", {"to": BOB, "value": "0x1", "nonce": "0x9", "gasPrice": "0xb2d05e00"})
    assert legacy["raw"] == "0xe50984b2d05e008252089470997970c51812dc3a010c7d01b50e0d17dc79c8018082f4f58080"
    assert legacy["tx"]["v"] == "0xf4f5"


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


def test_call_tracer_frames_cover_every_call_and_create_opcode(rpc: Client) -> None:
    """Check each opcode's frame against go-ethereum's callTracer."""
    rpc("anvil_setCode", INNER, "0x602a5f5260205ff3")
    called = [
        f"5f5f5f5f{value}73{INNER[2:]}5a{opcode}50"
        for opcode, value in (("f4", ""), ("fa", ""), ("f2", "5f"), ("f1", "5f"))
    ]
    rpc("anvil_setCode", OUTER, f"0x{''.join(called)}00")
    account = rpc("eth_accounts")[0]
    sent = rpc("eth_sendTransaction", {"from": account, "to": OUTER, "gas": "0xf4240"})
    trace = rpc("debug_traceTransaction", sent, {"tracer": "callTracer"})
    assert [(call["type"], call["from"], call["to"], call["output"]) for call in trace["calls"]] == [
        (kind, OUTER, INNER, f"0x{42:064x}") for kind in ("DELEGATECALL", "STATICCALL", "CALLCODE", "CALL")
    ]
    flat = rpc("trace_transaction", sent)
    assert [each["action"]["callType"] for each in flat] == ["call", "delegatecall", "staticcall", "callcode", "call"]
    made = rpc("eth_sendTransaction", {"from": account, "data": "0x602a5f5360015ff3"})
    created = rpc("eth_getTransactionReceipt", made)["contractAddress"]
    trace = rpc("debug_traceTransaction", made, {"tracer": "callTracer"})
    assert (trace["type"], trace["to"], trace["input"]) == ("CREATE", created, "0x602a5f5360015ff3")
    assert trace["output"] == "0x2a"
    (flat,) = rpc("trace_transaction", made)
    assert (flat["type"], flat["result"]["address"]) == ("create", created)


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


@pytest.mark.parametrize("hardfork", ["frontier", "berlin"])
def test_blocks_before_london_have_no_base_fee(hardfork: str) -> None:
    """Source: go-ethereum internal/ethapi, `RPCMarshalHeader`."""
    with Network(clock=Clock(), rules="ethereum", hardfork=hardfork) as network:
        rpc = Client(Node(network))
        for tag in ("latest", "pending"):
            assert "baseFeePerGas" not in rpc("eth_getBlockByNumber", tag)
        [simulated] = rpc("eth_simulateV1", {"blockStateCalls": [{}]})
        assert "baseFeePerGas" not in simulated


@pytest.mark.parametrize("kind", [2, "2", "0x2"])
def test_type_may_be_a_number(rpc: Client, kind: object) -> None:
    """web3.py's `modify_transaction` sends the number that it read."""
    sent = rpc("eth_sendTransaction", {"from": ALICE, "to": BOB, "type": kind})
    assert rpc("eth_getTransactionByHash", sent)["type"] == "0x2"
