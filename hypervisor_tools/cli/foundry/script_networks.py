"""Networks of a script's transactions, by node URL: requests, trials and sends."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

import typer

from hypervisor.errors import InvalidInput
from hypervisor_tools.cli.node_client import register_abi
from hypervisor_tools.cli.rpc_client import request_parsed, rpc_request
from hypervisor_tools.soltest.scripts.record import MultiRecord, ScriptRecord, returns_of, rows_of
from hypervisor_tools.soltest.scripts.sending import (
    ScriptSender,
    check_funds,
    check_nonces,
    check_order,
    check_price,
    check_sender,
    fees,
    max_gas_price,
    simulate,
    title,
)  # fmt: skip
from hypervisor_tools.soltest.trace.known_code import KnownCode
from localnet import Network
from localnet.contracts.argument_texts import readable_interface
from localnet.fork.forking import ForkSource, has_cached_tipset
from localnet.fork.node_client import NodeError, RequestOptions
from localnet.fork.response_values import quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from bridge.ethereum.addresses import EthAddress
    from hypervisor.precompiles import Precompile
    from hypervisor_tools.soltest.compile.artifact import Artifacts
    from hypervisor_tools.soltest.scripts.plan import PlannedTransaction, ScriptPlan


@dataclass(frozen=True, slots=True)
class SendingOptions:
    """Transaction options of the command line; prices in attoFIL, `percent` of an estimate, `timeout` in seconds."""

    legacy: bool
    slow: bool
    unlocked: bool
    skips_simulation: bool
    gas_price: int | None
    priority: int | None
    percent: int
    timeout: float

    @property
    def prices(self) -> dict[str, Any]:
        """Return the prices as arguments of `fees`."""
        return {"legacy": self.legacy, "gas_price": self.gas_price, "priority": self.priority}


class ScriptNetwork:
    """The network of a node. Raises NodeError, InvalidInput."""

    def __init__(self, source: ForkSource, stack: ExitStack, precompiles: tuple[Precompile | str, ...]) -> None:
        self.url, self._source = source.url, source
        self.read = partial(request_parsed, self.url)
        self.chain = 0 if source.options.offline else self.read(quantity, "eth_chainId")
        self._stack, self._precompiles = stack, precompiles

    @cached_property
    def fork(self) -> Network | None:
        """Fork of the network, with the user's precompiles.

        None under Ethereum's rules, where accounts and slots are read on demand. Offline, the network is under
        Filecoin's rules if a tipset of it is cached.
        """
        if not self._is_filecoin:
            return None
        return self._stack.enter_context(Network(fork=self._source, precompiles=self._precompiles))

    @property
    def _is_filecoin(self) -> bool:
        if self._source.options.offline:
            return has_cached_tipset(self._source)
        try:
            version = str(rpc_request(self.url, "anvil_nodeInfo").get("hardFork", ""))
        except (NodeError, AttributeError) as error:
            if isinstance(error, NodeError) and not error.answered:
                raise
            version = "nv" if self._has_method("Filecoin.Version") else ""
        return version.startswith("nv")

    def _has_method(self, method: str) -> bool:
        try:
            rpc_request(self.url, method)
        except NodeError as error:
            return not error.is_unknown_method
        return True


class ScriptNetworks:
    """Context manager that opens the networks of a script and closes them at the end."""

    def __init__(self, precompiles: tuple[Precompile | str, ...], options: RequestOptions, caches: bool | None) -> None:
        """Set the precompiles of all networks, and how their state is read (`ForkSource`)."""
        self._stack = ExitStack()
        self._precompiles = precompiles
        self._source = partial(ForkSource, options=options, caches=caches)
        self._networks: dict[str, ScriptNetwork] = {}

    def __enter__(self) -> ScriptNetworks:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def at(self, url: str) -> ScriptNetwork:
        """Return the network of the node at a URL, opening it on first use."""
        if url not in self._networks:
            self._networks[url] = ScriptNetwork(self._source(url), self._stack, self._precompiles)
        return self._networks[url]


@dataclass(slots=True)
class ScriptPart:
    """Transactions that follow each other on one network, with gas limits (0: not known yet), and their record."""

    network: ScriptNetwork
    transactions: Sequence[PlannedTransaction]
    gas: list[int]
    record: ScriptRecord
    before: int = 0
    """Number of the script's transactions before this part."""
    slow: bool = False

    def number_transactions(self) -> list[tuple[int, PlannedTransaction, int]]:
        """Return the transactions with their numbers in the script and their gas limits."""
        return [
            (number, one, limit)
            for number, (one, limit) in enumerate(zip(self.transactions, self.gas, strict=True), self.before + 1)
        ]


