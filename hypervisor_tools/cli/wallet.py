"""Keys: `hypervisor wallet`, and encrypted key files of forge and cast (`--keystore`, `--account`, `--password-file`).

`wallet` works without a node and stores nothing. Format of key files: Web3 Secret Storage, version 3 (ethereum.org,
"Web3 secret storage definition").
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hypervisor.errors import InvalidInput
from hypervisor_tools.cli.options import AsJson, in_panel

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
    of: Annotated[str, typer.Argument(metavar="ADDRESS|-", help="Address in any form, or - to read a private key.")],
    as_json: AsJson = False,
) -> None:
    """Convert an address to its other forms. With -, read a private key from standard input and print its addresses.

    Example: hypervisor wallet address f0100

    Example: hypervisor wallet address - < key.txt
    """
    from hypervisor_tools.cli.node_client import account_of

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


sending_option = in_panel("Sending")
Keystores = Annotated[
    list[Path] | None,
    sending_option(
        "--keystore",
        "--keystores",
        metavar="FILE",
        envvar="ETH_KEYSTORE",
        help="Sign with the key of this encrypted keystore file.",
    ),
]
KeystoreAccounts = Annotated[
    list[str] | None,
    sending_option(
        "--account",
        "--accounts",
        metavar="NAME",
        envvar="ETH_KEYSTORE_ACCOUNT",
        help="Name of a keystore in ~/.foundry/keystores.",
    ),
]
Passwords = Annotated[list[str] | None, sending_option(metavar="TEXT", help="Keystore password; one per keystore.")]
PasswordFiles = Annotated[
    list[Path] | None,
    sending_option("--password-file", metavar="FILE", envvar="ETH_PASSWORD", help="File with the keystore password."),
]

_MAX_FILE_BYTES: Final = 1 << 16
_MAX_MEMORY: Final = 1 << 30
"""Maximum memory of scrypt in bytes. Keystores of foundry and geth need 8 to 256 MiB."""
_MAX_ROUNDS: Final = 1 << 24
"""Maximum number of PBKDF2 rounds; files have 2^18."""
_SCRYPT_BLOCK: Final = 128
_MAX_BLOCKS: Final = 1 << 10
"""Maximum of r * p, because each block takes time regardless of n. Keystores of geth have 8 or 48."""
_DERIVED: Final = 32
"""Bytes of a derived key: 16 for the cipher, 16 for the MAC."""
_CIPHER: Final = "aes-128-ctr"
_NO_KEYSTORE: Final = "is not a keystore: expected the JSON of Web3 Secret Storage, version 3, with cipher and kdf"


def keystore_keys(
    files: Sequence[Path], accounts: Sequence[str], passwords: Sequence[str], password_files: Sequence[Path]
) -> list[str]:
    """Return the private keys in keystores as hex.

    Passwords are given in the order of the files, or prompted for on the terminal. Raises InvalidInput, whose message
    never contains a key or password.
    """
    paths = [*files, *(_of_account(name) for name in accounts)]
    if passwords and password_files:
        raise InvalidInput(
            "--password and --password-file cannot be used together: pass one password for each keystore"
        )
    texts = [_password(file) for file in password_files] if password_files else list(passwords)
    if texts and len(texts) != len(paths):
        raise InvalidInput(
            f"there are {len(paths)} keystores (--keystore, --account) and {len(texts)} passwords: pass one for each"
        )
    if paths and not texts and not sys.stdin.isatty():
        raise InvalidInput(f"the keystore {paths[0]} has a password: pass --password-file, or enter it on a terminal")
    if not texts:
        texts = [str(typer.prompt(f"Password of {path}", hide_input=True, err=True)) for path in paths]
    return [_key(path, text) for path, text in zip(paths, texts, strict=True)]


def one_key(
    private_key: str | None,
    files: Sequence[Path],
    accounts: Sequence[str],
    passwords: Sequence[str],
    password_files: Sequence[Path],
) -> str | None:
    """Return the signing key: the private key that is given, or that of the only keystore; None without any.

    Raises InvalidInput, also if several keys are given.
    """
    texts = [] if private_key is None else ["--private-key"]
    texts += [f"the keystore {file}" for file in files] + [f"the account {name}" for name in accounts]
    if len(texts) > 1:
        raise InvalidInput(f"only one key can sign, but {' and '.join(texts)} were given: omit all but one")
    opened = keystore_keys(files, accounts, passwords, password_files)
    return opened[0] if opened else private_key


def _of_account(name: str) -> Path:
    folder = Path.home() / ".foundry" / "keystores"
    if not name or Path(name).name != name:
        raise InvalidInput(f"--account {name!r:.80} is not the name of a file in {folder}: --keystore takes a path")
    return folder / name


def _password(file: Path) -> str:
    from hypervisor.installation import read_bounded

    return read_bounded(file, _MAX_FILE_BYTES, "the password file").decode("utf-8", "replace").rstrip()


def _key(file: Path, password: str) -> str:
    from hypervisor.installation import read_bounded
    from store.untrusted import parse_json

    if file.is_dir():
        raise InvalidInput(f"{file} is a folder: --keystore expects the file of one key")
    data = read_bounded(file, _MAX_FILE_BYTES, "the keystore")
    try:
        content = parse_json(data)
        costs = _costs(content)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InvalidInput(f"{file} {_NO_KEYSTORE}") from None
    if costs is not None:
        raise InvalidInput(f"{file} needs {costs}: it is not a keystore of a wallet")
    try:
        key = _decrypt(content.get("crypto") or content["Crypto"], password.encode())
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InvalidInput(f"{file} {_NO_KEYSTORE}") from None
    if key is None:
        raise InvalidInput(f"wrong password for the keystore {file}")
    return f"0x{key.hex()}"


def _decrypt(found: Any, password: bytes) -> bytes | None:
    """Return the private key; None for a wrong password.

    Raises KeyError, TypeError, ValueError or AttributeError if the keystore is malformed.
    """
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES128
    from cryptography.hazmat.primitives.ciphers.modes import CTR

    from store.keccak import keccak

    text, mac = bytes.fromhex(found["ciphertext"]), bytes.fromhex(found["mac"])
    derived = _derive_key(found["kdf"], found["kdfparams"], password)
    if keccak(derived[16:32] + text) != mac:
        return None
    decryptor = Cipher(AES128(derived[:16]), CTR(bytes.fromhex(found["cipherparams"]["iv"]))).decryptor()
    return decryptor.update(text) + decryptor.finalize()


def _derive_key(kind: str, costs: Any, password: bytes) -> bytes:
    """Derive the 32-byte key from a password. `costs` are the parameters of the key derivation function."""
    salt, length = bytes.fromhex(costs["salt"]), int(costs["dklen"])
    if length != _DERIVED:
        raise ValueError("unsupported key length")
    if kind == "scrypt":
        from Crypto.Protocol.KDF import scrypt  # OpenSSL rejects the parameters of the definition's own example

        n, r, p = (int(costs[name]) for name in ("n", "r", "p"))
        return bytes(scrypt(password, salt, length, n, r, p))  # type: ignore[arg-type]  # its stub rejects bytes
    if kind == "pbkdf2" and costs["prf"] == "hmac-sha256":
        return hashlib.pbkdf2_hmac("sha256", password, salt, int(costs["c"]), length)
    raise ValueError("unsupported key derivation function")


def _costs(content: Any) -> str | None:
    """Return the reason if trying a password would exhaust memory or time, else None.

    Raises KeyError, TypeError, ValueError or AttributeError if `content` is not a keystore.
    """
    found = content.get("crypto") or content["Crypto"]
    kind, costs = found["kdf"], found["kdfparams"]
    if found["cipher"] != _CIPHER:
        raise ValueError(f"the cipher is not {_CIPHER}")
    if kind == "scrypt":
        n, r, p = (int(costs[name]) for name in ("n", "r", "p"))
        if min(n, r, p) < 1:
            raise ValueError("a parameter of scrypt is not positive")
        if _SCRYPT_BLOCK * n * r * p > _MAX_MEMORY:
            return f"more than {_MAX_MEMORY >> 20} MiB of scrypt"
        if r * p > _MAX_BLOCKS:
            return f"more than {_MAX_BLOCKS:,} blocks of scrypt"
    return f"more than {_MAX_ROUNDS} rounds of PBKDF2" if kind == "pbkdf2" and int(costs["c"]) > _MAX_ROUNDS else None
