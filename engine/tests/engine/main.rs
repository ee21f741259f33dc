//! The real binary on real ports and real files.
#![expect(clippy::unwrap_used, reason = "a failing unwrap fails the test, which is what it is for")]

mod api;
mod arguments;
mod bench;
mod bounds;
mod clients;
mod crash;
mod doctor;
mod efficiency;
mod examples;
mod families;
mod forgetting;
mod graph;
mod import;
mod items;
mod known;
mod limits;
mod log;
mod mcp;
mod openapi;
mod parts;
mod peers;
mod process;
mod projection;
mod providers;
mod retention;
mod room;
mod services;
mod statistics;
mod stdio;
mod tags;
mod tools;
mod validity;
mod verbs;
mod volume;
mod zaxy;
