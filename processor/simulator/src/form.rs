//! The forms in which machines list their processes, and how language and version colour them.

use rollcall_domain::Os;

macro_rules! forms {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $os:ident, $command:expr;)*) => {
        /// A form in which a machine lists its processes.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Form {
            $($(#[$doc])* $variant,)*
        }

        impl Form {
            /// Every form.
            pub const ALL: [Form; [$($name),*].len()] = [$(Form::$variant),*];

            /// Its word in files.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Form::$variant => $name,)* }
            }

            /// The operating system that it belongs to.
            #[must_use]
            pub const fn os(self) -> Os {
                match self { $(Form::$variant => Os::$os,)* }
            }

            /// The command that prints it; structured records come from none.
            #[must_use]
            pub const fn command(self) -> Option<&'static str> {
                match self { $(Form::$variant => $command,)* }
            }
        }
    };
}

forms! {
    /// Linux, `ps auxww`.
    LinuxPsAux = "linux_ps_aux", Linux, Some("ps auxww");
    /// Linux, `ps -ef`.
    LinuxPsEf = "linux_ps_ef", Linux, Some("ps -ef");
    /// Linux, `ps -eo` with as much as the tables hold.
    LinuxColumns = "linux_columns", Linux, Some("ps -eo pid,ppid,user,lstart,time,rss,vsz,nlwp,stat,args");
    /// Linux, `ps -eo` with times in seconds and the short name.
    LinuxColumnsSeconds = "linux_columns_seconds", Linux, Some("ps -eo user,pid,etimes,cputimes,comm");
    /// Linux, `ps -eo` with `START` of two forms, the short name and the command.
    LinuxColumnsStart = "linux_columns_start", Linux, Some("ps -eo pid,ppid,start,time,comm,args");
    /// Linux, busybox's `ps` as Alpine has it.
    Busybox = "busybox", Linux, Some("ps");
    /// Linux, busybox's smaller `ps`, as routers have it.
    BusyboxSmall = "busybox_small", Linux, Some("ps w");
    /// Linux, records of `/proc`.
    LinuxStructured = "linux_structured", Linux, None;
    /// macOS, `ps auxww`.
    MacosPsAux = "macos_ps_aux", Macos, Some("ps auxww");
    /// macOS, `ps -ef`.
    MacosPsEf = "macos_ps_ef", Macos, Some("ps -ef");
    /// macOS, `ps -axo`.
    MacosColumns = "macos_columns", Macos, Some("ps -axwwo pid,ppid,user,lstart,time,rss,vsz,stat,command");
    /// macOS, records of `proc_pidinfo`.
    MacosStructured = "macos_structured", Macos, None;
    /// Windows, `tasklist`.
    Tasklist = "tasklist", Windows, Some("tasklist");
    /// Windows, `tasklist /v`.
    TasklistVerbose = "tasklist_verbose", Windows, Some("tasklist /v");
    /// Windows, `tasklist /svc`.
    TasklistServices = "tasklist_services", Windows, Some("tasklist /svc");
    /// Windows, `tasklist /fo csv`.
    TasklistCsv = "tasklist_csv", Windows, Some("tasklist /fo csv");
    /// Windows, `tasklist /fo csv /v`.
    TasklistVerboseCsv = "tasklist_verbose_csv", Windows, Some("tasklist /fo csv /v");
    /// Windows, `tasklist /fo csv /svc`.
    TasklistServicesCsv = "tasklist_services_csv", Windows, Some("tasklist /fo csv /svc");
    /// Windows, `tasklist /fo list`.
    TasklistList = "tasklist_list", Windows, Some("tasklist /fo list");
    /// Windows, `tasklist /fo list /v`.
    TasklistVerboseList = "tasklist_verbose_list", Windows, Some("tasklist /fo list /v");
    /// Windows, `tasklist /fo list /svc`.
    TasklistServicesList = "tasklist_services_list", Windows, Some("tasklist /fo list /svc");
    /// Windows, PowerShell's `Get-Process` as csv.
    GetProcessCsv = "get_process_csv", Windows,
        Some("Get-Process | Select-Object Id,ProcessName,CPU,WorkingSet64,VirtualMemorySize64,StartTime,Path | ConvertTo-Csv");
    /// Windows, PowerShell's `Get-Process` as csv, separated as the country does.
    GetProcessCultureCsv = "get_process_culture_csv", Windows,
        Some("Get-Process | Select-Object Id,ProcessName,CPU,WorkingSet64,VirtualMemorySize64,StartTime,Path | ConvertTo-Csv -UseCulture");
    /// Windows, PowerShell's `Get-Process` as json.
    GetProcessJson = "get_process_json", Windows,
        Some("Get-Process | Select-Object Id,ProcessName,CPU,WorkingSet64,VirtualMemorySize64,StartTime,Path | ConvertTo-Json");
    /// Windows, PowerShell's `Get-CimInstance` as csv.
    CimCsv = "cim_csv", Windows,
        Some("Get-CimInstance Win32_Process | Select-Object ProcessId,ParentProcessId,Name,ExecutablePath,CommandLine,CreationDate,KernelModeTime,UserModeTime,WorkingSetSize,VirtualSize,ThreadCount | ConvertTo-Csv");
    /// Windows, PowerShell's `Get-CimInstance` as json.
    CimJson = "cim_json", Windows,
        Some("Get-CimInstance Win32_Process | Select-Object ProcessId,ParentProcessId,Name,ExecutablePath,CommandLine,CreationDate,KernelModeTime,UserModeTime,WorkingSetSize,VirtualSize,ThreadCount | ConvertTo-Json");
    /// Windows, records of its process functions.
    WindowsStructured = "windows_structured", Windows, None;
}

