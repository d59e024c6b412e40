//! Campaigns: the calls of a fuzz or invariant test, which are drawn one after the other, and what is learnt from their
//! outcomes. A campaign makes no calls itself. A session makes its calls as long as nothing is left to Python (`start_next`);
//! otherwise Python asks for each call (`CampaignRequest`).

mod dictionary;
mod draw;
mod random;
mod simplify;
mod values;

use crate::protocol::{self, campaign_request as request, end_event};
use crate::session::Session;
use crate::wire::{Reader, Write};
use dictionary::Dictionary;
use draw::{Draw, Parameter};
use random::Random;
use revm::context::TxEnv;
use revm::interpreter::InstructionResult;
use revm::primitives::{Address, B256, Bytes, HashSet, Log, TxKind, U256};
use simplify::Shrink;
use std::collections::VecDeque;
use values::Kind;

/// Share of sequences that begin with calls of an earlier one.
const PREFIX_SHARE: f64 = 0.4;
const MAX_PREFIXES: usize = 64;
const MAX_PREFIX_BYTES: usize = 1 << 20;
const MAX_SEEN: usize = 4096;
/// Random senders of a test that names none. Each gets an account in advance, which costs as much as a call.
const MAX_SENDERS: usize = 64;
/// Share of calls by a new random sender.
const NEW_SENDER_SHARE: f64 = 0.05;
/// Runs of a fuzz test whose gas is remembered.
const MAX_GASES: usize = 1 << 20;
/// Greatest number and time of a block that delays lead to.
const MAX_TIME: U256 = U256::from_limbs([u64::MAX, 0, 0, 0]);

/// A call, and the time and the blocks that pass before it.
#[derive(Clone)]
pub struct Step {
    sender: Address,
    target: usize,
    seconds: u64,
    blocks: u64,
    data: Bytes,
    success: bool,
}

impl Step {
    fn read(read: &mut Reader<'_>) -> Self {
        let given: protocol::CampaignCall = read.get();
        Self {
            sender: given.sender,
            target: given.target as usize,
            seconds: given.seconds,
            blocks: given.blocks,
            data: Bytes::copy_from_slice(read.bytes(given.size)),
            success: false,
        }
    }

    fn write(&self, output: &mut Vec<u8>) {
        output.put(protocol::CampaignCall {
            sender: self.sender,
            target: self.target as u32,
            seconds: self.seconds,
            blocks: self.blocks,
            success: self.success,
            size: self.data.len() as u32,
        });
        output.raw(&self.data);
    }
}

/// A function that is called.
struct Target {
    address: Address,
    selector: [u8; 4],
    parameters: Vec<Parameter>,
    figures: protocol::TargetFigures,
}

/// How a call has ended.
pub struct Outcome<'a> {
    pub success: bool,
    pub rejected: bool,
    pub gas: u64,
    pub output: &'a [u8],
    pub logs: &'a [Log],
    pub words: &'a [U256],
}

/// The calls that follow one of a batch in a session.
#[derive(Default)]
pub struct Following {
    /// Gas of the calls that may still follow, 0 if the campaign takes no outcomes; the limit of each, with its intrinsic
    /// gas.
    left: u64,
    gas_limit: u64,
    mode: u32,
    /// Blocks and seconds that pass when the call begins.
    pub delay: (u64, u64),
    /// Where the last result begins, if it is dropped when another call follows.
    droppable: Option<usize>,
}

impl Following {
    pub fn new(given: protocol::Following, mode: u32) -> Self {
        Self { left: given.gas, gas_limit: given.gas_limit, mode, ..Self::default() }
    }
}

pub struct Campaign {
    settings: protocol::CampaignSettings,
    random: Random,
    dictionary: Dictionary,
    targets: Vec<Target>,
    senders: Vec<Address>,
    /// Some calls are made by new senders, since none are given.
    has_new_senders: bool,
    excluded: HashSet<Address>,
    /// First topics of the logs that Python shows.
    shown: HashSet<B256>,
    /// Calls to be made next; then others are drawn, unless calls are replayed.
    queue: VecDeque<Step>,
    is_replay: bool,
    current: Option<Step>,
    figures: protocol::CampaignFigures,
    /// Calls of the sequence that were not rejected; of a fuzz test, the last one.
    steps: Vec<Step>,
    /// Gas of the runs of a fuzz test.
    gases: Vec<u64>,
    /// Accounts that the sequence's calls have touched, as far as Python knows them.
    touched: HashSet<Address>,
    prefixes: Vec<Vec<Step>>,
    /// What successful calls have written: the target, and the sizes in bits of the words of slots.
    seen: HashSet<(usize, [u64; 5])>,
    shrink: Option<(usize, Shrink)>,
}

