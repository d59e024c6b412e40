"""The EVM actor: its methods, their allowed callers, parameters and return values; and the base of contract runtimes.

Method numbers, caller rules, parameter encodings and exit codes are those of the official EVM actor (builtin-actors
actors/evm/src/lib.rs). A method function takes the invocation and returns the ID of the block to return. Contracts of
other runtimes (`ContractRuntime`) have the same methods and state, but are created from installed code.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import ClassVar, Final, cast

from bridge.ethereum.addresses import EthAddress, unmask_id
from bridge.evm_steps import CodeDeployed, EvmFrame
from bridge.filecoin.cbor import ParamsError, byte_string
from bridge.filecoin.evm_state import EvmState
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import (
    CREATE2_METHOD,
    CREATE_METHOD,
    FIRST_CALLABLE_METHOD,
    AbiError,
    ConstructorParams,
    Create2Params,
    CreateParams,
    CreateReturn,
    DelegateCallParams,
    calldata_of,
    decode_method_return,
    encode_method_calldata,
    storage_key,
    storage_value,
)
from hypervisor.errors import ActorExit, SyscallError
from hypervisor.exit_codes import FIRST_USER_EXIT_CODE, ExitCode
from hypervisor.kernel import Kernel
from hypervisor.kernel.blocks import Block
from hypervisor.kernel.call import CONTRACT_TRAITS, CodeTraits
from hypervisor.machine.machine_state import MachineState
from hypervisor.machine.registry import (
    NATIVE,
    InstallServices,
    Outcome,
    RuntimeServices,
    creation_failure,
    runtime_of_code,
)
from hypervisor.messages.address import Address
from hypervisor.precompiles import PrecompileTable
from hypervisor.types import (
    EAM_ACTOR,
    INIT_ACTOR,
    NO_BLOCK,
    SYSTEM_ACTOR,
    ActorID,
    BlockId,
    MethodNumber,
    TokenAmount,
)
from hypervisor.versions.overlay import Overlay
from runtimes.evm.contracts.calls import execute_call, return_data
from runtimes.evm.contracts.code import EMPTY_CODE_HASH, Code, CodeCache
from runtimes.evm.contracts.contract import EvmContract
from runtimes.evm.contracts.engine import (
    CallInputs,
    CreateInputs,
    Engine,
    Frame,
    FrameOutcome,
    Status,
    SubcallOutcome,
)
from runtimes.evm.contracts.host import FilecoinHost
from runtimes.evm.contracts.rules import EvmRules, filecoin_evm_rules, rules_with
from runtimes.evm.contracts.syscalls import Syscalls, gas_limit, hold
from store.cid import CBOR, DAG_CBOR, RAW, Cid, cid_of
from store.codec import encode, link


@dataclass(slots=True, unsafe_hash=True)
class EvmInvocation:
    """One invocation of the actor; `actor_code` is the CID of its code, which is not a contract's bytecode."""

    syscalls: Final[Syscalls]
    rules: Final[EvmRules]
    runtime: Final["ContractRuntime"]
    actor_code: Final[Cid]
    params: Final[Block | None]

    @property
    def kernel(self) -> Kernel:
        """The kernel, for unpriced data such as the invocation's context."""
        return self.syscalls.kernel

    @property
    def runs_formats(self) -> bool:
        """True if the network creates contracts from code of other formats (`hypervisor.versions.features`)."""
        return self.kernel.machine.context.network.rules.creates_by_format

    def contract(self) -> EvmContract:
        """Load the contract to run it; exit 23 if its state is invalid."""
        try:
            return EvmContract(self.syscalls, self.rules, self.syscalls.root())
        except ActorExit as error:
            raise ActorExit(ExitCode.USR_UNSPECIFIED, message=error.message) from None

    def state(self) -> EvmState | None:
        """Load the contract's state to inspect it, None for a dead contract; exit 16 if the state is invalid."""
        try:
            return EvmContract.state(self.syscalls, self.rules)
        except ActorExit as error:
            raise ActorExit(ExitCode.USR_ILLEGAL_ARGUMENT, message=error.message) from None

    def code(self, cid: Cid) -> bytes:
        """Read bytecode from a block; exit 17 if it cannot be opened."""
        try:
            return self.syscalls.open(cid)
        except SyscallError as error:
            raise ActorExit(ExitCode.USR_NOT_FOUND, message=f"bytecode: {error}") from None

    def data(self) -> bytes:
        """Return the parameters' bytes; exit 16 if there are none."""
        if self.params is None:
            raise ActorExit(ExitCode.USR_ILLEGAL_ARGUMENT, message="the method needs parameters")
        return self.params.data

    def require_no_params(self) -> None:
        """Exit 16 if there are parameters and the rules forbid them."""
        if self.params is not None and not self.rules.getters_ignore_params:
            raise ActorExit(ExitCode.USR_ILLEGAL_ARGUMENT, message="the method does not take parameters")

    def require_caller(self, actor: ActorID) -> None:
        """Exit 18 unless `actor` is the caller."""
        if self.kernel.context.caller != actor:
            raise ActorExit(ExitCode.USR_FORBIDDEN, message=f"only f0{actor} may call this method")

    def address(self) -> EthAddress:
        """Return the Ethereum address of the contract, or of the account for which it runs code."""
        kernel = self.syscalls.kernel
        lent = kernel.calls.lent_code
        if lent is not None and lent.account_frame is not None and lent.account_frame[0] == kernel.calls.depth:
            return EthAddress(lent.account_frame[1])
        return self.syscalls.eth_address(kernel.context.receiver)


