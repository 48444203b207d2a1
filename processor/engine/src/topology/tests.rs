//! One small topology, each way to break it, and its pictures.

use super::*;

fn topic(name: &str, partitions: Partitions, cleanup: Cleanup, external: bool) -> TopicSpec {
    let (name, key) = (name.to_owned(), "an \"id\"".to_owned());
    TopicSpec {
        name,
        partitions,
        cleanup,
        key,
        external,
    }
}

/// raw (0) ► parse ► parts (1) ► fold ► store; names (2) read whole; state in 3 and 4.
fn sample() -> Topology {
    let own = Partitions::Count;
    Topology {
        topics: vec![
            topic("raw", own(4), Cleanup::Delete, true),
            topic("parts", own(2), Cleanup::Delete, false),
            topic("names", own(1), Cleanup::Compact, true),
            topic(
                "state-parse",
                Partitions::SameAs(TopicIndex(0)),
                Cleanup::Compact,
                false,
            ),
            topic(
                "task-state",
                Partitions::SameAs(TopicIndex(3)),
                Cleanup::Compact,
                false,
            ),
        ],
        stages: vec![
            StageSpec {
                name: "parse".to_owned(),
                group: "g-parse".to_owned(),
                reads: vec![TopicIndex(0)],
                reads_whole: vec![TopicIndex(2)],
                writes: vec![TopicIndex(1)],
                state: vec![TopicIndex(3), TopicIndex(4)],
                sinks: vec![],
            },
            StageSpec {
                name: "fold".to_owned(),
                group: "g-fold".to_owned(),
                reads: vec![TopicIndex(1)],
                state: vec![TopicIndex(4)],
                sinks: vec![0],
                ..StageSpec::default()
            },
        ],
        sinks: vec![SinkSpec {
            name: "store".to_owned(),
        }],
    }
}

fn check(change: impl FnOnce(&mut Topology), expect: &str) {
    let mut topology = sample();
    change(&mut topology);
    let text = topology
        .validate()
        .map_or_else(|error| error.to_string(), |()| "fine".to_owned());
    assert_eq!(text, expect);
}

#[test]
fn a_topology_is_checked_as_a_whole() {
    check(|_| {}, "fine");
    check(
        |t| t.topics[1].name = "raw".into(),
        "the name \"raw\" is empty or taken twice",
    );
    check(
        |t| t.stages[1].name = "parse".into(),
        "the name \"parse\" is empty or taken twice",
    );
    check(
        |t| t.sinks[0].name = String::new(),
        "the name \"\" is empty or taken twice",
    );
    check(
        |t| t.stages[0].reads.push(TopicIndex(5)),
        "parse names topic or sink 5, which does not exist",
    );
    check(
        |t| t.stages[1].sinks.push(1),
        "fold names topic or sink 1, which does not exist",
    );
    check(
        |t| t.topics[1].partitions = Partitions::SameAs(TopicIndex(9)),
        "parts names topic or sink 9, which does not exist",
    );
    check(
        |t| t.topics[1].partitions = Partitions::Count(0),
        "topic parts has no partition count",
    );
    check(
        |t| t.topics[3].partitions = Partitions::SameAs(TopicIndex(4)),
        "topic state-parse has no partition count",
    );
    check(
        |t| t.topics[0].external = false,
        "stage parse reads raw, which nobody writes",
    );
    check(
        |t| t.stages[0].writes.clear(),
        "stage fold reads parts, which nobody writes",
    );
    check(
        |t| t.stages[0].reads_whole.clear(),
        "topic names is not used",
    );
    check(
        |t| t.topics[3].cleanup = Cleanup::Delete,
        "state topic state-parse is not compacted",
    );
    check(
        |t| t.topics[1].cleanup = Cleanup::Compact,
        "stage parse writes parts, which is compacted: a slow reader could miss records",
    );
    check(
        |t| t.stages[1].state.push(TopicIndex(2)),
        "state topic names is also read or written as input or output",
    );
    check(
        |t| t.topics[3].partitions = Partitions::Count(3),
        "state topic state-parse has 3 partitions for the 4 tasks of stage parse",
    );
}

