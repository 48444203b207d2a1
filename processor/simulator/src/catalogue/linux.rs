//! Programs of a Linux workstation or login host.

use super::{Kind, Program, Suite, command, daemon, helper, main, session, suite};

const fn kernel(name: &'static str, activity_ppm: u32) -> Program {
    Program::new(Kind::Kernel, name, "kernel", "", (activity_ppm, 0, 1)).owned_by("root")
}

/// From boot on. `kthreadd` is second, as pid 2.
pub(super) const DAEMONS: &[Program] = &[
    daemon(
        "systemd",
        "systemd",
        "/usr/lib/systemd/systemd",
        "root",
        (300, 13_000, 1),
    )
    .with(&[
        "/usr/lib/systemd/systemd",
        "--switched-root",
        "--system",
        "--deserialize=50",
    ]),
    kernel("kthreadd", 0),
    kernel("pool_workqueue_release", 0),
    kernel("kworker/R-rcu_gp", 0),
    kernel("kworker/0:0H-events_highpri", 2),
    kernel("ksoftirqd/0", 120),
    kernel("rcu_preempt", 900),
    kernel("migration/0", 30),
    kernel("cpuhp/0", 0),
    kernel("migration/1", 30),
    kernel("ksoftirqd/1", 110),
    kernel("kworker/0:1", 400),
    kernel("kworker/u16:3-events_unbound", 350),
    kernel("kcompactd0", 40),
    kernel("khugepaged", 20),
    kernel("kswapd0", 60),
    kernel("scsi_eh_0", 0),
    kernel("jbd2/nvme0n1p2-8", 300),
    kernel("irq/126-nvidia", 50),
    daemon(
        "systemd-journald",
        "systemd",
        "/usr/lib/systemd/systemd-journald",
        "root",
        (800, 42_000, 1),
    ),
    daemon(
        "systemd-udevd",
        "systemd",
        "/usr/lib/systemd/systemd-udevd",
        "root",
        (100, 9_000, 1),
    ),
    daemon(
        "systemd-resolved",
        "systemd",
        "/usr/lib/systemd/systemd-resolved",
        "systemd-resolve",
        (150, 13_500, 1),
    ),
    daemon(
        "systemd-timesyncd",
        "systemd",
        "/usr/lib/systemd/systemd-timesyncd",
        "systemd-timesync",
        (20, 7_600, 2),
    ),
    daemon(
        "dbus-daemon",
        "dbus",
        "/usr/bin/dbus-daemon",
        "messagebus",
        (300, 6_100, 1),
    )
    .with(&[
        "/usr/bin/dbus-daemon",
        "--system",
        "--address=systemd:",
        "--nofork",
        "--nopidfile",
    ]),
    daemon(
        "NetworkManager",
        "networkmanager",
        "/usr/sbin/NetworkManager",
        "root",
        (200, 20_000, 4),
    )
    .with(&["/usr/sbin/NetworkManager", "--no-daemon"]),
    daemon(
        "polkitd",
        "polkitd",
        "/usr/lib/polkit-1/polkitd",
        "polkitd",
        (30, 9_200, 4),
    )
    .with(&["/usr/lib/polkit-1/polkitd", "--no-debug"]),
    daemon(
        "rsyslogd",
        "rsyslog",
        "/usr/sbin/rsyslogd",
        "syslog",
        (120, 6_200, 4),
    )
    .with(&["/usr/sbin/rsyslogd", "-n", "-iNONE"]),
    daemon(
        "systemd-logind",
        "systemd",
        "/usr/lib/systemd/systemd-logind",
        "root",
        (40, 8_700, 1),
    ),
    daemon(
        "irqbalance",
        "irqbalance",
        "/usr/sbin/irqbalance",
        "root",
        (200, 4_200, 2),
    )
    .with(&["/usr/sbin/irqbalance", "--foreground"]),
    daemon("cron", "cron", "/usr/sbin/cron", "root", (30, 2_900, 1)).with(&[
        "/usr/sbin/cron",
        "-f",
        "-P",
    ]),
    daemon("cupsd", "cups", "/usr/sbin/cupsd", "root", (10, 8_800, 1))
        .with(&["/usr/sbin/cupsd", "-l"]),
    daemon(
        "avahi-daemon",
        "avahi-daemon",
        "/usr/sbin/avahi-daemon",
        "avahi",
        (60, 3_900, 1),
    )
    .with(&["avahi-daemon: running [lab.local]"]),
    daemon("sshd", "ssh", "/usr/sbin/sshd", "root", (20, 7_900, 1))
        .with(&["sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups"]),
    daemon(
        "containerd",
        "containerd",
        "/usr/bin/containerd",
        "root",
        (2_500, 48_000, 14),
    ),
    daemon(
        "dockerd",
        "docker",
        "/usr/bin/dockerd",
        "root",
        (1_800, 81_000, 16),
    )
    .with(&[
        "/usr/bin/dockerd",
        "-H",
        "fd://",
        "--containerd=/run/containerd/containerd.sock",
    ]),
    daemon(
        "postgres",
        "postgresql",
        "/usr/lib/postgresql/18/bin/postgres",
        "postgres",
        (400, 29_000, 1),
    )
    .with(&["postgres: checkpointer "]),
    daemon(
        "nginx",
        "nginx",
        "/usr/sbin/nginx",
        "www-data",
        (700, 6_400, 1),
    )
    .with(&["nginx: worker process"]),
    daemon(
        "chronyd",
        "chronyd",
        "/usr/sbin/chronyd",
        "64061",
        (20, 3_500, 1),
    )
    .with(&["/usr/sbin/chronyd", "-F", "1"]),
    daemon(
        "Xorg",
        "xorg",
        "/usr/lib/xorg/Xorg",
        "root",
        (22_000, 118_000, 9),
    )
    .with(&[
        "/usr/lib/xorg/Xorg",
        "vt2",
        "-displayfd",
        "3",
        "-auth",
        "/run/user/1000/gdm/Xauthority",
    ]),
];

