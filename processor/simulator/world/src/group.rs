//! A model of consumer groups: who should run what. Cooperative: what moves is taken from one member before it is given
//! to another, unless that member has been silent for too long.

use crate::executor::{Executor, ProcessId};
use rollcall_driver::ports::{Place, Rebalance};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A member. Numbers are never used again.
pub(crate) type MemberId = usize;

#[derive(Debug)]
struct Member {
    process: ProcessId,
    heard_us: i64,
    said: VecDeque<Rebalance>,
    owns: BTreeSet<Place>,
    /// Asked back, and not given back yet.
    revoked: BTreeSet<Place>,
    /// Thrown out: it will learn of it, let go, and come again.
    is_out: bool,
    knows_it_is_out: bool,
    /// It was told something that it has not obeyed yet; until then it is told nothing else.
    is_obeying: bool,
}

impl Member {
    /// How many partitions it owns that it was not asked back.
    fn kept(&self) -> usize {
        self.owns.len() - self.revoked.len()
    }
}

/// A group that shares these partitions.
#[derive(Debug)]
pub(crate) struct Group {
    owners: BTreeMap<Place, Option<MemberId>>,
    members: BTreeMap<MemberId, Member>,
    next: MemberId,
    session_us: i64,
}

impl Group {
    pub(crate) fn new(places: impl IntoIterator<Item = Place>, session_us: i64) -> Self {
        Self {
            owners: places.into_iter().map(|place| (place, None)).collect(),
            members: BTreeMap::new(),
            next: 0,
            session_us,
        }
    }

    pub(crate) fn join(&mut self, process: ProcessId, now_us: i64) -> MemberId {
        let id = self.next;
        self.next += 1;
        let member = Member {
            process,
            heard_us: now_us,
            said: VecDeque::new(),
            owns: BTreeSet::new(),
            revoked: BTreeSet::new(),
            is_out: false,
            knows_it_is_out: false,
            is_obeying: false,
        };
        self.members.insert(id, member);
        id
    }

    /// A member leaves in order.
    pub(crate) fn leave(&mut self, member: MemberId) {
        self.members.remove(&member);
        self.free(member);
    }

    fn free(&mut self, member: MemberId) {
        for owner in self.owners.values_mut() {
            if *owner == Some(member) {
                *owner = None;
            }
        }
    }

    /// What the member has not heard yet.
    pub(crate) fn poll(&mut self, member: MemberId, now_us: i64) -> Option<Rebalance> {
        let member = self.members.get_mut(&member)?;
        if member.is_obeying {
            return None;
        }
        let said = if member.is_out {
            member.said.clear();
            member.revoked.clear();
            member.heard_us = now_us;
            let places: Vec<Place> = member.owns.iter().copied().collect();
            member.is_out = !places.is_empty();
            member.knows_it_is_out = member.is_out;
            member
                .is_out
                .then_some(Rebalance::Revoked { places, lost: true })
        } else {
            member.said.pop_front()
        };
        member.is_obeying = said.is_some();
        said
    }

    /// The member has taken what it was given.
    pub(crate) fn accept(&mut self, member: MemberId) {
        if let Some(member) = self.members.get_mut(&member) {
            member.is_obeying = false;
        }
    }

    /// The member lets go.
    pub(crate) fn release(&mut self, member: MemberId, places: &[Place]) {
        let Some(it) = self.members.get_mut(&member) else {
            return;
        };
        it.is_obeying = false;
        // One that was thrown out while it let go of something else has yet to hear of it.
        it.is_out &= !std::mem::take(&mut it.knows_it_is_out);
        for place in places {
            it.owns.remove(place);
            it.revoked.remove(place);
            if let Some(owner) = self.owners.get_mut(place)
                && *owner == Some(member)
            {
                *owner = None;
            }
        }
    }

    /// The coordinator's turn: throws out who is silent, takes from who has too much, gives out what is free.
    pub(crate) fn coordinate(
        &mut self,
        now_us: i64,
        executor: &Executor,
        is_heard: impl Fn(ProcessId) -> bool,
    ) {
        let mut silent = Vec::new();
        for (id, member) in &mut self.members {
            if executor.is_running(member.process) && is_heard(member.process) {
                member.heard_us = now_us;
            } else if !member.is_out && now_us - member.heard_us > self.session_us {
                silent.push(*id);
            }
        }
        for id in silent {
            let gone = self
                .members
                .get_mut(&id)
                .is_none_or(|member| !executor.is_alive(member.process));
            self.free(id);
            match self.members.get_mut(&id) {
                Some(member) if !gone => member.is_out = true,
                _ => drop(self.members.remove(&id)),
            }
        }
        let inside: Vec<MemberId> = self
            .members
            .iter()
            .filter(|(_, member)| !member.is_out)
            .map(|(id, _)| *id)
            .collect();
        if inside.is_empty() {
            return;
        }
        // All own about as many: who is to own one more is who owns the most already.
        let (share, mut more) = (
            self.owners.len() / inside.len(),
            self.owners.len() % inside.len(),
        );
        let mut by_size: Vec<(usize, MemberId)> = Vec::with_capacity(inside.len());
        by_size.extend(inside.iter().map(|id| (self.members[id].kept(), *id)));
        by_size.sort_by_key(|(kept, id)| (Reverse(*kept), *id));
        for (kept, id) in by_size {
            let has_more = more > 0 && kept > share;
            more -= usize::from(has_more);
            self.take_back(id, share + usize::from(has_more));
        }
        let free = self.owners.iter().filter(|(_, owner)| owner.is_none());
        let free: Vec<Place> = free.map(|(place, _)| *place).collect();
        for place in free {
            let least = inside
                .iter()
                .min_by_key(|id| (self.members[id].owns.len(), **id));
            if let Some(member) = least.and_then(|id| self.members.get_mut(id)) {
                member.owns.insert(place);
                member.said.push_back(Rebalance::Assigned(vec![place]));
            }
            self.owners.insert(place, least.copied());
        }
    }

    fn take_back(&mut self, id: MemberId, share: usize) {
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        let excess = member.kept().saturating_sub(share);
        let kept = member.owns.difference(&member.revoked);
        let taken: Vec<Place> = kept.copied().take(excess).collect();
        if taken.is_empty() {
            return;
        }
        member.revoked.extend(&taken);
        member.said.push_back(Rebalance::Revoked {
            places: taken,
            lost: false,
        });
    }
}
