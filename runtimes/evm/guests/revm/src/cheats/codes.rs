//! The cheatcodes that set what `machine` does, by their selectors.

use super::abi::{Value, Words, decode, split};
use super::machine::{ALL_CHECKS, reason};
use super::state::*;
use crate::protocol::{CHEATCODES, failure};
use revm::primitives::{Address, Bytes, HashMap, U256, keccak256};
use std::sync::OnceLock;

/// The caller of a cheatcode, and the transaction. The account that it names was loaded (`account_of`).
pub struct Context {
    pub caller: Address,
    pub origin: Address,
    pub depth: u32,
    /// Whether the account that it names has code; None if that is not known.
    pub has_code: Option<bool>,
}

/// What a cheatcode has done.
pub struct Done {
    pub output: Vec<u8>,
    /// The origin that contracts see from now on.
    pub origin: Option<Address>,
    /// An account that gets code, since Solidity checks for it before a call.
    pub needs_code: Option<Address>,
}

pub enum Executed {
    Done(Done),
    Failed(Reason),
    /// Python does it, or says what is wrong with it.
    Unknown,
}

type Arguments<'a> = &'a [Value];

/// A cheatcode with the types of its parameters.
#[derive(Clone, Copy)]
pub struct Code {
    pub name: &'static str,
    pub types: &'static [&'static str],
}

/// Gas that a call with a value gets.
const STIPEND: u64 = 2300;

/// Return the cheatcodes of signatures by their selectors.
pub fn by_selector(signatures: &[&'static str]) -> HashMap<[u8; 4], Code> {
    let code = |signature: &&'static str| {
        let selector = keccak256(signature)[..4].try_into().expect("four bytes");
        let (name, types) = signature.split_once('(').expect("a signature");
        (selector, Code { name, types: split(&types[..types.len() - 1]).leak() })
    };
    signatures.iter().map(code).collect()
}

/// Return the cheatcode of calldata, with its arguments.
pub fn parse(data: &[u8]) -> Option<(Code, Vec<Value>)> {
    static CODES: OnceLock<HashMap<[u8; 4], Code>> = OnceLock::new();
    let (selector, values) = data.split_first_chunk::<4>()?;
    let code = *CODES.get_or_init(|| by_selector(&CHEATCODES)).get(selector)?;
    Some((code, decode(code.types, values)?))
}

/// Return the account that a cheatcode names, which must be loaded before it is executed.
pub fn account_of(code: Code, arguments: Arguments<'_>) -> Option<Address> {
    let named = code.name.ends_with("rank") || code.name.starts_with("mockCall");
    named.then(|| arguments.first()?.address()).flatten()
}

fn done(output: Vec<u8>) -> Executed {
    Executed::Done(Done { output, origin: None, needs_code: None })
}

impl Cheats {
    pub fn execute(&mut self, code: Code, arguments: Arguments<'_>, context: &Context) -> Executed {
        match code.name {
            "prank" | "startPrank" => self.prank(code.name == "prank", arguments, context),
            "stopPrank" => {
                let prank = self.pranks.remove(&context.depth);
                let origin = prank.and_then(|prank| prank.origin.map(|_| prank.old_origin));
                Executed::Done(Done { output: Vec::new(), origin, needs_code: None })
            }
            "readCallers" => self.read_callers(context),
            "expectEmit" | "expectEmitAnonymous" => {
                self.expect_emit(code.name == "expectEmitAnonymous", arguments, context)
            }
            "expectCall" | "expectCallMinGas" | "expectDelegateCall" => self.expect_call(code, arguments),
            "expectCreate" | "expectCreate2" => {
                let (Some(code_of), Some(deployer)) = (arguments[0].data(), arguments[1].address()) else {
                    return Executed::Unknown;
                };
                let second = code.name == "expectCreate2";
                self.creates.push(ExpectedCreate { deployer, code: code_of.clone(), second });
                done(Vec::new())
            }
            "mockFunction" => match arguments {
                [Value::Address(callee), Value::Address(target), Value::Data(data)] => {
                    self.functions.entry(*callee).or_default().insert(data.clone(), *target);
                    done(Vec::new())
                }
                _ => Executed::Unknown,
            },
            "mockCall" | "mockCalls" | "mockCallRevert" => self.mock(code, arguments, context),
            "clearMockedCalls" => {
                self.mocks.clear();
                done(Vec::new())
            }
            "deleteStateSnapshot" | "deleteSnapshot" => {
                let number = arguments[0].number().unwrap_or(u64::MAX);
                done(Words::default().number(self.delete_snapshot(number) as usize).0)
            }
            "deleteStateSnapshots" | "deleteSnapshots" => {
                self.snapshots.clear();
                done(Vec::new())
            }
            "recordLogs" => {
                self.logs = Some(Shared::default());
                done(Vec::new())
            }
            "getRecordedLogs" => {
                let logs = self.logs.replace(Shared::default()); // as in forge, the recording begins if there is none
                done(encoded(&logs.unwrap_or_default()))
            }
            "pauseGasMetering" | "resumeGasMetering" | "resetGasMetering" => {
                self.pauses_gas = code.name == "pauseGasMetering";
                done(Vec::new())
            }
            "assumeNoRevert" => self.assume_no_revert(arguments, context),
            _ => self.expect_revert(code.name, arguments, context),
        }
    }

