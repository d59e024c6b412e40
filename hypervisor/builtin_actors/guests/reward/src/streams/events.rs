//! What the streams' events say. The order in a message: what was applied, what was dropped, folds, maps, the method's
//! own.

use actor_runtime::ActorError;
use actor_runtime::event::Event;
use fvm_shared::ActorID;
use fvm_shared::econ::TokenAmount;

use crate::streams::queue::Changes;
use crate::streams::{PendingWrite, StreamID, Wallet};

impl Changes {
    /// All events; at the first that cannot be emitted an error, which an award ignores.
    pub fn emit(&self) -> Result<(), ActorError> {
        for write in &self.applied {
            of_write("write-applied", write).emit()?;
        }
        for write in &self.dropped {
            of_write("write-dropped", write).emit()?;
        }
        for fold in &self.folds {
            Event::new("period-folded")
                .indexed("stream-id", &fold.id)
                .field("cause", fold.cause)
                .field("accrued", &fold.accrued)
                .field("dust", &fold.dust)
                .emit()?;
        }
        for (id, map) in &self.maps {
            let shares: Vec<(ActorID, u64)> = map.rows().iter().map(|(wallet, share)| (wallet.0, *share)).collect();
            Event::new("shares-set").indexed("stream-id", id).field("shares", &shares).emit()?;
        }
        Ok(())
    }
}

pub fn queued(write: &PendingWrite) -> Result<(), ActorError> {
    of_write("write-queued", write).field("payload", &write.payload).emit()
}

pub fn cancelled(write: &PendingWrite) -> Result<(), ActorError> {
    of_write("write-cancelled", write).emit()
}

pub fn replaced(id: StreamID, old: Wallet, new: Wallet) -> Result<(), ActorError> {
    Event::new("address-replaced")
        .indexed("stream-id", &id)
        .indexed("old-recipient", &old.0)
        .indexed("new-recipient", &new.0)
        .emit()
}

pub fn paid(id: StreamID, recipient: Wallet, amount: &TokenAmount) -> Result<(), ActorError> {
    Event::new("claim-payout")
        .indexed("stream-id", &id)
        .indexed("recipient", &recipient.0)
        .field("amount", amount)
        .emit()
}

fn of_write(kind: &str, write: &PendingWrite) -> Event {
    let event = Event::new(kind).indexed("op", &write.op).field("effective-epoch", &write.effective_epoch);
    match &write.id {
        Some(id) => event.indexed("stream-id", id),
        None => event,
    }
}
