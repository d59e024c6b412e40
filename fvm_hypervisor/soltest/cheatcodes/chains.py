"""`getChain`: networks by name or chain ID, with forge's names and the project's endpoint of that name.

Chain IDs and names: the chain list of alloy (alloy-chains), which forge uses.
"""

from __future__ import annotations

from typing import Final

from fvm_hypervisor.soltest.cheatcodes.context import Context
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.table import cheatcode
from fvm_hypervisor.soltest.forks.endpoints import endpoint_url
from hypervisor.errors import InvalidInput

_CHAINS: Final = {
    1: "mainnet", 10: "optimism", 56: "bsc", 100: "gnosis", 130: "unichain", 137: "polygon", 250: "fantom",
    314: "filecoin-mainnet", 324: "zksync", 1101: "polygon-zkevm", 5000: "mantle", 8453: "base",
    17000: "holesky", 31337: "anvil-hardhat", 42161: "arbitrum", 42170: "arbitrum-nova", 42220: "celo",
    43114: "avalanche", 59144: "linea", 81457: "blast", 84532: "base-sepolia", 314159: "filecoin-calibration-testnet",
    421614: "arbitrum-sepolia", 534352: "scroll", 560048: "hoodi", 11155111: "sepolia",
    11155420: "optimism-sepolia",
}  # fmt: skip
_ALIASES: Final = {"anvil": 31337, "hardhat": 31337, "ethereum": 1, "calibration": 314159}
_BY_NAME: Final = {**{name: number for number, name in _CHAINS.items()}, **_ALIASES}
_CHAIN: Final = "(string,uint256,string,string)"
_SOME: Final = "the larger Ethereum networks and Filecoin's, not all of forge's list"


@cheatcode("getChain(string)", returns=_CHAIN, partial=_SOME)
def _by_name(context: Context, alias: str) -> tuple[str, int, str, str]:
    number = int(alias) if alias.isascii() and alias.isdecimal() and len(alias) < 20 else _BY_NAME.get(alias)
    name = None if number is None else _CHAINS.get(number)
    if number is None or name is None:
        raise CheatcodeFailure(f"invalid chain alias: {alias}")
    if alias not in context.settings.rpc_endpoints:
        return name, number, alias, ""
    context.note_input("environment variables")
    try:
        url = endpoint_url(alias, context.settings.rpc_endpoints, context.settings.environment)
    except InvalidInput:
        url = ""  # an environment variable is missing
    return name, number, alias, url


@cheatcode("getChain(uint256)", returns=_CHAIN, partial=_SOME)
def _by_number(context: Context, number: int) -> tuple[str, int, str, str]:
    return _by_name(context, str(number))