impl Campaign {
    fn read(read: &mut Reader<'_>) -> Self {
        let settings: protocol::CampaignSettings = read.get();
        let mut found = Self {
            random: Random::new(settings.seed),
            settings,
            dictionary: Dictionary::read(read),
            targets: read.list_of(Target::read),
            senders: read.list(),
            has_new_senders: false,
            excluded: read.list().into_iter().collect(),
            shown: read.list().into_iter().collect(),
            queue: VecDeque::new(),
            is_replay: false,
            current: None,
            figures: Default::default(),
            steps: Vec::new(),
            gases: Vec::new(),
            touched: HashSet::default(),
            prefixes: Vec::new(),
            seen: HashSet::default(),
            shrink: None,
        };
        found.has_new_senders = found.senders.is_empty();
        while found.senders.len() < MAX_SENDERS && found.has_new_senders {
            let sender = found.new_sender();
            found.senders.push(sender);
        }
        found
    }

    fn new_sender(&mut self) -> Address {
        Draw::new(&mut self.random, &self.dictionary, self.settings.weight).sender()
    }

    /// Begin a sequence: replay the calls of the queue, or draw calls, of which the first may be those of an earlier one.
    fn begin_sequence(&mut self, is_replay: bool, queue: Vec<Step>) {
        self.is_replay = is_replay;
        self.queue = queue.into();
        self.current = None;
        self.figures = Default::default();
        self.steps.clear();
        self.touched.clear();
        if self.is_replay {
            return;
        }
        self.dictionary.forget_runs();
        if self.queue.is_empty() && !self.prefixes.is_empty() && self.random.chance(PREFIX_SHARE) {
            self.queue = self.prefixes[self.random.below(self.prefixes.len())].clone().into();
        }
    }

    /// Return the next call, which stays the same until it has ended; None at the end of the sequence.
    fn next(&mut self) -> Option<&Step> {
        if self.current.is_none() && (self.is_replay || self.figures.calls < self.settings.depth) {
            self.current = match self.queue.pop_front() {
                None if !self.is_replay => {
                    let target = self.random.below(self.targets.len());
                    Some(self.draw(target))
                }
                queued => queued,
            };
        }
        self.current.as_ref()
    }

    /// Draw a call of a target.
    fn draw(&mut self, target: usize) -> Step {
        let settings = &self.settings;
        let (seconds, blocks) = (settings.max_seconds, settings.max_blocks);
        let is_new = self.has_new_senders && self.random.chance(NEW_SENDER_SHARE);
        let mut sender = if is_new { self.new_sender() } else { self.random.one_of(&self.senders) };
        while self.excluded.contains(&sender) {
            sender = Address::from_word(self.random.word(160).into());
        }
        let called = &self.targets[target];
        let mut draw = Draw::new(&mut self.random, &self.dictionary, self.settings.weight);
        let data = called.encode(&draw.arguments(&called.parameters)).into();
        let (seconds, blocks) = (self.random.below_u64(seconds), self.random.below_u64(blocks));
        Step { sender, target, seconds, blocks, data, success: false }
    }

    /// Return calldata with one or two arguments changed, or copied from other calldata of the target.
    fn mutate(&mut self, target: usize, data: &[u8], other: &[u8]) -> Vec<u8> {
        let target = &self.targets[target];
        let (Some(mut arguments), Some(other)) = (target.decode(data), target.decode(other)) else {
            return data.to_vec();
        };
        let mut draw = Draw::new(&mut self.random, &self.dictionary, self.settings.weight);
        draw.mutate(&target.parameters, &mut arguments, &other);
        target.encode(&arguments)
    }

    /// Take the outcome of the current call; return false if no other follows: too many were rejected.
    fn take(&mut self, outcome: &Outcome<'_>) -> bool {
        let Some(mut step) = self.current.take() else { return true };
        step.success = outcome.success;
        if !self.is_replay {
            let figures = &mut self.targets[step.target].figures;
            figures.calls += 1;
            figures.reverts += (!outcome.success && !outcome.rejected) as u64;
            figures.discards += outcome.rejected as u64;
        }
        self.figures.gas += outcome.gas.max(protocol::LEAST_GAS);
        if outcome.rejected {
            self.figures.rejects += 1;
            return !self.is_replay && self.figures.rejects <= self.settings.max_rejects;
        }
        self.figures.calls += 1;
        self.figures.reverts += !outcome.success as u64;
        let keeps = self.settings.keeps;
        if !keeps {
            self.steps.clear();
            if self.gases.len() < MAX_GASES {
                self.gases.push(outcome.gas);
            }
        }
        self.steps.push(step);
        if !self.is_replay && (outcome.success || !keeps) {
            if self.settings.learns {
                let words = if self.settings.has_storage { outcome.words } else { &[] };
                self.dictionary.learn(outcome.output, outcome.logs, words);
            }
            if keeps {
                self.add_prefix(outcome.words);
            }
        }
        true
    }

