//! Draws random values, and mutates values.
//!
//! Numbers come from four sources: the bounds of the type, small numbers, words of the dictionary, and the whole range,
//! mostly as in forge. Half of the calls decide for each word whether it comes from the dictionary, the others for all words
//! of the call, so that conditions on several parameters can be met together.

use super::dictionary::Dictionary;
use super::random::Random;
use super::values::{Kind, Value, low_bits, sign_extended};
use revm::primitives::{Address, U256};

/// Elements, bytes and characters: forge's maxima, with all lengths equally likely.
const MAX_ARRAY: usize = 255;
const MAX_BYTES: usize = 99;
const MAX_TEXT: usize = 31;
/// Ranges of characters with UTF-8 encodings of one, two, three and four bytes.
const LETTERS: [(u32, u32); 4] = [(32, 126), (0xA1, 0x2FF), (0x4E00, 0x9FFF), (0x20000, 0x2A6DF)];
/// Share of arrays with at most eight elements, in which effects of single elements are found sooner.
const SHORT_ARRAYS: f64 = 0.05;
const SHORT: usize = 8;
/// Share of arguments that repeat an earlier one of the same type, such as a transfer to oneself.
const AGAIN: f64 = 0.05;
/// Share of arrays with the length of an earlier one in the call, since pairs of arrays usually correspond.
const SAME_LENGTH: f64 = 0.1;
const MAX_LENGTHS: usize = 8;
/// Share of dictionary words that are negated, for signed types.
const NEGATIVE: f64 = 0.5;
const NEAR_EDGE: usize = 32;
const MAX_OFFSET: usize = 16;
/// Upper bound of small numbers, which are a tenth of the numbers outside the dictionary.
const SMALL: usize = 1024;
/// Array elements in one call. forge has no maximum, but three dimensions of full length would take minutes.
const MAX_ELEMENTS: usize = 1 << 16;
/// Share of values that are fixtures, for parameters that have fixtures.
const FIXTURES: f64 = 0.5;
const ZERO_BYTES: f64 = 0.02;
const KNOWN_SENDERS: f64 = 0.2;

/// Share of mutated values that are replaced by a new random value.
const FRESH: f64 = 0.4;
/// Share of mutations that change two arguments instead of one.
const SECOND: f64 = 0.3;
/// Share of changed arguments that are copied from another input.
const TAKEN: f64 = 0.1;
/// Share of changed numbers that are a dictionary word, or near one.
const KNOWN: f64 = 0.4;

pub struct Parameter {
    pub kind: Kind,
    /// Parameters of the same type have the same number.
    pub group: u32,
    pub fixtures: Vec<Value>,
}

/// Draws the values of one call.
pub struct Draw<'a> {
    random: &'a mut Random,
    dictionary: &'a Dictionary,
    weight: usize,
    /// Percentage of words that come from the dictionary.
    share: usize,
    /// Elements that arrays may still have.
    left: usize,
    lengths: Vec<usize>,
}

impl<'a> Draw<'a> {
    /// `weight` percent of the words come from the dictionary.
    pub fn new(random: &'a mut Random, dictionary: &'a Dictionary, weight: u32) -> Self {
        let weight = weight as usize;
        let share = if random.chance(0.5) { weight } else { 100 * (random.below(100) < weight) as usize };
        Self { random, dictionary, weight, share, left: MAX_ELEMENTS, lengths: Vec::new() }
    }

    pub fn arguments(&mut self, parameters: &[Parameter]) -> Vec<Value> {
        let mut found: Vec<Value> = Vec::with_capacity(parameters.len());
        for (at, parameter) in parameters.iter().enumerate() {
            let same: Vec<usize> = (0..at).filter(|other| parameters[*other].group == parameter.group).collect();
            let value = if !same.is_empty() && !matches!(parameter.kind, Kind::Bool) && self.random.chance(AGAIN) {
                found[self.random.one_of(&same)].clone()
            } else if !parameter.fixtures.is_empty() && self.random.chance(FIXTURES) {
                parameter.fixtures[self.random.below(parameter.fixtures.len())].clone()
            } else {
                self.value(&parameter.kind)
            };
            found.push(value);
        }
        found
    }

    /// Return an address other than zero.
    pub fn sender(&mut self) -> Address {
        loop {
            let known = self.random.chance(KNOWN_SENDERS);
            let found =
                Address::from_word((if known { self.bytes_word(20, false) } else { self.random.word(160) }).into());
            if found != Address::ZERO {
                return found;
            }
        }
    }

    fn value(&mut self, kind: &Kind) -> Value {
        Value::Word(match kind {
            Kind::Uint(bits) => self.unsigned(*bits),
            Kind::Int(bits) => sign_extended(self.signed(*bits), *bits),
            Kind::Bool => U256::from(self.random.chance(0.5)),
            Kind::Address => self.address(),
            Kind::Enum(members) => U256::from(self.random.below(*members)),
            Kind::Function => self.random.word(192) << 64,
            Kind::FixedBytes(size) => self.bytes_word(*size, true),
            Kind::Bytes => return Value::Data(self.bytes()),
            Kind::Text => return Value::Data(self.text()),
            Kind::Array(item) => {
                let count = self.elements(item.fixed_elements());
                return Value::List((0..count).map(|_| self.value(item)).collect());
            }
            Kind::FixedArray(item, count) if *count > self.left => return Value::List(vec![self.value(item); *count]),
            Kind::FixedArray(item, count) => {
                self.left -= count;
                return Value::List((0..*count).map(|_| self.value(item)).collect());
            }
            Kind::Tuple(parts) => return Value::List(parts.iter().map(|part| self.value(part)).collect()),
        })
    }

