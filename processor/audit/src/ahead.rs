//! The rows of the tables, one read ahead, cut at the raw records' places.

use crate::stored::{StoredLetter, StoredSnapshot, Tables};
use rollcall_domain::observation::SourceOffset;

/// What is read ahead of each kind of rows.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    snapshot: Next<StoredSnapshot>,
    letter: Next<StoredLetter>,
}

#[derive(Debug, Default)]
enum Next<R> {
    #[default]
    Unread,
    Row(R),
    End,
}

trait Placed {
    fn place(&self) -> SourceOffset;
}

impl Placed for StoredSnapshot {
    fn place(&self) -> SourceOffset {
        self.source
    }
}

impl Placed for StoredLetter {
    fn place(&self) -> SourceOffset {
        self.source
    }
}

impl<R: Placed> Next<R> {
    /// The next row, if it stands at or before `last`; `None`: every row that is left.
    fn take<E>(
        &mut self,
        last: Option<SourceOffset>,
        read: impl FnOnce() -> Result<Option<R>, E>,
    ) -> Result<Option<R>, E> {
        if let Next::Unread = self {
            *self = match read()? {
                Some(row) => Next::Row(row),
                None => Next::End,
            };
        }
        let due = matches!(self, Next::Row(row) if last.is_none_or(|last| row.place() <= last));
        match (due, std::mem::take(self)) {
            (true, Next::Row(row)) => Ok(Some(row)),
            (_, unchanged) => {
                *self = unchanged;
                Ok(None)
            }
        }
    }

    fn peek(&self) -> Option<&R> {
        match self {
            Next::Row(row) => Some(row),
            Next::Unread | Next::End => None,
        }
    }
}

impl Ahead {
    /// The next snapshot up to and with `last`; `None`: whatever comes.
    pub(crate) fn snapshot<T: Tables>(
        &mut self,
        tables: &mut T,
        last: Option<SourceOffset>,
    ) -> Result<Option<StoredSnapshot>, T::Error> {
        self.snapshot.take(last, || tables.next_snapshot())
    }

    /// The next rejected record up to and with `last`; `None`: whatever comes.
    pub(crate) fn letter<T: Tables>(
        &mut self,
        tables: &mut T,
        last: Option<SourceOffset>,
    ) -> Result<Option<StoredLetter>, T::Error> {
        self.letter.take(last, || tables.next_letter())
    }

    /// The snapshot that was read and not yet taken. There is one, unless there are no more, after [`Self::snapshot`]
    /// has returned `None`.
    pub(crate) fn next_snapshot(&self) -> Option<&StoredSnapshot> {
        self.snapshot.peek()
    }

    /// The same of rejected records.
    pub(crate) fn next_letter(&self) -> Option<&StoredLetter> {
        self.letter.peek()
    }
}
