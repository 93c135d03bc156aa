//! One HTTP hop: a request to vetted addresses, the head and a bounded body back. Deadline, redirects, retries and the
//! fallback are above it, in [`crate::webhook::Exchange`].

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use hickory_resolver::config::ResolverConfig;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::{ResolverBuilder, TokioResolver};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio_rustls::rustls;

use super::connect::{Connection, Connector};
use crate::webhook::{Hop, HopError, HopErrorKind, HopResponse, Origin, Policy};

/// How long one name server has for one try. A lost packet must leave time for another one within a webhook's timeout.
const DNS_TRY: Duration = Duration::from_millis(600);

/// How often a name server is asked.
const DNS_TRIES: usize = 3;

/// Names, connections and requests of one worker. Not shared: a call's HTTP never waits for another core.
pub struct Http {
    connector: Rc<Connector>,
    resolver: Option<TokioResolver>,
}

/// The TLS settings of all workers: the system's certificates, no client certificate, HTTP/1.1.
///
/// `SSL_CERT_FILE` and `SSL_CERT_DIR` name other certificates.
pub fn tls_settings() -> Result<Arc<rustls::ClientConfig>, rustls::Error> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a certificate store could not be read");
    }
    let mut roots = rustls::RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        tracing::warn!(
            "no trusted certificates were found: https webhooks will fail with `tls`. Install ca-certificates."
        );
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

impl Http {
    /// For one worker; call it on its thread. Without a usable resolver configuration only addresses, `localhost` and
    /// the hosts file work.
    pub fn new(tls: Arc<rustls::ClientConfig>) -> Http {
        let builder = TokioResolver::builder_tokio().unwrap_or_else(|error| {
            tracing::warn!(%error, "no name server: webhooks by name will fail with `dns`");
            without_name_server()
        });
        Http { connector: Rc::new(Connector::new(tls)), resolver: resolver(builder) }
    }

    /// The addresses of a name.
    pub async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        let Some(resolver) = &self.resolver else {
            return Err("names cannot be resolved here".to_owned());
        };
        let found = resolver.lookup_ip(host).await.map_err(|e| e.to_string())?;
        let addresses: Vec<IpAddr> = found.iter().collect();
        if addresses.is_empty() { Err("the name has no address".to_owned()) } else { Ok(addresses) }
    }

    /// Opens a connection ahead, while the caller still listens to a prompt. Failing is no matter: the request will
    /// tell.
    pub async fn prepare(&self, origin: &Origin, policy: &Policy) {
        if self.connector.has(origin) {
            return;
        }
        let resolved = match origin.ip() {
            Some(ip) => Ok(vec![ip]),
            None => self.resolve(&origin.host).await,
        };
        let vetted = resolved.unwrap_or_default().into_iter().filter(|ip| policy.check(*ip).is_ok());
        let addresses: Vec<SocketAddr> = vetted.map(|ip| SocketAddr::new(ip, origin.port)).collect();
        if let Ok(connection) = self.connector.open(origin, &addresses).await {
            self.connector.keep(origin.clone(), connection, None);
        }
    }

    /// Makes one request. The caller of it owns the deadline: dropping the future closes the connection.
    pub async fn hop(&self, hop: Hop) -> Result<HopResponse, HopError> {
        let kept = self.connector.take(&hop.origin, &hop.addresses);
        let again = hop.request.method() == http::Method::GET;
        let reused = kept.is_some();
        let connection = match kept {
            Some(connection) => connection,
            None => self.connector.open(&hop.origin, &hop.addresses).await?,
        };
        match self.send(connection, hop.request.clone(), &hop).await {
            // The server closed the kept connection when we began to write. Nothing was read by it, or it was a GET,
            // which may be repeated (RFC 9112 section 9.3.1): a new connection, once.
            Err(e) if reused && e.kind == HopErrorKind::BadResponse && (again || !e.sent) => {
                let connection = self.connector.open(&hop.origin, &hop.addresses).await?;
                self.send(connection, hop.request.clone(), &hop).await
            }
            other => other,
        }
    }

    async fn send(
        &self,
        mut connection: Connection,
        request: http::Request<Bytes>,
        hop: &Hop,
    ) -> Result<HopResponse, HopError> {
        let begun = Instant::now();
        let response =
            connection.sender.try_send_request(request.map(Full::new)).await.map_err(|mut e| {
                let sent = e.take_message().is_none();
                bad_response(sent, e.error())
            })?;
        let head_after = begun.elapsed();
        let (head, body) = response.into_parts();
        let (body, truncated) = read_body(body, hop.limit).await?;
        let (peer, reused) = (connection.peer, connection.reused);
        if !truncated && head.version == http::Version::HTTP_11 {
            self.keep_when_ready(hop.origin.clone(), connection, keep_alive_time(&head.headers));
        }
        Ok(HopResponse {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            truncated,
            peer,
            reused,
            head_after,
        })
    }

    fn keep_when_ready(&self, origin: Origin, mut connection: Connection, time: Option<Duration>) {
        connection.reused = true;
        if connection.sender.is_ready() {
            return self.connector.keep(origin, connection, time);
        }
        let connector = self.connector.clone();
        tokio::task::spawn_local(async move {
            if connection.sender.ready().await.is_ok() {
                connector.keep(origin, connection, time);
            }
        });
    }
}

