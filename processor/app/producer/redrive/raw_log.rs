//! Looking into the raw topic: single records by their place, and what a redrive has appended.

use super::RedriveError;
use crate::clock::elapsed_us;
use crate::driver::{Control, Signal};
use crate::kafka::KafkaSettings;
use crate::kafka::fetch::{Fetcher, Header, Incoming, Polled, headers_of};
use hashbrown::HashMap;
use rollcall_domain::observation::SourceOffset;
use std::time::Duration;

/// The header of a record that was sent again: topic/partition/offset of the rejected one.
pub(super) const REDRIVEN_FROM: &str = "rollcall-redriven-from";

/// How long the broker may take to answer.
const REQUEST: Duration = Duration::from_secs(10);
/// How long nothing may come before reading is given up.
const SILENCE_US: i64 = 30_000_000;
/// How often that and signals are looked at.
const STEP: Duration = Duration::from_millis(100);
/// Records that are read past rather than jumped over.
const NEAR: i64 = 200;

/// A record as it stands in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct RawRecord {
    pub(super) timestamp_us: i64,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<Header>,
}

impl RawRecord {
    /// The header that names the value's schema.
    pub(super) fn schema_header(&self) -> Option<&[u8]> {
        let name = rollcall_codec::wire::VALUE_SCHEMA_ID_HEADER;
        let mut named = self.headers.iter().filter(|(key, _)| key == name);
        named.next_back()?.1.as_deref()
    }
}

/// The raw topic, to read in.
pub(super) struct RawLog<'a> {
    fetcher: Fetcher,
    topic: &'a str,
    brokers: &'a str,
    control: &'a Control,
    begins: HashMap<i32, i64>,
    /// The partitions' ends when the redrive began.
    ends: HashMap<i32, i64>,
}

impl<'a> RawLog<'a> {
    pub(super) fn new(
        kafka: &'a KafkaSettings,
        topic: &'a str,
        control: &'a Control,
    ) -> Result<Self, RedriveError> {
        let fetcher =
            Fetcher::new(kafka, "redrive-reader").map_err(|error| RedriveError::Kafka {
                doing: "set the Kafka client up",
                brokers: kafka.brokers.clone(),
                detail: error.to_string(),
            })?;
        Ok(Self {
            fetcher,
            topic,
            brokers: &kafka.brokers,
            control,
            begins: HashMap::new(),
            ends: HashMap::new(),
        })
    }

    fn trouble(&self, doing: &'static str, detail: String) -> RedriveError {
        RedriveError::Kafka {
            doing,
            brokers: self.brokers.to_owned(),
            detail,
        }
    }

    /// A partition's first offset, as of the first time that it is asked for.
    pub(super) fn begin(&mut self, partition: i32) -> Result<i64, RedriveError> {
        if let Some(begin) = self.begins.get(&partition) {
            return Ok(*begin);
        }
        let (begin, _) = self.marks(partition)?;
        self.begins.insert(partition, begin);
        Ok(begin)
    }

    /// Takes down where the partitions end, for [`RawLog::was_there`].
    pub(super) fn remember_ends(&mut self, partitions: i32) -> Result<(), RedriveError> {
        for partition in 0..partitions {
            let end = self.end(partition)?;
            self.ends.insert(partition, end);
        }
        Ok(())
    }

    /// Whether a place lay before the ends that were taken down.
    pub(super) fn was_there(&self, place: SourceOffset) -> bool {
        let end = self.ends.get(&place.partition);
        end.is_none_or(|end| place.offset < *end)
    }

    /// A partition's end, now.
    pub(super) fn end(&self, partition: i32) -> Result<i64, RedriveError> {
        Ok(self.marks(partition)?.1)
    }

    fn marks(&self, partition: i32) -> Result<(i64, i64), RedriveError> {
        let marks = self.fetcher.watermarks(self.topic, partition, REQUEST);
        marks.map_err(|error| self.trouble("read the raw topic's ends", error.to_string()))
    }

    fn assign(&self, partition: i32, offset: i64) -> Result<(), RedriveError> {
        let place = (self.topic.to_owned(), partition, offset);
        let assigned = self.fetcher.assign(&[place]);
        assigned.map_err(|error| self.trouble("read the raw topic", error.to_string()))
    }

