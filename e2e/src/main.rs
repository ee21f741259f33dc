//! `cargo run -p e2e -- …`: the local cluster, its tools and its images.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use e2e::steps::Steps;
use e2e::{canary_demo, cluster, demo, faults, figures, images, object_store, rehearsal, secure_demo, tools};

/// The local cluster, its tools and its images; fault campaigns; measurements.
#[derive(Debug, Parser)]
#[command(name = "e2e", version)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The local one-node Kubernetes, or the cluster that KUBECONFIG names
    Cluster {
        #[command(subcommand)]
        verb: Verb,
    },
    /// Build the programs of the cluster (Kubernetes, etcd, containerd, Helm …) once for this machine
    Tools {
        /// Build this module instead, which the cluster itself does not need: certmanager, contour, cyclonus, netpol,
        /// versitygw
        module: Option<String>,
    },
    /// Build the container images, and load them if the cluster is up
    Images,
    /// Demonstrate the main use case: cluster, operator, an engine, memories that survive a kill
    Demo,
    /// Demonstrate an engine in production: TLS, keys, an ingress controller, a rotation and a withdrawal
    DemoSecure,
    /// Demonstrate two rollouts: a bad revision is judged and rolled back, a good one becomes the stable one
    DemoCanary,
    /// Rehearse a disaster: a namespace is deleted under load, and an engine begins with what is in an object store
    Rehearsal,
    /// Inject faults into an engine, and verify its log against what its clients were promised
    Faults {
        #[command(subcommand)]
        what: faults::Faults,
    },
    /// Measure, with a peer in the same run
    Bench {
        #[command(subcommand)]
        what: Bench,
    },
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Time from apply to Ready, and from pod deletion to the first acknowledged write: engines and bare StatefulSets
    /// alternate
    Deploy {
        /// Number of engines, and of bare StatefulSets
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
        rounds: u16,
    },
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start a fresh cluster, unless one is up and healthy
    Up,
    /// Stop the cluster; its logs stay
    Down,
    /// Show the state of the cluster, with the last log lines of unhealthy components; fails unless everything is
    /// healthy
    Status,
    /// Load an image: an archive, or the name of one that `images` built
    Load { image: String },
    /// Print the path of the kubeconfig
    Kubeconfig,
    /// Restart a component, such as kubelet
    Restart { component: String },
    #[command(hide = true)]
    NodeInit,
    #[command(hide = true)]
    Supervise,
}

fn main() -> ExitCode {
    match run(Arguments::parse().what) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(what: What) -> Result<ExitCode> {
    if let What::Cluster { verb: Verb::NodeInit } = what {
        // Process 1 of the node is single-threaded: it waits for any child to end.
        return cluster::node_init().map(|()| ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let steps = Steps::start();
        match what {
            What::Cluster { verb } => run_cluster(verb, &steps).await,
            What::Tools { module: None } => tools::ensure(&steps).await.map(|()| ExitCode::SUCCESS),
            // Its program runs in a pod.
            What::Tools { module: Some(name) } if name == "versitygw" => {
                object_store::prepare(&steps).await.map(|()| ExitCode::SUCCESS)
            }
            What::Tools { module: Some(name) } => {
                tools::ensure_module(&name, &steps).await.map(|()| ExitCode::SUCCESS)
            }
            What::Images => images::build_all(&steps).await.map(|()| ExitCode::SUCCESS),
            What::Rehearsal => rehearsal::run(&steps).await.map(|()| ExitCode::SUCCESS),
            What::Faults { what } => faults::run(what, &steps).await,
            What::Demo => demo::run(&steps).await.map(|()| ExitCode::SUCCESS),
            What::DemoCanary => canary_demo::run(&steps).await.map(|()| ExitCode::SUCCESS),
            What::DemoSecure => secure_demo::run(&steps).await.map(|()| ExitCode::SUCCESS),
            What::Bench { what: Bench::Deploy { rounds } } => {
                figures::run(rounds.into(), &steps).await.map(|()| ExitCode::SUCCESS)
            }
        }
    })
}

async fn run_cluster(verb: Verb, steps: &Steps) -> Result<ExitCode> {
    match verb {
        Verb::Up => cluster::up(steps).await?,
        Verb::Down => {
            let was = cluster::down().await?;
            steps.say(if was {
                "the cluster is down; only its logs are left"
            } else {
                "there was no cluster"
            });
        }
        Verb::Status => {
            let (text, well) = cluster::status()?;
            print!("{text}");
            return Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Verb::Load { image } => cluster::load(&image).await?,
        Verb::Kubeconfig => println!("{}", cluster::kubeconfig_path()?.display()),
        Verb::Restart { component } => {
            cluster::restart_component(&component).await?;
            steps.say(&format!("{component} restarted and ready"));
        }
        Verb::NodeInit | Verb::Supervise => cluster::supervise().await?,
    }
    Ok(ExitCode::SUCCESS)
}