/// What knows the hosts file alone.
fn without_name_server() -> ResolverBuilder<TokioRuntimeProvider> {
    TokioResolver::builder_with_config(ResolverConfig::default(), TokioRuntimeProvider::default())
}

fn resolver(mut builder: ResolverBuilder<TokioRuntimeProvider>) -> Option<TokioResolver> {
    let options = builder.options_mut();
    options.timeout = DNS_TRY;
    options.attempts = DNS_TRIES;
    builder.build().inspect_err(|error| tracing::warn!(%error, "webhooks by name will fail with `dns`")).ok()
}

async fn read_body(mut body: Incoming, limit: usize) -> Result<(Bytes, bool), HopError> {
    let mut whole: Option<Bytes> = None;
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| bad_response(true, &e))?;
        let Ok(data) = frame.into_data() else { continue };
        if joined.len() + whole.as_ref().map_or(0, Bytes::len) + data.len() > limit {
            return Ok((whole.unwrap_or_else(|| joined.freeze()), true));
        }
        // Nearly every answer is one frame: it is taken as it is.
        match whole.take() {
            None if joined.is_empty() => whole = Some(data),
            None => joined.extend_from_slice(&data),
            Some(first) => {
                joined.extend_from_slice(&first);
                joined.extend_from_slice(&data);
            }
        }
    }
    Ok((whole.unwrap_or_else(|| joined.freeze()), false))
}

/// `Keep-Alive: timeout=5`, less a second for the way.
fn keep_alive_time(headers: &http::HeaderMap) -> Option<Duration> {
    let value = headers.get("keep-alive")?.to_str().ok()?;
    let seconds = value.split(',').find_map(|p| p.trim().strip_prefix("timeout=")?.parse::<u64>().ok())?;
    Some(Duration::from_secs(seconds.saturating_sub(1)))
}

fn bad_response(sent: bool, error: &hyper::Error) -> HopError {
    let detail = match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    HopError { kind: HopErrorKind::BadResponse, sent, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_a_name_server_this_machine_is_known_and_others_are_not() {
        let resolver = resolver(without_name_server());
        let tls = tls_settings().expect("TLS");
        let http = Http { connector: Rc::new(Connector::new(tls)), resolver };
        let found = http.resolve("localhost").await.expect("the hosts file");
        assert!(found.iter().all(IpAddr::is_loopback), "{found:?}");
        assert!(http.resolve("crm.example.com").await.is_err());
    }
}
