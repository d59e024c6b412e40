"""The call tree of a transaction across both runtimes, by re-execution on its original state.

The tree is plain data with bytes as hex. `localnet.traces.trace_report` adds names and decoded values, so that a
client with the ABIs can do it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bridge.ethereum.addresses import address_of_actor, from_delegated, to_ethereum
from bridge.ethereum.block import emitter_address
from hypervisor.exit_codes import ExitCode
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Receipt
from hypervisor.text import one_line, tree
from hypervisor.tracing import FIRST_MISSING, CallEnded, CallNode, CallStarted, CallTrees, EventEmitted, Tracer
from hypervisor.types import SYSTEM_ACTOR, ActorID, ChainEpoch
from localnet.calls.pace import traced
from localnet.calls.time_limit import TimeLimit
from localnet.chain.view import ChainReader
from localnet.ledger.call_tree import all_charges, every_call, is_native
from localnet.ledger.candidates import Candidate
from localnet.ledger.records import GENESIS_PARENT, Execution, Tipset, TransactionReceipt
from localnet.rules.parts import exit_text, rules_of
from localnet.state.actor_interfaces import ActorSchema, StoredSchemas
from localnet.state.named_code import schema_of_code
from store.cid import CBOR, Cid, show

if TYPE_CHECKING:
    from localnet.contracts.named_interface import NamedInterface

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Trace:
    """A transaction's call tree; `reproduced` is True if re-execution produced the recorded receipt.

    `interfaces` are those of the contracts that the network knows. `print` shows the tree.
    """

    receipt: TransactionReceipt
    calls: tuple[dict[str, Any], ...]
    reproduced: bool
    interfaces: tuple[NamedInterface, ...] = ()

    def report(self, interfaces: Sequence[NamedInterface] = ()) -> dict[str, Any]:
        """Return `as_json`, decoded, with the reason of a failure; `interfaces` adds to the known ones."""
        from localnet.traces.trace_report import explain_trace

        return explain_trace(self.as_json(), (*interfaces, *self.interfaces))

    @property
    def charges(self) -> dict[str, int]:
        """Return the charges of all calls, without the message's own, in milligas by name, largest first."""
        return all_charges(self.calls)

    @property
    def failure_path(self) -> tuple[str, ...]:
        """Return the path of calls that explains a failure, from the outermost call; empty on success."""
        why = self.report()["why"]
        return () if why is None else tuple(why["calls"])

    def save_flame(self, file: str | Path) -> None:
        """Write a flame view: an .svg, or an .html page. Raises InvalidInput for other names, OSError."""
        from localnet.traces.trace_report import save_flame

        save_flame(self.report(), Path(file))

    def __str__(self) -> str:
        """Return the tree as lines."""
        from localnet.traces.call_text import tree_text

        return tree_text(self.report()["calls"])

    def __repr__(self) -> str:
        end = f"exit {self.receipt.exit_name}"
        calls = f"{len(every_call(self.calls))} calls"
        return one_line(
            "Trace", f"0x{self.receipt.hash.hex()}", end, calls, "" if self.reproduced else "not reproduced"
        )

    def _repr_html_(self) -> str:
        from localnet.traces.call_text import tree_lines

        report = self.report()
        why = "".join(f"; {text}" for text in self.failure_path[-1:])
        title = f"0x{self.receipt.hash.hex()}: exit {report['exit']}, gas {report['gasUsed']:,}{why}"
        return tree(title, tree_lines(report["calls"]), "print the trace, or save a flame graph with `save_flame`")

    def as_json(self) -> dict[str, Any]:
        """Return the transaction and its calls as plain data (`call_json`)."""
        receipt = self.receipt
        return {
            "transactionHash": f"0x{receipt.hash.hex()}",
            "blockNumber": receipt.block_number,
            "exitCode": receipt.exit_code,
            "exit": receipt.exit_name,
            "gasUsed": receipt.gas_used,
            "words": receipt.error_message,
            "reproduced": self.reproduced,
            "calls": list(self.calls),
        }


