//! What cheatcodes do to calls and logs, by forge's rules. Nothing here knows an engine: an adapter tells of calls, their
//! ends, and logs, and does what the answers say. For each call the order is forge's: expected calls, pranks, mocks, the
//! call; then pranks end, reverts are checked, then logs.

use super::state::*;
use crate::protocol::{CallRequest, call_scheme, failure};
use revm::primitives::{Address, B256, Bytes, U256, address};

pub const CHEATCODES: Address = address!("7109709ecfa91a80626ff3989d68f67f5b1dd12d");
/// Revert data of a run whose inputs are rejected.
pub const REJECTED: &[u8] = b"FOUNDRY::ASSUME";
/// Return data of a call that reverted as expected: Solidity decodes it as any type.
pub const ANY: &[u8] = &[0; 8192];
/// Address of a creation that reverted as expected.
pub const ANY_ADDRESS: Address = address!("0000000000000000000000000000000000000001");
/// Selectors of `CheatcodeError(string)` and `Error(string)`.
const TEXTS: [[u8; 4]; 2] = [[0xee, 0xaa, 0x9e, 0x6f], [0x08, 0xc3, 0x79, 0xa0]];
/// Topics, and data, of a log that are compared.
pub const ALL_CHECKS: u32 = 0b11111;
const DATA_CHECK: u32 = 4;
pub const ALL_DEPTHS: u32 = u32::MAX;

impl CallRequest {
    pub fn creates(&self) -> bool {
        matches!(self.kind, call_scheme::CREATE | call_scheme::CREATE2)
    }

    /// The value that mocks and expectations compare: none for a delegate call.
    fn transfer(&self) -> Option<U256> {
        (self.kind != call_scheme::DELEGATECALL).then_some(self.value)
    }
}

/// What the engine does with a call.
#[derive(Default)]
pub struct Decision {
    pub sender: Option<Address>,
    /// The origin that contracts see from now on.
    pub origin: Option<Address>,
    /// The contract whose code runs.
    pub code: Option<Address>,
    pub answer: Option<Answer>,
}

/// The answer of a mock; `pays` is what the caller pays for it.
pub struct Answer {
    pub mock: u32,
    pub reverts: bool,
    pub output: Bytes,
    pub pays: U256,
}

/// How a call has ended. `output` is its data, `reason` that which expectations compare: the name of a halt, too.
pub struct Ended {
    pub success: bool,
    pub output: Bytes,
    pub reason: Bytes,
}

/// What the caller gets instead of a call's result.
pub enum Result {
    Same,
    /// The call reverted as expected.
    Caught,
    /// The inputs of the run are rejected.
    Rejected,
    Failed(Reason),
    /// The call fails for a reason, and with its text it ends as another one would.
    Fails(Reason),
}

pub fn reason(kind: u32) -> Reason {
    Reason { kind, ..Reason::default() }
}

/// Return the text of a failure's data; other data unchanged.
fn unwrapped(data: &[u8]) -> &[u8] {
    let text = || {
        let (selector, values) = data.split_first_chunk::<4>()?;
        if !TEXTS.contains(selector) {
            return None;
        }
        let number = |at: usize| usize::try_from(U256::from_be_slice(values.get(at..at.checked_add(32)?)?)).ok();
        let at = number(0)?;
        let begin = at.checked_add(32)?;
        values.get(begin..begin.checked_add(number(at)?)?)
    };
    text().unwrap_or(data)
}

/// Compare the data of a revert with the expected reason.
fn check_reason(
    wanted: &Option<Bytes>,
    is_partial: bool,
    data: &[u8],
    within: bool,
) -> std::result::Result<(), Reason> {
    let Some(wanted) = wanted else { return Ok(()) };
    if data.is_empty() && !wanted.is_empty() {
        return Err(reason(failure::NO_REASON));
    }
    let head = |data: &[u8]| data[..data.len().min(4)].to_vec();
    let actual = unwrapped(data);
    let is_in = || within && (wanted.is_empty() || actual.windows(wanted.len()).any(|part| part == wanted));
    if (is_partial && head(data) == head(wanted)) || actual == wanted || is_in() || actual == unwrapped(wanted) {
        return Ok(());
    }
    let texts = vec![Some(Bytes::copy_from_slice(actual)), Some(wanted.clone())];
    Err(Reason { texts, ..reason(failure::REASON) })
}

