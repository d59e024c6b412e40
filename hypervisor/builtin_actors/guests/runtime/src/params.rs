//! Parameters in, answers out. Absent and present parameters are told apart: a method without parameters refuses any
//! (16), a method with parameters refuses none (16), and what cannot be decoded is 21.

use fvm_ipld_encoding::CBOR;
use fvm_ipld_encoding::ipld_block::IpldBlock;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{ActorError, Reply};

pub struct Params(pub(crate) Option<IpldBlock>);

impl Params {
    pub fn expect_none(&self) -> Result<(), ActorError> {
        match self.0 {
            None => Ok(()),
            Some(_) => Err(ActorError::illegal_argument("this method takes no parameters")),
        }
    }

    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, ActorError> {
        match &self.0 {
            None => Err(ActorError::illegal_argument("this method takes parameters, got none")),
            Some(block) => Ok(block.deserialize()?),
        }
    }

    pub fn block(self) -> Option<IpldBlock> {
        self.0
    }
}

/// The answer of a method that returns a value.
pub fn reply<T: Serialize>(value: &T) -> Reply {
    Ok(Some(IpldBlock::serialize(CBOR, value)?))
}

/// The answer of a method that returns nothing.
pub fn done() -> Reply {
    Ok(None)
}

/// What a callee has returned: 24 if it was nothing, 21 if it is something else.
pub fn returned<T: DeserializeOwned>(block: Option<IpldBlock>) -> Result<T, ActorError> {
    let block = block.ok_or_else(|| ActorError::assertion_failed("the called actor returned nothing"))?;
    Ok(block.deserialize()?)
}

/// A block with CBOR parameters for a send.
pub fn cbor<T: Serialize>(value: &T) -> Result<Option<IpldBlock>, ActorError> {
    Ok(Some(IpldBlock::serialize(CBOR, value)?))
}
