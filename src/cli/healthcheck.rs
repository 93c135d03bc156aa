//! `switchhook healthcheck`: whether the running daemon answers, for containers and supervisors.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{ConfigFile, EXIT_CONFIG, runtime, say};

/// For the whole question. A daemon that answers at all answers at once.
const PATIENCE: Duration = Duration::from_secs(3);

/// Ask the running daemon whether it answers, at the address of [admin]
///
/// Exits with 0 if it answers, with 1 if it does not, and with 78 if the configuration is wrong or has no [admin].
#[derive(Debug, clap::Args)]
pub(super) struct Healthcheck {
    #[command(flatten)]
    config: ConfigFile,
}

impl Healthcheck {
    pub(super) fn run(self) -> ExitCode {
        let config = match self.config.read() {
            Ok(config) => config,
            Err(exit) => return exit,
        };
        let Some(listen) = config.admin else {
            eprintln!(
                "switchhook: {} has no [admin], so nothing can be asked. Add this, and start the daemon again:\n\n\
                 [admin]\nlisten = \"127.0.0.1:8088\"",
                self.config.path.display()
            );
            return ExitCode::from(EXIT_CONFIG);
        };
        let address = reachable(listen);
        let runtime = match runtime() {
            Ok(runtime) => runtime,
            Err(exit) => return exit,
        };
        let asked = runtime.block_on(async { tokio::time::timeout(PATIENCE, ask(address)).await });
        let why = match asked {
            Ok(Ok(StatusCode::OK)) => {
                say(&format!("The daemon answers at {address}.\n"));
                return ExitCode::SUCCESS;
            }
            Ok(Ok(status)) => format!("HTTP {status}, not 200: is it Switchhook that listens there?"),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("nothing came within {} s", PATIENCE.as_secs()),
        };
        eprintln!("switchhook: the daemon does not answer at {address}: {why}");
        ExitCode::FAILURE
    }
}

/// Where this machine reaches what listens there.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

async fn ask(address: SocketAddr) -> Result<StatusCode, Box<dyn std::error::Error>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request =
        Request::get("/live").header(header::HOST, address.to_string()).body(Empty::<Bytes>::new())?;
    let answered = async { Ok(sender.send_request(request).await?.status()) };
    tokio::select! {
        answered = answered => answered,
        // Nothing drives the answer but this.
        Err(error) = connection => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_this_machines_addresses_are_asked_at_loopback() {
        for (listen, wanted) in [
            ("0.0.0.0:8088", "127.0.0.1:8088"),
            ("[::]:8088", "[::1]:8088"),
            ("127.0.0.2:8088", "127.0.0.2:8088"),
            ("[2001:db8::1]:9", "[2001:db8::1]:9"),
        ] {
            assert_eq!(reachable(listen.parse().expect("an address")).to_string(), wanted);
        }
    }
}