impl ExpectedRevert {
    /// Compare the end of a call with what is expected.
    fn check(&self, ended: &Ended) -> std::result::Result<(), Reason> {
        if !self.of_cheatcode && self.max_depth <= self.depth {
            return Err(reason(failure::REVERT_DEPTH));
        }
        if self.count == 0 {
            if ended.success {
                return Ok(());
            }
            let addresses = vec![self.reverter, self.reverted_by];
            let texts = vec![self.reason.clone(), Some(ended.output.clone())];
            return Err(Reason { addresses, texts, ..reason(failure::REVERTED) });
        }
        if ended.success {
            return Err(reason(failure::NO_REVERT));
        }
        if let (Some(wanted), Some(by)) = (self.reverter, self.reverted_by)
            && wanted != by
        {
            return Err(Reason { addresses: vec![Some(by), Some(wanted)], ..reason(failure::REVERTER) });
        }
        // As in forge, no data is expected of a halt, too.
        let is_empty = self.reason.as_ref().is_some_and(|reason| reason.is_empty());
        let data = if is_empty { &ended.output } else { &ended.reason };
        check_reason(&self.reason, self.is_partial, data, self.of_cheatcode)
    }
}

impl ExpectedEmit {
    fn matches(&self, log: &Emitted) -> bool {
        let wanted = self.log.as_ref().expect("it is defined");
        let is_checked = |bit: usize| self.checks >> bit & 1 != 0;
        let mut topics = wanted.topics.iter().zip(&log.topics).enumerate();
        wanted.topics.len() == log.topics.len()
            && topics.all(|(bit, (wanted, topic))| !is_checked(bit) || wanted == topic)
            && (!is_checked(DATA_CHECK as usize) || wanted.data == log.data)
    }

    fn compare(&mut self, log: Emitted) {
        if !self.matches(&log) {
            self.other = Some(log);
            return;
        }
        match self.counts.iter_mut().find(|(emitter, _)| *emitter == log.emitter) {
            Some((_, count)) => *count += 1,
            None => self.counts.push((log.emitter, 1)),
        }
        if self.emitter.is_some_and(|emitter| emitter != log.emitter) {
            self.other = Some(log);
            return;
        }
        let count = if self.emitter.is_some() { self.count_of_emitter() } else { self.counts[0].1 };
        self.is_found = count >= self.count;
    }

    fn count_of_emitter(&self) -> u64 {
        self.counts.iter().find(|(emitter, _)| Some(*emitter) == self.emitter).map_or(0, |(_, count)| *count)
    }

    fn count_of_all(&self) -> u64 {
        if self.emitter.is_some() { self.count_of_emitter() } else { self.counts.iter().map(|(_, count)| count).sum() }
    }
}

impl Cheats {
    /// True if calls at all depths are intercepted.
    fn intercepts_all(&self) -> bool {
        self.assumed.is_some()
            || !(self.emits.is_empty()
                && self.calls.is_empty()
                && self.creates.is_empty()
                && self.mocks.is_empty()
                && self.functions.is_empty())
            || self.logs.is_some()
    }

    /// The largest depth of frames whose calls are intercepted; 0 for none.
    pub fn call_depth(&self) -> u32 {
        if self.intercepts_all() {
            return ALL_DEPTHS;
        }
        let revert = self.revert.as_ref().map_or(0, |revert| {
            if revert.of_cheatcode || revert.reverter.is_some() { ALL_DEPTHS } else { revert.depth }
        });
        let pranked = |prank: &Prank| if prank.origin.is_none() { prank.depth } else { ALL_DEPTHS };
        self.pranks.values().map(pranked).fold(revert, u32::max)
    }

    /// True if the end of the test's call is checked.
    pub fn has_expectations(&self) -> bool {
        self.revert.is_some()
            || self.assumed.is_some()
            || self.failure.is_some()
            || !(self.emits.is_empty() && self.calls.is_empty() && self.creates.is_empty())
    }

