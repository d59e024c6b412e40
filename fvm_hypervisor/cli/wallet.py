"""`hypervisor wallet`: generate keys and convert addresses, without a node. Nothing is stored."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fvm_hypervisor.cli.options import AsJson

if TYPE_CHECKING:
    from localnet import Account

app = typer.Typer(help="Create and convert keys and addresses. Keys are not stored.", no_args_is_help=True)


@app.command("list")
def list_accounts(
    count: Annotated[int, typer.Option(min=1, max=1000, help="Number of keys.")] = 10,
    mnemonic: Annotated[
        str | None, typer.Option("--mnemonic", "-m", metavar="WORDS", help="BIP-39 mnemonic (default: test ... junk).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the accounts of every development node, with their keys. The keys are public: use them locally only.

    Example: hypervisor wallet list --count 2
    """
    from localnet.accounts import TEST_MNEMONIC, accounts

    _show([_forms(account) for account in accounts(mnemonic or TEST_MNEMONIC, count)], as_json)


@app.command("new")
def new(as_json: AsJson = False) -> None:
    """Generate a key and print it with its addresses. The key is not stored.

    Example: hypervisor wallet new --json > key.json
    """
    import secrets

    from localnet import Account

    _show([_forms(Account.from_key(secrets.token_bytes(32)))], as_json)


@app.command("address")
def address(
    of: Annotated[
        str,
        typer.Argument(
            metavar="ADDRESS|-", help="Address in any form, or - to read a private key.", show_default=False
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Convert an address to its other forms. With -, read a private key from standard input and print its addresses.

    Example: hypervisor wallet address f0100

    Example: hypervisor wallet address - < key.txt
    """
    from fvm_hypervisor.cli.node_client import account_of

    if of == "-":
        forms = _forms(account_of(sys.stdin.readline(200)))
        del forms["private_key"]
    else:
        forms = _address_forms(of)
    if as_json:
        typer.echo(json.dumps(forms))
        return
    for name, form in forms.items():
        typer.echo(f"{name:<10} {form}")


def _forms(account: Account) -> dict[str, Any]:
    from bridge.ethereum.addresses import checksummed

    return {
        "ethereum": checksummed(account.address),
        "f4": str(account.delegated),
        "f1": str(account.native),
        "private_key": f"0x{account.private_key.hex()}",
    }


def _address_forms(text: str) -> dict[str, Any]:
    from bridge.ethereum.addresses import checksummed, from_delegated, masked_id
    from localnet.addresses import filecoin_address

    parsed = filecoin_address(text)
    number = parsed.actor_id()
    known = masked_id(number) if number is not None else from_delegated(parsed)
    return {"filecoin": str(parsed), "ethereum": None if known is None else checksummed(known)}


def _show(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"accounts": rows}))
        return
    for number, row in enumerate(rows):
        typer.echo(f"({number}) {row['ethereum']}  {row['f4']}  {row['f1']}\n    key {row['private_key']}")
