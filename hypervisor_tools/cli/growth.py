"""`hypervisor gas grow`."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from hypervisor.errors import InvalidInput
from hypervisor_tools.cli.options import (
    MAX_SLOTS,
    Abi,
    Address,
    Arguments,
    Artifacts,
    AsJson,
    Engines,
    Function,
    Value,
    available_engine,
    parsed_numbers,
)


def grow(
    address: Address,
    function: Function,
    arguments: Arguments = None,
    state: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of a chain with the contract. A node may have it open.")
    ] = None,
    slots: Annotated[
        str, typer.Option(metavar="N[,N]", help="Numbers of slots that the storage has in addition.")
    ] = "0,10,100,1000,10000,100000,1000000",
    contract: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Contract whose storage grows (default: the called one).")
    ] = None,
    value: Value = "0",
    sender: Annotated[
        str | None, typer.Option("--from", metavar="ADDRESS", help="Sender (default: the first account).")
    ] = None,
    abi: Abi = None,
    artifacts: Artifacts = None,
    evm: Annotated[
        Engines | None, typer.Option(callback=available_engine, help="EVM engine (default: as in `hypervisor node`).")
    ] = None,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Chart of the gas by charge and size.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure the gas of a transaction while a contract's storage grows to a million slots.

    The added slots are those of a mapping. The transaction is mined on a copy of the chain in memory, once for each
    size. Charges that differ between the smallest and the largest size are listed. Gas is exact with the official EVM
    actor; docs/gas.md says how close it is otherwise.

    Exit status: 0, 1 if a transaction fails, 2 for invalid input.

    Example: hypervisor gas grow 0x5fbd... 'put(uint256)' 3 --state chain --svg growth.svg
    """
    from bridge.ethereum.addresses import ZERO_ADDRESS
    from bridge.ethereum.block import ETHEREUM
    from hypervisor.installation import check_output
    from hypervisor.types import ATTO_PER_FIL
    from hypervisor_tools.cli.folders import open_chain
    from hypervisor_tools.cli.step import call_request
    from hypervisor_tools.laboratory.compare.growth import growth_json, growth_lines, growth_svg, measure_growth

    check_output(svg, "the chart")
    if state is None:
        raise InvalidInput("missing option --state: pass the folder of a chain with the contract")
    sizes = sorted(set(parsed_numbers(slots, "--slots", MAX_SLOTS)))
    with open_chain(state, evm=evm, read_only=True) as network:
        if network.machine.context.rules == ETHEREUM:
            raise InvalidInput(
                "under Ethereum's rules gas does not depend on the size of the storage: the chain has them"
            )
        request = call_request(network, address, function, arguments or [], abi, artifacts, value, sender)
        caller = network.accounts[0].address if request.sender == ZERO_ADDRESS else request.sender
        if network.account(caller) is None:  # it is impersonated, and pays for the gas
            network.set_balance(caller, request.value + 1_000 * ATTO_PER_FIL)
        send = partial(network.send, address, request.value, request.data, sender=caller)
        points = list(measure_growth(network, contract or address, sizes, send))
    if svg is not None:
        svg.write_text(growth_svg(f"{address} {function}", points), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps({"points": growth_json(points)}))
    else:
        for line in growth_lines(points):
            typer.echo(line)
    if any(point.failure for point in points):
        raise typer.Exit(1)
