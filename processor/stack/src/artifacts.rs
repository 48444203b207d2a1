//! The services' programs, fetched once through Maven from the pinned `pom.xml`, then kept under cargo's target folder.
//!
//! ```text
//! target/stack-artifacts/lock            held while one process fetches
//! target/stack-artifacts/NAME/           NAME stands for pom.xml's content and the platform
//!     kafka/*.jar   registry/…   postgres/bin, lib, share
//! ```
//!
//! Invariants: a folder NAME is complete, since it is filled under another name and then renamed; with it there, neither
//! network nor Maven is touched.
//!
//! Must not know: how the programs are run.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{error::StackError, java::run};

const POM: &str = include_str!("../pom.xml");

/// The services' programs on disk.
#[derive(Debug, Clone)]
pub(crate) struct Artifacts {
    folder: PathBuf,
}

impl Artifacts {
    /// Fetches what is not there yet, which takes a minute and the network; afterwards it takes no time and neither.
    ///
    /// Safe when several processes do it at once: one fetches, the others wait for it.
    pub(crate) fn ensure() -> Result<Self, StackError> {
        let root = root();
        let folder = root.join(name()?);
        if folder.is_dir() {
            return Ok(Self { folder });
        }
        with_lock(&root, || {
            if folder.is_dir() {
                Ok(())
            } else {
                fetch(&folder)
            }
        })?;
        Ok(Self { folder })
    }

    pub(crate) fn kafka_class_path(&self) -> OsString {
        self.folder.join("kafka").join("*").into()
    }

    pub(crate) fn registry_jar(&self) -> Result<PathBuf, StackError> {
        let folder = self.folder.join("registry");
        let entries = fs::read_dir(&folder).map_err(StackError::file("read", &folder))?;
        let mut files = entries.flatten().map(|entry| entry.path());
        files
            .find(|path| path.to_string_lossy().ends_with("-runner.jar"))
            .ok_or_else(|| {
                let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
                StackError::file("find the registry's jar in", folder)(missing)
            })
    }

    pub(crate) fn postgres_folder(&self) -> PathBuf {
        self.folder.join("postgres")
    }

    /// PostgreSQL's binaries under another parent, for an account that can't get to ours; copied once.
    pub(crate) fn postgres_copy(&self, parent: &Path) -> Result<PathBuf, StackError> {
        let name = self
            .folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let copy = parent.join(format!("rollcall-postgres-bin-{name}"));
        if !copy.is_dir() {
            with_lock(&root(), || {
                if copy.is_dir() {
                    Ok(())
                } else {
                    copy_tree(&self.postgres_folder(), &copy)
                }
            })?;
        }
        // The parent may be writable for all: run nothing there that others could have put or changed.
        let metadata = fs::metadata(&copy).map_err(StackError::file("read", &copy))?;
        if metadata.uid() != rustix::process::geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
            let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
            return Err(StackError::file(
                "trust (others own it or may write to it)",
                copy,
            )(denied));
        }
        Ok(copy)
    }
}

/// A short name for a content: 64-bit FNV-1a in hexadecimal. Stable over versions of Rust, unlike std's hashers.
fn content_name(content: &str) -> String {
    let hash = content
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    format!("{hash:016x}")
}

fn name() -> Result<String, StackError> {
    Ok(content_name(&format!("{POM}{}", postgres_artifact()?)))
}

/// Where artefacts of all versions are: a setting, else cargo's target folder.
fn root() -> PathBuf {
    if let Some(folder) =
        env::var_os("ROLLCALL_STACK_ARTIFACTS").filter(|folder| !folder.is_empty())
    {
        return folder.into();
    }
    let target = env::var_os("CARGO_TARGET_DIR")
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from);
    let target = target
        .filter(|folder| folder.is_absolute())
        .or_else(target_of_this_program);
    target
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"))
        .join("stack-artifacts")
}

/// Cargo marks its target folder as a cache; our program lies in it, unless it was installed.
fn target_of_this_program() -> Option<PathBuf> {
    let program = env::current_exe().ok()?;
    program
        .ancestors()
        .skip(1)
        .find(|folder| folder.join("CACHEDIR.TAG").is_file())
        .map(Path::to_owned)
}

