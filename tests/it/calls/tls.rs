//! Which web servers are trusted. The certificates are those of `SSL_CERT_FILE`.

use std::fs;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer};

use super::pbx::Caller;
use super::running::Running;
use super::web::{Act, Manners, Saw, Web, ok};
use crate::program::command;

/// An authority: its certificate as PEM, and what signs.
fn authority() -> (String, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).expect("a certificate");
    (certificate.pem(), Issuer::new(params, key))
}

/// A server's side with a certificate for these names.
fn server(names: &[&str], issuer: &Issuer<'_, KeyPair>, expired: bool) -> TlsAcceptor {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("parameters");
    if expired {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 1);
    }
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, issuer).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("protocols")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a server");
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn only_a_server_that_proves_who_it_is_is_asked() {
    let (folder, (pem, ours), (_, other)) =
        (tempfile::tempdir().expect("a folder"), authority(), authority());
    fs::write(folder.path().join("ca.pem"), pem).expect("a file");
    let good = || vec![Act::Send(ok("status=ACK"))];
    let good_tls = async |tls| Web::answering_tls(tls, good()).await;
    let mute = Manners { greeting: vec![Act::Hold], ..Manners::default() };
    let closed = Manners { greeting: vec![Act::Close], ..Manners::default() };
    let address = "127.0.0.1";
    let rows = [
        ("trusted", address, "SUCCESS ok", good_tls(server(&[address], &ours, false)).await),
        ("by-name", "localhost", "SUCCESS ok", good_tls(server(&["localhost"], &ours, false)).await),
        ("untrusted", address, "FAILED tls", good_tls(server(&[address], &other, false)).await),
        ("expired", address, "FAILED tls", good_tls(server(&[address], &ours, true)).await),
        ("wrong-name", address, "FAILED tls", good_tls(server(&["crm.example.com"], &ours, false)).await),
        ("wrong-host", "localhost", "FAILED tls", good_tls(server(&[address], &ours, false)).await),
        (
            "plain-http",
            address,
            "FAILED tls",
            Web::start(Manners { greeting: good(), ..Manners::default() }).await,
        ),
        ("closed", address, "FAILED tls", Web::start(closed).await),
        ("mute", address, "FAILED timeout", Web::start(mute.clone()).await),
    ];
    let mut text = String::new();
    for (name, host, _, web) in &rows {
        let timeout = if *name == "mute" { "1s" } else { "10s" };
        let port = web.address.port();
        text.push_str(&format!(
            "[webhook.{name}]\nurl = \"https://{host}:{port}/{name}\"\ntimeout = \"{timeout}\"\n"
        ));
    }
    let fallback = Web::answering(good()).await;
    let untrusted = rows[2].3.address;
    text.push_str(&format!(
        "[webhook.back]\nurl = \"https://{untrusted}/\"\nfallback_url = \"{}\"\n",
        fallback.url("/")
    ));
    let silent = Web::start(mute).await;
    text.push_str(&format!(
        "[webhook.ahead]\nurl = \"https://{}/\"\ntimeout = \"1s\"\n[webhook.ahead.ivr]\nattempts = 1\n",
        silent.address
    ));
    let daemon = {
        super::running::configure(folder.path(), &text);
        let mut run = command(folder.path(), &["run", "--config", "config.toml"]);
        run.env("SSL_CERT_FILE", folder.path().join("ca.pem")).env_remove("SSL_CERT_DIR");
        Running::run(run).await
    };
    for (name, _, outcome, web) in &rows {
        assert_eq!(daemon.call(Caller::of(name)).await.outcome(), *outcome, "{name}");
        let read = usize::from(*outcome == "SUCCESS ok");
        assert_eq!(web.asked().len(), read, "{name}");
    }
    assert_eq!(daemon.call(Caller::of("back")).await.outcome(), "SUCCESS ok");
    // The connection that is opened ahead, while the prompt plays, is given up when the server says nothing.
    assert_eq!(daemon.call(Caller::of("ahead")).await.outcome(), "FAILED no_input");
    silent.until(1, |saw| matches!(saw, Saw::Left(_))).await;
    daemon.stop().await;
}
