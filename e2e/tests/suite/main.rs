//! Tests of the deployed system on a real cluster. Each test has its own namespace. Tests in a module `alone` stop
//! parts of the cluster or the operator, and run while no other test runs.

mod access;
mod admission;
mod alone;
mod audit;
mod backups;
mod cert_manager;
mod checkov;
mod exposure;
mod figures;
mod images;
mod input;
mod installed;
mod integrity;
mod last;
mod leaks;
mod leaves;
mod lifecycle;
mod load;
mod memory_api;
mod modes;
mod object_store;
mod packaging;
mod readers;
mod references;
mod repair;
mod restore;
mod rotation;
mod secrets;
mod shape;
mod stops;
mod storage;
mod tls;
mod upkeep;
mod validate;
mod world;