def invoke_method(invocation: EvmInvocation) -> BlockId:
    """Dispatch by method number. Raises ActorExit for everything but success."""
    number = invocation.syscalls.kernel.context.method
    method = invocation.runtime.methods.get(number)
    try:
        if method is not None:
            return method(invocation)
        if number >= FIRST_CALLABLE_METHOD:
            return _handle_filecoin_method(invocation)
    except ParamsError as unread:
        raise ActorExit(ExitCode.USR_SERIALIZATION, message=str(unread)) from None
    except SyscallError as error:
        # the official actor panics here: a block too large, a state that cannot be linked
        raise ActorExit(ExitCode.USR_ASSERTION_FAILED, message=str(error)) from None
    raise ActorExit(ExitCode.USR_UNHANDLED_MESSAGE, message=f"the EVM actor has no method {number}")


# --- construction ---------------------------------------------------------------------------------------------------


def _constructor(invocation: EvmInvocation) -> BlockId:
    params = ConstructorParams.decode(invocation.data())
    invocation.require_caller(INIT_ACTOR)
    return _initialize(invocation, EvmContract.create(invocation.syscalls, invocation.rules), params)


def _resurrect(invocation: EvmInvocation) -> BlockId:
    params = ConstructorParams.decode(invocation.data())
    invocation.require_caller(EAM_ACTOR)
    return _initialize(invocation, EvmContract.resurrect(invocation.syscalls, invocation.rules), params)


def _initialize(invocation: EvmInvocation, contract: EvmContract, params: ConstructorParams) -> BlockId:
    """Run init code; its return value becomes the contract's code."""
    address = invocation.address()
    if unmask_id(address) is not None:
        raise ActorExit(ExitCode.USR_FORBIDDEN, message="a contract needs its own Ethereum address")
    if params.init_code:
        value, runtime = invocation.kernel.context.value, invocation.runtime
        if invocation.runs_formats:
            runtime = _runtime_of(invocation, cid_of(params.init_code, RAW), params.init_code)
        deployed = _run(invocation, contract, Code(params.init_code), b"", params.creator, value, runtime, True)
        if not deployed and runtime is not invocation.runtime:
            deployed = params.init_code
        contract.set_bytecode(deployed, runtime.max_code_size)
        tracer = invocation.kernel.tracer
        if tracer is not None:
            tracer.event(CodeDeployed(deployed))
    contract.flush()
    return NO_BLOCK


def _construct_installed(invocation: EvmInvocation) -> BlockId:
    """Create a contract from the actor's installed code, which runs with the parameters as calldata."""
    invocation.require_caller(INIT_ACTOR)
    contract, kernel = EvmContract.create(invocation.syscalls, invocation.rules), invocation.kernel
    code = kernel.load_code(invocation.actor_code)
    contract.put_bytecode(code)
    caller = invocation.syscalls.eth_address(kernel.context.caller)
    analysed = invocation.runtime.codes.get(invocation.actor_code, code)
    deployed = _run(invocation, contract, analysed, _calldata(invocation), caller, kernel.context.value, None, True)
    if deployed not in (b"", code):
        contract.put_bytecode(deployed)
    contract.flush()
    return NO_BLOCK


