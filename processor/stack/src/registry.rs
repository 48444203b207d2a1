//! Apicurio Registry, with a database in a file of its own, so that schemas survive a restart.
//!
//! Invariant: ready means that the Confluent-compatible API lists its subjects.
//!
//! Must not know: our schemas.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

use rustix::process::Signal;

use crate::{
    artifacts::Artifacts,
    error::StackError,
    java::{self, Java},
    service::{Definition, Launch, Service, create_folder},
};

/// Where the Confluent-compatible API is.
pub(crate) const API: &str = "/apis/ccompat/v7";
const NAME: &str = "Apicurio Registry";
/// The first answer compiles queries and loads classes.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Prepares the folder and returns the service, not yet started.
pub(crate) fn prepare(
    address: SocketAddr,
    folder: &Path,
    log: &Path,
    artifacts: &Artifacts,
    java: &Java,
) -> Result<Service, StackError> {
    create_folder(folder)?;
    let mut arguments = java::small("256m", false);
    arguments.extend(java.arguments(log));
    arguments.extend(["-jar".into(), artifacts.registry_jar()?.into()]);
    // A file, since the default, memory, would forget the schemas at each restart; written through, for kill -9.
    let database = format!(
        "jdbc:h2:file:{};WRITE_DELAY=0",
        folder.join("schemas").display()
    );
    let environment = [
        ("QUARKUS_HTTP_HOST", address.ip().to_string()),
        ("QUARKUS_HTTP_PORT", address.port().to_string()),
        ("QUARKUS_LOG_LEVEL", "WARN".to_owned()),
        ("QUARKUS_BANNER_ENABLED", "false".to_owned()),
        ("APICURIO_STORAGE_KIND", "sql".to_owned()),
        ("APICURIO_STORAGE_SQL_KIND", "h2".to_owned()),
        ("APICURIO_DATASOURCE_URL", database),
    ];
    Ok(Service::new(Definition {
        name: NAME,
        launch: Launch {
            program: java.path().to_owned(),
            arguments,
            environment: environment
                .into_iter()
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
            environment_removed: Vec::new(),
            folder: folder.to_owned(),
            account: None,
        },
        address,
        probe,
        stop_signal: Signal::TERM,
        log: log.to_owned(),
    }))
}

fn probe(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, PROBE_TIMEOUT)?;
    stream.set_read_timeout(Some(PROBE_TIMEOUT))?;
    write!(
        stream,
        "GET {API}/subjects HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    if status.starts_with(b"HTTP/1.1 200") {
        return Ok(());
    }
    Err(io::Error::other(
        String::from_utf8_lossy(&status).into_owned(),
    ))
}
