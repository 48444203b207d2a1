//! Programs of a Windows PC or terminal server.

use super::{Program, Suite, command, daemon, helper, main, session, suite};

const SYSTEM: &str = "NT AUTHORITY\\SYSTEM";
const LOCAL_SERVICE: &str = "NT AUTHORITY\\LOCAL SERVICE";
const NETWORK_SERVICE: &str = "NT AUTHORITY\\NETWORK SERVICE";

const fn svchost(
    group: &'static [&'static str],
    owner: &'static str,
    load: (u32, i64, i32),
) -> Program {
    daemon(
        "svchost.exe",
        "svchost",
        "C:\\Windows\\System32\\svchost.exe",
        owner,
        load,
    )
    .with(group)
}

/// From boot on. The first two have the pids 0 and 4.
pub(super) const DAEMONS: &[Program] = &[
    daemon("System Idle Process", "idle", "", SYSTEM, (800_000, 8, 8)),
    daemon("System", "ntoskrnl", "", SYSTEM, (9_000, 6_500, 230)),
    daemon("Registry", "registry", "", SYSTEM, (200, 78_000, 4)),
    daemon(
        "smss.exe",
        "smss",
        "C:\\Windows\\System32\\smss.exe",
        SYSTEM,
        (2, 1_100, 2),
    ),
    daemon(
        "csrss.exe",
        "csrss",
        "C:\\Windows\\System32\\csrss.exe",
        SYSTEM,
        (300, 5_200, 12),
    ),
    daemon(
        "wininit.exe",
        "wininit",
        "C:\\Windows\\System32\\wininit.exe",
        SYSTEM,
        (2, 6_400, 2),
    ),
    daemon(
        "services.exe",
        "services",
        "C:\\Windows\\System32\\services.exe",
        SYSTEM,
        (700, 10_900, 8),
    ),
    daemon(
        "lsass.exe",
        "lsass",
        "C:\\Windows\\System32\\lsass.exe",
        SYSTEM,
        (900, 24_600, 10),
    ),
    svchost(
        &[
            "C:\\Windows\\System32\\svchost.exe",
            "-k",
            "DcomLaunch",
            "-p",
        ],
        SYSTEM,
        (600, 29_000, 14),
    ),
    svchost(
        &["C:\\Windows\\System32\\svchost.exe", "-k", "RPCSS", "-p"],
        NETWORK_SERVICE,
        (800, 17_000, 12),
    ),
    svchost(
        &[
            "C:\\Windows\\System32\\svchost.exe",
            "-k",
            "netsvcs",
            "-p",
            "-s",
            "Schedule",
        ],
        SYSTEM,
        (400, 21_000, 9),
    ),
    svchost(
        &[
            "C:\\Windows\\System32\\svchost.exe",
            "-k",
            "LocalServiceNetworkRestricted",
        ],
        LOCAL_SERVICE,
        (300, 14_000, 7),
    ),
    svchost(
        &[
            "C:\\Windows\\System32\\svchost.exe",
            "-k",
            "LocalService",
            "-p",
        ],
        LOCAL_SERVICE,
        (200, 9_000, 5),
    ),
    svchost(
        &[
            "C:\\Windows\\System32\\svchost.exe",
            "-k",
            "NetworkService",
            "-p",
            "-s",
            "Dnscache",
        ],
        NETWORK_SERVICE,
        (350, 12_000, 6),
    ),
    svchost(
        &[
            "C:\\Windows\\System32\\svchost.exe",
            "-k",
            "netsvcs",
            "-p",
            "-s",
            "wuauserv",
        ],
        SYSTEM,
        (1_500, 38_000, 11),
    ),
    daemon(
        "fontdrvhost.exe",
        "fontdrvhost",
        "C:\\Windows\\System32\\fontdrvhost.exe",
        "Font Driver Host\\UMFD-0",
        (2, 3_000, 5),
    ),
    daemon(
        "dwm.exe",
        "dwm",
        "C:\\Windows\\System32\\dwm.exe",
        "Window Manager\\DWM-1",
        (30_000, 96_000, 17),
    ),
    daemon(
        "Memory Compression",
        "ntoskrnl",
        "",
        SYSTEM,
        (900, 310_000, 42),
    ),
    daemon(
        "spoolsv.exe",
        "spoolsv",
        "C:\\Windows\\System32\\spoolsv.exe",
        SYSTEM,
        (100, 18_000, 10),
    ),
    daemon(
        "MsMpEng.exe",
        "defender",
        "C:\\Program Files\\Windows Defender\\MsMpEng.exe",
        SYSTEM,
        (25_000, 240_000, 40),
    ),
    daemon(
        "SecurityHealthService.exe",
        "defender",
        "C:\\Windows\\System32\\SecurityHealthService.exe",
        SYSTEM,
        (20, 16_000, 5),
    ),
    daemon(
        "SearchIndexer.exe",
        "search-indexer",
        "C:\\Windows\\System32\\SearchIndexer.exe",
        SYSTEM,
        (3_000, 48_000, 18),
    ),
    daemon(
        "WmiPrvSE.exe",
        "wmiprvse",
        "C:\\Windows\\System32\\wbem\\WmiPrvSE.exe",
        NETWORK_SERVICE,
        (1_800, 19_000, 9),
    ),
    daemon(
        "winlogon.exe",
        "winlogon",
        "C:\\Windows\\System32\\winlogon.exe",
        SYSTEM,
        (2, 11_000, 3),
    ),
];

