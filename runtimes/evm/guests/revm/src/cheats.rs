//! Cheatcodes of Foundry that the guest executes itself, while nothing is set that they could meet: `deal` and `prank` by
//! the first frame, `assume`, and calls of the console's `log` functions. If the transaction stops for its observer after one of them, or
//! a prank is left at its end, it begins again, and the observer executes all of them.

use crate::session::{Exit, Session, mode};
use revm::context::JournalEntry;
use revm::handler::FrameResult;
use revm::interpreter::interpreter_action::FrameInit;
use revm::interpreter::{CallScheme, FrameInput, InstructionResult};
use revm::primitives::{Address, Bytes, HashMap, Log, LogData, U256, address, keccak256};
use std::sync::OnceLock;

pub const CHEATCODES: Address = address!("7109709ecfa91a80626ff3989d68f67f5b1dd12d");
pub const CONSOLE: Address = address!("000000000000000000636f6e736f6c652e6c6f67");

mod selector {
    pub const ASSUME: [u8; 4] = [0x4c, 0x63, 0xe5, 0x62];
    pub const DEAL: [u8; 4] = [0xc8, 0x8a, 0x5e, 0x6d];
    pub const PRANK: [u8; 4] = [0xca, 0x66, 0x9f, 0xa7];
}

/// Bytes of console lines that the guest keeps for one call; the observer bounds more.
const MAX_LINES: usize = 1 << 20;
/// Revert data of `assume`.
const REJECTED: &[u8] = b"FOUNDRY::ASSUME";

/// What cheatcodes have done in a call that has not stopped.
#[derive(Default)]
pub struct Cheats {
    /// The observer executes all of them.
    pub are_off: bool,
    pub have_run: bool,
    /// Bytes of console lines.
    pub lines: usize,
    /// Sender of the next call by the first frame.
    pub prank: Option<Address>,
    /// Senders of such calls, which exist after the transaction.
    pub touched: Vec<Address>,
}

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
    /// Return the result of a call of a cheatcode that needs no observer; other calls get the sender of a prank. Fails if
    /// a value is missing; the call may then be repeated.
    pub fn cheat(&mut self, init: &mut FrameInit, output: &mut Vec<u8>) -> Result<Option<FrameResult>, Exit> {
        if !self.borders.executes_cheatcodes() {
            return Ok(None);
        }
        let called = match &init.frame_input {
            FrameInput::Call(call) => Some(call.bytecode_address).filter(|address| self.borders.is_watched(address)),
            _ => None,
        };
        match (called, &init.frame_input) {
            (None, _) => {
                self.apply_prank(init);
                Ok(None)
            }
            (Some(address), FrameInput::Call(call))
                if matches!(call.scheme, CallScheme::Call | CallScheme::StaticCall) && call.value.get().is_zero() =>
            {
                let data = call.input.bytes(&self.evm.ctx);
                let is_rejected = match address {
                    CONSOLE if self.borders.cheats.lines + data.len() < MAX_LINES && is_log(&data) => {
                        self.borders.cheats.lines += data.len() + size_of::<Log>();
                        let is_cold = call.scheme == CallScheme::StaticCall && init.depth == 1;
                        if is_cold && self.running.mode & mode::ISOLATES != 0 {
                            self.make_cold();
                        }
                        let data = LogData::new_unchecked(Vec::new(), data);
                        self.evm.ctx.chain.logs.push(Log { address, data });
                        Some(false)
                    }
                    CHEATCODES => self.executed(&data, init.depth, output)?,
                    _ => None,
                };
                self.borders.cheats.have_run |= is_rejected.is_some();
                Ok(is_rejected.map(|is_rejected| {
                    let FrameResult::Call(mut outcome) = Self::without_call(init) else { unreachable!("it is a call") };
                    if is_rejected {
                        outcome.result.result = InstructionResult::Revert;
                        outcome.result.output = Bytes::from_static(REJECTED);
                    }
                    FrameResult::Call(outcome)
                }))
            }
            _ => Ok(None),
        }
    }

    /// Execute a cheatcode: None if the observer must do it, else whether it rejects the inputs of the run.
    fn executed(&mut self, data: &[u8], depth: usize, output: &mut Vec<u8>) -> Result<Option<bool>, Exit> {
        let Some((selector, values)) = data.split_first_chunk::<4>() else { return Ok(None) };
        let (mut words, rest) = (values.chunks_exact(32).map(U256::from_be_slice), values.len() % 32);
        let (first, second, is_more) = (words.next(), words.next(), words.next().is_some() || rest != 0);
        let account = first.filter(|word| word.bit_len() <= 160).map(|word| Address::from_word(word.into()));
        match (*selector, first, second, is_more) {
            (selector::ASSUME, Some(word), None, false) if word <= U256::ONE => Ok(Some(word.is_zero())),
            (selector::DEAL, _, Some(balance), false) if depth == 1 && account.is_some() => {
                let address = account.expect("checked");
                self.load(address, output)?;
                let inner = &mut self.evm.ctx.journaled_state.inner;
                let account = inner.state.get_mut(&address).expect("it was loaded");
                let old_balance = std::mem::replace(&mut account.info.balance, balance);
                inner.journal.push(JournalEntry::BalanceChange { address, old_balance });
                inner.touch(address);
                Ok(Some(false))
            }
            (selector::PRANK, _, None, false) if depth == 1 && self.borders.cheats.prank.is_none() => {
                if let Some(sender) = account {
                    self.load(sender, output)?;
                }
                self.borders.cheats.prank = account;
                Ok(account.map(|_| false))
            }
            _ => Ok(None),
        }
    }

    /// Give the first frame's call the sender of its prank, which ends with it. Delegate calls keep their sender.
    fn apply_prank(&mut self, init: &mut FrameInit) {
        let Some(sender) = self.borders.cheats.prank.filter(|_| init.depth == 1) else { return };
        let delegates = matches!(&init.frame_input, FrameInput::Call(call) if call.scheme == CallScheme::DelegateCall);
        if !delegates {
            self.borders.cheats.touched.push(sender);
            match &mut init.frame_input {
                FrameInput::Call(call) => call.caller = sender,
                FrameInput::Create(creation) => creation.set_call(sender),
                FrameInput::Empty => {}
            }
        }
        self.borders.cheats.prank = None;
    }

    /// Load an account, which becomes warm.
    pub fn load(&mut self, address: Address, output: &mut Vec<u8>) -> Result<(), Exit> {
        let journal = &mut self.evm.ctx.journaled_state;
        let loaded = journal.inner.load_account_mut_optional_code(&mut journal.database, address, true, false).is_ok();
        if loaded { Ok(()) } else { Err(self.request(output)) }
    }
}
