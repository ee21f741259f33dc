//! IPv4 and IPv6: an engine that listens on all addresses is reachable over each address family that the machine has.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use crate::process::{Client, Running, eventually};

/// Starts an engine in its own network namespace and queries it at each address in `hosts`. `setup` is a line of shell
/// that prepares the namespace. Returns the status of each query.
fn statuses(setup: &str, listen: &str, preload: Option<&Path>, hosts: &[&str]) -> Vec<String> {
    const SCRIPT: &str = r#"
        set -e
        ip link set lo up
        eval "$SETUP"
        LD_PRELOAD="$PRELOAD" "$ENGINE" serve --data "$DATA" --listen "$LISTEN:8080" --admin-listen "$LISTEN:8081" 2>"$DATA/said" &
        trap "kill $!" EXIT
        for n in $(seq 100); do grep -q 'projection answers' "$DATA/said" && break; sleep 0.1; done
        for host in $HOSTS; do
            for port in 8080/v1/log/head 8081/livez; do
                (
                    exec 3<>"/dev/tcp/$host/${port%%/*}" || exit 1
                    printf 'GET /%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "${port#*/}" >&3
                    head -n 1 <&3 | tr -d '\r'
                ) 2>/dev/null || echo refused
            done
        done
    "#;
    let directory = tempfile::tempdir().unwrap();
    let mut namespace = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        namespace.args(["--user", "--map-root-user"]);
    }
    let output = namespace
        .args(["--net", "bash", "-c", SCRIPT])
        .env("ENGINE", env!("CARGO_BIN_EXE_memory-engine"))
        .env("DATA", directory.path())
        .env("SETUP", setup)
        .env("LISTEN", listen)
        .env("PRELOAD", preload.unwrap_or(Path::new("")))
        .env("HOSTS", hosts.join(" "))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let said = fs::read_to_string(directory.path().join("said")).unwrap_or_default();
    let shell = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(text.lines().count(), hosts.len() * 2, "{setup}: {text}{said}{shell}");
    text.lines().map(str::to_owned).collect()
}

#[track_caller]
fn check(setup: &str, listen: &str, preload: Option<&Path>, expected: &[(&str, bool)]) {
    let hosts: Vec<&str> = expected.iter().map(|(host, _)| *host).collect();
    let found = statuses(setup, listen, preload, &hosts);
    for ((host, reached), statuses) in expected.iter().zip(found.chunks(2)) {
        let wanted = if *reached { "HTTP/1.1 200 OK" } else { "refused" };
        assert_eq!(statuses, [wanted, wanted], "{setup}: {host} of {listen}");
    }
}

/// Guards against a regression: on an IPv6-only cluster, the engine refused every probe.
#[test]
fn an_engine_is_reached_by_both_families() {
    let both = [("127.0.0.1", true), ("::1", true)];
    check("true", "[::]", None, &both);
    check("sysctl -qw net.ipv6.bindv6only=1", "[::]", None, &both);
    check("ip addr del 127.0.0.1/8 dev lo", "[::]", None, &[("::1", true), ("127.0.0.1", false)]);
}

/// A kernel with IPv6 disabled by sysctl still creates IPv6 sockets. A kernel built or started without IPv6 does not.
#[test]
fn an_engine_without_ipv6_is_reached_by_ipv4() {
    let off = "sysctl -qw net.ipv6.conf.all.disable_ipv6=1";
    check(off, "[::]", None, &[("127.0.0.1", true), ("::1", false)]);
    let directory = tempfile::tempdir().unwrap();
    for (name, fails) in [
        (
            "socket",
            "int socket(int d, int t, int p) { if (d == AF_INET6) { errno = EAFNOSUPPORT; return -1; } return syscall(SYS_socket, d, t, p); }",
        ),
        (
            "bind",
            "int bind(int s, const struct sockaddr *a, socklen_t l) { if (a->sa_family == AF_INET6) { errno = EADDRNOTAVAIL; return -1; } return syscall(SYS_bind, s, a, l); }",
        ),
    ] {
        let (source, library) = (directory.path().join("no.c"), directory.path().join(format!("{name}.so")));
        let code = format!(
            "#include <errno.h>\n#include <sys/socket.h>\n#include <sys/syscall.h>\n#include <unistd.h>\n{fails}\n"
        );
        fs::write(&source, code).unwrap();
        let made = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
        assert!(made.unwrap().success(), "{name}");
        check("true", "[::]", Some(&library), &[("127.0.0.1", true), ("::1", false)]);
    }
}

#[test]
fn an_address_of_one_family_is_what_it_says() {
    check("true", "0.0.0.0", None, &[("127.0.0.1", true), ("::1", false)]);
    check("true", "[::1]", None, &[("127.0.0.1", false), ("::1", true)]);
}

/// On a dual-stack socket, IPv4 clients have addresses of the form `::ffff:…`. Each must count as a separate client;
/// all together must not count as one.
#[test]
fn clients_of_ipv4_are_told_apart_on_a_socket_of_both_families() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config.yaml");
    fs::write(&config, "limits: {requestsPerSecond: 1, burst: 1}\n").unwrap();
    let data = directory.path().join("data");
    let running = Running::spawn_on(&data, "[::]:0", &["--config".as_ref(), config.as_os_str()]);
    eventually("ready", || running.admin("/readyz").status == 200);
    let api = SocketAddr::from((Ipv4Addr::LOCALHOST, running.api.port()));
    let ask = |last: u8| {
        let mut client = Client::connect_from([127, 0, 0, last], api).unwrap();
        client.request("GET", "/v1/log/head", "", "").unwrap().status
    };
    assert_eq!([ask(1), ask(1), ask(2), ask(2)], [200, 429, 200, 429]);
}
