//! The public port: it answers only while the engine holds a ticket, which the admin port takes over.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::pki::{Authority, mount};
use crate::process::{Answer, Client, JSON, Running, eventually};
use crate::tls::{ask as ask_with_tls, connect as connect_with_tls};

/// After a withdrawal, connections through the public port are gone after this time at the latest.
const CONNECTIONS_END_WITHIN: Duration = Duration::from_secs(60);

struct Public {
    engine: Running,
    _data: TempDir,
}

impl Public {
    fn start() -> Public {
        let data = tempfile::tempdir().unwrap();
        let engine = Running::spawn_with(data.path(), &["--public-listen".as_ref(), "127.0.0.1:0".as_ref()]);
        eventually("ready", || engine.admin("/readyz").status == 200);
        Public { engine, _data: data }
    }

    fn connect(&self) -> Client {
        Client::connect(self.engine.public.unwrap()).unwrap()
    }

    fn ask(&self) -> Answer {
        self.connect().request("GET", "/v1/log/head", "", "").unwrap()
    }

    fn ticket(&self) -> Value {
        self.engine.health()["ticket"].clone()
    }

    /// A ticket that the engine accepts now.
    fn good(&self) -> Value {
        let health = self.engine.health();
        json!({
            "challenge": health["ticket"]["challenge"], "told_by": {"uid": "u", "generation": 2},
            "log_id": health["log"]["id"], "is_open": true, "ttl_seconds": 300, "on_expiry": "close",
            "checks": ["access", "integrity"],
        })
    }

    fn deliver(&self, ticket: &Value) -> Answer {
        let mut admin = Client::connect(self.engine.admin).unwrap();
        admin.request("PUT", "/ticket", JSON, &ticket.to_string()).unwrap()
    }

