"""Byte offsets of the data shared by a region and the interpreter: `Running` of guests/evm/src/compiled.rs."""

from typing import Final

GAS: Final = 0
PC: Final = 8
TOP: Final = 12
BASE: Final = 16
LIMIT: Final = 20
MEMORY: Final = 24
MEMORY_SIZE: Final = 28
CALLDATA: Final = 32
CALLDATA_SIZE: Final = 36
RETURN_SIZE: Final = 40
ADDRESS: Final = 44
CALLER: Final = 48
VALUE: Final = 52
