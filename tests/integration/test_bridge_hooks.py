"""Native actors that call contracts: token receivers, contract signatures, notifications of deals and sectors.

The contract returns a fixed value from every such call and logs its calldata. FIP-0044, FIP-0109, FRC-0046 and the
built-in actors specify the parameters and the handling of return values.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from eth_abi.abi import encode as encode_abi

from bridge.ethereum.addresses import to_filecoin
from bridge.filecoin.method_numbers import method_number
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD, HANDLE_FILECOIN_METHOD, CreateReturn
from hypervisor import Address
from hypervisor.bundles.bundle import Bundle
from hypervisor.exit_codes import ExitCode
from hypervisor.machine.executor import ApplyResult
from hypervisor.types import EAM_ACTOR
from store.cid import CBOR, DAG_CBOR
from store.codec import decode, encode
from tests.conftest import data_file, kinds
from tests.hypervisor.builtin_actors.people import ALICE, ETHEL, amount, packed, raw
from tests.hypervisor.builtin_actors.test_same_market import ADD, PUBLISH, Deal
from tests.hypervisor.builtin_actors.test_same_registry import ADD_CLIENT, BYTE, KIB, piece
from tests.integration.filecoin_solidity.cases import MARKET, REGISTRY, Stage
from tests.integration.filecoin_solidity.compare import OFFICIAL
from tests.runtimes.evm.assembler import assemble, deployer

RECEIVE, NOTIFY, AUTHENTICATE, CONTENT = (
    method_number(name) for name in ("Receive", "MarketNotifyDeal", "AuthenticateMessage", "SectorContentChanged")
)
FRC46: Final = 2233613279
YES, NO = encode(True), encode(False)


@pytest.fixture(scope="module", params=kinds("its EVM actor"))
def opened(request: pytest.FixtureRequest) -> Iterator[Stage]:
    own = request.param == "own"
    bundle = Bundle.embedded() if own else Bundle.open(data_file(OFFICIAL))
    stage = Stage(bundle, Path(), "official" if request.param == "its EVM actor" else "py-evm")
    yield stage
    stage.machine.close()


@pytest.fixture
def stage(opened: Stage) -> Iterator[Stage]:
    before = opened.machine.snapshot()
    yield opened
    opened.machine.restore(before)


class Hook:
    """A contract that handles method calls, by default with an empty result."""

    def __init__(self, stage: Stage, quiet: str = "", **answers: tuple[int, int, bytes]) -> None:
        """`answers` holds (exit code, codec, data) by method name; calls of the `quiet` method are not logged."""
        branches = {name: f"4 CALLDATALOAD {method_number(name)} EQ @{name} JUMPI" for name in answers}
        first = branches.pop(quiet, "")
        code = f"{first} CALLDATASIZE 0 0 CALLDATACOPY CALLDATASIZE 0 LOG0 {' '.join(branches.values())} STOP"
        blob = b""
        for name, result in answers.items():
            data = encode_abi(["uint32", "uint64", "bytes"], result)
            code += f" {name}: {len(data)} {len(blob)} @data ADD 1 ADD 0 CODECOPY {len(data)} 0 RETURN"
            blob += data
        runtime = assemble(f"{code} data:") + blob
        created = stage.send(Address.id(EAM_ACTOR), CREATE_EXTERNAL_METHOD, encode(deployer(runtime)), sender=ETHEL)
        self.address = to_filecoin(CreateReturn.decode(encode(created)).eth_address)
        self.id = stage.id_of(self.address)

    def called(self, result: ApplyResult) -> list[tuple[int, Any]]:
        """Return the methods that called the contract with their parameters, from its logs."""
        calls = []
        for event in result.events:
            if event.emitter == self.id:
                (entry,) = event.entries
                data = entry.value
                assert data[:4] == HANDLE_FILECOIN_METHOD
                method, codec, _, length = (int.from_bytes(data[at : at + 32], "big") for at in range(4, 132, 32))
                assert codec == CBOR
                calls.append((method, decode(data[132 : 132 + length])))
        return calls


# --- tokens -------------------------------------------------------------------------------------------------------


def mint(stage: Stage, to: Address, size: int = KIB) -> ApplyResult:
    return stage.apply(REGISTRY, ADD_CLIENT, packed(raw(to), amount(size)), 0, ALICE)


@pytest.mark.slow
def test_bridge_hooks_tell_a_contract_of_the_tokens_that_it_gets(stage: Stage) -> None:
    hook = Hook(stage)
    result = mint(stage, hook.address)
    assert result.exit_code == ExitCode.OK
    ((method, (kind, payload)),) = hook.called(result)
    assert (method, kind) == (RECEIVE, FRC46)
    from_, to, operator, tokens, operator_data, token_data = decode(payload)
    assert (from_, to, operator, tokens) == (7, hook.id, 6, amount(KIB * BYTE))
    assert (operator_data, token_data) == (b"", b"")


@pytest.mark.parametrize(
    ("answer", "exit_code"),
    [
        ((0, CBOR, b"\x05"), 0), ((0, 0, b""), 0), ((77, 0, b""), 77), ((77, CBOR, b"\x05"), 77), ((33, 0, b""), 33),
        ((5, 0, b""), 23), ((9, 0, b""), 23), ((0, DAG_CBOR, b"\x05"), 21), ((0, 0, b"\x05"), 21),
    ],
)  # fmt: skip
def test_bridge_hooks_let_a_contract_refuse_tokens(
    stage: Stage, answer: tuple[int, int, bytes], exit_code: int
) -> None:
    hook = Hook(stage, Receive=answer)
    stage.machine.state_tree.flush()
    before = dict(stage.machine.state_tree.actors())
    result = mint(stage, hook.address)
    assert result.exit_code == exit_code
    if exit_code:
        assert result.events == ()
        stage.machine.state_tree.flush()
        sender = stage.id_of(ALICE)
        after = dict(stage.machine.state_tree.actors())
        assert {actor for actor in after if after[actor] != before[actor]} == {sender}


# --- deals --------------------------------------------------------------------------------------------------------


SIGNS: Final = "AuthenticateMessage"
"""The method that the market calls read-only, so that a log is refused."""


def publish(stage: Stage, client: Address, sealed: bytes = b"\x01any bytes") -> tuple[Deal, ApplyResult]:
    """Publish a deal of a contract with ALICE's miner."""
    stage.send(MARKET, ADD, encode(raw(client)), 10**9)
    deal = Deal(Address.id(stage.theirs), client=client, piece=piece(3))
    return deal, stage.apply(MARKET, PUBLISH, packed([[deal.fields(), sealed]]), 0, ALICE)


