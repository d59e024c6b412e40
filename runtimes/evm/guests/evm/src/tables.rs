//! What Python and this guest share: `make bindings` writes it from `runtimes/evm/gas_table.py`, `fast/numbers.py` and
//! the host calls of `fast/host_calls.py` and `fast/tree.py`. A test compares.

pub const EXCHANGE: usize = 65536;

pub mod command {
    pub const MAILBOX: u32 = 0;
    pub const START: u32 = 1;
    pub const RESUME: u32 = 2;
    pub const ADD_RULES: u32 = 3;
    pub const ADD_CODE: u32 = 4;
    pub const DROP_CODE: u32 = 5;
    pub const RESERVE: u32 = 6;
    pub const DROP_FRAME: u32 = 7;
    pub const START_TREE: u32 = 8;
    pub const SEED: u32 = 10;
    pub const RESUME_TREE: u32 = 11;
    pub const GO_ON: u32 = 12;
    pub const HEAT: u32 = 13;
    pub const HOT_CODE: u32 = 14;
    pub const ADD_REGION: u32 = 15;
    pub const REPORT_CODE: u32 = 16;
}

pub mod exit {
    pub const SUCCESS: u32 = 0;
    pub const READ_ONLY: u32 = 25;
    pub const REVERT: u32 = 33;
    pub const INVALID_INSTRUCTION: u32 = 34;
    pub const UNDEFINED_INSTRUCTION: u32 = 35;
    pub const STACK_UNDERFLOW: u32 = 36;
    pub const STACK_OVERFLOW: u32 = 37;
    pub const ILLEGAL_MEMORY_ACCESS: u32 = 38;
    pub const BAD_JUMPDEST: u32 = 39;
    pub const ASK: u32 = 100;
    pub const RAISED: u32 = 101;
    pub const NO_ROOM: u32 = 102;
    pub const OUT_OF_GAS: u32 = 103;
    pub const LEFT: u32 = 104;
    pub const HALTED: u32 = 107;
}

pub mod host_call {
    pub const OVERDRAW: u32 = 0;
    pub const GROW: u32 = 1;
    pub const GET_STORAGE: u32 = 2;
    pub const SET_STORAGE: u32 = 3;
    pub const GET_TRANSIENT: u32 = 4;
    pub const SET_TRANSIENT: u32 = 5;
    pub const BALANCE: u32 = 6;
    pub const SELF_BALANCE: u32 = 7;
    pub const CODE_SIZE: u32 = 8;
    pub const CODE_HASH: u32 = 9;
    pub const LOAD_CODE: u32 = 10;
    pub const COPY_CODE: u32 = 11;
    pub const CONTEXT: u32 = 12;
    pub const ORIGIN: u32 = 13;
    pub const PREV_RANDAO: u32 = 14;
    pub const GAS_LEFT: u32 = 15;
    pub const BLOCK_HASH: u32 = 16;
    pub const BLOB_HASH: u32 = 17;
    pub const BLOB_BASE_FEE: u32 = 18;
    pub const SLOT_NUMBER: u32 = 19;
    pub const KECCAK256: u32 = 20;
    pub const LOG: u32 = 21;
    pub const SELFDESTRUCT: u32 = 22;
    pub const STEP: u32 = 23;
    pub const TICK: u32 = 24;
    pub const ACCOUNT: u32 = 25;
    pub const SLOT: u32 = 26;
    pub const TRANSIENT: u32 = 27;
    pub const ACCOUNT_CODE: u32 = 28;
    pub const TAKE: u32 = 29;
    pub const PRECOMPILE: u32 = 30;
}

pub mod tree_flag {
    pub const DELEGATIONS: u64 = 1;
    pub const P256: u64 = 2;
    pub const BOUNDED_MODEXP: u64 = 8;
    pub const STATIC: u64 = 16;
    pub const TOLD: u64 = 32;
    pub const MAY_WAIT: u64 = 64;
    pub const ASKS: u64 = 128;
    pub const REPRICED_MODEXP: u64 = 256;
    pub const CLEARS_EMPTY: u64 = 512;
    pub const KEEPS_64TH: u64 = 1024;
    pub const PAYS_FOR_CREATION: u64 = 2048;
    pub const RESERVES_0XEF: u64 = 4096;
    pub const DESTROYS_NEW_ONLY: u64 = 8192;
    pub const TRANSFER_LOGS: u64 = 16384;
    pub const BURNS_BALANCE: u64 = 32768;
}

