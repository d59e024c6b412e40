//! Blockstores: a bundle's blocks shared by all cases, and what one case writes over them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::Result;
use cid::Cid;
use fvm_ipld_blockstore::Blockstore;

use crate::car::Blocks;

/// Blocks of one case over those of its bundle. Clones share what is written.
#[derive(Clone)]
pub struct Layered {
    bundle: Arc<Blocks>,
    own: Rc<RefCell<HashMap<Cid, Vec<u8>>>>,
}

impl Layered {
    pub fn over(bundle: Arc<Blocks>) -> Self {
        Self { bundle, own: Rc::default() }
    }

    pub fn extend(&self, blocks: &Blocks) {
        self.own.borrow_mut().extend(blocks.iter().map(|(cid, data)| (*cid, data.clone())));
    }

    /// A store of the same content that is written to on its own.
    pub fn fork(&self) -> Self {
        Self { bundle: self.bundle.clone(), own: Rc::new(RefCell::new(self.own.borrow().clone())) }
    }

    /// What was written here, without the bundle's blocks.
    pub fn own_blocks(&self) -> Blocks {
        let own = self.own.borrow();
        own.iter().filter(|(cid, _)| !self.bundle.contains_key(*cid)).map(|(cid, data)| (*cid, data.clone())).collect()
    }
}

impl Blockstore for Layered {
    fn get(&self, cid: &Cid) -> Result<Option<Vec<u8>>> {
        Ok(self.own.borrow().get(cid).or_else(|| self.bundle.get(cid)).cloned())
    }

    fn put_keyed(&self, cid: &Cid, block: &[u8]) -> Result<()> {
        self.own.borrow_mut().insert(*cid, block.to_vec());
        Ok(())
    }
}
