//! Starting the services and the processor, and looking into topics.

use rollcall::kafka::KafkaSettings;
use rollcall::kafka::fetch::{Fetcher, Header, Incoming, Polled, headers_of};
use rollcall::kafka::registry::Registry;
use rollcall::kafka::restore::uncommitted_watermarks;
use rollcall::kafka::transaction::{Outcome, Outgoing, TransactionalProducer};
use rollcall_stack::{Stack, StackOptions};
use rollcall_stages::layout::{self, TopicLayout};
use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a condition may take to come true before the test fails.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// Partitions of the raw topic, as the command line has them by default.
pub const SNAPSHOT_PARTITIONS: i32 = 4;
/// Partitions of partial rollups and of rollups.
pub const ROLLUP_PARTITIONS: i32 = 2;

/// How long the broker may take to answer.
const REQUEST: Duration = Duration::from_secs(10);
/// A topic where a tombstone of nobody changes nothing.
const HARMLESS: &str = layout::DIRECTORY_USERS.name;

/// Writes one record that means nothing, in a transaction.
pub fn write_nothing(producer: &TransactionalProducer) -> Outcome {
    let record = Outgoing {
        topic: HARMLESS,
        partition: 0,
        key: Some(b"nobody"),
        value: None,
    };
    producer.commit(std::iter::once(record))
}

/// The binary with these arguments, its environment free of the caller's settings. It dies with the test that runs it,
/// even if that is killed.
pub fn rollcall(arguments: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", env!("CARGO_BIN_EXE_rollcall")]);
    for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("ROLLCALL_")) {
        command.env_remove(key);
    }
    command.env_remove("DATABASE_URL");
    command.args(arguments);
    command
}

/// Waits until `condition` holds.
#[track_caller]
pub fn eventually(what: &str, condition: impl FnMut() -> bool) {
    assert!(
        holds_within(DEADLINE, condition),
        "{what}: not within {DEADLINE:?}"
    );
}

