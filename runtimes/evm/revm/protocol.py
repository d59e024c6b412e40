"""Numbers and layouts of the messages to the guest with revm.

`make protocol` writes this module from `runtimes/evm/guests/revm/protocol.toml`, which describes the messages.
"""

# ruff: noqa: UP014
# fmt: off
from typing import Final, NamedTuple

from bridge.ethereum.addresses import EthAddress
from runtimes.evm.revm.layout import Layout

NO_LIMIT: Final = 4294967295
SAME_LOGS: Final = 4294967295
NO_COST: Final = -9223372036854775808
KERNEL_BYTE: Final = 255
LEAST_GAS: Final = 40000
ISOLATED_BASE: Final = 21000
EXISTS_BIT: Final = 160
OPCODE_BITS: Final = 8
DEPTH_BITS: Final = 16
CHEATCODES: Final = (
    "prank(address)", "prank(address,address)", "prank(address,bool)", "prank(address,address,bool)",
    "startPrank(address)", "startPrank(address,address)", "startPrank(address,bool)",
    "startPrank(address,address,bool)", "stopPrank()", "readCallers()", "expectRevert()", "expectRevert(bytes4)",
    "expectRevert(bytes)", "expectRevert(address)", "expectRevert(bytes4,address)", "expectRevert(bytes,address)",
    "expectRevert(uint64)", "expectRevert(bytes4,uint64)", "expectRevert(bytes,uint64)",
    "expectRevert(address,uint64)", "expectRevert(bytes4,address,uint64)", "expectRevert(bytes,address,uint64)",
    "expectPartialRevert(bytes4)", "expectPartialRevert(bytes4,address)", "_expectCheatcodeRevert()",
    "_expectCheatcodeRevert(bytes4)", "_expectCheatcodeRevert(bytes)", "expectEmit()", "expectEmit(address)",
    "expectEmit(uint64)", "expectEmit(address,uint64)", "expectEmit(bool,bool,bool,bool)",
    "expectEmit(bool,bool,bool,bool,address)", "expectEmit(bool,bool,bool,bool,uint64)",
    "expectEmit(bool,bool,bool,bool,address,uint64)", "expectEmitAnonymous()", "expectEmitAnonymous(address)",
    "expectEmitAnonymous(bool,bool,bool,bool,bool)", "expectEmitAnonymous(bool,bool,bool,bool,bool,address)",
    "expectCall(address,bytes)", "expectCall(address,bytes,uint64)", "expectCall(address,uint256,bytes)",
    "expectCall(address,uint256,bytes,uint64)", "expectCall(address,uint256,uint64,bytes)",
    "expectCall(address,uint256,uint64,bytes,uint64)", "expectCallMinGas(address,uint256,uint64,bytes)",
    "expectCallMinGas(address,uint256,uint64,bytes,uint64)", "expectDelegateCall(address,bytes)",
    "expectCreate(bytes,address)", "expectCreate2(bytes,address)", "mockCall(address,bytes,bytes)",
    "mockCall(address,bytes4,bytes)", "mockCall(address,uint256,bytes,bytes)",
    "mockCall(address,uint256,bytes4,bytes)", "mockCall(address,bytes,bytes,bool)", "mockCalls(address,bytes,bytes[])",
    "mockCalls(address,uint256,bytes,bytes[])", "mockCallRevert(address,bytes,bytes)",
    "mockCallRevert(address,bytes4,bytes)", "mockCallRevert(address,uint256,bytes,bytes)",
    "mockCallRevert(address,uint256,bytes4,bytes)", "mockFunction(address,address,bytes)", "pauseGasMetering()",
    "resumeGasMetering()", "resetGasMetering()", "clearMockedCalls()", "deleteStateSnapshot(uint256)",
    "deleteSnapshot(uint256)", "deleteStateSnapshots()", "deleteSnapshots()", "recordLogs()", "getRecordedLogs()",
    "assumeNoRevert()", "assumeNoRevert((address,bool,bytes))", "assumeNoRevert((address,bool,bytes)[])",
)


class Command:
    """Commands to the guest (`enter` in lib.rs)."""

    MAILBOX: Final = 0  # return the address of the mailbox
    RESERVE: Final = 1  # reserve the mailbox's size for input
    RULES: Final = 2  # data of `ForkRules`; `Rules`
    BLOCK: Final = 3  # `BlockValues`
    TRANSACT: Final = 4
    ANSWER: Final = 5  # answer an exit: a message that begins with a number of `Answer`
    ABANDON: Final = 6  # give up the transaction; return the number of transactions that can be undone
    KEEP: Final = 7
    UNDO: Final = 8  # undo transactions until a number (`Count`) of them is left
    DRAIN: Final = 9  # list of `DrainedAccount`: the changes since `DRAINED`
    DRAINED: Final = 10  # forget the changes, which Python has written
    RESET: Final = 11  # forget the state
    FORGET_CODE: Final = 12  # forget all code: the next session's store may lack it
    READ: Final = 13  # return 1, with `HeldAccount`, for an account that is held
    PEEK: Final = 14  # return 1, with the word, for a slot that is held
    OPERATE: Final = 15  # execute operations
    TAKE_RECORD: Final = 16  # output the part of the record since the last time
    TAKE_ENDS: Final = 17  # output the ends of the calls before the running one
    ADD_REGION: Final = 18  # `Region`; list of u32
    CHEATS: Final = 19  # ask what cheatcodes have set: a number of `CheatRequest`, and its values
    CAMPAIGN: Final = 20
    TIME: Final = 21  # `ChainTime`: chain ID, and the block's number and time, as cheatcodes have set them
    READ_SNAPSHOT: Final = 22


