"""Encrypted keys: the two test vectors of the Web3 Secret Storage definition, and malformed files."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from hypervisor.errors import InvalidInput
from hypervisor_tools.cli.wallet import keystore_keys

SECRET: Final = "0x7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d"
PASSWORD: Final = "testpassword"
VECTORS: Final[dict[str, dict[str, Any]]] = {
    "pbkdf2": {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
        "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
        "kdf": "pbkdf2",
        "kdfparams": {
            "c": 262144,
            "dklen": 32,
            "prf": "hmac-sha256",
            "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd",
        },
        "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
    },
    "scrypt": {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": "83dbcc02d8ccb40e466191a123791e0e"},
        "ciphertext": "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c",
        "kdf": "scrypt",
        "kdfparams": {
            "dklen": 32,
            "n": 262144,
            "p": 8,
            "r": 1,
            "salt": "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19",
        },
        "mac": "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097",
    },
}


SCRYPT: Final = VECTORS["scrypt"]["kdfparams"] | {"n": 2}


def keystore(folder: Path, kind: str = "pbkdf2", **changed: Any) -> Path:
    file = folder / kind
    content = {"crypto": VECTORS[kind] | changed, "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6", "version": 3}
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


@pytest.mark.slow
@pytest.mark.parametrize("kind", VECTORS)
def test_keystore_of_the_definition_is_opened(tmp_path: Path, kind: str) -> None:
    password = tmp_path / "password"
    password.write_text(f"{PASSWORD}\n", encoding="utf-8")
    file = keystore(tmp_path, kind)
    assert keystore_keys([file], [], [PASSWORD], []) == [SECRET]
    assert keystore_keys([file], [], [], [password]) == [SECRET]


@pytest.mark.slow
def test_account_is_a_file_in_foundrys_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / ".foundry" / "keystores"
    folder.mkdir(parents=True)
    keystore(folder)
    assert keystore_keys([], ["pbkdf2"], [PASSWORD], []) == [SECRET]
    with pytest.raises(InvalidInput, match="is not the name of a file"):
        keystore_keys([], ["../pbkdf2"], [PASSWORD], [])


@pytest.mark.slow
def test_keystore_error_does_not_reveal_password(tmp_path: Path) -> None:
    file = keystore(tmp_path)
    with pytest.raises(InvalidInput, match="wrong password for the keystore") as error:
        keystore_keys([file], [], ["wrong-one"], [])
    assert "wrong-one" not in str(error.value)
    for passwords, words in (([], "pass --password-file"), ([PASSWORD] * 2, "1 keystores .* 2 passwords")):
        with pytest.raises(InvalidInput, match=words):
            keystore_keys([file], [], passwords, [])
    with pytest.raises(InvalidInput, match="is a folder"):
        keystore_keys([tmp_path], [], [PASSWORD], [])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"kdf": "scrypt", "kdfparams": {"n": 1 << 40, "r": 8, "p": 1}}, "more than 1024 MiB of scrypt"),
        ({"kdf": "scrypt", "kdfparams": {"n": 2, "r": 1, "p": 1 << 22}}, "more than 1,024 blocks of scrypt"),
        ({"kdf": "scrypt", "kdfparams": {"n": 2, "r": 1 << 22, "p": 1}}, "more than 1,024 blocks of scrypt"),
        ({"kdf": "scrypt", "kdfparams": SCRYPT | {"n": 0}}, "is not a keystore"),
        ({"kdf": "scrypt", "kdfparams": SCRYPT | {"n": 3}}, "is not a keystore"),
        ({"kdf": "scrypt", "kdfparams": SCRYPT | {"r": 0, "n": 1 << 30}}, "is not a keystore"),
        ({"kdf": "scrypt", "kdfparams": SCRYPT | {"r": -8, "p": -1}}, "is not a keystore"),
        ({"kdf": "scrypt", "kdfparams": SCRYPT | {"p": 0}}, "is not a keystore"),
        ({"kdf": "scrypt", "kdfparams": SCRYPT | {"p": 1e300}}, "MiB of scrypt"),
        ({"kdfparams": {"c": 1 << 40}}, "rounds of PBKDF2"),
        ({"kdfparams": VECTORS["pbkdf2"]["kdfparams"] | {"c": 0}}, "is not a keystore"),
        ({"kdfparams": VECTORS["pbkdf2"]["kdfparams"] | {"c": -1}}, "is not a keystore"),
        ({"kdf": "other"}, "is not a keystore"),
        ({"cipher": "other"}, "is not a keystore"),
        ({"kdfparams": []}, "is not a keystore"),
        ({"mac": 5}, "is not a keystore"),
        ({"kdfparams": {"c": "many"}}, "is not a keystore"),
    ],
)
def test_file_that_is_no_wallets_is_refused(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        keystore_keys([keystore(tmp_path, **changed)], [], [PASSWORD], [])