/// For each user who is logged in.
pub(super) const SESSION: &[Program] = &[
    session(
        "explorer.exe",
        "explorer",
        "C:\\Windows\\explorer.exe",
        (6_000, 160_000, 60),
    ),
    session(
        "sihost.exe",
        "sihost",
        "C:\\Windows\\System32\\sihost.exe",
        (60, 28_000, 12),
    ),
    session(
        "taskhostw.exe",
        "taskhostw",
        "C:\\Windows\\System32\\taskhostw.exe",
        (40, 21_000, 9),
    ),
    session(
        "RuntimeBroker.exe",
        "runtimebroker",
        "C:\\Windows\\System32\\RuntimeBroker.exe",
        (90, 26_000, 6),
    ),
    session(
        "ctfmon.exe",
        "ctfmon",
        "C:\\Windows\\System32\\ctfmon.exe",
        (200, 19_000, 11),
    ),
    session(
        "StartMenuExperienceHost.exe",
        "startmenuexperiencehost",
        "C:\\Windows\\SystemApps\\Microsoft.Windows.StartMenuExperienceHost_cw5n1h2txyewy\\StartMenuExperienceHost.exe",
        (150, 70_000, 14),
    ),
    session(
        "Microsoft.AAD.BrokerPlugin.exe",
        "microsoft.aad.brokerplugin",
        "C:\\Windows\\SystemApps\\Microsoft.AAD.BrokerPlugin_cw5n1h2txyewy\\Microsoft.AAD.BrokerPlugin.exe",
        (20, 34_000, 10),
    ),
    session(
        "SecurityHealthSystray.exe",
        "defender",
        "C:\\Windows\\System32\\SecurityHealthSystray.exe",
        (2, 9_400, 3),
    ),
    session(
        "OneDrive.exe",
        "onedrive",
        "C:\\Program Files\\Microsoft OneDrive\\OneDrive.exe",
        (2_500, 92_000, 30),
    )
    .with(&[
        "C:\\Program Files\\Microsoft OneDrive\\OneDrive.exe",
        "/background",
    ]),
    session(
        "WindowsTerminal.exe",
        "windows-terminal",
        "C:\\Program Files\\WindowsApps\\Microsoft.WindowsTerminal_1.23\\WindowsTerminal.exe",
        (1_500, 110_000, 24),
    ),
    session(
        "powershell.exe",
        "powershell",
        "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe",
        (900, 86_000, 16),
    ),
];

/// Commands that come and go.
pub(super) const COMMANDS: &[Program] = &[
    command(
        "conhost.exe",
        "conhost",
        "C:\\Windows\\System32\\conhost.exe",
        (100, 12_000, 3),
    )
    .with(&["C:\\Windows\\System32\\conhost.exe", "0x4"]),
    command(
        "cmd.exe",
        "cmd",
        "C:\\Windows\\System32\\cmd.exe",
        (100, 5_000, 1),
    )
    .with(&["C:\\Windows\\System32\\cmd.exe", "/c", "job{n}.bat"]),
    command(
        "SearchProtocolHost.exe",
        "search-indexer",
        "C:\\Windows\\System32\\SearchProtocolHost.exe",
        (500, 13_000, 6),
    ),
    command(
        "dllhost.exe",
        "dllhost",
        "C:\\Windows\\System32\\dllhost.exe",
        (90, 12_000, 5),
    ),
    command(
        "notepad.exe",
        "notepad",
        "C:\\Windows\\notepad.exe",
        (300, 38_000, 9),
    ),
    command(
        "python.exe",
        "python",
        "C:\\Program Files\\Python313\\python.exe",
        (380_000, 180_000, 5),
    )
    .with(&[
        "C:\\Program Files\\Python313\\python.exe",
        "analyse.py",
        "{n}",
    ]),
];

const CHROME: &str = "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe";
const EDGE: &str = "C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe";
const FIREFOX: &str = "C:\\Program Files\\Mozilla Firefox\\firefox.exe";
const CODE: &str = "C:\\Users\\{user}\\AppData\\Local\\Programs\\Microsoft VS Code\\Code.exe";
const WEBVIEW: &str =
    "C:\\Program Files (x86)\\Microsoft\\EdgeWebView\\Application\\msedgewebview2.exe";

