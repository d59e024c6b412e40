//! Cheatcodes of Foundry: what they set (`state`), what that does to calls (`machine`), and its part in a session. Those
//! that need neither files nor the world outside are executed here (`codes`, `accounts`); the others stop for Python.

mod abi;
mod accounts;
pub mod codes;
pub mod console;
pub mod machine;
pub mod messages;
pub mod state;

use crate::borders::{data_of, request_of};
use crate::protocol::{CallRequest, ChainTime, Exit, call_scheme, mode};
use crate::record;
use crate::session::Session;
use crate::wire::Write;
use abi::Value;
use codes::{Code, Context, Done, Executed};
use console::CONSOLE;
use machine::{ANY, ANY_ADDRESS, CHEATCODES, Decision, Ended, REJECTED, Result as Outcome};
use revm::context::JournalEntry;
use revm::handler::FrameResult;
use revm::interpreter::interpreter_action::FrameInit;
use revm::interpreter::{CallScheme, FrameInput, InstructionResult};
use revm::primitives::{Address, Bytes, U256};
use state::{Cheats, Reason};

/// Bytes of calldata that the guest stores in a test; the observer bounds more.
const MAX_STORED: u64 = 64 << 20;
/// Calldata that is bounded by its gas.
const SMALL: usize = 1 << 10;

/// Cheatcodes in the call of a test that is running.
#[derive(Default)]
pub struct Running {
    /// What they had set, and the chain ID and the block's number and time, when it began.
    pub before: (Cheats, ChainTime),
    /// Calls that have not ended, each with the number of native actors that wait: their calls are no deeper.
    open: Vec<(CallRequest, usize)>,
    /// The decision on the call at which it has stopped.
    pub decision: Option<Decision>,
    /// Calls of cheatcodes that have not ended: their depths, and whether a revert was expected before them.
    cheatcodes: Vec<(u32, bool)>,
    /// Number of logs that were taken.
    taken: usize,
    /// Bytes of console lines.
    pub lines: usize,
    /// Senders of calls, which exist after the transaction.
    pub touched: Vec<Address>,
}

impl Running {
    /// Note that the call at a depth is made as another sender.
    pub fn enter_as(&mut self, depth: usize, sender: Address) {
        if let Some((open, _)) = self.open.last_mut().filter(|(open, _)| open.depth == depth as u32) {
            open.sender = sender;
        }
    }
}

/// Return the name of a halt in forge's `EvmError`.
fn halt_name(result: InstructionResult) -> Option<&'static str> {
    use InstructionResult::*;
    Some(match result {
        OutOfGas
        | MemoryOOG
        | MemoryLimitOOG
        | ReentrancySentryOOG
        | OverflowPayment
        | PrecompileError
        | CreateContractSizeLimit
        | CreateInitCodeSizeLimit => "OutOfGas",
        OpcodeNotFound | NotActivated => "OpcodeNotFound",
        CallNotAllowedInsideStatic | StateChangeDuringStaticCall => "StateChangeDuringStaticCall",
        InvalidFEOpcode | CreateContractStartingWithEF => "InvalidFEOpcode",
        InvalidJump => "InvalidJump",
        StackUnderflow => "StackUnderflow",
        StackOverflow => "StackOverflow",
        _ => return None,
    })
}

fn ended_of(ended: &FrameResult) -> Ended {
    let result = ended.instruction_result();
    let output = if result.is_ok_or_revert() { ended.output().into_data() } else { Bytes::new() };
    let halt = || halt_name(result).map(|name| Bytes::from(format!("EvmError: {name}").into_bytes()));
    let reason = if output.is_empty() { halt().unwrap_or_default() } else { output.clone() };
    Ended { success: result.is_ok(), output, reason }
}

fn replace(ended: &mut FrameResult, result: InstructionResult, output: &'static [u8], created: Option<Address>) {
    let output = Bytes::from_static(output);
    match ended {
        FrameResult::Call(outcome) => (outcome.result.result, outcome.result.output) = (result, output),
        FrameResult::Create(outcome) => {
            let output = if created.is_some() { Bytes::new() } else { output };
            (outcome.result.result, outcome.result.output, outcome.address) = (result, output, created);
        }
    }
}

