//! A TCP proxy on loopback that can cut, slow down, and keep a reply to a commit to itself.
//!
//! Two threads for each connection, one for each way; they end with either side, and all with the proxy.

pub mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;
use wire::{Cutter, Piece, Protocol, Way};

const PIECE_BYTES: usize = 16 * 1024;

/// What the proxy does to what passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weather {
    Fair,
    /// Each piece of up to 16 KiB comes so much later.
    Slow(Duration),
    /// Of replies to commits every second one is lost, and nothing follows it; the connection breaks so much later.
    SwallowCommits(Duration),
}

/// A proxy in front of one service. Ends with its value.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    protocol: Protocol,
    server: OnceLock<SocketAddr>,
    weather: Mutex<Weather>,
    /// Both sides of each connection; `None` once the proxy has ended.
    links: Mutex<Option<BTreeMap<u64, [TcpStream; 2]>>>,
    commit_replies: AtomicU64,
    /// Connections cut, pieces late, replies swallowed.
    hits: AtomicU64,
}

/// What the two ways of one connection share.
struct Link {
    number: u64,
    shared: Arc<Shared>,
    /// Requests that end a Kafka transaction and are not answered yet.
    ends: Mutex<BTreeSet<u32>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// Listens; connections are refused until the server is known.
    pub fn new(protocol: Protocol) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            protocol,
            server: OnceLock::new(),
            weather: Mutex::new(Weather::Fair),
            links: Mutex::new(Some(BTreeMap::new())),
            commit_replies: AtomicU64::new(0),
            hits: AtomicU64::new(0),
        });
        let of_listener = Arc::clone(&shared);
        thread::spawn(move || of_listener.listen(&listener));
        Self { address, shared }
    }

    /// Where clients come to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tells where the server is.
    pub fn lead_to(&self, server: SocketAddr) {
        self.shared.server.set(server).expect("it is told once");
    }

    pub fn set(&self, weather: Weather) {
        *lock(&self.shared.weather) = weather;
    }

    /// Breaks all connections; new ones may come at once.
    pub fn cut(&self) {
        if let Some(links) = &*lock(&self.shared.links) {
            let cut = links.values().map(break_off).count();
            self.shared.hits.fetch_add(cut as u64, Ordering::Relaxed);
        }
    }

    /// How much it has cut, slowed and swallowed so far.
    pub fn hits(&self) -> u64 {
        self.shared.hits.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(links) = lock(&self.shared.links).take() {
            links.values().for_each(break_off);
        }
        // The listener looks whether it is to end whenever somebody comes.
        let _ = TcpStream::connect(self.address);
    }
}

/// Whoever reads or writes there finds it ended.
fn break_off(sides: &[TcpStream; 2]) {
    for side in sides {
        let _ = side.shutdown(Shutdown::Both);
    }
}

impl Shared {
    fn listen(self: &Arc<Self>, listener: &TcpListener) {
        for (client, number) in listener.incoming().zip(0..) {
            if lock(&self.links).is_none() {
                return;
            }
            // Where the server is away, the client finds its connection closed.
            let _ = client.and_then(|client| self.forward(client, number));
        }
    }

    fn forward(self: &Arc<Self>, client: TcpStream, number: u64) -> std::io::Result<()> {
        let Some(server) = self.server.get() else {
            return Ok(());
        };
        let server = TcpStream::connect(server)?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let sides = [client.try_clone()?, server.try_clone()?];
        match &mut *lock(&self.links) {
            Some(links) => links.insert(number, sides),
            None => return Ok(()),
        };
        let link = Arc::new(Link {
            number,
            shared: Arc::clone(self),
            ends: Mutex::default(),
        });
        let back = (Arc::clone(&link), server.try_clone()?, client.try_clone()?);
        thread::spawn(move || link.pass(Way::ToServer, client, server));
        thread::spawn(move || back.0.pass(Way::ToClient, back.1, back.2));
        Ok(())
    }

    fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    /// How long a swallowed reply is followed by silence; `None`: it is not swallowed.
    fn swallows(&self) -> Option<Duration> {
        let Weather::SwallowCommits(silence) = *lock(&self.weather) else {
            return None;
        };
        let number = self.commit_replies.fetch_add(1, Ordering::Relaxed);
        number.is_multiple_of(2).then_some(silence)
    }
}

impl Link {
    /// Passes one way until either side ends.
    fn pass(&self, way: Way, from: TcpStream, to: TcpStream) {
        let mut cutter = Cutter::new(self.shared.protocol, way);
        let (mut from, mut to) = (from, to);
        let mut buffer = vec![0; PIECE_BYTES];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let weather = *lock(&self.shared.weather);
            if let Weather::Slow(late) = weather {
                self.shared.hit();
                thread::sleep(late);
            }
            let pieces = cutter.cut(&buffer[..read], &mut lock(&self.ends));
            if !pieces.iter().all(|piece| self.write(piece, &mut to)) {
                break;
            }
        }
        if let Some(links) = &mut *lock(&self.shared.links) {
            links.remove(&self.number);
        }
        break_off(&[from, to]);
    }

    /// `false`: the connection has to end.
    fn write(&self, piece: &Piece, to: &mut TcpStream) -> bool {
        match piece {
            Piece::Bytes(bytes) => to.write_all(bytes).is_ok(),
            Piece::CommitReply(bytes) => match self.shared.swallows() {
                None => to.write_all(bytes).is_ok(),
                Some(silence) => {
                    self.shared.hit();
                    thread::sleep(silence);
                    false
                }
            },
        }
    }
}
