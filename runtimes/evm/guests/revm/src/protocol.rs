//! Numbers and layouts of Python's messages.
//!
//! `make protocol` writes this file from `protocol.toml`, which describes the messages.

use crate::wire::{Field, Reader, flags, layouts, numbers, same_gas_id, same_instruction_result};
use revm::primitives::{Address, B256, U256};

pub const NO_LIMIT: u32 = 4294967295;
pub const SAME_LOGS: u32 = 4294967295;
pub const NO_COST: i64 = -9223372036854775808;
pub const KERNEL_BYTE: u8 = 255;
pub const LEAST_GAS: u64 = 40000;
pub const ISOLATED_BASE: u64 = 21000;
pub const EXISTS_BIT: usize = 160;
pub const OPCODE_BITS: u32 = 8;
pub const DEPTH_BITS: u32 = 16;
pub const CHEATCODES: [&str; 75] = [
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
];

numbers! { Command command:
    MAILBOX, RESERVE, RULES, BLOCK, TRANSACT, ANSWER, ABANDON, KEEP, UNDO, DRAIN, DRAINED, RESET, FORGET_CODE, READ,
    PEEK, OPERATE, TAKE_RECORD, TAKE_ENDS, ADD_REGION, CHEATS, CAMPAIGN, TIME, READ_SNAPSHOT,
}
numbers! { Exit exit:
    DONE, INVALID, LEAVE, ACCOUNT, SLOT, CODE, BLOCK_HASH, PRECOMPILE, PAUSE, RECORD_IS_LARGE, FRAME, NATIVE,
    NATIVE_END, CALL, ENTERED_END, CALL_END, RANDOM, ACCESSED, FAILED, CONTRACT,
}
numbers! { Answer answer:
    ACCOUNT, SLOT, CODE, BLOCK_HASH, PRECOMPILE, PAUSE, CONTINUE, FRAME_EXECUTE, FRAME_END, NATIVE_RESULT,
    NATIVE_ENTER, ENTER, RESULT, PASS, CONTRACT,
}
numbers! { Operation operation:
    ACCOUNT, CODE, SET_BALANCE, SET_NONCE, SET_CODE, LOAD, STORE, TOUCH, LOOK_UP, IS_WARM, COOL, MAKE_COLD, SET_ORIGIN,
    SET_PRICES, WATCH, SET_RANDOM, SET_HOOKED, ACCESSES, GAS, ENDED_GAS, SET_CALLEE, CREATE, CREATED, CALL, CALLED,
    BEGIN_ISOLATED, END_ISOLATED, SET_ACCOUNT, EMIT, POSITION, REVERT, HELD_CODE, CHANGES, WRITE_ALL, WARMTH, EXCHANGE,
    LOAD_OPEN, EXCHANGES, CREATIONS, SNAPSHOT, RESTORE,
}
numbers! { CheatRequest cheat_request:
    LOAD, SAVE, BEFORE, EXECUTE, BEGIN_PRANK, CHEATCODE_END, CALL, CALL_END, CREATED, ANSWERED, LOG, ACCEPT, TEST_END,
    PRANKS, DEAL, STATUS, ADD_SNAPSHOT, SNAPSHOTS, FORGET_SNAPSHOTS,
}
numbers! { CampaignRequest campaign_request:
    BEGIN, SEQUENCE, QUEUE, NEXT, TAKE, COVER, SIMPLER, FIGURES, TARGETS, STEPS, GASES, INPUTS, COVERAGE, END,
}
numbers! { ValueType value_type:
    UINT, INT, BOOL, ADDRESS, ENUM, FUNCTION, FIXED_BYTES, BYTES, STRING, ARRAY, FIXED_ARRAY, TUPLE,
}
numbers! { CheatResult cheat_result: SAME, CAUGHT, REJECTED, FAILED, UNKNOWN, FAILS }
numbers! { Failure failure:
    UNUSED_PRANK, OTHER_PRANK, BROADCASTS, PRANKED, SECOND_BROADCAST, NO_CODE, SECOND_REVERT, SECOND_ASSUMPTION,
    COUNTED_TWICE, COUNTED, REVERT_DEPTH, NO_REVERT, NO_REASON, REASON, REVERTER, REVERTED, EMITTED, ANONYMOUS,
    NOT_EMITTED, LOG_COUNT, NOT_CALLED, NO_LOG, NOT_CREATED,
}
numbers! { CallScheme call_scheme: CALL, STATICCALL, DELEGATECALL, CALLCODE, CREATE, CREATE2 }
numbers! { AccessKind access_kind: READ, WRITE, HASH, ACCOUNT }
numbers! { Stop stop: BEGUN, RETURNED, EXECUTED, CALLS, HALTED }
numbers! { Item item: CALL, END, LOG, SLOT, DESTRUCTION, COUNTERS, STEP }