fn postgres_artifact() -> Result<String, StackError> {
    let platform = match (env::consts::OS, env::consts::ARCH) {
        ("linux", "x86_64") => "linux-amd64",
        ("linux", "aarch64") => "linux-arm64v8",
        ("macos", "x86_64") => "darwin-amd64",
        ("macos", "aarch64") => "darwin-arm64v8",
        (system, architecture) => {
            return Err(StackError::PlatformUnsupported {
                platform: format!("{architecture} {system}"),
            });
        }
    };
    Ok(format!("embedded-postgres-binaries-{platform}"))
}

fn with_lock(root: &Path, work: impl FnOnce() -> Result<(), StackError>) -> Result<(), StackError> {
    fs::create_dir_all(root).map_err(StackError::file("create", root))?;
    let path = root.join("lock");
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let lock = lock.map_err(StackError::file("open", &path))?;
    lock.lock().map_err(StackError::file("lock", &path))?;
    work()
}

/// Fills the folder; under the lock.
fn fetch(folder: &Path) -> Result<(), StackError> {
    require("mvn", "--version", "apt-get install maven")?;
    require("tar", "--version", "apt-get install tar")?;
    // macOS' tar unpacks xz by itself.
    if cfg!(target_os = "linux") {
        require("xz", "--version", "apt-get install xz-utils")?;
    }
    tracing::info!(folder = %folder.display(), "fetching Kafka, the registry and PostgreSQL with Maven, once");

    let partial = folder.with_extension("partial");
    remove_if_there(&partial)?;
    fs::create_dir_all(&partial).map_err(StackError::file("create", &partial))?;
    let pom = partial.join("pom.xml");
    fs::write(&pom, POM).map_err(StackError::file("write", &pom))?;
    maven(&partial, &pom)?;
    unpack_postgres(&partial)?;
    fs::rename(&partial, folder).map_err(StackError::file("create", folder))
}

fn maven(partial: &Path, pom: &Path) -> Result<(), StackError> {
    let mut out = OsString::from("-Dstack.out=");
    out.push(partial);
    let mut command = Command::new("mvn");
    command
        .args([
            "--batch-mode",
            "--no-transfer-progress",
            "--quiet",
            "--file",
        ])
        .arg(pom)
        .arg(out);
    command
        .arg(format!("-Dstack.postgres={}", postgres_artifact()?))
        .arg("generate-resources");
    run(command)
}

/// The jar holds one compressed archive.
fn unpack_postgres(partial: &Path) -> Result<(), StackError> {
    let jar = partial.join("postgres-jar");
    let folder = partial.join("postgres");
    fs::create_dir(&folder).map_err(StackError::file("create", &folder))?;
    let entries = fs::read_dir(&jar).map_err(StackError::file("read", &jar))?;
    for archive in entries.flatten().map(|entry| entry.path()) {
        let mut command = Command::new("tar");
        command
            .args(["--no-same-owner", "-xJf"])
            .arg(&archive)
            .arg("-C")
            .arg(&folder);
        run(command)?;
    }
    // Whoever runs as another account must be able to read it, whatever the umask was.
    let mut command = Command::new("chmod");
    command.args(["-R", "u+rwX,go+rX,go-w"]).arg(&folder);
    run(command)?;
    remove_if_there(&jar)
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), StackError> {
    let partial = to.with_extension("partial");
    remove_if_there(&partial)?;
    let mut command = Command::new("cp");
    command.args(["-R", "-P", "-p"]).arg(from).arg(&partial);
    run(command)?;
    fs::set_permissions(&partial, fs::Permissions::from_mode(0o755))
        .map_err(StackError::file("open up", &partial))?;
    fs::rename(&partial, to).map_err(StackError::file("create", to))
}

fn remove_if_there(folder: &Path) -> Result<(), StackError> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(StackError::file("remove", folder))
    } else {
        Ok(())
    }
}

fn require(program: &str, question: &str, install: &'static str) -> Result<(), StackError> {
    let status = Command::new(program)
        .arg(question)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match status {
        Ok(_) => Ok(()),
        Err(_) => Err(StackError::ProgramMissing {
            program: program.to_owned(),
            install,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_names_are_fnv_1a() {
        // From the reference test vectors of FNV.
        assert_eq!(content_name(""), "cbf29ce484222325");
        assert_eq!(content_name("foobar"), "85944171f73967e8");
    }
}
