//! TLS of the ports: certificates that are replaced while clients talk, and authorities that are withdrawn.

use std::fs;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rcgen::ExtendedKeyUsagePurpose;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::{Value, json};
use service::secret_file::Exposed;
use service::tls::{Clients, ServerTls};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::pki::{Authority, Leaf, SERVER, mount, params};
use crate::process::{Answer, Client, Running, binary, eventually};

/// An engine with TLS on both ports, its authority, and the directory with its certificates.
pub(crate) struct Secured {
    pub(crate) engine: Running,
    pub(crate) authority: Authority,
    pub(crate) served: Leaf,
    directory: TempDir,
    _data: TempDir,
}

impl Secured {
    pub(crate) fn start() -> Secured {
        let (directory, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let authority = Authority::new("first");
        let served = authority.server();
        mount(directory.path(), &served, Some(&authority.pem()));
        let path = directory.path().display();
        let (api, admin) = (format!("tls.apiDirectory={path}"), format!("tls.adminDirectory={path}"));
        let arguments = ["--set", &api, "--set", &admin, "--probe-listen", "127.0.0.1:0"];
        let engine = Running::spawn_with(data.path(), &arguments.map(AsRef::as_ref));
        let secured = Secured { engine, authority, served, directory, _data: data };
        eventually("ready", || secured.probe("/readyz").status == 200);
        secured
    }

    pub(crate) fn probe(&self, path: &str) -> Answer {
        Client::connect(self.engine.probes.unwrap()).unwrap().request("GET", path, "", "").unwrap()
    }

    fn mount(&self, leaf: &Leaf, authorities: &str) {
        mount(self.directory.path(), leaf, Some(authorities));
    }
}

pub(crate) type TlsClient = Client<StreamOwned<ClientConnection, TcpStream>>;

/// Connects, and completes the handshake with the first request.
pub(crate) fn connect(address: std::net::SocketAddr, config: &Arc<ClientConfig>) -> TlsClient {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let name = SERVER.to_owned().try_into().unwrap();
    Client::over(StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), stream))
}

/// Sends a request on a connection of its own.
pub(crate) fn ask(
    address: std::net::SocketAddr,
    config: &Arc<ClientConfig>,
    path: &str,
) -> std::io::Result<Answer> {
    connect(address, config).request("GET", path, "", "")
}

#[test]
fn the_ports_have_tls_and_the_probes_have_not() {
    let secured = Secured::start();
    let (engine, authority) = (&secured.engine, &secured.authority);
    let anonymous = authority.client_config(None);
    let known = authority.client_config(Some(&authority.client()));
    let head = ask(engine.api, &anonymous, "/v1/log/head").unwrap();
    assert_eq!((head.status, &head.json()["seq"]), (200, &json!(0)));
    assert!(ask(engine.admin, &anonymous, "/health").is_err(), "the admin port wants a certificate");
    let tls = ask(engine.admin, &known, "/health").unwrap().json()["tls"].clone();
    let bundle = engine_core::digest::Hash::of(authority.pem().as_bytes()).to_string();
    for port in ["api", "admin"] {
        assert_eq!(tls[port]["authorities_sha256"], bundle, "{tls}");
        assert_eq!(tls[port]["serial"].as_str().unwrap().len() % 2, 0, "{tls}");
    }
    assert_eq!((secured.probe("/livez").status, secured.probe("/health").status), (200, 404));
    let mut plain = Client::connect(engine.api).unwrap();
    assert!(plain.request("GET", "/v1/log/head", "", "").is_err(), "nothing is served without TLS");
    let stranger = Authority::new("first").client_config(None);
    assert!(ask(engine.api, &stranger, "/v1/log/head").is_err(), "the client verifies the server");
}

