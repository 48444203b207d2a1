//! Members of a group and what they own, as they are told.
//!
//! Which member is given what is the group's to say. Promised is that each partition is owned by one member at a time,
//! unless its owner is silent, and that in the end all are owned, by as many as there are.

use super::cluster::Cluster;
use rollcall_driver::ports::Rebalance;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a group may take to settle.
const PATIENCE: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// What each member was given and has not given back, and whether it is silent.
    members: BTreeMap<String, (BTreeSet<i32>, bool)>,
    /// The last owner of each partition that is not silent.
    owners: BTreeMap<i32, String>,
    /// How often members came or went since the group was last in balance.
    changes: u32,
}

impl Owners {
    pub(super) fn join(&mut self, member: &str) {
        self.members.insert(member.to_owned(), Default::default());
        self.changes += 1;
    }

    pub(super) fn leave(&mut self, member: &str) {
        self.members.remove(member);
        self.changes += 1;
    }

    pub(super) fn silence(&mut self, member: &str) {
        if let Some((_, is_silent)) = self.members.get_mut(member) {
            *is_silent = true;
        }
        self.changes += 1;
    }

    pub(super) fn wake(&mut self, member: &str) {
        if let Some((_, is_silent)) = self.members.get_mut(member) {
            *is_silent = false;
        }
        self.changes += 1;
    }

    /// Serves the group until it is in balance; how many partitions members own, how many were taken from members that
    /// are still there, and what went wrong.
    pub(super) fn balance(&mut self, cluster: &mut impl Cluster, partitions: i32) -> String {
        let before = self.owners.clone();
        let mut faults = BTreeSet::new();
        let begun = cluster.elapsed();
        let deadline = begun + PATIENCE;
        // Whoever is asked first: nobody is given what another has not let go of.
        let mut from_last = false;
        while !self.is_balanced(partitions) && cluster.elapsed() < deadline {
            let awake = self.members.iter().filter(|(_, (_, silent))| !silent);
            let mut awake: Vec<String> = awake.map(|(name, _)| name.clone()).collect();
            from_last = !from_last;
            if from_last {
                awake.reverse();
            }
            for member in awake {
                if let Some(said) = cluster.poll(&member) {
                    self.hear(&member, &said, &mut faults);
                    cluster.obey(&member, &said);
                }
            }
        }
        let mut counts: Vec<usize> = self.counts().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let mut text = format!("{counts:?}");
        let is_awake = |name| matches!(self.members.get(name), Some((_, false)));
        let moved = self.owners.iter().filter(|(partition, owner)| {
            let before = before.get(partition).filter(|name| is_awake(name.as_str()));
            before.is_some_and(|before| before != *owner)
        });
        // What several changes at a time move, and move again, is chance.
        if std::mem::take(&mut self.changes) == 1 {
            text += &format!(", {} moved", moved.count());
        }
        for fault in faults {
            text += &format!(", {fault}");
        }
        text
    }

    fn counts(&self) -> impl Iterator<Item = usize> {
        let awake = self.members.values().filter(|(_, silent)| !silent);
        awake.map(|(owned, _)| owned.len())
    }

    fn is_balanced(&self, partitions: i32) -> bool {
        let (least, most) = (self.counts().min(), self.counts().max());
        let is_even = matches!((least, most), (Some(least), Some(most)) if most - least <= 1);
        let total: usize = self.counts().sum();
        total == partitions as usize && is_even
    }

    fn hear(&mut self, member: &str, said: &Rebalance<i32>, faults: &mut BTreeSet<String>) {
        match said {
            Rebalance::Assigned(partitions) => {
                for partition in partitions {
                    let has = |(name, (owned, silent)): &(&String, &(BTreeSet<i32>, bool))| {
                        !silent && *name != member && owned.contains(partition)
                    };
                    if self.members.iter().any(|other| has(&other)) {
                        faults.insert("a partition had two owners".to_owned());
                    }
                    if let Some((owned, _)) = self.members.get_mut(member) {
                        owned.insert(*partition);
                    }
                    self.owners.insert(*partition, member.to_owned());
                }
            }
            Rebalance::Revoked { places, lost } => {
                if *lost && !places.is_empty() {
                    faults.insert(format!("{member} lost {}", places.len()));
                }
                if let Some((owned, _)) = self.members.get_mut(member) {
                    places
                        .iter()
                        .for_each(|partition| _ = owned.remove(partition));
                }
            }
        }
    }
}
