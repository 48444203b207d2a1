//! CPU deltas against a machine that is played through: processes that use time, end, leave their pids to others, and a
//! system that is started anew. What the listings round and leave out, the model knows exactly.

use proptest::prelude::*;
use rollcall_domain::pipeline::MachineCpu;
use rollcall_domain::time::SECOND_US;
use rollcall_domain::{CreationTime, Precision, Process, Timestamp};
use rollcall_normalize::cpu::{self, FINE_QUANTUM_US, QUANTUM_US};
use std::borrow::Cow;
use std::collections::BTreeMap;

const T0: i64 = 1_795_181_400 * SECOND_US;
const NAMES: [&str; 3] = ["a", "b", "c"];

/// A process as it really is.
#[derive(Clone, Copy, Debug)]
struct Real {
    identity: u64,
    name: &'static str,
    began_us: i64,
    used_us: i64,
}

/// How listings show it.
#[derive(Clone, Copy, Debug)]
struct Form {
    quantum_us: i64,
    created: Option<Precision>,
}

const FORMS: [Form; 4] = [
    // ps, structured records, macOS in centiseconds, tasklist.
    Form {
        quantum_us: QUANTUM_US,
        created: Some(Precision::Second),
    },
    Form {
        quantum_us: 1,
        created: Some(Precision::Exact),
    },
    Form {
        quantum_us: 10_000,
        created: Some(Precision::Second),
    },
    Form {
        quantum_us: QUANTUM_US,
        created: None,
    },
];

struct Machine {
    now_us: i64,
    cpus: i64,
    next_identity: u64,
    /// Pid of the process that lives as long as the system.
    anchor: (i32, &'static str),
    running: BTreeMap<i32, Real>,
}

impl Machine {
    fn new(cpus: i64, windows: bool) -> Self {
        let mut machine = Machine {
            now_us: T0,
            cpus,
            next_identity: 0,
            anchor: if windows { (4, "System") } else { (1, "init") },
            running: BTreeMap::new(),
        };
        let (pid, name) = machine.anchor;
        machine.begin(pid, name, 100 * SECOND_US);
        machine
    }

    fn begin(&mut self, pid: i32, name: &'static str, used_us: i64) {
        let real = Real {
            identity: self.next_identity,
            name,
            began_us: self.now_us,
            used_us,
        };
        self.next_identity += 1;
        self.running.insert(pid, real);
    }

    /// Lets time pass, of which the processes use what there is.
    fn pass(&mut self, us: i64, shares: &[u16]) {
        self.now_us += us;
        let mut left = us * self.cpus;
        for (real, share) in self.running.values_mut().zip(shares.iter().cycle()) {
            // A process has as many threads as it wants.
            let used = (left * i64::from(*share % 101) / 100).max(0);
            real.used_us += used;
            left -= used;
        }
    }

    fn act(&mut self, action: &Action) {
        let name_of = |name: u8| NAMES[usize::from(name) % NAMES.len()];
        match action {
            Action::Pass(us, shares) => self.pass(*us, shares),
            Action::Replace(pid, name) if *pid != self.anchor.0 => {
                // A pid is given again only after others: later than clocks jitter, and here to another program.
                self.pass(5 * SECOND_US, &[0]);
                let old = self.running.get(pid).map(|real| real.name);
                let name = name_of(*name);
                if old != Some(name) {
                    self.begin(*pid, name, 0);
                }
            }
            Action::ReplaceSame(pid) if *pid != self.anchor.0 => {
                if let Some(real) = self.running.get(pid).copied() {
                    self.pass(5 * SECOND_US, &[0]);
                    self.begin(*pid, real.name, 0);
                }
            }
            Action::Restart => {
                self.pass(20 * SECOND_US, &[0]);
                let (anchor, name) = self.anchor;
                let used = self.running.get(&anchor).map_or(0, |real| real.used_us);
                // Every process is started again with its old pid: the hardest case.
                let old: Vec<_> = self
                    .running
                    .iter()
                    .map(|(pid, real)| (*pid, real.name))
                    .collect();
                for (pid, name) in old {
                    self.begin(pid, name, 0);
                }
                // By the time that somebody looks, the system has used nearly as much as before.
                self.begin(anchor, name, used - SECOND_US);
            }
            _ => {}
        }
    }

    fn listing(&self, form: Form) -> Vec<Process<'static>> {
        let row = |(pid, real): (&i32, &Real)| Process {
            pid: *pid,
            parent_pid: None,
            created_at: form.created.map(|precision| CreationTime {
                at: Timestamp::from_micros(match precision {
                    Precision::Exact => real.began_us,
                    _ => real.began_us.div_euclid(SECOND_US) * SECOND_US,
                }),
                precision,
            }),
            executable_name: Cow::Borrowed(real.name),
            executable_path: None,
            command_line: None,
            owner: None,
            state: None,
            cpu_time_us: Some(real.used_us.div_euclid(form.quantum_us) * form.quantum_us),
            memory_usage_bytes: None,
            memory_virtual_bytes: None,
            thread_count: None,
            application: Cow::Borrowed(real.name),
            script: None,
        };
        self.running.iter().map(row).collect()
    }
}

#[derive(Clone, Debug)]
enum Action {
    /// Time passes, of which processes use these shares.
    Pass(i64, Vec<u16>),
    /// Another program gets the pid.
    Replace(i32, u8),
    /// The same program is started again, with the pid that it had.
    ReplaceSame(i32),
    Restart,
    /// A listing is taken in this form.
    Look(usize),
    /// The last listing is sent again, as if it were older by this much.
    LookBack(i64),
}

