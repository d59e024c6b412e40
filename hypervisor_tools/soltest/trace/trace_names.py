"""Names of addresses, contracts and native actors in traces and stacks.

In traces an address has its label (`vm.label`), otherwise the contract that a traced call created there, as in forge;
stacks identify a contract by its code. Native actors' methods are named by the actors' schemas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from bridge.abi.abi import AbiMismatch, ContractInterface
from bridge.ethereum.addresses import EthAddress, checksummed, unmask_id
from hypervisor.bundles.manifest import Manifest
from hypervisor.exit_codes import ExitCode
from hypervisor.machine.machine import Hypervisor
from hypervisor.precompiles import Precompile, PrecompileTable
from hypervisor.text import printable
from hypervisor.tracing import CallNode, walk
from hypervisor_tools.soltest.cheatcodes.failures import revert_text
from hypervisor_tools.soltest.cheatcodes.state import DEFAULT_SENDER
from hypervisor_tools.soltest.trace.frames import address_of, borrowed_code, creates, is_delegated, is_native, target_of
from hypervisor_tools.soltest.trace.identities import CallSignature, CreationMatcher, Identities, Signatures
from hypervisor_tools.soltest.trace.known_code import KnownCode, KnownContract
from hypervisor_tools.soltest.value_text import arguments_text
from localnet.traces.console_log import CONSOLE
from localnet.traces.trace import schema_of_call
from localnet.traces.trace_report import CallText, describe, schemas_of
from store.cid import show
from store.keccak import keccak

VM: Final = EthAddress(bytes(keccak(b"hevm cheat code"))[12:])
CREATE2_DEPLOYER: Final = EthAddress(bytes.fromhex("4e59b44847b379578588920ca78fbf26c0b4956c"))
MAX_LENGTH: Final = 1 << 16
"""Maximum number of characters of a revert reason or a native actor's message."""
PRECOMPILES: Final = {
    1: "ecrecover", 2: "sha256", 3: "ripemd", 4: "identity", 5: "modexp", 6: "ecadd", 7: "ecmul", 8: "ecpairing",
    9: "blake2f", 10: "pointEvaluation", 11: "bls12G1Add", 12: "bls12G1Msm", 13: "bls12G2Add", 14: "bls12G2Msm",
    15: "bls12PairingCheck", 16: "bls12MapFpToG1", 17: "bls12MapFp2ToG2", 256: "p256Verify",
}  # fmt: skip
"""Function names of Ethereum's precompiles by address."""
_PRECOMPILE_LABELS: Final = {
    1: "ECRecover", 2: "SHA-256", 3: "RIPEMD-160", 4: "Identity", 5: "ModExp", 6: "ECAdd", 7: "ECMul", 8: "ECPairing",
    9: "Blake2F", 10: "PointEvaluation", 11: "BLS12_G1ADD", 12: "BLS12_G1MSM", 13: "BLS12_G2ADD", 14: "BLS12_G2MSM",
    15: "BLS12_PAIRING_CHECK", 16: "BLS12_MAP_FP_TO_G1", 17: "BLS12_MAP_FP2_TO_G2", 256: "P256VERIFY",
}  # fmt: skip
_LABELS: Final = {
    VM: "VM", CONSOLE: "console", CREATE2_DEPLOYER: "Create2Deployer", DEFAULT_SENDER: "DefaultSender",
    **{EthAddress(number.to_bytes(20, "big")): label for number, label in _PRECOMPILE_LABELS.items()},
}  # fmt: skip


