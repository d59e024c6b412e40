"""A transaction's first call, run with all that it calls without a kernel and without a thread of its own.

Most transactions are short and touch nothing but contracts and accounts: for them what the machine does around a call
takes longer than the call. An engine that can run such a one by itself (`runtimes.evm.fast`) is asked to before the
call takes its usual way. What comes of it is the same.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge.addresses import EthAddress
from bridge.gas import CHARGE_NAME
from hypervisor.call import Call, CallResult
from hypervisor.types import ActorID
from runtimes.evm.code import CodeCache
from runtimes.evm.engine import Frame, TxContext
from runtimes.evm.ethereum.accounts import Accounts
from runtimes.evm.ethereum.actor import code_of
from runtimes.evm.ethereum.answers import returned
from runtimes.evm.ethereum.calls import EthereumCalls
from runtimes.evm.ethereum.forks import Fork
from store.cid import RAW

if TYPE_CHECKING:
    from runtimes.evm.fast.engine import FastEngine


@dataclass(slots=True)
class Surrounding:
    """What a whole transaction may look at; see `runtimes.evm.fast.tree.TreeHost`."""

    calls: EthereumCalls
    accounts: Accounts
    fork: Fork
    actor: ActorID
    address: EthAddress

    def get_tx_context(self) -> TxContext:
        """Block and transaction."""
        return self.calls.surroundings.context


def call_at_once(
    calls: EthereumCalls, codes: CodeCache, engine: "FastEngine", call: Call, actor: ActorID, address: EthAddress
) -> CallResult | None:
    """What came of the call; None where the engine cannot run it so, and nothing has happened."""
    if call.params is not None and call.params.codec != RAW:
        return None
    accounts, fork = calls.accounts, calls.surroundings.fork
    found = accounts.glance(actor)
    if found is None:
        return None
    code, calldata = code_of(calls, codes, found.code), b"" if call.params is None else call.params.data
    frame = Frame(fork, code, calldata, accounts.address_of(call.from_), address, call.value, call.read_only)
    ended = engine.at_once(frame, Surrounding(calls, accounts, fork, actor, address), found)
    if ended is None:
        return None
    outcome, gas = ended
    calls.invocations += 1
    calls.gas.charge(CHARGE_NAME, gas)
    return CallResult(outcome.status, returned(outcome.data))
