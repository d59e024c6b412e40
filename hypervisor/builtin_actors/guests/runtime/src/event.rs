//! Events: a type and named values in CBOR. Every name is indexed, and so are the values that one would look for.

use fvm_ipld_encoding::{CBOR, to_vec};
use fvm_shared::event::{ActorEvent, Entry, Flags};
use serde::Serialize;

use crate::ActorError;

pub struct Event(Vec<Entry>);

impl Event {
    pub fn new(kind: &str) -> Self {
        Self(Vec::new()).indexed("$type", kind)
    }

    pub fn field<T: Serialize + ?Sized>(self, name: &str, value: &T) -> Self {
        self.entry(Flags::FLAG_INDEXED_KEY, name, value)
    }

    pub fn indexed<T: Serialize + ?Sized>(self, name: &str, value: &T) -> Self {
        self.entry(Flags::FLAG_INDEXED_ALL, name, value)
    }

    fn entry<T: Serialize + ?Sized>(mut self, flags: Flags, name: &str, value: &T) -> Self {
        let value = to_vec(value).expect("a value of an event can be encoded");
        self.0.push(Entry { flags, key: name.to_string(), codec: CBOR, value });
        self
    }

    /// 24 in a read-only call.
    pub fn emit(self) -> Result<(), ActorError> {
        fvm_sdk::event::emit_event(&ActorEvent { entries: self.0 })
            .map_err(|error| ActorError::assertion_failed(format!("emit failed: error number {}", error as u32)))
    }
}
