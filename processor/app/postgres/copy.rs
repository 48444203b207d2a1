//! COPY in binary form: rows straight from values to the bytes that the server reads.
//!
//! Invariants: every row has as many fields as [`CopyBuffer::row`] said; text holds no NUL (see
//! [`stored_text`](super::text::stored_text)).
//!
//! Source: "Binary Format" under COPY in PostgreSQL's manual, and the `…recv` function of each type.

use super::error::{Doing, PostgresError};
use super::types::time_to_wire;
use rollcall_domain::Timestamp;
use sqlx::postgres::{PgConnection, PgCopyIn};

/// Signature, flags and the length of the header's extension.
const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const END: i16 = -1;
const NULL: i32 = -1;
/// Bytes that are gathered before they are sent.
const CHUNK_BYTES: usize = 256 * 1024;

const INT4: u32 = 23;
const INT8: u32 = 20;

/// Rows on their way to the server.
#[derive(Debug, Default)]
pub struct CopyBuffer {
    bytes: Vec<u8>,
}

impl CopyBuffer {
    /// A buffer that begins with the header.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bytes: HEADER.to_vec(),
        }
    }

    /// Begins a row of `fields` fields.
    pub fn row(&mut self, fields: i16) {
        self.bytes.extend_from_slice(&fields.to_be_bytes());
    }

    /// A field that is NULL.
    pub fn null(&mut self) {
        self.bytes.extend_from_slice(&NULL.to_be_bytes());
    }

    fn fixed<const N: usize>(&mut self, value: [u8; N]) {
        self.bytes.extend_from_slice(&(N as i32).to_be_bytes());
        self.bytes.extend_from_slice(&value);
    }

    /// An `smallint`.
    pub fn int2(&mut self, value: i16) {
        self.fixed(value.to_be_bytes());
    }

    /// An `integer`.
    pub fn int4(&mut self, value: i32) {
        self.fixed(value.to_be_bytes());
    }

    /// A `bigint`.
    pub fn int8(&mut self, value: i64) {
        self.fixed(value.to_be_bytes());
    }

    /// A `double precision`.
    pub fn float8(&mut self, value: f64) {
        self.fixed(value.to_be_bytes());
    }

    /// A `boolean`.
    pub fn bool(&mut self, value: bool) {
        self.fixed([u8::from(value)]);
    }

    /// A `"char"`.
    pub fn char(&mut self, value: u8) {
        self.fixed([value]);
    }

    /// A `uuid`.
    pub fn uuid(&mut self, value: u128) {
        self.fixed(value.to_be_bytes());
    }

    /// A `timestamptz`.
    pub fn time(&mut self, value: Timestamp) {
        self.fixed(time_to_wire(value).to_be_bytes());
    }

    /// A `text`, without NUL.
    pub fn text(&mut self, value: &str) {
        self.bytea(value.as_bytes());
    }

    /// A `bytea` below 1 GB.
    pub fn bytea(&mut self, value: &[u8]) {
        self.bytes
            .extend_from_slice(&(value.len() as i32).to_be_bytes());
        self.bytes.extend_from_slice(value);
    }

    /// A `bytea` that `write` appends.
    pub fn bytea_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        write(&mut self.bytes);
        let length = (self.bytes.len() - at - 4) as i32;
        self.bytes[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }

    /// A `jsonb`, as JSON text.
    pub fn jsonb(&mut self, json: &str) {
        self.bytes
            .extend_from_slice(&(json.len() as i32 + 1).to_be_bytes());
        // The format's version.
        self.bytes.push(1);
        self.bytes.extend_from_slice(json.as_bytes());
    }

    /// An `integer[]`.
    pub fn int4_array(&mut self, values: impl ExactSizeIterator<Item = i32>) {
        self.array_header(INT4, 8, values.len());
        values.for_each(|value| self.int4(value));
    }

    /// A `bigint[]`.
    pub fn int8_array(&mut self, values: impl ExactSizeIterator<Item = i64>) {
        self.array_header(INT8, 12, values.len());
        values.for_each(|value| self.int8(value));
    }

    /// Dimensions, no NULLs, the element's type, and per dimension its length and lower bound.
    fn array_header(&mut self, element: u32, element_bytes: usize, count: usize) {
        if count == 0 {
            self.bytes.extend_from_slice(&12i32.to_be_bytes());
            self.bytes.extend_from_slice(&[0; 8]);
            self.bytes.extend_from_slice(&element.to_be_bytes());
            return;
        }
        let length = (20 + element_bytes * count) as i32;
        for word in [length, 1, 0, element as i32, count as i32, 1] {
            self.bytes.extend_from_slice(&word.to_be_bytes());
        }
    }

    /// The value, or NULL.
    pub fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        match value {
            Some(value) => write(self, value),
            None => self.null(),
        }
    }
}

/// A COPY under way. It ends with [`CopyStream::finish`]; dropped before, it fails.
pub(crate) struct CopyStream<'c> {
    server: PgCopyIn<&'c mut PgConnection>,
    doing: &'static str,
    buffer: CopyBuffer,
    /// Bytes sent.
    sent: u64,
}

impl<'c> CopyStream<'c> {
    /// Begins with a statement `COPY … FROM STDIN (FORMAT binary)`.
    pub(crate) async fn begin(
        connection: &'c mut PgConnection,
        statement: &str,
        doing: &'static str,
    ) -> Result<Self, PostgresError> {
        Ok(Self {
            server: connection.copy_in_raw(statement).await.doing(doing)?,
            doing,
            buffer: CopyBuffer::new(),
            sent: 0,
        })
    }

    /// Where to write rows.
    pub(crate) fn rows(&mut self) -> &mut CopyBuffer {
        &mut self.buffer
    }

    /// Sends what has gathered, if it is worth a message. To be called between rows.
    pub(crate) async fn send_full(&mut self) -> Result<(), PostgresError> {
        if self.buffer.bytes.len() >= CHUNK_BYTES {
            self.send().await?;
        }
        Ok(())
    }

    async fn send(&mut self) -> Result<(), PostgresError> {
        self.server
            .send(self.buffer.bytes.as_slice())
            .await
            .doing(self.doing)?;
        self.sent += self.buffer.bytes.len() as u64;
        self.buffer.bytes.clear();
        Ok(())
    }

    /// Ends it, and returns the server's count of rows and the bytes sent.
    pub(crate) async fn finish(mut self) -> Result<(u64, u64), PostgresError> {
        self.buffer.bytes.extend_from_slice(&END.to_be_bytes());
        self.send().await?;
        let rows = self.server.finish().await.doing(self.doing)?;
        Ok((rows, self.sent))
    }
}