/// The certificate of the engine is one that it accepts from commands in its pod.
#[test]
fn commands_present_a_certificate() {
    let secured = Secured::start();
    let both = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let mut params = params("localhost", ExtendedKeyUsagePurpose::ServerAuth);
    params.extended_key_usages = both.to_vec();
    secured.mount(&secured.authority.issue(&params), &secured.authority.pem());
    let port = secured.engine.admin.port();
    let status = |more: &[&str]| {
        let address = format!("localhost:{port}");
        let output = binary().args(["mode", "status", "--admin", &address]).args(more).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    };
    let directory = secured.directory.path().to_str().unwrap();
    eventually("the command works", || status(&["--tls-directory", directory]).0);
    let (ok, said) = status(&["--tls-directory", directory]);
    assert!(ok && said.contains("read_write"), "{said}");
    let (ok, said) = status(&[]);
    assert!(!ok && said.contains("--tls-directory"), "{said}");
}

#[test]
fn an_engine_does_not_start_without_the_certificate_that_it_should_have() {
    let data = tempfile::tempdir().unwrap();
    for (files, part) in [(false, "cannot read"), (true, "no valid certificate")] {
        let directory = tempfile::tempdir().unwrap();
        if files {
            mount(directory.path(), &Leaf { certificate: "x".into(), key: "y".into() }, None);
        }
        let set = format!("tls.apiDirectory={}", directory.path().display());
        // Ports that nobody has.
        let ports = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
        let serve = ["serve", "--set", &set, "--data"];
        let output = binary().args(serve).arg(data.path()).args(ports).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("tls.apiDirectory") && said.contains(part), "{said}");
    }
}

#[test]
fn files_that_cannot_be_used_leave_the_certificate_that_is_served() {
    let secured = Secured::start();
    let authority = &secured.authority;
    let known = authority.client_config(Some(&authority.client()));
    let health = || ask(secured.engine.admin, &known, "/health").unwrap().json();
    let before = health()["tls"]["api"]["serial"].clone();
    let stolen = Leaf { key: authority.server().key, ..secured.served.clone() };
    secured.mount(&stolen, &authority.pem());
    eventually("it is said", || health()["reasons"] == json!(["certificate_invalid"]));
    let tls = health()["tls"]["api"].clone();
    assert_eq!(tls["serial"], before);
    assert!(tls["fault"].as_str().unwrap().contains("cannot be used"), "{tls}");
    assert!(!secured.engine.said().contains("PRIVATE KEY"), "no key is logged");
    let newer = authority.server();
    secured.mount(&newer, &authority.pem());
    eventually("it is corrected", || health()["status"] == "ok");
    assert_ne!(health()["tls"]["api"]["serial"], before);
}

/// In development a key that others can read is used and said; in production the engine does not start with it.
#[test]
fn a_key_that_others_can_read_is_said_and_refused_in_production() {
    use std::os::unix::fs::PermissionsExt;
    let secured = Secured::start();
    let known = secured.authority.client_config(Some(&secured.authority.client()));
    let health = || ask(secured.engine.admin, &known, "/health").unwrap().json();
    assert_eq!(health()["status"], "ok");
    let directory = secured.directory.path();
    let key = directory.join("..data/tls.key");
    for (mode, reasons) in [(0o444, json!(["secret_file_exposed"])), (0o440, Value::Null)] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        eventually("it is said", || health()["reasons"] == reasons);
    }
    fs::set_permissions(&key, fs::Permissions::from_mode(0o444)).unwrap();
    let data = tempfile::tempdir().unwrap();
    let set = |key: &str| format!("{key}={}", directory.display());
    let keys = r#"access.keys=[{"name":"a","files":["/nowhere"],"scopes":["read"],"projects":["*"]}]"#;
    let output = binary()
        .args([
            "serve",
            "--set",
            "deployment.mode=production",
            "--set",
            "access.anonymous=false",
            "--set",
            keys,
        ])
        .args(["--set", &set("tls.apiDirectory"), "--set", &set("tls.adminDirectory"), "--data"])
        .arg(data.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("tls.key") && said.contains("everybody can read it"), "{said}");
    assert!(!said.contains("PRIVATE KEY"));
}

