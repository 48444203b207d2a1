//! The agent: what runs on this very machine, every few seconds, to Kafka.
//!
//! Snapshots are taken whether Kafka is there or not (only before it was ever found can looking for it hold one up, by
//! some seconds). One is on its way at a time, so that the oldest can be dropped when too many wait; how many were is
//! counted and logged. A producer that can't go on is replaced, and what was on its way is sent again: should it have
//! arrived, its id tells that it is the same.

use super::link::{self, ProducerError};
use super::listing::TOOL;
use super::outbox::Outbox;
use super::stall::StallWatch;
use super::this_machine;
use crate::clock::{elapsed_us, wall_clock};
use crate::driver::{Backoff, Control, Signal, next_wait_us};
use crate::kafka::KafkaSettings;
use crate::kafka::registry::Registry;
use crate::kafka::sender::Sender;
use rollcall_codec::{Encoder, RecordType};
use rollcall_domain::snapshot::{CommandOutput, Payload};
use rollcall_domain::{Machine, Snapshot, SnapshotId};
use rollcall_stages::layout;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

/// Snapshots that wait for Kafka, at most: more than two hours of them at the default interval.
const WAITING_MAX: usize = 1_000;
/// Bytes of them.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How often signals are looked for.
const STEP: Duration = Duration::from_millis(50);
/// How long acknowledgements are waited for at the end.
const LAST_WAIT_US: i64 = 20_000_000;

/// What the agent is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AgentPlan {
    /// From one snapshot to the next.
    pub interval: Duration,
    /// Stop after this many snapshots; `None`: never.
    pub count: Option<u64>,
    /// The machine's id; `None`: derived from the machine's own, else from its name.
    pub machine_id: Option<String>,
    /// Whose machine it is, where it has one user.
    pub user: Option<String>,
    /// The faculty, where it is known here.
    pub faculty: Option<String>,
}

impl Default for AgentPlan {
    /// Every 10 seconds until told to stop.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            count: None,
            machine_id: None,
            user: None,
            faculty: None,
        }
    }
}

/// What the agent has done.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AgentSummary {
    /// The machine's id.
    pub machine_id: String,
    /// The machine's name, where it has one.
    pub machine_name: Option<String>,
    /// Snapshots taken.
    pub taken: u64,
    /// Listings that failed.
    pub missed: u64,
    /// Snapshots acknowledged.
    pub delivered: u64,
    /// Snapshots refused for good.
    pub failed: u64,
    /// Snapshots dropped because too many waited.
    pub dropped: u64,
    /// Snapshots that wait, or were still waiting at the end.
    pub waiting: u64,
}

/// Runs the agent on the caller's thread (no async one: the registry's client blocks) until its plan is done or `control`
/// says so. `Drain` sends what waits, `Abandon` does not.
///
/// # Errors
/// What can't be mended by waiting: a tool that is missing, a machine without id and name, a wrong client property.
pub fn run_agent(
    kafka: &KafkaSettings,
    registry: &Registry,
    plan: &AgentPlan,
    control: &Control,
    on_progress: &mut dyn FnMut(&AgentSummary),
) -> Result<AgentSummary, ProducerError> {
    Ok(Agent::start(kafka, registry, plan)?.run(control, on_progress))
}

struct Agent<'a> {
    kafka: &'a KafkaSettings,
    registry: &'a Registry,
    plan: &'a AgentPlan,
    machine: Machine<'static>,
    encoding: Option<String>,
    sender: Sender,
    /// There once topics and schemas were found.
    encoder: Option<Encoder>,
    backoff: Backoff,
    /// Before this, neither is Kafka looked for nor anything sent.
    next_attempt_us: i64,
    outbox: Outbox<Snapshot<'static>>,
    stall: StallWatch,
    summary: AgentSummary,
}

impl<'a> Agent<'a> {
    /// An agent with its first listing, which says at once whether the tool is there.
    fn start(
        kafka: &'a KafkaSettings,
        registry: &'a Registry,
        plan: &'a AgentPlan,
    ) -> Result<Self, ProducerError> {
        let machine =
            this_machine::describe(plan.machine_id.as_deref()).ok_or(ProducerError::NoMachineId)?;
        let first = TOOL.run()?;
        let mut agent = Self {
            kafka,
            registry,
            plan,
            sender: link::sender(kafka, "agent")?,
            encoder: None,
            backoff: Backoff::new(),
            next_attempt_us: 0,
            outbox: Outbox::new(WAITING_MAX, WAITING_BYTES_MAX),
            stall: StallWatch::new(elapsed_us()),
            summary: AgentSummary {
                machine_id: machine.id.clone().into_owned(),
                machine_name: machine.name.clone().map(Cow::into_owned),
                ..AgentSummary::default()
            },
            encoding: this_machine::console_encoding(),
            machine,
        };
        agent.keep(first);
        Ok(agent)
    }