@pytest.mark.parametrize("masked", [False, True])
def test_bridge_hooks_let_contract_sign_deals_and_notify_it(stage: Stage, masked: bool) -> None:
    hook = Hook(stage, quiet=SIGNS, AuthenticateMessage=(0, CBOR, YES))
    deal, result = publish(stage, Address.id(hook.id) if masked else hook.address)
    assert result.exit_code == ExitCode.OK
    ((number,), _) = decode(result.return_data)
    (notice,) = [params for method, params in hook.called(result) if method == NOTIFY]
    proposal, told = notice
    assert told == number
    normalised = deal.fields()
    normalised[3] = raw(Address.id(hook.id))
    assert decode(proposal) == normalised


@pytest.mark.parametrize(
    "answer", [(0, CBOR, NO), (0, 0, b""), (16, 0, b""), (0, CBOR, encode(1)), (0, DAG_CBOR, YES), (40, CBOR, YES)]
)
def test_bridge_hooks_drop_deals_that_a_contract_did_not_sign(stage: Stage, answer: tuple[int, int, bytes]) -> None:
    hook = Hook(stage, quiet=SIGNS, AuthenticateMessage=answer)
    _, result = publish(stage, hook.address)
    assert result.exit_code == ExitCode.USR_ILLEGAL_ARGUMENT
    assert result.events == ()


def test_signature_bridge_hooks_are_read_only(stage: Stage) -> None:
    hook = Hook(stage, AuthenticateMessage=(0, CBOR, YES))  # logs before it answers
    _, result = publish(stage, hook.address)
    assert result.exit_code == ExitCode.USR_ILLEGAL_ARGUMENT


def test_bridge_hooks_pass_signature_and_proposal_to_contract(stage: Stage) -> None:
    """The call uses the market's method number without the read-only flag."""
    hook = Hook(stage, AuthenticateMessage=(0, CBOR, YES))
    result = stage.implicit(5, hook.address, AUTHENTICATE, packed(b"signature", b"message"))
    assert result.return_data == YES
    assert hook.called(result) == [(AUTHENTICATE, [b"signature", b"message"])]


@pytest.mark.parametrize("answer", [(1000, 0, b""), (33, CBOR, b"\x05"), (0, DAG_CBOR, b"\x05")])
def test_bridge_hooks_abort_publish_if_deal_notice_is_refused(stage: Stage, answer: tuple[int, int, bytes]) -> None:
    hook = Hook(stage, quiet=SIGNS, AuthenticateMessage=(0, CBOR, YES), MarketNotifyDeal=answer)
    _, result = publish(stage, hook.address)
    assert result.exit_code == ExitCode.USR_ILLEGAL_ARGUMENT
    assert result.events == ()


# --- sectors ------------------------------------------------------------------------------------------------------


def test_bridge_hooks_pass_sector_changes_and_contract_verdicts(stage: Stage) -> None:
    verdicts = encode([[True, False]])
    hook = Hook(stage, SectorContentChanged=(0, CBOR, verdicts))
    changes = encode([[7, 1000, [[piece(1), KIB, b"one"], [piece(2), KIB, b"two"]]]])
    result = stage.implicit(stage.theirs, hook.address, CONTENT, changes)
    assert (result.exit_code, result.return_data) == (ExitCode.OK, verdicts)
    assert hook.called(result) == [(CONTENT, decode(changes))]
