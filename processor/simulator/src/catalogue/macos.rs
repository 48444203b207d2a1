//! Programs of a Mac.

use super::{Program, Suite, command, daemon, helper, main, session, suite};

/// From boot on. `kernel_task` is pid 0, which `ps` does not list; `launchd` is pid 1.
pub(super) const DAEMONS: &[Program] = &[
    daemon(
        "launchd",
        "launchd",
        "/sbin/launchd",
        "root",
        (2_000, 18_000, 4),
    ),
    daemon(
        "logd",
        "logd",
        "/usr/libexec/logd",
        "root",
        (1_800, 21_000, 4),
    ),
    daemon("smd", "smd", "/usr/libexec/smd", "root", (40, 7_000, 3)),
    daemon(
        "UserEventAgent",
        "usereventagent",
        "/usr/libexec/UserEventAgent",
        "root",
        (90, 12_000, 5),
    )
    .with(&["/usr/libexec/UserEventAgent", "(System)"]),
    daemon(
        "fseventsd",
        "fseventsd",
        "/System/Library/Frameworks/CoreServices.framework/Versions/A/Frameworks/FSEvents.framework/Versions/A/Support/fseventsd",
        "root",
        (600, 9_000, 12),
    ),
    daemon(
        "mds",
        "spotlight",
        "/System/Library/Frameworks/CoreServices.framework/Versions/A/Frameworks/Metadata.framework/Support/mds",
        "root",
        (4_000, 110_000, 8),
    ),
    daemon(
        "mds_stores",
        "spotlight",
        "/System/Library/Frameworks/CoreServices.framework/Versions/A/Frameworks/Metadata.framework/Versions/A/Support/mds_stores",
        "root",
        (9_000, 180_000, 6),
    ),
    daemon(
        "configd",
        "configd",
        "/usr/libexec/configd",
        "root",
        (400, 11_000, 9),
    ),
    daemon(
        "powerd",
        "powerd",
        "/System/Library/CoreServices/powerd.bundle/powerd",
        "root",
        (200, 8_000, 3),
    ),
    daemon(
        "WindowServer",
        "windowserver",
        "/System/Library/PrivateFrameworks/SkyLight.framework/Resources/WindowServer",
        "_windowserver",
        (70_000, 190_000, 18),
    )
    .with(&[
        "/System/Library/PrivateFrameworks/SkyLight.framework/Resources/WindowServer",
        "-daemon",
    ]),
    daemon(
        "coreaudiod",
        "coreaudiod",
        "/usr/sbin/coreaudiod",
        "_coreaudiod",
        (3_000, 16_000, 9),
    ),
    daemon(
        "mDNSResponder",
        "mdnsresponder",
        "/usr/sbin/mDNSResponder",
        "_mdnsresponder",
        (300, 9_500, 5),
    ),
    daemon(
        "securityd",
        "securityd",
        "/usr/sbin/securityd",
        "root",
        (150, 9_000, 4),
    )
    .with(&["/usr/sbin/securityd", "-i"]),
    daemon(
        "opendirectoryd",
        "opendirectoryd",
        "/usr/libexec/opendirectoryd",
        "root",
        (500, 17_000, 10),
    ),
    daemon(
        "airportd",
        "airportd",
        "/usr/libexec/airportd",
        "root",
        (400, 19_000, 6),
    ),
    daemon(
        "bluetoothd",
        "bluetoothd",
        "/usr/sbin/bluetoothd",
        "root",
        (300, 15_000, 7),
    ),
    daemon(
        "locationd",
        "locationd",
        "/usr/libexec/locationd",
        "_locationd",
        (120, 14_000, 6),
    ),
    daemon(
        "timed",
        "timed",
        "/usr/libexec/timed",
        "_timed",
        (20, 5_000, 3),
    ),
    daemon(
        "syslogd",
        "syslogd",
        "/usr/sbin/syslogd",
        "root",
        (100, 3_000, 4),
    ),
    daemon(
        "cfprefsd",
        "cfprefsd",
        "/usr/sbin/cfprefsd",
        "root",
        (200, 6_000, 3),
    )
    .with(&["/usr/sbin/cfprefsd", "daemon"]),
    daemon(
        "softwareupdated",
        "softwareupdated",
        "/System/Library/CoreServices/Software Update.app/Contents/Resources/softwareupdated",
        "_softwareupdate",
        (50, 20_000, 3),
    )
    .with(&["/usr/libexec/softwareupdated"]),
    daemon(
        "distnoted",
        "distnoted",
        "/usr/sbin/distnoted",
        "_distnote",
        (20, 3_200, 2),
    )
    .with(&["/usr/sbin/distnoted", "daemon"]),
    daemon(
        "Microsoft Update Assistant Daemon",
        "microsoft update assistant daemon",
        "/Library/Application Support/Microsoft/MAU2.0/Microsoft AutoUpdate.app/Contents/MacOS/Microsoft Update Assistant Daemon",
        "root",
        (5, 6_000, 2),
    ),
];