    /// Note a snapshot, by the number of its copy; return the number that the test has for it.
    pub fn add_snapshot(&mut self, copy: u32) -> u64 {
        let number = self.next_snapshot;
        self.next_snapshot += 1;
        self.snapshots.push((number, copy));
        number
    }

    /// Return the copy of a snapshot.
    pub fn copy_of(&self, number: u64) -> Option<u32> {
        let at = self.snapshots.binary_search_by_key(&number, |(known, _)| *known).ok()?;
        Some(self.snapshots[at].1)
    }

    /// Delete a snapshot; return whether there was one.
    pub fn delete_snapshot(&mut self, number: u64) -> bool {
        let count = self.snapshots.len();
        self.snapshots.retain(|(known, _)| *known != number);
        self.snapshots.len() < count
    }

    // --- calls ----------------------------------------------------------------------------------------------------

    /// Decide on a call. The sender that it names was loaded by `sender_of`.
    pub fn call_begins(&mut self, request: &CallRequest, data: &Bytes) -> Decision {
        if let Some(revert) = &mut self.revert {
            revert.max_depth = revert.max_depth.max(request.depth + 1);
        }
        self.unmet = None;
        let mut decision = Decision::default();
        if !request.creates() {
            self.count_call(request, data);
        }
        self.apply_prank(request, &mut decision);
        decision.answer = self.mocked(request, data);
        decision.code = self.mocked_function(request, data);
        decision
    }

    fn count_call(&mut self, request: &CallRequest, data: &Bytes) {
        for expected in self.calls.get_mut(&request.target).into_iter().flatten() {
            let is_met = data.starts_with(&expected.data)
                && expected.value.is_none_or(|value| Some(value) == request.transfer())
                && expected.gas.is_none_or(|gas| gas == request.gas)
                && expected.min_gas.is_none_or(|gas| gas <= request.gas)
                && (!expected.delegates || request.kind == call_scheme::DELEGATECALL);
            expected.actual_count += is_met as u64;
        }
    }

    /// Return the prank that holds at a depth.
    pub fn prank_at(&self, depth: u32) -> Option<&Prank> {
        self.pranks.range(..=depth).next_back().map(|(_, prank)| prank)
    }

    /// Return the sender that a prank would give a call.
    pub fn sender_of(&self, request: &CallRequest) -> Option<Address> {
        let prank = self.prank_at(request.depth)?;
        let is_here = request.depth == prank.depth;
        if request.kind == call_scheme::DELEGATECALL {
            return (prank.delegates && is_here).then_some(prank.sender);
        }
        (is_here && request.caller == prank.caller).then_some(prank.sender)
    }

    /// Apply a prank. As in forge, a delegate call does not use it up, and one that is first used below its depth is also
    /// kept there.
    fn apply_prank(&mut self, request: &CallRequest, decision: &mut Decision) {
        let Some(prank) = self.prank_at(request.depth).cloned() else { return };
        let is_here = request.depth == prank.depth;
        decision.sender = self.sender_of(request);
        let is_delegate = request.kind == call_scheme::DELEGATECALL;
        let caller = if is_delegate { decision.sender.unwrap_or(request.sender) } else { request.caller };
        if caller == prank.caller {
            if !prank.is_used && (is_here || prank.origin.is_some()) {
                self.pranks.insert(request.depth, Prank { is_used: true, ..prank.clone() });
            }
        } else if decision.sender.is_none() {
            return;
        }
        decision.origin = prank.origin;
    }

    /// End a prank for one call; return the origin that contracts see from now on. As in forge, a creation that ends one
    /// ends all of them.
    fn end_prank(&mut self, request: &CallRequest) -> Option<Address> {
        let prank = self.pranks.get(&request.depth).filter(|prank| prank.depth == request.depth)?;
        let (origin, once) = (prank.origin.map(|_| prank.old_origin), prank.once);
        if once && request.creates() {
            self.pranks.clear();
        } else if once {
            self.pranks.remove(&request.depth);
        }
        origin
    }

