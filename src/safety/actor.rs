//! ContentCheck: asks WeChat about texts, many at a time, and hands messages to the store in the order in
//! which they came.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use actix::{Actor, AsyncContext as _, Context, Handler, Message, ResponseFuture};
use futures_util::future::{join, join_all};
use tokio::sync::{Semaphore, oneshot};

use super::breaker::Breaker;
use super::budget::Budget;
use super::cache::Cache;
use super::handle::Common;
use super::limiter::Limiter;
use super::media_results;
use super::order::{Order, Ticket};
use super::pieces::pieces;
use super::text::{self, Media, Shown};
use super::verdict::{Reason, Said, Verdict, is_outage, of_pieces};
use crate::clock::Stopwatch;
use crate::config;
use crate::event::{By, Conversation, Found, Places, Refusal, Source};
use crate::ids::OpenId;
use crate::lifecycle::Vital;
use crate::store::messages::Append;
use crate::store::{Full, Reply, Write};
use crate::wechat::{Failure, Judgement, MediaCheck, Push, Scene, TextCheck, TraceId, WeChatApi, hint};

/// What mediaCheckAsync takes in a minute.
const MEDIA_PER_MINUTE: u32 = 2_000;

/// Milliseconds between two log lines on one limit that is reached.
const SAID_EVERY_MS: u64 = 60_000;

/// A message to be checked; it keeps its place among those of its sender to its recipient.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Check {
    pub append: Append,
    /// None: there is nothing to check, it only keeps its place.
    pub shown: Option<Shown>,
    /// The list has a word of it.
    pub is_listed: bool,
    pub place: Places,
    pub since: Instant,
}

/// A name to be checked.
#[derive(Message)]
#[rtype(result = "Verdict")]
pub struct CheckName {
    pub openid: OpenId,
    /// What the caller's network is counted by.
    pub address: String,
    pub name: String,
}

/// WeChat has told something by itself.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Pushed(pub Push);

/// What came of asking WeChat.
#[derive(Message)]
#[rtype(result = "()")]
struct Asked {
    text: Option<(Key, Vec<Result<Judgement, Failure>>)>,
    media: Option<Result<TraceId, Failure>>,
    then: Then,
}

enum Then {
    Store(Box<Waiting>),
    Tell { name: String, who: oneshot::Sender<Verdict> },
}

/// A message whose check is under way.
struct Waiting {
    ticket: Ticket<(OpenId, Conversation)>,
    append: Append,
    shown: Shown,
    /// What was known of the text without asking.
    known: Option<Said>,
    place: Places,
    since: Instant,
}

/// A message that may go once those before it have gone.
struct Ready {
    append: Append,
    place: Places,
    since: Option<Instant>,
}

/// What a verdict is remembered by.
type Key = (Scene, [u8; 32]);

pub struct ContentCheck {
    common: Arc<Common>,
    wechat: WeChatApi,
    scene: Scene,
    /// None: WeChat looks at no files.
    media: Option<Limiter>,
    limiter: Limiter,
    /// Calls of each user, and of each address that sets names.
    users: Budget<OpenId>,
    addresses: Budget<String>,
    /// When each of the two limits was last told of in the log.
    user_said: Option<u64>,
    quota_said: Option<u64>,
    breaker: Breaker,
    cache: Cache<Key, Judgement>,
    order: Order<(OpenId, Conversation), Ready>,
    /// Results of WeChat's that wait for the store.
    results: Arc<Semaphore>,
    started: Stopwatch,
    _vital: Vital,
}

impl ContentCheck {
    pub fn new(config: &config::Safety, common: Arc<Common>, wechat: WeChatApi, vital: Vital) -> Self {
        let scene = match config.scene {
            1 => Scene::Profile,
            2 => Scene::Comment,
            3 => Scene::Forum,
            _ => Scene::Social,
        };
        Self {
            common,
            wechat,
            scene,
            media: config.media.then(|| Limiter::new(config.per_minute.min(MEDIA_PER_MINUTE))),
            limiter: Limiter::new(config.per_minute),
            users: Budget::new(config.per_minute_per_user),
            addresses: Budget::new(config.per_minute_per_address),
            user_said: None,
            quota_said: None,
            breaker: Breaker::new(config.breaker_failures, config.breaker_rest_ms),
            cache: Cache::new(config.cache_entries),
            order: Order::new(),
            results: Arc::new(Semaphore::new(media_results::RESULTS_AT_MOST)),
            started: Stopwatch::start(),
            _vital: vital,
        }
    }

