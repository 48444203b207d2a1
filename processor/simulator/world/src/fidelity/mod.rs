//! Scripts that models and real services play alike: what a model answers must be what the service answers.
//!
//! ```text
//! script ─┬─► model   ─► transcript ─┐
//!         └─► service ─► transcript ─┴─► compared line by line
//! ```
//!
//! A transcript says what is promised and can be observed, never what is chance: no times, no client's number. The real
//! halves stand in the tests of the program, for nothing here may need a service: `../../../../tests/fidelity/`.

pub mod kafka;

/// What a script's steps gave, a line each.
pub type Transcript = Vec<String>;

/// Where two transcripts differ, in words; `None`: nowhere.
#[must_use]
pub fn difference(name: &str, model: &Transcript, real: &Transcript) -> Option<String> {
    if model == real {
        return None;
    }
    let mut text = format!("script {name}:\n");
    let nothing = "nothing".to_owned();
    for at in 0..model.len().max(real.len()) {
        let (model, real) = (model.get(at), real.get(at));
        let (ours, theirs) = (model.unwrap_or(&nothing), real.unwrap_or(&nothing));
        if model == real {
            text += &format!("    {ours}\n");
        } else {
            text += &format!("  model: {ours}\n  real:  {theirs}\n");
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_shown_in_their_place() {
        let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Transcript>();
        assert_eq!(difference("a", &lines("1 2"), &lines("1 2")), None);
        assert_eq!(
            difference("a", &lines("1 2"), &lines("1 3 4")).as_deref(),
            Some("script a:\n    1\n  model: 2\n  real:  3\n  model: nothing\n  real:  4\n")
        );
    }
}
