//! Arguments and results of cheatcodes, by the types of their signatures. What is not encoded as Solidity does is None:
//! Python then decodes it, and says what is wrong.

use revm::primitives::{Address, B256, Bytes, U256};

/// A decoded argument.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Word(U256),
    Address(Address),
    /// Bytes and text; also `bytes4`, without the padding.
    Data(Bytes),
    List(Vec<Value>),
}

impl Value {
    pub fn word(&self) -> Option<U256> {
        if let Self::Word(word) = self { Some(*word) } else { None }
    }

    pub fn number(&self) -> Option<u64> {
        self.word()?.try_into().ok()
    }

    pub fn address(&self) -> Option<Address> {
        if let Self::Address(address) = self { Some(*address) } else { None }
    }

    pub fn data(&self) -> Option<&Bytes> {
        if let Self::Data(data) = self { Some(data) } else { None }
    }

    pub fn list(&self) -> Option<&[Value]> {
        if let Self::List(list) = self { Some(list) } else { None }
    }
}

/// Return the types of a list of parameters, whose tuples have parameters of their own.
pub fn split(types: &str) -> Vec<&str> {
    let (mut depth, mut begin, mut found) = (0, 0, Vec::new());
    for (at, sign) in types.char_indices() {
        match sign {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&types[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    if begin < types.len() {
        found.push(&types[begin..]);
    }
    found
}

fn is_dynamic(kind: &str) -> bool {
    kind == "bytes" || kind == "string" || kind.ends_with("[]") || (kind.starts_with('(') && kind.contains("bytes"))
}

fn word(data: &[u8], at: usize) -> Option<U256> {
    Some(U256::from_be_slice(data.get(at..at.checked_add(32)?)?))
}

/// Bytes of decoded values: those of a list may share their data.
const MAX_BYTES: usize = 16 << 20;

/// Decode values whose heads begin `data`, which their offsets count from.
pub fn decode(types: &[&str], data: &[u8]) -> Option<Vec<Value>> {
    let mut left = MAX_BYTES;
    values(types, data, &mut left)
}

fn values(types: &[&str], data: &[u8], left: &mut usize) -> Option<Vec<Value>> {
    types.iter().enumerate().map(|(index, kind)| value(kind, data, 32 * index, left)).collect()
}

fn value(kind: &str, data: &[u8], head: usize, left: &mut usize) -> Option<Value> {
    let first = word(data, head)?;
    *left = left.checked_sub(32)?;
    if !is_dynamic(kind) {
        return match kind {
            "address" => (first.bit_len() <= 160).then(|| Value::Address(Address::from_word(first.into()))),
            "bool" => (first <= U256::ONE).then_some(Value::Word(first)),
            "uint64" => (first.bit_len() <= 64).then_some(Value::Word(first)),
            "bytes4" => Some(Value::Data(Bytes::copy_from_slice(&first.to_be_bytes::<32>()[..4]))),
            _ => Some(Value::Word(first)),
        };
    }
    let rest = data.get(usize::try_from(first).ok()?..)?;
    if let Some(kind) = kind.strip_suffix("[]") {
        let (count, items) = (usize::try_from(word(rest, 0)?).ok()?, rest.get(32..)?);
        if count > items.len() / 32 {
            return None;
        }
        return (0..count).map(|index| value(kind, items, 32 * index, left)).collect::<Option<_>>().map(Value::List);
    }
    if let Some(types) = kind.strip_prefix('(') {
        return values(&split(types.strip_suffix(')')?), rest, left).map(Value::List);
    }
    let size = usize::try_from(word(rest, 0)?).ok()?;
    *left = left.checked_sub(size)?;
    Some(Value::Data(Bytes::copy_from_slice(rest.get(32..32_usize.checked_add(size)?)?)))
}

/// Writes the words of a result.
#[derive(Default)]
pub struct Words(pub Vec<u8>);

impl Words {
    pub fn word(mut self, word: U256) -> Self {
        self.0.extend_from_slice(&word.to_be_bytes::<32>());
        self
    }

    pub fn number(self, number: usize) -> Self {
        self.word(U256::from(number))
    }

    pub fn address(self, address: Address) -> Self {
        self.word(U256::from_be_bytes(B256::left_padding_from(address.as_slice()).0))
    }

    pub fn data(self, data: &[u8]) -> Self {
        let mut written = self.number(data.len());
        written.0.extend_from_slice(data);
        let size = written.0.len().next_multiple_of(32);
        written.0.resize(size, 0);
        written
    }
}