    fn run(
        mut self,
        control: &Control,
        on_progress: &mut dyn FnMut(&AgentSummary),
    ) -> AgentSummary {
        self.go_on(control, on_progress);
        self.finish(control);
        on_progress(&self.summary);
        self.summary
    }

    fn go_on(&mut self, control: &Control, on_progress: &mut dyn FnMut(&AgentSummary)) {
        let interval_us = i64::try_from(self.plan.interval.as_micros())
            .unwrap_or(i64::MAX)
            .max(1);
        let mut next_us = elapsed_us().saturating_add(interval_us);
        while control.signal() == Signal::Run && !self.is_done() {
            if elapsed_us() >= next_us {
                self.take();
                // Turns that were slept through are left out.
                let late = (elapsed_us() - next_us).max(0) / interval_us;
                next_us = next_us.saturating_add((late + 1).saturating_mul(interval_us));
            }
            self.pump();
            on_progress(&self.summary);
        }
    }

    fn is_done(&self) -> bool {
        let tried = self.summary.taken + self.summary.missed;
        self.plan.count.is_some_and(|count| tried >= count)
    }

    /// Takes a snapshot. A listing that fails is left out, for the next may be fine.
    fn take(&mut self) {
        match TOOL.run() {
            Ok(output) => self.keep(output),
            Err(error) => {
                self.summary.missed += 1;
                tracing::warn!("no snapshot was taken: {error}");
            }
        }
    }

    fn keep(&mut self, output: Vec<u8>) {
        let bytes = output.len();
        let snapshot = self.snapshot(output);
        self.summary.taken += 1;
        let dropped = self.outbox.push(snapshot, bytes);
        if dropped > 0 {
            self.summary.dropped += dropped;
            tracing::warn!(
                dropped = self.summary.dropped,
                "too many snapshots wait for Kafka: the oldest are dropped"
            );
        }
        self.summary.waiting = self.outbox.len() as u64;
    }

