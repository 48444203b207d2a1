//! A private copy of the real services for the demo and the tests: Kafka, a schema registry and PostgreSQL as child
//! processes, with ports and a folder of their own. Several stacks run at once.
//!
//! ```no_run
//! use rollcall_stack::{Stack, StackOptions};
//!
//! let mut stack = Stack::start(StackOptions::for_tests())?;
//! println!("{} {} {}", stack.kafka_brokers(), stack.registry_url(), stack.database_url());
//! stack.kafka().kill9()?;
//! stack.kafka().start()?; // same port, same data
//! # Ok::<(), rollcall_stack::StackError>(())
//! ```
//!
//! Invariants:
//! - A stack that was started is ready: each service has answered in its own protocol.
//! - Dropping it stops all services and removes the folder, also when a panic drops it. If the owner is killed instead, its
//!   services stop by themselves within seconds (`service.rs`), and the next stack removes its folder (`folder.rs`).
//! - The services are the real ones, unpatched, in the versions that `pom.xml` pins.
//!
//! Must not know: Rollcall's topics, schemas or tables; no other crate of the workspace.
// This crate is shell, not core: its deadlines are about real processes, so it reads the clock.
#![allow(clippy::disallowed_methods)]

mod account;
mod artifacts;
mod error;
mod folder;
mod java;
mod kafka;
mod ports;
mod postgres;
mod process_tree;
mod registry;
mod service;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

use crate::{artifacts::Artifacts, folder::Folder, java::Java, ports::PortLease};
pub use crate::{error::StackError, service::Service};

/// What to start.
#[derive(Debug, Clone)]
pub struct StackOptions {
    /// Whether to start Kafka.
    pub kafka: bool,
    /// Whether to start the schema registry.
    pub registry: bool,
    /// Whether to start PostgreSQL.
    pub postgres: bool,
    /// Whether Kafka is to work hard, as for measurements, rather than to start quickly.
    pub hard_working: bool,
    /// Broker settings that override the stack's own.
    pub kafka_settings: Vec<(String, String)>,
    /// Where a proxy of the caller's listens for Kafka's clients: the broker then has a further listener, which sends
    /// them back to that address. The proxy's own way to the broker is [`Stack::kafka_proxied`].
    pub kafka_proxy: Option<SocketAddr>,
}

impl StackOptions {
    /// All services.
    pub fn for_tests() -> Self {
        Self {
            kafka: true,
            registry: true,
            postgres: true,
            hard_working: false,
            kafka_settings: Vec::new(),
            kafka_proxy: None,
        }
    }
}

/// Running services. See the crate's documentation.
#[derive(Debug)]
pub struct Stack {
    // Stopped in this order, all before the folder goes.
    registry: Option<Service>,
    kafka: Option<Service>,
    postgres: Option<Service>,
    brokers: String,
    proxied: SocketAddr,
    folder: Folder,
    _ports: Vec<PortLease>,
}

impl Stack {
    /// Fetches the programs if they are not there, starts the services side by side and waits until all are ready.
    ///
    /// If one fails, the others are stopped.
    pub fn start(options: StackOptions) -> Result<Self, StackError> {
        let begun = Instant::now();
        let artifacts = Artifacts::ensure()?;
        let folder = Folder::take()?;
        let ports = Ports::take()?;
        let java = if options.kafka || options.registry {
            Some(Java::find()?)
        } else {
            None
        };
        let plan = Plan {
            options: &options,
            folder: &folder,
            ports: &ports,
            artifacts: &artifacts,
            java: java.as_ref(),
        };
        service::create_folder(&plan.folder.path().join("logs"))?;

        let (kafka, registry, postgres) = thread::scope(|scope| {
            let kafka = scope.spawn(|| plan.kafka());
            let registry = scope.spawn(|| plan.registry());
            let postgres = plan.postgres();
            (join(kafka), join(registry), postgres)
        });
        let stack = Self {
            registry: registry?,
            kafka: kafka?,
            postgres: postgres?,
            brokers: ports.kafka.address().to_string(),
            proxied: ports.proxied.address(),
            folder,
            _ports: vec![
                ports.kafka,
                ports.proxied,
                ports.controller,
                ports.registry,
                ports.postgres,
            ],
        };
        tracing::info!(folder = %stack.dir().display(), milliseconds = begun.elapsed().as_millis(), "stack ready");
        Ok(stack)
    }

    /// The folder with data and logs.
    pub fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// Kafka's bootstrap servers, as `127.0.0.1:port`.
    pub fn kafka_brokers(&self) -> &str {
        &self.brokers
    }

    /// Where the broker listens for a proxy; only with [`StackOptions::kafka_proxy`].
    pub fn kafka_proxied(&self) -> SocketAddr {
        self.proxied
    }

