//! From what the list and WeChat say to what becomes of a text. Plain: no clock, no network.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use crate::config::{OnReview, Unjudged};
use crate::event::{By, Found};
use crate::wechat::{Failure, Judgement, Suggest};

/// What the operator has set.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    pub review: OnReview,
    pub on_inactive: Unjudged,
    pub on_outage: Unjudged,
}

/// What WeChat said of a whole text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    Judged(Judgement),
    /// It does not judge what this user writes: they were not in the mini-program lately, or never.
    Inactive,
    /// Nothing: it does not answer, or may not be asked now.
    Nothing,
}

/// What becomes of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    /// It passes, and that is kept.
    Noted(Found, Reason),
    Refused(Reason),
    /// It was not judged, and may not pass without.
    Unjudged,
    /// Its author has used up the checks that one user may cause.
    OverBudget {
        retry_after_ms: u64,
    },
}

/// Who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    pub by: By,
    /// WeChat's, or 0.
    pub label: i32,
    pub trace_id: String,
}

impl Reason {
    pub fn of_list() -> Self {
        Self { by: By::Local, label: 0, trace_id: String::new() }
    }

    fn none() -> Self {
        Self { by: By::WeChat, label: 0, trace_id: String::new() }
    }
}

impl From<Judgement> for Reason {
    fn from(Judgement { label, trace_id, .. }: Judgement) -> Self {
        Self { by: By::WeChat, label, trace_id }
    }
}

impl Policy {
    /// `is_listed` says whether the list has a word of it; asked only where the list is to stand in for
    /// WeChat.
    pub fn decide(&self, said: Said, is_listed: impl FnOnce() -> bool) -> Verdict {
        let stand_in = match said {
            Said::Judged(judgement) => return self.judged(judgement),
            // What a minute's wait does not mend is no `unavailable`, which clients try again.
            Said::Inactive if self.on_inactive == Unjudged::Closed => return Verdict::Refused(Reason::none()),
            Said::Inactive => self.on_inactive,
            Said::Nothing => self.on_outage,
        };
        match stand_in {
            Unjudged::Closed => Verdict::Unjudged,
            Unjudged::Local if is_listed() => Verdict::Refused(Reason::of_list()),
            Unjudged::Local | Unjudged::Open => Verdict::Noted(Found::Unchecked, Reason::none()),
        }
    }

    fn judged(&self, judgement: Judgement) -> Verdict {
        match (judgement.suggest, self.review) {
            (Suggest::Pass, _) => Verdict::Pass,
            (Suggest::Review, OnReview::Pass) => Verdict::Noted(Found::Review, judgement.into()),
            (Suggest::Review, OnReview::Refuse) | (Suggest::Risky, _) => Verdict::Refused(judgement.into()),
        }
    }
}

/// What was said of the pieces of a text is said of the text: the worst counts, and what could not be judged
/// only where nothing is bad.
pub fn of_pieces(pieces: Vec<Result<Judgement, Failure>>) -> Said {
    let mut unjudged = None;
    let mut worst: Option<Judgement> = None;
    for piece in pieces {
        match piece {
            Ok(judgement) if worst.as_ref().is_none_or(|worst| judgement.suggest > worst.suggest) => {
                worst = Some(judgement)
            }
            Ok(_) => {}
            Err(failure) if is_about_the_user(&failure) => unjudged = unjudged.or(Some(Said::Inactive)),
            Err(_) => unjudged = Some(Said::Nothing),
        }
    }
    match (worst, unjudged) {
        (Some(worst), _) if worst.suggest == Suggest::Risky => Said::Judged(worst),
        (_, Some(unjudged)) => unjudged,
        (Some(worst), None) => Said::Judged(worst),
        (None, None) => Said::Nothing,
    }
}

/// The user was not active for two hours (61010), or is none of this mini-program (43104, 40003), such as one
/// to whom a backend gave a token.
fn is_about_the_user(failure: &Failure) -> bool {
    matches!(failure, Failure::Code { code: 61010 | 43104 | 40003, .. })
}