class Exit:
    """Reasons why a transaction stops. Most wait for an answer (`Answer`)."""

    DONE: Final = 0  # the end: `TransactionEnd`; of calls with an observer, `CallResult` for each
    INVALID: Final = 1  # revm refuses the transaction; its text
    LEAVE: Final = 2  # a value is missing in the middle of a call with an observer
    ACCOUNT: Final = 3  # an address
    SLOT: Final = 4  # `SlotRequest`
    CODE: Final = 5  # `CodeRequest`
    BLOCK_HASH: Final = 6  # a block's number (u64)
    PRECOMPILE: Final = 7  # `PrecompileRequest`, data
    PAUSE: Final = 8  # the execution takes long: `Pause`; where code is hot, `HotCode`
    RECORD_IS_LARGE: Final = 9  # a part of the record is to be taken
    FRAME: Final = 10  # a frame that Python runs: `FrameStop`
    NATIVE: Final = 11  # a call that the kernel runs: `Changes`, `CallRequest`
    NATIVE_END: Final = 12  # a contract that a native actor has called has ended: `Changes`, `NativeEnd`
    CALL: Final = 13  # a call at which the observer stops: logs, `CallRequest`, data, the decision on it
    ENTERED_END: Final = 14  # a call that the observer has entered has ended: logs, `CallEnd`
    CALL_END: Final = 15  # another call whose end the observer wants to see: logs, `CallEnd`
    RANDOM: Final = 16  # a slot with a random word is about to be accessed: `RandomRequest`
    ACCESSED: Final = 17  # a slot with a hook was accessed
    FAILED: Final = 18
    CONTRACT: Final = 19  # a code that is about to run, whose contract is asked for


class Answer:
    """Answers to exits."""

    ACCOUNT: Final = 0  # `AccountAnswer`; perhaps a list of addresses outside of which the state has no accounts
    SLOT: Final = 1  # `SlotAnswer`
    CODE: Final = 2  # `CodeAnswer`
    BLOCK_HASH: Final = 3  # `BlockHashAnswer`
    PRECOMPILE: Final = 4  # `PrecompileAnswer`
    PAUSE: Final = 5  # go on after a pause
    CONTINUE: Final = 6  # go on with a record that was taken, or with the call of a frame
    FRAME_EXECUTE: Final = 7  # `FrameRequest`: execute an instruction of the frame
    FRAME_END: Final = 8  # `FrameEnd`
    NATIVE_RESULT: Final = 9  # `NativeResult`, data, `Count` of times that the kernel was left
    NATIVE_ENTER: Final = 10  # `NativeEntry`, data, `Count`: call a contract for a native actor
    ENTER: Final = 11  # `BorderAnswer`, then `Enter`: make the call
    RESULT: Final = 12  # `BorderAnswer`, then `Result`: go on with this result
    PASS: Final = 13  # `BorderAnswer`: go on with the result that the call has had
    CONTRACT: Final = 14  # `ContractAnswer`: the number of the code's contract


class Operation:
    """Operations on accounts and on the transaction while it is stopped."""

    ACCOUNT: Final = 0  # `Amounts` of an account
    CODE: Final = 1  # code of an account
    SET_BALANCE: Final = 2  # word
    SET_NONCE: Final = 3  # `Gas`, of 64 bits
    SET_CODE: Final = 4  # data
    LOAD: Final = 5  # slot: its word
    STORE: Final = 6  # `SlotWord`
    TOUCH: Final = 7  # load an account
    LOOK_UP: Final = 8  # `AccountState`, without warming
    IS_WARM: Final = 9  # slot: `Count` 1 or 0
    COOL: Final = 10  # `Cool`
    MAKE_COLD: Final = 11  # make all accounts and slots cold
    SET_ORIGIN: Final = 12  # the account is the origin that contracts see
    SET_PRICES: Final = 13  # gas price (u128); list of blob hashes
    WATCH: Final = 14  # `Count`: modes of frames from now on
    SET_RANDOM: Final = 15  # list of accounts whose slots have random words
    SET_HOOKED: Final = 16  # list of accounts whose slots have hooks
    ACCESSES: Final = 17  # `RecordedAccess` for each since the last time
    GAS: Final = 18  # `Gas` that the frame has used
    ENDED_GAS: Final = 19  # `EndedGas`
    SET_CALLEE: Final = 20  # the held call runs the account's code
    CREATE: Final = 21  # `Creation`, data: hold a creation instead of the call
    CREATED: Final = 22  # hold the call again
    CALL: Final = 23  # `ContractCall`, data: hold a call by the frame
    CALLED: Final = 24  # go on after it
    BEGIN_ISOLATED: Final = 25  # `Gas`: the held call is a transaction of the account
    END_ISOLATED: Final = 26  # `IsolatedCharges`: `IsolatedGas`
    SET_ACCOUNT: Final = 27  # `SetAccount`: the kernel's changes
    EMIT: Final = 28  # `Count`: a log that stands for this event of an actor
    POSITION: Final = 29  # `Position`
    REVERT: Final = 30  # `Position`: undo what was done since then
    HELD_CODE: Final = 31  # code of an account, without warming
    CHANGES: Final = 32  # `Changes`
    WRITE_ALL: Final = 33  # list of `DrainedAccount`, with the running transaction's
    WARMTH: Final = 34  # list of `TransientWord`; then `WarmAccount` for each
    EXCHANGE: Final = 35  # data of `WARMTH`: forget the state
    LOAD_OPEN: Final = 36  # load the accounts of frames after `EXCHANGE`
    EXCHANGES: Final = 37  # `Count` of exchanges that the transaction still has
    CREATIONS: Final = 38  # addresses of created contracts
    SNAPSHOT: Final = 39  # take a snapshot: its number, or 0 if all copies would take too much memory
    RESTORE: Final = 40  # number of a snapshot