pub mod account {
    pub const LEAVE: u64 = 1;
    pub const EXISTS: u64 = 2;
    pub const WARM: u64 = 4;
    pub const CREATED: u64 = 8;
    pub const HAS_SLOTS: u64 = 16;
    pub const HAD_SLOTS: u64 = 32;
    pub const DELEGATES: u64 = 64;
    pub const UNTOUCHED: u64 = 128;
    pub const ASKED: u64 = 256;
    pub const DESTROYED: u64 = 512;
}

pub mod change {
    pub const WARM: u64 = 1;
    pub const TOUCHED: u64 = 2;
    pub const CREATED: u64 = 4;
    pub const DESTROYED: u64 = 8;
    pub const PAID: u64 = 16;
    pub const COUNTED: u64 = 32;
    pub const CODE: u64 = 64;
}

pub const GAS_PRICES: usize = 38;

#[derive(Clone, Copy, Default)]
pub struct GasTable {
    pub exp_byte: u64,
    pub memory_word: u64,
    pub memory_quotient: u64,
    pub copy_word: u64,
    pub keccak_word: u64,
    pub log_byte: u64,
    pub cold_account: u64,
    pub cold_slot: u64,
    pub warm: u64,
    pub set_slot: u64,
    pub reset_slot: u64,
    pub clear_refund: u64,
    pub call_stipend: u64,
    pub call_value: u64,
    pub new_account: u64,
    pub code_byte: u64,
    pub init_code_word: u64,
    pub sha256_base: u64,
    pub sha256_word: u64,
    pub ripemd160_base: u64,
    pub ripemd160_word: u64,
    pub identity_base: u64,
    pub identity_word: u64,
    pub bn254_add: u64,
    pub bn254_mul: u64,
    pub bn254_pairing_base: u64,
    pub bn254_pairing_pair: u64,
    pub net_slots: u64,
    pub dirty_slot: u64,
    pub slot_sentry: u64,
    pub destroy_refund: u64,
    pub heir_account: u64,
    pub cold_write: u64,
    pub code_read: u64,
    pub code_word: u64,
    pub state_byte: u64,
    pub account_bytes: u64,
    pub slot_bytes: u64,
}

impl GasTable {
    pub fn of(numbers: &[u64]) -> GasTable {
        GasTable {
            exp_byte: numbers[0],
            memory_word: numbers[1],
            memory_quotient: numbers[2],
            copy_word: numbers[3],
            keccak_word: numbers[4],
            log_byte: numbers[5],
            cold_account: numbers[6],
            cold_slot: numbers[7],
            warm: numbers[8],
            set_slot: numbers[9],
            reset_slot: numbers[10],
            clear_refund: numbers[11],
            call_stipend: numbers[12],
            call_value: numbers[13],
            new_account: numbers[14],
            code_byte: numbers[15],
            init_code_word: numbers[16],
            sha256_base: numbers[17],
            sha256_word: numbers[18],
            ripemd160_base: numbers[19],
            ripemd160_word: numbers[20],
            identity_base: numbers[21],
            identity_word: numbers[22],
            bn254_add: numbers[23],
            bn254_mul: numbers[24],
            bn254_pairing_base: numbers[25],
            bn254_pairing_pair: numbers[26],
            net_slots: numbers[27],
            dirty_slot: numbers[28],
            slot_sentry: numbers[29],
            destroy_refund: numbers[30],
            heir_account: numbers[31],
            cold_write: numbers[32],
            code_read: numbers[33],
            code_word: numbers[34],
            state_byte: numbers[35],
            account_bytes: numbers[36],
            slot_bytes: numbers[37],
        }
    }
}