@dataclass(frozen=True, slots=True)
class EpochTrace:
    """The implicit calls after a tipset's messages: the block's reward and cron.

    They are implicit messages, which no block contains. `reproduced` is True if re-execution produced the
    recorded state.
    """

    epoch: ChainEpoch
    calls: tuple[dict[str, Any], ...]
    reproduced: bool
    interfaces: tuple[NamedInterface, ...] = ()

    def report(self, interfaces: Sequence[NamedInterface] = ()) -> dict[str, Any]:
        """Return `as_json`, decoded."""
        from localnet.traces.trace_report import decode_calls

        return {**self.as_json(), "calls": decode_calls(self.calls, (*interfaces, *self.interfaces))}

    def __str__(self) -> str:
        """Return the tree as lines."""
        from localnet.traces.call_text import tree_text

        return tree_text(self.report()["calls"])

    def __repr__(self) -> str:
        calls = f"{len(every_call(self.calls))} calls"
        return one_line("EpochTrace", f"epoch {self.epoch}", calls, "" if self.reproduced else "not reproduced")

    def _repr_html_(self) -> str:
        from localnet.traces.call_text import tree_lines

        return tree(f"epoch {self.epoch}: reward and cron", tree_lines(self.report()["calls"]), "print the trace")

    def as_json(self) -> dict[str, Any]:
        """Return the epoch and its calls as plain data (`call_json`)."""
        return {"epoch": self.epoch, "reproduced": self.reproduced, "calls": list(self.calls)}


def epoch_trace(chain: ChainReader, tipset: Tipset, interfaces: tuple[NamedInterface, ...] = ()) -> EpochTrace:
    """Re-execute a tipset's messages, and the rules' work after them with a tracer."""
    replay, trees = Replay(chain, tipset, len(tipset.transactions)), CallTrees()
    replay.end(trees)
    calls = tuple(call_json(replay.machine, call) for call in trees.roots)
    replay.machine.state_tree.flush()
    return EpochTrace(tipset.height, calls, replay.machine.root == tipset.state, interfaces)


def trace(
    chain: ChainReader,
    receipt: TransactionReceipt,
    interfaces: tuple[NamedInterface, ...] = (),
    limit: TimeLimit | None = None,
) -> Trace:
    """Re-execute a tipset's messages up to a transaction, which is traced; for a reward or cron, all of them.

    Raises the error of `limit`.
    """
    trees = CallTrees()
    if receipt.is_implicit:
        replay, executions = replay_implicit(chain, receipt.tipset, trees if limit is None else limit.on(trees), limit)
        reproduced = executions[receipt.index] == receipt.execution
        position = implicit_positions(executions, trees.roots)[receipt.index]
        return Trace(receipt, (call_json(replay.machine, trees.roots[position]),), reproduced, interfaces)
    replay = Replay(chain, receipt.tipset, receipt.index, limit)
    reproduced = replay.next(trees if limit is None else limit.on(trees)) == receipt.execution.receipt
    return Trace(receipt, tuple(call_json(replay.machine, call) for call in trees.roots), reproduced, interfaces)


def replay_implicit(
    chain: ChainReader, tipset: Tipset, tracer: Tracer | None, limit: TimeLimit | None = None
) -> tuple[Replay, list[Execution]]:
    """Re-execute a tipset, and trace its implicit messages that have receipts; return their executions.

    Raises the error of `limit`.
    """
    replay = Replay(chain, tipset, len(tipset.transactions), limit, tracer)
    return replay, replay.end(tracer)


def implicit_positions(executions: Iterable[Execution], calls: Iterable[CallNode]) -> list[int]:
    """Return the positions of implicit messages among the outermost calls of their replay.

    Rules may execute further messages, without receipts, such as the deliveries of the lab `async`.
    """
    numbered = enumerate(call.start for call in calls)
    messages = (execution.candidate.bare for execution in executions)
    return [
        next(number for number, start in numbered if start.from_ == SYSTEM_ACTOR and start.to == message.to)
        for message in messages
    ]


