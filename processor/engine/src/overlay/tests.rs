use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Step {
    Insert(u8, u32),
    Remove(u8),
    Add(u8, u32),
    Commit,
    /// The state is dropped and restored from what was committed.
    Drop,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0_u8..12;
    let step = prop_oneof![
        4 => (key.clone(), 0_u32..100).prop_map(|(key, value)| Step::Insert(key, value)),
        3 => key.clone().prop_map(Step::Remove),
        4 => (key, 0_u32..100).prop_map(|(key, value)| Step::Add(key, value)),
        2 => Just(Step::Commit),
        1 => Just(Step::Drop),
    ];
    prop::collection::vec(step, 0..80)
}

fn name(key: u8) -> String {
    format!("key-{key}")
}

/// Overlay and plain map side by side, and the changelog that a state topic would hold.
#[derive(Default)]
struct Pair {
    overlay: Overlay<String, u32>,
    model: BTreeMap<String, u32>,
    committed: BTreeMap<String, u32>,
    changelog: Vec<(String, Option<u32>)>,
    touched: Vec<String>,
}

impl Pair {
    fn step(&mut self, step: Step) {
        match step {
            Step::Insert(key, value) => {
                self.touch(key);
                self.overlay.insert(name(key), value);
                self.model.insert(name(key), value);
            }
            Step::Remove(key) => {
                self.touch(key);
                let was_live = self.overlay.remove(name(key).as_str());
                assert_eq!(was_live, self.model.remove(&name(key)).is_some());
            }
            Step::Add(key, value) => {
                self.touch(key);
                *self
                    .overlay
                    .get_mut_or_insert_with(name(key).as_str(), || 1_000) += value;
                *self.model.entry(name(key)).or_insert(1_000) += value;
            }
            Step::Commit => self.commit(),
            Step::Drop => self.drop_and_restore(),
        }
    }

    fn touch(&mut self, key: u8) {
        if !self.touched.contains(&name(key)) {
            self.touched.push(name(key));
        }
    }

    fn commit(&mut self) {
        let dirty: Vec<_> = self
            .overlay
            .dirty()
            .map(|(key, value)| (key.clone(), value.copied()))
            .collect();
        let expected: Vec<_> = self
            .touched
            .iter()
            .map(|key| (key.clone(), self.model.get(key).copied()))
            .collect();
        assert_eq!(dirty, expected);
        self.changelog.extend(dirty);
        self.overlay.commit();
        self.committed = self.model.clone();
        self.touched.clear();
    }

    fn drop_and_restore(&mut self) {
        self.overlay = Overlay::new();
        for (key, value) in self.changelog.clone() {
            self.overlay.restore(key, value);
        }
        self.model = self.committed.clone();
        self.touched.clear();
    }

    fn check(&self) {
        for key in 0..12 {
            assert_eq!(
                self.overlay.get(name(key).as_str()),
                self.model.get(&name(key))
            );
        }
        assert_eq!(self.overlay.len(), self.model.len());
        assert_eq!(self.overlay.is_empty(), self.model.is_empty());
        assert_eq!(self.overlay.iter_committed().count(), self.committed.len());
        assert_eq!(self.overlay.dirty().len(), self.touched.len());
    }
}

proptest! {
    #[test]
    fn an_overlay_is_a_map_that_changes_on_commit(steps in steps()) {
        let mut pair = Pair::default();
        for step in steps {
            pair.step(step);
            pair.check();
        }
    }
}

#[test]
fn a_value_of_the_base_is_cloned_on_first_touch_only() {
    use std::cell::Cell;
    use std::rc::Rc;

    struct Counted(Rc<Cell<u32>>);
    impl Clone for Counted {
        fn clone(&self) -> Self {
            self.0.set(self.0.get() + 1);
            Counted(Rc::clone(&self.0))
        }
    }

    let clones = Rc::new(Cell::new(0));
    let mut overlay = Overlay::<u64, Counted>::new();
    overlay.restore(7, Some(Counted(Rc::clone(&clones))));
    for _ in 0..3 {
        overlay.get_mut_or_insert_with(&7, || unreachable!());
    }
    assert_eq!(clones.get(), 1);
    overlay.commit();
    assert_eq!(clones.get(), 1, "a commit moves");
}