    fn known(&mut self, bits: usize) -> Option<U256> {
        if self.random.below(100) < self.share { self.dictionary.choose(self.random, bits) } else { None }
    }

    fn known_text(&mut self) -> Option<&'a [u8]> {
        if self.random.chance(0.5) { self.dictionary.choose_text(self.random) } else { None }
    }

    /// Return a dictionary word, in half of the cases with a small offset.
    fn near_known(&mut self) -> Option<U256> {
        let known = if self.weight > 0 { self.dictionary.choose(self.random, 256)? } else { return None };
        if self.random.chance(0.5) {
            return Some(known);
        }
        let offset = U256::from(self.random.below(2 * MAX_OFFSET + 1));
        Some(known.wrapping_add(offset).wrapping_sub(U256::from(MAX_OFFSET)))
    }

    fn unsigned(&mut self, bits: usize) -> U256 {
        match self.known(bits) {
            Some(known) => low_bits(known, bits),
            None => self.unknown(bits),
        }
    }

    fn unknown(&mut self, bits: usize) -> U256 {
        let random = &mut *self.random;
        let top = 1usize << bits.min(16);
        match random.below(10) {
            0 => {
                let near = if random.chance(0.5) { random.below(4) } else { random.below(NEAR_EDGE.min(top)) };
                let near = U256::from(near);
                if random.chance(0.5) { near } else { low_bits(!near, bits) }
            }
            1 => {
                let bound = random.one_of(&[SMALL, NEAR_EDGE]).min(top);
                U256::from(random.below(bound))
            }
            2..6 => {
                let size = 1 + random.below(bits);
                random.word(size)
            }
            _ => random.word(bits),
        }
    }

    fn signed(&mut self, bits: usize) -> U256 {
        let half = U256::from(1) << (bits - 1);
        if self.random.below(6) == 0 {
            let near = U256::from(self.random.one_of(&[0, 0, 1, 2, 3]));
            return match self.random.below(4) {
                0 => near,
                1 => near.wrapping_neg(),
                2 => half - U256::from(1) - near,
                _ => near.wrapping_sub(half),
            };
        }
        match self.known(bits) {
            Some(known) if known <= half && self.random.chance(NEGATIVE) => known.wrapping_neg(),
            Some(known) => known,
            None => self.unknown(bits),
        }
    }

    fn address(&mut self) -> U256 {
        let word = self.bytes_word(20, false);
        if self.dictionary.libraries.contains(&Address::from_word(word.into())) { self.random.word(160) } else { word }
    }

    /// Return bytes on the left of a word, or on the right.
    fn bytes_word(&mut self, size: usize, is_left: bool) -> U256 {
        let above = 8 * (32 - size);
        let Some(word) = self.known(256) else {
            let word = if self.random.chance(ZERO_BYTES) { U256::ZERO } else { self.random.word(8 * size) };
            return if is_left { word << above } else { word };
        };
        if !is_left {
            return low_bits(word, 8 * size);
        }
        if let Some(text) = self.known_text().filter(|text| text.len() <= size) {
            let mut padded = [0; 32];
            padded[..text.len()].copy_from_slice(text);
            return U256::from_be_bytes(padded);
        }
        if word.bit_len() <= 8 * size && self.random.chance(0.5) {
            return word << above; // a number literal that represents bytes
        }
        word >> above << above
    }

    /// Return the length of an array, of whose elements each has this many in arrays of fixed length.
    fn elements(&mut self, size: usize) -> usize {
        let random = &mut *self.random;
        let is_same = !self.lengths.is_empty() && random.chance(SAME_LENGTH);
        let count = if is_same {
            random.one_of(&self.lengths)
        } else {
            let most = if random.chance(SHORT_ARRAYS) { SHORT } else { MAX_ARRAY };
            random.below(most + 1)
        };
        let count = count.min(self.left / size);
        self.left -= count;
        if !is_same && self.lengths.len() < MAX_LENGTHS {
            self.lengths.push(count);
        }
        count
    }

    fn bytes(&mut self) -> Vec<u8> {
        let Some(known) = self.known(256) else {
            let size = self.random.below(MAX_BYTES + 1);
            return self.random.bytes(size);
        };
        if let Some(text) = self.known_text() {
            return text.to_vec();
        }
        let word = known.to_be_bytes::<32>();
        if self.random.chance(0.5) {
            return word.to_vec();
        }
        // Without surrounding zeros and with random bytes appended, like calldata.
        let first = word.iter().position(|byte| *byte != 0).unwrap_or(32);
        let end = word.iter().rposition(|byte| *byte != 0).map_or(32, |at| at + 1);
        let more = self.random.one_of(&[0, 28, 32, 64]);
        [&word[first..end], &self.random.bytes(more)].concat()
    }

    fn text(&mut self) -> Vec<u8> {
        let is_known = self.random.below(100) < self.share;
        if let Some(text) = if is_known { self.known_text() } else { None } {
            return text.to_vec();
        }
        let count = self.random.below(MAX_TEXT + 1);
        let letters: String = (0..count).filter_map(|_| self.letter()).collect();
        letters.into_bytes()
    }

    fn letter(&mut self) -> Option<char> {
        let (first, last) = self.random.one_of(&LETTERS);
        char::from_u32(first + self.random.below((last - first + 1) as usize) as u32)
    }

    // --- mutations ----------------------------------------------------------------------------------------------

    /// Change one or two arguments; `other` are those of another input.
    pub fn mutate(&mut self, parameters: &[Parameter], arguments: &mut [Value], other: &[Value]) {
        if arguments.is_empty() {
            return;
        }
        for _ in 0..1 + self.random.chance(SECOND) as usize {
            let at = self.random.below(arguments.len());
            if self.random.chance(TAKEN) {
                arguments[at] = other[at].clone();
            } else {
                self.change(&parameters[at].kind, &mut arguments[at]);
            }
        }
    }

    /// Change a value to a similar or a random one.
    fn change(&mut self, kind: &Kind, value: &mut Value) {
        if let (Kind::Tuple(parts), Value::List(items)) = (kind, &mut *value) {
            if !parts.is_empty() {
                let at = self.random.below(parts.len());
                self.change(&parts[at], &mut items[at]);
            }
            return;
        }
        if matches!(kind, Kind::Enum(_)) || self.random.chance(FRESH) {
            *value = self.value(kind);
            return;
        }
        match (kind, value) {
            (Kind::Array(item), Value::List(items)) => {
                self.change_list(items, true, |draw, part| draw.change(item, part), |draw| draw.value(item));
            }
            (Kind::FixedArray(item, _), Value::List(items)) => {
                self.change_list(items, false, |draw, part| draw.change(item, part), |draw| draw.value(item));
            }
            (Kind::Bytes, Value::Data(data)) => self.change_list(
                data,
                true,
                |draw, byte| *byte ^= 1 << draw.random.below(8),
                |draw| draw.random.below(256) as u8,
            ),
            (Kind::Text, Value::Data(data)) => {
                let mut letters: Vec<char> = String::from_utf8_lossy(data).chars().collect();
                let letter = |draw: &mut Self| (32 + draw.random.below(95) as u8) as char;
                self.change_list(&mut letters, true, |draw, old| *old = letter(draw), |_| 'a');
                *data = letters.into_iter().collect::<String>().into_bytes();
            }
            (Kind::Bool, Value::Word(word)) => *word ^= U256::from(1),
            (Kind::Uint(bits), Value::Word(word)) => *word = low_bits(self.changed_number(*word, *bits, false), *bits),
            (Kind::Int(bits), Value::Word(word)) => {
                *word = sign_extended(self.changed_number(*word, *bits, true), *bits)
            }
            (_, Value::Word(word)) => {
                let size = kind.byte_size().unwrap_or(32);
                let bit = self.random.below(8 * size) + if kind.is_left() { 8 * (32 - size) } else { 0 };
                *word ^= U256::from(1) << bit;
            }
            _ => unreachable!("a value of another type"),
        }
    }

    fn changed_number(&mut self, value: U256, bits: usize, is_signed: bool) -> U256 {
        let known = if self.random.chance(KNOWN) { self.near_known() } else { None };
        let choice = self.random.below(4);
        if let Some(known) = known {
            return if is_signed && self.random.chance(NEGATIVE) { known.wrapping_neg() } else { known };
        }
        match choice {
            0 => {
                let step = U256::from(1 + self.random.below(NEAR_EDGE));
                if self.random.chance(0.5) { value.wrapping_add(step) } else { value.wrapping_sub(step) }
            }
            1 => value ^ (U256::from(1) << self.random.below(bits)),
            2 if self.random.chance(0.5) => value << 1,
            2 if is_signed => value.arithmetic_shr(1),
            2 => value >> 1,
            _ if is_signed => value.wrapping_neg(),
            _ => !value,
        }
    }

    /// Change an element, duplicate, add or remove one.
    fn change_list<T: Clone>(
        &mut self,
        items: &mut Vec<T>,
        can_grow: bool,
        change: impl Fn(&mut Self, &mut T),
        new: impl Fn(&mut Self) -> T,
    ) {
        let choice = if can_grow { self.random.below(6) } else { 0 };
        let at = if items.is_empty() { 0 } else { self.random.below(items.len()) };
        if !items.is_empty() && choice < 3 {
            change(self, &mut items[at]);
        } else if !items.is_empty() && choice == 3 {
            items.remove(at);
        } else if items.len() < MAX_ARRAY {
            let item = if !items.is_empty() && choice == 4 { items[at].clone() } else { new(self) };
            items.insert(at, item);
        }
    }
}
