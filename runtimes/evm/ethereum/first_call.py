"""A transaction's first call: run with all nested calls by an engine that supports it, without kernel and extra thread.

Most transactions only touch contracts and accounts; for these, per-call overhead dominates execution time. If the
engine cannot complete the call tree, the call runs as usual. The result is the same.
"""

from functools import partial

from bridge.ethereum.addresses import EthAddress
from bridge.gas import CHARGE_NAME
from bridge.method_numbers import INVOKE_EVM
from hypervisor.kernel.call import Call, CallResult
from hypervisor.types import ActorID
from runtimes.evm.engine import Frame
from runtimes.evm.ethereum.actor import code_of
from runtimes.evm.ethereum.addresses import ethereum_address
from runtimes.evm.ethereum.calls import EthereumCalls
from runtimes.evm.ethereum.subcalls import return_block
from runtimes.evm.ethereum.tree_host import EthereumTreeHost
from runtimes.evm.tree_engine import TreeRuntime, offers_trees
from store.cid import RAW


def send_first(calls: EthereumCalls, call: Call) -> CallResult:
    """Make a transaction's first call. Raises OutOfGas, SyscallError."""
    if calls.tracer is None and call.method == INVOKE_EVM:
        if calls.interceptor is None:
            return _send_untraced(calls, call)
        if calls.frames is not None and not calls.frames.is_armed:
            return calls.interceptor.send(calls, call, partial(_send_untraced, calls))
    return calls.send(call)


def _send_untraced(calls: EthereumCalls, call: Call) -> CallResult:
    result = _run_tree(calls, call) if calls.allow_tree else None
    return calls.with_transaction(call) if result is None else result


def _run_tree(calls: EthereumCalls, call: Call) -> CallResult | None:
    """Run the call of a contract as a tree; return None, without effect, if that is not possible."""
    address, accounts = ethereum_address(call.to), calls.accounts
    if address is None or accounts.records_accesses or address in calls.environment.fork.precompiles:
        return None
    actor = accounts.find(address)
    if actor is None or calls.tree.existing(actor).code != accounts.evm_code:
        return None
    runtime = calls.machine.registry.runtime_for(accounts.evm_code)[1]
    if not offers_trees(runtime) or (call.params is not None and call.params.codec != RAW):
        return None
    return calls.send_first_call(call, actor, address, partial(_run, calls, runtime, call, actor, address))


def _run(
    calls: EthereumCalls, runtime: TreeRuntime, call: Call, actor: ActorID, address: EthAddress
) -> CallResult | None:
    fork, accounts = calls.environment.fork, calls.accounts
    engine, found = runtime.tree_engine(fork), accounts.view(actor)
    if engine is None or found is None:
        return None
    code, calldata = code_of(calls, runtime.codes, found.code), b"" if call.params is None else call.params.data
    frame = Frame(fork, code, calldata, accounts.address_of(call.from_), address, call.value, call.read_only)
    ended = engine.run_tree(frame, EthereumTreeHost(calls, actor, address), calls.gas.available, found)
    if ended is None:
        return None
    outcome, gas = ended
    calls.invocations += 1
    calls.gas.charge(CHARGE_NAME, gas)
    return CallResult(outcome.status, return_block(outcome.data))
