//! The web configuration file: TLS, passwords, headers, with real certificates and a real client.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wallet_exporter::http::{Options, Web};

use super::fixture::{FakeSite, RunningServer, ask, options, serve, small};
use super::tools;

/// `correct horse`, at the lowest cost, so that tests are quick.
pub fn hash() -> String {
    bcrypt::hash("correct horse", 4).unwrap()
}

/// A certificate authority with a folder for what it signs.
pub struct Authority {
    pub folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "test authority");
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("ca.crt"), issuer.as_ref().pem()).unwrap();
        Authority { folder, issuer }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes `name.crt` and `name.key`.
    pub fn sign(&self, name: &str, usage: ExtendedKeyUsagePurpose) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
        fs::write(self.path(&format!("{name}.crt")), certificate.pem()).unwrap();
    }

    pub fn config(&self, text: &str) -> PathBuf {
        let path = self.path("web.yml");
        fs::write(&path, text).unwrap();
        path
    }
}

pub const TLS: &str = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";

pub async fn serve_with(config: &Path) -> RunningServer {
    let options = Options { web_config: Some(config.to_owned()), enable_lifecycle: true, ..options() };
    serve(options, FakeSite::new(small)).await
}

fn error(text: &str) -> String {
    let authority = Authority::new();
    authority.sign("server", ExtendedKeyUsagePurpose::ServerAuth);
    let config = authority.config(text);
    Web::load(Some(&config)).expect_err("it is an error").to_string()
}

#[test]
fn errors_name_the_key() {
    for (text, named) in [
        ("tls_server_confg: {}\n", "tls_server_confg"),
        ("tls_server_config:\n  cert_fil: x\n", "cert_fil"),
        ("tls_server_config:\n  cert_file: server.crt\n", "key_file"),
        ("tls_server_config:\n  key_file: server.key\n", "cert_file"),
        ("tls_server_config:\n  cert_file: nowhere.crt\n  key_file: server.key\n", "nowhere.crt"),
        ("tls_server_config:\n  cert_file: server.key\n  key_file: server.key\n", "server.key"),
        ("tls_server_config:\n  cert_file: ca.crt\n  key_file: server.key\n", "ca.crt"),
        (
            "tls_server_config:\n  cert: x\n  cert_file: server.crt\n  key_file: server.key\n",
            "either cert or cert_file",
        ),
        (&format!("{TLS}  min_version: TLS10\n"), "min_version"),
        (&format!("{TLS}  max_version: SSL3\n"), "max_version"),
        (&format!("{TLS}  min_version: TLS13\n  max_version: TLS12\n"), "max_version"),
        (&format!("{TLS}  client_auth_type: RequireAnyClientCert\n"), "client_auth_type"),
        (&format!("{TLS}  client_auth_type: Sometimes\n"), "client_auth_type"),
        (&format!("{TLS}  client_auth_type: RequireAndVerifyClientCert\n"), "client_ca_file"),
        (&format!("{TLS}  client_ca_file: ca.crt\n"), "client_ca_file"),
        (&format!("{TLS}  client_allowed_sans: [a]\n"), "client_allowed_sans"),
        (&format!("{TLS}  cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]\n"), "TLS_RSA_WITH_RC4_128_SHA"),
        (&format!("{TLS}  curve_preferences: [CurveP224]\n"), "CurveP224"),
        (&format!("{TLS}  client_allowed_sans: [\"spiffe://x/y\"]\n"), "neither a DNS name nor an IP address"),
        ("rate_limit:\n  interval: soon\n", "rate_limit.interval"),
        ("rate_limit:\n  interval: 1s\n  burst: 0\n", "rate_limit.burst"),
        ("rate_limit:\n  every: 1s\n", "every"),
        ("http_server_config:\n  headers:\n    X-Own: x\n", "X-Own"),
        ("http_server_config:\n  headrs: {}\n", "headrs"),
        ("basic_auth_users:\n  alice: hunter2secret\n", "alice"),
        ("basic_auth_users:\n  alice: 918273645\n", "alice"),
        ("basic_auth_users:\n  alice:\n", "the value of \"alice\" is not a bcrypt hash"),
        ("basic_auth_users: [hunter2secret]\n", "web.yml"),
        (&format!("basic_auth_users:\n  alice: $2b$17${}\n", &hash()[7..]), "the cost 17"),
        (&format!("{}\n", "# long\n".repeat(200_000)), "larger than 1024 KiB"),
        ("{", "web.yml"),
    ] {
        let error = error(text);
        assert!(error.contains(named), "{text}: {error}");
        assert!(!error.contains("hunter2") && !error.contains("918273645"), "a secret is in {error}");
    }
    assert!(Web::load(Some(Path::new("/nowhere/web.yml"))).is_err());
    let authority = Authority::new();
    authority.sign("server", ExtendedKeyUsagePurpose::ServerAuth);
    for name in ["server.key", "server.crt"] {
        let text = fs::read_to_string(authority.path(name)).unwrap();
        fs::write(authority.path(name), format!("{}{text}", "# long\n".repeat(200_000))).unwrap();
        let error = Web::load(Some(&authority.config(TLS))).expect_err("it is too large").to_string();
        assert!(error.contains(name) && error.contains("larger than 1024 KiB"), "{error}");
        fs::write(authority.path(name), text).unwrap();
    }
    let device = Web::load(Some(Path::new("/dev/zero"))).expect_err("it has no end").to_string();
    assert!(device.contains("not a regular file"), "{device}");
}