# --- calls ----------------------------------------------------------------------------------------------------------


def _invoke_contract(invocation: EvmInvocation) -> BlockId:
    return _return_bytes(invocation, _invoke(invocation, _calldata(invocation)))


def _calldata(invocation: EvmInvocation) -> bytes:
    params = invocation.params
    return b"" if params is None else calldata_of(params.codec, params.data)


def _invoke_contract_delegate(invocation: EvmInvocation) -> BlockId:
    """Run another contract's code in this contract's context; only the contract itself may call this."""
    data, codec = invocation.data(), invocation.params.codec if invocation.params else 0
    if codec != DAG_CBOR and not invocation.rules.delegate_any_cbor:
        raise ActorExit(ExitCode.USR_ILLEGAL_ARGUMENT, message="the method needs parameters in DAG-CBOR")
    if codec not in (CBOR, DAG_CBOR):
        raise ParamsError(f"parameters of codec 0x{codec:x} are not CBOR")
    params = DelegateCallParams.decode(data)
    invocation.require_caller(invocation.kernel.context.receiver)
    contract = invocation.contract()
    code = invocation.code(params.code)
    runtime = _runtime_of(invocation, params.code, code)
    analysed = runtime.codes.get(params.code, code)
    output = _run(invocation, contract, analysed, params.calldata, params.caller, params.value, runtime)
    contract.flush()
    return _return_bytes(invocation, output)


def _runtime_of(invocation: EvmInvocation, bytecode: Cid, code: bytes) -> "ContractRuntime":
    """Return the runtime of another contract's code; exit 16 if contracts cannot run code of this format.

    Code that was not installed is EVM bytecode, whatever it begins with, unless the network runs formats.
    """
    machine = cast(MachineState, invocation.kernel.machine)
    is_other = runtime_of_code(code) != NATIVE and (invocation.runs_formats or machine.has_installed(bytecode))
    owner = bytecode if is_other else machine.manifest.code("evm")
    name, other = machine.registry.runtime_for(owner, lambda _: code)
    if not isinstance(other, ContractRuntime):
        raise ActorExit(ExitCode.USR_ILLEGAL_ARGUMENT, message=f"a contract cannot run code of the runtime '{name}'")
    return other


def _handle_filecoin_method(invocation: EvmInvocation) -> BlockId:
    """Forward a method number of 1024 or more to the contract's handle_filecoin_method."""
    params = invocation.params
    codec, data = (0, b"") if params is None else (params.codec, params.data)
    output = _invoke(invocation, encode_method_calldata(invocation.kernel.context.method, codec, data))
    try:
        exit_code, answer = decode_method_return(output, partial(hold, invocation.syscalls, invocation.rules))
    except AbiError as error:
        raise ActorExit(ExitCode.USR_SERIALIZATION, message=f"the contract's return data: {error}") from None
    block = NO_BLOCK if answer is None else invocation.syscalls.create(CBOR, answer)
    if exit_code == ExitCode.OK:
        return block
    if exit_code < FIRST_USER_EXIT_CODE:
        exit_code = ExitCode.SYS_ILLEGAL_EXIT_CODE  # lower codes are reserved for the system; the block is returned
    raise ActorExit(exit_code, block, "exit of handle_filecoin_method")


def _invoke(invocation: EvmInvocation, calldata: bytes) -> bytes:
    """Call the contract's own code; a dead or empty contract keeps the value and returns nothing."""
    contract = invocation.contract()
    if contract.bytecode is None:
        return b""
    code = invocation.code(contract.bytecode)
    if not code:
        return b""
    context = invocation.syscalls.kernel.context
    caller = invocation.syscalls.eth_address(context.caller)
    analysed = invocation.runtime.codes.get(contract.bytecode, code)
    runtime = _runtime_of(invocation, contract.bytecode, code) if invocation.runs_formats else None
    output = _run(invocation, contract, analysed, calldata, caller, context.value, runtime)
    contract.flush()
    return output