class Replay:
    """Re-executes a tipset's messages on a separate machine, from message number `first` on.

    Earlier messages are executed within `limit`, whose error is raised. `tracer` records the null rounds before the
    tipset. `receipts` are those of a tipset that is not on the chain.
    """

    def __init__(
        self,
        chain: ChainReader,
        tipset: Tipset,
        first: int = 0,
        limit: TimeLimit | None = None,
        tracer: Tracer | None = None,
        receipts: Sequence[TransactionReceipt] | None = None,
    ) -> None:
        self._chain, self._tipset, self._place, self._receipts = chain, tipset, 0, receipts
        self._candidate: Candidate | None = None
        """The next message, once it was read."""
        self.block = chain.repeated_block(tipset, None if receipts is None else chain.producer)
        if tipset.parent != GENESIS_PARENT:
            with traced(self.machine, tracer):
                self.block.begin()
        while self._place < first:
            self.next(None if limit is None else limit.on(None))

    @property
    def machine(self) -> Hypervisor:
        """The machine, in the state before the next message."""
        return self.block.machine

    def next(self, tracer: Tracer | None) -> Receipt | None:
        """Execute the next message with a tracer; return its receipt, or None if it cannot be executed.

        The machine is then in the state that the message left.
        """
        executed = self._run(tracer)
        self._place, self._candidate = self._place + 1, None
        return None if executed is None else executed.receipt

    def end(self, tracer: Tracer | None) -> list[Execution]:
        """Run the rules' work after the last message with a tracer: the block's reward and cron.

        Returns the executions of the tipset's implicit messages that have receipts.
        """
        assert self._place == len(self._tipset.transactions), "every message comes first"
        with traced(self.machine, tracer):
            self.block.end()
        return self.block.implicit

    def rehearse(self, tracer: Tracer, read: Callable[[], T]) -> T:
        """Execute the next message with a tracer that may raise, and revert it; return the result of `read`."""
        with self.block.trial():
            self._run(tracer)
            return read()

    def _run(self, tracer: Tracer | None) -> Execution | None:
        if self._candidate is None:
            known, place = self._receipts, self._place
            receipt = self._chain.index.receipt_at(self._tipset, place) if known is None else known[place]
            self._candidate = receipt.candidate
        with traced(self.machine, tracer):
            return self.block.run(self._candidate)


def call_json(machine: Hypervisor, call: CallNode) -> dict[str, Any]:
    """Return a call with its calls: gas in gas, its own charges in milligas, value in attoFIL (decimal text).

    `abi` is true if the actor is called as a contract (`CodeTraits.speaks_abi`).
    `schemas` of the whole tree are those of the users' actors in it, by code CID, or by the CID of the block that an
    actor's state links, which is then the call's `schema`. `schemaFault` is why a schema on the chain cannot be used.
    """
    nodes = [call]
    for node in nodes:  # iterative, since calls are up to 1,024 deep
        nodes.extend(node.calls)
    found = ((node.actor, node.start.to) for node in reversed(nodes))  # the first call is the creation, by address
    missing: dict[ActorID | None, Address] = {
        actor: to for actor, to in found if actor is not None and actor >= FIRST_MISSING
    }
    written: dict[int, dict[str, Any]] = {}
    schemas: dict[str, str] = {}
    for node in reversed(nodes):
        inner = [written.pop(id(below)) for below in node.calls]
        written[id(node)] = {**_call(machine, node, missing), **schema_of_call(machine, node, schemas), "calls": inner}
    return {**written[id(call)], "schemas": dict(sorted(schemas.items()))}


def recorded_call(machine: Hypervisor, receipt: TransactionReceipt) -> dict[str, Any]:
    """Return the first call of a message from its receipt, if it cannot be re-executed, without its calls."""
    done, message = receipt.execution, receipt.candidate.bare
    sender, actor = (machine.state_tree.lookup_id(address) for address in (message.from_, message.to))
    outcome, gas = done.receipt, message.gas_limit * MILLIGAS_PER_GAS
    state = None if actor is None else machine.state_tree.get_actor(actor)
    node = CallNode(
        CallStarted(
            ActorID(0) if sender is None else sender, message.to, message.method, message.value, message.params, CBOR,
            False, gas,
        ),
        actor=actor,
        code=None if state is None else state.code,
        end=CallEnded(
            outcome.exit_code, outcome.return_data, CBOR, outcome.gas_used * MILLIGAS_PER_GAS,
            message=done.error_message,
        ),
    )  # fmt: skip
    return call_json(machine, node)