class CheatRequest:
    """Requests for cheatcodes, answered by the values that are named after the colon, and `CheatStatus`."""

    LOAD: Final = 0  # `Count` 1 if own reverts are matched; what is set, as `SAVE` gives it
    SAVE: Final = 1  # : what is set; nothing for the default
    BEFORE: Final = 2  # : `ChainTime`, and what was set, before the call that runs or was the last one
    EXECUTE: Final = 3  # `CheatContext`, calldata: `CheatResult`
    BEGIN_PRANK: Final = 4  # a prank, `CheatContext`: `CheatResult`
    CHEATCODE_END: Final = 5  # depth, whether a revert was expected before it, `CallOutcome`: `CheatResult`
    CALL: Final = 6  # `CallRequest`, data: the decision
    CALL_END: Final = 7  # `CallRequest`, `CallOutcome`: origin, list of deals, `CheatResult`
    CREATED: Final = 8  # deployer, `Count` 1 for CREATE2, code
    ANSWERED: Final = 9  # callee, `Count`: the number of its mock that has answered
    LOG: Final = 10  # emitter, list of topics, data
    ACCEPT: Final = 11  # take the last end as the expected revert
    TEST_END: Final = 12  # `CallOutcome`: `CheatResult`
    PRANKS: Final = 13  # : list of pranks
    DEAL: Final = 14  # a deal
    STATUS: Final = 15  # : nothing
    ADD_SNAPSHOT: Final = 16  # number of a copy, or of Python's image: the test's number of the snapshot
    SNAPSHOTS: Final = 17
    FORGET_SNAPSHOTS: Final = 18  # list of numbers of copies


class CampaignRequest:
    """Requests for a campaign, answered by the values that are named after the colon."""

    BEGIN: Final = 0
    SEQUENCE: Final = 1  # `Count` 1 to replay calls, list of calls: begin a sequence
    QUEUE: Final = 2  # a call, which is made before others are drawn
    NEXT: Final = 3  # : the next call, the same until its outcome is taken; nothing at the end of the sequence
    TAKE: Final = 4  # `CampaignOutcome`, output, list of logs, list of words
    COVER: Final = 5
    SIMPLER: Final = 6  # `Shrinking`, data of calldata if it begins: simpler calldata; nothing at the end
    FIGURES: Final = 7  # : `CampaignFigures`
    TARGETS: Final = 8  # : `TargetFigures` for each
    STEPS: Final = 9  # : the calls of the sequence that were not rejected; of a fuzz test, the last one
    GASES: Final = 10  # : gas (u64) of each run of a fuzz test
    INPUTS: Final = 11  # : the corpus's new inputs, a list of calls each; the sequence ends
    COVERAGE: Final = 12  # : `CoverageFigures`
    END: Final = 13  # forget the campaign


class ValueType:
    """Types of parameters; those of numbers, enums and bytes are followed by bits, members and bytes."""

    UINT: Final = 0
    INT: Final = 1
    BOOL: Final = 2
    ADDRESS: Final = 3
    ENUM: Final = 4
    FUNCTION: Final = 5
    FIXED_BYTES: Final = 6
    BYTES: Final = 7
    STRING: Final = 8
    ARRAY: Final = 9  # the type of its elements
    FIXED_ARRAY: Final = 10  # the number of its elements, and their type
    TUPLE: Final = 11  # list of types


class CheatResult:
    """What a cheatcode has done, or a caller gets of a call."""

    SAME: Final = 0  # what the call has had; of a cheatcode: origin, account that needs code, output
    CAUGHT: Final = 1  # the result of a call that reverted as expected
    REJECTED: Final = 2  # the inputs of the run are rejected
    FAILED: Final = 3  # the reason of a failure
    UNKNOWN: Final = 4  # Python executes the cheatcode
    FAILS: Final = 5  # the reason of a failure, with whose text the call ends as another one would


class Failure:
    """Why cheatcodes, and calls that meet what they have set, fail."""

    UNUSED_PRANK: Final = 0
    OTHER_PRANK: Final = 1
    BROADCASTS: Final = 2  # a prank during a broadcast
    PRANKED: Final = 3  # a broadcast during a prank
    SECOND_BROADCAST: Final = 4
    NO_CODE: Final = 5  # of a prank that delegates
    SECOND_REVERT: Final = 6
    SECOND_ASSUMPTION: Final = 7
    COUNTED_TWICE: Final = 8
    COUNTED: Final = 9
    REVERT_DEPTH: Final = 10
    NO_REVERT: Final = 11
    NO_REASON: Final = 12
    REASON: Final = 13  # texts: data, expected reason
    REVERTER: Final = 14  # addresses: reverter, expected one
    REVERTED: Final = 15  # addresses: expected reverter, reverter; texts: reason, data
    EMITTED: Final = 16  # a log that was expected zero times
    ANONYMOUS: Final = 17
    NOT_EMITTED: Final = 18
    LOG_COUNT: Final = 19  # numbers: logs, expected ones
    NOT_CALLED: Final = 20
    NO_LOG: Final = 21  # at the end of the test
    NOT_CREATED: Final = 22  # numbers: 1 for CREATE2; addresses: deployer; texts: code


class CallScheme:
    """Kinds of calls and creations."""

    CALL: Final = 0
    STATICCALL: Final = 1
    DELEGATECALL: Final = 2
    CALLCODE: Final = 3
    CREATE: Final = 4
    CREATE2: Final = 5


class AccessKind:
    """Kinds of accesses that cheatcodes record."""

    READ: Final = 0
    WRITE: Final = 1
    HASH: Final = 2
    ACCOUNT: Final = 3


class Stop:
    """Reasons why a frame that Python runs stops."""

    BEGUN: Final = 0  # `FrameStart`, code, data
    RETURNED: Final = 1  # a call has ended: `FrameWord`, data
    EXECUTED: Final = 2  # `FrameWord`, memory
    CALLS: Final = 3  # the instruction makes a call: `Gas` given to a creation
    HALTED: Final = 4  # `Count`: the result