@dataclass(slots=True)
class ScriptSending:
    """The transactions of a script in order, on all of its networks."""

    how: SendingOptions
    keys: Mapping[EthAddress, bytes]
    as_json: bool
    artifacts: Artifacts
    """The project's contracts, whose names and ABIs are registered with the node after deployment."""
    parts: list[ScriptPart] = field(default_factory=list)

    @property
    def records(self) -> list[ScriptRecord]:
        """Return the record of each part."""
        return [part.record for part in self.parts]

    @property
    def is_done(self) -> bool:
        """True if every transaction has its receipt."""
        return all(record.is_done for record in self.records)

    def plan(
        self, networks: ScriptNetworks, plan: ScriptPlan, url: str | None, record: Callable[[int], ScriptRecord],
        whole: MultiRecord,
    ) -> None:  # fmt: skip
        """Simulate a plan's transactions on their networks, part by part, and create their records.

        `url` is the script's initial node. `record` creates an empty record for a chain, `whole` one for several
        chains. Raises SimulationFailed, NodeError, and InvalidInput if a transaction has no network.
        """
        rows = [(one.call.url or url, one) for one in plan.transactions]
        for number, (node, one) in enumerate(rows, 1):
            if node is None:
                raise InvalidInput(
                    f"transaction {number} of the script ({title(one)}) belongs to no network: pass its "
                    "node with --rpc-url, or select a fork before it"
                )
        nodes = {node: networks.at(node) for node, _ in rows if node is not None}
        if len(nodes) > 1 and plan.libraries:
            raise InvalidInput(
                "the script uses several networks and is linked to libraries, which would only be deployed on the "
                "first one: run it for one network at a time, or deploy the libraries first and call them by address"
            )
        for node, network in nodes.items():
            if node != url:
                check_price(network.read, self.how.gas_price)
        for node, group in groupby(rows, lambda row: row[0]):
            assert node is not None, "each transaction has a network"
            self._add(nodes[node], [one for _, one in group], record)
        if not rows and url is not None:
            self._add(networks.at(url), [], record)
        for _, parts in self._by_chain():
            check_order((number, one) for part in parts for number, one, _ in part.number_transactions())
        for part in self.parts:
            part.record.returns = returns_of(plan)
            if len(nodes) > 1:
                whole.add(part.record, part.network.url)

    def _add(
        self, network: ScriptNetwork, transactions: list[PlannedTransaction], record: Callable[[int], ScriptRecord]
    ) -> None:
        how, gas = self.how, [0] * len(transactions)
        before = sum(len(part.transactions) for part in self.parts)
        tries = not how.skips_simulation and network.fork is not None
        if tries:
            for one in transactions:
                check_sender(one.call.sender, self.keys)
            gas = self._limits(network, transactions, before)
        made = record(network.chain)
        made.transactions = rows_of(transactions, gas, network.chain)
        self.parts.append(ScriptPart(network, transactions, gas, made, before, how.slow or not tries))

    def _limits(self, network: ScriptNetwork, transactions: Sequence[PlannedTransaction], before: int) -> list[int]:
        fork = network.fork
        assert fork is not None, "transactions are tried on forks"
        tried = simulate(fork, transactions, self.how.percent, before + 1)
        if not self.as_json and tried:
            price = max_gas_price(fees(network.read, **self.how.prices))
            typer.echo(f"\n## Tried on a fork of chain {network.chain}, with its actors\n")
            for one, took in zip(transactions, tried, strict=True):
                typer.echo(f"{title(one):<40} gas {took.gas_used:>14,}  limit {took.gas_limit:>14,}")
            total = sum(took.gas_limit for took in tried)
            typer.echo(f"\nEstimated total gas used for script: {sum(took.gas_used for took in tried)}")
            typer.echo(f"Estimated amount required: at most {total * price / 10**18:.18f} FIL")
        return [took.gas_limit for took in tried]

    def resume(self, network: ScriptNetwork, record: ScriptRecord) -> None:
        """Append the record of an earlier run as the next part. Raises InvalidInput if it belongs to another chain."""
        if record.chain != network.chain:
            raise InvalidInput(
                f"{record.latest} has transactions of chain {record.chain}, but the node at its URL has chain "
                f"{network.chain}: start the node of that chain there"
            )
        record.check_chain()
        check_price(network.read, self.how.gas_price)
        asks_for_limits = any(int(row["transaction"]["gas"], 16) == 0 for row in record.transactions)
        before, slow = sum(len(made.transactions) for made in self.records), self.how.slow or asks_for_limits
        self.parts.append(ScriptPart(network, (), [], record, before, slow))

    def write(self) -> None:
        """Write the records."""
        for record in self.records[:1] if self.records and self.records[0].whole else self.records:
            record.write()

    def send(self) -> None:
        """Send the transactions without a receipt and wait for receipts.

        Raises NodeError, SimulationFailed, InvalidInput.
        """
        notify = _ignore if self.as_json else typer.echo
        how = self.how
        senders = [
            ScriptSender(
                part.network.read, part.record, self.keys, unlocked=how.unlocked, legacy=how.legacy, slow=part.slow,
                gas_price=how.gas_price, priority=how.priority, timeout=how.timeout, notify=notify,
                before=part.before,
            )
            for part in self.parts
        ]  # fmt: skip
        for sender in senders:
            sender.check()
        if self.is_done:
            return
        if not self.as_json:
            typer.echo("\n## Sending\n")
        self.write()
        self._check()
        try:
            for sender in senders:
                sender.send_all()
        finally:
            self._name_contracts()

    def _name_contracts(self) -> None:
        """Register names and ABIs of the deployed contracts with each node."""
        known = KnownCode(self.artifacts)
        for part in self.parts:
            for address, code in part.record.created():
                contract = known.find(code, True)
                if contract is not None:
                    register_abi(
                        part.network.url, readable_interface(contract.artifact.abi).abi, contract.name, address
                    )

    def _check(self) -> None:
        """Raise SimulationFailed if a nonce is used or a sender cannot pay, before anything is sent.

        Resumed transactions are checked one by one.
        """
        for network, parts in self._by_chain():
            rows = [row for part in parts for row in part.number_transactions()]
            if not rows:
                continue
            check_nonces(network.read, ((number, one) for number, one, _ in rows))
            check_funds(
                network.read, rows, max_gas_price(fees(network.read, **self.how.prices)), parts[0].record.resume_options
            )

    def _by_chain(self) -> list[tuple[ScriptNetwork, list[ScriptPart]]]:
        """Group the parts by chain, each with the network of the chain's first node."""
        found: dict[int, list[ScriptPart]] = {}
        for part in self.parts:
            found.setdefault(part.network.chain, []).append(part)
        return [(parts[0].network, parts) for parts in found.values()]


def _ignore(_: str) -> None:
    """Discard progress output of a run that prints JSON."""
