//! Hosts that requests to `/mcp` may and may not name.

/// Hosts that name the engine under test.
pub(crate) const OWN_HOSTS: [&str; 21] = [
    "localhost",
    "localhost:8080",
    "127.0.0.1:1",
    "[::1]",
    "[::1]:8080",
    "LOCALHOST",
    "localhost.",
    "LocalHost.:8080",
    "localhost:",
    "[0:0:0:0:0:0:0:1]:8080",
    "[::ffff:127.0.0.1]",
    "notes.team-a.svc.cluster.local.",
    "Memory.Example.Org.:443",
    "notes",
    "notes:8080",
    "notes.team-a",
    "notes.team-a.svc:8080",
    "notes.team-a.svc.cluster.local",
    "memory.example.org",
    "memory.example.org:443",
    "proxy.example.org:8443",
];

/// Hosts that do not name the engine under test.
pub(crate) const FOREIGN_HOSTS: [&str; 12] = [
    "evil.example.org",
    "evil.example.org.",
    "localhost..",
    "[::2]",
    "127.0.0.1.example.org",
    "localhost.example.org",
    "notes.team-b",
    "10.0.0.1",
    "0.0.0.0:8080",
    "proxy.example.org",
    "proxy.example.org:1",
    "xnotes",
];