class Item:
    """Items of a record."""

    CALL: Final = 0  # `CallItem`, data
    END: Final = 1  # `EndItem`, output
    LOG: Final = 2  # `LogItem`, topics, data
    SLOT: Final = 3  # `SlotItem`
    DESTRUCTION: Final = 4  # `DestructionItem`
    COUNTERS: Final = 5  # `CountersItem`, u32 for each
    STEP: Final = 6  # `StepItem`, words; `MemoryItem`, bytes; return data


class Mode:
    """How a transaction runs."""

    KEEP: Final = 1  # keep the changes, to be drained
    CHECKED: Final = 2  # check the sender's nonce and code, and the block's limits
    PAID: Final = 4  # the sender pays for gas
    SYSTEM: Final = 8  # a call of the system: nothing is warm, checked or paid
    CAPPED: Final = 16  # the fork's cap of a transaction's gas holds
    UNDOABLE: Final = 32  # the transaction can be undone
    SHORT: Final = 64  # the thread has other work
    CALL: Final = 128  # a call with an observer: not checked or paid; sender, receiver and coinbase are warm
    IMPLICIT: Final = 256  # a call outside of transactions, whose sender, receiver and coinbase are warm
    NONCE: Final = 512  # the sender's nonce becomes that of the transaction
    KERNEL_FIRST: Final = 1024  # the kernel makes the first call
    INTERCEPTS: Final = 2048  # the kernel runs all calls, so that an interceptor sees them
    PYTHON_FRAMES: Final = 4096  # Python runs the frames
    ACCESS_LIST: Final = 8192  # list the accesses at the end, for the block's access list
    RECORD: Final = 16384  # record the calls for a tracer
    RECORD_COUNTERS: Final = 32768  # record the program counters of instructions, too
    RECORD_STEPS: Final = 65536  # record instructions with gas, stack and memory, too
    RECORD_JUMPS: Final = 131072  # record executed jump destinations
    SLOT_ACCESSES: Final = 262144  # record accesses to slots for cheatcodes
    ALL_ACCESSES: Final = 524288  # record hashes of 64 bytes and accesses to accounts, too
    ISOLATES: Final = 1048576  # calls of the first frame are transactions
    SHOWS_PRICE: Final = 2097152  # contracts see the gas price in them, else 0
    SHOWS_BASE_FEE: Final = 4194304  # contracts see the base fee in them, else 0
    HAS_KERNEL: Final = 8388608  # the kernel takes part, so that Python takes snapshots


class EndEvent:
    """Events at the end of a call with an observer."""

    ENDED: Final = 1  # it was kept or discarded
    CHANGED: Final = 2  # it has changed the state
    TOUCHED: Final = 4  # accounts exist after it that cheatcodes have named
    CHEATED: Final = 8  # cheatcodes have set other things than before one of the calls
    COUNTED: Final = 16  # the campaign has taken its outcome
    HOLDS: Final = 32  # the check after the calls has succeeded in this state


class EnterFlag:
    """How a call is entered."""

    AS_SENDER: Final = 1  # as another sender


class AccountFlag:
    """An account of the state."""

    EXISTS: Final = 1
    HAS_SLOTS: Final = 2
    NATIVE: Final = 4  # the kernel runs its calls
    PRECOMPILE: Final = 8  # the kernel runs the code of calls by contracts


class DrainFlag:
    """Changes of an account."""

    EXISTS: Final = 1
    WIPED: Final = 2  # it was removed, with its slots
    CODE: Final = 4  # its code has changed
    HAS_EXISTED: Final = 8  # it has existed, if only for a while


class HeldFlag:
    """An account that the guest has changed before a call of the kernel."""

    CODE: Final = 1  # it has code
    CREATED: Final = 2  # the transaction has created it
    REPLACED: Final = 4  # an observer has set code at a masked ID


class KernelFlag:
    """The kernel's changes of an account, beside its balance."""

    NONCE: Final = 1
    NO_CODE: Final = 2  # it is no native actor any more
    NATIVE: Final = 4  # it has become a native actor


class AccessListFlag:
    """A transaction's changes of an account in the block's access list."""

    BALANCE: Final = 1
    NONCE: Final = 2
    CODE: Final = 4


class WarmFlag:
    """A warm account: created or destroyed by the transaction."""

    CREATED: Final = 1
    DESTROYED: Final = 2


class CallFlag:
    """A call in a record."""

    EXISTS: Final = 1  # the callee's account exists
    HAS_CODE: Final = 2  # the account whose code runs has code
    ENTERED: Final = 4  # a native actor makes it, which the kernel reports


class EndFlag:
    """The end of a call in a record."""

    EARLY: Final = 1  # it had no frame of its own
    ANSWERED: Final = 2  # the observer has answered instead of the callee
    ISOLATED: Final = 4  # it was a transaction of its own


class StepFlag:
    """What follows a step in a record."""

    MEMORY: Final = 1
    RETURN_DATA: Final = 2


class InstructionResult:
    """Numbers of revm's type."""

    STOP: Final = 1
    RETURN: Final = 2
    SELF_DESTRUCT: Final = 3
    REVERT: Final = 16
    CALL_TOO_DEEP: Final = 17
    OUT_OF_FUNDS: Final = 18
    OUT_OF_GAS: Final = 32
    MEMORY_OOG: Final = 33
    MEMORY_LIMIT_OOG: Final = 34
    INVALID_OPERAND_OOG: Final = 36
    REENTRANCY_SENTRY_OOG: Final = 37
    OPCODE_NOT_FOUND: Final = 38
    CALL_NOT_ALLOWED_INSIDE_STATIC: Final = 39
    STATE_CHANGE_DURING_STATIC_CALL: Final = 40
    INVALID_FE_OPCODE: Final = 41
    INVALID_JUMP: Final = 42
    NOT_ACTIVATED: Final = 43
    STACK_UNDERFLOW: Final = 44
    STACK_OVERFLOW: Final = 45
    OUT_OF_OFFSET: Final = 46
    CREATE_COLLISION: Final = 47
    OVERFLOW_PAYMENT: Final = 48
    PRECOMPILE_ERROR: Final = 49
    CREATE_CONTRACT_SIZE_LIMIT: Final = 51
    CREATE_CONTRACT_STARTING_WITH_EF: Final = 52
    CREATE_INIT_CODE_SIZE_LIMIT: Final = 53


