//! Values of parameters by their ABI types, and calldata.

use crate::protocol::value_type;
use crate::wire::Reader;
use revm::primitives::U256;
use std::iter::repeat;

const WORD: usize = 32;
/// Values, and words of bytes, in the calldata of one call that is decoded.
const MAX_VALUES: usize = 1 << 20;

/// An ABI type. Numbers have their bits, bytes of a fixed size that size.
pub enum Kind {
    Uint(usize),
    Int(usize),
    Bool,
    Address,
    /// An enum, with its number of members.
    Enum(usize),
    Function,
    FixedBytes(usize),
    Bytes,
    Text,
    Array(Box<Kind>),
    FixedArray(Box<Kind>, usize),
    Tuple(Vec<Kind>),
}

#[derive(Clone, PartialEq)]
pub enum Value {
    /// A word as the ABI encodes it.
    Word(U256),
    /// Bytes, or a string in UTF-8.
    Data(Vec<u8>),
    List(Vec<Value>),
}

impl Kind {
    /// Read a type: a number of `ValueType`, and its size or its parts.
    pub fn read(read: &mut Reader<'_>) -> Self {
        let size = |read: &mut Reader<'_>| read.get::<u32>() as usize;
        match read.get() {
            value_type::UINT => Self::Uint(size(read)),
            value_type::INT => Self::Int(size(read)),
            value_type::BOOL => Self::Bool,
            value_type::ADDRESS => Self::Address,
            value_type::ENUM => Self::Enum(size(read)),
            value_type::FUNCTION => Self::Function,
            value_type::FIXED_BYTES => Self::FixedBytes(size(read)),
            value_type::BYTES => Self::Bytes,
            value_type::STRING => Self::Text,
            value_type::ARRAY => Self::Array(Box::new(Self::read(read))),
            value_type::FIXED_ARRAY => {
                let count = size(read);
                Self::FixedArray(Box::new(Self::read(read)), count)
            }
            _ => Self::Tuple(read.list_of(Self::read)),
        }
    }

    /// Return the simplest value.
    pub fn plain(&self) -> Value {
        match self {
            Self::Bytes | Self::Text => Value::Data(Vec::new()),
            Self::Array(_) => Value::List(Vec::new()),
            Self::FixedArray(item, count) => Value::List(vec![item.plain(); *count]),
            Self::Tuple(parts) => Value::List(parts.iter().map(Self::plain).collect()),
            _ => Value::Word(U256::ZERO),
        }
    }

    /// Return the bytes of a value of a fixed size that stands on the left of its word, or of an address; None for others.
    pub fn byte_size(&self) -> Option<usize> {
        match self {
            Self::Address => Some(20),
            Self::Function => Some(24),
            Self::FixedBytes(size) => Some(*size),
            _ => None,
        }
    }

    /// True if a value stands on the left of its word.
    pub fn is_left(&self) -> bool {
        matches!(self, Self::Function | Self::FixedBytes(_))
    }

    fn is_dynamic(&self) -> bool {
        match self {
            Self::Bytes | Self::Text | Self::Array(_) => true,
            Self::FixedArray(item, _) => item.is_dynamic(),
            Self::Tuple(parts) => parts.iter().any(Self::is_dynamic),
            _ => false,
        }
    }

    fn head_size(&self) -> usize {
        match self {
            _ if self.is_dynamic() => WORD,
            Self::FixedArray(item, count) => item.head_size() * count,
            Self::Tuple(parts) => parts.iter().map(Self::head_size).sum(),
            _ => WORD,
        }
    }

    /// Return the number of elements in arrays of fixed length.
    pub fn fixed_elements(&self) -> usize {
        match self {
            Self::FixedArray(item, count) => item.fixed_elements() * count,
            Self::Tuple(parts) => parts.iter().map(Self::fixed_elements).sum::<usize>().max(1),
            _ => 1,
        }
    }

    /// Return the value of this type that a word stands for, whose other bits do not matter.
    fn normalized(&self, word: U256) -> U256 {
        match self {
            Self::Uint(bits) => low_bits(word, *bits),
            Self::Int(bits) => sign_extended(word, *bits),
            Self::Bool => U256::from(!word.is_zero()),
            Self::Address => low_bits(word, 160),
            Self::Enum(members) => word % U256::from((*members).max(1)),
            _ => {
                let above = 8 * (WORD - self.byte_size().unwrap_or(WORD));
                word >> above << above
            }
        }
    }

