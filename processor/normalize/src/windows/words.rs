//! The words of Windows' languages, in one table. They are evidence, never needed: columns go by position.
//!
//! Only words that somebody has published from a real machine stand here; each language names its source. A word that is
//! missing makes a value `None` with a reason, or a text's code page unknown, never a wrong value.
//!
//! A task's status is English in all languages that were seen since Windows Vista (French, Japanese, Russian, Chinese);
//! Windows XP translated it.

use rollcall_domain::ProcessState;

/// A display language of Windows.
pub(crate) struct Language {
    /// Labels of the code pages that it is printed in, the console's first.
    pub(crate) code_pages: &'static [&'static str],
    /// What only this language prints: pieces of headers and notices, names of the system's own accounts. One with
    /// letters beyond ASCII proves the code page, too.
    pub(crate) evidence: &'static [&'static str],
    /// The notice that no task meets the filters, up to its colon, in upper case.
    pub(crate) notice: &'static str,
    /// What stands for a value that does not exist.
    pub(crate) not_available: &'static str,
}

/// Code pages of Western Europe and the Americas.
const WESTERN: &[&str] = &["cp850", "windows-1252", "cp437", "cp858"];

/// Every language of which words are known.
pub(crate) const LANGUAGES: [Language; 13] = [
    // English: Microsoft's page on tasklist; sindresorhus/tasklist for the notice. It is printed in any code page.
    Language {
        code_pages: &[],
        evidence: &[],
        notice: "INFO",
        not_available: "N/A",
    },
    // German: SoftwareOK's page on taskkill, zebrajaeger's ProcessUtilsTest; several projects' tests for the notice.
    Language {
        code_pages: WESTERN,
        evidence: &[
            "Abbildname",
            "Sitzungsname",
            "Speichernutzung",
            "NT-AUTORITÄT",
        ],
        notice: "INFORMATION",
        not_available: "Nicht zutreffend",
    },
    // French: listings of Windows 10 in students' reports (YNOV), plain and with /v.
    Language {
        code_pages: WESTERN,
        evidence: &["Nom de la sessio", "AUTORITE NT\\Système"],
        notice: "INFORMATION",
        not_available: "N/A",
    },
    // Spanish: course notes on nginx and node; issue 11 of sindresorhus/tasklist for the notice.
    Language {
        code_pages: WESTERN,
        evidence: &["Nombre de imagen", "Nombre de sesi", "INFORMACIÓN: "],
        notice: "INFORMACIÓN",
        not_available: "",
    },
    // Italian: an AutoIt script with a listing of Windows XP; tests of projects that name the notice.
    Language {
        code_pages: WESTERN,
        evidence: &["Nome immagine", "Nome sessione", "Utilizzo mem"],
        notice: "INFORMAZIONI",
        not_available: "",
    },
    // Portuguese of Brazil: tests of several projects; a list of hotfixes for the account's name.
    Language {
        code_pages: WESTERN,
        evidence: &["Nome da imagem", "AUTORIDADE NT\\", "INFORMAÇÕES: "],
        notice: "INFORMAÇÕES",
        not_available: "",
    },
    // Polish: no listing was found; the account's name stands all over Microsoft's Polish documentation.
    Language {
        code_pages: &["cp852", "windows-1250"],
        evidence: &["ZARZĄDZANIE NT\\"],
        notice: "",
        not_available: "",
    },
    // Russian: listings of Windows 10 in students' reports, of XP in metracer's WindowsLauncherTest.
    Language {
        code_pages: &["cp866", "windows-1251"],
        evidence: &[
            "Имя образа",
            "Имя сессии",
            "NT AUTHORITY\\СИСТЕМА",
            " КБ",
            "Н/Д",
            "ИНФОРМАЦИЯ: ",
        ],
        notice: "ИНФОРМАЦИЯ",
        not_available: "Н/Д",
    },
    // Japanese: a reference page on tasklist (maku77) with the forms plain, /v, /svc, csv and list; the notice in tests.
    Language {
        code_pages: &["cp932"],
        evidence: &["イメージ名", "セッション名", "メモリ使用量", "情報: "],
        notice: "情報",
        not_available: "N/A",
    },
    // Chinese, simplified: a reference page with csv /v, /svc as list and /m; the notice in many projects' tests.
    Language {
        code_pages: &["cp936"],
        evidence: &["映像名称", "会话名", "内存使用", "暂缺", "信息: "],
        notice: "信息",
        not_available: "暂缺",
    },
    // Chinese, traditional: tests that decode the notice from code page 950.
    Language {
        code_pages: &["cp950"],
        evidence: &["資訊: "],
        notice: "資訊",
        not_available: "",
    },
    // Korean: listings in several blogs, plain and /svc; a test for the notice.
    Language {
        code_pages: &["cp949"],
        evidence: &["이미지 이름", "세션 이름", "메모리 사용", "정보: "],
        notice: "정보",
        not_available: "",
    },
    // Turkish: a test that decodes the notice from code page 857, which is not known here.
    Language {
        code_pages: &["windows-1254"],
        evidence: &["BİLGİ: "],
        notice: "BİLGİ",
        not_available: "",
    },
];