/// Whether `condition` comes to hold in time.
pub fn holds_within(deadline: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !condition() {
        if begun.elapsed() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    true
}

/// A random moment: waits up to so long.
pub fn random_moment(at_most: Duration) {
    let random = uuid::Uuid::new_v4().as_u128() % at_most.as_micros().max(1);
    std::thread::sleep(Duration::from_micros(random as u64));
}

/// Kafka, a registry and PostgreSQL, bootstrapped.
pub struct Services {
    pub stack: Stack,
    pub kafka: KafkaSettings,
    pub registry: Registry,
    pub database_url: String,
    environment: Vec<(&'static str, String)>,
}

/// What some want different.
pub struct Setup {
    /// Whether Kafka is to work hard, rather than to start quickly.
    pub hard_working: bool,
    /// More settings of the broker.
    pub kafka_settings: Vec<(&'static str, &'static str)>,
    /// More settings of every command.
    pub environment: Vec<(&'static str, String)>,
    /// The stack's other options.
    pub stack: StackOptions,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            hard_working: false,
            kafka_settings: Vec::new(),
            environment: Vec::new(),
            stack: StackOptions::for_tests(),
        }
    }
}

impl Services {
    pub fn start() -> Self {
        Self::start_with(Setup::default())
    }

    pub fn start_with(setup: Setup) -> Self {
        Self::start_prepared(setup, |_| {})
    }

    /// The same; `prepare` sees the new stack before anything is made in it.
    pub fn start_prepared(setup: Setup, prepare: impl FnOnce(&Stack)) -> Self {
        // A killed member is replaced after two seconds rather than six.
        let settings = [("group.min.session.timeout.ms", "500")];
        let settings = settings.iter().chain(&setup.kafka_settings);
        let options = StackOptions {
            hard_working: setup.hard_working,
            kafka_settings: settings
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            ..setup.stack
        };
        let stack = Stack::start(options)
            .unwrap_or_else(|error| panic!("the stack does not start: {error}"));
        prepare(&stack);
        let kafka = KafkaSettings {
            brokers: stack.kafka_brokers().to_owned(),
            properties: BTreeMap::new(),
            topic_prefix: String::new(),
            deployment: "test".to_owned(),
            session_timeout: Duration::from_secs(6),
            transaction_timeout: Duration::from_secs(10),
        };
        let registry = Registry::new(&stack.registry_url(), None, "").expect("a client");
        let database_url = stack.database_url();
        let mut environment = vec![
            ("ROLLCALL_KAFKA_BROKERS", kafka.brokers.clone()),
            ("ROLLCALL_SCHEMA_REGISTRY_URL", stack.registry_url()),
            ("DATABASE_URL", database_url.clone()),
            ("ROLLCALL_DEPLOYMENT", "test".to_owned()),
            ("ROLLCALL_SESSION_TIMEOUT_SECONDS", "2".to_owned()),
        ];
        environment.extend(setup.environment);
        let services = Self {
            stack,
            kafka,
            registry,
            database_url,
            environment,
        };
        let output = services
            .command(&["bootstrap"])
            .output()
            .expect("the binary runs");
        assert!(
            output.status.success(),
            "bootstrap: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        services
    }

    /// Stops the broker in order, at a moment at which transactions of `processor` are open and none is being ended: a lone
    /// broker that stops in between loses their markers (decision 0005).
    pub fn stop_broker(&mut self, processor: &Processor) {
        processor.pause();
        self.await_markers();
        self.stack.kafka().stop().expect("it stops");
        processor.resume();
    }

    /// Kills the broker and starts it again, at such a moment too. Processors stay frozen until it is back: a broker
    /// that was killed begins as its own predecessor, and throws away markers of what ends meanwhile.
    pub fn kill_broker(&mut self, processors: &[&Processor]) {
        processors.iter().for_each(|processor| processor.pause());
        self.await_markers();
        self.stack.kafka().kill9().expect("it dies");
        self.stack.kafka().start().expect("it starts");
        processors.iter().for_each(|processor| processor.resume());
    }

    /// Waits until transactions whose end was asked for have ended: the broker writes markers in their order, and those of
    /// two transactions that begin now are the last.
    fn await_markers(&self) {
        for _ in 0..2 {
            let producer =
                TransactionalProducer::claim(&self.kafka, "last", None, REQUEST).expect("a claim");
            let outcome = write_nothing(&producer);
            assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
            let (_, end) =
                uncommitted_watermarks(&self.kafka, HARMLESS, 0, REQUEST).expect("its end");
            let fetcher = Fetcher::new(&self.kafka, "last").expect("a consumer");
            eventually("the marker is written", || {
                let stable = fetcher.watermarks(HARMLESS, 0, REQUEST);
                matches!(stable, Ok((_, stable)) if stable >= end)
            });
        }
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = rollcall(arguments);
        command.envs(self.environment.iter().map(|(key, value)| (key, value)));
        command
    }

    /// Starts stages; they end with the returned value. Flushes and commits are frequent, so that there are many
    /// moments at which something can go wrong.
    pub fn run(&self, stages: &str) -> Processor {
        self.run_with(
            stages,
            &["--http-address".to_owned(), "127.0.0.1:0".to_owned()],
        )
    }

    /// The same with further arguments, the address of the HTTP port among them: several run side by side.
    pub fn run_with(&self, stages: &str, arguments: &[String]) -> Processor {
        let mut command = self.stages(stages);
        Processor::of(command.args(arguments).spawn().expect("the binary runs"))
    }

    /// The command that runs stages so.
    pub fn stages(&self, stages: &str) -> Command {
        let mut command = self.command(&[
            "run",
            "--stages",
            stages,
            "--log-level",
            "warn",
            "--rollup-commit-interval-ms",
            "300",
            "--normalize-commit-interval-ms",
            "200",
            "--details-flush-interval-ms",
            "100",
            "--rollups-flush-interval-ms",
            "300",
        ]);
        command.stdin(Stdio::null());
        command
    }

    /// Every committed record of a topic, by partition and offset.
    pub fn read_all(&self, topic: TopicLayout, partitions: i32) -> Vec<Record> {
        let name = self.kafka.topic(topic.name);
        let fetcher = Fetcher::new(&self.kafka, "test-reader").expect("a consumer");
        let ends: BTreeMap<i32, i64> = (0..partitions).zip(self.ends(topic, partitions)).collect();
        let places: Vec<_> = (0..partitions)
            .map(|partition| (name.clone(), partition, -1))
            .collect();
        fetcher.assign(&places).expect("an assignment");
        let mut records = Vec::new();
        eventually("reading a topic to its end", || {
            while let Polled::Record(message) = fetcher.poll(Duration::from_millis(100)) {
                let incoming = Incoming::of(&message);
                records.push(Record {
                    partition: incoming.partition,
                    offset: incoming.offset,
                    timestamp_us: incoming.timestamp_us,
                    key: incoming.key.map(<[u8]>::to_vec),
                    value: incoming.value.map(<[u8]>::to_vec),
                    headers: headers_of(&message),
                });
            }
            ends.iter().all(|(partition, end)| {
                *end == 0
                    || fetcher
                        .position(&name, *partition)
                        .is_some_and(|at| at >= *end)
            })
        });
        records.sort_by_key(|record| (record.partition, record.offset));
        records
    }

    /// The end of each partition of a topic.
    pub fn ends(&self, topic: TopicLayout, partitions: i32) -> Vec<i64> {
        let fetcher = Fetcher::new(&self.kafka, "test-ends").expect("a consumer");
        let name = self.kafka.topic(topic.name);
        let end = |partition| {
            let mut end = None;
            // A broker that has just come back leads nothing yet.
            eventually("the topic's end is known", || {
                end = fetcher.watermarks(&name, partition, DEADLINE).ok();
                end.is_some()
            });
            end.expect("it is known").1
        };
        (0..partitions).map(end).collect()
    }
}

/// One record of a topic.
pub struct Record {
    pub partition: i32,
    pub offset: i64,
    pub timestamp_us: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<Header>,
}

/// A running `rollcall run`. Killed when dropped.
pub struct Processor(Child);

impl Processor {
    /// Takes a child into care.
    pub fn of(child: Child) -> Self {
        Self(child)
    }

    /// Kills it as a power cut would.
    pub fn kill9(mut self) {
        self.0.kill().expect("the processor is there");
        self.0.wait().expect("its end");
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// Asks it to stop, and waits. Returns its exit code.
    #[track_caller]
    pub fn terminate(self) -> Option<i32> {
        self.ask_to_stop();
        self.await_end()
    }

    /// Asks it to stop.
    pub fn ask_to_stop(&self) {
        self.signal("TERM");
    }

    /// Waits until it has ended. Returns its exit code.
    #[track_caller]
    pub fn await_end(mut self) -> Option<i32> {
        eventually("it ends", || matches!(self.0.try_wait(), Ok(Some(_))));
        self.0.wait().expect("its end").code()
    }

    /// Freezes it, as a paused virtual machine.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{signal}"), &self.0.id().to_string()])
            .status()
            .expect("kill runs");
        assert!(sent.success());
    }
}

impl Drop for Processor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