    fn snapshot(&self, output: Vec<u8>) -> Snapshot<'static> {
        let owned = |text: &String| Cow::Owned(text.clone());
        let now = wall_clock();
        Snapshot {
            id: SnapshotId(uuid::Uuid::new_v4().as_u128()),
            observed_at: now,
            utc_offset_seconds: this_machine::utc_offset_seconds(now),
            machine: self.machine.clone(),
            user: self.plan.user.as_ref().map(owned),
            faculty: self.plan.faculty.as_ref().map(owned),
            command: Some(Cow::Borrowed(TOOL.command)),
            attributes: BTreeMap::new(),
            payload: Payload::CommandOutput(CommandOutput {
                text: Cow::Owned(output),
                encoding: self.encoding.as_ref().map(owned),
            }),
        }
    }

    /// Sends the next one, takes acknowledgements, waits a moment.
    fn pump(&mut self) {
        if self.encoder.is_none() && elapsed_us() >= self.next_attempt_us {
            self.look_for_kafka();
        }
        self.hand_over();
        self.sender.poll(STEP);
        let fatal = self.sender.fatal();
        for delivery in self.sender.take_reports() {
            match delivery.place {
                Ok(_) => {
                    self.summary.delivered += 1;
                    self.backoff.reset();
                }
                // Refused with the producer, not for itself.
                Err(_) if fatal.is_some() => continue,
                Err(_) => self.summary.failed += 1,
            }
            self.outbox.settled();
        }
        if let Some(said) = fatal {
            self.replace_sender(&said);
        }
        let (delivered, failed) = self.sender.counts();
        let on_its_way = self.sender.in_flight();
        self.stall.say(
            &self.kafka.brokers,
            delivered + failed,
            on_its_way,
            elapsed_us(),
        );
        self.summary.waiting = self.outbox.len() as u64;
    }

    fn look_for_kafka(&mut self) {
        let topics = [layout::SNAPSHOTS];
        let records = [RecordType::ProcessSnapshot];
        match link::look_for(&self.sender, self.kafka, self.registry, &topics, &records) {
            Ok(encoder) => self.encoder = Some(encoder),
            Err(reason) => {
                tracing::warn!(waiting = self.outbox.len(), "waiting: {reason}");
                self.next_attempt_us = elapsed_us() + next_wait_us(&mut self.backoff);
            }
        }
    }

    fn replace_sender(&mut self, said: &str) {
        tracing::warn!("the producer can't go on ({said}); another takes its place");
        match link::sender(self.kafka, "agent") {
            Ok(sender) => {
                self.sender = sender;
                self.outbox.put_back();
            }
            Err(error) => tracing::warn!(%error, "no other producer can be made; trying again"),
        }
        self.next_attempt_us = elapsed_us() + next_wait_us(&mut self.backoff);
    }

    fn hand_over(&mut self) {
        if elapsed_us() < self.next_attempt_us {
            return;
        }
        let Some(encoder) = &mut self.encoder else {
            return;
        };
        let Some(snapshot) = self.outbox.next() else {
            return;
        };
        let topic = self.kafka.topic(layout::SNAPSHOTS.name);
        let key = snapshot.machine.id.as_bytes();
        let mut value = Vec::new();
        let taken = match encoder.encode_snapshot(snapshot, &mut value) {
            Ok(()) => self
                .sender
                .offer(&topic, None, Some(key), Some(&value), 0)
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match taken {
            Ok(true) => {}
            Ok(false) => self.outbox.put_back(),
            Err(_) if self.sender.fatal().is_some() => self.outbox.put_back(),
            Err(detail) => {
                tracing::warn!(bytes = value.len(), "a snapshot is refused: {detail}");
                self.summary.failed += 1;
                self.outbox.settled();
            }
        }
    }

    /// Sends what waits.
    fn finish(&mut self, control: &Control) {
        let begun_us = elapsed_us();
        while self.outbox.len() > 0
            && control.signal() != Signal::Abandon
            && (self.may_arrive(begun_us) || self.is_asked_to(control))
        {
            self.pump();
        }
    }

    /// Whether sending goes on for a while: Kafka was there once, and not too long has been waited.
    fn may_arrive(&self, begun_us: i64) -> bool {
        self.encoder.is_some() && elapsed_us() - begun_us < LAST_WAIT_US
    }

    /// A plan of so many snapshots is not done before they are sent; only a signal ends the waiting.
    fn is_asked_to(&self, control: &Control) -> bool {
        self.plan.count.is_some() && control.signal() == Signal::Run
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::admin::{Admin, TopicOptions};
    use rollcall_stack::{Stack, StackOptions};
    use rollcall_stages::layout::Partitions;

    #[test]
    fn a_producer_that_can_not_go_on_is_replaced_and_no_snapshot_lost() {
        let options = StackOptions {
            postgres: false,
            ..StackOptions::for_tests()
        };
        let stack = Stack::start(options).expect("Kafka and a registry");
        let kafka = KafkaSettings::of_tests(stack.kafka_brokers());
        let registry = Registry::new(&stack.registry_url(), None, "").expect("a client");
        make_topics(&kafka);
        registry.register_all().expect("our schemas");
        let plan = AgentPlan {
            interval: Duration::from_millis(50),
            count: Some(3),
            machine_id: Some("m1".to_owned()),
            ..AgentPlan::default()
        };

        let mut agent = Agent::start(&kafka, &registry, &plan).expect("an agent");
        while agent.sender.in_flight() == 0 {
            agent.look_for_kafka();
            agent.hand_over();
        }
        agent.sender.break_for_good();
        let summary = agent.run(&Control::new(), &mut |_| {});

        let counts = (summary.delivered, summary.failed, summary.waiting);
        assert_eq!(counts, (3, 0, 0));
    }

    fn make_topics(kafka: &KafkaSettings) {
        let hour = Duration::from_secs(3_600);
        let options = TopicOptions {
            partitions: Partitions {
                snapshots: 1,
                rollups: 1,
            },
            replication: 1,
            raw_retention: hour,
            derived_retention: hour,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let admin = Admin::new(kafka).expect("a client");
        let made = runtime.block_on(admin.create_topics(&options));
        made.expect("topics");
    }
}
