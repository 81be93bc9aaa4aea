//! Queries about notices.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, SmallInt, Text};

use super::views::{VIEW, VIEWS, ViewRow};
use crate::event::Conversation;
use crate::ids::{OpenId, TemplateId};
use crate::store::Query;
use crate::store::database::conn::Conn;
use crate::store::database::statement::Statement;
use crate::store::notices::{
    Candidate, GRANTS, NoticeCandidates, NoticeStanding, NoticeState, Quiet, UntoldPage, UntoldSince,
};
use crate::store::readers::query::{and_one, seq, unreadable};

const CANDIDATE: &str = "SELECT coalesce((SELECT p.nickname FROM profiles p WHERE p.openid = $1), '') AS nickname, \
     EXISTS (SELECT 1 FROM grants g WHERE g.openid = $2 AND g.template = $3 AND g.available > 0) AS granted";

#[derive(QueryableByName)]
struct CandidateRow {
    #[diesel(sql_type = Text)]
    nickname: String,
    #[diesel(sql_type = Bool)]
    granted: bool,
}

#[derive(QueryableByName)]
struct QuietRow {
    #[diesel(sql_type = SmallInt)]
    from_minute: i16,
    #[diesel(sql_type = SmallInt)]
    to_minute: i16,
    #[diesel(sql_type = SmallInt)]
    utc_offset_minutes: i16,
}

fn quiet_of(conn: &mut Conn, openid: &OpenId) -> QueryResult<Option<Quiet>> {
    let hours =
        "SELECT q.from_minute, q.to_minute, q.utc_offset_minutes FROM quiet_hours q WHERE q.openid = $1";
    let row = Statement::new(hours).text(openid.as_str()).get_result::<QuietRow>(conn).optional()?;
    Ok(row.map(|row| Quiet {
        from_minute: row.from_minute.unsigned_abs(),
        to_minute: row.to_minute.unsigned_abs(),
        utc_offset_minutes: row.utc_offset_minutes,
    }))
}

#[derive(QueryableByName)]
struct AvailableRow {
    #[diesel(sql_type = Text)]
    template: String,
    #[diesel(sql_type = BigInt)]
    available: i64,
}

#[derive(QueryableByName)]
struct UserRow {
    #[diesel(sql_type = Text)]
    openid: String,
}

impl Query for NoticeCandidates {
    type Answer = Vec<Candidate>;

    fn run(&self, conn: &mut Conn) -> QueryResult<Vec<Candidate>> {
        let mut candidates = Vec::new();
        for (recipient, conversation, up_to) in &self.of {
            let address = conversation.store_address();
            let view = Statement::new(VIEW).text(recipient.as_str()).text(&address);
            let Some(view) = view.get_result::<ViewRow>(conn).optional()? else { continue };
            if view.unread == 0 || up_to.get() <= view.floor_seq {
                continue;
            }
            let row = Statement::new(CANDIDATE)
                .text(conversation.address_str(recipient))
                .text(recipient.as_str())
                .text(self.template.as_str());
            let CandidateRow { nickname, granted } = row.get_result(conn)?;
            candidates.push(Candidate {
                recipient: recipient.clone(),
                conversation: conversation.clone(),
                unread: view.unread,
                newest: view.last_at,
                nickname,
                granted,
                muted: view.muted,
                has_written: view.has_written,
                quiet: quiet_of(conn, recipient)?,
            });
        }
        Ok(candidates)
    }
}

impl Query for NoticeState {
    type Answer = NoticeStanding;

    fn run(&self, conn: &mut Conn) -> QueryResult<NoticeStanding> {
        let grants = "SELECT g.template, g.available FROM grants g WHERE g.openid = $1 AND g.available > 0 ORDER BY g.template";
        let rows = Statement::new(grants).text(self.openid.as_str()).load::<AvailableRow>(conn)?;
        let grants = rows.into_iter().map(|row| {
            let template = TemplateId::parse(&row.template).map_err(unreadable)?;
            Ok((template, u32::try_from(row.available).unwrap_or(GRANTS)))
        });
        Ok(NoticeStanding {
            grants: grants.collect::<QueryResult<_>>()?,
            quiet: quiet_of(conn, &self.openid)?,
        })
    }
}

impl Query for UntoldSince {
    type Answer = UntoldPage;

    fn run(&self, conn: &mut Conn) -> QueryResult<UntoldPage> {
        let users = "SELECT g.openid FROM grants g WHERE g.template = $1 AND g.openid > $2 AND g.available > 0 ORDER BY g.openid LIMIT $3";
        let after = self.after.as_ref().map_or("", OpenId::as_str);
        let users =
            Statement::new(users).text(self.template.as_str()).text(after).number(and_one(self.limit));
        let rows = users.load::<UserRow>(conn)?;
        let users = rows
            .iter()
            .map(|row| OpenId::parse(&row.openid).map_err(unreadable))
            .collect::<QueryResult<Vec<_>>>()?;
        let mut untold = Vec::new();
        for openid in users.iter().take(self.limit) {
            let views = Statement::new(VIEWS).text(openid.as_str()).number(self.at).load::<ViewRow>(conn)?;
            for view in views.iter().filter(|view| {
                view.unread > 0 && !view.muted && !view.told && (view.has_written || self.strangers)
            }) {
                let peer = OpenId::parse(&view.peer).map_err(unreadable)?;
                let conversation = Conversation::direct(openid.clone(), peer);
                untold.push((openid.clone(), conversation, seq(view.last_seq)));
            }
        }
        let next = users.get(self.limit.wrapping_sub(1)).filter(|_| users.len() > self.limit).cloned();
        Ok(UntoldPage { untold, next })
    }
}