    /// Delivers a ticket with this change, which is accepted.
    fn given(&self, field: &str, value: Value) {
        let mut ticket = self.good();
        ticket[field] = value;
        let answer = self.deliver(&ticket);
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    fn sample(&self, name: &str) -> i64 {
        let metrics = self.engine.admin("/metrics").body;
        let line = metrics.lines().find(|line| line.starts_with(&format!("{name}{{"))).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }
}

#[test]
fn a_public_port_answers_only_while_there_is_a_ticket() {
    let public = Public::start();
    let closed = |what: &str| {
        let answer = public.ask();
        assert_eq!((answer.status, answer.code().as_str()), (503, "NOT_EXPOSED"), "{what}: {answer:?}");
        assert!(answer.has_header("retry-after: 30") && answer.has_header("connection: close"), "{answer:?}");
        let metadata = "/.well-known/oauth-protected-resource";
        assert_eq!(public.connect().request("GET", metadata, "", "").unwrap().status, 503, "{what}");
        assert_eq!(
            public.engine.get("/v1/log/head").status,
            200,
            "{what}: clients in the cluster are served"
        );
    };
    closed("before the first ticket");
    assert_eq!((&public.ticket()["state"], public.sample("memory_public_port_open")), (&json!("none"), 0));
    assert_eq!(public.sample("memory_ticket_remaining_seconds"), -1);
    let delivered = public.deliver(&public.good());
    assert_eq!((delivered.status, &delivered.json()["state"]), (200, &json!("open")), "{delivered:?}");
    assert_eq!(public.ask().status, 200);
    let held = public.ticket();
    assert_eq!(
        (&held["checks"], &held["told_by"]["generation"]),
        (&json!(["access", "integrity"]), &json!(2))
    );
    assert_eq!(public.sample("memory_public_port_open"), 1);
    assert!((290..=300).contains(&public.sample("memory_ticket_remaining_seconds")));
    public.given("is_open", json!(false));
    closed("withdrawn");
    assert_eq!(public.ticket()["state"], "withdrawn");
    public.given("ttl_seconds", json!(1));
    assert_eq!(public.ask().status, 200, "exposed again");
    eventually("the ticket ends", || public.ask().status == 503);
    closed("expired");
    assert_eq!(
        (&public.ticket()["state"], &public.ticket()["remaining_seconds"]),
        (&json!("expired"), &json!(0))
    );
    public.given("ttl_seconds", json!(300));
    assert_eq!(public.ask().status, 200, "renewed");
    let said = public.engine.said();
    assert!(said.contains("the public port is open") && said.contains("the public port is closed"), "{said}");
}

#[test]
fn the_last_ticket_is_kept_if_it_says_so_and_a_withdrawal_closes_the_port() {
    let public = Public::start();
    let mut ticket = public.good();
    (ticket["ttl_seconds"], ticket["on_expiry"]) = (json!(1), json!("keep_last"));
    assert_eq!(public.deliver(&ticket).status, 200);
    eventually("the ticket ends", || public.ticket()["state"] == "kept");
    // Longer than the engine needs to notice.
    sleep(Duration::from_secs(2));
    let mut connection = public.connect();
    for _ in 0..2 {
        let answer = connection.request("GET", "/v1/log/head", "", "").unwrap();
        assert!(answer.status == 200 && !answer.has_header("connection: close"), "{answer:?}");
    }
    let withdrawal = json!({
        "challenge": "", "told_by": {"uid": "another", "generation": 1}, "log_id": "", "is_open": false,
        "ttl_seconds": 0, "on_expiry": "keep_last", "checks": [],
    });
    assert_eq!(public.deliver(&withdrawal).status, 200, "a withdrawal is always accepted");
    assert_eq!((public.ask().status, &public.ticket()["state"]), (503, &json!("withdrawn")));
}

/// A ticket counts once, for one process, one log, and no older generation.
#[test]
fn a_replayed_ticket_or_one_of_another_engine_opens_nothing() {
    let (public, other) = (Public::start(), Public::start());
    let refused = |ticket: &Value, why: &str| {
        let answer = public.deliver(ticket);
        assert_eq!((answer.status, answer.code().as_str()), (409, "VERSION_CONFLICT"), "{why}: {answer:?}");
        assert!(answer.body.contains(why), "{answer:?}");
    };
    refused(&other.good(), "challenge");
    let mut foreign = public.good();
    foreign["log_id"] = other.good()["log_id"].clone();
    refused(&foreign, "another log");
    assert_eq!(public.ask().status, 503);
    let first = public.good();
    assert_eq!(public.deliver(&first).status, 200);
    refused(&first, "challenge");
    public.given("is_open", json!(false));
    refused(&first, "challenge");
    let mut older = public.good();
    older["told_by"]["generation"] = json!(1);
    refused(&older, "older than 2");
    let mut stranger = public.good();
    stranger["told_by"]["uid"] = json!("another");
    refused(&stranger, "another resource");
    assert_eq!((public.ask().status, public.sample("memory_public_port_open")), (503, 0));
    let mut long = public.good();
    long["ttl_seconds"] = json!(3_601);
    let answer = public.deliver(&long);
    assert_eq!((answer.status, answer.code().as_str()), (400, "INVALID_ARGUMENT"), "{answer:?}");
    public.given("ttl_seconds", json!(300));
    assert_eq!(public.ask().status, 200);
    let without = tempfile::tempdir().unwrap();
    let without = Running::start(without.path());
    let mut admin = Client::connect(without.admin).unwrap();
    assert_eq!(admin.request("PUT", "/ticket", JSON, &first.to_string()).unwrap().status, 404);
    assert!(without.health()["ticket"].is_null() && without.public.is_none());
}

/// Requests on an open connection are refused at once, and connections without a request end too.
#[test]
fn open_connections_end_when_the_port_closes() {
    let public = Public::start();
    public.given("ttl_seconds", json!(300));
    let (mut busy, mut idle) = (public.connect(), public.connect());
    let mut inside = public.engine.connect();
    for client in [&mut busy, &mut idle, &mut inside] {
        let answer = client.request("GET", "/v1/log/head", "", "").unwrap();
        assert!(answer.status == 200 && !answer.has_header("connection: close"), "{answer:?}");
    }
    let withdrawn = Instant::now();
    public.given("is_open", json!(false));
    let answer = busy.request("GET", "/v1/log/head", "", "").unwrap();
    assert!(answer.status == 503 && answer.has_header("connection: close"), "{answer:?}");
    assert_eq!(busy.rest().unwrap(), Vec::<u8>::new(), "the connection is closed");
    assert_eq!(idle.rest().unwrap(), Vec::<u8>::new(), "the connection is closed");
    let ended = withdrawn.elapsed();
    println!("an idle connection ended {ended:?} after the withdrawal");
    assert!(ended < CONNECTIONS_END_WITHIN, "{ended:?}");
    assert_eq!(inside.request("GET", "/v1/log/head", "", "").unwrap().status, 200, "another port");
}

/// Whoever makes tickets has a certificate of the authority that the admin port trusts.
#[test]
fn the_public_port_has_the_certificate_of_the_api_and_tickets_need_one_of_a_client() {
    let [directory, data] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let authority = Authority::new("first");
    mount(directory.path(), &authority.server(), Some(&authority.pem()));
    let path = directory.path().display();
    let (api, admin) = (format!("tls.apiDirectory={path}"), format!("tls.adminDirectory={path}"));
    let arguments = ["--set", &api, "--set", &admin, "--public-listen", "127.0.0.1:0"];
    let engine = Running::spawn_with(data.path(), &arguments.map(AsRef::as_ref));
    let (anonymous, known) =
        (authority.client_config(None), authority.client_config(Some(&authority.client())));
    let health = || ask_with_tls(engine.admin, &known, "/health").unwrap().json();
    eventually("the log is open", || health()["storage"]["writable"] == true);
    let public = engine.public.unwrap();
    let closed = ask_with_tls(public, &anonymous, "/v1/log/head").unwrap();
    assert_eq!((closed.status, closed.code().as_str()), (503, "NOT_EXPOSED"), "{closed:?}");
    let health = health();
    let ticket = json!({
        "challenge": health["ticket"]["challenge"], "told_by": {"uid": "u", "generation": 1},
        "log_id": health["log"]["id"], "is_open": true, "ttl_seconds": 300, "on_expiry": "close", "checks": [],
    });
    let foreign = authority.client_config(Some(&Authority::new("first").client()));
    let deliver =
        |config| connect_with_tls(engine.admin, config).request("PUT", "/ticket", JSON, &ticket.to_string());
    assert!(deliver(&anonymous).is_err(), "without a certificate");
    assert!(deliver(&foreign).is_err(), "of another authority");
    assert_eq!(deliver(&known).unwrap().status, 200);
    assert_eq!(ask_with_tls(public, &anonymous, "/v1/log/head").unwrap().status, 200);
}
