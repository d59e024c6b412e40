"""Cheatcodes about the block, the transaction and the chain.

`getChain` returns networks by name or chain ID, with forge's names and the project's endpoint of that name. Source: the
chain list of alloy (alloy-chains), which forge uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.block import EthereumBlock
from hypervisor.errors import InvalidInput
from hypervisor.types import ChainEpoch, TokenAmount
from hypervisor_tools.soltest.cheatcodes.context import Context
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure
from hypervisor_tools.soltest.cheatcodes.table import cheatcode
from hypervisor_tools.soltest.forks.records import endpoint_url
from hypervisor_tools.soltest.project.test_settings import EVM_VERSIONS, rules_of
from runtimes.evm.forks import ForkBlobs
from runtimes.evm.revm import block_of

_U64 = 1 << 64


@cheatcode("warp(uint256)")
def _warp(context: Context, timestamp: int) -> None:
    context.advance(timestamp=timestamp)


@cheatcode("roll(uint256)")
def _roll(context: Context, number: int) -> None:
    context.advance(epoch=ChainEpoch(number))


@cheatcode("fee(uint256)")
def _fee(context: Context, base_fee: int) -> None:
    if base_fee >= _U64:
        raise CheatcodeFailure("base fee must be less than 2^64")
    context.state.block = replace(context.state.block, base_fee=base_fee)
    context.advance(base_fee=TokenAmount(base_fee))


@cheatcode("chainId(uint256)")
def _chain_id(context: Context, chain_id: int) -> None:
    if chain_id >= _U64:
        raise CheatcodeFailure("chain ID must be less than 2^64")
    context.advance(chain_id=chain_id)


@cheatcode("coinbase(address)")
def _coinbase(context: Context, coinbase: EthAddress) -> None:
    context.require_ethereum("coinbase")
    block = context.machine.context.block
    block = block if isinstance(block, EthereumBlock) else EthereumBlock()
    context.advance(block=replace(block, coinbase=coinbase))


@cheatcode("prevrandao(bytes32)", "prevrandao(uint256)")
def _prevrandao(context: Context, value: bytes | int) -> None:
    context.require_ethereum("randomness that a test chooses")
    context.set_block(prevrandao=value.to_bytes(32, "big") if isinstance(value, int) else value)


@cheatcode("difficulty(uint256)")
def _difficulty(_context: Context, _value: int) -> None:
    raise CheatcodeFailure(
        "`difficulty` is not supported after the Paris hard fork, use `prevrandao` instead; "
        "see EIP-4399: https://eips.ethereum.org/EIPS/eip-4399"
    )


@cheatcode("txGasPrice(uint256)")
def _gas_price(context: Context, price: int) -> None:
    context.require_ethereum("gas price of a transaction")
    context.set_block(gas_price=price)


@cheatcode("blobBaseFee(uint256)")
def _blob_base_fee(context: Context, fee: int) -> None:
    context.require_ethereum("blobs")
    context.set_block(blob_base_fee=fee)


@cheatcode("getBlobBaseFee()", returns="uint256")
def _get_blob_base_fee(context: Context) -> int:
    run, set_fee = context.require_ethereum("blobs"), context.state.block.blob_base_fee
    excess = block_of(context.machine).excess_blob_gas
    return ForkBlobs(run.fork).base_fee(excess) if set_fee is None else set_fee


@cheatcode("blobhashes(bytes32[])")
def _blob_hashes(context: Context, hashes: Sequence[bytes]) -> None:
    context.require_ethereum("blobs")
    context.set_block(blob_hashes=tuple(hashes))


@cheatcode("getBlobhashes()", returns="bytes32[]")
def _get_blob_hashes(context: Context) -> Sequence[bytes]:
    context.require_ethereum("blobs")
    return context.state.block.blob_hashes or ()


def _slot_block(context: Context, cheatcode: str) -> EthereumBlock:
    """Return the block, which has a slot number. Raises CheatcodeFailure."""
    fork, block = context.fork, context.machine.context.block
    if fork is None:
        raise CheatcodeFailure("Filecoin's rules have no slot numbers")
    if not fork.slot_number:
        raise CheatcodeFailure(
            f"`{cheatcode}` is not supported before the Amsterdam hard fork; "
            "see EIP-7843: https://eips.ethereum.org/EIPS/eip-7843"
        )
    assert isinstance(block, EthereumBlock)
    return block


@cheatcode("rollSlot(uint64)")
def _roll_slot(context: Context, number: int) -> None:
    context.advance(block=replace(_slot_block(context, "rollSlot"), slot_number=number))


@cheatcode("getSlotNumber()", returns="uint64")
def _get_slot_number(context: Context) -> int:
    return _slot_block(context, "getSlotNumber").slot_number


@cheatcode("setBlockhash(uint256,bytes32)")
def _set_block_hash(context: Context, number: int, value: bytes) -> None:
    now = context.machine.context.epoch
    if number > now:
        raise CheatcodeFailure("block number must be less than or equal to the current block number")
    context.set_block(hashes={**context.state.block.hashes, number: value})


for _name, _field in (("getBlockNumber", "epoch"), ("getBlockTimestamp", "timestamp"), ("getChainId", "chain_id")):
    cheatcode(f"{_name}()", returns="uint256")(lambda context, field=_field: getattr(context.machine.context, field))


@cheatcode("getEvmVersion()", returns="string")
def _evm_version(context: Context) -> str:
    context.require_ethereum("fork")
    fork = context.fork
    assert fork is not None
    return context.state.evm_version or context.settings.evm_version or fork.name.lower()


@cheatcode("setEvmVersion(string)", partial="only versions with the rules of the current one")
def _set_evm_version(context: Context, version: str) -> None:
    """Set the version that `getEvmVersion` returns. Raises CheatcodeFailure for one with other rules."""
    run, name = context.require_ethereum("fork"), version.strip().lower()
    if name not in EVM_VERSIONS:
        raise CheatcodeFailure(f"invalid evm version {version}")
    if rules_of(name) != run.fork.name:
        raise CheatcodeFailure(
            f"{name} has other rules than {run.fork.name}, and a test has the same from its start: set evm_version in "
            "foundry.toml, or for the test by `forge-config: default.evm_version`"
        )
    context.state.evm_version = name


_CHAINS: Final = """
mainnet=1 morden=2 ropsten=3 rinkeby=4 goerli=5 optimism=10 flare=14 elastos=20 cronos=25 rsk=30 rsk-testnet=31
telos=40 telos-testnet=41 kovan=42 crab=44 darwinia=46 xdc-mainnet=50 xdc-testnet=51 bsc=56 optimism-kovan=69
cfx-testnet=71 sokol=77 viction=88 bsc-testnet=97 poa=99 xdai=100 flare-coston2=114 fuse=122 unichain=130
polygon=137 monad=143 sonic=146 shimmer=148 redbelly=151 redbelly-testnet=153 opbnb-mainnet=204
happychain-testnet=216 lens=232 fantom=250 fraxtal=252 boba=288 zksync-testnet=300 filecoin-mainnet=314
zksync=324 cronos-testnet=338 pulsechain=369 syndr=404 optimism-goerli=420 pgn=424 world=480
acala-mandala-testnet=595 karura-testnet=596 acala-testnet=597 battlechain-testnet=627 karura=686 koi=701
canto-testnet=740 acala=787 mode-sepolia=919 pulsechain-testnet=943 stable-mainnet=988 hyperliquid=999 cfx=1030
metis=1088 core=1116 lisk=1135 moonbeam-dev=1281 moonbeam=1284 moonriver=1285 moonbase=1287
unichain-sepolia=1301 sei-testnet=1328 sei=1329 dev=1337 injective-testnet=1439 vana=1480 story=1514
gravity-alpha-mainnet=1625 injective=1776 soneium=1868 soneium-minato-testnet=1946 ronin=2020
stable-testnet=2201 fraxtal-testnet=2522 abstract=2741 fantom-testnet=4002 merlin=4200 tempo=4217 megaeth=4326
memecore=4352 iotex=4689 world-sepolia=4801 mantle=5000 mantle-sepolia=5003 opbnb-testnet=5611
megaeth-testnet=6343 zeta=7000 canto=7700 kaia=8217 base=8453 evmos-testnet=9000 evmos=9001 plasma=9745
plasma-testnet=9746 monad-testnet=10143 chiado=10200 abstract-testnet=11124 cannon=13370 immutable=13371
immutable-testnet=13473 gravity-alpha-testnet-sepolia=13505 signet-pecorino=14174 sonic-testnet=14601
holesky=17000 fluent-devnet=20993 fluent-testnet=20994 oasis=26863 tempo-devnet=31318 anvil-hardhat=31337
curtis=33111 apechain=33139 mode=34443 lens-testnet=37111 arbitrum=42161 arbitrum-nova=42170 celo=42220
emerald-testnet=42261 emerald=42262 tempo-testnet=42429 tempo-moderato=42431 etherlink=42793 fuji=43113
avalanche=43114 formicarium=43521 insectarium=43522 robinhood-testnet=46630 sophon=50104 superposition=55244
ink=57073 pgn-sepolia=58008 linea-goerli=59140 linea-sepolia=59141 linea=59144 bob=60808 treasure=61166
radius-testnet=72344 amoy=80002 berachain-bepolia=80069 berachain=80094 blast=81457 base-goerli=84531
base-sepolia=84532 plume=98866 plume-testnet=98867 superposition-testnet=98985 etherlink-shadownet=127823
taiko=167000 taiko-hekla=167009 bitlayer=200901 ronin-testnet=202601 filecoin-calibration-testnet=314159
arbitrum-testnet=421611 arbitrum-goerli=421613 arbitrum-sepolia=421614 syndr-sepolia=444444
autonomys-nova-testnet=490000 scroll-sepolia=534351 scroll=534352 hoodi=560048 xai=660279 radius=723487
katana=747474 ink-sepolia=763373 bob-sepolia=808813 odyssey=911867 treasure-topaz=978658 arc-testnet=5042002
zora=7777777 celo-sepolia=11142220 sepolia=11155111 optimism-sepolia=11155420 corn=21000000
corn-testnet=21000001 blast-sepolia=168587773 skale-base-sepolia-testnet=324705682 polkadot-testnet=420420417
kusama=420420418 polkadot=420420419 sophon-testnet=531050104 degen=666666666 zora-sepolia=999999999
skale-base=1187947933 aurora=1313161554 aurora-testnet=1313161555 xai-sepolia=37714555429
"""
_OTHER_NAMES: Final = """
anvil=31337 apechain-testnet=33111 avalanche-fuji=43113 berachain-bepolia-testnet=80069 binance-smart-chain=56
binance-smart-chain-testnet=97 bnb-smart-chain=56 bnb-smart-chain-testnet=97 ethlive=1 gnosis=100
gnosis-chain=100 hardhat=31337 memecore-formicarium=43521 memecore-insectarium=43522 polygon-amoy=80002
tempo-mainnet=4217 treasure-topaz-testnet=978658
"""
_BY_NAME: Final = {name: int(number) for name, _, number in (row.partition("=") for row in _CHAINS.split())}
_NAMES: Final = {number: name for name, number in _BY_NAME.items()}
_BY_NAME.update((name, int(number)) for name, _, number in (row.partition("=") for row in _OTHER_NAMES.split()))
_CHAIN: Final = "(string,uint256,string,string)"


@cheatcode("getChain(string)", "getChain(uint256)", returns=_CHAIN)
def _chain(context: Context, of: str | int) -> tuple[str, int, str, str]:
    alias = str(of)
    number = int(alias) if alias.isascii() and alias.isdecimal() and len(alias) < 20 else _BY_NAME.get(alias)
    name = None if number is None else _NAMES.get(number)
    if number is None or name is None:
        raise CheatcodeFailure(f"invalid chain alias: {alias}")
    if name not in context.settings.rpc_endpoints:
        return name, number, alias, ""
    context.note_input("environment variables")
    try:  # as in forge, the chain's own name then replaces the given one
        return name, number, name, endpoint_url(name, context.settings.rpc_endpoints, context.settings.environment)
    except InvalidInput:
        return name, number, alias, ""  # an environment variable is missing
