//! The server of the exposition.
//!
//! Flows in: options and a [`Site`]. Flows out: answers, until it is told to stop. Invariant: after the order to stop it
//! takes nothing new, finishes what is open, and ends by the deadline.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::guard::ConnectionLimits;
use super::listener::{self, BindError};
use super::routes::routes;
use super::site::Site;
use super::web::{Web, WebConfigError};
use crate::config::{VARIABLES, default_of, is_telemetry_path};
use crate::instruments::ProcessInstruments;
use crate::poll::builder::DRAIN;

/// How to serve.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen: `127.0.0.1:10700`, `[::1]:10700`, `:10700`.
    pub listen: String,
    /// The path of the exposition.
    pub telemetry_path: String,
    /// The web configuration file.
    pub web_config: Option<PathBuf>,
    /// Whether `POST /-/reload` and `POST /-/poll` are served.
    pub enable_lifecycle: bool,
    /// How long clients may take.
    pub limits: ConnectionLimits,
    /// How long open requests may go on after the order to stop.
    pub drain: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            listen: default_of(VARIABLES, "WEB_LISTEN_ADDRESS").to_owned(),
            telemetry_path: default_of(VARIABLES, "WEB_TELEMETRY_PATH").to_owned(),
            web_config: None,
            enable_lifecycle: false,
            limits: ConnectionLimits::default(),
            drain: DRAIN,
        }
    }
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The web configuration.
    #[error(transparent)]
    Web(#[from] WebConfigError),
    /// The telemetry path.
    #[error(
        "the telemetry path must begin with /, have only letters, digits and -_.~/ in it, and must not be one of the server's own paths: {0}"
    )]
    Path(String),
}

/// A server that listens and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    web: Web,
    options: Options,
}

impl Server {
    /// Reads the web configuration and listens.
    ///
    /// # Errors
    /// See [`ServeError`].
    pub async fn bind(options: Options) -> Result<Server, ServeError> {
        if !is_telemetry_path(&options.telemetry_path) {
            return Err(ServeError::Path(options.telemetry_path));
        }
        let web = Web::load(options.web_config.as_deref())?;
        let listener = listener::bind(&options.listen).await?;
        let address = listener::local_address(&listener, &options.listen)?;
        Ok(Server { listener, address, web, options })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The web configuration, to be read again on a signal.
    #[must_use]
    pub fn web(&self) -> Web {
        self.web.clone()
    }

    /// Answers until `shutdown`, then finishes what is open. Requests are counted by `process`.
    pub async fn run(self, site: Arc<dyn Site>, process: Arc<ProcessInstruments>, shutdown: CancellationToken) {
        let Server { listener, web, options, .. } = self;
        let (limits, drain) = (options.limits, options.drain);
        let router =
            routes(site, &options.telemetry_path, options.enable_lifecycle, web.clone(), &process, shutdown.clone());
        listener::serve(listener, router, Some(web), process, limits, shutdown, drain).await;
    }
}
