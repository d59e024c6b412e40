"""Cheatcodes about the block and the transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.block import EthereumBlock
from fvm_hypervisor.soltest.cheatcodes.context import Context
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.table import cheatcode
from fvm_hypervisor.soltest.evm_versions import EVM_VERSIONS, rules_of
from hypervisor.types import ChainEpoch, TokenAmount
from runtimes.evm.ethereum import fork_named, fork_with

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
    context.advance(base_fee=TokenAmount(base_fee))


@cheatcode("chainId(uint256)")
def _chain_id(context: Context, chain_id: int) -> None:
    if chain_id >= _U64:
        raise CheatcodeFailure("chain ID must be less than 2^64")
    context.advance(chain_id=chain_id)


@cheatcode("coinbase(address)")
def _coinbase(context: Context, coinbase: EthAddress) -> None:
    context.ethereum("coinbase")
    block = context.machine.context.block
    block = block if isinstance(block, EthereumBlock) else EthereumBlock()
    context.advance(block=replace(block, coinbase=coinbase))


@cheatcode("prevrandao(uint256)")
def _prevrandao_number(context: Context, value: int) -> None:
    _prevrandao(context, value.to_bytes(32, "big"))


@cheatcode("prevrandao(bytes32)")
def _prevrandao(context: Context, value: bytes) -> None:
    context.ethereum("randomness that a test chooses")
    context.set_block(prevrandao=value)


@cheatcode("difficulty(uint256)")
def _difficulty(_context: Context, _value: int) -> None:
    raise CheatcodeFailure(
        "`difficulty` is not supported after the Paris hard fork, use `prevrandao` instead; "
        "see EIP-4399: https://eips.ethereum.org/EIPS/eip-4399"
    )


@cheatcode("txGasPrice(uint256)")
def _gas_price(context: Context, price: int) -> None:
    context.ethereum("gas price of a transaction")
    context.set_block(gas_price=price)


@cheatcode("blobBaseFee(uint256)")
def _blob_base_fee(context: Context, fee: int) -> None:
    context.ethereum("blobs")
    context.set_block(blob_base_fee=fee)


@cheatcode("getBlobBaseFee()", returns="uint256")
def _get_blob_base_fee(context: Context) -> int:
    return context.ethereum("blobs").environment.blob_base_fee


@cheatcode("blobhashes(bytes32[])")
def _blob_hashes(context: Context, hashes: Sequence[bytes]) -> None:
    context.ethereum("blobs")
    context.set_block(blob_hashes=tuple(hashes))


@cheatcode("getBlobhashes()", returns="bytes32[]")
def _get_blob_hashes(context: Context) -> Sequence[bytes]:
    return context.ethereum("blobs").environment.blob_hashes


@cheatcode("setBlockhash(uint256,bytes32)")
def _set_block_hash(context: Context, number: int, value: bytes) -> None:
    now = context.machine.context.epoch
    if number > now:
        raise CheatcodeFailure("block number must be less than or equal to the current block number")
    context.set_block(hashes={**context.state.block.hashes, number: value})


@cheatcode("getBlockNumber()", returns="uint256")
def _get_number(context: Context) -> int:
    return context.machine.context.epoch


@cheatcode("getBlockTimestamp()", returns="uint256")
def _get_timestamp(context: Context) -> int:
    return context.machine.context.timestamp


@cheatcode("getChainId()", returns="uint256")
def _get_chain_id(context: Context) -> int:
    return context.machine.context.chain_id


@cheatcode("getEvmVersion()", returns="string")
def _evm_version(context: Context) -> str:
    fork = context.ethereum("fork").environment.fork
    return context.state.evm_version or context.settings.evm_version or fork.name.lower()


@cheatcode("setEvmVersion(string)", partial="code for forks before Prague runs by Prague's rules")
def _set_evm_version(context: Context, version: str) -> None:
    """Set the version of later calls; running frames keep theirs."""
    calls = context.ethereum("fork")
    name = version.strip().lower()
    if name not in EVM_VERSIONS:
        raise CheatcodeFailure(f"invalid evm version {version}")
    fork = fork_named(rules_of(name))
    block = context.machine.context.block
    if isinstance(block, EthereumBlock):
        context.machine.advance(block=replace(block, fork=fork.name))
    calls.set_fork(fork_with(fork.name, context.machine.context.precompiles))
    context.state.evm_version = name