fn actions(forms: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Action>> {
    let pid = (2..12_i32).prop_map(|n| n * 4);
    let action = prop_oneof![
        4 => (1..120_000_000_i64, proptest::collection::vec(0..101_u16, 1..6)).prop_map(|(us, shares)| Action::Pass(us, shares)),
        3 => (pid.clone(), any::<u8>()).prop_map(|(pid, name)| Action::Replace(pid, name)),
        1 => pid.prop_map(Action::ReplaceSame),
        1 => Just(Action::Restart),
        6 => forms.prop_map(Action::Look),
        1 => (0..100 * SECOND_US).prop_map(Action::LookBack),
    ];
    proptest::collection::vec(action, 1..40)
}

/// What was really used between two looks, by pid, for processes that were there at both.
fn truly_used(before: &BTreeMap<i32, Real>, now: &BTreeMap<i32, Real>) -> BTreeMap<i32, i64> {
    let used = |(pid, real): (&i32, &Real)| {
        let earlier = before.get(pid)?;
        (earlier.identity == real.identity).then_some((*pid, real.used_us - earlier.used_us))
    };
    now.iter().filter_map(used).collect()
}

fn check(machine: &mut Machine, actions: &[Action], one_form: bool) -> Result<(), TestCaseError> {
    let mut state: Option<MachineCpu> = None;
    let mut seen = BTreeMap::new();
    let mut forms = (FORMS[0], FORMS[0]);
    let mut looked_us = machine.now_us;
    let cpus = i32::try_from(machine.cpus).ok();
    for action in actions {
        machine.act(action);
        let (form, event_us) = match action {
            Action::Look(form) => (FORMS[*form], machine.now_us),
            Action::LookBack(us) => (forms.1, looked_us - us),
            _ => continue,
        };
        let listing = machine.listing(form);
        let found = cpu::deltas(
            state.as_ref(),
            Timestamp::from_micros(event_us),
            cpus,
            &listing,
        );
        if state.is_none() && matches!(action, Action::LookBack(_)) {
            continue;
        }
        if state.is_some() && event_us <= looked_us {
            prop_assert!(found.next.is_none() && found.deltas.iter().all(Option::is_none));
            continue;
        }
        forms = (forms.1, form);
        let quantum_us = forms.0.quantum_us.max(forms.1.quantum_us);
        let used = truly_used(&seen, &machine.running);
        let mut sum = 0;
        for (process, delta) in listing.iter().zip(&found.deltas) {
            let Some(delta) = delta else { continue };
            let real = used.get(&process.pid).filter(|_| state.is_some());
            prop_assert!(real.is_some(), "pid {} is another process", process.pid);
            let off = (delta - real.copied().unwrap_or(0)).abs();
            prop_assert!(off < quantum_us, "pid {} is off by {off} us", process.pid);
            sum += delta;
        }
        let known = found.deltas.iter().flatten().count() as i64;
        let allowed = quantum_us.max(FINE_QUANTUM_US) * known;
        prop_assert!(state.is_none() || sum <= (event_us - looked_us) * machine.cpus + allowed);
        // Nothing is lost either, where the form stays and the process, too.
        if state.is_some() && one_form {
            let lost = listing
                .iter()
                .zip(&found.deltas)
                .find(|(process, delta)| delta.is_none() && used.contains_key(&process.pid));
            prop_assert!(lost.is_none(), "a delta is missing: {lost:?}");
        }
        state = found.next;
        seen = machine.running.clone();
        looked_us = event_us;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Listings with start times, in one form.
    #[test]
    fn with_start_times_nothing_is_wrong_and_nothing_is_lost(
        cpus in 1..5_i64,
        form in 0..3_usize,
        windows in any::<bool>(),
        actions in actions(0..1),
    ) {
        let actions: Vec<_> = actions.into_iter().map(|action| match action {
            Action::Look(_) => Action::Look(form),
            other => other,
        }).collect();
        check(&mut Machine::new(cpus, windows), &actions, true)?;
    }

    /// A machine that changes its form of listing.
    #[test]
    fn a_change_of_form_makes_nothing_wrong(
        cpus in 1..5_i64,
        windows in any::<bool>(),
        actions in actions(0..3),
    ) {
        check(&mut Machine::new(cpus, windows), &actions, false)?;
    }

    /// tasklist prints no start times: the system's first process tells that it was started anew. That a program is
    /// started again with its old pid can't be seen there.
    #[test]
    fn without_start_times_a_restart_is_seen(
        cpus in 1..5_i64,
        actions in actions(3..4),
    ) {
        let mut machine = Machine::new(cpus, true);
        let calm = |action: Action| match action {
            // The anchor, which comes first, uses nothing, so that after a restart it has less.
            Action::Pass(us, mut shares) => {
                shares.resize(16, 7);
                shares[0] = 0;
                Some(Action::Pass(us, shares))
            }
            Action::ReplaceSame(_) => None,
            // What was replaced unseen by another program that was then replaced by the first has the same name.
            Action::Replace(pid, _) => Some(Action::Replace(pid, (pid / 4) as u8)),
            other => Some(other),
        };
        let actions: Vec<_> = actions.into_iter().filter_map(calm).collect();
        check(&mut machine, &actions, true)?;
    }
}
