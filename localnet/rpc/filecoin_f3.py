"""The power table by expected consensus, from which fast finality (F3) takes its participants.

It follows from the state, so it is available without F3, as in Forest. The other methods of F3 are refused
(`localnet.rpc.refused`). Rules and shape: Forest `rpc/methods/f3.rs`, `GetPowerTable`.
"""

from __future__ import annotations

from typing import Any, Final

from hypervisor.integers import decode_bigint
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address, Protocol
from localnet.rpc.actor_states import read_linked, state_fields
from localnet.rpc.errors import LOTUS_ERROR, RpcError
from localnet.rpc.filecoin.state import machine_at, state_account_key
from localnet.rpc.filecoin_miners import miner_of, power_claims
from localnet.rpc.lotus_shapes import bytes_json
from localnet.rpc.lotus_values import HEAD, TipsetKey, found_tipset, tipset
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import NodeReader


def ec_power_table(node: NodeReader, key: TipsetKey = HEAD) -> list[dict[str, Any]]:
    """Return the miners that may take part in consensus: ID, quality-adjusted power in bytes, key of the worker.

    Descending by power. They have the minimum power, no debts, and no recent consensus fault. Available without F3.
    """
    machine = machine_at(node, key)
    height = found_tipset(node.network, key).height
    found = [
        (power, miner.actor_id() or 0, worker)
        for miner, _, power in power_claims(machine)
        if power > 0 and (worker := _eligible_worker(machine, miner, height)) is not None
    ]
    found.sort(key=lambda entry: (-entry[0], entry[1]))
    return [
        {"ID": miner, "Power": str(power), "PubKey": bytes_json(_public_key(node, worker, key))}
        for power, miner, worker in found
    ]


def _eligible_worker(machine: Hypervisor, miner: Address, height: int) -> Address | None:
    """Return a miner's worker; None if the miner has debts or a recent consensus fault."""
    actor = miner_of(machine, miner)
    state = state_fields(machine, actor)
    info = read_linked(machine, actor, "MinerInfo", state["info"])
    if decode_bigint(state["fee_debt"]) or height <= info["consensus_fault_elapsed"]:
        return None
    return Address.from_bytes(info["worker"])


def _public_key(node: NodeReader, worker: Address, key: TipsetKey) -> bytes:
    address = Address.parse(state_account_key(node, worker, key))
    if address.protocol is not Protocol.BLS:
        raise RpcError(LOTUS_ERROR, f"the worker {worker} has no BLS key")
    return address.payload


METHODS: Final = (Method("Filecoin.F3GetECPowerTable", (optional(tipset),), ec_power_table, reads=True),)
