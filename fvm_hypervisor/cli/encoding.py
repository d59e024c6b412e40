"""`hypervisor decode` and `hypervisor encode`: convert between bytes and readable JSON, offline."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from bridge.actors.interfaces import Interface

_KindArgument = Annotated[
    str,
    typer.Argument(
        metavar="KIND",
        help="message, signed-message, transaction, address, cid, cbor, ACTOR.METHOD or ACTOR.TYPE.",
        show_default=False,
    ),
]
_Returned = Annotated[bool, typer.Option("--return", help="The return value of the method, not its parameters.")]
_SchemaFile = Annotated[
    Path | None,
    typer.Option(
        "--schema",
        metavar="FILE",
        help="IPLD schema of a user's actor, or its module with one; KIND is then METHOD or TYPE.",
        show_default=False,
    ),
]
_MAX_INPUT: Final = 1 << 24
"""Maximum length of the input in characters."""


def decode(
    kind: _KindArgument,
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA|-",
            help="0x and hex digits, or base64; an address or a CID also as text; - for standard input.",
            show_default=False,
        ),
    ],
    is_return_value: _Returned = False,
    schema: _SchemaFile = None,
) -> None:
    """Decode parameters, return values, states, messages, transactions, addresses and CIDs to JSON, offline.

    ACTOR is the name of a built-in actor, such as miner, or the address of a singleton, such as f04. METHOD is a name
    or a number. TYPE is a type of the actor's schema, such as State. Exit status: 2 for data that does not match.

    Example: hypervisor decode miner.GetSectorSize --return 0x190800

    Example: hypervisor decode address f410feot7hrogmplrcupubsdbbqarkdewmb4vkwc5qqq

    Example: hypervisor decode Tip --schema interface.ipldsch 0x81667468616e6b73
    """
    from fvm_hypervisor.laboratory.readable import decode_base64, decode_value, encode_value
    from hypervisor.errors import InvalidInput

    text = _text(data)
    plain = schema is None and kind in ("address", "cid")
    if text.startswith("0x"):
        try:
            raw = bytes.fromhex(text[2:])
        except ValueError:
            raise InvalidInput(f"{text:.60} is not hexadecimal: expected 0x and pairs of hex digits") from None
    elif plain:
        raw = encode_value(kind, text)
    else:
        raw = decode_base64(text)
    typer.echo(json.dumps(decode_value(kind, raw, is_return_value, _interface(schema)), indent=2))


def encode(
    kind: _KindArgument,
    value: Annotated[
        str,
        typer.Argument(
            metavar="JSON|-",
            help="A JSON value as `decode` prints it, or an address or a CID; - for standard input.",
            show_default=False,
        ),
    ],
    is_return_value: _Returned = False,
    as_base64: Annotated[bool, typer.Option("--base64", help="Print base64, not 0x and hex digits.")] = False,
    schema: _SchemaFile = None,
) -> None:
    """Encode JSON to the bytes of parameters, return values, states, messages, transactions, addresses and CIDs.

    This is the inverse of `hypervisor decode`. Structs may also be lists of all fields in order.

    Example: hypervisor encode multisig.Approve '{"id": 7, "proposal_hash": "0x"}'

    Example: hypervisor encode address f0100 --base64
    """
    from base64 import b64encode

    from fvm_hypervisor.laboratory.readable import encode_value
    from hypervisor.errors import InvalidInput
    from store.untrusted import parse_json

    text = _text(value)
    try:
        is_text = schema is None and kind in ("address", "cid") and not text.startswith("{")
        parsed = text if is_text else parse_json(text)
    except ValueError as error:
        raise InvalidInput(f"the value is not JSON: {error}") from None
    data = encode_value(kind, parsed, is_return_value, _interface(schema))
    typer.echo(b64encode(data).decode() if as_base64 else f"0x{data.hex()}")


def _interface(schema: Path | None) -> Interface | None:
    """Return the interface in a schema file, or in a module. Raises InvalidInput."""
    if schema is None:
        return None
    from localnet.contracts.native_actor import read_actor_schema

    return read_actor_schema(schema)


def _text(argument: str) -> str:
    """Return an argument, or standard input if it is -. Raises InvalidInput if it is too long."""
    from hypervisor.errors import InvalidInput

    text = sys.stdin.read(_MAX_INPUT + 1) if argument == "-" else argument
    if len(text) > _MAX_INPUT:
        raise InvalidInput(f"the input exceeds {_MAX_INPUT:,} characters")
    return text.strip()