impl Form {
    /// The inverse of [`Form::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Form> {
        Form::ALL.into_iter().find(|form| form.as_str() == text)
    }

    /// The structured records of `os`.
    #[must_use]
    pub const fn structured(os: Os) -> Form {
        match os {
            Os::Linux => Form::LinuxStructured,
            Os::Macos => Form::MacosStructured,
            Os::Windows => Form::WindowsStructured,
        }
    }

    /// Whether it prints start times in the machine's local time.
    #[must_use]
    pub const fn prints_local_times(self) -> bool {
        !matches!(
            self,
            Form::Busybox
                | Form::BusyboxSmall
                | Form::LinuxStructured
                | Form::MacosStructured
                | Form::WindowsStructured
                | Form::Tasklist
                | Form::TasklistVerbose
                | Form::TasklistServices
                | Form::TasklistCsv
                | Form::TasklistVerboseCsv
                | Form::TasklistServicesCsv
                | Form::TasklistList
                | Form::TasklistVerboseList
                | Form::TasklistServicesList
        )
    }
}

/// A display language of Windows, with the console's code page that goes with it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)]
pub enum Language {
    English,
    /// English as India has it: `1,23,456 K`.
    EnglishIndia,
    German,
    French,
    Spanish,
    Italian,
    PortugueseBrazil,
    Dutch,
    Polish,
    Russian,
    Japanese,
    Chinese,
    Hebrew,
}

impl Language {
    /// Every language.
    pub const ALL: [Language; 13] = [
        Language::English,
        Language::EnglishIndia,
        Language::German,
        Language::French,
        Language::Spanish,
        Language::Italian,
        Language::PortugueseBrazil,
        Language::Dutch,
        Language::Polish,
        Language::Russian,
        Language::Japanese,
        Language::Chinese,
        Language::Hebrew,
    ];
}

/// How a machine's language and versions colour what its tools print.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Dialect {
    /// Windows' display language.
    pub language: Language,
    /// Whether macOS writes a comma for the decimal point.
    pub decimal_comma: bool,
    /// Whether macOS writes the hours 13 to 24.
    pub hours_24: bool,
    /// Whether PowerShell is version 7 rather than Windows' own 5.1.
    pub powershell_7: bool,
}

impl Dialect {
    /// American English, as machines come.
    pub const PLAIN: Dialect = Dialect {
        language: Language::English,
        decimal_comma: false,
        hours_24: false,
        powershell_7: false,
    };
}
