//! Steps of the tables: what a database has that a binary does not know, and steps that fail.

use std::path::Path;

use diesel::sql_types::Text;
use diesel_migrations::FileBasedMigrations;

use super::*;
use crate::store::database::migrations::{migrate_postgres, migrate_sqlite};
use crate::store::database::sqlite_file;

on_both!(
    a_binary_starts_beside_expand_steps_that_it_does_not_know,
    each_migration_is_a_transaction_of_its_own,
    a_database_from_before_the_base_is_refused_and_left_as_it_is,
);

/// Steps of a later release: the base, one to expand the tables, and one that does what it is told.
struct Later {
    folder: tempfile::TempDir,
}

impl Later {
    fn of(db: &Db, last: &str) -> Self {
        let kind = if db.is_sqlite() { "sqlite" } else { "postgresql" };
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(kind);
        let later = Self { folder: tempfile::tempdir().unwrap() };
        for step in std::fs::read_dir(own).unwrap() {
            let step = step.unwrap();
            let sql = std::fs::read_to_string(step.path().join("up.sql")).unwrap();
            later.write(&step.file_name().into_string().unwrap(), &sql);
        }
        later.write("2099-01-01-000000_one_expand", "CREATE TABLE one (a BIGINT)");
        later.write("2099-01-02-000000_two", last);
        later
    }

    fn write(&self, name: &str, sql: &str) {
        let folder = self.folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("up.sql"), sql).unwrap();
    }

    fn migrate(&self, db: &Db) -> Result<(), OpenError> {
        let steps = FileBasedMigrations::from_path(self.folder.path()).unwrap();
        if db.is_sqlite() { migrate_sqlite(&db.config, &steps) } else { migrate_postgres(&db.config, &steps) }
    }
}

impl Db {
    fn is_sqlite(&self) -> bool {
        matches!(self.config.url, DatabaseUrl::Sqlite(_))
    }

    fn has_table(&self, name: &str) -> bool {
        let catalogue = if self.is_sqlite() { "sqlite_schema WHERE name" } else { "pg_class WHERE relname" };
        self.numbers(&format!("SELECT count(*) AS number FROM {catalogue} = '{name}'")) == [1]
    }

    fn versions(&self) -> Vec<String> {
        #[derive(diesel::QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            version: String,
        }
        let query = diesel::sql_query("SELECT version FROM __diesel_schema_migrations ORDER BY version");
        let rows: Vec<Row> = match &self.config.url {
            DatabaseUrl::Sqlite(path) => query.load(&mut conn::sqlite_writer(path, 1000).unwrap()).unwrap(),
            DatabaseUrl::Postgres(_) => query.load(&mut self.direct()).unwrap(),
        };
        rows.into_iter().map(|row| row.version).collect()
    }
}

async fn a_binary_starts_beside_expand_steps_that_it_does_not_know(db: &mut Db) {
    Later::of(db, "CREATE TABLE two (a BIGINT)").migrate(db).unwrap();
    let refused = crate::store::migrate(&db.config).unwrap_err();
    assert!(matches!(&refused, OpenError::Newer { version } if version == "20990102000000"), "{refused}");
    assert!(refused.to_string().contains("made by a newer hongyan"), "{refused}");
    if db.is_sqlite() {
        assert!(matches!(check(&db.config), Err(OpenError::Newer { .. })));
    }
    db.exec("DELETE FROM __diesel_schema_migrations WHERE version = '20990102000000'");
    assert_eq!(db.versions().last().unwrap(), "20990101000000_expand");
    check(&db.config).unwrap();
    assert_eq!(db.open().send("a", "b", "x").await, 1);
    assert!(db.has_table("one"));
}

async fn each_migration_is_a_transaction_of_its_own(db: &mut Db) {
    let failing = Later::of(db, "CREATE TABLE two (a BIGINT); INSERT INTO nowhere VALUES (1)");
    for _ in 0..2 {
        let error = failing.migrate(db).unwrap_err().to_string();
        assert!(error.contains("2099-01-02-000000_two") && error.contains("nowhere"), "{error}");
        assert_eq!((db.has_table("one"), db.has_table("two")), (true, false));
    }
    let of_this_build = db.versions().len() - 1;
    let later = |db: &Db| db.versions().split_off(of_this_build);
    assert_eq!(later(db), ["20990101000000_expand"]);
    Later::of(db, "CREATE TABLE two (a BIGINT)").migrate(db).unwrap();
    assert!(db.has_table("two"));
    assert_eq!(later(db), ["20990101000000_expand", "20990102000000"]);
}

async fn a_database_from_before_the_base_is_refused_and_left_as_it_is(db: &mut Db) {
    if let DatabaseUrl::Sqlite(path) = &db.config.url {
        sqlite_file::make(path).unwrap();
    }
    db.exec(
        "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL, run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP); \
         INSERT INTO __diesel_schema_migrations (version) VALUES ('20261123000000'), ('20261129000014'); CREATE TABLE conversations (id BIGINT)",
    );
    let refused = crate::store::migrate(&db.config).unwrap_err();
    assert!(
        matches!(&refused, OpenError::Unreleased { version } if version == "20261123000000"),
        "{refused}"
    );
    assert!(refused.to_string().contains("let database.url name a new database"), "{refused}");
    if db.is_sqlite() {
        assert!(matches!(check(&db.config), Err(OpenError::Unreleased { .. })));
    }
    assert!(!db.has_table("members"));
    assert_eq!(db.versions(), ["20261123000000", "20261129000014"]);
}

#[test]
fn a_role_that_may_not_create_is_told_which_it_is_and_what_to_do() {
    run(Db::postgres(), |db| {
        Box::pin(async {
            let role = format!("plain_{:016x}", rand::random::<u64>());
            db.exec(&format!("CREATE ROLE {role} LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC"));
            let (admin, _) = db.admin.clone().unwrap();
            let owner = db.config.clone();
            let DatabaseUrl::Postgres(url) = &owner.url else { panic!("not PostgreSQL") };
            let (_, rest) = url.split_once("://").unwrap();
            let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
            db.config.url = DatabaseUrl::Postgres(format!("postgres://{role}@{place}"));
            let refused = |db: &Db, what: &str| {
                let error = crate::store::migrate(&db.config).unwrap_err().to_string();
                for words in [what, &role, "run hongyan migrate as", "GRANT CREATE ON SCHEMA public TO"] {
                    assert!(error.contains(words), "{error}");
                }
            };
            refused(db, "migration 2026-11-30-010000_base");
            assert!(!db.has_table("conversations"));
            crate::store::migrate(&owner).unwrap();
            db.exec(&format!(
                "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"
            ));
            let mut rig = db.open();
            assert_eq!(rig.send("a", "b", "x").await, 1);
            drop(rig);
            let function = &crate::store::postgres::functions::COMMIT_FUNCTION.name;
            db.exec(&format!("DROP FUNCTION {function}"));
            refused(db, function);
            crate::store::migrate(&owner).unwrap();
            assert_eq!(db.open().send("a", "b", "x").await, 2);
            let mut server = conn::postgres(&admin, true).unwrap();
            db.exec(&format!("DROP OWNED BY {role}"));
            server.batch_execute(&format!("DROP ROLE {role}")).unwrap();
        })
    });
}