    /// Keep the sequence's successful calls for later sequences, if the last one has written words of other sizes than its
    /// function before, so that states of several steps are found stepwise.
    fn add_prefix(&mut self, words: &[U256]) {
        let mut sizes = [0; 5];
        words.iter().map(U256::bit_len).for_each(|size| sizes[size / 64] |= 1 << (size % 64));
        let last = self.steps.last().expect("a call has ended");
        if self.seen.len() == MAX_SEEN || !self.seen.insert((last.target, sizes)) {
            return;
        }
        let prefix: Vec<Step> = self.steps.iter().filter(|step| step.success).cloned().collect();
        if prefix.iter().map(|step| step.data.len()).sum::<usize>() > MAX_PREFIX_BYTES {
            return;
        }
        if self.prefixes.len() < MAX_PREFIXES {
            self.prefixes.push(prefix);
        } else {
            let at = self.random.below(MAX_PREFIXES);
            self.prefixes[at] = prefix;
        }
    }

    /// Begin with the target's calldata, or take note of whether the last candidate fails; write the next candidate.
    fn simplify(&mut self, read: &mut Reader<'_>, output: &mut Vec<u8>) {
        let given: protocol::Shrinking = read.get();
        if given.begins {
            let target = given.target as usize;
            self.shrink = self.targets[target].decode(read.data()).map(|arguments| (target, Shrink::new(arguments)));
        }
        let Some((target, shrink)) = &mut self.shrink else { return };
        let target = &self.targets[*target];
        if !given.begins {
            shrink.ended(given.fails);
        }
        if let Some(arguments) = shrink.next(&target.parameters) {
            output.raw(&target.encode(arguments));
        }
    }

    /// True if Python shows one of these logs.
    fn shows(&self, logs: &[Log]) -> bool {
        let is_shown = |log: &Log| log.data.topics().first().is_none_or(|topic| self.shown.contains(topic));
        if self.settings.shows_logs { !logs.is_empty() } else { logs.iter().any(is_shown) }
    }
}

impl Target {
    fn read(read: &mut Reader<'_>) -> Self {
        let head: protocol::CampaignTarget = read.get();
        let parameters = read.list_of(|read| {
            let (group, kind) = (read.get(), Kind::read(read));
            let fixtures: Vec<&[u8]> = read.list_of(Reader::data);
            let decoded = |data| values::decode(std::iter::once(&kind), data)?.pop();
            Parameter { fixtures: fixtures.into_iter().filter_map(decoded).collect(), group, kind }
        });
        let (address, selector) = (head.address, head.selector.to_be_bytes());
        Self { address, selector, parameters, figures: Default::default() }
    }

    fn encode(&self, arguments: &[values::Value]) -> Vec<u8> {
        let mut data = self.selector.to_vec();
        values::encode(|at| &self.parameters[at].kind, arguments, &mut data);
        data
    }

    /// Return the arguments of calldata; None if it is not that of the function.
    fn decode(&self, data: &[u8]) -> Option<Vec<values::Value>> {
        let arguments = data.strip_prefix(&self.selector)?;
        values::decode(self.parameters.iter().map(|parameter| &parameter.kind), arguments)
    }
}

/// True for the data of a failed assertion, which fails a test with any settings.
fn may_be_assertion(result: InstructionResult, output: &[u8]) -> bool {
    const TEXT: &[u8] = b"assertion failed";
    const PANIC: [u8; 4] = [0x4e, 0x48, 0x7b, 0x71];
    result == InstructionResult::InvalidFEOpcode
        || (output.starts_with(&PANIC) && output.ends_with(&[0, 1]))
        || output.windows(TEXT.len()).any(|text| text == TEXT)
}

