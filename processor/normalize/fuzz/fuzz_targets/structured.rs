//! Records of the three systems with any values in them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rollcall_domain::snapshot::{
    LinuxProcess, LinuxProcesses, MacosProcess, Payload, WindowsProcess,
};
use rollcall_normalize::{Context, parse_structured};
use rollcall_normalize_fuzz::draw::Draw;
use rollcall_normalize_fuzz::{OBSERVED_AT, RULES, check_memory, invariants, measured};
use std::sync::LazyLock;

fuzz_target!(|data: &[u8]| {
    let mut draw = Draw(data);
    let payload = match draw.byte() % 3 {
        0 => Payload::Linux(LinuxProcesses {
            clock_ticks_per_second: draw.number(),
            page_size_bytes: draw.number(),
            boot_time_seconds: draw.maybe(Draw::number),
            processes: all(&mut draw, linux),
        }),
        1 => Payload::Macos(all(&mut draw, macos)),
        _ => Payload::Windows(all(&mut draw, windows)),
    };
    let count = match &payload {
        Payload::Linux(list) => list.processes.len(),
        Payload::Macos(list) => list.len(),
        Payload::Windows(list) => list.len(),
        Payload::CommandOutput(_) => 0,
    };
    let context = Context {
        os: None,
        format: None,
        observed_at: OBSERVED_AT,
        utc_offset_seconds: None,
    };
    LazyLock::force(&RULES);
    let (listing, bytes) = measured(|| parse_structured(&payload, &context, &RULES));
    check_memory(bytes, data.len());
    invariants::check_rows(&listing);
    assert_eq!(listing.processes.len() + listing.rejected.len(), count);
});

fn all<'a, T>(draw: &mut Draw<'a>, one: impl Fn(&mut Draw<'a>) -> T) -> Vec<T> {
    let mut list = Vec::new();
    while !draw.is_empty() {
        list.push(one(draw));
    }
    list
}

fn linux<'a>(draw: &mut Draw<'a>) -> LinuxProcess<'a> {
    LinuxProcess {
        pid: draw.number(),
        parent_pid: draw.maybe(Draw::number),
        comm: draw.text(),
        executable_path: draw.maybe(Draw::text),
        arguments: draw.texts(),
        owner: draw.maybe(Draw::text),
        state: draw.maybe(Draw::text),
        utime_ticks: draw.maybe(Draw::number),
        stime_ticks: draw.maybe(Draw::number),
        start_time_ticks: draw.maybe(Draw::number),
        resident_pages: draw.maybe(Draw::number),
        virtual_bytes: draw.maybe(Draw::number),
        thread_count: draw.maybe(Draw::number),
    }
}

fn macos<'a>(draw: &mut Draw<'a>) -> MacosProcess<'a> {
    MacosProcess {
        pid: draw.number(),
        parent_pid: draw.maybe(Draw::number),
        name: draw.text(),
        executable_path: draw.maybe(Draw::text),
        arguments: draw.texts(),
        owner: draw.maybe(Draw::text),
        state: draw.maybe(Draw::text),
        user_time_us: draw.maybe(Draw::number),
        system_time_us: draw.maybe(Draw::number),
        start_time_us: draw.maybe(Draw::number),
        resident_bytes: draw.maybe(Draw::number),
        virtual_bytes: draw.maybe(Draw::number),
        thread_count: draw.maybe(Draw::number),
    }
}

fn windows<'a>(draw: &mut Draw<'a>) -> WindowsProcess<'a> {
    WindowsProcess {
        pid: draw.number(),
        parent_pid: draw.maybe(Draw::number),
        image_name: draw.text(),
        executable_path: draw.maybe(Draw::text),
        command_line: draw.maybe(Draw::text),
        owner: draw.maybe(Draw::text),
        user_time_100ns: draw.maybe(Draw::number),
        kernel_time_100ns: draw.maybe(Draw::number),
        creation_time_100ns: draw.maybe(Draw::number),
        working_set_bytes: draw.maybe(Draw::number),
        virtual_bytes: draw.maybe(Draw::number),
        thread_count: draw.maybe(Draw::number),
    }
}