/// Make a requested call as another sender.
pub fn set_sender(init: &mut FrameInit, sender: Address) {
    match &mut init.frame_input {
        FrameInput::Call(inputs) => {
            inputs.caller = sender;
            if inputs.scheme == CallScheme::DelegateCall {
                inputs.target_address = sender;
            }
        }
        FrameInput::Create(inputs) => inputs.set_call(sender),
        FrameInput::Empty => {}
    }
}

impl Session {
    /// Begin a call of a test.
    pub fn begin_cheats(&mut self) {
        self.forget_unused();
        let before = (self.cheats.clone(), self.time());
        self.borders.cheats = Running { before, ..Running::default() };
    }

    /// Undo what cheatcodes have set since the call began, which begins again or is rejected.
    pub fn undo_cheats(&mut self) {
        let running = std::mem::take(&mut self.borders.cheats);
        let (cheats, time) = running.before.clone();
        self.cheats = cheats;
        self.set_time(time);
        self.renew_metering();
        self.borders.cheats.before = running.before;
    }

    /// True if frames use no gas: metering is paused, and the guest runs them.
    pub fn pauses_gas(&self) -> bool {
        self.cheats.pauses_gas && self.running.mode & (mode::CALL | mode::PYTHON_FRAMES) == mode::CALL
    }

    fn renew_metering(&mut self) {
        let pauses = self.pauses_gas();
        let chain = &mut self.evm.ctx.chain;
        if chain.pauses != pauses {
            chain.pauses = pauses;
            chain.paused.clear();
        }
    }

    /// Execute a cheatcode whose call has this limit of gas.
    fn execute_code(&mut self, code: Code, arguments: &[Value], context: &Context, gas: u64) -> Executed {
        if code.name == "resetGasMetering"
            && let Ok(own) = self.frame_gas()
        {
            own.set_remaining(own.limit().saturating_sub(gas));
            own.set_refund(0);
        }
        let executed = self.cheats.execute(code, arguments, context);
        self.renew_metering();
        executed
    }

    /// True if cheatcodes have changed what was set when the call began.
    pub fn has_cheated(&self) -> bool {
        self.cheats != self.borders.cheats.before.0
    }

    /// True if the chain ID, or the block's number or time, is another one than when the call began.
    pub fn has_changed_time(&self) -> bool {
        self.time() != self.borders.cheats.before.1
    }

    /// Return the chain ID, and the block's number and time, that contracts see.
    pub fn time(&self) -> ChainTime {
        let ctx = &self.evm.ctx;
        ChainTime { chain_id: ctx.cfg.chain_id, number: ctx.block.number, timestamp: ctx.block.timestamp }
    }

    /// Set the chain ID, and the block's number and time, that contracts see.
    pub fn set_time(&mut self, time: ChainTime) {
        if self.time() == time {
            return;
        }
        let ctx = &mut self.evm.ctx;
        if ctx.block.number != time.number {
            ctx.journaled_state.database.forget_hashes();
        }
        ctx.cfg.chain_id = time.chain_id;
        (ctx.block.number, ctx.block.timestamp) = (time.number, time.timestamp);
        self.times += 1;
    }

    /// Return the result of a call that a cheatcode, the console or a mock answers; others get the sender of a prank. Fails
    /// if a value is missing, and where Python says why a cheatcode fails; the call may then be repeated.
    pub fn cheat(&mut self, init: &mut FrameInit, output: &mut Vec<u8>) -> Result<Option<FrameResult>, Exit> {
        if !self.borders.has_cheatcodes() || init.depth == 0 || self.borders.is_entering {
            return Ok(None);
        }
        let called = match &init.frame_input {
            FrameInput::Call(call) => Some(call.bytecode_address).filter(|address| self.borders.is_watched(address)),
            _ => None,
        };
        match (called, &init.frame_input) {
            (Some(address), FrameInput::Call(call)) => {
                self.take_logs();
                let is_plain = matches!(call.scheme, CallScheme::Call | CallScheme::StaticCall);
                let is_plain = is_plain && call.value.get().is_zero();
                let data = call.input.bytes(&self.evm.ctx);
                if address == CONSOLE {
                    return Ok(if is_plain { self.write_line(init, data) } else { None });
                }
                let expects_revert = self.cheats.revert.is_some();
                let running = &mut self.borders.cheats.cheatcodes;
                if running.last().is_none_or(|(depth, _)| *depth != init.depth as u32) {
                    running.push((init.depth as u32, expects_revert));
                }
                if !is_plain || self.borders.stops_at_cheatcodes() {
                    return Ok(None);
                }
                self.execute_cheatcode(init, &data, output)
            }
            _ => self.intercept(init, output),
        }
    }

