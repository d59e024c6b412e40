"""`hypervisor decode`, `encode` and `verify-proof`: conversions and verification of proofs, without a node."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hypervisor.errors import InvalidInput
from store.cid import CidError, parse_cid, show

if TYPE_CHECKING:
    from bridge.actors.interfaces import Interface
    from bridge.ethereum.addresses import EthAddress

_KindArgument = Annotated[
    str,
    typer.Argument(
        metavar="KIND", help="message, signed-message, transaction, address, cid, cbor, ACTOR.METHOD or ACTOR.TYPE."
    ),
]
_Returned = Annotated[bool, typer.Option("--return", help="The return value of the method, not its parameters.")]
_SchemaFile = Annotated[
    Path | None,
    typer.Option(
        "--schema",
        metavar="FILE",
        help="IPLD schema of a user's actor, or its module with one; KIND is then METHOD or TYPE.",
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
    from hypervisor_tools.laboratory.readable import decode_base64, decode_value, encode_value

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
            metavar="JSON|-", help="A JSON value as `decode` prints it, or an address or a CID; - for standard input."
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

    from hypervisor_tools.laboratory.readable import encode_value
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
    if schema is None:
        return None
    from localnet.contracts.native_actor import read_actor_schema

    return read_actor_schema(schema)


def _text(argument: str) -> str:
    """Return an argument, or standard input if it is -. Raises InvalidInput if it is too long."""
    text = sys.stdin.read(_MAX_INPUT + 1) if argument == "-" else argument
    if len(text) > _MAX_INPUT:
        raise InvalidInput(f"the input exceeds {_MAX_INPUT:,} characters")
    return text.strip()


app = typer.Typer(help="Verify proofs of other networks, offline.", no_args_is_help=True)

_MAX_FILE = 16 << 20
_CBOR_ARRAY = 4
"""Major type of CBOR arrays; no JSON text starts with such a byte."""


@app.callback()
def verify_proof() -> None:
    """Verify proofs of other networks, offline."""


@app.command("ethereum")
def ethereum(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Response of eth_getProof, as JSON.")],
    address: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Require a proof of this account.")] = None,
    slot: Annotated[
        list[str] | None, typer.Option(metavar="SLOT", help="Require a proof of this slot; repeatable.")
    ] = None,
    state_root: Annotated[str | None, typer.Option(metavar="HASH", help="State root that you trust.")] = None,
    block: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Response of eth_getBlockByNumber, instead of a root.")
    ] = None,
    block_hash: Annotated[
        str | None, typer.Option(metavar="HASH", help="Hash of the block that you trust, with --block.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Verify the account and the slots in an Ethereum node's response to eth_getProof.

    Pass a state root that you trust, or a block and its hash. It is not checked that the block is part of the chain.
    The response itself names the account and the slots: pass --address and --slot to check them.

    Exit status: 0 if everything is proven, 1 if not, 2 if a file cannot be read or an option is invalid.

    Example: hypervisor verify-proof ethereum proof.json --block block.json --block-hash 0x...
    """
    from bridge.ethereum.addresses import checksummed
    from bridge.ethereum.patricia import InvalidProof
    from hypervisor_tools.laboratory.proofs.ethereum import check_slots, proven_state_root, verify_account

    if (state_root is None) == (block is None) or (block is None) != (block_hash is None):
        raise InvalidInput("pass either --state-root, or both --block and --block-hash")
    wanted = None if address is None else _address(address)
    slots_wanted = [_slot(text) for text in slot or ()]
    answer = _read(file)
    try:
        if block is not None and block_hash is not None:
            root = proven_state_root(_read(block), _hash(block_hash, "--block-hash"))
        else:
            root = _hash(state_root or "", "--state-root")
        account = verify_account(answer, root, wanted)
        check_slots(account, slots_wanted)
    except InvalidProof as error:
        typer.echo(f"not proven: {error}", err=True)
        raise typer.Exit(1) from None
    shown: dict[str, Any] = {
        "stateRoot": f"0x{root.hex()}",
        "address": checksummed(account.address),
        "exists": account.exists,
        "nonce": account.nonce,
        "balance": account.balance,
        "codeHash": f"0x{account.code_hash.hex()}",
        "slots": {f"{slot:#x}": f"{word:#066x}" for slot, word in account.slots.items()},
    }
    if as_json:
        typer.echo(json.dumps(shown))
        return
    slots = shown.pop("slots")
    for name, value in [*shown.items(), *((f"slot {slot}", word) for slot, word in slots.items())]:
        typer.echo(f"{name}: {str(value).lower() if isinstance(value, bool) else value}")


