//! What each form of Linux looks like, byte for byte.

use super::super::testing::{machine, process, text};
use super::*;
use crate::catalogue;
use crate::form::Form;
use rollcall_domain::{Os, ProcessState};

const DAY: i64 = 86_400;

fn program(name: &str) -> &'static catalogue::Program {
    let suites = catalogue::suites(Os::Linux).iter().map(|suite| &suite.main);
    catalogue::daemons(Os::Linux)
        .iter()
        .chain(catalogue::session_programs(Os::Linux))
        .chain(catalogue::commands(Os::Linux))
        .chain(suites)
        .find(|program| program.name == name)
        .expect("listed")
}

fn sample(form: Form) -> crate::machine::Machine {
    let mut machine = machine(Os::Linux, form, 3_600);
    process(
        &mut machine,
        program("kworker/0:1"),
        12,
        400 * DAY,
        61_000_000,
    );
    process(
        &mut machine,
        program("systemd"),
        1,
        400 * DAY,
        100_000 * 60 * SECOND_US,
    );
    process(
        &mut machine,
        program("systemd-resolved"),
        700,
        3 * DAY,
        5_999_999,
    );
    process(&mut machine, program("bash"), 4021, 3_600, 0);
    let matlab = process(
        &mut machine,
        program("MATLAB"),
        4_021_337,
        600,
        1_500 * SECOND_US,
    );
    machine.processes[matlab].virtual_kib = 12_345_678;
    let zombie = process(&mut machine, program("less"), 5000, 60, 0);
    machine.processes[zombie].activity = Activity::Zombie;
    machine.processes[zombie].resident_kib = 0;
    machine.processes[zombie].virtual_kib = 0;
    machine
}

#[test]
fn ps_auxww_as_procps_prints_it() {
    let (text, rows) = text(&sample(Form::LinuxPsAux));
    let expect = "\
USER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND
root           1 17.3  0.1 130000 13000 ?        Ss    2025 100000:00 /usr/lib/systemd/systemd --switched-root --system --deserialize=50
root          12  0.0  0.0      0     0 ?        I<    2025   1:01 [kworker/0:1]
systemd+     700  0.0  0.1 135000 13500 ?        Ss   Nov18   0:05 /usr/lib/systemd/systemd-resolved
ada.lov+    4021  0.0  0.0  56000  5600 pts/3    Ss   13:30   0:00 -bash
ada.lov+    5000  0.0  0.0      0     0 pts/3    Z    14:29   0:00 [less] <defunct>
ada.lov+ 4021337  250 16.6 12345678 1400000 ?    Sl   14:20  25:00 /usr/local/MATLAB/R2026a/bin/glnxa64/MATLAB -desktop
";
    assert_eq!(text, expect);
    assert_eq!(rows[2].owner.as_deref(), Some("systemd+"));
    assert_eq!(rows[2].cpu_time_us, Some(5 * SECOND_US));
    assert_eq!(rows[1].executable_name, "[kworker/0:1]");
    assert_eq!(
        (rows[1].application.as_str(), &rows[1].command_line),
        ("kernel", &None)
    );
    assert_eq!(
        (rows[4].executable_name.as_str(), rows[4].state),
        ("less", Some(ProcessState::Zombie))
    );
    assert_eq!(rows[5].memory_virtual_bytes, Some(12_345_678 * 1024));
    assert_eq!(rows[5].parent_pid, None);
}

#[test]
fn ps_ef_as_procps_prints_it() {
    let mut machine = sample(Form::LinuxPsEf);
    machine.profile.pid_digits = 5;
    machine.processes.retain(|process| process.pid < 99_999);
    let (text, rows) = text(&machine);
    let expect = "\
UID        PID  PPID  C STIME TTY          TIME CMD
root         1     1 17  2025 ?        69-10:40:00 /usr/lib/systemd/systemd --switched-root --system --deserialize=50
root        12     2  0  2025 ?        00:01:01 [kworker/0:1]
systemd+   700     1  0 Nov18 ?        00:00:05 /usr/lib/systemd/systemd-resolved
ada.lov+  4021     1  0 13:30 pts/3    00:00:00 -bash
ada.lov+  5000     1  0 14:29 pts/3    00:00:00 [less] <defunct>
";
    assert_eq!(text, expect);
    assert_eq!(rows[0].parent_pid, Some(1));
    assert_eq!(
        (rows[0].state, rows[4].state),
        (None, Some(ProcessState::Zombie))
    );
    assert_eq!(rows[0].memory_usage_bytes, None);
}

