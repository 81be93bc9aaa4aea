//! The log of what operators did.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use crate::event::Refusal;
use crate::store::Query;
use crate::store::database::conn::Conn;
use crate::store::database::statement::{Statement, Writer};
use crate::store::lanes::command::{Command, Db, Order, Times};
use crate::store::operators::{ActPage, Acts, OperatorAct, RecordAct, Via};
use crate::store::readers::query::and_one;

/// An act that stands there already is told what became of it.
const RECORD: &str = "INSERT INTO operator_acts (id, at, via, who, act, target, detail, outcome) \
     VALUES ($1, $2, $3, $4, $5, NULLIF($6, ''), NULLIF($7, ''), NULLIF($8, '')) \
     ON CONFLICT (id) DO UPDATE SET target = excluded.target, detail = excluded.detail, outcome = excluded.outcome";

pub(in crate::store) const PRUNE: &str = "DELETE FROM operator_acts WHERE id IN (SELECT id FROM operator_acts WHERE id < ($1 << 20) ORDER BY id LIMIT $2)";
pub(in crate::store) const HAS_OLD: &str =
    "SELECT count(*) AS number FROM (SELECT id FROM operator_acts WHERE id < ($1 << 20) LIMIT 1) AS old";

impl Command for RecordAct {
    type Reply = ();

    fn order(&self) -> Order {
        Order::Own(self.act.id.to_string())
    }

    fn apply(&self, db: &mut Db<'_>, _: Times) -> QueryResult<Result<(), Refusal>> {
        record(db, &self.act).map(Ok)
    }
}

pub(super) fn record(conn: &mut impl Writer, act: &OperatorAct) -> QueryResult<()> {
    let OperatorAct { id, at, via, who, act, target, detail, outcome } = act;
    let text = |text: &'_ Option<String>| text.as_deref().unwrap_or_default().to_owned();
    let (target, detail, outcome) = (text(target), text(detail), text(outcome));
    let statement = Statement::new(RECORD).number(*id).number(*at).text(via.as_str()).text(who).text(act);
    conn.run(statement.text(&target).text(&detail).text(&outcome)).map(drop)
}

#[derive(QueryableByName)]
struct ActRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    at: i64,
    #[diesel(sql_type = Text)]
    via: String,
    #[diesel(sql_type = Text)]
    who: String,
    #[diesel(sql_type = Text)]
    act: String,
    #[diesel(sql_type = Nullable<Text>)]
    target: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    detail: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    outcome: Option<String>,
}

impl From<ActRow> for OperatorAct {
    fn from(row: ActRow) -> Self {
        let ActRow { id, at, via, who, act, target, detail, outcome } = row;
        Self { id, at, via: Via::named(&via), who, act, target, detail, outcome }
    }
}

macro_rules! acts {
    () => {
        "SELECT id, at, via, who, act, target, detail, outcome FROM operator_acts WHERE id < $1 AND id >= ($2 << 20)"
    };
}

const ACTS: &str = concat!(acts!(), " ORDER BY id DESC LIMIT $3");
const ACTS_OF_TARGET: &str = concat!(acts!(), " AND target = $3 ORDER BY id DESC LIMIT $4");

impl Query for Acts {
    type Answer = ActPage;

    fn run(&self, conn: &mut Conn) -> QueryResult<ActPage> {
        let (before, since) =
            (self.before.unwrap_or(i64::MAX), self.since.unwrap_or(0).clamp(0, i64::MAX >> 20));
        let rows = match &self.target {
            None => Statement::new(ACTS)
                .number(before)
                .number(since)
                .number(and_one(self.limit))
                .load::<ActRow>(conn)?,
            Some(target) => {
                let statement = Statement::new(ACTS_OF_TARGET).number(before).number(since).text(target);
                statement.number(and_one(self.limit)).load::<ActRow>(conn)?
            }
        };
        let has_more = rows.len() > self.limit;
        Ok(ActPage { acts: rows.into_iter().take(self.limit).map(OperatorAct::from).collect(), has_more })
    }
}
