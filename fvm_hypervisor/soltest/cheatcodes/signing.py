"""Key cheatcodes: addresses, signatures, wallets, and encodings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from bridge.ethereum import rlp
from bridge.ethereum.addresses import EthAddress, checksummed
from fvm_hypervisor.soltest.cheatcodes.context import Context
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.table import cheatcode
from hypervisor.errors import InvalidInput
from hypervisor.messages.signatures import secp256k1_public_key
from localnet.accounts import DERIVATION_PATH, HARDENED, Account, derived_key, parse_derivation_path
from store.keccak import keccak

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


@cheatcode("sign(uint256,bytes32)", returns="uint8,bytes32,bytes32")
def _sign(_context: Context, key: int, digest: bytes) -> tuple[int, bytes, bytes]:
    return _sign_digest(key, digest)


@cheatcode("sign(bytes32)", returns="uint8,bytes32,bytes32")
def _sign_default(context: Context, digest: bytes) -> tuple[int, bytes, bytes]:
    return _sign_digest(_key_of(context, None), digest)


@cheatcode("sign(address,bytes32)", returns="uint8,bytes32,bytes32")
def _sign_by(context: Context, signer: EthAddress, digest: bytes) -> tuple[int, bytes, bytes]:
    return _sign_digest(_key_of(context, signer), digest)


@cheatcode(f"sign({_WALLET},bytes32)", returns="uint8,bytes32,bytes32")
def _sign_wallet(_context: Context, wallet: Sequence[Any], digest: bytes) -> tuple[int, bytes, bytes]:
    return _sign_digest(wallet[3], digest)


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


def _compact(key: int, digest: bytes) -> tuple[bytes, bytes]:
    v, r, s = _sign_digest(key, digest)
    return r, (int.from_bytes(s, "big") | (v - 27) << 255).to_bytes(32, "big")


@cheatcode("signCompact(uint256,bytes32)", returns="bytes32,bytes32")
def _sign_compact(_context: Context, key: int, digest: bytes) -> tuple[bytes, bytes]:
    return _compact(key, digest)


@cheatcode("signCompact(bytes32)", returns="bytes32,bytes32")
def _sign_compact_default(context: Context, digest: bytes) -> tuple[bytes, bytes]:
    return _compact(_key_of(context, None), digest)


@cheatcode("signCompact(address,bytes32)", returns="bytes32,bytes32")
def _sign_compact_by(context: Context, signer: EthAddress, digest: bytes) -> tuple[bytes, bytes]:
    return _compact(_key_of(context, signer), digest)


@cheatcode(f"signCompact({_WALLET},bytes32)", returns="bytes32,bytes32")
def _sign_compact_wallet(_context: Context, wallet: Sequence[Any], digest: bytes) -> tuple[bytes, bytes]:
    return _compact(wallet[3], digest)


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


@cheatcode("deriveKey(string,uint32)", returns="uint256")
def _derive_key(_context: Context, mnemonic: str, index: int) -> int:
    return _derive(mnemonic, DERIVATION_PATH, index)


@cheatcode("deriveKey(string,string,uint32)", returns="uint256")
def _derive_key_path(_context: Context, mnemonic: str, path: str, index: int) -> int:
    return _derive(mnemonic, path, index)


@cheatcode("deriveKey(string,uint32,string)", returns="uint256")
def _derive_key_language(_context: Context, mnemonic: str, index: int, _language: str) -> int:
    return _derive(mnemonic, DERIVATION_PATH, index)


@cheatcode("deriveKey(string,string,uint32,string)", returns="uint256")
def _derive_key_path_language(_context: Context, mnemonic: str, path: str, index: int, _language: str) -> int:
    return _derive(mnemonic, path, index)


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


@cheatcode("createWallet(uint256)", returns=_WALLET)
def _create_wallet_of(context: Context, key: int) -> tuple[EthAddress, int, int, int]:
    return _wallet(context, key)


@cheatcode("createWallet(uint256,string)", returns=_WALLET)
def _create_wallet_labelled(context: Context, key: int, label: str) -> tuple[EthAddress, int, int, int]:
    return _wallet(context, key, label)


@cheatcode("rememberKey(uint256)", returns="address")
def _remember(context: Context, key: int) -> EthAddress:
    return _wallet(context, key)[0]


@cheatcode("rememberKeys(string,string,uint32)", returns="address[]")
def _remember_keys(context: Context, mnemonic: str, path: str, count: int) -> list[EthAddress]:
    if count > _MAX_KEYS:
        raise CheatcodeFailure(f"{count} keys exceed the limit of {_MAX_KEYS}")
    return [_wallet(context, _derive(mnemonic, path, index))[0] for index in range(count)]


@cheatcode("rememberKeys(string,string,string,uint32)", returns="address[]")
def _remember_keys_language(context: Context, mnemonic: str, path: str, _language: str, count: int) -> list[EthAddress]:
    return _remember_keys(context, mnemonic, path, count)


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


@cheatcode("toRlp(bytes[])", returns="bytes")
def _to_rlp(_context: Context, items: Sequence[bytes]) -> bytes:
    return rlp.encode(list(items))


@cheatcode("fromRlp(bytes)", returns="bytes[]")
def _from_rlp(_context: Context, data: bytes) -> list[bytes]:
    try:
        return [rlp.read_bytes(item) for item in rlp.read_list(rlp.decode(data))]
    except rlp.RlpError as error:
        raise CheatcodeFailure(str(error)) from None
