"""Methods of docs/json-rpc.md, from the code, other nodes' method lists, and executed examples."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from localnet.rpc.method_table import modules, with_lotus_names
from localnet.rpc.methods import Method, OptionalReader
from localnet.rpc.refused import F3_METHODS, F3_REASON, REASONS, UNDER_ETHEREUMS_RULES
from localnet.rpc.server import filecoin_v2
from tests.docs.json_rpc_examples import EXAMPLES, examples

PEERS: Final = Path(__file__).resolve().parent / "json_rpc_peers"

AREAS: Final = {
    "The node, fees": "eth.node_info",
    "The state, calls": "eth.state eth.simulate",
    "Blocks": "eth.blocks",
    "Transactions": "eth.transactions",
    "Logs and filters": "eth.logs",
    "Over a WebSocket": "socket_methods",
    "Traces": "debug.traces debug.parity debug.geth",
    "Otterscan's methods": "debug.otterscan",
    "Time, blocks and the state by hand": "dev.control dev.state dev.actors",
    "Beside the chain": "debug.side_states",
    "Filecoin's methods": "filecoin.methods",
}
"""Modules of each heading; other methods come last."""

PARTIAL: Final = {
    "debug_traceTransaction": "no tracers in JavaScript",
    "debug_traceCall": "no tracers in JavaScript",
    "debug_traceBlockByNumber": "no tracers in JavaScript",
    "debug_traceBlockByHash": "no tracers in JavaScript",
    "eth_createAccessList": "messages cannot contain access lists",
    "eth_getProof": "the proof consists of IPLD blocks, not of trie nodes",
    "eth_sendRawTransaction": "blobs, delegations and access lists under Ethereum's rules only",
    "eth_sendTransaction": "no blobs; delegations and access lists under Ethereum's rules only",
    "eth_signTransaction": "returns only the bytes",
    "eth_simulateV1": "no gas limit, recipient or precompile is overridden",
    "eth_subscribe": "`syncing` never sends a notification",
    "ots_getBlockDetails": "no issuance",
    "ots_getBlockDetailsByHash": "no issuance",
    "ots_getInternalOperations": "self-destructs are not listed",
    "ots_searchTransactionsAfter": "without calls by contracts to contracts that emit no event",
    "ots_searchTransactionsBefore": "without calls by contracts to contracts that emit no event",
    "Filecoin.StateActorCodeCIDs": "the current network version only",
    "Filecoin.StateActorManifestCID": "the current network version only",
    "Filecoin.StateCompute": "no additional messages",
    "Filecoin.MinerCreateBlock": "signs for workers of this network's miners only; nothing is stored",
    "Filecoin.StateMinerInfo": "without the peer id",
    "Filecoin.StateSearchMsg": "replaced messages are not found",
    "Filecoin.StateVMCirculatingSupplyInternal": "no funds vest later",
    "Filecoin.StateWaitMsg": "the confidence is ignored; replaced messages are not found",
}
"""Unsupported parts of methods."""

CHANGING: Final = (
    "eth_estimateGas", "Filecoin.GasEstimateGasLimit", "web3_clientVersion", "Filecoin.StateMinerAvailableBalance",
    "Filecoin.ChainReadObj",
)  # fmt: skip
"""Methods whose results change with each version of the actors or of this program."""

_SHOWN = 24
_KEYS = 4


@dataclass(frozen=True)
class Peer:
    """Another node and its methods."""

    title: str
    letter: str
    methods: tuple[str, ...]


def peers() -> list[Peer]:
    found = []
    for name, letter in (("anvil", "A"), ("hardhat", "H"), ("lotus", "L"), ("forest", "F"), ("execution-apis", "E")):
        head, *methods = (PEERS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
        found.append(Peer(head.removeprefix("# ").split(" (")[0], letter, tuple(methods)))
    return found


def rows() -> dict[str, list[Method]]:
    heading = {f"localnet.rpc.{module}": area for area, names in AREAS.items() for module in names.split()}
    found: dict[str, list[Method]] = {area: [] for area in AREAS}
    for module in modules():
        if module.__name__ != "localnet.rpc.refused":
            found.setdefault(heading.get(module.__name__, "Further methods"), []).extend(
                method for method in with_lotus_names(module.METHODS) if method.name not in UNDER_ETHEREUMS_RULES
            )
    return found


def methods_text() -> str:
    """Return the counts, the methods of each area with examples, and the methods that are refused."""
    known = peers()
    parts = [_summary(known)]
    with examples() as asked:
        answers = asked.answers(row.name for methods in rows().values() for row in methods)
    for area, methods in rows().items():
        parts.append(_area(area, sorted(methods, key=lambda row: row.name.lower()), known, answers))
    parts.append(_refused(known))
    return "\n".join(parts)


# --- parts ------------------------------------------------------------------------------------------------------------


def _summary(known: list[Peer]) -> str:
    offered = _offered()
    lines = [
        "This table counts the methods of other nodes that this node supports. The letters below refer to it.",
        "",
        "| | | methods | supported | partial | refused | missing |",
        "|---|---|---|---|---|---|---|",
    ]
    for peer in known:
        marks = [_mark(name, offered) for name in peer.methods]
        counts = [marks.count(mark) for mark in ("supported", "partial", "refused", "missing")]
        lines.append(f"| {peer.letter} | {peer.title} | {len(marks)} | {' | '.join(map(str, counts))} |")
    return "\n".join(lines) + "\n"


def _area(area: str, methods: list[Method], known: list[Peer], answers: dict[str, Any]) -> str:
    lines = [f"### {area}", "", "| method | parameters | answer | also in |", "|---|---|---|---|"]
    lines += [_row(method, known) for method in methods]
    shown = [_example(method, answers[method.name]) for method in methods]
    return "\n".join([*lines, "", "```", *shown, "```", ""])


def _row(method: Method, known: list[Peer]) -> str:
    names = (method.name, *method.aliases)
    parameters = [
        f"[{name}]" if isinstance(reader, OptionalReader) else name
        for name, reader in zip(method.parameters, method.readers, strict=True)
    ]
    letters = "".join(peer.letter for peer in known if set(names) & set(peer.methods))
    also = f" (also {', '.join(f'`{alias}`' for alias in method.aliases)})" if method.aliases else ""
    partial = f" *Partial: {PARTIAL[method.name]}.*" if method.name in PARTIAL else ""
    return f"| `{method.name}` | {', '.join(parameters)} | {method.summary}{also}{partial} | {letters} |"


def _example(method: Method, result: Any) -> str:
    params = json.dumps(EXAMPLES.get(method.name, []), ensure_ascii=False)
    bare = re.sub(r'"(\$\w+)"', r"\1", params)
    return f"{method.name} {bare}  ->  {'…' if method.name in CHANGING else brief(result)}"


def _refused(known: list[Peer]) -> str:
    lines = [
        "### What Filecoin does not have",
        "",
        "These methods return error -32004 with the reason. Those that work under Ethereum's rules are marked with *. "
        f"The methods of fast finality return error 4, `{F3_REASON}`, as a Lotus node without it.",
        "",
        "| method | why | in |",
        "|---|---|---|",
    ]
    for name, reason in sorted(REASONS.items()):
        mark = " *" if name in UNDER_ETHEREUMS_RULES else ""
        lines.append(
            f"| `{name}`{mark} | {reason} | {''.join(peer.letter for peer in known if name in peer.methods)} |"
        )
    for name in F3_METHODS:
        letters = "".join(peer.letter for peer in known if name in peer.methods)
        lines.append(f"| `{name}` | fast finality (F3) does not run | {letters} |")
    return "\n".join(lines) + "\n"


def missing() -> set[str]:
    """Return the methods of other nodes that this node neither supports nor refuses with a reason."""
    offered = _offered()
    return {name for peer in peers() for name in peer.methods if _mark(name, offered) == "missing"}


def _offered() -> dict[str, Method]:
    first = {row.name: row for row in filecoin_v2.METHODS}
    return first | {name: row for methods in rows().values() for row in methods for name in (row.name, *row.aliases)}


def _mark(name: str, offered: dict[str, Method]) -> str:
    if name in REASONS or name in F3_METHODS:
        return "refused"
    if name not in offered:
        return "missing"
    return "partial" if offered[name].name in PARTIAL else "supported"


def brief(value: Any) -> str:
    """Return a short form of a result: objects by field names, long texts by their beginning."""
    match value:
        case dict():
            names = list(value)
            if set(names) == {"/"}:
                return '{"/": "bafy…"}'
            return "{" + ", ".join(names[:_KEYS] + ["…"] * (len(names) > _KEYS)) + "}"
        case list():
            return f"[{brief(value[0])}{', …' if len(value) > 1 else ''}]" if value else "[]"
        case str() if len(value) > _SHOWN:
            return '"0x…"' if value.startswith("0x") else f'"{value[:4]}…"'
        case _:
            return json.dumps(value)