    fn prank(&mut self, once: bool, arguments: Arguments<'_>, context: &Context) -> Executed {
        let mut addresses = arguments.iter().filter_map(Value::address);
        let delegates = arguments.iter().any(|value| value.word() == Some(U256::ONE));
        let (sender, origin) = (addresses.next().expect("a sender"), addresses.next());
        if delegates {
            match context.has_code {
                None => return Executed::Unknown,
                Some(false) => return Executed::Failed(reason(failure::NO_CODE)),
                Some(true) => {}
            }
        }
        let prank = Prank { sender, origin, once, delegates, ..Prank::default() };
        self.begin_prank(prank, context)
    }

    /// Begin a prank or a broadcast for calls of the caller.
    pub fn begin_prank(&mut self, prank: Prank, context: &Context) -> Executed {
        if let Some(ongoing) = self.prank_at(context.depth) {
            match (ongoing.broadcasts, prank.broadcasts) {
                (true, true) => return Executed::Failed(reason(failure::SECOND_BROADCAST)),
                (true, false) => return Executed::Failed(reason(failure::BROADCASTS)),
                (false, true) => return Executed::Failed(reason(failure::PRANKED)),
                _ => {}
            }
            if !ongoing.is_used {
                return Executed::Failed(reason(failure::UNUSED_PRANK));
            }
            if ongoing.once != prank.once {
                return Executed::Failed(reason(failure::OTHER_PRANK));
            }
        }
        let Context { caller, origin: old_origin, depth, .. } = *context;
        self.pranks.insert(depth, Prank { caller, old_origin, depth, ..prank });
        done(Vec::new())
    }

    /// Write the mode of the next call by the caller, its sender and its origin.
    fn read_callers(&self, context: &Context) -> Executed {
        let (mode, sender, origin) = match self.prank_at(context.depth) {
            None => (0, context.origin, context.origin),
            Some(prank) => {
                let mode = if prank.broadcasts { 1 } else { 3 } + !prank.once as usize;
                (mode, prank.sender, prank.origin.unwrap_or(context.origin))
            }
        };
        done(Words::default().number(mode).address(sender).address(origin).0)
    }

    fn expect_revert(&mut self, name: &str, arguments: Arguments<'_>, context: &Context) -> Executed {
        if self.revert.is_some() {
            return Executed::Failed(reason(failure::SECOND_REVERT));
        }
        self.revert = Some(ExpectedRevert {
            depth: context.depth,
            reason: arguments.iter().find_map(Value::data).cloned(),
            is_partial: name == "expectPartialRevert",
            reverter: arguments.iter().find_map(Value::address),
            count: arguments.iter().find_map(Value::number).unwrap_or(1),
            of_cheatcode: name == "_expectCheatcodeRevert",
            max_depth: context.depth,
            ..ExpectedRevert::default()
        });
        done(Vec::new())
    }

    fn expect_emit(&mut self, is_anonymous: bool, arguments: Arguments<'_>, context: &Context) -> Executed {
        let emitter = arguments.iter().find_map(Value::address);
        let words: Vec<u64> = arguments.iter().filter_map(Value::number).collect();
        let given = if is_anonymous { 5 } else { 4 };
        let mut checks = ALL_CHECKS;
        let mut count = words.first().copied().unwrap_or(1);
        if words.len() >= given {
            checks = words[..given].iter().enumerate().map(|(bit, is_checked)| (*is_checked as u32) << bit).sum();
            // Unless the event is anonymous, the first topic is always compared.
            checks = if is_anonymous { checks } else { checks << 1 | 1 };
            count = words.get(given).copied().unwrap_or(1);
        }
        let expected =
            ExpectedEmit { depth: context.depth, checks, emitter, is_anonymous, count, ..ExpectedEmit::default() };
        let at = self.emits.iter().position(|known| known.is_found).unwrap_or(self.emits.len());
        self.emits.insert(at, expected);
        done(Vec::new())
    }