/// A named pipe would block whoever opens it.
#[test]
fn a_pipe_in_place_of_a_key_is_said_and_later_files_are_read() {
    let secured = Secured::start();
    let authority = &secured.authority;
    let known = authority.client_config(Some(&authority.client()));
    let health = || ask(secured.engine.admin, &known, "/health").unwrap().json();
    let key = secured.directory.path().join("..data/tls.key");
    fs::remove_file(&key).unwrap();
    let mode = rustix::fs::Mode::from_bits_truncate(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &key, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    eventually("it is said", || health()["reasons"] == json!(["certificate_invalid"]));
    secured.mount(&authority.server(), &authority.pem());
    eventually("later files are read", || health()["status"] == "ok");
}

/// A client whose authority is withdrawn is refused at once, and its open connections end within a minute: each
/// response after the change says so, and idle connections are closed.
#[test]
fn a_withdrawn_authority_is_refused_at_once_and_its_connections_end() {
    let secured = Secured::start();
    let old = &secured.authority;
    let new = Authority::new("second");
    let client = old.client_config(Some(&old.client()));
    let mut talking = connect(secured.engine.admin, &client);
    let mut idle = connect(secured.engine.admin, &client);
    for open in [&mut talking, &mut idle] {
        assert_eq!(open.request("GET", "/health", "", "").unwrap().status, 200);
    }
    secured.mount(&new.server(), &new.pem());
    let withdrawn = Instant::now();
    eventually("the old one is refused", || ask(secured.engine.admin, &client, "/health").is_err());
    assert!(withdrawn.elapsed() < Duration::from_secs(5), "{:?}", withdrawn.elapsed());
    let last = talking.request("GET", "/health", "", "").unwrap();
    assert!(last.status == 200 && last.has_header("connection: close"), "{last:?}");
    assert!(talking.request("GET", "/health", "", "").is_err(), "it is closed");
    assert!(idle.rest().is_ok_and(|rest| rest.is_empty()), "it is closed without a word");
    assert!(withdrawn.elapsed() < Duration::from_secs(60), "{:?}", withdrawn.elapsed());
    let newcomer = new.client_config(Some(&new.client()));
    assert_eq!(ask(secured.engine.admin, &newcomer, "/health").unwrap().status, 200);
}

/// Rotations in one process, with clients that connect and talk all the time: no exchange fails, and at the end the
/// last certificate is served.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rotations_under_load_fail_no_exchange() {
    const ROTATIONS: usize = 97;
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new("only");
    mount(directory.path(), &authority.server(), Some(&authority.pem()));
    let tls = Arc::new(ServerTls::open(directory.path(), Clients::Verified, Exposed::Reported).unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(echo(listener, Arc::clone(&tls)));
    let over = Arc::new(AtomicBool::new(false));
    let exchanges = Arc::new(AtomicU64::new(0));
    let client = authority.client_config(Some(&authority.client()));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let (over, exchanges, client) = (Arc::clone(&over), Arc::clone(&exchanges), Arc::clone(&client));
            tokio::task::spawn_blocking(move || {
                while !over.load(Ordering::Relaxed) {
                    let answer = ask(address, &client, "/").unwrap();
                    assert_eq!(answer.status, 200);
                    exchanges.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for n in 0..ROTATIONS {
        let leaf = authority.server();
        mount(directory.path(), &leaf, Some(&authority.pem()));
        let before = exchanges.load(Ordering::Relaxed);
        assert!(tls.reload().unwrap(), "rotation {n} is seen");
        while exchanges.load(Ordering::Relaxed) == before {
            assert!(!clients.iter().any(|client| client.is_finished()), "a client failed");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    serving.abort();
    let last = fs::read(directory.path().join("..data/tls.crt")).unwrap();
    let last = engine_core::certificate::Certificate::of_der(&service::tls::certificates(&last).unwrap()[0]);
    assert_eq!(tls.served().0.serial, last.unwrap().serial);
}

async fn echo(listener: tokio::net::TcpListener, tls: Arc<ServerTls>) {
    while let Ok((stream, _)) = listener.accept().await {
        let tls = Arc::clone(&tls);
        tokio::spawn(async move {
            let mut socket = tls.accept(stream).await.unwrap();
            let mut head = [0; 1024];
            let _read = socket.read(&mut head).await;
            let _written = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            let _closed = socket.shutdown().await;
        });
    }
}