    /// Return the mock of a call: the one with its calldata and value, else that with the longest calldata.
    pub fn mocked(&self, request: &CallRequest, data: &Bytes) -> Option<Answer> {
        if request.creates() {
            return None;
        }
        let value = request.transfer();
        let is_exact = |mock: &Mock| mock.data == *data && mock.value == value;
        let fits = |(_, mock): &(usize, &Mock)| {
            let has_value = mock.value.is_none_or(|wanted| Some(wanted) == value);
            data.starts_with(&mock.data) && has_value
        };
        let rank = |(_, mock): &(usize, &Mock)| (is_exact(mock), mock.data.len(), mock.value.is_some());
        let (number, mock) = self.mocks.get(&request.target)?.iter().enumerate().filter(fits).max_by_key(rank)?;
        let pays = if request.kind == call_scheme::CALL && !mock.reverts { request.value } else { U256::ZERO };
        let output = mock.answers.front()?.clone(); // as in forge, a mock without answers makes the call
        Some(Answer { mock: number as u32, reverts: mock.reverts, output, pays })
    }

    /// Note that a mock has answered, whose next answer is another one.
    pub fn answered(&mut self, callee: &Address, number: u32) {
        let mock = self.mocks.get(callee).and_then(|mocks| mocks.get(number as usize));
        if mock.is_some_and(|mock| mock.answers.len() > 1) {
            self.mocks.get_mut(callee).expect("it is there")[number as usize].answers.pop_front();
        }
    }

    /// Return the contract that runs instead: matched by the whole calldata, then by the selector.
    pub fn mocked_function(&self, request: &CallRequest, data: &Bytes) -> Option<Address> {
        if request.creates() {
            return None;
        }
        let functions = self.functions.get(&request.target)?;
        let selector = &data[..data.len().min(4)];
        functions.get(data).or_else(|| functions.get(selector)).copied()
    }

    /// Note a created contract with its code.
    pub fn created(&mut self, deployer: Address, second: bool, code: &[u8]) {
        let is_it = |expected: &ExpectedCreate| {
            expected.deployer == deployer && expected.second == second && *expected.code == *code
        };
        if let Some(at) = self.creates.iter().position(is_it) {
            self.creates.remove(at);
        }
    }

    /// Return what the caller gets, and the origin that contracts see from now on.
    pub fn call_ends(&mut self, request: &CallRequest, ended: &Ended) -> (Result, Option<Address>) {
        if ended.success
            && let Some(failure) = self.failure.take()
        {
            return (Result::Fails(failure), None);
        }
        let origin = self.end_prank(request);
        self.has_caught = false;
        let is_last = self.revert.as_ref().is_some_and(|expected| request.depth <= expected.depth);
        if !ended.success && (!request.creates() || is_last) {
            self.note_reverter(request.receiver); // as in forge, else the contract's creator
        }
        let assumes = self.assumed.as_ref().is_some_and(|assumed| request.depth <= assumed.depth);
        if assumes && !request.creates() && self.rejects(ended) {
            return (Result::Rejected, origin);
        }
        if assumes && !request.creates() && !ended.success {
            return (Result::Same, origin);
        }
        if is_last && self.revert.as_ref().is_some_and(|expected| !expected.of_cheatcode) {
            let waits = self.is_internal && ended.success && !request.creates(); // as in forge 1.8
            if !waits {
                return (self.check_revert(ended), origin);
            }
        }
        if ended.success
            && !request.is_static
            && let Some(missing) = self.missing_log(request.depth)
        {
            return (Result::Failed(missing), origin);
        }
        (Result::Same, origin)
    }

    /// True if the run is rejected, because the call that must not revert has.
    fn rejects(&mut self, ended: &Ended) -> bool {
        let Some(assumed) = self.assumed.take().filter(|_| !ended.success) else { return false };
        let is_acceptable = |acceptable: &Acceptable| {
            let reverter = acceptable.reverter.zip(assumed.reverted_by);
            reverter.is_none_or(|(wanted, by)| wanted == by)
                && check_reason(&Some(acceptable.reason.clone()), acceptable.is_partial, &ended.output, false).is_ok()
        };
        assumed.reasons.is_empty() || assumed.reasons.iter().any(is_acceptable)
    }