/// For the user who is logged in.
pub(super) const SESSION: &[Program] = &[
    session("loginwindow", "loginwindow", "/System/Library/CoreServices/loginwindow.app/Contents/MacOS/loginwindow", (200, 30_000, 5))
        .with(&["/System/Library/CoreServices/loginwindow.app/Contents/MacOS/loginwindow", "console"]),
    session("cfprefsd", "cfprefsd", "/usr/sbin/cfprefsd", (200, 6_500, 3)).with(&["/usr/sbin/cfprefsd", "agent"]),
    session("UserEventAgent", "usereventagent", "/usr/libexec/UserEventAgent", (80, 13_000, 5))
        .with(&["/usr/libexec/UserEventAgent", "(Aqua)"]),
    session("Dock", "dock", "/System/Library/CoreServices/Dock.app/Contents/MacOS/Dock", (900, 55_000, 6)),
    session("Finder", "finder", "/System/Library/CoreServices/Finder.app/Contents/MacOS/Finder", (1_800, 120_000, 9)),
    session("SystemUIServer", "systemuiserver", "/System/Library/CoreServices/SystemUIServer.app/Contents/MacOS/SystemUIServer", (300, 28_000, 4)),
    session("ControlCenter", "controlcenter", "/System/Library/CoreServices/ControlCenter.app/Contents/MacOS/ControlCenter", (1_200, 60_000, 7)),
    session("cloudd", "icloud", "/System/Library/PrivateFrameworks/CloudKitDaemon.framework/Support/cloudd", (200, 22_000, 6)),
    session("mdworker_shared", "spotlight", "/System/Library/Frameworks/CoreServices.framework/Versions/A/Frameworks/Metadata.framework/Versions/A/Support/mdworker_shared", (2_000, 19_000, 4))
        .with(&[
            "/System/Library/Frameworks/CoreServices.framework/Versions/A/Frameworks/Metadata.framework/Versions/A/Support/mdworker_shared",
            "-s",
            "mdworker",
            "-c",
            "MDSImporterWorker",
        ]),
    session("Terminal", "terminal", "/System/Applications/Utilities/Terminal.app/Contents/MacOS/Terminal", (900, 70_000, 7)),
    session("zsh", "zsh", "/bin/zsh", (40, 4_000, 1)).with(&["-zsh"]),
];

/// Commands that come and go.
pub(super) const COMMANDS: &[Program] = &[
    command(
        "python3",
        "python",
        "/opt/homebrew/bin/python3",
        (420_000, 160_000, 3),
    )
    .with(&["/opt/homebrew/bin/python3", "plot.py", "{n}"]),
    command("bash", "bash", "/bin/bash", (200, 2_200, 1)).with(&["/bin/bash", "./build_{n}.sh"]),
    command("git", "git", "/usr/bin/git", (30_000, 8_000, 1)).with(&["git", "fetch", "--all"]),
    command("ssh", "ssh", "/usr/bin/ssh", (400, 7_000, 1)).with(&["ssh", "cluster-{n}"]),
    command("rsync", "rsync", "/usr/bin/rsync", (50_000, 5_000, 1)).with(&[
        "rsync",
        "-a",
        "Documents/",
        "nas:{user}",
    ]),
];

