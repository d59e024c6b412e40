//! Simpler values of a failing input.

use super::draw::Parameter;
use super::values::{Kind, Value, low_bits};
use revm::primitives::U256;

/// The search for the simplest arguments that still fail.
///
/// After a simplification it goes on at the same position: candidates that passed before rarely fail now, and are tried
/// again only at the end.
pub struct Shrink {
    arguments: Vec<Value>,
    candidate: Vec<Value>,
    position: usize,
    is_whole_round: bool,
}

impl Shrink {
    pub fn new(arguments: Vec<Value>) -> Self {
        Self { arguments, candidate: Vec::new(), position: 0, is_whole_round: true }
    }

    /// Return the next candidate; None at the end.
    pub fn next(&mut self, parameters: &[Parameter]) -> Option<&[Value]> {
        let found = match self.simpler(parameters) {
            None if self.is_whole_round => None,
            None => {
                (self.position, self.is_whole_round) = (0, true);
                self.simpler(parameters)
            }
            found => found,
        };
        self.candidate = found?;
        Some(&self.candidate)
    }

    /// Take note of whether the last candidate fails.
    pub fn ended(&mut self, fails: bool) {
        if fails {
            self.arguments = std::mem::take(&mut self.candidate);
            self.is_whole_round = false;
        } else {
            self.position += 1;
        }
    }

    /// Return the simpler arguments at the position.
    fn simpler(&self, parameters: &[Parameter]) -> Option<Vec<Value>> {
        let mut left = self.position;
        parameters.iter().enumerate().find_map(|(at, parameter)| {
            let value = simpler(&parameter.kind, &self.arguments[at], &mut left)?;
            Some(replaced(&self.arguments, at, value))
        })
    }
}

/// Return the simpler value of the same type at a position, simplest first; None if there are `left` more to pass.
fn simpler(kind: &Kind, value: &Value, left: &mut usize) -> Option<Value> {
    match (kind, value) {
        (Kind::Array(item), Value::List(items)) => simpler_list(item, items, true, left),
        (Kind::FixedArray(item, _), Value::List(items)) => simpler_list(item, items, false, left),
        (Kind::Tuple(parts), Value::List(items)) => parts.iter().enumerate().find_map(|(at, part)| {
            simpler(part, &items[at], left).map(|value| Value::List(replaced(items, at, value)))
        }),
        (Kind::Text, Value::Data(data)) => {
            let letters: Vec<char> = String::from_utf8_lossy(data).chars().collect();
            simpler_row(&letters, 'a', left).map(|row| Value::Data(row.into_iter().collect::<String>().into_bytes()))
        }
        (_, Value::Data(data)) => simpler_row(data, 0, left).map(Value::Data),
        (Kind::Bool, Value::Word(word)) => offer(!word.is_zero(), left).then_some(Value::Word(U256::ZERO)),
        (_, Value::Word(word)) => match kind.byte_size() {
            None => simpler_number(kind, *word, left),
            Some(size) => {
                let one = U256::from(1) << if kind.is_left() { 8 * (32 - size) } else { 0 };
                if offer(!word.is_zero(), left) {
                    return Some(Value::Word(U256::ZERO));
                }
                offer(!word.is_zero() && *word != one, left).then_some(Value::Word(one))
            }
        },
        _ => None,
    }
}

/// Return true for the candidate at the position.
fn offer(exists: bool, left: &mut usize) -> bool {
    if !exists {
        return false;
    }
    let is_chosen = *left == 0;
    *left = left.saturating_sub(1);
    is_chosen
}

/// Return a number closer to zero.
fn simpler_number(kind: &Kind, value: U256, left: &mut usize) -> Option<Value> {
    let negative = matches!(kind, Kind::Int(_)) && value.bit(255);
    let distance = if negative { value.wrapping_neg() } else { value };
    let bits = if let Kind::Int(bits) = kind { *bits } else { 256 };
    // The least number of a signed type has no positive counterpart.
    if offer(negative && distance != U256::from(1) << (bits - 1), left) {
        return Some(Value::Word(distance));
    }
    // The low bytes alone.
    for size in (8..distance.bit_len()).step_by(8) {
        let low = low_bits(distance, size);
        if offer(!low.is_zero(), left) {
            return Some(Value::Word(if negative { low.wrapping_neg() } else { low }));
        }
    }
    let mut step = distance;
    while !step.is_zero() {
        // Zero, then ever closer to the value.
        if offer(true, left) {
            return Some(Value::Word(if negative { value.wrapping_add(step) } else { value - step }));
        }
        step >>= 1;
    }
    None
}

fn simpler_row<T: Copy + PartialEq>(row: &[T], plain: T, left: &mut usize) -> Option<Vec<T>> {
    let size = row.len();
    for keep in [0, size / 2, size.wrapping_sub(1)] {
        if offer(keep < size, left) {
            return Some(row[..keep].to_vec());
        }
    }
    offer(row.iter().any(|item| *item != plain), left).then(|| vec![plain; size])
}

/// Return a list with a chunk removed, with a chunk set to the plain value, or with a single element simplified.
fn simpler_list(item: &Kind, items: &[Value], can_shrink: bool, left: &mut usize) -> Option<Value> {
    let plain = item.plain();
    if can_shrink {
        for (begin, end) in chunks(items.len()) {
            if offer(true, left) {
                return Some(Value::List([&items[..begin], &items[end..]].concat()));
            }
        }
    }
    for (begin, end) in chunks(items.len()) {
        if offer(items[begin..end].iter().any(|found| *found != plain), left) {
            let mut simple = items.to_vec();
            simple[begin..end].fill(plain);
            return Some(Value::List(simple));
        }
    }
    items
        .iter()
        .enumerate()
        .find_map(|(at, found)| simpler(item, found, left).map(|value| Value::List(replaced(items, at, value))))
}

/// Return the bounds of chunks of a list: the whole, its halves, down to single elements.
fn chunks(size: usize) -> impl Iterator<Item = (usize, usize)> {
    let next = |step: &usize| (*step > 1).then_some(step.div_ceil(2));
    std::iter::successors((size > 0).then_some(size), next)
        .flat_map(move |step| (0..size).step_by(step).map(move |begin| (begin, size.min(begin + step))))
}

fn replaced(items: &[Value], at: usize, value: Value) -> Vec<Value> {
    let mut found = items.to_vec();
    found[at] = value;
    found
}