    /// The URL of the registry's Confluent-compatible API.
    ///
    /// # Panics
    /// If the stack was started without a registry.
    pub fn registry_url(&self) -> String {
        format!(
            "http://{}{}",
            wanted(self.registry.as_ref(), "registry").address(),
            registry::API
        )
    }

    /// The URL of the database `rollcall`.
    ///
    /// # Panics
    /// If the stack was started without PostgreSQL.
    pub fn database_url(&self) -> String {
        let address = wanted(self.postgres.as_ref(), "PostgreSQL").address();
        format!(
            "postgres://{}@{address}/{}",
            postgres::USER,
            postgres::DATABASE
        )
    }

    /// Kafka's process.
    ///
    /// # Panics
    /// If the stack was started without Kafka.
    pub fn kafka(&mut self) -> &mut Service {
        wanted(self.kafka.as_mut(), "Kafka")
    }

    /// The registry's process.
    ///
    /// # Panics
    /// If the stack was started without a registry.
    pub fn registry(&mut self) -> &mut Service {
        wanted(self.registry.as_mut(), "registry")
    }

    /// PostgreSQL's process.
    ///
    /// # Panics
    /// If the stack was started without PostgreSQL.
    pub fn postgres(&mut self) -> &mut Service {
        wanted(self.postgres.as_mut(), "PostgreSQL")
    }

    /// Stops all services in order, and says if one could not be stopped; dropping the stack only logs that.
    pub fn stop(mut self) -> Result<(), StackError> {
        self.ask_to_stop();
        self.services().try_for_each(Service::await_stop)
    }

    fn services(&mut self) -> impl Iterator<Item = &mut Service> {
        [&mut self.registry, &mut self.kafka, &mut self.postgres]
            .into_iter()
            .flatten()
    }

    /// All at once: they take a second each.
    fn ask_to_stop(&mut self) {
        for service in self.services() {
            if let Err(error) = service.ask_to_stop() {
                tracing::error!(%error, "service could not be asked to stop");
            }
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.ask_to_stop();
        // The services' own drops wait for their ends, then the folder goes.
    }
}

struct Ports {
    kafka: PortLease,
    proxied: PortLease,
    controller: PortLease,
    registry: PortLease,
    postgres: PortLease,
}

impl Ports {
    fn take() -> Result<Self, StackError> {
        Ok(Self {
            kafka: PortLease::take()?,
            proxied: PortLease::take()?,
            controller: PortLease::take()?,
            registry: PortLease::take()?,
            postgres: PortLease::take()?,
        })
    }
}

/// What the threads that start the services share.
struct Plan<'a> {
    options: &'a StackOptions,
    folder: &'a Folder,
    ports: &'a Ports,
    artifacts: &'a Artifacts,
    /// There if a service needs it.
    java: Option<&'a Java>,
}

impl Plan<'_> {
    fn kafka(&self) -> Result<Option<Service>, StackError> {
        let (true, Some(java)) = (self.options.kafka, self.java) else {
            return Ok(None);
        };
        let broker = kafka::Broker {
            address: self.ports.kafka.address(),
            controller: self.ports.controller.address(),
            proxied: self.options.kafka_proxy.map(|advertised| kafka::Proxied {
                address: self.ports.proxied.address(),
                advertised,
            }),
            hard_working: self.options.hard_working,
            settings: &self.options.kafka_settings,
            folder: &self.folder.path().join("kafka"),
            log: &self.log("kafka"),
        };
        let mut service = broker.prepare(self.artifacts, java)?;
        service.start()?;
        Ok(Some(service))
    }

    fn registry(&self) -> Result<Option<Service>, StackError> {
        let (true, Some(java)) = (self.options.registry, self.java) else {
            return Ok(None);
        };
        let address = self.ports.registry.address();
        let folder = self.folder.path().join("registry");
        let mut service = registry::prepare(
            address,
            &folder,
            &self.log("registry"),
            self.artifacts,
            java,
        )?;
        service.start()?;
        Ok(Some(service))
    }

    fn postgres(&self) -> Result<Option<Service>, StackError> {
        if !self.options.postgres {
            return Ok(None);
        }
        let server = postgres::Server {
            address: self.ports.postgres.address(),
            folder: &self.folder.path().join("postgres"),
            log: &self.log("postgres"),
        };
        let mut service = server.prepare(self.artifacts)?;
        service.start()?;
        postgres::create_database(service.address())?;
        Ok(Some(service))
    }

    fn log(&self, service: &str) -> PathBuf {
        self.folder
            .path()
            .join("logs")
            .join(service)
            .with_extension("log")
    }
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn wanted<T>(service: Option<T>, name: &str) -> T {
    service.unwrap_or_else(|| panic!("the stack was started without {name}"))
}
