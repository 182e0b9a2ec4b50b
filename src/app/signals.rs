//! Signals.
//!
//! Flows in: SIGTERM, SIGINT, SIGHUP. Flows out: the order to stop, and reloads. Invariant: the first signal ends things
//! in order, the second at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::AppError;

/// Listens to signals from now on. `reload` runs at each SIGHUP.
pub(super) fn listen(
    stop: CancellationToken,
    reload: impl Fn() + Send + 'static,
) -> Result<tokio::task::JoinHandle<()>, AppError> {
    let hear = |kind| signal(kind).map_err(|error| AppError::System(format!("cannot listen to signals: {error}")));
    let (mut term, mut int, mut hup) =
        (hear(SignalKind::terminate())?, hear(SignalKind::interrupt())?, hear(SignalKind::hangup())?);
    Ok(tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = hup.recv() => {
                    reload();
                    continue;
                }
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            if stop.is_cancelled() {
                tracing::warn!("a second signal: ending at once");
                std::process::exit(1);
            }
            tracing::info!("stopping; a second signal ends it at once");
            stop.cancel();
        }
    }))
}
