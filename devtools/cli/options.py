"""Options and arguments that several commands have, so that they are called and explained alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

URL: Final = "http://127.0.0.1:8545"
RpcUrl = Annotated[
    str,
    typer.Option("--rpc-url", "--rpc", metavar="URL", envvar="ETH_RPC_URL", help="The node to ask.", show_default=True),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
From = Annotated[
    str, typer.Option("--from", metavar="ADDRESS|N", help="The sender: an address, or the number of a node's account.")
]
Key = Annotated[
    str | None,
    typer.Option(
        "--private-key",
        metavar="KEY",
        envvar="HYPERVISOR_PRIVATE_KEY",
        help="Sign here with this key, not at the node.",
    ),
]
Value = Annotated[str, typer.Option("--value", metavar="AMOUNT", help="Money to send along: 1.5fil, 20nanofil, ...")]
GasLimit = Annotated[int | None, typer.Option("--gas-limit", min=1, help="(default: the node's estimate)")]
Timeout = Annotated[float, typer.Option(min=0.0, help="Seconds to wait for the receipt.")]
Artifacts = Annotated[
    list[Path] | None,
    typer.Option("--artifacts", metavar="DIR", help="Where compiled contracts are (default: out, artifacts)."),
]
Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="f..., t... or 0x...", show_default=False)]
Function = Annotated[
    str,
    typer.Argument(
        metavar="FUNCTION", help="name(types)(types returned); with --abi a name will do.", show_default=False
    ),
]
Arguments = Annotated[list[str] | None, typer.Argument(metavar="[ARGS]...", help="Its arguments.", show_default=False)]
Abi = Annotated[
    str | None, typer.Option("--abi", metavar="FILE|NAME", help="A compiled contract that has the function.")
]
