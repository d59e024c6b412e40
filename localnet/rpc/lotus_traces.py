"""Execution traces in Lotus' format: the calls of a message, each with its gas charges, IPLD operations and logs.

- Charges before the first call are listed in that call.
- A list without elements is null, as Go writes it.
- Times are 0.
- Charges of zero are omitted. The charge for memory growth (`wasm_memory_grow`) is part of `wasm_exec`.

Shapes: lotus chain/types/execresult.go, as filled by filecoin-ffi from the machine's events.
"""

from __future__ import annotations

from typing import Any, Final

from hypervisor.exit_codes import ErrorNumber, ExitCode, refusal_exit
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.messages.address import Address
from hypervisor.tracing import (
    ActorFound,
    BlockLinked,
    BlockOpened,
    CallEnded,
    CallStarted,
    DebugLog,
    GasCharged,
    TraceEvent,
)
from localnet.rpc.lotus_shapes import actor_json, address_json, bytes_json, cid_json

_NO_ADDRESS: Final = "<empty>"
_REFUSALS: Final = {number.name: refusal_exit(number) for number in ErrorNumber}
NO_CALL: Final[dict[str, Any]] = {
    "Msg": {
        "From": _NO_ADDRESS, "To": _NO_ADDRESS, "Value": "0", "Method": 0, "Params": None, "ParamsCodec": 0,
        "GasLimit": 0, "ReadOnly": False,
    },
    "MsgRct": {"ExitCode": 0, "Return": None, "ReturnCodec": 0}, "GasCharges": None, "Subcalls": None,
}  # fmt: skip
"""The trace of a message that came to no call."""


class ExecutionTraces:
    """A tracer that collects the traces of messages in order; each outermost call is a message."""

    def __init__(self) -> None:
        self.roots: list[dict[str, Any]] = []
        self.calls: list[CallStarted] = []
        """Starts of the outermost calls, in the order of `roots`."""
        self.ends: list[CallEnded] = []
        self._open: list[dict[str, Any]] = []
        self._charges: list[dict[str, Any]] = []
        """Charges before the next outermost call starts."""

    def event(self, event: TraceEvent, /) -> None:
        """Handle a trace event."""
        match event:
            case CallStarted():
                self._begin(event)
            case CallEnded() if self._open:
                self._end(event)
            case GasCharged() if event.milligas:
                (self._open[-1]["GasCharges"] if self._open else self._charges).append(_charge(event))
            case ActorFound() if self._open:
                self._open[-1]["InvokedActor"] = {"Id": event.actor, "State": actor_json(event.state)}
            case BlockOpened() | BlockLinked() if self._open:
                self._open[-1].setdefault("IpldOps", []).append(_operation(event))
            case DebugLog() if self._open:
                self._open[-1].setdefault("Logs", []).append(event.text)
            case _:
                pass

    def _begin(self, start: CallStarted) -> None:
        call: dict[str, Any] = {
            "Msg": {
                "From": address_json(Address.id(start.from_)),
                "To": address_json(start.to),
                "Value": str(start.value),
                "Method": start.method,
                "Params": bytes_json(start.params),
                "ParamsCodec": start.params_codec,
                "GasLimit": _gas(start.gas_available),
                "ReadOnly": start.read_only,
            },
            "MsgRct": None,
            "GasCharges": self._charges,
            "Subcalls": [],
        }
        self._charges = []
        if self._open:
            self._open[-1]["Subcalls"].append(call)
        else:
            self.roots.append(call)
            self.calls.append(start)
        self._open.append(call)

    def _end(self, end: CallEnded) -> None:
        call = self._open.pop()
        call["MsgRct"] = {
            "ExitCode": _REFUSALS.get(end.error, ExitCode(end.exit_code)) if end.error else end.exit_code,
            "Return": bytes_json(end.return_data),
            "ReturnCodec": end.return_codec,
        }
        call["GasCharges"] = call["GasCharges"] or None
        call["Subcalls"] = call["Subcalls"] or None
        if not self._open:
            self.ends.append(end)


def _charge(event: GasCharged) -> dict[str, Any]:
    computing = event.milligas - event.other
    return {
        "Name": event.name,
        "tg": _gas(event.milligas),
        "cg": _gas(computing),
        "sg": _gas(event.other),
        "tt": 0,
    }


def _operation(event: BlockOpened | BlockLinked) -> dict[str, Any]:
    return {
        "Op": "Get" if isinstance(event, BlockOpened) else "Put",
        "Cid": cid_json(event.cid),
        "Size": event.size,
    }


def _gas(milligas: int) -> int:
    """Return whole gas, rounded up like each amount in filecoin-ffi."""
    return -(-milligas // MILLIGAS_PER_GAS)