@dataclass
class Names:
    """The names that traces use. `labels` are those of `vm.label`; `cheatcodes` is the interface at VM."""

    known: KnownCode
    manifest: Manifest
    cheatcodes: ContractInterface
    labels: Mapping[EthAddress, str] = field(default_factory=dict)
    precompiles: PrecompileTable | None = None
    """Custom precompiles."""
    machine: Hypervisor | None = None
    """Machine with the schemas of users' native actors; None if there are none."""
    by_ir: bool = False
    """True if the code was compiled via IR."""
    verbosity: int = 0
    by_code: bool = False
    """True if contracts not created by a traced call, such as those of a fork, are named by their code."""

    @cached_property
    def signatures(self) -> Signatures:
        """The functions, events and errors of the project and of forge."""
        return Signatures(self.known, self.cheatcodes)

    @cached_property
    def matcher(self) -> CreationMatcher:
        """Finder of the project's contracts by creation code."""
        return CreationMatcher(self.known)

    @cached_property
    def identities(self) -> Identities:
        """Contracts that traced calls created."""
        return Identities(self.matcher)

    def learn(self, roots: Sequence[CallNode]) -> None:
        """Identify the contracts created in call trees."""
        self.identities.add_all(roots)
        if self.by_code:
            for frame in walk(roots):
                self.identities.add_code(frame, self.known.of(frame))

    def contract(self, frame: CallNode) -> KnownContract | None:
        """Return the contract at the address whose code ran, or by its code if the rules do not trace that address."""
        is_unplaced = is_delegated(frame) and borrowed_code(frame) is None
        return self.known.of(frame) if is_unplaced else self.identities.get(target_of(frame))

    def signature(self, frame: CallNode) -> CallSignature:
        """Return the function that a frame calls."""
        return CallSignature(self.signatures, frame, self.contract(frame))

    def label(self, address: EthAddress) -> str | None:
        """Return the label of an address; None if it has none."""
        label = self.labels.get(address) or _LABELS.get(address)
        if label is not None:
            return label
        contract = self.identities.get(address)
        return None if contract is None else contract.name

    def address(self, address: EthAddress) -> str:
        """Return an address as an argument: `Vault: [0x...]`, or without a name."""
        name = self.label(address)
        return f"{name}: [{checksummed(address)}]" if name else checksummed(address)

    def callee(self, frame: CallNode) -> str:
        """Return the name of the executed code's owner in traces."""
        if is_precompile(target_of(frame)) or self.precompile(frame) is not None:
            return "PRECOMPILES"
        if is_delegated(frame) and borrowed_code(frame) is None:
            contract = self.known.of(frame)
            return checksummed(address_of(frame)) if contract is None else contract.name
        native = None if is_delegated(frame) else self._native(frame)
        target = target_of(frame)
        return self.labels.get(target) or native or self.label(target) or checksummed(target)

    def code_name(self, frame: CallNode) -> str:
        """Return the name of the executed code's owner in stacks: by label, then by code."""
        contract = None if address_of(frame) in self.labels else self.known.of(frame)
        return self.callee(frame) if contract is None else contract.name

    def _native(self, frame: CallNode) -> str | None:
        actor = unmask_id(address_of(frame))
        if actor is None and not is_native(frame):
            return None
        return f"f0{frame.actor if actor is None else actor} {self.actor(frame)}".rstrip()

    def precompile(self, frame: CallNode) -> Precompile | None:
        """Return the custom precompile that was called; None for other calls."""
        if self.precompiles is None or creates(frame) or is_delegated(frame):
            return None
        return self.precompiles.by_address.get(address_of(frame))

    def actor(self, frame: CallNode) -> str:
        """Return the name of the built-in actor that was called, `actor` for a custom one."""
        if frame.code is None:
            return ""
        return self.manifest.name_of(frame.code) or "actor"

    def method(self, frame: CallNode) -> str:
        """Return the name of a native call's method."""
        return self.native_text(frame).function

    def native_text(self, frame: CallNode) -> CallText:
        """Return the texts of a native call, decoded by the schema of the actor."""
        schemas: dict[str, str] = {}
        fields = {} if self.machine is None else schema_of_call(self.machine, frame, schemas)
        call = self._native_call(frame) | fields
        return describe(call, [], schemas_of([{"schemas": schemas}]))

    def _native_call(self, frame: CallNode) -> dict[str, Any]:
        """Return a native call as `localnet.traces.trace_report` reads it."""
        start, end = frame.start, frame.end
        traits = None if self.machine is None or frame.code is None else self.machine.traits(frame.code)
        return {
            "actor": self.actor(frame),
            "abi": traits is not None and traits.speaks_abi,
            "code": None if frame.code is None else show(frame.code),
            "method": start.method,
            "params": f"0x{start.params.hex()}",
            "paramsCodec": start.params_codec,
            "return": f"0x{end.return_data.hex()}" if end else "0x",
            "exitCode": end.exit_code if end else ExitCode.SYS_ASSERTION_FAILED,
            "error": end.error if end else "FATAL",
            "words": end.message if end else "",
            "address": None,
            "events": [],
        }

    def revert(self, data: bytes) -> str:
        """Return revert data as text; custom errors are decoded by the interfaces that declare them."""

        def known(data: bytes) -> str | None:
            found = self.signatures.error(data)
            return None if found is None else f"{found[0]['name']}({arguments_text(found[0]['inputs'], found[1])})"

        return printable(revert_text(data, known), MAX_LENGTH)

    def cheatcode(self, data: bytes) -> tuple[Mapping[str, Any], tuple[Any, ...]] | None:
        """Return the ABI entry and the arguments of a cheatcode call; None if the cheatcode is unknown."""
        try:
            return self.cheatcodes.read_call(data)
        except AbiMismatch:
            return None


def is_precompile(address: EthAddress) -> bool:
    """Return True for the address of one of Ethereum's precompiles."""
    return int.from_bytes(address, "big") in PRECOMPILES