    fn expect_call(&mut self, code: Code, arguments: Arguments<'_>) -> Executed {
        let Some(callee) = arguments[0].address() else { return Executed::Unknown };
        let Some(at) = arguments.iter().position(|value| value.data().is_some()) else { return Executed::Unknown };
        let data = arguments[at].data().expect("found").clone();
        let numbers = &arguments[1..at];
        let value = numbers.first().and_then(Value::word);
        let stipend = if value.is_some_and(|value| !value.is_zero()) { STIPEND } else { 0 };
        let limit = numbers.get(1).and_then(Value::number).map(|gas| gas.saturating_add(stipend));
        let is_minimum = code.name == "expectCallMinGas";
        let count = arguments.get(at + 1).and_then(Value::number);
        let delegates = code.name == "expectDelegateCall";
        let same = |known: &&mut ExpectedCall| (&known.data, known.delegates) == (&data, delegates);
        let calls = self.calls.entry(callee).or_default();
        if let Some(known) = calls.iter_mut().find(same) {
            match (count, known.is_exact) {
                (Some(_), _) => return Executed::Failed(reason(failure::COUNTED_TWICE)),
                (None, true) => return Executed::Failed(reason(failure::COUNTED)),
                _ => known.count += 1,
            }
            return done(Vec::new());
        }
        calls.push(ExpectedCall {
            data,
            delegates,
            value,
            gas: limit.filter(|_| !is_minimum),
            min_gas: limit.filter(|_| is_minimum),
            count: count.unwrap_or(1),
            is_exact: count.is_some(),
            actual_count: 0,
        });
        done(Vec::new())
    }

    fn mock(&mut self, code: Code, arguments: Arguments<'_>, context: &Context) -> Executed {
        let Some(callee) = arguments[0].address() else { return Executed::Unknown };
        let mut rest = &arguments[1..];
        let value = rest[0].word();
        if value.is_some() {
            rest = &rest[1..];
        }
        let Some(data) = rest[0].data().cloned() else { return Executed::Unknown };
        let answers: VecDequeOf = match &rest[1] {
            Value::Data(answer) => [answer.clone()].into(),
            answers => answers.list().unwrap_or_default().iter().filter_map(Value::data).cloned().collect(),
        };
        let with_code = rest.get(2).and_then(Value::word) != Some(U256::ZERO);
        let mocks = self.mocks.entry(callee).or_default();
        mocks.retain(|known| (&known.data, known.value) != (&data, value));
        mocks.push(Mock { data, value, answers, reverts: code.name == "mockCallRevert" });
        let needs_code = (with_code && context.has_code == Some(false)).then_some(callee);
        Executed::Done(Done { output: Vec::new(), origin: None, needs_code })
    }

    fn assume_no_revert(&mut self, arguments: Arguments<'_>, context: &Context) -> Executed {
        if self.assumed.is_some() {
            return Executed::Failed(reason(failure::SECOND_ASSUMPTION));
        }
        let acceptable = |value: &Value| match value.list()? {
            [Value::Address(reverter), Value::Word(is_partial), Value::Data(reason)] => Some(Acceptable {
                reverter: Some(*reverter).filter(|reverter| !reverter.is_zero()),
                is_partial: !is_partial.is_zero(),
                reason: reason.clone(),
            }),
            _ => None,
        };
        let given = match arguments {
            [Value::List(values)] if values.first().is_none_or(|first| first.list().is_some()) => values.as_slice(),
            given => given,
        };
        let Some(reasons) = given.iter().map(acceptable).collect() else { return Executed::Unknown };
        self.assumed = Some(Assumed { depth: context.depth, reasons, reverted_by: None });
        done(Vec::new())
    }
}

type VecDequeOf = std::collections::VecDeque<Bytes>;

/// Return logs as `getRecordedLogs` does: `(bytes32[], bytes, address)[]`.
fn encoded(logs: &[Shared<Emitted>]) -> Vec<u8> {
    let mut offset = 32 * logs.len();
    let mut heads = Words::default().number(32).number(logs.len());
    let mut tails = Vec::new();
    for log in logs {
        heads = heads.number(offset);
        let topics = 32 * (1 + log.topics.len());
        let mut tail = Words::default().number(96).number(96 + topics).address(log.emitter).number(log.topics.len());
        log.topics.iter().for_each(|topic| tail.0.extend_from_slice(topic.as_slice()));
        let tail = tail.data(&log.data).0;
        offset += tail.len();
        tails.extend_from_slice(&tail);
    }
    heads.0.extend_from_slice(&tails);
    heads.0
}