#[test]
fn records_are_in_the_kernels_units() {
    let machine = sample(Form::LinuxStructured);
    let view = View {
        machine: &machine,
        observed_at: machine.now,
    };
    let (payload, rows) = structured(&view);
    let Payload::Linux(list) = payload else {
        panic!("no records")
    };
    assert_eq!(
        (list.clock_ticks_per_second, list.page_size_bytes),
        (100, 4096)
    );
    let resolved = &list.processes[2];
    assert_eq!(&*resolved.comm, "systemd-resolve");
    assert_eq!(resolved.owner.as_deref(), Some("systemd-resolve"));
    assert_eq!(
        (resolved.utime_ticks, resolved.stime_ticks),
        (Some(419), Some(180))
    );
    assert_eq!(rows[2].cpu_time_us, Some(5_990_000));
    assert_eq!(rows[2].executable_name, "systemd-resolved");
    assert_eq!(rows[1].executable_name, "[kworker/0:1]");
    assert_eq!(resolved.resident_pages, Some(13_500 / 4));
}

#[test]
fn columns_as_procps_prints_them() {
    let mut machine = sample(Form::LinuxColumns);
    machine.profile.pid_digits = 5;
    machine
        .processes
        .retain(|process| matches!(process.pid, 12 | 700 | 5000));
    let expect = "  PID  PPID USER                      STARTED     TIME   RSS    VSZ NLWP STAT COMMAND
   12     2 root     Fri Oct 17 14:30:15 2025 00:01:01     0      0    1 I<   [kworker/0:1]
  700     1 systemd+ Wed Nov 18 14:30:15 2026 00:00:05 13500 135000    1 Ss   /usr/lib/systemd/systemd-resolved
 5000     1 ada.lov+ Sat Nov 21 14:29:15 2026 00:00:00     0      0    1 Z    [less] <defunct>
";
    assert_eq!(text(&machine).0, expect);
    machine.profile.form = Form::LinuxColumnsSeconds;
    let expect = "USER       PID ELAPSED     TIME COMMAND
root        12 34560000      61 kworker/0:1
systemd+   700  259200        5 systemd-resolve
ada.lov+  5000      60        0 less <defunct>
";
    assert_eq!(text(&machine).0, expect);
    machine.profile.form = Form::LinuxColumnsStart;
    let expect = "  PID  PPID  STARTED     TIME COMMAND         COMMAND
   12     2   Oct 17 00:01:01 kworker/0:1     [kworker/0:1]
  700     1   Nov 18 00:00:05 systemd-resolve /usr/lib/systemd/systemd-resolved
 5000     1 14:29:15 00:00:00 less <defunct>  [less] <defunct>
";
    assert_eq!(text(&machine).0, expect);
}

#[test]
fn ps_as_busybox_prints_it() {
    let mut machine = sample(Form::Busybox);
    machine.processes.retain(|process| process.pid != 1);
    let expect = "PID   USER     TIME  COMMAND
   12 root      1:01 [kworker/0:1]
  700 systemd-  0:05 /usr/lib/systemd/systemd-resolved
 4021 ada.love  0:00 -bash
 5000 ada.love  0:00 [less]
4021337 ada.love 25:00 /usr/local/MATLAB/R2026a/bin/glnxa64/MATLAB -desktop
";
    assert_eq!(text(&machine).0, expect);
    machine.profile.form = Form::BusyboxSmall;
    let expect = "  PID USER       VSZ STAT COMMAND
   12 root         0 I<   [kworker/0:1]
  700 systemd-  131m S    /usr/lib/systemd/systemd-resolved
 4021 ada.love 56000 S    -bash
 5000 ada.love     0 Z    [less]
4021337 ada.love 11.7g S    /usr/local/MATLAB/R2026a/bin/glnxa64/MATLAB -desktop
";
    assert_eq!(text(&machine).0, expect);
}