class GasId:
    """Numbers of revm's type."""

    EXP_BYTE_GAS: Final = 1
    EXTCODECOPY_PER_WORD: Final = 2
    COPY_PER_WORD: Final = 3
    LOGDATA: Final = 4
    LOGTOPIC: Final = 5
    MCOPY_PER_WORD: Final = 6
    KECCAK256_PER_WORD: Final = 7
    MEMORY_LINEAR_COST: Final = 8
    MEMORY_QUADRATIC_REDUCTION: Final = 9
    INITCODE_PER_WORD: Final = 10
    CREATE: Final = 11
    CALL_STIPEND_REDUCTION: Final = 12
    MAX_REFUND_QUOTIENT: Final = 47
    TRANSFER_VALUE_COST: Final = 13
    COLD_ACCOUNT_ADDITIONAL_COST: Final = 14
    NEW_ACCOUNT_COST: Final = 15
    WARM_STORAGE_READ_COST: Final = 16
    SSTORE_STATIC: Final = 17
    SSTORE_SET_WITHOUT_LOAD_COST: Final = 18
    SSTORE_RESET_WITHOUT_COLD_LOAD_COST: Final = 19
    SSTORE_CLEARING_SLOT_REFUND: Final = 20
    SELFDESTRUCT_REFUND: Final = 21
    CALL_STIPEND: Final = 22
    COLD_STORAGE_ADDITIONAL_COST: Final = 23
    COLD_STORAGE_COST: Final = 24
    NEW_ACCOUNT_COST_FOR_SELFDESTRUCT: Final = 25
    CODE_DEPOSIT_COST: Final = 26
    TX_EIP7702_REGULAR_GAS: Final = 27
    TX_TOKEN_NON_ZERO_BYTE_MULTIPLIER: Final = 28
    TX_TOKEN_COST: Final = 29
    TX_FLOOR_COST_PER_TOKEN: Final = 30
    TX_FLOOR_COST_BASE_GAS: Final = 31
    TX_ACCESS_LIST_ADDRESS_COST: Final = 32
    TX_ACCESS_LIST_STORAGE_KEY_COST: Final = 33
    TX_BASE_STIPEND: Final = 34
    TX_CREATE_COST: Final = 35
    TX_INITCODE_COST: Final = 36
    SSTORE_SET_REFUND: Final = 37
    SSTORE_RESET_REFUND: Final = 38
    TX_EIP7702_REGULAR_REFUND: Final = 39
    SSTORE_SET_STATE_GAS: Final = 40
    NEW_ACCOUNT_STATE_GAS: Final = 41
    CODE_DEPOSIT_STATE_GAS: Final = 42
    CREATE_STATE_GAS: Final = 43
    TX_EIP7702_STATE_GAS_BYTECODE: Final = 44
    TX_FLOOR_TOKEN_ZERO_BYTE_MULTIPLIER: Final = 45
    TX_ACCESS_LIST_FLOOR_BYTE_MULTIPLIER: Final = 46
    TX_ACCOUNT_WRITE_COST: Final = 48
    TX_CREATE_ACCESS_COST: Final = 49


Mailbox = NamedTuple("Mailbox", [
    ("size", int), ("input", int), ("output", int), ("output_size", int), ("ended", int), ("times", int),
    ("snapshots", int), ("copied", int),
])
MAILBOX: Final = Layout(Mailbox, "<IIIIIIII")

Count = NamedTuple("Count", [("count", int)])
COUNT: Final = Layout(Count, "<I")

Gas = NamedTuple("Gas", [("gas", int)])
GAS: Final = Layout(Gas, "<Q")

Bytes = NamedTuple("Bytes", [("size", int)])
BYTES: Final = Layout(Bytes, "<I")

Price = NamedTuple("Price", [("id", int), ("price", int)])
PRICE: Final = Layout(Price, "<IQ")

ForkRules = NamedTuple("ForkRules", [("spec", int), ("net_slots", int), ("slots_collide", int)])
FORK_RULES: Final = Layout(ForkRules, "<III")

Rules = NamedTuple("Rules", [
    ("account_spec", int), ("chain_id", int), ("memory_limit", int), ("code_limit", int), ("init_code_limit", int),
    ("max_blobs", int), ("gas_cap", int), ("pause_steps", int), ("record_size", int),
])
RULES: Final = Layout(Rules, "<IQQIIQQII")

BlockValues = NamedTuple("BlockValues", [
    ("number", bytes), ("timestamp", bytes), ("gas_limit", int), ("base_fee", int), ("blob_base_fee", bytes),
    ("coinbase", EthAddress), ("randomness", bytes), ("slot_number", int),
])
BLOCK_VALUES: Final = Layout(BlockValues, "<32s32sQQ16s20s32sQ")

TransactionHead = NamedTuple("TransactionHead", [
    ("mode", int), ("steps", int), ("kind", int), ("gas_limit", int), ("nonce", int), ("max_fee", bytes),
    ("max_priority_fee", bytes), ("max_fee_per_blob_gas", bytes), ("sender", EthAddress), ("has_receiver", int),
    ("receiver", EthAddress), ("value", bytes),
])
TRANSACTION_HEAD: Final = Layout(TransactionHead, "<IIIQQ16s16s16s20sI20s32s")

Authorization = NamedTuple("Authorization", [
    ("chain_id", bytes), ("address", EthAddress), ("nonce", int), ("is_valid", int), ("authority", EthAddress),
])
AUTHORIZATION: Final = Layout(Authorization, "<32s20sQI20s")

