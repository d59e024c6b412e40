//! A map of maps: a HAMT whose values are roots of HAMTs. Inner maps are kept while one works on them, and those that
//! are left empty have no entry.

use std::collections::BTreeMap;

use cid::Cid;
use fvm_ipld_hamt::BytesKey;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ActorError;
use crate::map::{self, Map};

pub struct NestedMap<V> {
    outer: Map<Cid>,
    inner: BTreeMap<Vec<u8>, Map<V>>,
}

impl<V: Serialize + DeserializeOwned> NestedMap<V> {
    pub fn empty() -> Self {
        Self { outer: map::empty(), inner: BTreeMap::new() }
    }

    pub fn load(root: &Cid) -> Result<Self, ActorError> {
        Ok(Self { outer: map::load(root)?, inner: BTreeMap::new() })
    }

    /// The inner map under a key, an empty one if there is none.
    pub fn under(&mut self, key: BytesKey) -> Result<&mut Map<V>, ActorError> {
        if !self.inner.contains_key(&key.0) {
            let inner = match self.outer.get(&key)? {
                Some(root) => map::load(root)?,
                None => map::empty(),
            };
            self.inner.insert(key.0.clone(), inner);
        }
        Ok(self.inner.get_mut(&key.0).expect("it is there now"))
    }
}

impl<V: Serialize + DeserializeOwned + PartialEq> NestedMap<V> {
    pub fn flush(mut self) -> Result<Cid, ActorError> {
        for (key, mut inner) in self.inner {
            if inner.is_empty() {
                self.outer.delete(&BytesKey(key))?;
            } else {
                self.outer.set(BytesKey(key), inner.flush()?)?;
            }
        }
        Ok(self.outer.flush()?)
    }
}