    /// Check the end of a call that is expected to revert.
    fn check_revert(&mut self, ended: &Ended) -> Result {
        let expected = self.revert.take().expect("a revert is expected");
        match expected.check(ended) {
            Ok(()) => {
                self.caught(expected);
                Result::Caught
            }
            Err(failure) => {
                self.unmet = Some(expected);
                Result::Failed(failure)
            }
        }
    }

    fn caught(&mut self, mut expected: ExpectedRevert) {
        expected.actual_count += 1;
        self.has_caught = true;
        self.revert = (expected.actual_count < expected.count).then_some(expected);
    }

    /// Take the last end as the expected revert: its reason has the same text.
    pub fn accept(&mut self) {
        if let Some(expected) = self.unmet.take() {
            self.caught(expected);
        }
    }

    /// Note which contract has reverted; the cheatcodes' address if one has failed.
    fn note_reverter(&mut self, reverter: Address) {
        if let Some(assumed) = &mut self.assumed {
            assumed.reverted_by.get_or_insert(reverter);
        }
        if let Some(expected) = &mut self.revert
            && expected.reverter.is_some()
            && (expected.reverted_by.is_none() || expected.count > 1)
        {
            expected.reverted_by = Some(reverter);
        }
    }

    /// Return what the caller of a cheatcode gets; `expects_revert` is true if a revert was expected before it.
    pub fn cheatcode_ends(&mut self, depth: u32, expects_revert: bool, ended: &Ended) -> Result {
        if !ended.success {
            self.note_reverter(CHEATCODES);
        }
        let waits = |expected: &ExpectedRevert| expected.of_cheatcode && depth <= expected.depth;
        if expects_revert && self.revert.as_ref().is_some_and(waits) { self.check_revert(ended) } else { Result::Same }
    }

    /// Keep balances and nonces that a failed call has set, also if it was expected to: forge reverts them with the whole
    /// test. After a successful call they belong to its caller, whose failure would be the next to revert them.
    pub fn deals_after(&mut self, depth: u32, success: bool) -> Vec<Deal> {
        let mut again = Vec::new();
        for deal in self.deals.values_mut().filter(|deal| deal.depth > depth) {
            deal.depth = depth;
            if !success {
                again.push(deal.clone());
            }
        }
        if depth == 1 {
            self.deals.clear();
        }
        again
    }

    pub fn note_deal(&mut self, account: Address, is_nonce: bool, amount: U256, depth: u32) {
        if depth <= 1 {
            return;
        }
        let deal = Deal { account, is_nonce, amount, depth };
        self.deals.insert((account, is_nonce), deal);
    }

    // --- logs -----------------------------------------------------------------------------------------------------

    /// True if logs are recorded or compared.
    pub fn watches_logs(&self) -> bool {
        self.logs.is_some() || !self.emits.is_empty()
    }

    /// Take a log, also one of a frame that may fail.
    pub fn logged(&mut self, emitter: Address, topics: &[B256], data: &Bytes) {
        let log = Emitted { emitter, topics: topics.to_vec(), data: data.clone() };
        if let Some(logs) = &mut self.logs {
            logs.push(Shared::new(log.clone()));
        }
        self.match_log(log);
    }

    /// Let a log define an expected one, or compare it with one. The first log after the cheatcode defines the expected
    /// log; expected logs must come in order, but others may come between them.
    fn match_log(&mut self, log: Emitted) {
        let emits = &mut self.emits;
        if emits.iter().all(|expected| expected.is_found) {
            return;
        }
        let is_excluded = |expected: &ExpectedEmit| {
            expected.count == 0
                && !expected.is_found
                && expected.log.is_some()
                && expected.emitter.is_none_or(|emitter| emitter == log.emitter)
                && expected.matches(&log)
        };
        if emits.iter().any(is_excluded) {
            self.failure = Some(reason(failure::EMITTED));
            return;
        }
        let fills = emits.iter().any(|expected| expected.log.is_none());
        if !fills && emits.iter().all(|expected| expected.is_found || expected.count == 0) {
            return;
        }
        let at = if fills {
            emits.iter().position(|expected| expected.is_found).unwrap_or(emits.len()) as isize - 1
        } else {
            emits.iter().position(|expected| !expected.is_found && expected.count > 0).unwrap_or(0) as isize
        };
        let at = if at < 0 { emits.len() - 1 } else { at as usize };
        let expected = &mut emits[at];
        if expected.log.is_none() {
            if expected.is_anonymous || !log.topics.is_empty() {
                expected.log = Some(log);
            } else {
                self.failure = Some(reason(failure::ANONYMOUS));
                emits.remove(at);
            }
            return;
        }
        expected.compare(log);
        let expected = emits.remove(at).expect("it is there");
        if expected.is_found { emits.push_back(expected) } else { emits.push_front(expected) }
    }

