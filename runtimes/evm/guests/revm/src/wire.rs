//! How messages between Python and the guest are read and written: their fixed parts are the layouts of `protocol.rs`.
//! Integers are little-endian; addresses, words and hashes are as Ethereum writes them.

use crate::protocol::LogHead;
use revm::primitives::{Address, B256, Bytes, Log, U256};

/// A value of a message.
pub trait Field: Sized {
    fn read(read: &mut Reader<'_>) -> Self;
    fn write(&self, output: &mut Vec<u8>);
}

macro_rules! integers {
    ($($name:ty),*) => { $(
        impl Field for $name {
            fn read(read: &mut Reader<'_>) -> Self {
                Self::from_le_bytes(read.array())
            }
            fn write(&self, output: &mut Vec<u8>) {
                output.extend_from_slice(&self.to_le_bytes());
            }
        }
    )* };
}

integers!(u8, u16, u32, u64, u128, i64);

impl Field for bool {
    fn read(read: &mut Reader<'_>) -> Self {
        u32::read(read) != 0
    }
    fn write(&self, output: &mut Vec<u8>) {
        (*self as u32).write(output);
    }
}

impl Field for Address {
    fn read(read: &mut Reader<'_>) -> Self {
        Self::from(read.array::<20>())
    }
    fn write(&self, output: &mut Vec<u8>) {
        output.raw(self.as_slice());
    }
}

impl Field for B256 {
    fn read(read: &mut Reader<'_>) -> Self {
        Self::from(read.array::<32>())
    }
    fn write(&self, output: &mut Vec<u8>) {
        output.raw(self.as_slice());
    }
}

impl Field for U256 {
    fn read(read: &mut Reader<'_>) -> Self {
        Self::from_be_bytes(read.array::<32>())
    }
    fn write(&self, output: &mut Vec<u8>) {
        output.raw(&self.to_be_bytes::<32>());
    }
}

/// Numbers from 0: the type of what the guest tells, and constants for what it reads.
macro_rules! numbers {
    ($name:ident $module:ident: $($value:ident),* $(,)?) => {
        #[allow(dead_code, non_camel_case_types, clippy::upper_case_acronyms)]
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[repr(u32)]
        pub enum $name { $($value),* }
        #[allow(dead_code)]
        pub mod $module { $(pub const $value: u32 = super::$name::$value as u32;)* }
    };
}

/// Flags: 1, 2, 4 and so on.
macro_rules! flags {
    ($name:ident $module:ident: $($value:ident),* $(,)?) => {
        #[allow(dead_code)]
        pub mod $module {
            #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
            enum Bit { $($value),* }
            $(pub const $value: u32 = 1 << Bit::$value as u32;)*
        }
    };
}

/// Values whose fields follow each other in messages.
macro_rules! layouts {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? })*) => { $(
        $(#[$doc])*
        #[allow(dead_code)]
        #[derive(Clone, Debug, Default, PartialEq)]
        #[repr(C)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type),* }
        impl Field for $name {
            fn read(read: &mut Reader<'_>) -> Self {
                Self { $($field: Field::read(read)),* }
            }
            fn write(&self, output: &mut Vec<u8>) {
                $(self.$field.write(output);)*
            }
        }
    )* };
}

/// Check at compile time that revm has these numbers.
macro_rules! same_instruction_result {
    ($($name:ident = $number:literal),* $(,)?) => {
        $(const _: () = assert!(revm::interpreter::InstructionResult::$name as u32 == $number);)*
    };
}

macro_rules! same_gas_id {
    ($($name:ident = $number:literal),* $(,)?) => {
        $(const _: () = assert!(revm::context_interface::cfg::GasId::$name().as_u8() == $number);)*
    };
}

pub(crate) use {flags, layouts, numbers, same_gas_id, same_instruction_result};

/// Reads a message. The guest trusts Python: a message that is too short is a defect and ends in a trap.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn bytes(&mut self, size: u32) -> &'a [u8] {
        let (head, tail) = self.0.split_at(size as usize);
        self.0 = tail;
        head
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        self.bytes(N as u32).try_into().unwrap()
    }

    pub fn get<T: Field>(&mut self) -> T {
        T::read(self)
    }

    pub fn list<T: Field>(&mut self) -> Vec<T> {
        self.list_of(Self::get)
    }

    pub fn list_of<T>(&mut self, mut read: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.get()).map(|_: u32| read(self)).collect()
    }

    pub fn data(&mut self) -> &'a [u8] {
        let size = self.get();
        self.bytes(size)
    }

    pub fn log(&mut self) -> Log {
        let head: LogHead = self.get();
        let topics = (0..head.topics).map(|_| self.get()).collect();
        Log::new_unchecked(head.emitter, topics, Bytes::copy_from_slice(self.data()))
    }
}

/// Writes a message for Python.
pub trait Write {
    fn raw(&mut self, value: &[u8]);
    fn put(&mut self, value: impl Field);

    fn data(&mut self, value: &[u8]) {
        self.put(value.len() as u32);
        self.raw(value);
    }
}

impl Write for Vec<u8> {
    fn raw(&mut self, value: &[u8]) {
        self.extend_from_slice(value);
    }

    fn put(&mut self, value: impl Field) {
        value.write(self);
    }
}

/// Write a list of logs.
pub fn write_logs(logs: &[Log], output: &mut Vec<u8>) {
    output.put(logs.len() as u32);
    for log in logs {
        output.put(LogHead { emitter: log.address, topics: log.data.topics().len() as u32 });
        log.data.topics().iter().for_each(|topic| output.put(*topic));
        output.data(&log.data.data);
    }
}

/// Write a value in place of another one.
pub fn overwrite(output: &mut [u8], at: usize, value: &impl Field) {
    let mut written = Vec::new();
    value.write(&mut written);
    output[at..at + written.len()].copy_from_slice(&written);
}

/// Return a flag if it is set, else 0.
pub fn flag(is_set: bool, flag: u32) -> u32 {
    if is_set { flag } else { 0 }
}