/// Whether WeChat failed, so that others will meet the same. An answer about one user or one text (44002,
/// 47001) is none.
pub fn is_outage(failure: &Failure) -> bool {
    !is_about_the_user(failure) && !matches!(failure, Failure::Code { code: 44002 | 47001, .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(suggest: Suggest, label: i32) -> Judgement {
        Judgement { suggest, label, trace_id: format!("t{label}") }
    }

    fn code(code: i64) -> Failure {
        Failure::Code { code, rid: String::new() }
    }

    fn policy(review: OnReview, on_inactive: Unjudged, on_outage: Unjudged) -> Policy {
        Policy { review, on_inactive, on_outage }
    }

    #[test]
    fn what_wechat_judges_is_done_as_the_operator_wants() {
        let said = |suggest, review| {
            policy(review, Unjudged::Open, Unjudged::Open).decide(Said::Judged(judged(suggest, 7)), || true)
        };
        let reason = Reason { by: By::WeChat, label: 7, trace_id: "t7".into() };
        assert_eq!(said(Suggest::Pass, OnReview::Refuse), Verdict::Pass);
        assert_eq!(said(Suggest::Review, OnReview::Pass), Verdict::Noted(Found::Review, reason.clone()));
        assert_eq!(said(Suggest::Review, OnReview::Refuse), Verdict::Refused(reason.clone()));
        assert_eq!(said(Suggest::Risky, OnReview::Pass), Verdict::Refused(reason));
    }

    #[test]
    fn what_wechat_does_not_judge_is_done_as_the_operator_wants() {
        let passes = Verdict::Noted(Found::Unchecked, Reason::none());
        let by_list = Verdict::Refused(Reason::of_list());
        for (said, inactive, outage, is_listed, want) in [
            (Said::Inactive, Unjudged::Open, Unjudged::Closed, true, passes.clone()),
            (Said::Inactive, Unjudged::Local, Unjudged::Closed, true, by_list.clone()),
            (Said::Inactive, Unjudged::Local, Unjudged::Closed, false, passes.clone()),
            (Said::Inactive, Unjudged::Closed, Unjudged::Open, false, Verdict::Refused(Reason::none())),
            (Said::Nothing, Unjudged::Closed, Unjudged::Open, true, passes.clone()),
            (Said::Nothing, Unjudged::Closed, Unjudged::Local, true, by_list),
            (Said::Nothing, Unjudged::Closed, Unjudged::Local, false, passes),
            (Said::Nothing, Unjudged::Open, Unjudged::Closed, false, Verdict::Unjudged),
        ] {
            assert_eq!(
                policy(OnReview::Pass, inactive, outage).decide(said.clone(), || is_listed),
                want,
                "{said:?}"
            );
        }
    }

    #[test]
    fn the_worst_piece_counts() {
        use Suggest::{Pass, Review, Risky};
        let of = |pieces: Vec<Result<Judgement, Failure>>| of_pieces(pieces);
        assert_eq!(
            of(vec![Ok(judged(Pass, 1)), Ok(judged(Review, 2)), Ok(judged(Pass, 3))]),
            Said::Judged(judged(Review, 2))
        );
        assert_eq!(
            of(vec![Ok(judged(Review, 1)), Ok(judged(Risky, 2)), Err(Failure::Timeout)]),
            Said::Judged(judged(Risky, 2))
        );
        assert_eq!(of(vec![Ok(judged(Review, 1)), Err(Failure::Timeout)]), Said::Nothing);
        assert_eq!(of(vec![Ok(judged(Pass, 1)), Err(code(61010))]), Said::Inactive);
        assert_eq!(of(vec![Err(code(61010)), Err(Failure::Connect), Err(code(61010))]), Said::Nothing);
        assert_eq!(of(vec![Ok(judged(Pass, 1)), Ok(judged(Pass, 2))]), Said::Judged(judged(Pass, 1)));
    }

    #[test]
    fn an_answer_about_one_user_or_text_is_no_outage() {
        assert!([61010, 43104, 40003, 44002, 47001].iter().all(|c| !is_outage(&code(*c))));
        assert!([-1, 40001, 45009, 45011, 40129].iter().all(|c| is_outage(&code(*c))));
        assert!(is_outage(&Failure::Timeout) && is_outage(&Failure::Status(502)));
    }
}