    fn now(&self) -> u64 {
        self.started.elapsed_ms()
    }

    /// What is known without asking, and what WeChat is to be asked; nothing of either for a text without a
    /// character to be seen, which WeChat takes not.
    ///
    /// # Errors
    /// The author has used up the calls that one user, or one address, may cause: the milliseconds to wait.
    fn plan(
        &mut self,
        author: &Author<'_>,
        scene: Scene,
        text: String,
        media: Option<Media>,
    ) -> Result<Plan, u64> {
        let now = self.now();
        let text = (!text.trim().is_empty()).then(|| ((scene, text::hash(&text)), text));
        let mut known = text.as_ref().and_then(|(key, _)| self.remembered(key, now));
        let mut text = text.filter(|_| known.is_none());
        let media = media.filter(|_| self.media.is_some());
        let of_text =
            text.as_ref().map_or(0, |(_, text)| u32::try_from(pieces(text).len()).unwrap_or(u32::MAX));
        self.check_budgets(author, of_text.saturating_add(u32::from(media.is_some())), now)?;
        if of_text > 0 {
            // The breaker first, so that a rest uses up nothing of the quota. A try that the quota then
            // forbids is made up for later.
            if self.breaker.may_call(now) && self.take_quota(of_text, now) {
                self.spend(author, of_text, now);
            } else {
                (known, text) = (Some(Said::Nothing), None);
            }
        }
        let media = media.map(|media| {
            let may =
                self.breaker.may_call(now) && self.media.as_mut().is_some_and(|limiter| limiter.take(1, now));
            if may {
                self.spend(author, 1, now);
            }
            if may { Ok(media) } else { Err(Failure::Busy) }
        });
        Ok(Plan { known, text, media })
    }

    fn remembered(&mut self, key: &Key, now: u64) -> Option<Said> {
        let judgement = self.cache.get(key, now)?;
        self.common.metrics.safety_remembered.inc();
        Some(Said::Judged(judgement))
    }

    fn check_budgets(&mut self, author: &Author<'_>, calls: u32, now: u64) -> Result<(), u64> {
        let of_user = self.users.check(author.openid, calls, now);
        let of_address = author.address.map_or(Ok(()), |address| self.addresses.check(address, calls, now));
        let wait = of_user.err().max(of_address.err());
        let Some(wait) = wait else { return Ok(()) };
        if is_due(&mut self.user_said, now) {
            log::warn!(openid:% = author.openid; "a user causes more checks by WeChat than one may; safety.per_minute_per_user slows them down");
        }
        Err(wait)
    }

    fn spend(&mut self, author: &Author<'_>, calls: u32, now: u64) {
        self.users.spend(author.openid, calls, now);
        if let Some(address) = author.address {
            self.addresses.spend(address, calls, now);
        }
    }

    /// Takes calls out of what this node may make in a minute: all of them, or none.
    fn take_quota(&mut self, calls: u32, now: u64) -> bool {
        if self.limiter.take(calls, now) {
            return true;
        }
        self.common.metrics.safety_over_quota.inc();
        if is_due(&mut self.quota_said, now) {
            log::warn!(
                "safety.per_minute is used up: WeChat is not asked about every text; safety.on_outage says what becomes of them"
            );
        }
        false
    }

    fn decide_name(&self, said: Said, name: &str) -> Verdict {
        self.common.policy.decide(said, || self.common.words.current().refuses(name))
    }

    /// What was said of a text; remembered where it was judged.
    fn learned(&mut self, key: Key, outcomes: Vec<Result<Judgement, Failure>>) -> Said {
        outcomes.iter().for_each(|outcome| self.answered(outcome));
        let said = of_pieces(outcomes);
        if let Said::Judged(judgement) = &said {
            self.cache.put(key, judgement.clone(), self.now());
        }
        said
    }