    /// The record at each place; `None` where none stands any more. Places in ascending order, none of them beyond its
    /// partition's end.
    pub(super) fn read(
        &mut self,
        places: &[SourceOffset],
    ) -> Result<Vec<Option<RawRecord>>, RedriveError> {
        let mut found = Vec::with_capacity(places.len());
        let mut at: Option<SourceOffset> = None;
        for place in places {
            if place.offset < self.begin(place.partition)?
                || place.offset >= self.end(place.partition)?
            {
                found.push(None);
                continue;
            }
            let near = at.is_some_and(|at| {
                at.partition == place.partition && (0..NEAR).contains(&(place.offset - at.offset))
            });
            if !near {
                self.assign(place.partition, place.offset)?;
            }
            let (record, next) = self.read_one(*place)?;
            at = next;
            found.push(record);
        }
        Ok(found)
    }

    /// The record at a place, reading on, and where reading goes on from there, if it does.
    fn read_one(
        &self,
        place: SourceOffset,
    ) -> Result<(Option<RawRecord>, Option<SourceOffset>), RedriveError> {
        let mut record = None;
        let mut next = None;
        self.each(
            place.partition,
            place.offset + 1,
            &mut |message, incoming| {
                if incoming.offset == place.offset {
                    record = Some(RawRecord {
                        timestamp_us: incoming.timestamp_us,
                        key: incoming.key.map(<[u8]>::to_vec),
                        value: incoming.value.map(<[u8]>::to_vec),
                        headers: headers_of(message),
                    });
                    next = Some(SourceOffset {
                        offset: place.offset + 1,
                        ..place
                    });
                }
            },
        )?;
        Ok((record, next))
    }

    /// Where records that a redrive sent stand between two offsets of a partition, by the places they came from.
    pub(super) fn redriven_between(
        &self,
        partition: i32,
        from: i64,
        end: i64,
    ) -> Result<HashMap<SourceOffset, i64>, RedriveError> {
        let mut found = HashMap::new();
        if from >= end {
            return Ok(found);
        }
        self.assign(partition, from)?;
        self.each(partition, end, &mut |message, incoming| {
            let headers = headers_of(message);
            let named = headers.iter().filter(|(key, _)| key == REDRIVEN_FROM);
            let origins = named.filter_map(|(_, value)| self.origin(value.as_deref()?));
            found.extend(origins.map(|origin| (origin, incoming.offset)));
        })?;
        Ok(found)
    }

    /// The place that a header names.
    fn origin(&self, header: &[u8]) -> Option<SourceOffset> {
        let text = std::str::from_utf8(header).ok()?;
        let place = text.strip_prefix(self.topic)?.strip_prefix('/')?;
        parse_place(place)
    }

    /// Reads the assigned partition on until everything below `end` was seen.
    fn each(
        &self,
        partition: i32,
        end: i64,
        see: &mut dyn FnMut(&crate::kafka::fetch::Fetched<'_>, &Incoming<'_>),
    ) -> Result<(), RedriveError> {
        let mut heard_us = elapsed_us();
        loop {
            if self.control.signal() != Signal::Run {
                return Err(RedriveError::Stopped);
            }
            match self.fetcher.poll(STEP) {
                Polled::Record(message) => {
                    let incoming = Incoming::of(&message);
                    heard_us = elapsed_us();
                    if incoming.offset < end {
                        see(&message, &incoming);
                    }
                    if incoming.offset + 1 >= end {
                        return Ok(());
                    }
                }
                // What was asked for expired a moment ago.
                Polled::OutOfRange => return Ok(()),
                Polled::Nothing | Polled::Trouble(_) => {
                    // Markers of transactions are no records; the position counts them.
                    let position = self.fetcher.position(self.topic, partition);
                    if position.is_some_and(|position| position >= end) {
                        return Ok(());
                    }
                    if elapsed_us() - heard_us > SILENCE_US {
                        let seconds = SILENCE_US / 1_000_000;
                        let detail = format!("nothing came for {seconds} s");
                        return Err(self.trouble("read the raw topic", detail));
                    }
                }
            }
        }
    }
}

/// A place as people and headers write it: partition/offset.
pub fn parse_place(text: &str) -> Option<SourceOffset> {
    let (partition, offset) = text.split_once('/')?;
    let place = SourceOffset {
        partition: partition.parse().ok()?,
        offset: offset.parse().ok()?,
    };
    (place.partition >= 0 && place.offset >= 0).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<(i32, i64)>) {
        let place = parse_place(text).map(|place| (place.partition, place.offset));
        assert_eq!(place, expect, "{text}");
    }

    #[test]
    fn places() {
        check("2/345", Some((2, 345)));
        check("2", None);
        check("2/", None);
        check("2/3/4", None);
        check("-1/3", None);
        check("2/-3", None);
        check("2/99999999999999999999", None);
    }
}