def _run(
    invocation: EvmInvocation,
    contract: EvmContract,
    code: Code,
    calldata: bytes,
    caller: EthAddress,
    value: TokenAmount,
    runtime: "ContractRuntime | None" = None,
    constructs: bool = False,
) -> bytes:
    """Run a frame and return its data, or raise ActorExit; a revert carries its data."""
    kernel, runtime = invocation.syscalls.kernel, runtime or invocation.runtime
    kernel.gas.charge("OnEvmCode", runtime.code_price(invocation.rules, code))
    frame = Frame(
        rules=invocation.rules,
        code=code,
        calldata=calldata,
        caller=caller,
        address=invocation.address(),
        value=value,
        static=kernel.context.read_only,
    )
    tracer = kernel.tracer
    if tracer is not None:
        tracer.event(EvmFrame(frame.address, code.data))
    host = FilecoinHost(invocation.syscalls, contract, invocation.rules, caller, value)
    engine = runtime.engine(invocation.rules, constructs=constructs)
    outcome = execute(engine, frame, host)
    if outcome.status is Status.SUCCESS:
        host.hold(len(outcome.data), copies=2)
        return outcome.data
    if outcome.status is Status.REVERT:
        host.hold(len(outcome.data), copies=1)
        data = _return_bytes(invocation, outcome.data)
        raise ActorExit(ExitCode.EVM_CONTRACT_REVERTED, data, "contract reverted", is_plain=True)
    reason = creation_failure(code.data) if constructs and runtime.methods is EVM_METHODS else ""
    raise ActorExit(outcome.status, message=reason or outcome.status.name, is_plain=not reason)


# --- queries --------------------------------------------------------------------------------------------------------


def _get_bytecode(invocation: EvmInvocation) -> BlockId:
    invocation.require_no_params()
    state, codec = invocation.state(), invocation.rules.bytecode_codec
    return invocation.syscalls.create(codec, encode(None if state is None else link(state.bytecode)))


def _get_bytecode_hash(invocation: EvmInvocation) -> BlockId:
    invocation.require_no_params()
    state = invocation.state()
    return _return_bytes(invocation, EMPTY_CODE_HASH if state is None else state.bytecode_hash)


def _get_storage_at(invocation: EvmInvocation) -> BlockId:
    key = storage_key(invocation.data())
    invocation.require_caller(SYSTEM_ACTOR)
    slots = EvmContract(invocation.syscalls, invocation.rules, invocation.syscalls.root()).storage
    try:
        value = slots.get(key)
    except ActorExit as error:
        raise ActorExit(ExitCode.USR_ASSERTION_FAILED, message=error.message) from None
    return invocation.syscalls.create(CBOR, storage_value(value))


def _return_bytes(invocation: EvmInvocation, data: bytes) -> BlockId:
    return invocation.syscalls.create(CBOR, byte_string(data))


Methods = Mapping[int, Callable[[EvmInvocation], BlockId]]
"""The functions of an actor's methods below 1024, and of InvokeEVM, by number."""
_INSTALLED_METHODS: Final[Methods] = MappingProxyType({
    1: _construct_installed, 3: _get_bytecode, 4: _get_bytecode_hash, 5: _get_storage_at,
    6: _invoke_contract_delegate, int(INVOKE_EVM): _invoke_contract,
})  # fmt: skip
EVM_METHODS: Final[Methods] = MappingProxyType({**_INSTALLED_METHODS, 1: _constructor, 2: _resurrect})