    /// True if the last call that has not ended is one of a frame at this depth.
    fn is_open(&self, depth: u32) -> bool {
        let waiting = self.borders.natives.waiting();
        self.borders.cheats.open.last().is_some_and(|(open, at)| (open.depth, *at) == (depth, waiting))
    }

    fn execute_cheatcode(
        &mut self,
        init: &FrameInit,
        data: &Bytes,
        output: &mut Vec<u8>,
    ) -> Result<Option<FrameResult>, Exit> {
        let call = request_of(init, &self.evm.ctx);
        let size = data.len().saturating_sub(SMALL) as u64;
        let executed = match codes::parse(data) {
            _ if self.cheats.stored + size > MAX_STORED => Executed::Unknown,
            Some((code, arguments)) => {
                let mut has_code = None;
                let account_is_vm = codes::account_of(code, &arguments) == Some(CHEATCODES);
                if let Some(account) = codes::account_of(code, &arguments) {
                    self.load(account, output)?;
                    let info = &self.evm.ctx.journaled_state.inner.state[&account].info;
                    let has_own = info.code.as_ref().is_some_and(|code| !code.is_empty());
                    let is_prank = code.name.ends_with("rank");
                    has_code = Some(has_own || !is_prank && self.evm.precompiles.has(&account));
                    if is_prank {
                        self.borders.cheats.touched.push(account);
                    }
                }
                if code.name.ends_with("rank") && account_is_vm {
                    return Ok(None); // the test may fail by it, which Python notes
                }
                let (caller, origin) = (call.caller, self.evm.ctx.tx.caller);
                self.cheats.stored += size;
                let context = Context { caller, origin, depth: call.depth, has_code };
                self.execute_code(code, &arguments, &context, call.gas)
            }
            None => self.execute_on_account(data, call.depth, output)?,
        };
        match executed {
            Executed::Unknown => Ok(None),
            Executed::Failed(reason) => Err(self.fail(data, &reason, output)),
            Executed::Done(Done { output: result, origin, needs_code }) => {
                if let Some(origin) = origin {
                    self.evm.ctx.tx.caller = origin;
                }
                if let Some(account) = needs_code {
                    let code = crate::session::bytecode(Bytes::from_static(&[0]), false);
                    self.evm.ctx.journaled_state.inner.set_code(account, code);
                }
                let mut ended = Self::without_call(init);
                let result = Bytes::from(result);
                let is_rejected = *result == *REJECTED;
                if let FrameResult::Call(outcome) = &mut ended {
                    outcome.result.output = result;
                    if is_rejected {
                        outcome.result.result = InstructionResult::Revert;
                    }
                }
                self.record_answer(init, &ended);
                Ok(Some(ended))
            }
        }
    }

    fn record_answer(&mut self, init: &FrameInit, ended: &FrameResult) {
        if self.evm.ctx.chain.record.is_some() {
            record::start(&mut self.evm.ctx, init, false);
            record::answered(&mut self.evm.ctx, ended.instruction_result().is_ok(), &ended.output().into_data());
        }
    }

    /// Stop for the text of a failure, that of a cheatcode with this calldata.
    fn fail(&mut self, data: &[u8], reason: &Reason, output: &mut Vec<u8>) -> Exit {
        self.borders.stop();
        self.write_logs(output);
        let mut selector = [0; 4];
        let size = data.len().min(4);
        selector[..size].copy_from_slice(&data[..size]);
        output.raw(&selector);
        output.put(reason.clone());
        Exit::FAILED
    }