flags! { Mode mode:
    KEEP, CHECKED, PAID, SYSTEM, CAPPED, UNDOABLE, SHORT, CALL, IMPLICIT, NONCE, KERNEL_FIRST, INTERCEPTS,
    PYTHON_FRAMES, ACCESS_LIST, RECORD, RECORD_COUNTERS, RECORD_STEPS, RECORD_JUMPS, SLOT_ACCESSES, ALL_ACCESSES,
    ISOLATES, SHOWS_PRICE, SHOWS_BASE_FEE, HAS_KERNEL,
}
flags! { EndEvent end_event: ENDED, CHANGED, TOUCHED, CHEATED, COUNTED, HOLDS }
flags! { EnterFlag enter_flag: AS_SENDER }
flags! { AccountFlag account_flag: EXISTS, HAS_SLOTS, NATIVE, PRECOMPILE }
flags! { DrainFlag drain_flag: EXISTS, WIPED, CODE, HAS_EXISTED }
flags! { HeldFlag held_flag: CODE, CREATED, REPLACED }
flags! { KernelFlag kernel_flag: NONCE, NO_CODE, NATIVE }
flags! { AccessListFlag access_list_flag: BALANCE, NONCE, CODE }
flags! { WarmFlag warm_flag: CREATED, DESTROYED }
flags! { CallFlag call_flag: EXISTS, HAS_CODE, ENTERED }
flags! { EndFlag end_flag: EARLY, ANSWERED, ISOLATED }
flags! { StepFlag step_flag: MEMORY, RETURN_DATA }

