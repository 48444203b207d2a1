//! The topology drawn: as text, as a mermaid flowchart, and as JSON.
//!
//! Invariant: the output depends on the topology alone, in its order, so that a test can pin it.

use super::{SinkSpec, StageSpec, TopicSpec, Topology};
use crate::record::TopicIndex;
use core::fmt::Write;

impl Topology {
    /// A picture for a terminal: each stage between what it reads and what it writes, then the topics.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for stage in &self.stages {
            self.stage_text(stage, &mut text);
            text.push('\n');
        }
        text.push_str("topics\n");
        let width = self
            .topics
            .iter()
            .map(|topic| topic.name.chars().count())
            .max()
            .unwrap_or(0);
        for (position, topic) in self.topics.iter().enumerate() {
            let partitions = self.partitions(TopicIndex(position as u16)).unwrap_or(0);
            let outside = if topic.external {
                " · written from outside"
            } else {
                ""
            };
            let TopicSpec {
                name, cleanup, key, ..
            } = topic;
            let cleanup = cleanup.as_str();
            line(
                &mut text,
                format_args!(
                    "  {name:width$}  {partitions:3} partitions · {cleanup} · key {key}{outside}"
                ),
            );
        }
        text
    }

    fn stage_text(&self, stage: &StageSpec, text: &mut String) {
        let StageSpec { name, group, .. } = stage;
        line(
            text,
            format_args!("stage {name} · group {group} · {} tasks", self.tasks(stage)),
        );
        let whole = |&topic| format!("{} (whole)", self.name(topic));
        let inputs: Vec<String> = stage
            .reads
            .iter()
            .map(|&topic| self.name(topic))
            .chain(stage.reads_whole.iter().map(whole))
            .collect();
        let outputs: Vec<String> = stage
            .writes
            .iter()
            .map(|&topic| format!("──► {}", self.name(topic)))
            .chain(
                stage
                    .state
                    .iter()
                    .map(|&topic| format!("◄─► {} (state)", self.name(topic))),
            )
            .chain(stage.sinks.iter().filter_map(|&sink| {
                let SinkSpec { name } = self.sinks.get(sink)?;
                Some(format!("══► {name}"))
            }))
            .collect();
        let width = inputs
            .iter()
            .map(|input| input.chars().count())
            .max()
            .unwrap_or(0);
        for row in 0..inputs.len().max(outputs.len()) {
            let input = inputs.get(row).map_or("", String::as_str);
            let arrow = if row < inputs.len() {
                "──►"
            } else {
                "   "
            };
            let middle = if row == 0 { name.as_str() } else { "" };
            let output = outputs.get(row).map_or("", String::as_str);
            let name_width = name.chars().count();
            let drawn = format!("  {input:width$} {arrow} │ {middle:name_width$} │ {output}");
            line(text, format_args!("{}", drawn.trim_end()));
        }
    }

    /// A mermaid flowchart.
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        let mut text = String::from("flowchart LR\n");
        for (position, topic) in self.topics.iter().enumerate() {
            line(
                &mut text,
                format_args!("    t{position}[(\"{}\")]", label(&topic.name)),
            );
        }
        for (position, stage) in self.stages.iter().enumerate() {
            line(
                &mut text,
                format_args!("    s{position}[\"{}\"]", label(&stage.name)),
            );
        }
        for (position, sink) in self.sinks.iter().enumerate() {
            line(
                &mut text,
                format_args!("    x{position}([\"{}\"])", label(&sink.name)),
            );
        }
        for (position, stage) in self.stages.iter().enumerate() {
            for topic in &stage.reads {
                line(&mut text, format_args!("    t{} --> s{position}", topic.0));
            }
            for topic in &stage.reads_whole {
                line(
                    &mut text,
                    format_args!("    t{} -- whole --> s{position}", topic.0),
                );
            }
            for topic in &stage.writes {
                line(&mut text, format_args!("    s{position} --> t{}", topic.0));
            }
            for topic in &stage.state {
                line(
                    &mut text,
                    format_args!("    s{position} <-. state .-> t{}", topic.0),
                );
            }
            for sink in &stage.sinks {
                line(&mut text, format_args!("    s{position} ==> x{sink}"));
            }
        }
        text
    }

    /// One JSON object: `topics`, `stages` and `sinks`, which name each other.
    #[must_use]
    pub fn to_json(&self) -> String {
        let topics = self.topics.iter().enumerate().map(|(position, topic)| {
            let partitions = self.partitions(TopicIndex(position as u16)).unwrap_or(0);
            format!(
                "{{\"name\":{},\"partitions\":{partitions},\"cleanup\":{},\"key\":{},\"external\":{}}}",
                quoted(&topic.name),
                quoted(topic.cleanup.as_str()),
                quoted(&topic.key),
                topic.external,
            )
        });
        let stages = self.stages.iter().map(|stage| {
            let sinks = stage.sinks.iter().filter_map(|&sink| Some(quoted(&self.sinks.get(sink)?.name)));
            format!(
                "{{\"name\":{},\"group\":{},\"tasks\":{},\"reads\":{},\"reads_whole\":{},\"writes\":{},\
                 \"state\":{},\"sinks\":{}}}",
                quoted(&stage.name),
                quoted(&stage.group),
                self.tasks(stage),
                self.names(&stage.reads),
                self.names(&stage.reads_whole),
                self.names(&stage.writes),
                self.names(&stage.state),
                list(sinks),
            )
        });
        let sinks = self
            .sinks
            .iter()
            .map(|sink| format!("{{\"name\":{}}}", quoted(&sink.name)));
        format!(
            "{{\"topics\":{},\"stages\":{},\"sinks\":{}}}",
            list(topics),
            list(stages),
            list(sinks)
        )
    }

    fn names(&self, topics: &[TopicIndex]) -> String {
        list(topics.iter().map(|&topic| quoted(&self.name(topic))))
    }
}

/// Writing to a string can't fail.
fn line(text: &mut String, arguments: core::fmt::Arguments<'_>) {
    let _ = writeln!(text, "{arguments}");
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

/// A mermaid label: quotes would end it.
fn label(name: &str) -> String {
    name.replace('"', "#quot;")
}

/// A JSON string (RFC 8259, section 7).
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(character);
            }
            control if control < ' ' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