impl Session {
    /// Answer a request for the campaign.
    pub fn ask_campaign(&mut self, input: &[u8], output: &mut Vec<u8>) {
        let mut read = Reader(input);
        let number: u32 = read.get();
        if number == request::BEGIN {
            self.campaign = Some(Box::new(Campaign::read(&mut read)));
        }
        let Some(campaign) = &mut self.campaign else { return };
        match number {
            request::BEGIN => campaign.senders.iter().for_each(|sender| output.put(*sender)),
            request::SEQUENCE => {
                let is_replay = read.get();
                let queue = read.list_of(Step::read);
                campaign.begin_sequence(is_replay, queue);
            }
            request::QUEUE => {
                campaign.queue.push_back(Step::read(&mut read));
            }
            request::NEXT => {
                if let Some(step) = campaign.next() {
                    step.write(output);
                }
            }
            request::TAKE => {
                let given: protocol::CampaignOutcome = read.get();
                let data = read.bytes(given.size);
                let logs = read.list_of(Reader::log);
                let words: Vec<U256> = read.list();
                campaign.take(&Outcome {
                    success: given.success,
                    rejected: given.rejected,
                    gas: given.gas,
                    output: data,
                    logs: &logs,
                    words: &words,
                });
            }
            request::DRAW => {
                let target: u32 = read.get();
                campaign.draw(target as usize).write(output);
            }
            request::MUTATE => {
                let target: u32 = read.get();
                let (data, other) = (read.data(), read.data());
                output.raw(&campaign.mutate(target as usize, data, other));
            }
            request::SIMPLER => campaign.simplify(&mut read, output),
            request::FIGURES => output.put(campaign.figures.clone()),
            request::TARGETS => campaign.targets.iter().for_each(|target| output.put(target.figures.clone())),
            request::STEPS => campaign.steps.iter().for_each(|step| step.write(output)),
            request::GASES => campaign.gases.iter().for_each(|gas| output.put(*gas)),
            request::END => self.campaign = None,
            _ => {}
        }
    }

    /// Start the campaign's next call after one that has ended; return false if none follows.
    pub fn start_next(&mut self) -> bool {
        if !self.batch.goes_on || self.batch.following.left == 0 {
            return false;
        }
        let Some(campaign) = &mut self.campaign else { return false };
        let Some(step) = campaign.next().cloned() else { return false };
        let to = campaign.targets[step.target].address;
        let intrinsic = self.required_gas(&step.data, false, U256::ZERO, false).initial_total_gas();
        let gas = self.batch.following.gas_limit.saturating_sub(intrinsic);
        if gas == 0 {
            return false;
        }
        if let Some(begin) = self.batch.following.droppable.take() {
            self.batch.results.truncate(begin);
        }
        self.batch.following.delay = (step.blocks, step.seconds);
        self.batch.is_due |= self.batch.following.delay != (0, 0);
        self.batch.ended += 1;
        self.borders.begin_again();
        self.begin_cheats();
        let call = TxEnv {
            tx_type: 2,
            caller: step.sender,
            gas_limit: gas,
            kind: TxKind::Call(to),
            data: step.data,
            ..TxEnv::default()
        };
        self.start(self.batch.following.mode, protocol::NO_LIMIT, call);
        true
    }

    /// Let the time and the blocks pass before the call that begins, perhaps again.
    pub fn delay(&mut self) {
        let (blocks, seconds) = self.batch.following.delay;
        if (blocks, seconds) != (0, 0) {
            let block = &self.evm.ctx.block;
            let later = |value: U256, delay: u64| value.max(value.saturating_add(U256::from(delay)).min(MAX_TIME));
            self.set_time(later(block.number, blocks), later(block.timestamp, seconds));
        }
    }

    /// Give the campaign the outcome of a batch's call that has ended, unless Python decides on it. Return the events of the
    /// end, whose result begins at a position; `is_shown` is true if Python shows its logs.
    pub fn give_outcome(
        &mut self,
        begin: usize,
        result: InstructionResult,
        outcome: &Outcome<'_>,
        is_shown: bool,
        touched: &[Address],
    ) -> u32 {
        let batch = &mut self.batch;
        let Some(campaign) = self.campaign.as_mut().filter(|_| batch.following.left > 0 && batch.goes_on) else {
            batch.goes_on = false;
            return 0;
        };
        let (keeps, has_failed) = (campaign.settings.keeps, !outcome.success && !outcome.rejected);
        let needs_python = if keeps {
            let ends = campaign.settings.fails_on_revert || may_be_assertion(result, outcome.output);
            (has_failed && ends) || (outcome.success && batch.is_due && !batch.check.is_empty())
        } else {
            has_failed
        };
        if needs_python {
            batch.goes_on = false;
            return 0;
        }
        batch.goes_on = campaign.take(outcome);
        batch.following.left = batch.following.left.saturating_sub(outcome.gas.max(protocol::LEAST_GAS));
        // Python shows logs of kept calls, and creates the accounts that they have touched.
        let mut is_needed = false;
        if keeps && !outcome.rejected {
            is_needed = touched.iter().fold(is_shown, |is_new, address| campaign.touched.insert(*address) || is_new);
        }
        batch.following.droppable = (!is_needed).then_some(begin);
        end_event::COUNTED
    }

    /// True if Python shows logs of the call that has ended.
    pub fn shows_logs(&self, logs: &[Log]) -> bool {
        self.campaign.as_ref().is_some_and(|campaign| campaign.shows(logs) || campaign.shows(&self.evm.ctx.chain.logs))
    }
}