layouts! {
    Mailbox {
        size: u32, input: u32, output: u32, output_size: u32, ended: u32, times: u32, snapshots: u32, copied: u32,
    }
    Count { count: u32 }
    Gas { gas: u64 }
    Bytes { size: u32 }
    Price { id: u32, price: u64 }
    ForkRules { spec: u32, net_slots: bool, slots_collide: bool }
    Rules {
        account_spec: u32, chain_id: u64, memory_limit: u64, code_limit: u32, init_code_limit: u32, max_blobs: u64,
        gas_cap: u64, pause_steps: u32, record_size: u32,
    }
    BlockValues {
        number: U256, timestamp: U256, gas_limit: u64, base_fee: u64, blob_base_fee: u128, coinbase: Address,
        randomness: B256, slot_number: u64,
    }
    TransactionHead {
        mode: u32, steps: u32, kind: u32, gas_limit: u64, nonce: u64, max_fee: u128, max_priority_fee: u128,
        max_fee_per_blob_gas: u128, sender: Address, has_receiver: bool, receiver: Address, value: U256,
    }
    Authorization { chain_id: U256, address: Address, nonce: u64, is_valid: bool, authority: Address }
    Region { code_hash: B256, code_size: u32, slot: u32 }
    Pause { has_steps: bool }
    HotCode { counter: u32, code_hash: B256, size: u32 }
    SlotRequest { address: Address, slot: U256 }
    CodeRequest { address: Address, code_hash: B256 }
    PrecompileRequest { address: Address, gas: u64, size: u32 }
    RandomRequest { address: Address, slot: U256, is_write: bool }
    AccountAnswer { answer: u32, address: Address, flags: u32, balance: U256, nonce: u64, code_hash: B256 }
    SlotAnswer { answer: u32, address: Address, slot: U256, word: U256, zero_bits: u32 }
    CodeAnswer { answer: u32, code_hash: B256, size: u32 }
    BlockHashAnswer { answer: u32, number: u64, block_hash: B256 }
    PrecompileAnswer { answer: u32, success: bool, gas_used: u64, size: u32 }
    TransactionEnd {
        result: u32, has_run: bool, gas_used: u64, gas_before_refunds: u64, state_gas: u64, floor: u64, creates: bool,
        created: Address, size: u32,
    }
    Cause { result: u32, value: U256, to: Address }
    CodeExcess { size: u32, limit: u32 }
    LogHead { emitter: Address, topics: u32 }
    CallRequest {
        depth: u32, kind: u32, is_static: bool, gas: u64, caller: Address, sender: Address, target: Address,
        receiver: Address, value: U256, salt: U256, size: u32,
    }
    CallEnd { depth: u32, result: u32, creates: bool, created: Address, size: u32 }
    CallResult { events: u32, result: u32, gas_used: u64, charged: u64, size: u32 }
    Interest { calls: u32, ends: u32, at_once: bool, goes_on: bool, cheatcodes: bool }
    Check { always: bool, size: u32 }
    Following { gas: u64, gas_limit: u64 }
    CampaignSettings {
        seed: B256, keeps: bool, depth: u64, max_rejects: u64, weight: u32, learns: bool, has_storage: bool,
        max_seconds: u64, max_blocks: u64, fails_on_revert: bool, shows_logs: bool, max_inputs: u32, min_mutations: u32,
    }
    CampaignTarget { address: Address, selector: u32 }
    CampaignCall { sender: Address, target: u32, seconds: u64, blocks: u64, success: bool, size: u32 }
    CampaignOutcome { success: bool, rejected: bool, gas: u64, size: u32 }
    CampaignFigures { calls: u64, reverts: u64, rejects: u64, gas: u64, reached: u64 }
    Reached { has_new: bool, has_jumps: bool }
    CoverageFigures { edges: u64, features: u64, inputs: u64 }
    ContractAnswer { answer: u32, number: u32 }
    TargetFigures { calls: u64, reverts: u64, discards: u64 }
    Shrinking { begins: bool, fails: bool, target: u32 }
    BorderAnswer { answer: u32, size: u32 }
    Enter { flags: u32, sender: Address }
    Result { success: bool, creates: bool, created: Address, size: u32 }
    OperationHead { operation: u32, address: Address }
    Amounts { balance: U256, nonce: u64 }
    AccountState { exists: bool, balance: U256, nonce: u64 }
    SlotWord { slot: U256, word: U256 }
    Cool { has_slot: bool, slot: U256 }
    EndedGas { limit: u64, used: u64, refund: u64 }
    Creation { has_salt: bool, salt: U256, value: U256, size: u32 }
    ContractCall { target: Address, size: u32 }
    IsolatedCharges { limit: u64, intrinsic: u64, floor: u64, quotient: u64 }
    IsolatedGas { used: u64, refund: u64 }
    CheatContext { caller: Address, origin: Address, depth: u32, knows_code: bool, has_code: bool }
    CallOutcome { success: bool, size: u32, reason_size: u32 }
    CheatStatus { call_depth: u32, expects_revert: bool, watches_logs: bool, counts_creations: bool, has_caught: bool }
    ChainTime { chain_id: u64, number: U256, timestamp: U256 }
    SnapshotTime { copy: u32, time: ChainTime }
    SnapshotHead { next: u64, count: u32 }
    SnapshotNumber { number: u64, copy: u32 }
    RecordedAccess { kind: u32, account: Address, first: U256, second: U256, third: U256, fourth: U256 }
    Position { journal: u32, logs: u32, selfdestructs: u32 }
    Changes { count: u32, position: Position, changed: u32 }
    ChangedAccount { address: Address, balance: U256, nonce: u64, flags: u32 }
    SetAccount { balance: U256, nonce: u64, flags: u32 }
    NativeEnd { result: u32, gas_used: u64, refund: i64, size: u32 }
    NativeResult { answer: u32, success: bool, gas_used: u64, refund: i64, size: u32 }
    NativeEntry {
        answer: u32, target: Address, caller: Address, value: U256, gas: u64, is_static: bool, depth: u32,
        creates: bool, size: u32,
    }
    DrainedAccount { address: Address, flags: u32, balance: U256, nonce: u64, code_hash: B256, size: u32, slots: u32 }
    HeldAccount { balance: U256, nonce: u64, size: u32 }
    AccessedAccount { address: Address, flags: u32, balance: U256, nonce: u64, size: u32 }
    AccessedSlot { slot: U256, word: U256, is_changed: bool }
    TransientWord { address: Address, slot: U256, word: U256 }
    WarmAccount { address: Address, flags: u32, slots: u32 }
    WarmSlot { slot: U256, is_changed: bool, original: U256 }
    FrameStop { reason: u32, depth: u32, gas: u64, refund: i64 }
    FrameStart { is_static: bool, caller: Address, address: Address, value: U256, size: u32 }
    FrameWord { word: U256, size: u32 }
    FrameRequest { answer: u32, opcode: u32, gas: u64, words: u32 }
    FrameEnd { answer: u32, result: u32, gas: u64, size: u32 }
    RecordedCode { code_hash: B256, size: u32 }
    CallItem {
        item: u8, kind: u8, is_static: u8, flags: u8, gas: u64, caller: Address, code: Address, target: Address,
        value: U256, code_hash: B256, size: u32,
    }
    EndItem {
        item: u8, flags: u8, result: u16, spent: u64, unspent: u64, state_gas: i64, returned: u64, deposit: u64,
        size: u32,
    }
    LogItem { item: u8, topics: u8, unused: u16, emitter: Address }
    SlotItem { item: u32, slot: U256, before: U256, after: U256, refund: i64 }
    DestructionItem { item: u32, address: Address, beneficiary: Address, balance: U256 }
    CountersItem { item: u32, count: u32 }
    StepItem {
        item: u8, flags: u8, opcode: u8, unused: u8, counter: u32, gas: u64, cost: i64, refund: i64, kept: u16,
        pushed: u16,
    }
    MemoryItem { size: u32, start: u32, length: u32 }
}