    fn answered<T>(&mut self, outcome: &Result<T, Failure>) {
        let was_closed = self.breaker.is_closed();
        match outcome {
            Err(failure) if is_outage(failure) => {
                self.common.seen.failed(failure.to_string());
                self.breaker.failed(self.now());
                if was_closed && !self.breaker.is_closed() {
                    log::warn!(failure:% = failure, hint = hint(failure); "WeChat does not check texts; safety.on_outage says what becomes of them");
                }
            }
            _ => {
                self.breaker.answered();
                if !was_closed {
                    log::info!("WeChat checks texts again");
                }
            }
        }
        let is_resting = !self.breaker.is_closed();
        self.common.seen.resting.store(is_resting, Ordering::Relaxed);
        self.common.metrics.safety_resting.set(i64::from(is_resting));
    }

    /// What becomes of a message by what was said of its text and of its file.
    fn decide(&mut self, waiting: Waiting, said: Option<Said>, media: Option<Result<TraceId, Failure>>) {
        let Waiting { ticket, append, shown, place, since, .. } = waiting;
        let common = self.common.clone();
        let of_text =
            said.map_or(Verdict::Pass, |said| common.policy.decide(said, || common.is_listed(&shown)));
        let append = match (&shown.media, media, of_text) {
            // Who is to be recalled later must be found by WeChat's name of the check: it goes before what
            // else was found.
            (Some(Media { url, .. }), Some(media), Verdict::Pass | Verdict::Noted(..)) => {
                common.decided(append, Source::Media, url, self.of_media(media))
            }
            (_, _, of_text) => common.decided(append, Source::Text, &shown.whole(), of_text),
        };
        self.release(ticket, Ready { append, place, since: Some(since) });
    }

    fn of_media(&self, asked: Result<TraceId, Failure>) -> Verdict {
        match asked {
            Ok(TraceId(trace_id)) => {
                Verdict::Noted(Found::Pending, Reason { by: By::WeChat, label: 0, trace_id })
            }
            Err(failure) => self.common.policy.decide(of_pieces(vec![Err(failure)]), || false),
        }
    }

    /// Hands on, in order, what need not wait any more.
    fn release(&mut self, ticket: Ticket<(OpenId, Conversation)>, ready: Ready) {
        for Ready { append, place, since } in self.order.ready(ticket, ready) {
            if let Some(since) = since {
                self.common.metrics.safety_check_seconds.observe(since.elapsed().as_secs_f64());
            }
            if let Err(Full(write)) = self.common.store.submit(append, Reply::Nobody)
                && let Write::Append(Append { draft, .. }) = *write
            {
                self.common.senders.refused(draft, Refusal::Unavailable, place);
            }
        }
    }

    /// Asks WeChat beside everything else; what it says comes as [`Asked`].
    fn ask(&self, inquiry: Inquiry, then: Then, ctx: &Context<Self>) {
        let (wechat, scene, address) = (self.wechat.clone(), self.scene, ctx.address());
        // A task of its own: an actor polls all its futures whenever one of them moves.
        actix_rt::spawn(async move {
            let Inquiry { openid, text, media } = inquiry;
            let of_text = async {
                let (key, text) = text?;
                let calls = pieces(&text).into_iter().map(|content| {
                    let check = TextCheck { openid: &openid, scene: key.0, content, nickname: None };
                    let wechat = &wechat;
                    async move { wechat.msg_sec_check(&check).await }
                });
                Some((key, join_all(calls).await))
            };
            let of_media = async {
                let Media { url, kind } = match media? {
                    Ok(media) => media,
                    Err(failure) => return Some(Err(failure)),
                };
                Some(wechat.media_check_async(&MediaCheck { openid: &openid, scene, url: &url, kind }).await)
            };
            let (text, media) = join(of_text, of_media).await;
            address.do_send(Asked { text, media, then });
        });
    }
}

/// Whose calls they are.
struct Author<'a> {
    openid: &'a OpenId,
    /// Of a name: where it is set from.
    address: Option<&'a String>,
}

