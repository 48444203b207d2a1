//! What differs between languages of Windows: words, widths, digits, and code pages.
//!
//! Headers are known from listings that people have published, as far as there are any; columns go by position in any
//! case. A task's status is English in all languages.

use crate::form::Language;
use encoding_rs::{Encoding, GBK, IBM866, SHIFT_JIS, WINDOWS_1255};

/// How a text becomes bytes.
#[derive(Clone, Copy)]
pub(super) enum Page {
    /// Western Europe's console.
    Cp850,
    /// Central Europe's console.
    Cp852,
    /// What PowerShell makes of a console's output when it writes a file.
    Utf16,
    /// A code page that has a table elsewhere.
    Listed(&'static Encoding, &'static str),
}

/// Letters beyond ASCII that the fleet's texts hold, with their bytes in code page 850.
const CP850: [(char, u8); 24] = [
    ('ü', 0x81),
    ('é', 0x82),
    ('â', 0x83),
    ('ä', 0x84),
    ('à', 0x85),
    ('ç', 0x87),
    ('ê', 0x88),
    ('è', 0x8a),
    ('Ä', 0x8e),
    ('É', 0x90),
    ('ô', 0x93),
    ('ö', 0x94),
    ('û', 0x96),
    ('Ö', 0x99),
    ('Ü', 0x9a),
    ('á', 0xa0),
    ('í', 0xa1),
    ('ó', 0xa2),
    ('ú', 0xa3),
    ('ñ', 0xa4),
    ('ã', 0xc6),
    ('ß', 0xe1),
    ('õ', 0xe4),
    ('\u{a0}', 0xff),
];
/// The same in code page 852.
const CP852: [(char, u8); 16] = [
    ('ü', 0x81),
    ('é', 0x82),
    ('ä', 0x84),
    ('ć', 0x86),
    ('ł', 0x88),
    ('ö', 0x94),
    ('ś', 0x98),
    ('Ł', 0x9d),
    ('ó', 0xa2),
    ('ą', 0xa5),
    ('ę', 0xa9),
    ('ź', 0xab),
    ('ż', 0xbe),
    ('ß', 0xe1),
    ('ń', 0xe4),
    ('\u{a0}', 0xff),
];

impl Page {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Page::Cp850 => "cp850",
            Page::Cp852 => "cp852",
            Page::Utf16 => "utf-16le",
            Page::Listed(_, label) => label,
        }
    }

    /// A letter that the page lacks becomes a question mark.
    pub(super) fn encode(self, text: &str) -> Vec<u8> {
        let by = |table: &[(char, u8)]| {
            let byte = |c: char| match c {
                c if c.is_ascii() => c as u8,
                c => table
                    .iter()
                    .find(|(known, _)| *known == c)
                    .map_or(b'?', |(_, byte)| *byte),
            };
            text.chars().map(byte).collect()
        };
        match self {
            Page::Cp850 => by(&CP850),
            Page::Cp852 => by(&CP852),
            Page::Utf16 => {
                let units = std::iter::once(0xfeff).chain(text.encode_utf16());
                units.flat_map(u16::to_le_bytes).collect()
            }
            Page::Listed(encoding, _) => {
                let mut bytes = Vec::with_capacity(text.len());
                let mut buffer = [0; 8];
                for c in text.chars() {
                    let (encoded, _, unknown) = encoding.encode(c.encode_utf8(&mut buffer));
                    match unknown {
                        true => bytes.push(b'?'),
                        false => bytes.extend_from_slice(&encoded),
                    }
                }
                bytes
            }
        }
    }
}

/// Columns that `text` takes in a console: two for an East Asian letter.
pub(super) fn width(text: &str) -> usize {
    let of = |c: char| match c {
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' => 2,
        '\u{ff00}'..='\u{ff60}' => 2,
        _ => 1,
    };
    text.chars().map(of).sum()
}