/// For each user who is logged in.
pub(super) const SESSION: &[Program] = &[
    session(
        "systemd",
        "systemd",
        "/usr/lib/systemd/systemd",
        (60, 11_000, 1),
    )
    .with(&["/usr/lib/systemd/systemd", "--user"]),
    session("sshd", "ssh", "/usr/sbin/sshd", (30, 8_100, 1)).with(&["sshd: {user}@pts/{n}"]),
    session("bash", "bash", "/usr/bin/bash", (40, 5_600, 1)).with(&["-bash"]),
    session(
        "dbus-daemon",
        "dbus",
        "/usr/bin/dbus-daemon",
        (80, 5_000, 1),
    )
    .with(&[
        "/usr/bin/dbus-daemon",
        "--session",
        "--address=systemd:",
        "--nofork",
    ]),
    session(
        "gnome-shell",
        "gnome-shell",
        "/usr/bin/gnome-shell",
        (18_000, 290_000, 12),
    ),
    session(
        "pipewire",
        "pipewire",
        "/usr/bin/pipewire",
        (900, 14_000, 3),
    ),
    session(
        "wireplumber",
        "pipewire",
        "/usr/bin/wireplumber",
        (300, 18_000, 6),
    ),
    session("gvfsd", "gvfsd", "/usr/libexec/gvfsd", (10, 8_000, 3)),
    session("tmux", "tmux", "/usr/bin/tmux", (60, 4_100, 1)).with(&["tmux", "new", "-s", "work"]),
];

/// Commands that come and go.
pub(super) const COMMANDS: &[Program] = &[
    command("bash", "bash", "/usr/bin/bash", (300, 3_800, 1)).with(&[
        "/bin/bash",
        "./run_{n}.sh",
        "--all",
    ]),
    command("zsh", "zsh", "/usr/bin/zsh", (200, 5_200, 1)).with(&["-zsh"]),
    command(
        "python3",
        "python",
        "/usr/bin/python3",
        (400_000, 210_000, 4),
    )
    .with(&["/usr/bin/python3", "fit.py", "--run", "{n}"]),
    command("rsync", "rsync", "/usr/bin/rsync", (60_000, 6_400, 1)).with(&[
        "rsync",
        "-a",
        "data/",
        "/srv/backup/{n}",
    ]),
    command("make", "make", "/usr/bin/make", (5_000, 2_600, 1)).with(&["make", "-j8"]),
    command(
        "cc1plus",
        "gcc",
        "/usr/libexec/gcc/x86_64-linux-gnu/14/cc1plus",
        (800_000, 190_000, 1),
    )
    .with(&[
        "/usr/libexec/gcc/x86_64-linux-gnu/14/cc1plus",
        "-quiet",
        "-O2",
        "-o",
        "/tmp/cc{hex}.s",
    ]),
    command("less", "less", "/usr/bin/less", (20, 2_200, 1)).with(&["less", "results {n}.txt"]),
    command("ssh", "ssh", "/usr/bin/ssh", (900, 9_300, 1)).with(&["ssh", "cluster-{n}"]),
];

