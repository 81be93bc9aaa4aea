//! A write without its answer, for when a thread that hangs holds the first one.

use super::messages::{
    Abandon, Answer, Append, Audit, Block, Clear, ConversationSettings, Decide, GrantChange, Mark,
    ProfileChange, Prune, QuietHours, RecordAct, Reserve, Revoke, SeenUsers, Settle, Write,
};

impl Write {
    pub(super) fn without_answer(&self) -> Self {
        let answer = Answer::Nobody;
        match self {
            Self::Append(Append { draft, admission, finding, charge }) => Self::Append(Append {
                draft: draft.clone(),
                admission: *admission,
                finding: finding.clone(),
                charge: charge.clone(),
            }),
            Self::Mark(w) => Self::Mark(Mark { receipt: w.receipt.clone(), answer }),
            Self::Clear(w) => {
                Self::Clear(Clear { openid: w.openid.clone(), peer: w.peer.clone(), up_to: w.up_to, answer })
            }
            Self::Block(w) => Self::Block(Block {
                openid: w.openid.clone(),
                peer: w.peer.clone(),
                change: w.change,
                answer,
            }),
            Self::Revoke(w) => Self::Revoke(Revoke {
                openid: w.openid.clone(),
                what: w.what,
                decision: w.decision.clone(),
                answer,
            }),
            Self::Profile(w) => Self::Profile(ProfileChange::new(
                w.openid.clone(),
                w.nickname.clone(),
                w.avatar.clone(),
                answer,
            )),
            Self::Audit(w) => {
                Self::Audit(Audit { openid: w.openid.clone(), finding: w.finding.clone(), answer })
            }
            Self::Decide(w) => {
                Self::Decide(Decide { audit: w.audit, decision: w.decision, label: w.label, answer })
            }
            Self::Prune(w) => Self::Prune(Prune { log: w.log, before: w.before, rows: w.rows, answer }),
            Self::Act(w) => Self::Act(RecordAct { act: w.act.clone(), answer }),
            Self::Seen(w) => Self::Seen(SeenUsers { users: w.users.clone(), answer }),
            Self::Grant(w) => {
                let (openid, template) = (w.openid.clone(), w.template.clone());
                Self::Grant(GrantChange { openid, template, change: w.change.clone(), answer })
            }
            Self::Reserve(w) => Self::Reserve(Reserve {
                openid: w.openid.clone(),
                peer: w.peer.clone(),
                template: w.template.clone(),
                up_to: w.up_to,
                node: w.node.clone(),
                strangers: w.strangers,
                answer,
            }),
            Self::Settle(w) => Self::Settle(Settle { id: w.id, outcome: w.outcome.clone(), answer }),
            Self::Abandon(w) => Self::Abandon(Abandon { reserved_before: w.reserved_before, answer }),
            Self::Settings(w) => Self::Settings(ConversationSettings {
                openid: w.openid.clone(),
                peer: w.peer.clone(),
                muted: w.muted,
                answer,
            }),
            Self::Quiet(w) => Self::Quiet(QuietHours { openid: w.openid.clone(), quiet: w.quiet, answer }),
        }
    }
}
