//! ContentCheck: asks WeChat about texts, many at a time, and hands messages to the store in the order in which they came.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use actix::{Actor, AsyncContext as _, Context, Handler, Message, ResponseFuture};
use futures_util::future::{join, join_all};
use tokio::sync::oneshot;

use super::breaker::Breaker;
use super::cache::Cache;
use super::handle::Common;
use super::late;
use super::limiter::Limiter;
use super::order::{Order, Ticket};
use super::pieces::pieces;
use super::text::{self, Media, Shown};
use super::verdict::{Reason, Said, Verdict, is_outage, of_pieces};
use crate::config;
use crate::event::{By, Committed, Event, Found, Places, Refusal, Source};
use crate::ids::OpenId;
use crate::lifecycle::Vital;
use crate::store::Full;
use crate::store::messages::{Append, Write};
use crate::wechat::{Failure, Judgement, MediaCheck, Push, Scene, TextCheck, TraceId, WeChatApi, hint};

/// What mediaCheckAsync takes in a minute.
const MEDIA_PER_MINUTE: u32 = 2_000;

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
    ticket: Ticket<(OpenId, OpenId)>,
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
    breaker: Breaker,
    cache: Cache<Key, Judgement>,
    order: Order<(OpenId, OpenId), Ready>,
    /// Results of WeChat's that wait for the commit of their message.
    late: Arc<AtomicUsize>,
    started: Instant,
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
            breaker: Breaker::new(config.breaker_failures, config.breaker_rest_ms),
            cache: Cache::new(config.cache_entries),
            order: Order::new(),
            late: Arc::default(),
            started: Instant::now(),
            _vital: vital,
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// What is known of a text without asking; or what to ask, and what the answer is remembered by.
    fn look_up(&mut self, scene: Scene, text: String) -> (Option<Said>, Option<(Key, String)>) {
        // WeChat takes no text without a character to be seen.
        if text.trim().is_empty() {
            return (None, None);
        }
        let key = (scene, text::hash(&text));
        match self.known(&key, pieces(&text).len()) {
            None => (None, Some((key, text))),
            known => (known, None),
        }
    }

    /// What WeChat is to look at, where it does; an error where it may not be asked now.
    fn may_look_at(&mut self, media: Media) -> Option<Result<Media, Failure>> {
        let now = self.now();
        let limiter = self.media.as_mut()?;
        let may = self.breaker.may_call(now) && limiter.take(1, now);
        Some(if may { Ok(media) } else { Err(Failure::Busy) })
    }

    fn decide_name(&self, said: Said, name: &str) -> Verdict {
        self.common.policy.decide(said, || self.common.words.current().refuses(name))
    }

    /// What is known of a text without asking, or why WeChat is not asked.
    fn known(&mut self, key: &Key, calls: usize) -> Option<Said> {
        let now = self.now();
        if let Some(judgement) = self.cache.get(key, now) {
            self.common.metrics.safety_remembered.inc();
            return Some(Said::Judged(judgement));
        }
        // First, so that a rest uses up nothing of the quota. A try that the quota then forbids is made up for after a further rest.
        if !self.breaker.may_call(now) {
            return Some(Said::Nothing);
        }
        if !self.limiter.take(u32::try_from(calls).unwrap_or(u32::MAX), now) {
            self.common.metrics.safety_over_quota.inc();
            return Some(Said::Nothing);
        }
        None
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
        let of_text = said.map_or(Verdict::Pass, |said| common.policy.decide(said, || common.is_listed(&shown)));
        let append = match (&shown.media, media, of_text) {
            // Who is to be recalled later must be found by WeChat's name of the check: it goes before what else was found.
            (Some(Media { url, .. }), Some(media), Verdict::Pass | Verdict::Noted(..)) => {
                common.decided(append, Source::Media, url, self.of_media(media))
            }
            (_, _, of_text) => common.decided(append, Source::Text, &shown.whole(), of_text),
        };
        self.release(ticket, Ready { append, place, since: Some(since) });
    }

    fn of_media(&self, asked: Result<TraceId, Failure>) -> Verdict {
        match asked {
            Ok(TraceId(trace_id)) => Verdict::Noted(Found::Pending, Reason { by: By::WeChat, label: 0, trace_id }),
            Err(failure) => self.common.policy.decide(of_pieces(vec![Err(failure)]), || false),
        }
    }

    /// Hands on, in order, what need not wait any more.
    fn release(&mut self, ticket: Ticket<(OpenId, OpenId)>, ready: Ready) {
        for Ready { append, place, since } in self.order.ready(ticket, ready) {
            if let Some(since) = since {
                self.common.metrics.safety_check_seconds.observe(since.elapsed().as_secs_f64());
            }
            if let Err(Full(write)) = self.common.store.submit(Write::Append(append))
                && let Write::Append(Append { draft, .. }) = *write
            {
                let events = vec![Event::Refused { draft, why: Refusal::Unavailable }];
                self.common.chat.do_send(Committed { events, places: place });
            }
        }
    }

    /// Asks WeChat beside everything else; what it says comes as [`Asked`].
    fn ask(&self, job: Job, then: Then, ctx: &Context<Self>) {
        let (wechat, scene, address) = (self.wechat.clone(), self.scene, ctx.address());
        // A task of its own: an actor polls all its futures whenever one of them moves.
        actix_rt::spawn(async move {
            let Job { openid, text, media } = job;
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

/// What WeChat is to be asked.
struct Job {
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
        let ticket = self.order.join((append.draft.sender.clone(), append.draft.peer.clone()));
        let Some(shown) = shown else { return self.release(ticket, Ready { append, place, since: None }) };
        let whole = shown.whole();
        if is_listed {
            let append = self.common.decided(append, Source::Text, &whole, Verdict::Refused(Reason::of_list()));
            return self.release(ticket, Ready { append, place, since: None });
        }
        let (known, text) = self.look_up(self.scene, whole);
        let media = shown.media.clone().and_then(|media| self.may_look_at(media));
        let openid = append.draft.sender.clone();
        let waiting = Waiting { ticket, append, shown, known, place, since };
        if text.is_none() && media.is_none() {
            let known = waiting.known.clone();
            return self.decide(waiting, known, None);
        }
        self.ask(Job { openid, text, media }, Then::Store(Box::new(waiting)), ctx);
    }
}

impl Handler<CheckName> for ContentCheck {
    type Result = ResponseFuture<Verdict>;

    fn handle(&mut self, CheckName { openid, name }: CheckName, ctx: &mut Self::Context) -> Self::Result {
        let (known, text) = self.look_up(Scene::Profile, name.clone());
        if text.is_none() {
            let verdict = known.map_or(Verdict::Pass, |said| self.decide_name(said, &name));
            return Box::pin(async { verdict });
        }
        let (who, told) = oneshot::channel();
        self.ask(Job { openid, text, media: None }, Then::Tell { name, who }, ctx);
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
        let Some(result) = late::MediaResult::of(push) else { return };
        match Places::take(&self.late, late::AT_MOST) {
            Some(place) => drop(actix_rt::spawn(late::settle(self.common.clone(), result, place))),
            None => log::error!("too many results of media checks wait for their messages; one is dropped"),
        }
    }
}
