"""A row of the method table: name, parameter readers and handler.

Each module of methods ends with its rows, and `localnet.rpc.method_table` collects them. The names of a handler's
parameters, after the node, appear in error messages.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from localnet.rpc.errors import invalid_params
from localnet.rpc.values import Reader

Handler = Callable[..., Any]


class QueryKind(Enum):
    """Kinds of queries with different time limits; the value is the display name."""

    PREPARATION = "the preparation of a transaction"
    QUERY = "a query"
    TRACE = "a trace"


@dataclass(frozen=True, slots=True)
class OptionalReader:
    """A parameter that may be omitted or null; the handler's default is used then."""

    read: Reader


def optional(read: Reader) -> OptionalReader:
    """Return a reader of a parameter that may be absent or null."""
    return OptionalReader(read)


@dataclass(frozen=True, slots=True)
class Preparation:
    """A query that a changing method executes first, so that it does not delay blocks.

    The request is the method's first parameter. `query(node, request)`, with all parameters, returns a query that fills
    in missing fields of the request, such as gas, or None if there is nothing to do. `sender(request)` returns the
    sender, whose transactions are executed in order. `applies(request)` returns False for requests that skip both.
    """

    query: Callable[..., Callable[[Any], Any] | None]
    sender: Callable[[Any], Hashable]
    applies: Callable[[Any], bool] = lambda _: True


@dataclass(frozen=True, slots=True)
class Method:
    """A method; `aliases` are other nodes' names for it.

    By default it runs on the chain's thread. The other kinds:

    - `inline`: runs on the event loop's thread. It may read only data that is consistent during executions; of the
      machine's context, only `Node.point`.
    - `reads`: a query of a `NodeReader`, which runs on a query thread (`localnet.rpc.server.executors`). If it
      `traces`, it has the time limit of a trace. If it is `short`, it reads a few values and executes nothing, so it
      runs on the event loop's thread, unless the state may have to be fetched from another node, or the query reads too
      many messages (`NodeReader.require_small_read`). If it is `short_alone`, this only holds for small requests
      outside of batches and WebSockets, because it may take some milliseconds. A call has a time limit
      (`hypervisor.threads`).
    - `waits`: the handler raises NotYetAvailable until its result exists. The dispatcher calls it again until then, or
      until the time limit. If it raises ReceiptPending, the dispatcher waits for the receipt.
    - `preparation`: a query that runs before it.
    - `on_socket`: needs a WebSocket. Its handler gets the session in place of the node
      (`localnet.rpc.socket_methods`).
    """

    name: str
    readers: tuple[Reader | OptionalReader, ...]
    handler: Handler
    inline: bool = False
    reads: bool = False
    traces: bool = False
    short: bool = False
    short_alone: bool = False
    on_socket: bool = False
    waits: bool = False
    preparation: Preparation | None = None
    aliases: tuple[str, ...] = ()
    parameters: tuple[str, ...] = field(init=False)
    kind: QueryKind = field(init=False)

    def __post_init__(self) -> None:
        names = tuple(inspect.signature(self.handler).parameters)[1:]
        if len(names) != len(self.readers):
            raise TypeError(f"{self.name} has {len(self.readers)} readers for the parameters {names}")
        object.__setattr__(self, "parameters", names)
        object.__setattr__(self, "kind", QueryKind.TRACE if self.traces else QueryKind.QUERY)

    def call(self, node: Any, params: list[Any]) -> Any:
        """Read the parameters and call the handler. Raises RpcError -32602 for parameters that do not match."""
        return self.handler(node, **self.read(params))

    def read(self, params: list[Any]) -> dict[str, Any]:
        """Read the handler's parameters. Raises RpcError -32602 for parameters that do not match."""
        if len(params) > len(self.readers):
            raise invalid_params(f"{self.name} takes at most {len(self.readers)} parameters, not {len(params)}")
        values: dict[str, Any] = {}
        for index, (name, reader) in enumerate(zip(self.parameters, self.readers, strict=True)):
            param = params[index] if index < len(params) else None
            if isinstance(reader, OptionalReader):
                if param is not None:
                    values[name] = reader.read(param)
            elif index >= len(params):
                raise invalid_params(f"{self.name} requires parameter {index + 1} ({name})")
            else:
                values[name] = reader(param)
        return values

    @property
    def summary(self) -> str:
        """First paragraph of the handler's docstring."""
        return (inspect.getdoc(self.handler) or "").split("\n\n")[0].replace("\n", " ")