const CHROME: &str = "/Applications/Google Chrome.app/Contents/Frameworks/Google Chrome Framework.framework/Versions/142.0.7444.60/Helpers/Google Chrome Helper.app/Contents/MacOS/Google Chrome Helper";
const CHROME_RENDERER: &str = "/Applications/Google Chrome.app/Contents/Frameworks/Google Chrome Framework.framework/Versions/142.0.7444.60/Helpers/Google Chrome Helper (Renderer).app/Contents/MacOS/Google Chrome Helper (Renderer)";
const CODE_RENDERER: &str = "/Applications/Visual Studio Code.app/Contents/Frameworks/Code Helper (Renderer).app/Contents/MacOS/Code Helper (Renderer)";
const SLACK_RENDERER: &str = "/Applications/Slack.app/Contents/Frameworks/Slack Helper (Renderer).app/Contents/MacOS/Slack Helper (Renderer)";
const FIREFOX_TAB: &str =
    "/Applications/Firefox.app/Contents/MacOS/plugin-container.app/Contents/MacOS/plugin-container";
const WEB_CONTENT: &str = "/System/Library/Frameworks/WebKit.framework/Versions/A/XPCServices/com.apple.WebKit.WebContent.xpc/Contents/MacOS/com.apple.WebKit.WebContent";
const PYTHON: &str = "/opt/homebrew/Cellar/python@3.13/3.13.7/Frameworks/Python.framework/Versions/3.13/Resources/Python.app/Contents/MacOS/Python";

