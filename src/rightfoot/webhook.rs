//! What the vendor's events say.
//!
//! Flows in: the body of a request that knew the secret. Flows out: batch ids to the list. Invariant: an event is
//! acknowledged only once its batch is durable; every request is counted by what became of it.

use async_trait::async_trait;
use serde::Deserialize;
use uuid::Uuid;

use super::VENDOR;
use super::batch_list::{BatchList, Noticed};
use crate::names::Vendor;
use crate::poll::webhook_sink::{Received, WebhookSink};

const COMPLETED: &str = "BALANCE_BATCH_COMPLETED";

/// What the body of a request says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A batch is complete.
    Completed {
        /// The event's own id.
        event: Uuid,
        /// The batch.
        batch: Uuid,
    },
    /// Another event, which means nothing here.
    Other,
}

impl Event {
    /// Reads a body; `None` if it is no event, or one whose ids are none.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Event> {
        // The rest is the vendor's.
        #[derive(Deserialize)]
        struct Wire {
            #[serde(rename = "type")]
            kind: String,
            event_uuid: Option<String>,
            batch_id: Option<String>,
        }
        let event: Wire = serde_json::from_slice(body).ok()?;
        if event.kind != COMPLETED {
            return Some(Event::Other);
        }
        let uuid = |text: Option<String>| Uuid::try_parse(&text?).ok();
        Some(Event::Completed { event: uuid(event.event_uuid)?, batch: uuid(event.batch_id)? })
    }
}

#[async_trait]
impl WebhookSink for BatchList {
    fn vendor(&self) -> Vendor {
        VENDOR
    }

    async fn receive(&self, body: &[u8]) -> Received {
        let (event, batch) = match Event::read(body) {
            Some(Event::Completed { event, batch }) => (event, batch),
            Some(Event::Other) => {
                self.count(|view| view.ignored += 1);
                return Received::Done;
            }
            None => {
                self.count(|view| view.malformed += 1);
                return Received::Malformed;
            }
        };
        match self.notice(event, batch).await {
            Some(Noticed::Taken) => Received::Done,
            Some(Noticed::Full) => Received::Later("Too many batches wait for confirmation.\n"),
            None => Received::Later("The event could not be stored.\n"),
        }
    }
}
