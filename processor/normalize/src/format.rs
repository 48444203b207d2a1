//! The forms of listings that are read.

use rollcall_domain::Os;

macro_rules! formats {
    ($($(#[$doc:meta])* $variant:ident = $name:literal of $os:ident,)*) => {
        /// The form of a command's output.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Format {
            $($(#[$doc])* $variant,)*
        }

        impl Format {
            /// Every form, in a fixed order.
            pub const ALL: [Format; [$($name),*].len()] = [$(Format::$variant),*];

            /// Its name in settings and on the command line.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Format::$variant => $name,)* }
            }

            /// The operating system that prints it.
            #[must_use]
            pub const fn os(self) -> Os {
                match self { $(Format::$variant => Os::$os,)* }
            }
        }
    };
}

formats! {
    /// Linux (procps) `ps aux`, `ps auxww`, also as a forest (`f`).
    PsAux = "ps-aux" of Linux,
    /// Linux (procps) `ps -ef`.
    PsEf = "ps-ef" of Linux,
    /// Linux (procps) `ps -eo …`, `ps -e`, `ps -el`: the columns that its header names.
    PsColumns = "ps-columns" of Linux,
    /// `ps` of busybox.
    BusyboxPs = "busybox-ps" of Linux,
    /// macOS `ps aux`, `ps auxww`.
    MacosPsAux = "macos-ps-aux" of Macos,
    /// macOS `ps -ef`.
    MacosPsEf = "macos-ps-ef" of Macos,
    /// macOS `ps -axo …`: the columns that its header names.
    MacosPsColumns = "macos-ps-columns" of Macos,
    /// Windows `tasklist`, as a table of five columns.
    TasklistTable = "tasklist-table" of Windows,
    /// Windows `tasklist /v`, as a table of nine columns.
    TasklistVerboseTable = "tasklist-verbose-table" of Windows,
    /// Windows `tasklist /fo csv`: five columns.
    TasklistCsv = "tasklist-csv" of Windows,
    /// Windows `tasklist /v /fo csv`: nine columns.
    TasklistVerboseCsv = "tasklist-verbose-csv" of Windows,
    /// Windows `tasklist /svc` or `/m`, as a table of three columns.
    TasklistServicesTable = "tasklist-services-table" of Windows,
    /// Windows `tasklist /svc /fo csv`: three columns.
    TasklistServicesCsv = "tasklist-services-csv" of Windows,
    /// Windows `tasklist /fo list`: five lines for each process.
    TasklistList = "tasklist-list" of Windows,
    /// Windows `tasklist /v /fo list`: nine lines.
    TasklistVerboseList = "tasklist-verbose-list" of Windows,
    /// Windows `tasklist /svc /fo list`: three lines or more.
    TasklistServicesList = "tasklist-services-list" of Windows,
    /// A line such as `INFO: No tasks are running …`: no processes.
    TasklistNotice = "tasklist-notice" of Windows,
    /// PowerShell's `Get-Process` or `Get-CimInstance Win32_Process` through `ConvertTo-Csv` or `Export-Csv`.
    PowershellCsv = "powershell-csv" of Windows,
    /// The same through `ConvertTo-Json`: an array, one object, or an object a line.
    PowershellJson = "powershell-json" of Windows,
    /// `wmic process … /format:csv`: the properties of `Win32_Process` without quotes.
    WmicCsv = "wmic-csv" of Windows,
}

impl Format {
    /// The inverse of [`Format::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Format> {
        Format::ALL
            .into_iter()
            .find(|format| format.as_str() == text)
    }

    /// The same form as another operating system prints it: `ps-aux` said of a Mac means `macos-ps-aux`.
    pub(crate) const fn on(self, os: Option<Os>) -> Format {
        match (self, os) {
            (Format::PsAux, Some(Os::Macos)) => Format::MacosPsAux,
            (Format::PsEf, Some(Os::Macos)) => Format::MacosPsEf,
            (Format::PsColumns, Some(Os::Macos)) => Format::MacosPsColumns,
            (Format::MacosPsColumns, Some(Os::Linux)) => Format::PsColumns,
            (Format::MacosPsAux, Some(Os::Linux)) => Format::PsAux,
            (Format::MacosPsEf, Some(Os::Linux)) => Format::PsEf,
            _ => self,
        }
    }
}
