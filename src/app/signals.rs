//! Signals.
//!
//! Flows in: SIGTERM, SIGINT, SIGHUP. Flows out: the order to stop, and reloads. Invariant: the first signal ends things
//! in order, the second at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::AppError;

/// Signals, received from the moment this exists: one that comes while the program still starts is not lost.
pub(super) struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Signals {
    pub(super) fn listen() -> Result<Signals, AppError> {
        let listen =
            |kind| signal(kind).map_err(|error| AppError::System(format!("cannot listen to signals: {error}")));
        Ok(Signals {
            term: listen(SignalKind::terminate())?,
            int: listen(SignalKind::interrupt())?,
            hup: listen(SignalKind::hangup())?,
        })
    }

    /// Obeys them from now on. `reload` runs at each SIGHUP.
    pub(super) fn handle(
        mut self,
        stop: CancellationToken,
        reload: impl Fn() + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = self.hup.recv() => {
                        reload();
                        continue;
                    }
                    _ = self.term.recv() => {}
                    _ = self.int.recv() => {}
                }
                if stop.is_cancelled() {
                    tracing::warn!("received a second signal: exiting at once");
                    std::process::exit(1);
                }
                tracing::info!("received a signal: shutting down; a second signal exits at once");
                stop.cancel();
            }
        })
    }
}