    fn encode(&self, value: &Value, output: &mut Vec<u8>) {
        match (self, value) {
            (Self::Bytes | Self::Text, Value::Data(data)) => {
                output.extend_from_slice(&word_of(data.len()));
                output.extend_from_slice(data);
                output.resize(output.len() + data.len().next_multiple_of(WORD) - data.len(), 0);
            }
            (Self::Array(item), Value::List(items)) => {
                output.extend_from_slice(&word_of(items.len()));
                encode_all(items.len(), |at| (&**item, &items[at]), output);
            }
            (Self::FixedArray(item, _), Value::List(items)) => {
                encode_all(items.len(), |at| (&**item, &items[at]), output);
            }
            (Self::Tuple(parts), Value::List(items)) => encode_all(items.len(), |at| (&parts[at], &items[at]), output),
            (_, Value::Word(word)) => output.extend_from_slice(&word.to_be_bytes::<WORD>()),
            _ => unreachable!("a value of another type"),
        }
    }

    /// Decode a value at a position of the data of its list, and go to the next one.
    fn decode(&self, data: &[u8], at: &mut usize, left: &mut usize) -> Option<Value> {
        if !self.is_dynamic() {
            return self.decode_static(data, at, left);
        }
        let tail = data.get(size_at(data, *at)?..)?;
        *at += WORD;
        match self {
            Self::Bytes | Self::Text => {
                let data = tail.get(WORD..)?.get(..size_at(tail, 0)?)?;
                *left = left.checked_sub(data.len() / WORD)?;
                Some(Value::Data(data.to_vec()))
            }
            Self::Array(item) => {
                let count = Some(size_at(tail, 0)?).filter(|count| count <= left)?;
                decode_all(repeat(&**item).take(count), tail.get(WORD..)?, &mut 0, left)
            }
            Self::FixedArray(item, count) => decode_all(repeat(&**item).take(*count), tail, &mut 0, left),
            Self::Tuple(parts) => decode_all(parts.iter(), tail, &mut 0, left),
            _ => None,
        }
    }

    fn decode_static(&self, data: &[u8], at: &mut usize, left: &mut usize) -> Option<Value> {
        match self {
            Self::FixedArray(item, count) => decode_all(repeat(&**item).take(*count), data, at, left),
            Self::Tuple(parts) => decode_all(parts.iter(), data, at, left),
            _ => {
                let word = word_at(data, *at)?;
                *at += WORD;
                *left = left.checked_sub(1)?;
                Some(Value::Word(self.normalized(word)))
            }
        }
    }
}

/// Return the encoding of the values of parameters.
pub fn encode<'a>(kinds: impl Fn(usize) -> &'a Kind, values: &'a [Value], output: &mut Vec<u8>) {
    encode_all(values.len(), |at| (kinds(at), &values[at]), output);
}

/// Return the values of parameters; None if the data does not encode them.
pub fn decode<'a>(kinds: impl Iterator<Item = &'a Kind>, data: &[u8]) -> Option<Vec<Value>> {
    match decode_all(kinds, data, &mut 0, &mut { MAX_VALUES })? {
        Value::List(values) => Some(values),
        _ => None,
    }
}

fn encode_all<'a>(count: usize, part: impl Fn(usize) -> (&'a Kind, &'a Value), output: &mut Vec<u8>) {
    let begin = output.len();
    if (0..count).all(|at| !part(at).0.is_dynamic()) {
        (0..count).for_each(|at| part(at).0.encode(part(at).1, output));
        return;
    }
    let mut tails = Vec::new();
    let head: usize = (0..count).map(|at| part(at).0.head_size()).sum();
    for at in 0..count {
        let (kind, value) = part(at);
        if kind.is_dynamic() {
            output.extend_from_slice(&word_of(head + tails.len()));
            kind.encode(value, &mut tails);
        } else {
            kind.encode(value, output);
        }
    }
    debug_assert_eq!(output.len(), begin + head);
    output.append(&mut tails);
}

fn decode_all<'a>(
    kinds: impl Iterator<Item = &'a Kind>,
    data: &[u8],
    at: &mut usize,
    left: &mut usize,
) -> Option<Value> {
    *left = left.checked_sub(1)?;
    kinds.map(|kind| kind.decode(data, at, left)).collect::<Option<_>>().map(Value::List)
}

/// Return a number of these bits as a signed word.
pub fn sign_extended(word: U256, bits: usize) -> U256 {
    let above = 256 - bits;
    (word << above).arithmetic_shr(above)
}

/// Return the bits of a word up to a size.
pub fn low_bits(word: U256, bits: usize) -> U256 {
    if bits >= 256 { word } else { word & ((U256::from(1) << bits) - U256::from(1)) }
}

fn word_of(size: usize) -> [u8; WORD] {
    U256::from(size).to_be_bytes()
}

fn word_at(data: &[u8], at: usize) -> Option<U256> {
    Some(U256::from_be_slice(data.get(at..)?.get(..WORD)?))
}

fn size_at(data: &[u8], at: usize) -> Option<usize> {
    word_at(data, at)?.try_into().ok()
}
