//! Migrations: the files of `migrations/`, compiled in and applied in order under a lock.
//!
//! Invariant: an applied file never changes; the server's record of its checksum is compared on every run.

use super::connect::Session;
use super::error::{Doing, ErrorClass, PostgresError};
use sqlx::SqlSafeStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

/// Where the record of applied migrations stands.
const RECORD_SCHEMA: &str = "rollcall";
const RECORD_TABLE: &str = "rollcall.schema_migrations";
const DOING: &str = "migrate the database";

macro_rules! migrations {
    ($($file:literal,)*) => {
        /// Name and text of every file of `migrations/`, in order.
        pub const MIGRATIONS: &[(&str, &str)] =
            &[$(($file, include_str!(concat!("../../../migrations/", $file))),)*];
    };
}

migrations! {
    "0001_sketch_functions.sql",
    "0002_dimensions.sql",
    "0003_details.sql",
    "0004_rollups.sql",
    "0005_operations.sql",
    "0006_partitions.sql",
    "0007_analytics.sql",
    "0008_roles.sql",
    "0009_redriven.sql",
    "0010_scripts.sql",
}

/// Brings the database up to date, and grants what is missing. Several may do this at once; one does the work.
///
/// # Errors
/// Fatal where a migration fails, is missing or has changed since it was applied.
pub async fn migrate(session: &mut Session) -> Result<(), PostgresError> {
    let mut migrator = Migrator::with_migrations(MIGRATIONS.iter().map(migration).collect());
    migrator.dangerous_set_table_name(RECORD_TABLE);
    migrator.create_schema(RECORD_SCHEMA);
    migrator
        .run(&mut session.connection)
        .await
        .map_err(migrate_error)?;
    sqlx::query("SELECT rollcall.apply_privileges()")
        .execute(&mut session.connection)
        .await
        .doing("grant the roles their privileges")?;
    Ok(())
}

/// The versions of this program's migrations that the database lacks; all of them where it has none.
///
/// # Errors
/// If the database can't be asked.
pub async fn pending_migrations(session: &mut Session) -> Result<Vec<i64>, PostgresError> {
    let recorded: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(RECORD_TABLE)
        .fetch_one(&mut session.connection)
        .await
        .doing("look for migrations")?;
    let applied: Vec<i64> = if recorded {
        sqlx::query_scalar("SELECT version FROM rollcall.schema_migrations WHERE success")
            .fetch_all(&mut session.connection)
            .await
            .doing("look for migrations")?
    } else {
        Vec::new()
    };
    Ok(MIGRATIONS
        .iter()
        .map(|file| migration(file).version)
        .filter(|version| !applied.contains(version))
        .collect())
}

/// A migration from `0002_dimensions.sql` and its text.
fn migration(&(file, text): &(&'static str, &'static str)) -> Migration {
    let name = file.strip_suffix(".sql").unwrap_or(file);
    let (version, description) = name.split_once('_').unwrap_or((name, ""));
    let version = version
        .parse()
        .unwrap_or_else(|_| unreachable!("{file} begins with its number, a test says"));
    Migration::new(
        version,
        description.replace('_', " ").into(),
        MigrationType::Simple,
        text.into_sql_str(),
        false,
    )
}

fn migrate_error(error: MigrateError) -> PostgresError {
    let sentence = match error {
        MigrateError::Execute(source) => return Err::<(), _>(source).doing(DOING).unwrap_err(),
        MigrateError::ExecuteMigration(source, version) => {
            let mut error = Err::<(), _>(source).doing(DOING).unwrap_err();
            error.doing = format!("apply migration {version}");
            return error;
        }
        MigrateError::VersionMissing(version) => {
            format!("migration {version} was applied by a newer program than this")
        }
        MigrateError::VersionMismatch(version) => {
            format!("migration {version} is not the one that was applied")
        }
        MigrateError::Dirty(version) => {
            format!("migration {version} was left half applied; mend it by hand")
        }
        other => other.to_string(),
    };
    PostgresError::own(ErrorClass::Fatal, DOING, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_compiled_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".sql"))
            .collect();
        files.sort();
        let compiled: Vec<&str> = MIGRATIONS.iter().map(|(file, _)| *file).collect();
        assert_eq!(files, compiled);
        for (at, file) in MIGRATIONS.iter().enumerate() {
            assert!(migration(file).version > at as i64, "{}", file.0);
        }
    }
}
