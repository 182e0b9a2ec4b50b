//! The webhook's server.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::connection;
use super::guard::Limits;
use super::listener::{self, BindFault};
use super::payload::Payload;
use super::requests::{Handler, Requests};
use super::respond::not_found;
use crate::config::secret::Secret;
use crate::poll::inbox::Inbox;

/// How to serve the webhook.
#[derive(Clone, Debug)]
pub struct WebhookOptions {
    /// Where to listen.
    pub listen: String,
    /// The secret in the path.
    pub secret: Secret,
    /// How long clients may take.
    pub limits: Limits,
    /// How long open requests may go on after the order to stop.
    pub drain: std::time::Duration,
}

/// A webhook server that listens and does not answer yet.
#[derive(Debug)]
pub struct WebhookServer {
    listener: TcpListener,
    address: SocketAddr,
    options: WebhookOptions,
}

impl WebhookServer {
    /// Listens.
    ///
    /// # Errors
    /// If the address cannot be used.
    pub async fn bind(options: WebhookOptions) -> Result<WebhookServer, BindFault> {
        let listener = listener::bind(&options.listen).await?;
        let address = listener::local_address(&listener, &options.listen)?;
        Ok(WebhookServer { listener, address, options })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown`, then finishes what is open. `requests` come from [`super::Server::requests`].
    pub async fn run(self, inbox: Arc<dyn Inbox>, requests: Arc<Requests>, shutdown: CancellationToken) {
        let WebhookServer { listener, options, .. } = self;
        let (limits, drain) = (options.limits, options.drain);
        let hook = Hook { inbox, secret: options.secret, requests: Arc::clone(&requests) };
        listener::serve(listener, Arc::new(hook), None, requests, limits, shutdown, drain).await;
    }
}

#[expect(dead_code, reason = "to come")]
struct Hook {
    inbox: Arc<dyn Inbox>,
    secret: Secret,
    requests: Arc<Requests>,
}

impl connection::Handler for Hook {
    async fn handle(&self, _request: Request<Incoming>) -> Response<Payload> {
        let _present = self.requests.begin();
        self.requests.answered(Handler::Webhook, hyper::StatusCode::NOT_FOUND);
        not_found()
    }
}
