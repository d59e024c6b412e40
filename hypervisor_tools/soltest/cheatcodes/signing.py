"""Key cheatcodes: addresses, signatures, wallets, curve points, EIP-712 hashes.

Points of secp256k1 are affine, (x, y), or projective, (x, y, z) for the affine (x/z, y/z). The point at infinity is
(0, 0), and (0, y, 0) with any y but 0. Results are (0, 1, 0) or have z = 1. Source: the comments of forge 1.8's
interface `Vm`. libsecp256k1 computes the sums and products.

An Ed25519 signature covers the message with a namespace before it. The library is loaded by the first call.

A type of EIP-712 is a definition, `Mail(Person to,string text)Person(string name)`, whose parts may be in any order and
contain spaces, or the name of one in the file that `forge bind-json` writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from btclib_secp256k1 import keys

from bridge.ethereum import rlp
from bridge.ethereum.addresses import EthAddress, checksummed
from hypervisor.errors import InvalidInput
from hypervisor.messages.signatures import secp256k1_public_key
from hypervisor_tools.soltest.cheatcodes.context import Context
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure, check_type
from hypervisor_tools.soltest.cheatcodes.files import read_text
from hypervisor_tools.soltest.cheatcodes.table import cheatcode
from hypervisor_tools.soltest.cheatcodes.text import documents
from hypervisor_tools.soltest.cheatcodes.values import decode
from localnet.accounts import DERIVATION_PATH, HARDENED, Account, derived_key, parse_derivation_path
from localnet.typed_data import DOMAIN, hash_struct, type_text, typed_data_digest
from store.keccak import keccak

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_MAX_KEYS: Final = 1000
_WALLET: Final = "(address,uint256,uint256,uint256)"


def account_of(key: int) -> Account:
    """Return the account of a private key. Raises CheatcodeFailure."""
    if key == 0:
        raise CheatcodeFailure("private key cannot be 0")
    if key >= ORDER:
        raise CheatcodeFailure(
            "private key must be less than the Secp256k1 curve order "
            "(115792089237316195423570985008687907852837564279074904382605163141518161494337)"
        )
    return Account.from_key(key.to_bytes(32, "big"))


def _key_of(context: Context, signer: EthAddress | None) -> int:
    keys = context.state.keys
    if signer is None:
        if not keys:
            raise CheatcodeFailure("no wallets are available: remember a key first")
        return next(iter(keys.values()))
    if signer not in keys:
        raise CheatcodeFailure(f"signer with address {checksummed(signer)} is not available")
    return keys[signer]


@cheatcode("addr(uint256)", returns="address")
def _addr(_context: Context, key: int) -> EthAddress:
    return account_of(key).address


def _sign_digest(key: int, digest: bytes) -> tuple[int, bytes, bytes]:
    signature = account_of(key).sign_digest(digest)
    return 27 + signature[64], signature[:32], signature[32:64]


def _compact(key: int, digest: bytes) -> tuple[bytes, bytes]:
    v, r, s = _sign_digest(key, digest)
    return r, (int.from_bytes(s, "big") | (v - 27) << 255).to_bytes(32, "big")


_SIGNERS: Final[Mapping[str, Callable[..., int]]] = {
    "uint256,": lambda _context, key: key,
    "": lambda context: _key_of(context, None),
    "address,": _key_of,
    f"{_WALLET},": lambda _context, wallet: wallet[3],
}
"""Functions that return the key, by the parameter before the digest."""


def _signing(signer: str, key_of: Callable[..., int]) -> None:
    cheatcode(f"sign({signer}bytes32)", returns="uint8,bytes32,bytes32")(
        lambda context, *values: _sign_digest(key_of(context, *values[:-1]), values[-1])
    )
    cheatcode(f"signCompact({signer}bytes32)", returns="bytes32,bytes32")(
        lambda context, *values: _compact(key_of(context, *values[:-1]), values[-1])
    )


for _signer, _key in _SIGNERS.items():
    _signing(_signer, _key)


@cheatcode("signWithNonceUnsafe(uint256,bytes32,uint256)", returns="uint8,bytes32,bytes32")
def _sign_with_nonce(_context: Context, key: int, digest: bytes, nonce: int) -> tuple[int, bytes, bytes]:
    """Sign by ECDSA with the given nonce and the lower s (SEC 1, 4.1.3; EIP-2)."""
    account_of(key)
    if nonce == 0:
        raise CheatcodeFailure("nonce cannot be 0")
    if nonce >= ORDER:
        raise CheatcodeFailure("invalid nonce scalar")
    point = secp256k1_public_key(nonce.to_bytes(32, "big"))
    r = int.from_bytes(point[1:33], "big") % ORDER
    s = pow(nonce, -1, ORDER) * (int.from_bytes(digest, "big") + r * key) % ORDER
    is_odd = point[-1] & 1
    if s > ORDER // 2:
        s, is_odd = ORDER - s, 1 - is_odd
    return 27 + is_odd, r.to_bytes(32, "big"), s.to_bytes(32, "big")


# --- P-256 ----------------------------------------------------------------------------------------------------------


def _p256(key: int) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec

    if key == 0:
        raise CheatcodeFailure("private key cannot be 0")
    if key >= P256_ORDER:
        raise CheatcodeFailure(f"private key must be less than the Secp256r1 curve order ({P256_ORDER})")
    return ec.derive_private_key(key, ec.SECP256R1())


@cheatcode("publicKeyP256(uint256)", returns="uint256,uint256")
def _public_p256(_context: Context, key: int) -> tuple[int, int]:
    numbers = _p256(key).public_key().public_numbers()
    return numbers.x, numbers.y


@cheatcode("signP256(uint256,bytes32)", returns="bytes32,bytes32")
def _sign_p256(_context: Context, key: int, digest: bytes) -> tuple[bytes, bytes]:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    algorithm = ec.ECDSA(utils.Prehashed(hashes.SHA256()), deterministic_signing=True)
    r, s = utils.decode_dss_signature(_p256(key).sign(digest, algorithm))
    return r.to_bytes(32, "big"), min(s, P256_ORDER - s).to_bytes(32, "big")


# --- wallets --------------------------------------------------------------------------------------------------------


def _derive(mnemonic: str, path: str, index: int) -> int:
    if index >= HARDENED:
        raise CheatcodeFailure(f"index {index} is out of range (less than {HARDENED})")
    try:
        numbers = (*parse_derivation_path(path), index)
        return int.from_bytes(derived_key(mnemonic, numbers), "big")
    except InvalidInput as error:
        raise CheatcodeFailure(str(error)) from None


@cheatcode("deriveKey(string,uint32)", "deriveKey(string,uint32,string)", returns="uint256")
def _derive_key(_context: Context, mnemonic: str, index: int, _language: str = "") -> int:
    return _derive(mnemonic, DERIVATION_PATH, index)


@cheatcode("deriveKey(string,string,uint32)", "deriveKey(string,string,uint32,string)", returns="uint256")
def _derive_key_path(_context: Context, mnemonic: str, path: str, index: int, _language: str = "") -> int:
    return _derive(mnemonic, path, index)


@cheatcode("createWallet(uint256)", "createWallet(uint256,string)", returns=_WALLET)
def _wallet(context: Context, key: int, label: str = "") -> tuple[EthAddress, int, int, int]:
    account = account_of(key)
    public = secp256k1_public_key(account.private_key)
    context.state.keys[account.address] = key
    if label:
        context.state.labels[account.address] = label
    return account.address, int.from_bytes(public[1:33], "big"), int.from_bytes(public[33:65], "big"), key


@cheatcode("createWallet(string)", returns=_WALLET)
def _create_wallet(context: Context, label: str) -> tuple[EthAddress, int, int, int]:
    return _wallet(context, int.from_bytes(keccak(label.encode()), "big"), label)


@cheatcode("rememberKey(uint256)", returns="address")
def _remember(context: Context, key: int) -> EthAddress:
    return _wallet(context, key)[0]


@cheatcode("rememberKeys(string,string,uint32)", returns="address[]")
def _remember_keys(context: Context, mnemonic: str, path: str, count: int) -> list[EthAddress]:
    if count > _MAX_KEYS:
        raise CheatcodeFailure(f"{count} keys exceed the limit of {_MAX_KEYS}")
    return [_wallet(context, _derive(mnemonic, path, index))[0] for index in range(count)]


cheatcode("rememberKeys(string,string,string,uint32)", returns="address[]")(
    lambda context, mnemonic, path, _language, count: _remember_keys(context, mnemonic, path, count)
)


@cheatcode("getWallets()", returns="address[]")
def _wallets(context: Context) -> list[EthAddress]:
    return list(context.state.keys)


@cheatcode(f"getNonce({_WALLET})", returns="uint64")
def _wallet_nonce(context: Context, wallet: Sequence[Any]) -> int:
    return context.ledger.nonce(EthAddress(wallet[0]))


# --- encodings ------------------------------------------------------------------------------------------------------


@cheatcode("ensNamehash(string)", returns="bytes32")
def _namehash(_context: Context, name: str) -> bytes:
    node = bytes(32)
    for label in reversed(name.split(".") if name else []):
        node = bytes(keccak(node + keccak(label.encode())))
    return node


cheatcode("toRlp(bytes[])", returns="bytes")(lambda _context, items: rlp.encode(list(items)))


@cheatcode("fromRlp(bytes)", returns="bytes[]")
def _from_rlp(_context: Context, data: bytes) -> list[bytes]:
    try:
        return [rlp.read_bytes(item) for item in rlp.read_list(rlp.decode(data))]
    except rlp.RlpError as error:
        raise CheatcodeFailure(str(error)) from None


_FIELD: Final = 2**256 - 2**32 - 977
_Affine = tuple[int, int]
_Projective = tuple[int, int, int]
_INFINITY: Final = b""


@cheatcode("ecAddAffine(uint256,uint256,uint256,uint256)", returns="uint256,uint256")
def _add_affine(_context: Context, x1: int, y1: int, x2: int, y2: int) -> _Affine:
    return _affine(_sum(_point(x1, y1, "first point"), _point(x2, y2, "second point")))


@cheatcode(f"ecAddProjective({','.join(6 * ['uint256'])})", returns="uint256,uint256,uint256")
def _add_projective(_context: Context, x1: int, y1: int, z1: int, x2: int, y2: int, z2: int) -> _Projective:
    first, second = _from_projective(x1, y1, z1, "first point"), _from_projective(x2, y2, z2, "second point")
    return _projective(_sum(first, second))


@cheatcode("ecMulAffine(uint256,uint256,uint256)", returns="uint256,uint256")
def _mul_affine(_context: Context, x: int, y: int, scalar: int) -> _Affine:
    return _affine(_product(_point(x, y, "point"), scalar))


@cheatcode("ecMulProjective(uint256,uint256,uint256,uint256)", returns="uint256,uint256,uint256")
def _mul_projective(_context: Context, x: int, y: int, z: int, scalar: int) -> _Projective:
    return _projective(_product(_from_projective(x, y, z, "point"), scalar))


def _point(x: int, y: int, name: str) -> bytes:
    """Return a point as an uncompressed public key; empty if it is at infinity."""
    if (x, y) == (0, 0):
        return _INFINITY
    point = b"\x04" + x.to_bytes(32, "big") + y.to_bytes(32, "big")
    if not keys.pubkey_verify(point):
        raise CheatcodeFailure(f"invalid secp256k1 {name}")
    return point


def _from_projective(x: int, y: int, z: int, name: str) -> bytes:
    if max(x, y, z) >= _FIELD or (z == 0 and (x != 0 or y == 0)):
        raise CheatcodeFailure(f"invalid secp256k1 {name}")
    if z == 0:
        return _INFINITY
    inverse = pow(z, -1, _FIELD)
    return _point(x * inverse % _FIELD, y * inverse % _FIELD, name)


def _sum(first: bytes, second: bytes) -> bytes:
    if not first or not second:
        return first or second
    return keys.pubkey_sum([first, second], compressed=False) or _INFINITY


def _product(point: bytes, scalar: int) -> bytes:
    factor = scalar % ORDER
    return keys.pubkey_tweak_mul(point, factor, compressed=False) if point and factor else _INFINITY


def _affine(point: bytes) -> _Affine:
    return (int.from_bytes(point[1:33], "big"), int.from_bytes(point[33:], "big")) if point else (0, 0)


def _projective(point: bytes) -> _Projective:
    return (*_affine(point), 1) if point else (0, 1, 0)


def _private(key: bytes) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(key)


def _public(key: bytes) -> bytes:
    return _private(key).public_key().public_bytes_raw()


cheatcode("createEd25519Key(bytes32)", returns="bytes32,bytes32")(lambda _context, salt: (_public(salt), salt))
cheatcode("publicKeyEd25519(bytes32)", returns="bytes32")(lambda _context, key: _public(key))
cheatcode("signEd25519(bytes,bytes,bytes32)", returns="bytes")(
    lambda _context, namespace, message, key: _private(key).sign(namespace + message)
)


@cheatcode("verifyEd25519(bytes,bytes,bytes,bytes32)", returns="bool")
def _verify(_context: Context, signature: bytes, namespace: bytes, message: bytes, key: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, namespace + message)
    except (InvalidSignature, ValueError):
        return False
    return True


_BINDINGS: Final = "utils/JsonBindings.sol"
_SCHEMA: Final = re.compile(r'string\s+constant\s+schema_(\w+)\s*=\s*"([^"]*)"')
_COMPONENT: Final = re.compile(r"\s*(\w+)\s*\(([^()]*)\)")
_MEMBER: Final = re.compile(r"\s*(\w+(?:\[\d*\])*)\s+(\w+)\s*")
_ATOM: Final = re.compile(r"address|bool|u?int\d*|bytes\d*|string")
_DOMAIN_MEMBERS: Final = {
    "name": "string", "version": "string", "chainId": "uint256", "verifyingContract": "address", "salt": "bytes32",
}  # fmt: skip
_MAX_DEPTH: Final = 64

Types = dict[str, list[dict[str, str]]]


@cheatcode("eip712HashType(string)", "eip712HashType(string,string)", returns="bytes32")
def _hash_type(context: Context, *type_: str) -> bytes:
    return bytes(keccak(_canonical(_definition(context, *type_)).encode()))


@cheatcode("eip712HashStruct(string,bytes)", "eip712HashStruct(string,string,bytes)", returns="bytes32")
def _hash_struct(context: Context, *values: Any) -> bytes:
    *type_, data = values
    return _hash(_definition(context, *type_), data)


@cheatcode("eip712HashTypedData(string)", returns="bytes32")
def _hash_typed_data(_context: Context, text: str) -> bytes:
    document = documents.read_json(text)
    if not isinstance(document, dict):
        raise CheatcodeFailure("the typed data is not a JSON object")
    types, domain = document.get("types"), document.get("domain")
    if isinstance(types, dict) and isinstance(domain, dict):
        members = [{"name": name, "type": kind} for name, kind in _DOMAIN_MEMBERS.items() if name in domain]
        document["types"] = {**types, DOMAIN: members}  # forge ignores the declared type
        if document.get("primaryType") not in document["types"]:
            raise CheatcodeFailure(f"missing type in type resolution: {document.get('primaryType')}")
    try:
        return typed_data_digest(document)
    except InvalidInput as error:
        raise CheatcodeFailure(str(error)) from None


# --- definitions ----------------------------------------------------------------------------------------------------


def _definition(context: Context, *type_: str) -> str:
    """Return the definition of a type: itself, or of a name in a file of bindings, which may come first."""
    path, name = type_ if len(type_) == 2 else (_BINDINGS, *type_)
    return name if len(type_) == 1 and "(" in name else _bound(context, path, name)


def _bound(context: Context, path: str, name: str) -> str:
    """Return the definition of a name in a file of bindings."""
    for found, definition in _SCHEMA.findall(read_text(context, path)):
        if found == name:
            return str(definition)
    raise CheatcodeFailure(f"'{name}' not found in '{path}'")


def _types(definition: str) -> Types:
    """Return the structs of a definition."""
    types: Types = {}
    at = 0
    while definition[at:].strip():
        component = _COMPONENT.match(definition, at)
        if component is None:
            raise CheatcodeFailure(f"parser error: {definition[at : at + 40]!r} is not a type with its members")
        name, inside = component.groups()
        members = [_MEMBER.fullmatch(part) for part in inside.split(",")] if inside.strip() else []
        if any(member is None for member in members):
            raise CheatcodeFailure(f"parser error: the members of {name} are not a list of types and names")
        types[name] = [{"type": member[1], "name": member[2]} for member in members if member is not None]
        at = component.end()
    return types


def _primary(types: Types) -> str:
    """Return the only type that no other uses. Raises CheatcodeFailure for none or several, or a missing type."""
    used = {_bare(member["type"]) for members in types.values() for member in members}
    for name in sorted(used):
        if name not in types and not _ATOM.fullmatch(name):
            raise CheatcodeFailure(f"missing type in type resolution: {name}")
    free = sorted(types.keys() - used)
    if len(free) != 1:
        raise CheatcodeFailure(
            f"missing type in type resolution: primary component{': ' if free else ''}{', '.join(free)}"
        )
    return free[0]


def _bare(kind: str) -> str:
    return kind.partition("[")[0]


def _canonical(definition: str) -> str:
    """Return the primary type, followed by the types that it uses, by name."""
    types = _types(definition)
    return type_text(types, _primary(types))


# --- structs ---------------------------------------------------------------------------------------------------------


def _hash(definition: str, data: bytes) -> bytes:
    types = _types(definition)
    primary = _primary(types)
    kind = _abi_type(types, primary)
    try:
        (value,) = decode([kind], data)
    except CheatcodeFailure:
        raise CheatcodeFailure(
            f"Failed to ABI decode using resolved_sol_type directly for '{primary}': "
            "ABI decoding failed: buffer overrun while deserializing."
        ) from None
    try:
        return hash_struct(types, primary, _members(types, primary, value))
    except InvalidInput as error:
        raise CheatcodeFailure(str(error)) from None


def _abi_type(types: Types, kind: str, depth: int = 0) -> str:
    """Return the ABI type of a definition's type."""
    if depth > _MAX_DEPTH:
        raise CheatcodeFailure("the input is nested too deeply")
    name, bracket, sizes = kind.partition("[")
    if name in types:
        name = check_type(f"({','.join(_abi_type(types, member['type'], depth + 1) for member in types[name])})")
    elif name in ("uint", "int"):
        name += "256"
    return name + bracket + sizes


def _members(types: Types, kind: str, value: Any) -> Any:
    """Return a decoded value with structs as mappings by member name."""
    if kind.endswith("]"):
        return [_members(types, kind[: kind.rindex("[")], item) for item in value]
    if kind not in types:
        return value
    pairs = zip(types[kind], value, strict=True)
    found: Mapping[str, Any] = {member["name"]: _members(types, member["type"], item) for member, item in pairs}
    return found
