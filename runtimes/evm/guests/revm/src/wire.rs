//! The formats of Python's messages (`runtimes/evm/revm/guest.py`): integers little-endian, addresses, words and hashes
//! as Ethereum writes them.

use revm::primitives::{Address, B256, Log, U256};

/// Reads a message. The guest trusts Python: a message that is too short is a defect and ends in a trap.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn bytes(&mut self, size: usize) -> &'a [u8] {
        let (head, tail) = self.0.split_at(size);
        self.0 = tail;
        head
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        self.bytes(N).try_into().unwrap()
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    pub fn u128(&mut self) -> u128 {
        u128::from_le_bytes(self.array())
    }

    pub fn address(&mut self) -> Address {
        Address::from(self.array::<20>())
    }

    pub fn hash(&mut self) -> B256 {
        B256::from(self.array::<32>())
    }

    pub fn word(&mut self) -> U256 {
        U256::from_be_bytes(self.array::<32>())
    }

    pub fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.u32()).map(|_| read(self)).collect()
    }

    pub fn data(&mut self) -> &'a [u8] {
        let size = self.u32() as usize;
        self.bytes(size)
    }
}

/// Writes a message for Python.
pub trait Write {
    fn u32(&mut self, value: u32);
    fn u64(&mut self, value: u64);
    fn raw(&mut self, value: &[u8]);

    fn word(&mut self, value: U256) {
        self.raw(&value.to_be_bytes::<32>());
    }

    fn data(&mut self, value: &[u8]) {
        self.u32(value.len() as u32);
        self.raw(value);
    }

    fn logs(&mut self, logs: &[Log]) {
        self.u32(logs.len() as u32);
        for log in logs {
            self.raw(log.address.as_slice());
            self.u32(log.data.topics().len() as u32);
            for topic in log.data.topics() {
                self.raw(topic.as_slice());
            }
            self.data(&log.data.data);
        }
    }
}

impl Write for Vec<u8> {
    fn u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn raw(&mut self, value: &[u8]) {
        self.extend_from_slice(value);
    }
}
