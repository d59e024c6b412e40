//! Cheatcodes on accounts, the block and the whole state, assumptions, and assertions that hold. What is wrong, Python words.

use super::abi::{Value, Words, decode};
use super::codes::{Code, Done, Executed, by_selector};
use super::machine::{CHEATCODES, REJECTED};
use crate::protocol::{Exit, mode};
use crate::session::{Session, bytecode};
use revm::primitives::{Address, HashMap, U256};
use std::sync::OnceLock;

const SIGNATURES: [&str; 18] = [
    "assume(bool)",
    "deal(address,uint256)",
    "etch(address,bytes)",
    "getBlockNumber()",
    "getBlockTimestamp()",
    "getNonce(address)",
    "load(address,bytes32)",
    "revertTo(uint256)",
    "revertToAndDelete(uint256)",
    "revertToState(uint256)",
    "revertToStateAndDelete(uint256)",
    "roll(uint256)",
    "setNonce(address,uint64)",
    "setNonceUnsafe(address,uint64)",
    "snapshot()",
    "snapshotState()",
    "store(address,bytes32,bytes32)",
    "warp(uint256)",
];
/// Types that assertions compare, for equality and by order.
const COMPARED: [&str; 7] = ["uint256", "int256", "bool", "address", "bytes32", "string", "bytes"];
const ORDERED: usize = 2;
/// A difference as large as the number that is expected.
const WHOLE: u64 = 1_000_000_000_000_000_000;

fn signatures() -> Vec<&'static str> {
    let mut found = SIGNATURES.map(String::from).to_vec();
    let mut add = |name: &str, types: &str| {
        found.extend([format!("assert{name}({types})"), format!("assert{name}({types},string)")]);
    };
    add("True", "bool");
    add("False", "bool");
    for (at, kind) in COMPARED.iter().enumerate() {
        for name in ["Eq", "NotEq"] {
            add(name, &format!("{kind},{kind}"));
            add(name, &format!("{kind}[],{kind}[]"));
        }
        for name in ["Gt", "Ge", "Lt", "Le"].iter().filter(|_| at < ORDERED) {
            add(name, &format!("{kind},{kind}"));
        }
    }
    add("ApproxEqAbs", "uint256,uint256,uint256");
    add("ApproxEqRel", "uint256,uint256,uint256");
    found.into_iter().map(|signature| &*signature.leak()).collect()
}

fn parse(data: &[u8]) -> Option<(Code, Vec<Value>)> {
    static CODES: OnceLock<HashMap<[u8; 4], Code>> = OnceLock::new();
    let (selector, values) = data.split_first_chunk::<4>()?;
    let code = *CODES.get_or_init(|| by_selector(&signatures())).get(selector)?;
    Some((code, decode(code.types, values)?))
}

/// True for an address of Filecoin's, whose code and slots Python knows.
fn is_filecoin(address: &Address) -> bool {
    (address[0] == 0xFE || address[0] == 0xFF) && address[1..12].iter().all(|byte| *byte == 0)
}

/// Return whether an assertion holds, by the name after `assert`; false if its numbers are too large to decide.
fn holds(name: &str, types: &[&str], values: &[Value]) -> bool {
    let ordered = |value: &Value| {
        let sign = if types[0] == "int256" { U256::ONE << 255 } else { U256::ZERO };
        value.word().unwrap_or_default() ^ sign
    };
    let [left, rest @ ..] = values else { return false };
    match (name, rest) {
        ("True", _) => left.word() == Some(U256::ONE),
        ("False", _) => left.word() == Some(U256::ZERO),
        ("Eq", [right, ..]) => left == right,
        ("NotEq", [right, ..]) => left != right,
        ("Gt", [right, ..]) => ordered(left) > ordered(right),
        ("Ge", [right, ..]) => ordered(left) >= ordered(right),
        ("Lt", [right, ..]) => ordered(left) < ordered(right),
        ("Le", [right, ..]) => ordered(left) <= ordered(right),
        ("ApproxEqAbs", [right, delta, ..]) => ordered(left).abs_diff(ordered(right)) <= ordered(delta),
        ("ApproxEqRel", [right, share, ..]) => {
            let delta = ordered(left).abs_diff(ordered(right)).checked_mul(U256::from(WHOLE));
            delta.and_then(|delta| delta.checked_div(ordered(right))).is_some_and(|found| found <= ordered(share))
        }
        _ => false,
    }
}