same_instruction_result! {
    Stop = 1, Return = 2, SelfDestruct = 3, Revert = 16, CallTooDeep = 17, OutOfFunds = 18, OutOfGas = 32,
    MemoryOOG = 33, MemoryLimitOOG = 34, InvalidOperandOOG = 36, ReentrancySentryOOG = 37, OpcodeNotFound = 38,
    CallNotAllowedInsideStatic = 39, StateChangeDuringStaticCall = 40, InvalidFEOpcode = 41, InvalidJump = 42,
    NotActivated = 43, StackUnderflow = 44, StackOverflow = 45, OutOfOffset = 46, CreateCollision = 47,
    OverflowPayment = 48, PrecompileError = 49, CreateContractSizeLimit = 51, CreateContractStartingWithEF = 52,
    CreateInitCodeSizeLimit = 53,
}
same_gas_id! {
    exp_byte_gas = 1, extcodecopy_per_word = 2, copy_per_word = 3, logdata = 4, logtopic = 5, mcopy_per_word = 6,
    keccak256_per_word = 7, memory_linear_cost = 8, memory_quadratic_reduction = 9, initcode_per_word = 10,
    create = 11, call_stipend_reduction = 12, max_refund_quotient = 47, transfer_value_cost = 13,
    cold_account_additional_cost = 14, new_account_cost = 15, warm_storage_read_cost = 16, sstore_static = 17,
    sstore_set_without_load_cost = 18, sstore_reset_without_cold_load_cost = 19, sstore_clearing_slot_refund = 20,
    selfdestruct_refund = 21, call_stipend = 22, cold_storage_additional_cost = 23, cold_storage_cost = 24,
    new_account_cost_for_selfdestruct = 25, code_deposit_cost = 26, tx_eip7702_regular_gas = 27,
    tx_token_non_zero_byte_multiplier = 28, tx_token_cost = 29, tx_floor_cost_per_token = 30,
    tx_floor_cost_base_gas = 31, tx_access_list_address_cost = 32, tx_access_list_storage_key_cost = 33,
    tx_base_stipend = 34, tx_create_cost = 35, tx_initcode_cost = 36, sstore_set_refund = 37, sstore_reset_refund = 38,
    tx_eip7702_regular_refund = 39, sstore_set_state_gas = 40, new_account_state_gas = 41, code_deposit_state_gas = 42,
    create_state_gas = 43, tx_eip7702_state_gas_bytecode = 44, tx_floor_token_zero_byte_multiplier = 45,
    tx_access_list_floor_byte_multiplier = 46, tx_account_write_cost = 48, tx_create_access_cost = 49,
}
