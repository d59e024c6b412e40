"""Contracts on this project's EVM runtime and on the official EVM actor, from the same state: nothing may differ.

Two machines over an official bundle, which differ only in who runs contracts, are given the same random contracts.
After each message exit code, return value, events and state root must be equal. Gas is about equal over golden cases.
"""

from __future__ import annotations

from functools import cache
from statistics import median

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devtools.vectors.fevm import CaseWorld, load_cases
from hypervisor.bundle import Bundle
from hypervisor.context import MachineContext
from hypervisor.machine import Hypervisor, Snapshot
from hypervisor.tracing import MessageEnded, TraceEvent
from runtimes.evm.opcodes import FILECOIN_OPCODES
from store.blockstore import Store
from store.cid import Cid
from tests.conftest import data_file, fvm_data
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.evm.chain import SENDER_ETH, Chain, open_machine

OFFICIAL_BUNDLE = "bundles/v18-devnet.car"
ENGINES = ("official", "py-evm")
U256 = (1 << 256) - 1
FIXED = (
    "CALLDATASIZE 0 0 CALLDATACOPY CALLDATASIZE 0 RETURN",
    "CALLDATASIZE 0 0 CALLDATACOPY CALLDATASIZE 0 REVERT",
    "1 0 SLOAD ADD 0 SSTORE CALLER 0 MSTORE 32 0 RETURN",
    "CALLER SELFDESTRUCT",
    "7 0 0 LOG1 7 7 TSTORE INVALID",
    "0 0 0 0 CALLVALUE CALLER GAS CALL",
    "",
)
"""Contracts that random ones may call: echo, refuse, count and name the caller, die, fail, call back, nothing."""


class Twins:
    """The two machines with the fixed contracts on them, put back before each example."""

    def __init__(self) -> None:
        bundle = Bundle.open(data_file(OFFICIAL_BUNDLE))
        self.chains = [Chain(open_machine(bundle=bundle, evm=evm)) for evm in ENGINES]
        made = [[chain.deploy(assemble(code), value=1000) for code in FIXED] for chain in self.chains]
        assert made[0] == made[1]
        self.contracts = made[0]
        self._start: list[tuple[Snapshot, int]] = [(chain.machine.snapshot(), chain.nonce) for chain in self.chains]

    def reset(self) -> None:
        """Back to the state with the fixed contracts only."""
        for chain, (snapshot, nonce) in zip(self.chains, self._start, strict=True):
            chain.machine.restore(snapshot)
            chain.nonce = nonce


@cache
def twins() -> Twins:
    return Twins()


small = st.integers(0, 96)
interesting = st.sampled_from(
    [1 << 32, (1 << 32) - 1, 1 << 64, (1 << 64) - 1, 1 << 128, 1 << 160, 1 << 255, U256, 2300, 0]
)
words = st.one_of(small, small, interesting, st.integers(0, U256))
addresses = st.one_of(
    st.integers(0, len(FIXED) - 1).map(lambda index: int.from_bytes(twins().contracts[index], "big")),
    st.integers(0, 20),
    st.integers(0, 8).map(lambda index: (0xFE << 152) + index),
    st.sampled_from([0, 1, 7, 10, 99, 100, 10**6]).map(lambda actor: (0xFF << 152) + actor),
    st.just(0x100),
    st.just(int.from_bytes(SENDER_ETH, "big")),
    st.integers(0, (1 << 160) - 1),
)
CALLS = {"CALL": 7, "STATICCALL": 6, "DELEGATECALL": 6}


@st.composite
def calls(draw: st.DrawFn) -> str:
    """A call with operands that make sense, mostly."""
    name = draw(st.sampled_from(sorted(CALLS)))
    regions = [draw(small) for _ in range(4)]
    value = [draw(st.sampled_from([0, 0, 1, 5, 10**6]))] if name == "CALL" else []
    gas = draw(st.sampled_from(["GAS", "0", "2300", str(U256)]))
    operands = [*regions, *value, draw(addresses)]
    return " ".join([*map(str, operands), gas, name, draw(st.sampled_from(["POP", "0 MSTORE", ""]))])