/// What `tasklist` prints in one language.
pub(super) struct Words {
    pub(super) headers: [&'static str; 9],
    /// The header of `/svc`'s third column.
    pub(super) services: &'static str,
    pub(super) not_available: &'static str,
    /// The width of the column Mem Usage.
    pub(super) memory_width: usize,
    pub(super) page: Page,
    /// What stands between groups of digits.
    group: &'static str,
    /// Whether digits beyond the first group come in pairs.
    pairs: bool,
    /// KiB, with the blank before it.
    unit: &'static str,
    /// What separates the values of a list.
    pub(super) separator: char,
    /// Whether numbers have a decimal comma.
    pub(super) decimal_comma: bool,
}

const ENGLISH: Words = Words {
    headers: [
        "Image Name",
        "PID",
        "Session Name",
        "Session#",
        "Mem Usage",
        "Status",
        "User Name",
        "CPU Time",
        "Window Title",
    ],
    services: "Services",
    not_available: "N/A",
    memory_width: 12,
    page: Page::Cp850,
    group: ",",
    pairs: false,
    unit: " K",
    separator: ',',
    decimal_comma: false,
};
const INDIAN: Words = Words {
    pairs: true,
    ..ENGLISH
};
/// What most of Europe has in common.
const EUROPEAN: Words = Words {
    group: ".",
    separator: ';',
    decimal_comma: true,
    ..ENGLISH
};
const GERMAN: Words = Words {
    headers: [
        "Abbildname",
        "PID",
        "Sitzungsname",
        "Sitz.-Nr.",
        "Speichernutzung",
        "Status",
        "Benutzername",
        "CPU-Zeit",
        "Fenstertitel",
    ],
    services: "Dienste",
    not_available: "Nicht zutreffend",
    memory_width: 15,
    ..EUROPEAN
};
const FRENCH: Words = Words {
    headers: [
        "Nom de l'image",
        "PID",
        "Nom de la session",
        "Numéro de session",
        "Utilisation mémoire",
        "État",
        "Nom d'utilisateur",
        "Temps processeur",
        "Titre de la fenêtre",
    ],
    page: Page::Utf16,
    group: "\u{202f}",
    unit: " Ko",
    ..EUROPEAN
};
const SPANISH: Words = Words {
    headers: [
        "Nombre de imagen",
        "PID",
        "Nombre de sesión",
        "Núm. de sesión",
        "Uso de memoria",
        "Estado",
        "Nombre de usuario",
        "Tiempo de CPU",
        "Título de ventana",
    ],
    services: "Servicios",
    not_available: "N/D",
    unit: " KB",
    ..EUROPEAN
};
const ITALIAN: Words = Words {
    headers: [
        "Nome immagine",
        "PID",
        "Nome sessione",
        "Sessione n.",
        "Utilizzo mem",
        "Stato",
        "Nome utente",
        "Tempo CPU",
        "Titolo finestra",
    ],
    services: "Servizi",
    not_available: "N/D",
    ..EUROPEAN
};
const PORTUGUESE: Words = Words {
    headers: [
        "Nome da imagem",
        "Identificação pessoal",
        "Nome da sessão",
        "Sessão#",
        "Uso de memória",
        "Status",
        "Nome de usuário",
        "Tempo de CPU",
        "Título da janela",
    ],
    services: "Serviços",
    not_available: "N/D",
    ..EUROPEAN
};
const DUTCH: Words = Words {
    headers: [
        "Procesnaam",
        "Proces-ID",
        "Sessienaam",
        "Sessienummer",
        "Geheugengebruik",
        "Status",
        "Gebruikersnaam",
        "CPU-tijd",
        "Venstertitel",
    ],
    services: "Services",
    not_available: "N.v.t.",
    ..EUROPEAN
};
const POLISH: Words = Words {
    headers: [
        "Nazwa obrazu",
        "PID",
        "Nazwa sesji",
        "Nr sesji",
        "Użycie pamięci",
        "Stan",
        "Nazwa użytkownika",
        "Czas procesora",
        "Tytuł okna",
    ],
    services: "Usługi",
    not_available: "N/D",
    page: Page::Cp852,
    group: "\u{a0}",
    unit: " KB",
    ..EUROPEAN
};
const RUSSIAN: Words = Words {
    headers: [
        "Имя образа",
        "PID",
        "Имя сессии",
        "№ сеанса",
        "Память",
        "Состояние",
        "Пользователь",
        "Время ЦП",
        "Заголовок окна",
    ],
    services: "Службы",
    not_available: "Н/Д",
    page: Page::Listed(IBM866, "cp866"),
    group: "\u{a0}",
    unit: " КБ",
    ..EUROPEAN
};
const JAPANESE: Words = Words {
    headers: [
        "イメージ名",
        "PID",
        "セッション名",
        "セッション#",
        "メモリ使用量",
        "状態",
        "ユーザー名",
        "CPU 時間",
        "ウィンドウ タイトル",
    ],
    services: "サービス",
    page: Page::Listed(SHIFT_JIS, "cp932"),
    ..ENGLISH
};
const CHINESE: Words = Words {
    headers: [
        "映像名称",
        "PID",
        "会话名",
        "会话#",
        "内存使用",
        "状态",
        "用户名",
        "CPU 时间",
        "窗口标题",
    ],
    services: "服务",
    not_available: "暂缺",
    page: Page::Listed(GBK, "cp936"),
    ..ENGLISH
};
const HEBREW: Words = Words {
    headers: [
        "שם תמונה",
        "PID",
        "שם הפעלה",
        "מס' הפעלה",
        "שימוש בזיכרון",
        "מצב",
        "שם משתמש",
        "זמן CPU",
        "כותרת חלון",
    ],
    services: "שירותים",
    not_available: "לא זמין",
    page: Page::Listed(WINDOWS_1255, "windows-1255"),
    ..ENGLISH
};

impl Words {
    pub(super) fn of(language: Language) -> &'static Words {
        match language {
            Language::English => &ENGLISH,
            Language::EnglishIndia => &INDIAN,
            Language::German => &GERMAN,
            Language::French => &FRENCH,
            Language::Spanish => &SPANISH,
            Language::Italian => &ITALIAN,
            Language::PortugueseBrazil => &PORTUGUESE,
            Language::Dutch => &DUTCH,
            Language::Polish => &POLISH,
            Language::Russian => &RUSSIAN,
            Language::Japanese => &JAPANESE,
            Language::Chinese => &CHINESE,
            Language::Hebrew => &HEBREW,
        }
    }

    /// `12,345 K`, as the language groups digits.
    pub(super) fn memory(&self, kib: i64) -> String {
        let digits = kib.to_string();
        let mut text = String::with_capacity(16);
        for (index, digit) in digits.chars().enumerate() {
            let left = digits.len() - index;
            let begins_group = match self.pairs {
                true => left == 3 || (left > 3 && left % 2 == 1),
                false => left.is_multiple_of(3),
            };
            if index > 0 && begins_group {
                text.push_str(self.group);
            }
            text.push(digit);
        }
        text + self.unit
    }
}
