//! Apache Kafka: one KRaft node that is broker and controller, small and quick to start.
//!
//! Invariants:
//! - Ready means that a client's metadata request lists the broker: it has caught up and is no longer fenced.
//! - Nothing here changes what Kafka guarantees; only sizes, partition counts and waiting times are a laptop's.
//!
//! Must not know: topics of ours. Broker settings that a test or a benchmark wants come in as pairs.

use std::{
    ffi::OsString,
    fmt::Write as _,
    fs,
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

const NAME: &str = "Kafka";
/// Any 16 bytes in URL-safe base64: a cluster of one needs no name of its own.
const CLUSTER_ID: &str = "cm9sbGNhbGwtc3RhY2stMQ";
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// A metadata answer without topics has a few dozen bytes.
const PROBE_ANSWER_BYTES_MAX: usize = 4096;

/// Settings that every private broker has. The comments say why each differs from Kafka's default.
const SETTINGS: &[(&str, &str)] = &[
    ("process.roles", "broker,controller"),
    ("node.id", "1"),
    ("controller.listener.names", "CONTROLLER"),
    ("auto.create.topics.enable", "false"),
    ("message.max.bytes", "8388608"),
    // One node can't replicate.
    ("offsets.topic.replication.factor", "1"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.min.isr", "1"),
    ("share.coordinator.state.topic.replication.factor", "1"),
    ("share.coordinator.state.topic.min.isr", "1"),
    // 50 partitions each by default: files, memory and start-up time that a stack of a minute does not need.
    ("offsets.topic.num.partitions", "4"),
    ("transaction.state.log.num.partitions", "4"),
    // Tests wait for rebalances and session timeouts.
    ("group.initial.rebalance.delay.ms", "0"),
    ("group.min.session.timeout.ms", "1000"),
    ("transaction.max.timeout.ms", "900000"),
    // 128 MiB of heap by default.
    ("log.cleaner.dedupe.buffer.size", "16777216"),
    ("log.cleaner.backoff.ms", "2000"),
    ("num.network.threads", "2"),
    ("num.io.threads", "4"),
];

const LOGGING: &str = "\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ss.SSS} %-5p %c: %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
";

/// A listener whose clients see another address than its own: brokers tell clients where to come back to.
#[derive(Clone, Copy)]
pub(crate) struct Proxied {
    pub(crate) address: SocketAddr,
    pub(crate) advertised: SocketAddr,
}

/// What makes one broker differ from another.
pub(crate) struct Broker<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) controller: SocketAddr,
    /// Where it listens for clients that come through a proxy, and where that proxy listens for them.
    pub(crate) proxied: Option<Proxied>,
    pub(crate) hard_working: bool,
    pub(crate) settings: &'a [(String, String)],
    pub(crate) folder: &'a Path,
    pub(crate) log: &'a Path,
}

impl Broker<'_> {
    /// Writes the settings, formats the data folder, and returns the service, not yet started.
    pub(crate) fn prepare(
        &self,
        artifacts: &Artifacts,
        java: &Java,
    ) -> Result<Service, StackError> {
        create_folder(self.folder)?;
        let properties = self.folder.join("server.properties");
        let logging = self.folder.join("log4j2.properties");
        fs::write(&properties, self.properties())
            .map_err(StackError::file("write", &properties))?;
        fs::write(&logging, LOGGING).map_err(StackError::file("write", &logging))?;

        let mut arguments = java.arguments(self.log);
        let mut logging_option = OsString::from("-Dlog4j2.configurationFile=");
        logging_option.push(&logging);
        arguments.push(logging_option);
        arguments.extend([OsString::from("-cp"), artifacts.kafka_class_path()]);

        let mut format = arguments.clone();
        format.extend(
            [
                "kafka.tools.StorageTool",
                "format",
                "--cluster-id",
                CLUSTER_ID,
                "--config",
            ]
            .map(Into::into),
        );
        format.push(properties.clone().into());
        java.run(&format)?;

        let arguments = java::small("512m", self.hard_working)
            .into_iter()
            .chain(arguments)
            .chain(["kafka.Kafka".into(), properties.into()])
            .collect();
        Ok(Service::new(Definition {
            name: NAME,
            launch: Launch {
                program: java.path().to_owned(),
                arguments,
                environment: Vec::new(),
                environment_removed: Vec::new(),
                folder: self.folder.to_owned(),
                account: None,
            },
            address: self.address,
            probe,
            stop_signal: Signal::TERM,
            log: self.log.to_owned(),
        }))
    }

    fn data(&self) -> std::path::PathBuf {
        self.folder.join("data")
    }

    fn properties(&self) -> String {
        let Self {
            address,
            controller,
            settings,
            ..
        } = self;
        let (mut listeners, mut advertised) = (String::new(), String::new());
        if let Some(proxied) = self.proxied {
            let _ = write!(listeners, ",PROXIED://{}", proxied.address);
            let _ = write!(advertised, ",PROXIED://{}", proxied.advertised);
        }
        let mut text = format!(
            "listeners=BROKER://{address},CONTROLLER://{controller}{listeners}\n\
             advertised.listeners=BROKER://{address}{advertised}\n\
             listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT\n\
             inter.broker.listener.name=BROKER\n\
             controller.quorum.voters=1@{controller}\n\
             log.dirs={}\n",
            self.data().display()
        );
        let own = SETTINGS.iter().copied();
        // Later lines win, so the caller's come last.
        for (key, value) in own.chain(
            settings
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str())),
        ) {
            let _ = writeln!(text, "{key}={value}");
        }
        text
    }
}

/// Asks for the cluster's metadata, without topics, and checks that a broker is in it.
///
/// Metadata version 1 (the protocol guide's `MetadataRequest`): header (api key 3, version 1, correlation id, client
/// id), then an empty array of topics. The answer begins with the correlation id and the array of brokers.
fn probe(address: SocketAddr) -> io::Result<()> {
    const REQUEST: [u8; 18] = [0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 7, 0xff, 0xff, 0, 0, 0, 0];
    let mut stream = TcpStream::connect_timeout(&address, PROBE_TIMEOUT)?;
    stream.set_read_timeout(Some(PROBE_TIMEOUT))?;
    stream.write_all(&REQUEST)?;
    let length = read_i32(&mut stream)?;
    let length = usize::try_from(length)
        .ok()
        .filter(|length| (8..=PROBE_ANSWER_BYTES_MAX).contains(length));
    let mut answer =
        vec![0; length.ok_or_else(|| io::Error::other("it does not speak Kafka's protocol"))?];
    stream.read_exact(&mut answer)?;
    let mut answer = answer.as_slice();
    let _correlation = read_i32(&mut answer)?;
    match read_i32(&mut answer)? {
        0 => Err(io::Error::other("the broker is not registered yet")),
        _ => Ok(()),
    }
}

fn read_i32(stream: &mut impl Read) -> io::Result<i32> {
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes)?;
    Ok(i32::from_be_bytes(bytes))
}