@st.composite
def creations(draw: st.DrawFn) -> str:
    """Store a few bytes of init code and create a contract of them."""
    code = int.from_bytes(draw(st.binary(max_size=32)).ljust(32, b"\0"), "big")
    name = draw(st.sampled_from(["CREATE", "CREATE2"]))
    salt = [draw(small)] if name == "CREATE2" else []
    operands = [*salt, draw(st.integers(0, 33)), 64, draw(st.sampled_from([0, 1, 10**6]))]
    return " ".join([f"{code} 64 MSTORE", *map(str, operands), name, "0 MSTORE"])


plain = st.sampled_from(sorted({op.name for op in FILECOIN_OPCODES.values()} - {"GAS", "JUMP", "JUMPI"}))
statements = st.one_of(words.map(str), words.map(str), addresses.map(str), plain, plain, calls(), creations())
endings = st.sampled_from(["MSIZE 0 RETURN", "RETURNDATASIZE 0 0 RETURNDATACOPY RETURNDATASIZE 0 RETURN", "STOP", ""])
programs = st.builds(lambda body, end: assemble(" ".join([*body, end])), st.lists(statements, max_size=30), endings)


@pytest.mark.skipif(fvm_data() is None, reason="needs an official bundle")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(programs | st.binary(max_size=200), st.binary(max_size=80), st.sampled_from([0, 0, 5]))
def test_a_random_contract_does_the_same_on_both(code: bytes, calldata: bytes, value: int) -> None:
    pair = twins()
    pair.reset()
    if code[:1] == b"\xef":
        code = b"\xfe" + code
    seen = []
    for chain in pair.chains:
        contract = chain.deploy(code, value=7)
        results = [chain.invoke(contract, calldata, value), chain.invoke(contract, calldata[::-1])]
        seen.append((contract, [(int(r.exit_code), r.return_data, r.events) for r in results], chain.machine.root))
    assert seen[0] == seen[1]


@pytest.mark.skipif(fvm_data() is None, reason="needs an official bundle")
@pytest.mark.parametrize("mebibytes", [8, 20, 64])
def test_live_frames_share_the_memory_of_a_message(mebibytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A contract that calls itself as long as it can: in less memory than the network's, so that depth is no limit."""
    pair = twins()
    pair.reset()
    count = assemble("32 0 0 0 0 ADDRESS GAS CALL POP 0 MLOAD 1 ADD 0 MSTORE 32 0 RETURN")
    contracts = [chain.deploy(count) for chain in pair.chains]
    for module in ("hypervisor.memory", "runtimes.wasm.runtime"):
        monkeypatch.setattr(f"{module}.MAX_TOTAL_MEMORY", mebibytes << 20)
    frames = [chain.call(contract) for chain, contract in zip(pair.chains, contracts, strict=True)]
    assert frames[0] == frames[1]


COMPARED = ("storage", "logs", "calls", "create", "inspect", "selfdestruct", "solidity", "trees")


@pytest.mark.skipif(fvm_data() is None, reason="needs an official bundle")
@pytest.mark.parametrize("group", COMPARED)
def test_messages_cost_about_what_the_official_actor_makes_them_cost(group: str) -> None:
    """Gas is derived, not metered as the official module's; over the golden cases the ratio stays close to one."""
    bundle = Bundle.open(data_file(OFFICIAL_BUNDLE))
    gas = [_gas_of_cases(_Metered(bundle, evm), group) for evm in ENGINES]
    ratios = sorted(ours / official for official, ours in zip(*gas, strict=True) if official)
    assert len(ratios) > 25
    assert 0.97 < median(ratios) < 1.03
    tenth = len(ratios) // 10
    assert ratios[tenth] > 0.93
    assert ratios[-1 - tenth] < 1.1


class _Metered(CaseWorld):
    """Notes what the messages of its cases cost."""

    def __init__(self, bundle: Bundle, evm: str) -> None:
        super().__init__(bundle, evm)
        self.gas: list[int] = []

    def event(self, event: TraceEvent, /) -> None:
        if isinstance(event, MessageEnded):
            self.gas.append(event.gas_used)

    def _machine(self, store: Store, root: Cid, context: MachineContext) -> Hypervisor:
        machine = super()._machine(store, root, context)
        machine.tracer = self
        return machine


def _gas_of_cases(world: _Metered, group: str) -> list[int]:
    for case in load_cases(data_file("vectors/fevm"), group)[:30]:
        world.run(case)
    return world.gas