/// What is known of a text without asking, and what to ask.
struct Plan {
    known: Option<Said>,
    /// Text, and what its verdict is remembered by.
    text: Option<(Key, String)>,
    /// An error where WeChat may not be asked now.
    media: Option<Result<Media, Failure>>,
}

/// Whether a limit that is reached is to be told of again.
fn is_due(said: &mut Option<u64>, now: u64) -> bool {
    let is_due = said.is_none_or(|at| now.saturating_sub(at) >= SAID_EVERY_MS);
    if is_due {
        *said = Some(now);
    }
    is_due
}

/// What WeChat is to be asked.
struct Inquiry {
    openid: OpenId,
    text: Option<(Key, String)>,
    media: Option<Result<Media, Failure>>,
}

impl Actor for ContentCheck {
    type Context = Context<Self>;
}

impl Handler<Check> for ContentCheck {
    type Result = ();

    fn handle(&mut self, check: Check, ctx: &mut Self::Context) {
        let Check { append, shown, is_listed, place, since } = check;
        let ticket = self.order.join((append.draft.sender.clone(), append.draft.conversation.clone()));
        let Some(shown) = shown else { return self.release(ticket, Ready { append, place, since: None }) };
        let whole = shown.whole();
        if is_listed {
            let append =
                self.common.decided(append, Source::Text, &whole, Verdict::Refused(Reason::of_list()));
            return self.release(ticket, Ready { append, place, since: None });
        }
        let openid = append.draft.sender.clone();
        let author = Author { openid: &openid, address: None };
        let Plan { known, text, media } = match self.plan(&author, self.scene, whole, shown.media.clone()) {
            Ok(plan) => plan,
            Err(retry_after_ms) => {
                let append =
                    self.common.decided(append, Source::Text, "", Verdict::OverBudget { retry_after_ms });
                return self.release(ticket, Ready { append, place, since: None });
            }
        };
        let waiting = Waiting { ticket, append, shown, known, place, since };
        if text.is_none() && media.is_none() {
            let known = waiting.known.clone();
            return self.decide(waiting, known, None);
        }
        self.ask(Inquiry { openid, text, media }, Then::Store(Box::new(waiting)), ctx);
    }
}

impl Handler<CheckName> for ContentCheck {
    type Result = ResponseFuture<Verdict>;

    fn handle(
        &mut self,
        CheckName { openid, address, name }: CheckName,
        ctx: &mut Self::Context,
    ) -> Self::Result {
        let author = Author { openid: &openid, address: Some(&address) };
        let Plan { known, text, .. } = match self.plan(&author, Scene::Profile, name.clone(), None) {
            Ok(plan) => plan,
            Err(retry_after_ms) => return Box::pin(async move { Verdict::OverBudget { retry_after_ms } }),
        };
        if text.is_none() {
            let verdict = known.map_or(Verdict::Pass, |said| self.decide_name(said, &name));
            return Box::pin(async { verdict });
        }
        let (who, told) = oneshot::channel();
        self.ask(Inquiry { openid, text, media: None }, Then::Tell { name, who }, ctx);
        Box::pin(async { told.await.unwrap_or(Verdict::Unjudged) })
    }
}

impl Handler<Asked> for ContentCheck {
    type Result = ();

    fn handle(&mut self, Asked { text, media, then }: Asked, _: &mut Self::Context) {
        if let Some(media) = &media {
            self.answered(media);
        }
        let said = text.map(|(key, outcomes)| self.learned(key, outcomes));
        match then {
            Then::Store(waiting) => {
                let said = said.or_else(|| waiting.known.clone());
                self.decide(*waiting, said, media);
            }
            Then::Tell { name, who } => {
                let _ = who.send(said.map_or(Verdict::Unjudged, |said| self.decide_name(said, &name)));
            }
        }
    }
}

impl Handler<Pushed> for ContentCheck {
    type Result = ();

    fn handle(&mut self, Pushed(push): Pushed, _: &mut Self::Context) {
        let Some(result) = media_results::MediaResult::of(push) else { return };
        match self.results.clone().try_acquire_owned() {
            Ok(place) => drop(actix_rt::spawn(media_results::settle(self.common.clone(), result, place))),
            Err(_) => log::error!("too many results of media checks wait for the store; one is dropped"),
        }
    }
}
