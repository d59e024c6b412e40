//! Calls of the console's `log` functions.

use crate::protocol::mode;
use crate::session::Session;
use revm::handler::FrameResult;
use revm::interpreter::interpreter_action::FrameInit;
use revm::interpreter::{CallScheme, FrameInput};
use revm::primitives::{Address, Bytes, HashMap, Log, LogData, U256, address, keccak256};
use std::sync::OnceLock;

pub const CONSOLE: Address = address!("000000000000000000636f6e736f6c652e6c6f67");
/// Bytes of lines that the guest keeps for one call; the observer bounds more.
const MAX_LINES: usize = 1 << 20;

/// Return true if a call of the console is one of a `log` function, whose arguments can be decoded.
fn is_log(data: &[u8]) -> bool {
    static LOGS: OnceLock<HashMap<[u8; 4], Vec<bool>>> = OnceLock::new();
    let Some((selector, values)) = data.split_first_chunk::<4>() else { return false };
    let word = |at: usize| Some(U256::from_be_slice(values.get(at..at.checked_add(32)?)?));
    let is_there = |(index, has_size): (usize, &bool)| {
        let head = word(32 * index)?;
        if *has_size {
            let at = usize::try_from(head).ok()?;
            let end = usize::try_from(word(at)?).ok()?.checked_add(at + 32)?;
            values.get(..end)?;
        }
        Some(())
    };
    let logs = LOGS.get_or_init(logs).get(selector);
    logs.is_some_and(|types| types.iter().enumerate().all(|argument| is_there(argument).is_some()))
}

/// Return the selectors of the `log` functions, and whether each argument has a size.
fn logs() -> HashMap<[u8; 4], Vec<bool>> {
    let types = ["uint256", "string", "bool", "address"].map(String::from);
    let mut lists = vec![vec![]];
    let mut begin = 0;
    for _ in 0..4 {
        let end = lists.len();
        let longer = |list: &Vec<String>| types.clone().map(|last| [list.as_slice(), &[last]].concat());
        lists.extend(lists[begin..end].iter().flat_map(longer).collect::<Vec<_>>());
        begin = end;
    }
    lists.extend((1..=32).map(|size| vec![format!("bytes{size}")]));
    lists.extend([vec!["int256".into()], vec!["bytes".into()], vec!["string".into(), "int256".into()]]);
    let selector = |list: &[String]| keccak256(format!("log({})", list.join(",")))[..4].try_into().expect("four bytes");
    let has_size = |list: Vec<String>| list.iter().map(|kind| kind == "string" || kind == "bytes").collect();
    lists.into_iter().map(|list| (selector(&list), has_size(list))).collect()
}

impl Session {
    /// Take a line; return the result of the call, or None if Python must answer it.
    pub fn write_line(&mut self, init: &FrameInit, data: Bytes) -> Option<FrameResult> {
        if self.borders.cheats.lines + data.len() >= MAX_LINES || !is_log(&data) {
            return None;
        }
        self.borders.cheats.lines += data.len() + size_of::<Log>();
        let is_static = matches!(&init.frame_input, FrameInput::Call(call) if call.scheme == CallScheme::StaticCall);
        if is_static && init.depth == 1 && self.running.mode & mode::ISOLATES != 0 {
            self.make_cold();
        }
        self.evm.ctx.chain.logs.push(Log { address: CONSOLE, data: LogData::new_unchecked(Vec::new(), data) });
        let ended = Self::without_call(init);
        self.record_answer(init, &ended);
        Some(ended)
    }
}