Region = NamedTuple("Region", [("code_hash", bytes), ("code_size", int), ("slot", int)])
REGION: Final = Layout(Region, "<32sII")

Pause = NamedTuple("Pause", [("has_steps", int)])
PAUSE: Final = Layout(Pause, "<I")

HotCode = NamedTuple("HotCode", [("counter", int), ("code_hash", bytes), ("size", int)])
HOT_CODE: Final = Layout(HotCode, "<I32sI")

SlotRequest = NamedTuple("SlotRequest", [("address", EthAddress), ("slot", bytes)])
SLOT_REQUEST: Final = Layout(SlotRequest, "<20s32s")

CodeRequest = NamedTuple("CodeRequest", [("address", EthAddress), ("code_hash", bytes)])
CODE_REQUEST: Final = Layout(CodeRequest, "<20s32s")

PrecompileRequest = NamedTuple("PrecompileRequest", [("address", EthAddress), ("gas", int), ("size", int)])
PRECOMPILE_REQUEST: Final = Layout(PrecompileRequest, "<20sQI")

RandomRequest = NamedTuple("RandomRequest", [("address", EthAddress), ("slot", bytes), ("is_write", int)])
RANDOM_REQUEST: Final = Layout(RandomRequest, "<20s32sI")

AccountAnswer = NamedTuple("AccountAnswer", [
    ("answer", int), ("address", EthAddress), ("flags", int), ("balance", bytes), ("nonce", int), ("code_hash", bytes),
])
ACCOUNT_ANSWER: Final = Layout(AccountAnswer, "<I20sI32sQ32s")

SlotAnswer = NamedTuple("SlotAnswer", [
    ("answer", int), ("address", EthAddress), ("slot", bytes), ("word", bytes), ("zero_bits", int),
])
SLOT_ANSWER: Final = Layout(SlotAnswer, "<I20s32s32sI")

CodeAnswer = NamedTuple("CodeAnswer", [("answer", int), ("code_hash", bytes), ("size", int)])
CODE_ANSWER: Final = Layout(CodeAnswer, "<I32sI")

BlockHashAnswer = NamedTuple("BlockHashAnswer", [("answer", int), ("number", int), ("block_hash", bytes)])
BLOCK_HASH_ANSWER: Final = Layout(BlockHashAnswer, "<IQ32s")

PrecompileAnswer = NamedTuple("PrecompileAnswer", [("answer", int), ("success", int), ("gas_used", int), ("size", int)])
PRECOMPILE_ANSWER: Final = Layout(PrecompileAnswer, "<IIQI")

TransactionEnd = NamedTuple("TransactionEnd", [
    ("result", int), ("has_run", int), ("gas_used", int), ("gas_before_refunds", int), ("state_gas", int),
    ("floor", int), ("creates", int), ("created", EthAddress), ("size", int),
])
TRANSACTION_END: Final = Layout(TransactionEnd, "<IIQQQQI20sI")

Cause = NamedTuple("Cause", [("result", int), ("value", bytes), ("to", EthAddress)])
CAUSE: Final = Layout(Cause, "<I32s20s")

CodeExcess = NamedTuple("CodeExcess", [("size", int), ("limit", int)])
CODE_EXCESS: Final = Layout(CodeExcess, "<II")

LogHead = NamedTuple("LogHead", [("emitter", EthAddress), ("topics", int)])
LOG_HEAD: Final = Layout(LogHead, "<20sI")

CallRequest = NamedTuple("CallRequest", [
    ("depth", int), ("kind", int), ("is_static", int), ("gas", int), ("caller", EthAddress), ("sender", EthAddress),
    ("target", EthAddress), ("receiver", EthAddress), ("value", bytes), ("salt", bytes), ("size", int),
])
CALL_REQUEST: Final = Layout(CallRequest, "<IIIQ20s20s20s20s32s32sI")

CallEnd = NamedTuple("CallEnd", [
    ("depth", int), ("result", int), ("creates", int), ("created", EthAddress), ("size", int),
])
CALL_END: Final = Layout(CallEnd, "<III20sI")

CallResult = NamedTuple("CallResult", [
    ("events", int), ("result", int), ("gas_used", int), ("charged", int), ("size", int),
])
CALL_RESULT: Final = Layout(CallResult, "<IIQQI")

Interest = NamedTuple("Interest", [
    ("calls", int), ("ends", int), ("at_once", int), ("goes_on", int), ("cheatcodes", int),
])
INTEREST: Final = Layout(Interest, "<IIIII")

Check = NamedTuple("Check", [("always", int), ("size", int)])
CHECK: Final = Layout(Check, "<II")

Following = NamedTuple("Following", [("gas", int), ("gas_limit", int)])
FOLLOWING: Final = Layout(Following, "<QQ")

CampaignSettings = NamedTuple("CampaignSettings", [
    ("seed", bytes), ("keeps", int), ("depth", int), ("max_rejects", int), ("weight", int), ("learns", int),
    ("has_storage", int), ("max_seconds", int), ("max_blocks", int), ("fails_on_revert", int), ("shows_logs", int),
    ("max_inputs", int), ("min_mutations", int),
])
CAMPAIGN_SETTINGS: Final = Layout(CampaignSettings, "<32sIQQIIIQQIIII")

CampaignTarget = NamedTuple("CampaignTarget", [("address", EthAddress), ("selector", int)])
CAMPAIGN_TARGET: Final = Layout(CampaignTarget, "<20sI")

CampaignCall = NamedTuple("CampaignCall", [
    ("sender", EthAddress), ("target", int), ("seconds", int), ("blocks", int), ("success", int), ("size", int),
])
CAMPAIGN_CALL: Final = Layout(CampaignCall, "<20sIQQII")

CampaignOutcome = NamedTuple("CampaignOutcome", [("success", int), ("rejected", int), ("gas", int), ("size", int)])
CAMPAIGN_OUTCOME: Final = Layout(CampaignOutcome, "<IIQI")

