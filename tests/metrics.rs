//! A processor's HTTP port, and the numbers that it serves there.

use crate::support::{Processor, Services};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

const ALL: &str = "normalize,rollup,sink";

/// A port that was free a moment ago.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address")
}

/// Status and body; `None` where nothing answers.
pub fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .ok()?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: test\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// A processor with its port.
pub fn run(services: &Services, more: &[&str]) -> (Processor, SocketAddr) {
    run_stages(services, ALL, more)
}

/// The same with some stages only.
pub fn run_stages(services: &Services, stages: &str, more: &[&str]) -> (Processor, SocketAddr) {
    let address = free_address();
    let mut arguments = vec!["--http-address".to_owned(), address.to_string()];
    arguments.extend(more.iter().map(|&argument| argument.to_owned()));
    (services.run_with(stages, &arguments), address)
}

/// All samples by name and labels, as they stand in the text.
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    pub fn scrape(address: SocketAddr) -> Self {
        Self::try_scrape(address).expect("an answer")
    }

    /// `None` where nothing answers.
    pub fn try_scrape(address: SocketAddr) -> Option<Self> {
        let (status, text) = get(address, "/metrics")?;
        assert_eq!(status, 200, "{text}");
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let samples = samples.filter_map(|line| line.rsplit_once(' '));
        Some(Self(
            samples
                .map(|(name, value)| (name.to_owned(), value.parse().expect("a number")))
                .collect(),
        ))
    }

    /// All samples of a metric whose labels contain `label`.
    pub fn of<'a>(&'a self, name: &'a str, label: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.0.iter().filter_map(move |(sample, value)| {
            let labels = sample.strip_prefix(name)?;
            let whole = labels.is_empty() || labels.starts_with('{');
            (whole && labels.contains(label)).then_some((labels, *value))
        })
    }

    pub fn sum(&self, name: &str, label: &str) -> f64 {
        self.of(name, label).map(|(_, value)| value).sum()
    }

    pub fn count(&self, name: &str, label: &str) -> usize {
        self.of(name, label).count()
    }

    /// Names and labels of all samples.
    pub fn samples(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }
}