impl Session {
    /// Execute a cheatcode on an account or the block. Fails if a value is missing; it may then be repeated.
    pub fn execute_on_account(&mut self, data: &[u8], depth: u32, output: &mut Vec<u8>) -> Result<Executed, Exit> {
        let Some((code, values)) = parse(data) else { return Ok(Executed::Unknown) };
        let done = |output: Vec<u8>| Ok(Executed::Done(Done { output, origin: None, needs_code: None }));
        if let Some(name) = code.name.strip_prefix("assert") {
            return if holds(name, code.types, &values) { done(Vec::new()) } else { Ok(Executed::Unknown) };
        }
        let block = &self.evm.ctx.block;
        let (number, timestamp) = (block.number, block.timestamp);
        let word = |index: usize| values.get(index).and_then(Value::word).unwrap_or_default();
        match code.name {
            "assume" => return done(if word(0).is_zero() { REJECTED.to_vec() } else { Vec::new() }),
            "getBlockNumber" => return done(Words::default().word(number).0),
            "getBlockTimestamp" => return done(Words::default().word(timestamp).0),
            "snapshot" | "snapshotState" => {
                if self.running.mode & mode::HAS_KERNEL != 0 {
                    return Ok(Executed::Unknown);
                }
                let Some(copy) = self.take_snapshot() else { return Ok(Executed::Unknown) };
                self.own_snapshots.push(copy);
                return done(Words::default().word(U256::from(self.cheats.add_snapshot(copy))).0);
            }
            name if name.starts_with("revertTo") => {
                let number = values[0].number().unwrap_or(u64::MAX);
                let copy = self.cheats.copy_of(number);
                if let Some(copy) = copy
                    && !self.revert_to(copy, output)?
                {
                    return Ok(Executed::Unknown);
                }
                if name.ends_with("AndDelete") {
                    self.cheats.delete_snapshot(number);
                }
                return done(Words::default().number(copy.is_some() as usize).0);
            }
            "roll" => self.set_time(word(0), timestamp),
            "warp" => self.set_time(number, word(0)),
            _ => {
                let account = values[0].address().expect("an address");
                let writes = matches!(code.name, "etch" | "store");
                let is_special = account == CHEATCODES || is_filecoin(&account) || self.evm.precompiles.has(&account);
                if writes && is_special {
                    return Ok(Executed::Unknown);
                }
                self.load(account, output)?;
                return self.execute_on_held(code, account, &values, depth, output);
            }
        }
        done(Vec::new())
    }

    fn execute_on_held(
        &mut self,
        code: Code,
        account: Address,
        values: &[Value],
        depth: u32,
        output: &mut Vec<u8>,
    ) -> Result<Executed, Exit> {
        let word = |index: usize| values[index].word().unwrap_or_default();
        let delegates = self.delegates();
        let journal = &mut self.evm.ctx.journaled_state;
        let (inner, database) = (&mut journal.inner, &mut journal.database);
        let nonce = inner.state[&account].info.nonce;
        let mut result = Vec::new();
        match code.name {
            "deal" => {
                self.set_balance(account, word(1));
                self.cheats.note_deal(account, false, word(1), depth);
            }
            "etch" => {
                let code = values[1].data().cloned().unwrap_or_default();
                self.cheats.stored += code.len() as u64;
                inner.set_code(account, bytecode(code, delegates));
            }
            "getNonce" => result = Words::default().word(U256::from(nonce)).0,
            "load" => match inner.sload(database, account, word(1), false) {
                Ok(found) => result = Words::default().word(found.data).0,
                Err(_) => return Err(self.request(output)),
            },
            "store" => {
                if inner.sstore(database, account, word(1), word(2), false).is_err() {
                    return Err(self.request(output));
                }
                inner.touch(account);
            }
            _ => {
                let given = values[1].number().unwrap_or_default();
                if code.name == "setNonce" && given < nonce {
                    return Ok(Executed::Unknown);
                }
                self.set_nonce(account, given);
                self.cheats.note_deal(account, true, U256::from(given), depth);
            }
        }
        Ok(Executed::Done(Done { output: result, origin: None, needs_code: None }))
    }
}