    /// Apply expected calls, pranks and mocks to a call; return its result if a mock answers it. Where the transaction stops
    /// before the call, Python makes it.
    fn intercept(&mut self, init: &mut FrameInit, output: &mut Vec<u8>) -> Result<Option<FrameResult>, Exit> {
        let depth = init.depth as u32;
        let waiting = self.borders.natives.waiting();
        if self.is_open(depth) {
            return Ok(None); // they were applied before it stopped
        }
        let request = request_of(init, &self.evm.ctx);
        if depth > self.cheats.call_depth() {
            self.borders.cheats.open.push((request, waiting));
            return Ok(None);
        }
        let data = data_of(init, &self.evm.ctx);
        let pranked = self.cheats.sender_of(&request);
        let payer = pranked.unwrap_or(request.caller);
        let pays = self.cheats.mocked(&request, &data).is_some_and(|answer| !answer.pays.is_zero());
        let function = self.cheats.mocked_function(&request, &data);
        let needed = [pranked, pays.then_some(payer), pays.then_some(request.target), function];
        for account in needed.into_iter().flatten() {
            self.load(account, output)?;
        }
        let decision = self.cheats.call_begins(&request, &data);
        self.borders.cheats.touched.extend(decision.sender);
        if let Some(origin) = decision.origin {
            self.evm.ctx.tx.caller = origin;
        }
        let sender = decision.sender.unwrap_or(request.sender);
        let target = request.target;
        self.borders.cheats.open.push((CallRequest { sender, ..request }, waiting));
        if self.borders.stops_at(init) {
            self.borders.cheats.decision = Some(decision);
            return Ok(None);
        }
        if let Some(sender) = decision.sender {
            set_sender(init, sender);
        }
        if let Some(code) = decision.code.filter(|_| !self.is_isolated(init)) {
            self.set_callee(init, code);
        }
        let Some(answer) = decision.answer else { return Ok(None) };
        let mut ended = Self::without_call(init);
        let FrameResult::Call(outcome) = &mut ended else { unreachable!("a creation has no mock") };
        if self.pay(payer, target, answer.pays) {
            self.cheats.answered(&target, answer.mock);
            outcome.result.output = answer.output;
            if answer.reverts {
                outcome.result.result = InstructionResult::Revert;
            }
        } else {
            outcome.result.result = InstructionResult::Revert;
        }
        self.record_answer(init, &ended);
        Ok(Some(ended))
    }

    /// Let a call run the code of another account, which is held.
    pub fn set_callee(&self, init: &mut FrameInit, account: Address) {
        let info = &self.evm.ctx.journaled_state.inner.state[&account].info;
        if let FrameInput::Call(inputs) = &mut init.frame_input {
            inputs.bytecode_address = account;
            inputs.known_bytecode = (info.code_hash, info.code.clone().unwrap_or_default());
        }
    }

    /// Transfer the value of a call that is not made; return false without the funds. Both accounts are held.
    fn pay(&mut self, payer: Address, payee: Address, amount: U256) -> bool {
        if amount.is_zero() {
            return true;
        }
        let balance = |session: &Self, account| session.evm.ctx.journaled_state.inner.state[account].info.balance;
        let Some(left) = balance(self, &payer).checked_sub(amount) else { return false };
        self.set_balance(payer, left);
        let total = balance(self, &payee).saturating_add(amount);
        self.set_balance(payee, total);
        true
    }

    /// Set the balance of an account that is held.
    pub fn set_balance(&mut self, address: Address, balance: U256) {
        let inner = &mut self.evm.ctx.journaled_state.inner;
        let account = inner.state.get_mut(&address).expect("it was loaded");
        let old_balance = std::mem::replace(&mut account.info.balance, balance);
        inner.journal.push(JournalEntry::BalanceChange { address, old_balance });
        inner.touch(address);
    }

    /// Set the nonce of an account that is held.
    pub fn set_nonce(&mut self, address: Address, nonce: u64) {
        let inner = &mut self.evm.ctx.journaled_state.inner;
        let account = inner.state.get_mut(&address).expect("it was loaded");
        let previous_nonce = std::mem::replace(&mut account.info.nonce, nonce);
        inner.journal.push(JournalEntry::NonceChange { address, previous_nonce });
        inner.touch(address);
    }

