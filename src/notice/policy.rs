//! Decisions: about a conversation whose time has come, and after WeChat was asked to send. Plain: no clock,
//! no network.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use super::quiet::quiet_until;
use crate::metrics::NoticeResult;
use crate::store::notices::{Candidate, NoticeOutcome, Quiet};
use crate::wechat::{BUSY, NO_GRANT, SendFailure, Sent};

/// About a conversation with something unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    Tell,
    /// It is quiet until then (Unix milliseconds).
    Later(i64),
    Muted,
    NoGrant,
    /// The recipient has never written to the sender.
    Stranger,
}

/// `usual`: quiet hours of users who have set none. `strangers`: whether a user the recipient never wrote to
/// may draw a notice.
pub fn judge(candidate: &Candidate, usual: Option<Quiet>, strangers: bool, now: i64) -> Judgement {
    if candidate.muted {
        Judgement::Muted
    } else if !candidate.has_written && !strangers {
        Judgement::Stranger
    } else if !candidate.granted {
        Judgement::NoGrant
    } else {
        candidate
            .quiet
            .or(usual)
            .and_then(|quiet| quiet_until(quiet, now))
            .map_or(Judgement::Tell, Judgement::Later)
    }
}

/// What follows from an answer of WeChat's, or from none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendOutcome {
    Sent {
        msgid: Option<String>,
    },
    /// WeChat says that they have agreed to none: our ledger was wrong.
    Empty {
        code: i32,
    },
    /// Refused for good, and for this one alone.
    Failed {
        code: i32,
    },
    /// Refused for what stands in it: perhaps this one alone, perhaps the settings.
    Odd {
        code: i32,
        hint: &'static str,
    },
    /// Refused for a setting or a quota: the next would fare no better.
    Rest {
        code: i32,
        hint: &'static str,
    },
    /// Surely not sent, for nothing that is wrong with it.
    Again,
    /// It may be there: never again.
    Unknown,
}

pub fn aftermath(outcome: Result<Sent, SendFailure>) -> SendOutcome {
    match outcome {
        Ok(Sent { msgid }) => SendOutcome::Sent { msgid },
        Err(SendFailure::NotSent(_)) => SendOutcome::Again,
        Err(SendFailure::Unknown(_)) => SendOutcome::Unknown,
        Err(SendFailure::Refused { code, .. }) => refused(code),
    }
}

fn refused(wide: i64) -> SendOutcome {
    let code = i32::try_from(wide).unwrap_or(i32::MIN);
    match wide {
        BUSY => SendOutcome::Again,
        NO_GRANT => SendOutcome::Empty { code },
        40003 => SendOutcome::Odd {
            code,
            hint: "WeChat does not know this openid: does wechat.appid belong to these users?",
        },
        47003 => SendOutcome::Odd {
            code,
            hint: "notice.fields do not fit the template: compare them with WeChat's console",
        },
        40037 => SendOutcome::Rest { code, hint: "notice.template_id is none of this mini-program's" },
        41030 => SendOutcome::Rest { code, hint: "notice.page is no page of the published mini-program" },
        40013 => SendOutcome::Rest { code, hint: "wechat.appid is wrong" },
        48001 => SendOutcome::Rest { code, hint: "this mini-program may not send subscribe messages" },
        45009 | 45011 | 45047 => SendOutcome::Rest { code, hint: "WeChat's quota is used up" },
        _ => SendOutcome::Failed { code },
    }
}

impl SendOutcome {
    /// What the ledger is told. WeChat uses nothing up where it refuses for a fault of ours, and neither do
    /// we.
    pub fn settled(&self) -> NoticeOutcome {
        match self {
            Self::Sent { msgid } => NoticeOutcome::Sent { msgid: msgid.clone() },
            Self::Empty { code } | Self::Failed { code } => NoticeOutcome::Failed { code: *code },
            Self::Odd { .. } | Self::Rest { .. } | Self::Again => NoticeOutcome::Returned,
            Self::Unknown => NoticeOutcome::Unknown,
        }
    }