CampaignFigures = NamedTuple("CampaignFigures", [
    ("calls", int), ("reverts", int), ("rejects", int), ("gas", int), ("reached", int),
])
CAMPAIGN_FIGURES: Final = Layout(CampaignFigures, "<QQQQQ")

Reached = NamedTuple("Reached", [("has_new", int), ("has_jumps", int)])
REACHED: Final = Layout(Reached, "<II")

CoverageFigures = NamedTuple("CoverageFigures", [("edges", int), ("features", int), ("inputs", int)])
COVERAGE_FIGURES: Final = Layout(CoverageFigures, "<QQQ")

ContractAnswer = NamedTuple("ContractAnswer", [("answer", int), ("number", int)])
CONTRACT_ANSWER: Final = Layout(ContractAnswer, "<II")

TargetFigures = NamedTuple("TargetFigures", [("calls", int), ("reverts", int), ("discards", int)])
TARGET_FIGURES: Final = Layout(TargetFigures, "<QQQ")

Shrinking = NamedTuple("Shrinking", [("begins", int), ("fails", int), ("target", int)])
SHRINKING: Final = Layout(Shrinking, "<III")

BorderAnswer = NamedTuple("BorderAnswer", [("answer", int), ("size", int)])
BORDER_ANSWER: Final = Layout(BorderAnswer, "<II")

Enter = NamedTuple("Enter", [("flags", int), ("sender", EthAddress)])
ENTER: Final = Layout(Enter, "<I20s")

Result = NamedTuple("Result", [("success", int), ("creates", int), ("created", EthAddress), ("size", int)])
RESULT: Final = Layout(Result, "<II20sI")

OperationHead = NamedTuple("OperationHead", [("operation", int), ("address", EthAddress)])
OPERATION_HEAD: Final = Layout(OperationHead, "<I20s")

Amounts = NamedTuple("Amounts", [("balance", bytes), ("nonce", int)])
AMOUNTS: Final = Layout(Amounts, "<32sQ")

AccountState = NamedTuple("AccountState", [("exists", int), ("balance", bytes), ("nonce", int)])
ACCOUNT_STATE: Final = Layout(AccountState, "<I32sQ")

SlotWord = NamedTuple("SlotWord", [("slot", bytes), ("word", bytes)])
SLOT_WORD: Final = Layout(SlotWord, "<32s32s")

Cool = NamedTuple("Cool", [("has_slot", int), ("slot", bytes)])
COOL: Final = Layout(Cool, "<I32s")

EndedGas = NamedTuple("EndedGas", [("limit", int), ("used", int), ("refund", int)])
ENDED_GAS: Final = Layout(EndedGas, "<QQQ")

Creation = NamedTuple("Creation", [("has_salt", int), ("salt", bytes), ("value", bytes), ("size", int)])
CREATION: Final = Layout(Creation, "<I32s32sI")

ContractCall = NamedTuple("ContractCall", [("target", EthAddress), ("size", int)])
CONTRACT_CALL: Final = Layout(ContractCall, "<20sI")

IsolatedCharges = NamedTuple("IsolatedCharges", [("limit", int), ("intrinsic", int), ("floor", int), ("quotient", int)])
ISOLATED_CHARGES: Final = Layout(IsolatedCharges, "<QQQQ")

IsolatedGas = NamedTuple("IsolatedGas", [("used", int), ("refund", int)])
ISOLATED_GAS: Final = Layout(IsolatedGas, "<QQ")

CheatContext = NamedTuple("CheatContext", [
    ("caller", EthAddress), ("origin", EthAddress), ("depth", int), ("knows_code", int), ("has_code", int),
])
CHEAT_CONTEXT: Final = Layout(CheatContext, "<20s20sIII")

CallOutcome = NamedTuple("CallOutcome", [("success", int), ("size", int), ("reason_size", int)])
CALL_OUTCOME: Final = Layout(CallOutcome, "<III")

CheatStatus = NamedTuple("CheatStatus", [
    ("call_depth", int), ("expects_revert", int), ("watches_logs", int), ("counts_creations", int), ("has_caught", int),
])
CHEAT_STATUS: Final = Layout(CheatStatus, "<IIIII")

ChainTime = NamedTuple("ChainTime", [("chain_id", int), ("number", bytes), ("timestamp", bytes)])
CHAIN_TIME: Final = Layout(ChainTime, "<Q32s32s")

SnapshotTime = NamedTuple("SnapshotTime", [("copy", int), ("time", bytes)])
SNAPSHOT_TIME: Final = Layout(SnapshotTime, "<I72s")

SnapshotHead = NamedTuple("SnapshotHead", [("next", int), ("count", int)])
SNAPSHOT_HEAD: Final = Layout(SnapshotHead, "<QI")

SnapshotNumber = NamedTuple("SnapshotNumber", [("number", int), ("copy", int)])
SNAPSHOT_NUMBER: Final = Layout(SnapshotNumber, "<QI")

RecordedAccess = NamedTuple("RecordedAccess", [
    ("kind", int), ("account", EthAddress), ("first", bytes), ("second", bytes), ("third", bytes), ("fourth", bytes),
])
RECORDED_ACCESS: Final = Layout(RecordedAccess, "<I20s32s32s32s32s")

Position = NamedTuple("Position", [("journal", int), ("logs", int), ("selfdestructs", int)])
POSITION: Final = Layout(Position, "<III")

Changes = NamedTuple("Changes", [("count", int), ("position", bytes), ("changed", int)])
CHANGES: Final = Layout(Changes, "<I12sI")

ChangedAccount = NamedTuple("ChangedAccount", [
    ("address", EthAddress), ("balance", bytes), ("nonce", int), ("flags", int),
])
CHANGED_ACCOUNT: Final = Layout(ChangedAccount, "<20s32sQI")