#[test]
fn a_cycle_is_found_and_a_stage_behind_it_is_not_taken_for_more() {
    check(
        |t| {
            t.topics
                .push(topic("back", Partitions::Count(1), Cleanup::Delete, false));
            t.stages[1].writes.push(TopicIndex(5));
            t.stages[0].reads.push(TopicIndex(5));
        },
        "stages form a cycle: parse, fold",
    );
    check(
        |t| {
            t.topics
                .push(topic("self", Partitions::Count(1), Cleanup::Delete, false));
            t.stages[1].writes.push(TopicIndex(5));
            t.stages[1].reads.push(TopicIndex(5));
        },
        "stages form a cycle: fold",
    );
}

#[test]
fn topics_and_stages_are_limited() {
    let with_topics = |count: usize| {
        let mut topology = sample();
        for number in topology.topics.len()..count {
            let name = format!("extra-{number}");
            topology
                .topics
                .push(topic(&name, Partitions::Count(1), Cleanup::Delete, true));
            topology.stages[1].reads.push(TopicIndex(number as u16));
        }
        topology.validate()
    };
    assert_eq!(with_topics(MAX_TOPICS), Ok(()));
    assert_eq!(
        with_topics(MAX_TOPICS + 1),
        Err(TopologyError::TooManyTopics(MAX_TOPICS + 1))
    );
    let with_stages = |count: usize| {
        let mut topology = sample();
        for number in topology.stages.len()..count {
            let name = format!("extra-{number}");
            topology.stages.push(StageSpec {
                name,
                ..StageSpec::default()
            });
        }
        topology.validate()
    };
    assert_eq!(with_stages(MAX_STAGES), Ok(()));
    assert_eq!(
        with_stages(MAX_STAGES + 1),
        Err(TopologyError::TooManyStages(MAX_STAGES + 1))
    );
}

#[test]
fn topics_are_found_by_name_and_index() {
    let topology = sample();
    assert_eq!(topology.find("names"), Some(TopicIndex(2)));
    assert_eq!(topology.find("nobody"), None);
    assert_eq!(
        topology.topic(TopicIndex(1)).map(|topic| &*topic.name),
        Some("parts")
    );
    assert_eq!(topology.partitions(TopicIndex(4)), Some(4));
}

#[test]
fn the_picture_as_text() {
    let expect = r#"stage parse · group g-parse · 4 tasks
  raw           ──► │ parse │ ──► parts
  names (whole) ──► │       │ ◄─► state-parse (state)
                    │       │ ◄─► task-state (state)

stage fold · group g-fold · 2 tasks
  parts ──► │ fold │ ◄─► task-state (state)
            │      │ ══► store

topics
  raw            4 partitions · delete · key an "id" · written from outside
  parts          2 partitions · delete · key an "id"
  names          1 partitions · compact · key an "id" · written from outside
  state-parse    4 partitions · compact · key an "id"
  task-state     4 partitions · compact · key an "id"
"#;
    assert_eq!(sample().to_text(), expect);
}

#[test]
fn the_picture_as_mermaid() {
    let expect = r#"flowchart LR
    t0[("raw")]
    t1[("parts")]
    t2[("names")]
    t3[("state-parse")]
    t4[("task-state")]
    s0["parse"]
    s1["fold"]
    x0(["store"])
    t0 --> s0
    t2 -- whole --> s0
    s0 --> t1
    s0 <-. state .-> t3
    s0 <-. state .-> t4
    t1 --> s1
    s1 <-. state .-> t4
    s1 ==> x0
"#;
    assert_eq!(sample().to_mermaid(), expect);
}

#[test]
fn the_picture_as_json() {
    let mut topology = sample();
    topology.topics.truncate(2);
    topology.topics[0].name = "a\\b\n".to_owned();
    topology.stages.truncate(1);
    topology.stages[0].reads_whole.clear();
    topology.stages[0].state.clear();
    topology.stages[0].sinks.push(0);
    let expect = concat!(
        r#"{"topics":[{"name":"a\\b\u000a","partitions":4,"cleanup":"delete","key":"an \"id\"","#,
        r#""external":true},{"name":"parts","partitions":2,"cleanup":"delete","key":"an \"id\"","#,
        r#""external":false}],"stages":[{"name":"parse","group":"g-parse","tasks":4,"#,
        r#""reads":["a\\b\u000a"],"reads_whole":[],"writes":["parts"],"state":[],"sinks":["store"]}],"#,
        r#""sinks":[{"name":"store"}]}"#,
    );
    assert_eq!(topology.to_json(), expect);
}