#[test]
fn files_written_for_other_exporters_are_taken() {
    let authority = Authority::new();
    authority.sign("server", ExtendedKeyUsagePurpose::ServerAuth);
    for text in [
        String::new(),
        "# nothing yet\n".to_owned(),
        format!(
            "{TLS}  min_version: TLS12\n  max_version: TLS13\n  prefer_server_cipher_suites: true\n  \
             client_auth_type: NoClientCert\n  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n  \
             curve_preferences: [X25519, CurveP256]\nhttp_server_config:\n  http2: true\n  headers:\n    \
             X-Frame-Options: deny\nbasic_auth_users:\n  alice: {}\n",
            hash()
        ),
    ] {
        Web::load(Some(&authority.config(&text))).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}

fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

#[tokio::test]
async fn passwords_and_headers() {
    let authority = Authority::new();
    let config = authority.config(&format!(
        "basic_auth_users:\n  alice: {}\nhttp_server_config:\n  headers:\n    X-Frame-Options: sameorigin\n",
        hash()
    ));
    let running = serve_with(&config).await;
    for (credentials, code) in [
        (None, 401),
        (Some(basic("alice", "correct horse")), 200),
        (Some(basic("alice", "correct horse")), 200),
        (Some(basic("alice", "wrong")), 401),
        (Some(basic("alice", "wrong")), 401),
        (Some(basic("alice", "")), 401),
        (Some(basic("bob", "correct horse")), 401),
        (Some(basic("", "")), 401),
        (Some(basic("alicec", "orrect horse")), 401),
        (Some("Basic !!!".to_owned()), 401),
        (Some("Bearer x".to_owned()), 401),
        (Some(basic("alice", "correct horse").replace("Basic", "bAsIc")), 200),
    ] {
        for path in ["/metrics", "/", "/api/v1/status", "/nowhere"] {
            let headers: Vec<(&str, &str)> =
                credentials.iter().map(|value| ("Authorization", value.as_str())).collect();
            let answer = ask(running.address, "GET", path, &headers, b"").await;
            let expected = if code == 200 && path == "/nowhere" { 404 } else { code };
            assert_eq!(answer.code, expected, "{path} {credentials:?}");
            assert_eq!(answer.header("x-frame-options"), "sameorigin");
            assert_eq!(answer.header("www-authenticate").starts_with("Basic "), code == 401);
        }
    }
}

/// A server with one user whose password costs this much to check.
async fn guarded(cost: u32) -> RunningServer {
    let hash = bcrypt::hash("correct horse", cost).unwrap();
    serve_with(&Authority::new().config(&format!("basic_auth_users:\n  alice: {hash}\n"))).await
}

#[tokio::test]
async fn an_unknown_user_costs_as_much_as_a_wrong_password() {
    let running = guarded(8).await;
    let mut least = [Duration::MAX; 2];
    for round in 0..5 {
        for (least, user) in least.iter_mut().zip(["alice", "bob"]) {
            // Another password each time, as rejections are remembered.
            let credentials = basic(user, &format!("wrong {round}"));
            let began = Instant::now();
            let answer = ask(running.address, "GET", "/metrics", &[("Authorization", &credentials)], b"").await;
            *least = (*least).min(began.elapsed());
            assert_eq!(answer.code, 401);
        }
    }
    let [known, unknown] = least;
    // Without the work an answer takes a hundredth of this; other work on the machine only adds.
    assert!(unknown * 2 > known && known * 2 > unknown, "known {known:?}, unknown {unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_turned_away_and_does_not_keep_those_out_who_were_let_in() {
    let running = guarded(11).await;
    let address = running.address;
    let alice = basic("alice", "correct horse");
    assert_eq!(ask(address, "GET", "/metrics", &[("Authorization", &alice)], b"").await.code, 200);
    let (send, mut answers) = tokio::sync::mpsc::unbounded_channel();
    let guesses: Vec<_> = (0..60)
        .map(|number| {
            let send = send.clone();
            tokio::spawn(async move {
                let guess = basic("alice", &format!("guess {number}"));
                let _ = send.send(ask(address, "GET", "/metrics", &[("Authorization", &guess)], b"").await);
            })
        })
        .collect();
    drop(send);
    // One is checked and three wait; the others do not.
    let mut busy = 0;
    while busy < 20 {
        let answer = answers.recv().await.expect("the guesses beyond the queue are turned away");
        match answer.code {
            503 => assert_eq!(answer.header("retry-after"), "1"),
            code => assert_eq!(code, 401),
        }
        busy += usize::from(answer.code == 503);
    }
    // While the rest waits, credentials that were checked before go past the queue.
    let began = Instant::now();
    assert_eq!(ask(address, "GET", "/metrics", &[("Authorization", &alice)], b"").await.code, 200);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    for guess in guesses {
        guess.abort();
    }
}

#[tokio::test]
async fn a_reload_takes_the_new_file_and_a_bad_one_changes_nothing() {
    let authority = Authority::new();
    let config = authority.config("");
    let running = serve_with(&config).await;
    assert_eq!(ask(running.address, "GET", "/metrics", &[], b"").await.code, 200);
    authority.config(&format!("basic_auth_users:\n  alice: {}\n", hash()));
    assert_eq!(ask(running.address, "POST", "/-/reload", &[], b"").await.code, 200);
    assert_eq!(ask(running.address, "GET", "/metrics", &[], b"").await.code, 401);
    authority.config("basic_auth_user: {}\n");
    let alice = basic("alice", "correct horse");
    let answer = ask(running.address, "POST", "/-/reload", &[("Authorization", &alice)], b"").await;
    assert_eq!(answer.code, 500);
    assert!(answer.text().contains("basic_auth_user"), "{}", answer.text());
    assert_eq!(ask(running.address, "GET", "/metrics", &[], b"").await.code, 401);
    assert_eq!(ask(running.address, "GET", "/metrics", &[("Authorization", &alice)], b"").await.code, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_with_the_same_users_lets_nobody_wait_behind_those_who_guess() {
    let authority = Authority::new();
    let users = |password: &str| format!("basic_auth_users:\n  alice: {}\n", bcrypt::hash(password, 11).unwrap());
    let same = users("correct horse");
    let running = serve_with(&authority.config(&same)).await;
    let address = running.address;
    let alice = basic("alice", "correct horse");
    let status = async |method, path| ask(address, method, path, &[("Authorization", &alice)], b"").await.code;
    assert_eq!(status("GET", "/metrics").await, 200);
    let turned_away = Arc::new(AtomicUsize::new(0));
    let guessing: Vec<_> = (0..12)
        .map(|client| {
            let turned_away = Arc::clone(&turned_away);
            tokio::spawn(async move {
                for guess in 0.. {
                    let credentials = basic("alice", &format!("guess {client} {guess}"));
                    let code = ask(address, "GET", "/metrics", &[("Authorization", &credentials)], b"").await.code;
                    turned_away.fetch_add(usize::from(code == 503), Ordering::Relaxed);
                }
            })
        })
        .collect();
    let is_full = async |more: usize| {
        let before = turned_away.load(Ordering::Relaxed);
        let full = async || turned_away.load(Ordering::Relaxed) > before + more;
        super::fixture::until("the queue is full", full).await;
    };
    is_full(0).await;
    // A header is new, the users are not.
    authority.config(&format!("http_server_config:\n  headers:\n    X-Frame-Options: sameorigin\n{same}"));
    assert_eq!(status("POST", "/-/reload").await, 200);
    is_full(40).await;
    for _ in 0..5 {
        assert_eq!(status("GET", "/metrics").await, 200, "she was let in before");
    }
    guessing.iter().for_each(tokio::task::JoinHandle::abort);
    authority.config(&users("another"));
    assert_eq!(status("POST", "/-/reload").await, 200);
    super::fixture::until("the old password is refused", async || status("GET", "/metrics").await == 401).await;
}

fn curl(authority: &Authority, running: &RunningServer, more: &[&str]) -> Option<tools::Output> {
    let curl = tools::find("curl")?;
    let ca = authority.path("ca.crt");
    let url = format!("https://localhost:{}/metrics", running.address.port());
    let mut arguments = vec!["-sS", "--fail", "--max-time", "20", "--cacert", ca.to_str().unwrap()];
    arguments.extend_from_slice(more);
    arguments.push(&url);
    Some(tools::run(curl, &arguments))
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_with_a_certificate_that_is_replaced() {
    let authority = Authority::new();
    authority.sign("server", ExtendedKeyUsagePurpose::ServerAuth);
    let running = serve_with(&authority.config(TLS)).await;
    let Some(output) = curl(&authority, &running, &[]) else { return };
    assert!(output.status.success(), "{}", output.err());
    assert!(output.out().contains("test_balance_usd"));

    // Another authority's certificate: the old root no longer fits, the new one does.
    let other = Authority::new();
    other.sign("server", ExtendedKeyUsagePurpose::ServerAuth);
    for file in ["server.crt", "server.key"] {
        fs::copy(other.path(file), authority.path(file)).unwrap();
    }
    assert!(!curl(&authority, &running, &[]).unwrap().status.success());
    assert!(curl(&other, &running, &[]).unwrap().status.success());

    // A file that is no certificate leaves the last one in use.
    fs::write(authority.path("server.crt"), "not a certificate").unwrap();
    assert!(curl(&other, &running, &[]).unwrap().status.success());
    assert!(!curl(&other, &running, &["--tlsv1.1", "--tls-max", "1.1"]).unwrap().status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_suites_curves_and_certificates_are_as_configured() {
    let authority = Authority::new();
    authority.sign("server", ExtendedKeyUsagePurpose::ServerAuth);
    authority.sign("client", ExtendedKeyUsagePurpose::ClientAuth);
    let stranger = Authority::new();
    stranger.sign("client", ExtendedKeyUsagePurpose::ClientAuth);
    let file = |folder: &Authority, name: &str| folder.path(name).to_str().unwrap().to_owned();
    let [known, unknown] = [&authority, &stranger]
        .map(|of| ["--cert".to_owned(), file(of, "client.crt"), "--key".to_owned(), file(of, "client.key")]);
    let (known, unknown) = (known.each_ref().map(String::as_str), unknown.each_ref().map(String::as_str));
    let pem = |name: &str| fs::read_to_string(authority.path(name)).unwrap().replace('\n', "\n    ");
    let inline = format!(
        "tls_server_config:\n  cert: |\n    {}\n  key: |\n    {}\n  client_auth_type: VerifyClientCertIfGiven\n  client_ca: \
         |\n    {}\n",
        pem("server.crt"),
        pem("server.key"),
        pem("ca.crt")
    );
    let of = |more: &str| format!("{TLS}  {more}\n");
    let suite = of("max_version: TLS12\n  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]");
    type Arguments<'a> = &'a [&'a str];
    let cases: [(String, Arguments, Arguments); 5] = [
        (inline, &known, &unknown),
        (of("min_version: TLS13"), &[], &["--tls-max", "1.2"]),
        (of("max_version: TLS12"), &[], &["--tlsv1.3"]),
        (suite, &["--ciphers", "ECDHE-ECDSA-AES256-GCM-SHA384"], &["--ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256"]),
        (of("curve_preferences: [CurveP384]"), &["--curves", "P-384"], &["--curves", "P-256"]),
    ];
    for (text, taken, refused) in &cases {
        let running = serve_with(&authority.config(text)).await;
        let Some(output) = curl(&authority, &running, &[]) else { return };
        assert!(output.status.success(), "{text}: {}", output.err());
        assert!(curl(&authority, &running, taken).unwrap().status.success(), "{text} {taken:?}");
        assert!(!curl(&authority, &running, refused).unwrap().status.success(), "{text} {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn client_certificates_where_they_are_required() {
    let authority = Authority::new();
    authority.sign("server", ExtendedKeyUsagePurpose::ServerAuth);
    authority.sign("client", ExtendedKeyUsagePurpose::ClientAuth);
    let config = format!("{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n");
    let running = serve_with(&authority.config(&config)).await;
    let Some(without) = curl(&authority, &running, &[]) else { return };
    assert!(!without.status.success());
    let with = |folder: &Authority| {
        let (certificate, key) = (folder.path("client.crt"), folder.path("client.key"));
        curl(&authority, &running, &["--cert", certificate.to_str().unwrap(), "--key", key.to_str().unwrap()]).unwrap()
    };
    let output = with(&authority);
    assert!(output.status.success(), "{}", output.err());
    let stranger = Authority::new();
    stranger.sign("client", ExtendedKeyUsagePurpose::ClientAuth);
    assert!(!with(&stranger).status.success());
}

#[tokio::test]
async fn plain_http_on_the_tls_port_gets_nothing() {
    let authority = Authority::new();
    authority.sign("server", ExtendedKeyUsagePurpose::ServerAuth);
    let running = serve_with(&authority.config(TLS)).await;
    let answer = super::fixture::raw(running.address, b"GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert!(!String::from_utf8_lossy(&answer).contains("test_balance"));
}

/// One request from a loopback address of its own.
async fn ask_from(from: [u8; 4], address: SocketAddr, credentials: &str) -> u16 {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let head =
        format!("GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\nAuthorization: {credentials}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer)[9..12].parse().unwrap()
}

/// How many guesses of forty clients are answered while one comes for the first time with the right password, once so many
/// were answered before.
async fn answered_first(cost: u32, after: usize) -> usize {
    let running = guarded(cost).await;
    let (address, refused) = (running.address, Arc::new(AtomicUsize::new(0)));
    let guessing: Vec<_> = (0..40_u8)
        .flat_map(|client| [client; 4])
        .enumerate()
        .map(|(number, client)| {
            let refused = Arc::clone(&refused);
            tokio::spawn(async move {
                for guess in 0.. {
                    let credentials = basic("alice", &format!("guess {number} {guess}"));
                    ask_from([127, 0, 1, client + 1], address, &credentials).await;
                    refused.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    super::fixture::until("they guess", async || refused.load(Ordering::Relaxed) > after).await;
    let before = refused.load(Ordering::Relaxed);
    assert_eq!(ask_from([127, 0, 0, 1], address, &basic("alice", "correct horse")).await, 200);
    guessing.iter().for_each(tokio::task::JoinHandle::abort);
    refused.load(Ordering::Relaxed) - before
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_who_guess_from_other_addresses_keep_nobody_out_who_comes_for_the_first_time() {
    // Right after a start, and once each of them has guessed. One check is under way; a few answers are on their way.
    for (cost, after) in [(10, 3), (8, 80)] {
        let first = answered_first(cost, after).await;
        assert!(first <= 12, "{first} guesses went first, after {after}");
    }
}

#[tokio::test]
async fn requests_beyond_the_rate_limit_are_turned_away() {
    let config = Authority::new();
    let running = serve_with(&config.config("rate_limit:\n  interval: 1h\n  burst: 3\n")).await;
    let mut codes = Vec::new();
    for _ in 0..5 {
        codes.push(ask(running.address, "GET", "/metrics", &[], b"").await.code);
    }
    assert_eq!(codes, [200, 200, 200, 429, 429]);
    assert_eq!(ask(running.address, "GET", "/-/healthy", &[], b"").await.code, 200, "a probe is answered");
    for interval in ["500ms", "1.5s"] {
        assert!(
            Web::load(Some(&config.config(&format!("rate_limit:\n  interval: {interval}\n")))).is_ok(),
            "{interval}"
        );
    }
}

#[tokio::test]
async fn probes_need_no_password() {
    let running = guarded(4).await;
    for (path, code) in [("/-/healthy", 200), ("/-/ready", 200), ("/", 401), ("/nowhere", 401)] {
        assert_eq!(ask(running.address, "GET", path, &[], b"").await.code, code, "{path}");
    }
    let framed = Authority::new();
    let running =
        serve_with(&framed.config("http_server_config:\n  headers:\n    X-Frame-Options: sameorigin\n")).await;
    for path in ["/-/healthy", "/-/ready", "/", "/nowhere"] {
        let answer = ask(running.address, "GET", path, &[], b"").await;
        assert_eq!(answer.header("x-frame-options"), "sameorigin", "{path}: the configured headers");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_must_have_one_of_the_allowed_names() {
    let authority = Authority::new();
    authority.sign("server", ExtendedKeyUsagePurpose::ServerAuth);
    authority.sign("client", ExtendedKeyUsagePurpose::ClientAuth);
    let required = format!("{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n");
    for (names, allowed) in
        [("localhost", true), ("other, 127.0.0.1", true), ("other.example", false), ("10.0.0.1", false)]
    {
        let running = serve_with(&authority.config(&format!("{required}  client_allowed_sans: [{names}]\n"))).await;
        let (certificate, key) = (authority.path("client.crt"), authority.path("client.key"));
        let shown = ["--cert", certificate.to_str().unwrap(), "--key", key.to_str().unwrap()];
        let Some(output) = curl(&authority, &running, &shown) else { return };
        assert_eq!(output.status.success(), allowed, "{names}: {}", output.err());
    }
}

#[test]
fn a_key_that_others_can_read_and_a_slow_hash_are_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let authority = Authority::new();
    authority.sign("server", ExtendedKeyUsagePurpose::ServerAuth);
    let cost = |cost: u32| format!("basic_auth_users:\n  alice: $2b${cost}${}\n", &hash()[7..]);
    let (usual, slow, slowest) = (cost(14), cost(15), cost(16));
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for (of_key, text, warnings) in [
        (0o644, "", 1),
        (0o640, "", 0),
        (0o600, usual.as_str(), 0),
        (0o600, slow.as_str(), 1),
        (0o600, slowest.as_str(), 1),
    ] {
        mode(&authority.path("server.key"), of_key);
        let config = authority.config(&format!("{TLS}{text}"));
        mode(&config, 0o600);
        let web = Web::load(Some(&config)).unwrap();
        assert_eq!(web.warnings().len(), warnings, "{of_key:o} {text}: {:?}", web.warnings());
    }
    // What is in the configuration itself is as open as its file.
    let indented = fs::read_to_string(authority.path("server.key")).unwrap().replace('\n', "\n    ");
    let inline = format!("tls_server_config:\n  cert_file: server.crt\n  key: |\n    {indented}\n");
    let users = format!("basic_auth_users:\n  alice: {}\n", hash());
    for (text, secret) in [(inline.as_str(), true), (users.as_str(), true), (TLS, false), ("rate_limit: {}\n", false)] {
        let config = authority.config(text);
        for (of_config, open) in [(0o644, true), (0o640, false)] {
            mode(&config, of_config);
            let web = Web::load(Some(&config)).unwrap();
            let warned = web.warnings().iter().any(|warning| warning.contains("web.yml is open to other users"));
            assert_eq!(warned, secret && open, "{of_config:o} {text}: {:?}", web.warnings());
        }
    }
}

#[test]
fn every_field_of_the_documentation_is_known() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/security.md")).unwrap();
    let table = text.split("<!-- web configuration -->").nth(1).unwrap().split("<!-- end -->").next().unwrap();
    let (mut section, mut fields) = (String::new(), 0);
    for cell in table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next()) {
        for name in cell.split(['`', ',', ' ']).filter(|name| !name.is_empty()) {
            let field = match name.split_once('.') {
                Some((before, field)) => {
                    section = before.to_owned();
                    field
                }
                None => name,
            };
            let text = match name == "basic_auth_users" {
                true => "basic_auth_users: {}\n".to_owned(),
                false => format!("{section}:\n  {field}: ~\n"),
            };
            let known = Web::load(Some(&Authority::new().config(&text))).map_err(|error| error.to_string());
            assert!(known.is_ok() || !known.unwrap_err().contains("unknown field"), "{text}");
            fields += 1;
        }
    }
    assert_eq!(fields, 18);
}
