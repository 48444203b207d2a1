use super::*;
use std::collections::BTreeSet;

/// The model plays the scripts that say what each step gives.
#[test]
fn the_model_gives_what_scripts_say() {
    for script in handwritten() {
        let said = play(&script, &mut ModelCluster::new(&script, 1));
        for ((step, gives), said) in script.steps.iter().zip(&said) {
            if let Some(gives) = gives {
                assert_eq!(
                    *said,
                    format!("{step} -> {gives}"),
                    "{}: {said:#?}",
                    script.name
                );
            }
        }
    }
}

/// What a model's network and coordinator do in which order shows nowhere.
#[test]
fn chance_shows_in_no_transcript() {
    let generated = (1..=60).map(generate);
    for script in handwritten().into_iter().chain(generated) {
        let said = play(&script, &mut ModelCluster::new(&script, 1));
        for seed in 2..=4 {
            let again = play(&script, &mut ModelCluster::new(&script, seed));
            assert_eq!(said, again, "{}", script.name);
        }
    }
}

#[test]
fn scripts_are_written_as_they_are_read() {
    let generated = (1..=60).map(generate);
    for script in handwritten().into_iter().chain(generated) {
        let [x, y] = script.partitions;
        let mut text = format!("script {}\npartitions {x} {y}\n", script.name);
        for (step, gives) in &script.steps {
            let gives = gives.as_ref().map(|gives| format!(" -> {gives}"));
            text += &format!("{step}{}\n", gives.unwrap_or_default());
        }
        assert_eq!(Script::parse_all(&text), Ok(vec![script]));
    }
    assert!(Script::parse_all("script a\nclaim").is_err());
    assert!(Script::parse_all("claim p1 a").is_err());
}

/// What never happens in a script compares nothing.
#[test]
fn generated_scripts_come_upon_everything() {
    let mut answers = BTreeSet::new();
    for seed in 1..=60 {
        let script = generate(seed);
        for line in play(&script, &mut ModelCluster::new(&script, 1)) {
            let (step, answer) = line.split_once(" -> ").unwrap_or((&line, ""));
            let step = step.split(' ').next().unwrap_or_default();
            let last: Vec<&str> = answer.split(' ').rev().take(2).collect();
            answers.insert(match (step, last.as_slice()) {
                ("read" | "marks" | "balance", [_, word]) if word.parse::<u32>().is_err() => {
                    format!("{step} {word}")
                }
                ("commit" | "abort" | "transact", [word, ..]) => format!("{step} {word}"),
                ("send", [_, word]) => format!("{step} {word}"),
                ("send", [word]) => format!("{step} {word}"),
                _ => step.to_owned(),
            });
        }
    }
    for answer in [
        "abort aborted",
        "abort fenced",
        "claim",
        "commit committed",
        "commit fenced",
        "leave",
        "read next",
        "read no",
        "read of",
        "send at",
        "send refused",
        "transact committed",
        "transact fenced",
    ] {
        assert!(answers.contains(answer), "{answer}: never in {answers:?}");
    }
}