    /// Return the result that the caller gets of a call that has ended. Fails where Python says why the call fails.
    pub fn intercept_end(
        &mut self,
        mut ended: FrameResult,
        depth: usize,
        output: &mut Vec<u8>,
    ) -> Result<FrameResult, Exit> {
        if !self.borders.has_cheatcodes() || depth == 0 {
            return Ok(ended);
        }
        let depth = depth as u32;
        let success = ended.instruction_result().is_ok();
        let (outcome, is_cheatcode) =
            if let Some((_, expects_revert)) = self.borders.cheats.cheatcodes.pop_if(|at| at.0 == depth) {
                (self.cheats.cheatcode_ends(depth, expects_revert, &ended_of(&ended)), true)
            } else if let Some((request, _)) = self.is_open(depth).then(|| self.borders.cheats.open.pop()).flatten() {
                self.take_logs();
                if let FrameResult::Create(created) = &ended
                    && let Some(address) = created.address.filter(|_| created.result.is_ok())
                    && !self.cheats.creates.is_empty()
                {
                    let info = &self.evm.ctx.journaled_state.inner.state[&address].info;
                    let code = info.code.as_ref().map(|code| code.original_bytes()).unwrap_or_default();
                    self.cheats.created(request.sender, request.kind == call_scheme::CREATE2, &code);
                }
                let (outcome, origin) = self.cheats.call_ends(&request, &ended_of(&ended));
                if let Outcome::Fails(_) = outcome {
                    let waiting = self.borders.natives.waiting();
                    self.borders.cheats.open.push((request, waiting));
                }
                if let Some(origin) = origin {
                    self.evm.ctx.tx.caller = origin;
                }
                (outcome, false)
            } else {
                (Outcome::Same, false)
            };
        let failure = match outcome {
            Outcome::Same => None,
            Outcome::Caught => {
                replace(&mut ended, InstructionResult::Return, ANY, Some(ANY_ADDRESS));
                None
            }
            Outcome::Rejected => {
                replace(&mut ended, InstructionResult::Revert, REJECTED, None);
                None
            }
            Outcome::Failed(reason) | Outcome::Fails(reason) => Some(reason),
        };
        if !(self.is_open(depth) || is_cheatcode || self.cheats.deals.is_empty()) {
            for deal in self.cheats.deals_after(depth, success) {
                // The state before a restored snapshot may lack the account, which the database knows.
                let is_held = self.evm.ctx.journaled_state.inner.state.contains_key(&deal.account);
                if !is_held && self.load(deal.account, &mut Vec::new()).is_err() {
                    continue;
                }
                if deal.is_nonce {
                    self.set_nonce(deal.account, deal.amount.to());
                } else {
                    self.set_balance(deal.account, deal.amount);
                }
            }
        }
        let Some(reason) = failure else { return Ok(ended) };
        let exit = self.fail(&[], &reason, output);
        self.borders.ended = Some(ended);
        self.borders.answer_depth = depth as usize;
        Err(exit)
    }

    /// Pass new logs to recordings and expectations.
    pub fn take_logs(&mut self) {
        let logs = &self.evm.ctx.chain.logs;
        if self.cheats.watches_logs() {
            for log in &logs[self.borders.cheats.taken.min(logs.len())..] {
                let is_line = log.address == CONSOLE && log.data.topics().is_empty();
                if !is_line && log.address != crate::native::KERNEL {
                    self.cheats.logged(log.address, log.data.topics(), &log.data.data);
                }
            }
        }
        self.borders.cheats.taken = logs.len();
    }

    /// Forget that logs were taken: Python has got them.
    pub fn restart_logs(&mut self) {
        self.borders.cheats.taken = 0;
    }

    /// True if the end of the test's call meets all expectations.
    pub fn meets_expectations(&mut self, last: &FrameResult) -> bool {
        if !self.cheats.has_expectations() {
            return true;
        }
        let mut cheats = self.cheats.clone();
        let is_same = matches!(cheats.test_ends(&ended_of(last)), Outcome::Same);
        if is_same {
            self.cheats = cheats;
        }
        is_same
    }

    /// Load an account, which becomes warm.
    pub fn load(&mut self, address: Address, output: &mut Vec<u8>) -> Result<(), Exit> {
        let journal = &mut self.evm.ctx.journaled_state;
        let loaded = journal.inner.load_account_mut_optional_code(&mut journal.database, address, true, false).is_ok();
        if loaded { Ok(()) } else { Err(self.request(output)) }
    }
}