def execute_create(host: FilecoinHost, inputs: CreateInputs) -> SubcallOutcome:
    """Create a contract. Both opcodes increment the nonce, even if the creation fails."""
    size = len(inputs.init_code)
    host.hold(size, copies=1)
    host.hold(size, copies=3, failure=ExitCode.USR_SERIALIZATION)  # encoding the parameters
    nonce = host.contract.next_nonce()
    if inputs.salt is None:
        method, params = CREATE_METHOD, CreateParams(inputs.init_code, nonce).encode()
    else:
        method, params = CREATE2_METHOD, Create2Params(inputs.init_code, inputs.salt.to_bytes(32, "big")).encode()
    limit = gas_limit(host, (1 << 64) - 1)
    try:
        block = host.syscalls.create(CBOR, params)
        result = host.contract.send(
            Address.id(EAM_ACTOR), MethodNumber(method), block, TokenAmount(inputs.value), limit
        )
    except SyscallError:
        return SubcallOutcome(False)
    if result.exit_code != ExitCode.OK:
        return SubcallOutcome(False, return_data(host, result))
    try:
        created = CreateReturn.decode(host.syscalls.read(result.block_id, result.size))
    except ParamsError as error:
        raise ActorExit(ExitCode.USR_SERIALIZATION, message=f"the address manager's return data: {error}") from None
    return SubcallOutcome(True, created=created.eth_address)


def execute(engine: Engine, frame: Frame, host: FilecoinHost) -> FrameOutcome:
    """Start the frame and execute its calls until it ends."""
    step = engine.start(frame, host)
    while not isinstance(step, FrameOutcome):
        outcome = execute_call(host, step) if isinstance(step, CallInputs) else execute_create(host, step)
        step = engine.resume(outcome)
    return step


class ContractRuntime(ABC):
    """The base of runtimes whose actors are contracts; a subclass gives the engine that runs a frame.

    State, methods, calls, events and precompiles are those of the EVM actor, at its prices. A contract is created from
    installed code. A subclass states its format by `traits`, as `replace(CONTRACT_TRAITS, magic=...)`.
    """

    traits: ClassVar[CodeTraits] = CONTRACT_TRAITS
    methods: ClassVar[Methods] = _INSTALLED_METHODS
    max_code_size: ClassVar[int | None] = None
    """Maximum size in bytes of code that a creation deploys; None for the network's limit for bytecode."""

    def __init__(self, services: RuntimeServices) -> None:
        self.codes = CodeCache()
        self._rules: dict[tuple[int, Overlay | None, PrecompileTable | None], EvmRules] = {}

    @abstractmethod
    def engine(self, rules: EvmRules, *, constructs: bool) -> Engine:
        """Return an engine for one frame; with `constructs`, the code runs for the constructor of a contract.

        Its data is then the contract's code, as that of init code; without data, installed code stays as it is.
        """

    def code_price(self, rules: EvmRules, code: Code) -> int:
        """Return the price of preparing code for a frame, in milligas: by default per instruction of EVM bytecode."""
        return code.instructions * rules.analysis_price

    def invoke(self, kernel: Kernel, code: Cid, params: BlockId) -> Outcome:
        """Run a method of a contract; OutOfGas, Fatal and LongExecution propagate."""
        rules = self._rules_of(kernel)
        syscalls = Syscalls(kernel, rules.gas_rate)
        kernel.gas.charge("OnEvmFrame", rules.frame_price)
        if not kernel.memory.grow(0, rules.first_memory):
            return Outcome(ExitCode.SYS_ILLEGAL_INSTRUCTION, message="no memory is left for the actor's frame")
        try:
            block = syscalls.params(params)
            outcome = Outcome(ExitCode.OK, invoke_method(EvmInvocation(syscalls, rules, self, code, block)))
        except ActorExit as error:
            syscalls.leave()
            outcome = Outcome(error.code, BlockId(error.block), error.message, error.is_plain)
        syscalls.gas.settle()
        return outcome

    def upgrade(self, kernel: Kernel, code: Cid, params: BlockId, info: BlockId) -> Outcome:
        """Exit 5: the EVM actor's module does not export `upgrade`."""
        return Outcome(ExitCode.SYS_INVALID_RECEIVER, message="contracts have no `upgrade`")

    def prepare(
        self,
        modules: Mapping[Cid, bytes],
        features: Collection[str] | None = None,
        services: InstallServices | None = None,
    ) -> None:
        """Accept all code; a subclass validates it and raises InvalidModule."""
        return

    def _rules_of(self, kernel: Kernel) -> EvmRules:
        context = kernel.machine.context
        network, own = context.network, context.precompiles
        key = network.number, network.overlay, own
        rules = self._rules.get(key)
        if rules is None:
            rules = self._rules[key] = filecoin_evm_rules(network) if own is None else rules_with(network, own)
        return rules