    /// The outcome in metrics.
    pub fn result(&self) -> NoticeResult {
        match self {
            Self::Sent { .. } => NoticeResult::Sent,
            Self::Empty { .. } => NoticeResult::NoGrantAtWechat,
            Self::Failed { .. } | Self::Odd { .. } => NoticeResult::Refused,
            Self::Rest { .. } => NoticeResult::RefusedForSettings,
            Self::Again => NoticeResult::NotSent,
            Self::Unknown => NoticeResult::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Conversation;
    use crate::ids::OpenId;
    use crate::wechat::Failure;

    fn candidate(change: impl FnOnce(&mut Candidate)) -> Candidate {
        let id = |text| OpenId::parse(text).unwrap();
        let mut candidate = Candidate {
            recipient: id("alice"),
            conversation: Conversation::direct(id("alice"), id("bob")),
            unread: 1,
            newest: 0,
            nickname: String::new(),
            granted: true,
            muted: false,
            has_written: true,
            quiet: None,
        };
        change(&mut candidate);
        candidate
    }

    #[test]
    fn who_wants_none_or_has_agreed_to_none_is_not_told() {
        assert_eq!(judge(&candidate(|_| {}), None, false, 0), Judgement::Tell);
        assert_eq!(judge(&candidate(|c| c.muted = true), None, false, 0), Judgement::Muted);
        assert_eq!(judge(&candidate(|c| c.granted = false), None, false, 0), Judgement::NoGrant);
        let stranger = candidate(|c| c.has_written = false);
        assert_eq!(
            [false, true].map(|strangers| judge(&stranger, None, strangers, 0)),
            [Judgement::Stranger, Judgement::Tell]
        );
    }

    #[test]
    fn her_own_quiet_hours_go_before_the_usual_ones() {
        let hours = |from_minute, to_minute| Some(Quiet { from_minute, to_minute, utc_offset_minutes: 0 });
        assert_eq!(judge(&candidate(|_| {}), hours(0, 60), false, 0), Judgement::Later(3_600_000));
        assert_eq!(
            judge(&candidate(|c| c.quiet = hours(0, 1)), hours(0, 60), false, 0),
            Judgement::Later(60_000)
        );
        assert_eq!(judge(&candidate(|c| c.quiet = hours(60, 120)), hours(0, 60), false, 0), Judgement::Tell);
    }

    #[test]
    fn every_answer_of_wechat_has_its_outcome() {
        let settled = |outcome| aftermath(outcome).settled();
        assert_eq!(
            settled(Ok(Sent { msgid: Some("1".into()) })),
            NoticeOutcome::Sent { msgid: Some("1".into()) }
        );
        assert_eq!(settled(Err(SendFailure::NotSent(Failure::Connect))), NoticeOutcome::Returned);
        assert_eq!(settled(Err(SendFailure::Unknown(Failure::Timeout))), NoticeOutcome::Unknown);
        let refused = |code| aftermath(Err(SendFailure::Refused { code, rid: String::new() }));
        assert_eq!(refused(43101), SendOutcome::Empty { code: 43101 });
        for code in [40037, 41030, 40013, 48001, 45009, 45011] {
            assert!(matches!(refused(code), SendOutcome::Rest { .. }), "{code}");
        }
        for code in [40003, 47003] {
            assert!(matches!(refused(code), SendOutcome::Odd { .. }), "{code}");
        }
        for code in [40003, 47003, 40037, 41030, 45009, -1] {
            assert_eq!(refused(code).settled(), NoticeOutcome::Returned, "{code} uses nothing up");
        }
        assert_eq!(refused(-1), SendOutcome::Again);
        assert_eq!(refused(99_999).settled(), NoticeOutcome::Failed { code: 99_999 });
    }
}