@app.command("f3")
def f3(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Finality certificates in order, as JSON or CBOR.")
    ],
    power_table: Annotated[
        Path, typer.Option(metavar="FILE", help="Power table of the first instance, as JSON of a Lotus node.")
    ],
    network: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the network in its F3 manifest: filecoin, calibrationnet.")
    ] = "filecoin",
    power_table_cid: Annotated[
        str | None, typer.Option(metavar="CID", help="CID that the power table must have.")
    ] = None,
    instance: Annotated[
        int | None,
        typer.Option(metavar="N", help="Instance of the power table; default: that of the first certificate."),
    ] = None,
    proof: Annotated[
        Path | None,
        typer.Option(
            metavar="CAR", help="Blocks from a finalized block header to a value: hypervisor inspect --block --proof."
        ),
    ] = None,
    path: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="Value that --proof proves: a path in the state, or receipts/MESSAGE/events/EVENT."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Verify a chain of finality certificates (F3) of a Filecoin network, from a power table that you trust.

    A file holds a response of Filecoin.F3GetCertificate, a list of them, or one certificate as CBOR. With --proof, a
    value in the state or an event of a finalized tipset is verified, too. A header contains the state and the receipts
    after the tipset before it.

    Exit status: 0 if everything is valid, 1 if not, 2 for invalid input.

    Example: hypervisor verify-proof f3 certificates.json --power-table table.json --power-table-cid bafy...

    Example: hypervisor verify-proof f3 100.json --power-table table.json --proof event.car --path receipts/0/events/0
    """
    from hypervisor_tools.laboratory.proofs.f3 import InvalidCertificate
    from hypervisor_tools.laboratory.proofs.f3.chain import verify_files
    from hypervisor_tools.laboratory.proofs.filecoin import inspect_file
    from store.trees.paths import ProofError

    if (proof is None) != (path is None):
        raise InvalidInput("--proof and --path must be used together: pass both or neither")

    if power_table_cid is not None:
        try:
            parse_cid(power_table_cid)
        except CidError as error:
            raise InvalidInput(f"--power-table-cid: {error}") from None
    documents = [_read_or_bytes(path) for path in files]
    try:
        verified = verify_files(documents, _read(power_table), network, power_table_cid, instance)
        shown = verified.summary()
        if proof is not None and path is not None:
            header, value = inspect_file(proof, path)
            shown |= {"epoch": verified.tipset_of(header).epoch, "block": show(header), "value": value}
    except (InvalidCertificate, ProofError) as error:
        typer.echo(f"not proven for the network '{network}': {error}", err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(shown))
        return
    for name, value in shown.items():
        text = " ".join(value) if name == "finalizedTipset" else value
        typer.echo(f"{name}: {json.dumps(text) if isinstance(text, dict | list) else text}")


def _read_or_bytes(path: Path) -> Any:
    """Return the bytes of a CBOR array, or the JSON value of any other file."""
    from hypervisor.installation import read_bounded

    data = read_bounded(path, _MAX_FILE, "the file")
    return data if data[:1] and data[0] >> 5 == _CBOR_ARRAY else _read(path)


def _read(path: Path) -> Any:
    """Return a JSON value, or the `result` of a JSON-RPC response."""
    from hypervisor.installation import read_bounded
    from store.untrusted import parse_json

    try:
        found = parse_json(read_bounded(path, _MAX_FILE, "the file"))
    except InvalidInput:
        raise
    except ValueError as error:
        raise InvalidInput(f"{path} is not JSON: {error}") from None
    return found["result"] if isinstance(found, dict) and "result" in found else found


def _address(text: str) -> EthAddress:
    from bridge.ethereum.addresses import EthAddress
    from localnet.fork.response_values import word_of

    try:
        return EthAddress(word_of(text, 20))
    except ValueError:
        raise InvalidInput(f"--address: '{text:.80}' is not an address: expected 0x and 40 hex digits") from None


def _slot(text: str) -> int:
    try:
        found = int(text, 0)
    except ValueError:
        found = -1
    if not 0 <= found < 1 << 256:
        raise InvalidInput(f"--slot: '{text:.80}' is not a number from 0 to 2^256 - 1, such as 0x1")
    return found


def _hash(text: str, option: str) -> bytes:
    from localnet.fork.response_values import word_of

    try:
        return word_of(text)
    except ValueError:
        raise InvalidInput(f"{option}: '{text:.80}' is not a hash: expected 0x and 64 hex digits") from None