def _call(machine: Hypervisor, call: CallNode, missing: Mapping[ActorID | None, Address]) -> dict[str, Any]:
    """Return a call without its calls; `missing` has the addresses of accounts without an actor."""
    start, end = call.start, call.end
    actor, runs = called_actor(machine, call), called_code(machine, call)
    code = end.exit_code if end else ExitCode.SYS_ASSERTION_FAILED
    kind = "" if runs is None else machine.manifest.name_of(runs) or "actor"
    abi = runs is not None and machine.traits(runs).speaks_abi
    own = runs if kind == "actor" else None
    precompile = _precompile(machine, start)
    to = start.to if actor is None else Address.id(actor)
    return {
        "runtime": call.runtime,
        "from": str(missing.get(start.from_) or Address.id(start.from_)),
        "to": str(missing.get(call.actor, to)),
        "address": _address_of(machine, call, actor),
        "actor": kind,
        "abi": abi,
        "code": None if own is None else show(own),
        "name": kind if own is None else machine.name_of(own),
        "method": start.method,
        "value": str(start.value),
        "params": f"0x{start.params.hex()}",
        "paramsCodec": start.params_codec,
        "readOnly": start.read_only,
        "exitCode": code,
        "end": exit_text(rules_of(machine), code, native=is_native({"actor": kind, "abi": abi})),
        "error": end.error if end else "FATAL",
        "words": end.message if end else "",
        "plain": end.is_plain if end else False,
        "return": f"0x{end.return_data.hex()}" if end else "0x",
        "returnCodec": end.return_codec if end else 0,
        "gas": -(-end.gas_used // MILLIGAS_PER_GAS) if end else 0,
        "charges": _charges(call),
        "logs": list(call.logs),
        "events": [_event(machine, event, missing.get(event.emitter)) for event in call.events],
        **({} if precompile is None else {"precompile": precompile}),
    }


def _precompile(machine: Hypervisor, start: CallStarted) -> dict[str, str] | None:
    """Return name and signature of the called user-defined precompile, None for any other call."""
    table = machine.context.precompiles
    address = None if table is None else from_delegated(start.to)
    row = None if table is None or address is None else table.by_address.get(address)
    return None if row is None else {"name": row.name, "signature": row.signature}


def _charges(call: CallNode) -> dict[str, int]:
    """Return the charges of a call itself, milligas by name; a failed charge counts as the remaining gas."""
    charges = dict(call.charges)
    used = call.end.gas_used if call.end else 0
    excess = sum(charges.values()) - used + sum(below.end.gas_used for below in call.calls if below.end)
    if charges and excess > 0:
        last = next(reversed(charges))
        charges[last] = max(0, charges[last] - excess)
    return charges


def _event(machine: Hypervisor, event: EventEmitted, missing: Address | None) -> dict[str, Any]:
    entries = [
        {"flags": flags, "key": key, "codec": codec, "value": f"0x{value.hex()}"}
        for flags, key, codec, value in event.entries
    ]
    address = from_delegated(missing) or emitter_address(event.emitter, partial(address_of_actor, machine.state_tree))
    emitter = missing or Address.id(event.emitter)
    return {"emitter": str(emitter), "address": f"0x{address.hex()}", "entries": entries}


def _address_of(machine: Hypervisor, call: CallNode, actor: ActorID | None) -> str | None:
    """Return the called actor's address in Ethereum's form, also if its creation was reverted."""
    if call.delegated is not None:
        return f"0x{to_ethereum(call.actor or SYSTEM_ACTOR, call.delegated).hex()}"
    return None if actor is None else f"0x{address_of_actor(machine.state_tree, actor).hex()}"


def called_actor(machine: Hypervisor, call: CallNode) -> ActorID | None:
    """Return the called actor; None if it does not exist (yet)."""
    if call.actor is None:
        return machine.state_tree.lookup_id(call.start.to)
    return None if call.actor >= FIRST_MISSING else call.actor


def called_code(machine: Hypervisor, call: CallNode) -> Cid | None:
    """Return the executed code, or the called actor's; None if there is no actor."""
    actor = called_actor(machine, call)
    if call.code is not None or actor is None:
        return call.code
    state = machine.state_tree.get_actor(actor)
    return None if state is None else state.code


def schema_of_call(machine: Hypervisor, call: CallNode, schemas: dict[str, str]) -> dict[str, str]:
    """Add the schema of a users' actor to `schemas`; return the call's fields about it."""
    actor, code = called_actor(machine, call), called_code(machine, call)
    if code is None or machine.manifest.name_of(code) is not None:
        return {}
    state = None if actor is None else machine.state_tree.get_actor(actor)
    if state is None or state.code != code:  # the creation was reverted, or other code runs
        known = schema_of_code(machine.base, code, machine.store)
        found = ActorSchema(known.text, code, known.fault)
    else:
        found = StoredSchemas.of_machine(machine)(state)
    fields = {"schemaFault": found.fault} if found.fault else {}
    if found.text is None or found.key is None:
        return fields
    schemas[show(found.key)] = found.text
    return fields if found.key == code else {**fields, "schema": show(found.key)}