/// Applications.
pub(super) const SUITES: &[Suite] = &[
    suite(
        "",
        main(
            "Google Chrome",
            "chrome",
            "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
            (50_000, 260_000, 40),
        ),
        &[
            helper(
                "Google Chrome Helper (Renderer)",
                "chrome",
                CHROME_RENDERER,
                (40_000, 180_000, 22),
            )
            .with(&[
                CHROME_RENDERER,
                "--type=renderer",
                "--lang=en-GB",
                "--num-raster-threads=4",
            ]),
            helper(
                "Google Chrome Helper",
                "chrome",
                CHROME,
                (15_000, 90_000, 14),
            )
            .with(&[
                CHROME,
                "--type=utility",
                "--utility-sub-type=network.mojom.NetworkService",
            ]),
        ],
        (3, 9),
    ),
    suite(
        "",
        main(
            "Microsoft Edge",
            "edge",
            "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
            (45_000, 240_000, 40),
        ),
        &[],
        (0, 0),
    ),
    suite(
        "",
        main(
            "firefox",
            "firefox",
            "/Applications/Firefox.app/Contents/MacOS/firefox",
            (50_000, 380_000, 70),
        ),
        &[helper(
            "plugin-container",
            "firefox",
            FIREFOX_TAB,
            (25_000, 140_000, 26),
        )
        .with(&[FIREFOX_TAB, "-childID", "{n}", "-isForBrowser", "tab"])],
        (2, 6),
    ),
    suite(
        "",
        main(
            "Safari",
            "safari",
            "/Applications/Safari.app/Contents/MacOS/Safari",
            (30_000, 190_000, 12),
        ),
        &[helper(
            "com.apple.WebKit.WebContent",
            "webkit",
            WEB_CONTENT,
            (30_000, 170_000, 9),
        )],
        (2, 8),
    ),
    suite(
        "",
        main(
            "Microsoft Word",
            "word",
            "/Applications/Microsoft Word.app/Contents/MacOS/Microsoft Word",
            (30_000, 340_000, 24),
        ),
        &[],
        (0, 0),
    ),
    suite(
        "",
        main(
            "Microsoft Excel",
            "excel",
            "/Applications/Microsoft Excel.app/Contents/MacOS/Microsoft Excel",
            (26_000, 310_000, 24),
        ),
        &[],
        (0, 0),
    ),
    suite(
        "",
        main(
            "Microsoft PowerPoint",
            "powerpoint",
            "/Applications/Microsoft PowerPoint.app/Contents/MacOS/Microsoft PowerPoint",
            (24_000, 330_000, 26),
        ),
        &[],
        (0, 0),
    ),
    suite(
        "",
        main(
            "Microsoft Outlook",
            "outlook",
            "/Applications/Microsoft Outlook.app/Contents/MacOS/Microsoft Outlook",
            (15_000, 420_000, 40),
        ),
        &[],
        (0, 0),
    ),
    suite(
        "",
        main(
            "MSTeams",
            "teams",
            "/Applications/Microsoft Teams.app/Contents/MacOS/MSTeams",
            (40_000, 350_000, 60),
        ),
        &[],
        (0, 0),
    ),
    suite(
        "",
        main(
            "zoom.us",
            "zoom",
            "/Applications/zoom.us.app/Contents/MacOS/zoom.us",
            (110_000, 310_000, 50),
        ),
        &[],
        (0, 0),
    ),
    suite(
        "",
        main(
            "Slack",
            "slack",
            "/Applications/Slack.app/Contents/MacOS/Slack",
            (8_000, 160_000, 32),
        ),
        &[helper(
            "Slack Helper (Renderer)",
            "slack",
            SLACK_RENDERER,
            (9_000, 210_000, 18),
        )
        .with(&[SLACK_RENDERER, "--type=renderer", "--enable-sandbox"])],
        (1, 2),
    ),
    suite(
        "",
        main(
            "Electron",
            "vscode",
            "/Applications/Visual Studio Code.app/Contents/MacOS/Electron",
            (25_000, 170_000, 38),
        ),
        &[helper(
            "Code Helper (Renderer)",
            "vscode",
            CODE_RENDERER,
            (45_000, 280_000, 20),
        )
        .with(&[
            CODE_RENDERER,
            "--type=renderer",
            "--user-data-dir=/Users/{user}/Library/Code",
        ])],
        (1, 4),
    ),
    suite(
        "",
        main(
            "MATLAB",
            "matlab",
            "/Applications/MATLAB_R2026a.app/bin/maca64/MATLAB",
            (320_000, 1_300_000, 100),
        ),
        &[],
        (0, 0),
    ),
    suite(
        "",
        main("Python", "python", PYTHON, (300_000, 320_000, 9)).with(&[PYTHON, "-m", "jupyterlab"]),
        &[
            helper("Python", "python", PYTHON, (420_000, 330_000, 12)).with(&[
                PYTHON,
                "-m",
                "ipykernel_launcher",
                "-f",
                "/Users/{user}/kernel-{hex}.json",
            ]),
        ],
        (1, 3),
    ),
    suite(
        "",
        main(
            "RStudio",
            "rstudio",
            "/Applications/RStudio.app/Contents/MacOS/RStudio",
            (14_000, 220_000, 34),
        ),
        &[],
        (0, 0),
    ),
    suite(
        "",
        main(
            "R",
            "r",
            "/Library/Frameworks/R.framework/Resources/bin/exec/R",
            (240_000, 260_000, 5),
        )
        .with(&[
            "/Library/Frameworks/R.framework/Resources/bin/exec/R",
            "--no-save",
        ]),
        &[],
        (0, 0),
    ),
    suite(
        "",
        main("java", "java", "/usr/bin/java", (90_000, 640_000, 44)).with(&[
            "/usr/bin/java",
            "-Xmx2g",
            "-jar",
            "Simulator {n}.jar",
        ]),
        &[],
        (0, 0),
    ),
    suite(
        "",
        main(
            "node",
            "node",
            "/opt/homebrew/bin/node",
            (50_000, 130_000, 11),
        )
        .with(&["node", "/Users/{user}/web/server.js"]),
        &[],
        (0, 0),
    ),
    suite(
        "",
        main(
            "Adobe Photoshop 2026",
            "photoshop",
            "/Applications/Adobe Photoshop 2026/Adobe Photoshop 2026.app/Contents/MacOS/Adobe Photoshop 2026",
            (120_000, 1_900_000, 80),
        ),
        &[],
        (0, 0),
    ),
    suite(
        "",
        main(
            "Spotify",
            "spotify",
            "/Applications/Spotify.app/Contents/MacOS/Spotify",
            (25_000, 210_000, 46),
        ),
        &[],
        (0, 0),
    ),
    suite(
        "",
        main(
            "zotero",
            "zotero",
            "/Applications/Zotero.app/Contents/MacOS/zotero",
            (8_000, 280_000, 44),
        ),
        &[],
        (0, 0),
    ),
    suite(
        "",
        main(
            "thunderbird",
            "thunderbird",
            "/Applications/Thunderbird.app/Contents/MacOS/thunderbird",
            (9_000, 340_000, 56),
        ),
        &[],
        (0, 0),
    ),
    suite(
        "",
        main(
            "AdobeAcrobat",
            "acrobat",
            "/Applications/Adobe Acrobat DC/Adobe Acrobat.app/Contents/MacOS/AdobeAcrobat",
            (12_000, 310_000, 30),
        ),
        &[],
        (0, 0),
    ),
];