/// Applications.
pub(super) const SUITES: &[Suite] = &[
    suite(
        "Vorlesungsverzeichnis Übersicht - Google Chrome",
        main("chrome.exe", "chrome", CHROME, (50_000, 220_000, 38)),
        &[
            helper("chrome.exe", "chrome", CHROME, (35_000, 150_000, 16)).with(&[
                CHROME,
                "--type=renderer",
                "--lang=en-US",
                "--renderer-client-id={n}",
            ]),
            helper("chrome.exe", "chrome", CHROME, (20_000, 110_000, 12))
                .with(&[CHROME, "--type=gpu-process"]),
            helper("chrome.exe", "chrome", CHROME, (5, 9_000, 8)).with(&[
                CHROME,
                "--type=crashpad-handler",
                "--monitor-self",
            ]),
        ],
        (3, 9),
    ),
    suite(
        "Library and 3 more pages - Work - Microsoft Edge",
        main("msedge.exe", "edge", EDGE, (48_000, 230_000, 42)),
        &[
            helper("msedge.exe", "edge", EDGE, (30_000, 140_000, 18)).with(&[
                EDGE,
                "--type=renderer",
                "--lang=de",
                "--renderer-client-id={n}",
            ]),
        ],
        (3, 8),
    ),
    suite(
        "Webmail - Mozilla Firefox",
        main("firefox.exe", "firefox", FIREFOX, (45_000, 390_000, 70)),
        &[
            helper("firefox.exe", "firefox", FIREFOX, (25_000, 150_000, 24)).with(&[
                FIREFOX,
                "-contentproc",
                "-isForBrowser",
                "{n}",
                "tab",
            ]),
        ],
        (2, 6),
    ),
    suite(
        "Hausarbeit Öffentliches Recht.docx - Word",
        main(
            "WINWORD.EXE",
            "word",
            "C:\\Program Files\\Microsoft Office\\root\\Office16\\WINWORD.EXE",
            (30_000, 260_000, 40),
        )
        .with(&[
            "C:\\Program Files\\Microsoft Office\\root\\Office16\\WINWORD.EXE",
            "/n",
            "C:\\Users\\{user}\\Documents\\draft {n}.docx",
        ]),
        &[],
        (0, 0),
    ),
    suite(
        "Budget 2026.xlsx - Excel",
        main(
            "EXCEL.EXE",
            "excel",
            "C:\\Program Files\\Microsoft Office\\root\\Office16\\EXCEL.EXE",
            (28_000, 240_000, 44),
        ),
        &[],
        (0, 0),
    ),
    suite(
        "Vortrag München.pptx - PowerPoint",
        main(
            "POWERPNT.EXE",
            "powerpoint",
            "C:\\Program Files\\Microsoft Office\\root\\Office16\\POWERPNT.EXE",
            (25_000, 250_000, 38),
        ),
        &[],
        (0, 0),
    ),
    suite(
        "Inbox - Outlook",
        main(
            "OUTLOOK.EXE",
            "outlook",
            "C:\\Program Files\\Microsoft Office\\root\\Office16\\OUTLOOK.EXE",
            (15_000, 310_000, 60),
        ),
        &[],
        (0, 0),
    ),
    suite(
        "Chat | Microsoft Teams",
        main(
            "ms-teams.exe",
            "teams",
            "C:\\Program Files\\WindowsApps\\MSTeams_25306.804\\ms-teams.exe",
            (22_000, 190_000, 52),
        ),
        &[helper(
            "msedgewebview2.exe",
            "edge-webview2",
            WEBVIEW,
            (18_000, 160_000, 20),
        )
        .with(&[
            WEBVIEW,
            "--type=renderer",
            "--webview-exe-name=ms-teams.exe",
        ])],
        (2, 5),
    ),
    suite(
        "Zoom Meeting",
        main(
            "Zoom.exe",
            "zoom",
            "C:\\Program Files\\Zoom\\bin\\Zoom.exe",
            (95_000, 280_000, 60),
        ),
        &[],
        (0, 0),
    ),
    suite(
        "general (Channel) - Slack",
        main(
            "slack.exe",
            "slack",
            "C:\\Program Files\\Slack\\slack.exe",
            (8_000, 150_000, 40),
        ),
        &[helper(
            "slack.exe",
            "slack",
            "C:\\Program Files\\Slack\\slack.exe",
            (8_000, 170_000, 18),
        )
        .with(&["C:\\Program Files\\Slack\\slack.exe", "--type=renderer"])],
        (1, 3),
    ),
    suite(
        "main.rs - project - Visual Studio Code",
        main("Code.exe", "vscode", CODE, (24_000, 160_000, 36)),
        &[
            helper("Code.exe", "vscode", CODE, (40_000, 240_000, 18)).with(&[
                CODE,
                "--type=renderer",
                "--user-data-dir=C:\\Users\\{user}\\AppData\\Roaming\\Code",
            ]),
        ],
        (2, 5),
    ),
    suite(
        "MATLAB R2026a",
        main(
            "MATLAB.exe",
            "matlab",
            "C:\\Program Files\\MATLAB\\R2026a\\bin\\win64\\MATLAB.exe",
            (330_000, 1_200_000, 110),
        ),
        &[helper(
            "MATLABWindow.exe",
            "matlab",
            "C:\\Program Files\\MATLAB\\R2026a\\bin\\win64\\MATLABWindow.exe",
            (18_000, 210_000, 26),
        )],
        (1, 1),
    ),
    suite(
        "",
        main(
            "python.exe",
            "python",
            "C:\\Program Files\\Python313\\python.exe",
            (280_000, 350_000, 14),
        )
        .with(&[
            "C:\\Program Files\\Python313\\python.exe",
            "-m",
            "jupyterlab",
        ]),
        &[helper(
            "pythonw.exe",
            "python",
            "C:\\Program Files\\Python313\\pythonw.exe",
            (240_000, 300_000, 12),
        )],
        (0, 2),
    ),
    suite(
        "RStudio",
        main(
            "rstudio.exe",
            "rstudio",
            "C:\\Program Files\\RStudio\\rstudio.exe",
            (12_000, 200_000, 34),
        ),
        &[helper(
            "rsession-utf8.exe",
            "r",
            "C:\\Program Files\\RStudio\\resources\\app\\bin\\rsession-utf8.exe",
            (110_000, 330_000, 12),
        )],
        (1, 1),
    ),
    suite(
        "RGui (64-bit)",
        main(
            "Rgui.exe",
            "r",
            "C:\\Program Files\\R\\R-4.5.1\\bin\\x64\\Rgui.exe",
            (220_000, 240_000, 7),
        ),
        &[],
        (0, 0),
    ),
    suite(
        "Model",
        main(
            "javaw.exe",
            "java",
            "C:\\Program Files\\Java\\jdk-21\\bin\\javaw.exe",
            (90_000, 620_000, 50),
        )
        .with(&[
            "C:\\Program Files\\Java\\jdk-21\\bin\\javaw.exe",
            "-jar",
            "C:\\Tools\\model {n}.jar",
        ]),
        &[],
        (0, 0),
    ),
    suite(
        "",
        main(
            "node.exe",
            "node",
            "C:\\Program Files\\nodejs\\node.exe",
            (55_000, 130_000, 12),
        ),
        &[],
        (0, 0),
    ),
    suite(
        "poster.psd @ 66,7% (RGB/8)",
        main(
            "Photoshop.exe",
            "photoshop",
            "C:\\Program Files\\Adobe\\Adobe Photoshop 2026\\Photoshop.exe",
            (120_000, 1_700_000, 90),
        ),
        &[],
        (0, 0),
    ),
    suite(
        "Spotify Premium",
        main(
            "Spotify.exe",
            "spotify",
            "C:\\Users\\{user}\\AppData\\Roaming\\Spotify\\Spotify.exe",
            (25_000, 200_000, 50),
        ),
        &[],
        (0, 0),
    ),
    suite(
        "Zotero",
        main(
            "zotero.exe",
            "zotero",
            "C:\\Program Files\\Zotero\\zotero.exe",
            (7_000, 270_000, 46),
        ),
        &[],
        (0, 0),
    ),
    suite(
        "Inbox - Mozilla Thunderbird",
        main(
            "thunderbird.exe",
            "thunderbird",
            "C:\\Program Files\\Mozilla Thunderbird\\thunderbird.exe",
            (9_000, 330_000, 58),
        ),
        &[],
        (0, 0),
    ),
    suite(
        "Skript Straßenrecht.pdf - Adobe Acrobat Reader (64-bit)",
        main(
            "Acrobat.exe",
            "acrobat",
            "C:\\Program Files\\Adobe\\Acrobat DC\\Acrobat\\Acrobat.exe",
            (12_000, 290_000, 32),
        ),
        &[helper(
            "AcroCEF.exe",
            "acrobat",
            "C:\\Program Files\\Adobe\\Acrobat DC\\Acrobat\\acrocef_1\\AcroCEF.exe",
            (4_000, 90_000, 14),
        )],
        (1, 2),
    ),
    suite(
        "GNU Image Manipulation Program",
        main(
            "gimp-3.0.exe",
            "gimp",
            "C:\\Program Files\\GIMP 3\\bin\\gimp-3.0.exe",
            (40_000, 320_000, 24),
        ),
        &[],
        (0, 0),
    ),
];