/// Whether `cell` says in some language that there is no value.
pub(crate) fn is_not_available(cell: &str) -> bool {
    cell.is_empty()
        || LANGUAGES
            .iter()
            .any(|language| language.not_available == cell)
}

/// Whether a line begins as the notice does that no task meets the filters.
pub(crate) fn is_notice(line: &str) -> bool {
    let Some((word, _)) = line.split_once([':', '：']) else {
        return false;
    };
    let word = word.trim().to_uppercase();
    LANGUAGES
        .iter()
        .any(|language| !language.notice.is_empty() && language.notice == word)
}

/// A task's status: its state, `Ok(None)` for the word that says it is not known, `Err` for a word that nobody knows.
///
/// `Unknown` is what is said of most processes without a window. `Работает` is Windows XP's.
#[inline]
pub(crate) fn state(cell: &str) -> Result<Option<ProcessState>, UnknownWord> {
    match cell {
        "Running" | "Работает" => Ok(Some(ProcessState::Running)),
        "Unknown" => Ok(None),
        "Not Responding" => Ok(Some(ProcessState::Unresponsive)),
        "Suspended" => Ok(Some(ProcessState::Stopped)),
        _ if is_not_available(cell) => Ok(None),
        _ => Err(UnknownWord),
    }
}

/// A word of no language that is known here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct UnknownWord;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states() {
        assert_eq!(state("Running"), Ok(Some(ProcessState::Running)));
        assert_eq!(state("Работает"), Ok(Some(ProcessState::Running)));
        assert_eq!(state("Suspended"), Ok(Some(ProcessState::Stopped)));
        assert_eq!(state("Unknown"), Ok(None));
        assert_eq!(state("暂缺"), Ok(None));
        assert_eq!(state("Wird ausgeführt"), Err(UnknownWord));
    }

    #[test]
    fn notices() {
        for line in [
            "INFO: No tasks are running which match the specified criteria.",
            "INFORMATION: Es werden keine Aufgaben mit den angegebenen Kriterien ausgeführt.",
            "INFORMATION : aucune tâche en service ne correspond aux critères spécifiés.",
            "INFORMACIÓN: no hay tareas ejecutándose que coincidan con los",
            "Informazioni: nessuna attività in esecuzione corrispondente ai criteri specificati.",
            "ИНФОРМАЦИЯ: Задачи, отвечающие заданным критериям, отсутствуют.",
            "Информация: Задачи, отвечающие заданным критериям, отсутствуют.",
            "情報: 指定された条件に一致するタスクは実行されていません。",
            "信息: 没有运行的任务匹配指定标准。",
        ] {
            assert!(is_notice(line), "{line}");
        }
        for line in [
            "ERROR: The RPC server is unavailable.",
            "ERREUR : non",
            "PID: 1",
        ] {
            assert!(!is_notice(line), "{line}");
        }
    }
}
