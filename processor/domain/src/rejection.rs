//! Why a record or a line was not accepted. The words are stable: they stand in metrics and tables.

macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident => $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every reason, in a fixed order.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The reason's word in metrics, tables and dead letters.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }

            /// The inverse of `as_str`.
            #[must_use]
            pub fn parse(text: &str) -> Option<$name> {
                $name::ALL.iter().copied().find(|reason| reason.as_str() == text)
            }
        }
    };
}

reasons! {
    /// Why a whole raw record was rejected.
    RejectionReason {
        /// The value is null or empty.
        EmptyValue => "empty_value",
        /// The value does not start with the wire format's magic byte.
        BadMagic => "bad_magic",
        /// The registry answers, and does not know the schema id.
        UnknownSchema => "unknown_schema",
        /// The writer's schema can't be read as ours.
        IncompatibleSchema => "incompatible_schema",
        /// The value can't be decoded with its writer's schema.
        Undecodable => "undecodable",
        /// The record has no key.
        MissingKey => "missing_key",
        /// The key is not the machine id.
        KeyMismatch => "key_mismatch",
        /// The machine id is empty, or another field breaks its contract.
        InvalidField => "invalid_field",
        /// An operating system that this version can't read.
        UnknownOs => "unknown_os",
        /// The event time lies further back than what is accepted.
        TooOld => "too_old",
        /// The command output is empty.
        EmptyOutput => "empty_output",
        /// The command output is no text in any encoding that could be meant.
        BinaryOutput => "binary_output",
        /// The command output is text of no known form.
        UnknownFormat => "unknown_format",
        /// The encoding's label is unknown.
        UnknownEncoding => "unknown_encoding",
        /// Its observations don't fit into a message.
        TooLarge => "too_large",
    }
}

reasons! {
    /// Why one line or one structured record of a listing was rejected. The rest of the listing goes on.
    LineReason {
        /// Fewer columns than the form has.
        MissingColumns => "missing_columns",
        /// No process id, or one out of range.
        BadPid => "bad_pid",
        /// A CPU time of no known form.
        BadCpuTime => "bad_cpu_time",
        /// A memory size of no known form.
        BadMemory => "bad_memory",
        /// A start time of no known form.
        BadStartTime => "bad_start_time",
        /// No command or image name.
        MissingName => "missing_name",
        /// Quotes that don't close, or the like.
        BadQuoting => "bad_quoting",
        /// A number that overflows its unit's conversion.
        Overflow => "overflow",
        /// The line is longer than what is read.
        TooLong => "too_long",
        /// More processes than one snapshot may have.
        TooMany => "too_many",
        /// The process id stands in this listing already.
        DuplicatePid => "duplicate_pid",
    }
}
