//! What Python and this guest share: `make bindings` writes it from `numbers.py` and `host_calls.py` in
//! `runtimes/evm/frames`. A test compares.

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
    pub const HEAT: u32 = 8;
    pub const HOT_CODE: u32 = 9;
    pub const ADD_REGION: u32 = 10;
    pub const REPORT_CODE: u32 = 11;
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
    pub const KECCAK256: u32 = 17;
    pub const LOG: u32 = 18;
    pub const SELFDESTRUCT: u32 = 19;
    pub const STEP: u32 = 20;
}
