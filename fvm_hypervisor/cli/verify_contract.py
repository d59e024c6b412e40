"""`hypervisor verify-contract`: send a contract's sources to a node, which verifies and shows them."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fvm_hypervisor.cli.options import URL, AsJson, refuse_nan
from fvm_hypervisor.cli.project_options import (
    ProjectContract,
    ProjectNode,
    ProjectProfile,
    ProjectRoot,
    ProjectSolc,
    SolcFromProject,
)


class Verifier(StrEnum):
    """Protocols of verification services."""

    SOURCIFY = "sourcify"


def verify_contract(
    context: typer.Context,
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="Contract address: f410f... or 0x...", show_default=False)
    ],
    contract: ProjectContract,
    verifier: Annotated[Verifier, typer.Option(help="Protocol of the service: API version 2.")] = Verifier.SOURCIFY,
    verifier_url: Annotated[
        str | None, typer.Option(metavar="URL", help="URL of the service (default: the node).")
    ] = None,
    creation_transaction: Annotated[
        str | None,
        typer.Option(
            "--creation-transaction", "--creation-transaction-hash", metavar="HASH",
            help="Hash of the creation transaction (default: found by the service).",
        ),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(min=0, callback=refuse_nan, metavar="SECONDS", help="Time to wait for the result."),
    ] = 180.0,
    root: ProjectRoot = Path(),
    rpc_url: ProjectNode = None,
    use: ProjectSolc = None,
    solc_from_project: SolcFromProject = False,
    profile: ProjectProfile = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Verify a contract's sources at a node, which compiles them and compares the code at the address.

    The node keeps sources that match: its explorer shows them, and its pages and traces decode the contract's calls.
    The result is exact_match, or match if only the metadata differ, for the creation code and for the runtime code.
    Foundry's `forge verify-contract --verifier sourcify --verifier-url` works with a node too.

    Exit status: 0 if the contract is verified, 1 if it is not, 2 if the service cannot be reached.

    Example: hypervisor verify-contract 0x5fbd... src/Vault.sol:Vault --rpc-url http://127.0.0.1:8545
    """
    from fvm_hypervisor.cli.foundry.project import contract_request, node_url
    from fvm_hypervisor.cli.node_client import ethereum
    from fvm_hypervisor.cli.rpc_client import request_parsed
    from fvm_hypervisor.verification.client import NotVerified, VerificationService
    from fvm_hypervisor.verification.creation_code import HASH
    from hypervisor.errors import InvalidInput
    from localnet.fork.node_client import NodeError
    from localnet.fork.response_values import quantity

    del verifier  # there is one
    if creation_transaction is not None and not HASH.fullmatch(creation_transaction):
        raise InvalidInput(
            f"--creation-transaction {creation_transaction!r:.80} is not the hash of a transaction: expected 0x and 64 "
            "hex digits"
        )
    service = None if verifier_url is None else VerificationService(verifier_url)
    project, request = contract_request(
        context, root, contract, profile, use, transaction=creation_transaction, url=rpc_url,
        solc_from_project=solc_from_project,
    )  # fmt: skip
    url = node_url(project, rpc_url) or URL
    try:
        chain, at = request_parsed(url, quantity, "eth_chainId"), ethereum(url)(address)
    except NodeError as error:  # status 1 is reserved for contracts that are not verified
        raise InvalidInput(str(error)) from None
    try:
        found = (service or VerificationService(url)).verify(chain, at, request, timeout)
    except NotVerified as error:
        typer.echo(f"error: {at} is not verified: {error}", err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name, key in (("contract", "match"), ("creation", "creationMatch"), ("runtime", "runtimeMatch")):
        typer.echo(f"{name:<12} {found.get(key) or 'unknown'!s:.40}")