/// Applications.
pub(super) const SUITES: &[Suite] = &[
    suite(
        "",
        main(
            "chrome",
            "chrome",
            "/opt/google/chrome/chrome",
            (60_000, 310_000, 28),
        ),
        &[
            helper(
                "chrome",
                "chrome",
                "/opt/google/chrome/chrome",
                (40_000, 190_000, 16),
            )
            .with(&[
                "/opt/google/chrome/chrome",
                "--type=renderer",
                "--crashpad-handler-pid={n}",
                "--lang=en-US",
                "--num-raster-threads=4",
            ]),
            helper(
                "chrome",
                "chrome",
                "/opt/google/chrome/chrome",
                (30_000, 150_000, 10),
            )
            .with(&[
                "/opt/google/chrome/chrome",
                "--type=gpu-process",
                "--ozone-platform=x11",
            ]),
            helper(
                "chrome_crashpad_handler",
                "chrome",
                "/opt/google/chrome/chrome_crashpad_handler",
                (10, 3_400, 2),
            )
            .with(&[
                "/opt/google/chrome/chrome_crashpad_handler",
                "--monitor-self",
                "--no-rate-limit",
            ]),
        ],
        (3, 9),
    ),
    suite(
        "",
        main(
            "firefox",
            "firefox",
            "/usr/lib/firefox/firefox",
            (50_000, 420_000, 60),
        ),
        &[helper(
            "firefox",
            "firefox",
            "/usr/lib/firefox/firefox",
            (30_000, 160_000, 24),
        )
        .with(&[
            "/usr/lib/firefox/firefox",
            "-contentproc",
            "-childID",
            "{n}",
            "-isForBrowser",
            "tab",
        ])],
        (2, 7),
    ),
    suite(
        "",
        main(
            "code",
            "vscode",
            "/usr/share/code/code",
            (30_000, 180_000, 34),
        ),
        &[
            helper(
                "code",
                "vscode",
                "/usr/share/code/code",
                (50_000, 260_000, 18),
            )
            .with(&[
                "/usr/share/code/code",
                "--type=renderer",
                "--user-data-dir=/home/{user}/.config/Code",
            ]),
            helper(
                "code",
                "vscode",
                "/usr/share/code/code",
                (20_000, 140_000, 14),
            )
            .with(&[
                "/usr/share/code/code",
                "--type=utility",
                "--utility-sub-type=node.mojom.NodeService",
            ]),
        ],
        (2, 5),
    ),
    suite(
        "",
        main(
            "slack",
            "slack",
            "/usr/lib/slack/slack",
            (9_000, 190_000, 30),
        ),
        &[helper(
            "slack",
            "slack",
            "/usr/lib/slack/slack",
            (8_000, 150_000, 14),
        )
        .with(&[
            "/usr/lib/slack/slack",
            "--type=renderer",
            "--app-path=/usr/lib/slack/resources/app.asar",
        ])],
        (1, 3),
    ),
    suite(
        "",
        main("zoom", "zoom", "/opt/zoom/zoom", (90_000, 340_000, 50)),
        &[],
        (0, 0),
    ),
    suite(
        "",
        main(
            "soffice.bin",
            "libreoffice",
            "/usr/lib/libreoffice/program/soffice.bin",
            (9_000, 240_000, 9),
        )
        .with(&[
            "/usr/lib/libreoffice/program/soffice.bin",
            "--writer",
            "/home/{user}/thesis {n}.odt",
        ]),
        &[helper(
            "oosplash",
            "libreoffice",
            "/usr/lib/libreoffice/program/oosplash",
            (0, 5_000, 3),
        )],
        (1, 1),
    ),
    suite(
        "",
        main(
            "thunderbird",
            "thunderbird",
            "/usr/lib/thunderbird/thunderbird",
            (8_000, 320_000, 54),
        ),
        &[],
        (0, 0),
    ),
    suite(
        "",
        main(
            "MATLAB",
            "matlab",
            "/usr/local/MATLAB/R2026a/bin/glnxa64/MATLAB",
            (350_000, 1_400_000, 90),
        )
        .with(&["/usr/local/MATLAB/R2026a/bin/glnxa64/MATLAB", "-desktop"]),
        &[helper(
            "MATLABWindow",
            "matlab",
            "/usr/local/MATLAB/R2026a/bin/glnxa64/MATLABWindow",
            (20_000, 240_000, 22),
        )],
        (1, 2),
    ),
    suite(
        "",
        main(
            "python3",
            "python",
            "/usr/bin/python3",
            (300_000, 460_000, 12),
        )
        .with(&["/usr/bin/python3", "-m", "jupyterlab", "--port", "{n}"]),
        &[helper(
            "python3",
            "python",
            "/usr/bin/python3",
            (450_000, 380_000, 14),
        )
        .with(&[
            "/usr/bin/python3",
            "-m",
            "ipykernel_launcher",
            "-f",
            "/home/{user}/.local/kernel-{hex}.json",
        ])],
        (1, 4),
    ),
    suite(
        "",
        main(
            "rstudio",
            "rstudio",
            "/usr/lib/rstudio/rstudio",
            (12_000, 210_000, 30),
        ),
        &[helper(
            "rsession",
            "r",
            "/usr/lib/rstudio/resources/app/bin/rsession",
            (120_000, 340_000, 8),
        )
        .with(&[
            "/usr/lib/rstudio/resources/app/bin/rsession",
            "--config-file",
            "none",
            "--user",
            "{user}",
        ])],
        (1, 1),
    ),
    suite(
        "",
        main("R", "r", "/usr/lib/R/bin/exec/R", (260_000, 310_000, 6)).with(&[
            "/usr/lib/R/bin/exec/R",
            "--no-save",
            "--file=model_{n}.R",
        ]),
        &[],
        (0, 0),
    ),
    suite(
        "",
        main(
            "java",
            "java",
            "/usr/lib/jvm/java-21-openjdk-amd64/bin/java",
            (110_000, 780_000, 48),
        )
        .with(&[
            "/usr/lib/jvm/java-21-openjdk-amd64/bin/java",
            "-Xmx2g",
            "-jar",
            "/srv/tools/simulate-{n}.jar",
        ]),
        &[],
        (0, 0),
    ),
    suite(
        "",
        main("node", "node", "/usr/bin/node", (60_000, 140_000, 11))
            .with(&["node", "/home/{user}/web/server.js"]),
        &[
            helper("node", "node", "/usr/bin/node", (40_000, 110_000, 11)).with(&[
                "/usr/bin/node",
                "--max-old-space-size=3072",
                "/home/{user}/web/worker.js",
                "{n}",
            ]),
        ],
        (0, 2),
    ),
    suite(
        "",
        main("gimp", "gimp", "/usr/bin/gimp", (45_000, 350_000, 20)),
        &[],
        (0, 0),
    ),
    suite(
        "",
        main(
            "zotero-bin",
            "zotero",
            "/usr/lib/zotero/zotero-bin",
            (7_000, 260_000, 40),
        ),
        &[],
        (0, 0),
    ),
    suite(
        "",
        main(
            "spotify",
            "spotify",
            "/usr/share/spotify/spotify",
            (30_000, 230_000, 44),
        ),
        &[helper(
            "spotify",
            "spotify",
            "/usr/share/spotify/spotify",
            (15_000, 160_000, 14),
        )
        .with(&[
            "/usr/share/spotify/spotify",
            "--type=renderer",
            "--no-sandbox",
        ])],
        (1, 2),
    ),
];