SetAccount = NamedTuple("SetAccount", [("balance", bytes), ("nonce", int), ("flags", int)])
SET_ACCOUNT: Final = Layout(SetAccount, "<32sQI")

NativeEnd = NamedTuple("NativeEnd", [("result", int), ("gas_used", int), ("refund", int), ("size", int)])
NATIVE_END: Final = Layout(NativeEnd, "<IQqI")

NativeResult = NamedTuple("NativeResult", [
    ("answer", int), ("success", int), ("gas_used", int), ("refund", int), ("size", int),
])
NATIVE_RESULT: Final = Layout(NativeResult, "<IIQqI")

NativeEntry = NamedTuple("NativeEntry", [
    ("answer", int), ("target", EthAddress), ("caller", EthAddress), ("value", bytes), ("gas", int),
    ("is_static", int), ("depth", int), ("creates", int), ("size", int),
])
NATIVE_ENTRY: Final = Layout(NativeEntry, "<I20s20s32sQIIII")

DrainedAccount = NamedTuple("DrainedAccount", [
    ("address", EthAddress), ("flags", int), ("balance", bytes), ("nonce", int), ("code_hash", bytes), ("size", int),
    ("slots", int),
])
DRAINED_ACCOUNT: Final = Layout(DrainedAccount, "<20sI32sQ32sII")

HeldAccount = NamedTuple("HeldAccount", [("balance", bytes), ("nonce", int), ("size", int)])
HELD_ACCOUNT: Final = Layout(HeldAccount, "<32sQI")

AccessedAccount = NamedTuple("AccessedAccount", [
    ("address", EthAddress), ("flags", int), ("balance", bytes), ("nonce", int), ("size", int),
])
ACCESSED_ACCOUNT: Final = Layout(AccessedAccount, "<20sI32sQI")

AccessedSlot = NamedTuple("AccessedSlot", [("slot", bytes), ("word", bytes), ("is_changed", int)])
ACCESSED_SLOT: Final = Layout(AccessedSlot, "<32s32sI")

TransientWord = NamedTuple("TransientWord", [("address", EthAddress), ("slot", bytes), ("word", bytes)])
TRANSIENT_WORD: Final = Layout(TransientWord, "<20s32s32s")

WarmAccount = NamedTuple("WarmAccount", [("address", EthAddress), ("flags", int), ("slots", int)])
WARM_ACCOUNT: Final = Layout(WarmAccount, "<20sII")

WarmSlot = NamedTuple("WarmSlot", [("slot", bytes), ("is_changed", int), ("original", bytes)])
WARM_SLOT: Final = Layout(WarmSlot, "<32sI32s")

FrameStop = NamedTuple("FrameStop", [("reason", int), ("depth", int), ("gas", int), ("refund", int)])
FRAME_STOP: Final = Layout(FrameStop, "<IIQq")

FrameStart = NamedTuple("FrameStart", [
    ("is_static", int), ("caller", EthAddress), ("address", EthAddress), ("value", bytes), ("size", int),
])
FRAME_START: Final = Layout(FrameStart, "<I20s20s32sI")

FrameWord = NamedTuple("FrameWord", [("word", bytes), ("size", int)])
FRAME_WORD: Final = Layout(FrameWord, "<32sI")

FrameRequest = NamedTuple("FrameRequest", [("answer", int), ("opcode", int), ("gas", int), ("words", int)])
FRAME_REQUEST: Final = Layout(FrameRequest, "<IIQI")

FrameEnd = NamedTuple("FrameEnd", [("answer", int), ("result", int), ("gas", int), ("size", int)])
FRAME_END: Final = Layout(FrameEnd, "<IIQI")

RecordedCode = NamedTuple("RecordedCode", [("code_hash", bytes), ("size", int)])
RECORDED_CODE: Final = Layout(RecordedCode, "<32sI")

CallItem = NamedTuple("CallItem", [
    ("item", int), ("kind", int), ("is_static", int), ("flags", int), ("gas", int), ("caller", EthAddress),
    ("code", EthAddress), ("target", EthAddress), ("value", bytes), ("code_hash", bytes), ("size", int),
])
CALL_ITEM: Final = Layout(CallItem, "<BBBBQ20s20s20s32s32sI")

EndItem = NamedTuple("EndItem", [
    ("item", int), ("flags", int), ("result", int), ("spent", int), ("unspent", int), ("state_gas", int),
    ("returned", int), ("deposit", int), ("size", int),
])
END_ITEM: Final = Layout(EndItem, "<BBHQQqQQI")

LogItem = NamedTuple("LogItem", [("item", int), ("topics", int), ("unused", int), ("emitter", EthAddress)])
LOG_ITEM: Final = Layout(LogItem, "<BBH20s")

SlotItem = NamedTuple("SlotItem", [
    ("item", int), ("slot", bytes), ("before", bytes), ("after", bytes), ("refund", int),
])
SLOT_ITEM: Final = Layout(SlotItem, "<I32s32s32sq")

DestructionItem = NamedTuple("DestructionItem", [
    ("item", int), ("address", EthAddress), ("beneficiary", EthAddress), ("balance", bytes),
])
DESTRUCTION_ITEM: Final = Layout(DestructionItem, "<I20s20s32s")

CountersItem = NamedTuple("CountersItem", [("item", int), ("count", int)])
COUNTERS_ITEM: Final = Layout(CountersItem, "<II")

StepItem = NamedTuple("StepItem", [
    ("item", int), ("flags", int), ("opcode", int), ("unused", int), ("counter", int), ("gas", int), ("cost", int),
    ("refund", int), ("kept", int), ("pushed", int),
])
STEP_ITEM: Final = Layout(StepItem, "<BBBBIQqqHH")

MemoryItem = NamedTuple("MemoryItem", [("size", int), ("start", int), ("length", int)])
MEMORY_ITEM: Final = Layout(MemoryItem, "<III")
