"""Small contracts in bytecode for test vectors: each uses one instruction or group of instructions."""

from typing import Final

_INPUT: Final = "6020360360205f37"
"""Copy the calldata from byte 32 on to memory."""
_RETURN: Final = "3d5f5f3e3d5ff3"
"""Return the return data of the last call."""
_WORD: Final = "5f5260205ff3"
"""Return the top of the stack."""


def creation(runtime: str) -> bytes:
    """Return init code that deploys a runtime code in hex."""
    code = bytes.fromhex(runtime)
    return bytes.fromhex("61") + len(code).to_bytes(2, "big") + bytes.fromhex("80600a5f395ff3") + code


def word(value: int | bytes) -> bytes:
    """Return a value as 32 bytes of calldata."""
    number = int.from_bytes(value, "big") if isinstance(value, bytes) else value
    return number.to_bytes(32, "big")


CALL: Final = f"{_INPUT}5f5f602036035f345f355af1{_RETURN}"
"""Call the address in the first word with the rest of the calldata and the value."""
DELEGATECALL: Final = f"{_INPUT}5f5f602036035f5f355af4{_RETURN}"
STATICCALL: Final = f"{_INPUT}5f5f602036035f5f355afa{_RETURN}"
LOGS: Final = (
    "602a5f52"
    + "".join("".join(f"60{topic:02x}" for topic in range(1, topics + 1)) + f"60205fa{topics}" for topics in range(5))
    + "00"
)
"""Emit five events with 0 to 4 topics."""
STORE: Final = "6020355f355500"
"""Store the second word of the calldata in the slot of the first word."""
LOAD: Final = f"5f3554{_WORD}"
REVERT: Final = "602a5f5260205ffd"
INVALID: Final = "fe"
LOOP: Final = "5b5f56"
SELFDESTRUCT: Final = "5f35ff"
"""Send the balance to the address in the first word and delete the contract."""
CREATE: Final = f"365f5f37365f34f0{_WORD}"
"""Create a contract with the calldata as init code."""
CREATE2: Final = f"365f5f37602a365f34f5{_WORD}"
RECURSION: Final = f"5f5f5f5f5f305af1{_WORD}"
TRANSIENT: Final = f"602a5f5d5f5c{_WORD}"
"""TSTORE and TLOAD (nv25)."""
MCOPY: Final = f"602a5f5260205f60205e602051{_WORD}"
"""MCOPY (nv24)."""
CLZ: Final = f"5f351e{_WORD}"
"""CLZ (nv28)."""
_ENVIRONMENT: Final = ("30", "32", "33", "34", "36", "38", "3a", "41", "42", "43", "44", "45", "46", "47", "48")
ENVIRONMENT: Final = (
    "".join(f"{instruction}61{32 * place:04x}52" for place, instruction in enumerate(_ENVIRONMENT))
    + f"61{32 * len(_ENVIRONMENT):04x}5ff3"
)
"""Return the values of the instructions for message and block: ADDRESS to BASEFEE."""
BALANCE_AND_CODE: Final = f"5f353f5f35315f353b0101{_WORD}"
"""Return the sum of code hash, balance and code size of the address in the first word."""
BLOCKHASH: Final = f"6001430340{_WORD}"
