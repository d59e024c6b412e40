//! What Python asks the cheatcodes of a session: it stores what they have set, and executes those calls itself whose
//! frames do not run here, such as calls of actors.

use super::codes::{self, Context, Executed};
use super::machine::{Decision, Ended, Result as Outcome};
use super::state::*;
use crate::protocol::{CallOutcome, CallRequest, CheatContext, CheatStatus, cheat_request, cheat_result};
use crate::session::Session;
use crate::wire::{Reader, Write};
use revm::primitives::{Address, B256, Bytes};

fn read_ended(read: &mut Reader<'_>) -> Ended {
    let CallOutcome { success, size, reason_size } = read.get();
    let output = Bytes::copy_from_slice(read.bytes(size));
    let reason = Bytes::copy_from_slice(read.bytes(reason_size));
    Ended { success, output, reason }
}

pub fn write_decision(decision: &Decision, output: &mut Vec<u8>) {
    let Decision { sender, origin, code, answer } = decision;
    output.put(*sender);
    output.put(*origin);
    output.put(*code);
    output.put(answer.is_some());
    if let Some(answer) = answer {
        output.put(answer.mock);
        output.put(answer.reverts);
        output.put(answer.pays);
        output.data(&answer.output);
    }
}

fn write_outcome(outcome: Outcome, output: &mut Vec<u8>) {
    match outcome {
        Outcome::Same => output.put(cheat_result::SAME),
        Outcome::Caught => output.put(cheat_result::CAUGHT),
        Outcome::Rejected => output.put(cheat_result::REJECTED),
        Outcome::Failed(reason) => {
            output.put(cheat_result::FAILED);
            output.put(reason);
        }
        Outcome::Fails(reason) => {
            output.put(cheat_result::FAILS);
            output.put(reason);
        }
    }
}

fn save(cheats: &Cheats, output: &mut Vec<u8>) {
    if *cheats != (Cheats { is_internal: cheats.is_internal, ..Cheats::default() }) {
        output.put(cheats.clone());
    }
}

fn read_context(read: &mut Reader<'_>) -> Context {
    let CheatContext { caller, origin, depth, knows_code, has_code } = read.get();
    Context { caller, origin, depth, has_code: knows_code.then_some(has_code) }
}

fn write_executed(executed: Executed, output: &mut Vec<u8>) {
    match executed {
        Executed::Unknown => output.put(cheat_result::UNKNOWN),
        Executed::Failed(reason) => write_outcome(Outcome::Failed(reason), output),
        Executed::Done(done) => {
            output.put(cheat_result::SAME);
            output.put(done.origin);
            output.put(done.needs_code);
            output.data(&done.output);
        }
    }
}

impl Session {
    /// Write the chain ID, and the block's number and time.
    pub fn write_time(&self, output: &mut Vec<u8>) -> u32 {
        output.put(self.time());
        0
    }

    /// Answer a request for cheatcodes, after which comes what is set (`CheatStatus`).
    pub fn ask_cheats(&mut self, input: &[u8], output: &mut Vec<u8>) -> u32 {
        let mut read = Reader(input);
        let request: u32 = read.get();
        self.take_logs();
        let cheats = &mut self.cheats;
        match request {
            cheat_request::LOAD => {
                let is_internal = read.get();
                *cheats = if read.0.is_empty() { Cheats::default() } else { read.get() };
                cheats.is_internal = is_internal;
            }
            cheat_request::SAVE => {
                save(cheats, output);
                return 0;
            }
            cheat_request::BEFORE => {
                let (cheats, time) = &self.borders.cheats.before;
                output.put(time.clone());
                save(cheats, output);
                return 0;
            }
            cheat_request::ADD_SNAPSHOT => output.put(cheats.add_snapshot(read.get())),
            cheat_request::SNAPSHOTS => {
                self.write_snapshots(read.get(), output);
                return 0;
            }
            cheat_request::FORGET_SNAPSHOTS => self.forget_snapshots(read.list()),
            cheat_request::EXECUTE => {
                let context = read_context(&mut read);
                let executed = match codes::parse(read.0) {
                    Some((code, arguments)) => self.execute_code(code, &arguments, &context, self.held_gas()),
                    None => Executed::Unknown,
                };
                write_executed(executed, output);
            }
            cheat_request::BEGIN_PRANK => {
                let (prank, context) = (read.get(), read_context(&mut read));
                write_executed(cheats.begin_prank(prank, &context), output);
            }
            cheat_request::CHEATCODE_END => {
                let (depth, expects_revert) = (read.get(), read.get());
                write_outcome(cheats.cheatcode_ends(depth, expects_revert, &read_ended(&mut read)), output);
            }
            cheat_request::CALL => {
                let (request, data) = (read.get(), Bytes::copy_from_slice(read.0));
                write_decision(&cheats.call_begins(&request, &data), output);
            }
            cheat_request::CALL_END => {
                let request: CallRequest = read.get();
                let ended = read_ended(&mut read);
                let (outcome, origin) = cheats.call_ends(&request, &ended);
                let deals = cheats.deals_after(request.depth, ended.success);
                output.put(origin);
                output.put(deals);
                write_outcome(outcome, output);
            }
            cheat_request::CREATED => {
                let (deployer, second): (Address, bool) = (read.get(), read.get());
                cheats.created(deployer, second, read.0);
            }
            cheat_request::ANSWERED => cheats.answered(&read.get(), read.get()),
            cheat_request::LOG => {
                let (emitter, topics): (Address, Vec<B256>) = (read.get(), read.list());
                cheats.logged(emitter, &topics, &Bytes::copy_from_slice(read.0));
            }
            cheat_request::ACCEPT => cheats.accept(),
            cheat_request::TEST_END => write_outcome(cheats.test_ends(&read_ended(&mut read)), output),
            cheat_request::PRANKS => output.put(cheats.pranks.values().cloned().collect::<Vec<_>>()),
            cheat_request::DEAL => {
                let deal: Deal = read.get();
                cheats.note_deal(deal.account, deal.is_nonce, deal.amount, deal.depth);
            }
            _ => {}
        }
        let cheats = &self.cheats;
        output.put(CheatStatus {
            call_depth: cheats.call_depth(),
            expects_revert: cheats.revert.is_some(),
            watches_logs: cheats.watches_logs(),
            counts_creations: !cheats.creates.is_empty(),
            has_caught: cheats.has_caught,
        });
        0
    }
}
