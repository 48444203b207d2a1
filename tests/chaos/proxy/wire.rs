//! Just enough of two wire protocols to find the reply to a commit in a stream of bytes.
//!
//! PostgreSQL: every message of the server is its kind, its length and its body; `CommandComplete` of a COMMIT has the tag
//! `COMMIT`. Before the first, a server without TLS answers the question for it with a single `N`.
//! Kafka: every message is its length, then a request's kind, version and number, or the number of the request
//! that a response answers. The request that ends a transaction is `EndTxn`.

use std::collections::BTreeSet;

/// Which protocol a proxy forwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    Kafka,
    Postgres,
}

/// Which way bytes go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    ToServer,
    ToClient,
}

/// Kafka's number of `EndTxn`.
const END_TXN: u16 = 26;
/// A message that a server without TLS sends before all others.
const NO_TLS: u8 = b'N';
/// PostgreSQL's `CommandComplete` of a COMMIT.
const COMMIT: &[u8] = b"C\0\0\0\x0bCOMMIT\0";

/// A piece of a stream.
#[derive(PartialEq, Eq, Debug)]
pub enum Piece {
    /// To be passed on.
    Bytes(Vec<u8>),
    /// A reply to a commit, or its beginning.
    CommitReply(Vec<u8>),
}

/// Cuts one direction of a connection into pieces.
pub struct Cutter {
    protocol: Protocol,
    way: Way,
    /// The beginning of a message whose kind is not known yet.
    head: Vec<u8>,
    /// Bytes of the present message still to come.
    body: usize,
    begun: bool,
}

impl Cutter {
    pub fn new(protocol: Protocol, way: Way) -> Self {
        Self {
            protocol,
            way,
            head: Vec::new(),
            body: 0,
            begun: false,
        }
    }

    /// Takes what was read. `ends` are the requests of the connection that end transactions and are not answered yet.
    pub fn cut(&mut self, mut bytes: &[u8], ends: &mut BTreeSet<u32>) -> Vec<Piece> {
        // What clients tell PostgreSQL needs no understanding.
        if (self.protocol, self.way) == (Protocol::Postgres, Way::ToServer) {
            return vec![Piece::Bytes(bytes.to_vec())];
        }
        let mut pieces = Vec::new();
        let mut pass = Vec::new();
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(self.body.min(bytes.len()));
            pass.extend_from_slice(now);
            self.body -= now.len();
            bytes = later;
            if self.body > 0 || bytes.is_empty() {
                break;
            }
            self.head.push(bytes[0]);
            bytes = &bytes[1..];
            let Some(length) = self.length() else {
                continue;
            };
            self.begun = true;
            self.body = length.saturating_sub(self.head.len());
            let head = std::mem::take(&mut self.head);
            if self.is_commit_reply(&head, ends) {
                pieces.push(Piece::Bytes(std::mem::take(&mut pass)));
                pieces.push(Piece::CommitReply(head));
            } else {
                pass.extend(head);
            }
        }
        pieces.push(Piece::Bytes(pass));
        pieces.retain(|piece| *piece != Piece::Bytes(Vec::new()));
        pieces
    }

    /// The whole message's length, once its head is there and tells what it is.
    fn length(&self) -> Option<usize> {
        let head = self.head.as_slice();
        let number = |at: usize| {
            let bytes = head.get(at..at + 4)?.try_into().ok()?;
            Some(u32::from_be_bytes(bytes) as usize)
        };
        match (self.protocol, self.way) {
            (Protocol::Postgres, _) if !self.begun && head == [NO_TLS] => Some(1),
            (Protocol::Postgres, _) => {
                let length = 1 + number(1)?;
                let may_be_commit = COMMIT.starts_with(&head[..5]);
                (!may_be_commit || head.len() == COMMIT.len()).then_some(length)
            }
            (Protocol::Kafka, Way::ToServer) => (head.len() == 12).then_some(4 + number(0)?),
            (Protocol::Kafka, Way::ToClient) => (head.len() == 8).then_some(4 + number(0)?),
        }
    }

    fn is_commit_reply(&self, head: &[u8], ends: &mut BTreeSet<u32>) -> bool {
        let number = |at: usize| {
            let bytes = head[at..at + 4].try_into().expect("four bytes");
            u32::from_be_bytes(bytes)
        };
        match (self.protocol, self.way) {
            (Protocol::Postgres, _) => head == COMMIT,
            (Protocol::Kafka, Way::ToServer) => {
                if u16::from_be_bytes([head[4], head[5]]) == END_TXN {
                    ends.insert(number(8));
                }
                false
            }
            (Protocol::Kafka, Way::ToClient) => ends.remove(&number(4)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cuts the stream in every place, and checks that it makes no difference.
    #[track_caller]
    fn check(protocol: Protocol, requests: &[u8], replies: &[&[u8]], commit: Option<usize>) {
        let stream = replies.concat();
        for at in 0..=stream.len() {
            let mut ends = BTreeSet::new();
            Cutter::new(protocol, Way::ToServer).cut(requests, &mut ends);
            let mut cutter = Cutter::new(protocol, Way::ToClient);
            let mut pieces = cutter.cut(&stream[..at], &mut ends);
            pieces.extend(cutter.cut(&stream[at..], &mut ends));
            let (mut before, mut found, mut all) = (0, None, Vec::new());
            for piece in pieces {
                let bytes = match piece {
                    Piece::Bytes(bytes) => bytes,
                    Piece::CommitReply(bytes) => {
                        found = Some(before);
                        bytes
                    }
                };
                before += bytes.len();
                all.extend(bytes);
            }
            assert_eq!(all, stream, "cut at {at}");
            let expect = commit.map(|index| replies[..index].concat().len());
            assert_eq!(found, expect, "cut at {at}");
        }
    }

    #[test]
    fn the_reply_to_commit_is_found() {
        let ready = b"Z\0\0\0\x05I";
        let begin = b"C\0\0\0\x0aBEGIN\0";
        let vacuum = b"C\0\0\0\x0bVACUUM\0";
        check(
            Protocol::Postgres,
            b"",
            &[b"N", begin, ready, COMMIT, ready],
            Some(3),
        );
        check(Protocol::Postgres, b"", &[begin, vacuum, ready], None);
    }

    #[test]
    fn the_reply_to_end_txn_is_found() {
        // Number 7 ends a transaction, number 6 does not.
        let requests = b"\0\0\0\x09\0\x00\0\x03\0\0\0\x06!\0\0\0\x09\0\x1a\0\x03\0\0\0\x07!";
        let other = b"\0\0\0\x06\0\0\0\x06!!";
        let end = b"\0\0\0\x06\0\0\0\x07!!";
        check(Protocol::Kafka, requests, &[other, end, other], Some(1));
        check(Protocol::Kafka, requests, &[other, other], None);
    }
}
