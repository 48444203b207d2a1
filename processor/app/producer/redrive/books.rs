//! The books of redrives in the database, for a thread that waits for it.

use super::plan::RedrivePlan;
use super::{BATCH, RedriveError};
use crate::postgres::redriven::{self, Candidate, CandidateQuery, RedriveClaim};
use crate::postgres::{PostgresError, PostgresSettings, Session};
use rollcall_domain::observation::SourceOffset;

/// The database, for code that waits.
pub(super) struct Books<'a> {
    runtime: tokio::runtime::Runtime,
    session: Session,
    pub(super) topic: &'a str,
}

impl<'a> Books<'a> {
    /// Opens them for this raw topic; nobody else may have them open.
    pub(super) fn open(postgres: &PostgresSettings, topic: &'a str) -> Result<Self, RedriveError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut session = runtime.block_on(Session::connect(postgres))?;
        if !runtime.block_on(redriven::lock(&mut session))? {
            return Err(RedriveError::Busy);
        }
        Ok(Self {
            runtime,
            session,
            topic,
        })
    }

    pub(super) fn candidates(
        &mut self,
        plan: &RedrivePlan,
        after: Option<SourceOffset>,
    ) -> Result<Vec<Candidate>, PostgresError> {
        let query = CandidateQuery {
            topic: self.topic,
            reason: plan.reason.as_deref(),
            source: plan.source,
            again: plan.again,
        };
        let found = redriven::candidates(&mut self.session, &query, after, BATCH);
        self.runtime.block_on(found)
    }

    pub(super) fn unconfirmed(&mut self) -> Result<Vec<RedriveClaim>, PostgresError> {
        let found = redriven::unconfirmed(&mut self.session, self.topic);
        self.runtime.block_on(found)
    }

    pub(super) fn claim(&mut self, claims: &[RedriveClaim]) -> Result<(), PostgresError> {
        let written = redriven::claim(&mut self.session, self.topic, claims);
        self.runtime.block_on(written)
    }

    pub(super) fn confirm(
        &mut self,
        appended: &[(SourceOffset, i64)],
    ) -> Result<(), PostgresError> {
        let written = redriven::confirm(&mut self.session, self.topic, appended);
        self.runtime.block_on(written)
    }

    pub(super) fn release(&mut self, sources: &[SourceOffset]) -> Result<(), PostgresError> {
        let written = redriven::release(&mut self.session, self.topic, sources);
        self.runtime.block_on(written)
    }
}