    /// Return the failure of a successful call after which expected logs are missing.
    fn missing_log(&mut self, depth: u32) -> Option<Reason> {
        if !self.emits.iter().any(|expected| expected.depth == depth) {
            return None;
        }
        if let Some(missing) = self.emits.iter().find(|expected| !expected.is_found && expected.count > 0) {
            let is_match = missing.log.is_some() && missing.other.as_ref().is_some_and(|log| missing.matches(log));
            let numbers = vec![missing.checks as u64, missing.is_anonymous as u64, is_match as u64];
            let logs = missing.log.iter().chain(&missing.other).cloned().collect();
            let addresses = vec![missing.emitter];
            return Some(Reason { numbers, logs, addresses, ..reason(failure::NOT_EMITTED) });
        }
        if let Some(other) = self.emits.iter().find(|expected| expected.count_of_all() != expected.count) {
            let numbers = vec![other.count_of_all(), other.count];
            return Some(Reason { numbers, ..reason(failure::LOG_COUNT) });
        }
        self.emits.clear();
        None
    }

    // --- the end of the test's call -----------------------------------------------------------------------------------

    /// Return what the test's call has as its result, since an expectation is not met. `Caught` is a success.
    pub fn test_ends(&mut self, ended: &Ended) -> Result {
        if let Some(failure) = self.failure.take()
            && ended.success
        {
            return Result::Fails(failure);
        }
        if self.assumed.is_some() && self.rejects(ended) {
            return Result::Rejected;
        }
        if let Some(expected) = self.revert.as_mut().filter(|expected| !expected.of_cheatcode) {
            if self.is_internal {
                expected.max_depth = expected.max_depth.max(expected.depth + 1);
            }
            let checked = self.check_revert(ended);
            self.revert = None;
            match checked {
                Result::Caught if self.is_internal => return Result::Caught,
                Result::Caught => {}
                _ => return checked,
            }
        }
        if !ended.success {
            return Result::Same;
        }
        self.unmet_expectation().map_or(Result::Same, Result::Failed)
    }

    /// Return the failure of a test at whose end an expectation is not met: calls, then logs, then creations.
    fn unmet_expectation(&mut self) -> Option<Reason> {
        let unmet = |expected: &ExpectedCall| {
            expected.actual_count < expected.count || (expected.actual_count > expected.count && expected.is_exact)
        };
        let all = self.calls.iter().flat_map(|(callee, calls)| calls.iter().map(move |call| (callee, call)));
        if let Some((callee, call)) = all.into_iter().find(|(_, call)| unmet(call)) {
            let number = |number: Option<u64>| [number.is_some() as u64, number.unwrap_or_default()];
            let mut numbers = vec![call.count, call.actual_count, call.delegates as u64];
            numbers.extend(number(call.gas));
            numbers.extend(number(call.min_gas));
            let value = call.value.map(|value| Bytes::copy_from_slice(&value.to_be_bytes::<32>()));
            let texts = vec![Some(call.data.clone()), value];
            return Some(Reason { numbers, texts, addresses: vec![Some(*callee)], ..reason(failure::NOT_CALLED) });
        }
        let is_missing = self.emits.iter().any(|expected| !expected.is_found && expected.count > 0);
        self.emits.clear();
        if is_missing {
            return Some(reason(failure::NO_LOG));
        }
        let create = self.creates.first()?;
        let (addresses, texts) = (vec![Some(create.deployer)], vec![Some(create.code.clone())]);
        Some(Reason { numbers: vec![create.second as u64], addresses, texts, ..reason(failure::NOT_CREATED) })
    }
}
