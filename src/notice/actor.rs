//! The Notifier: holds the schedule, has judged what is due, and lets so many notices at once go to WeChat.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{
    Actor, ActorFutureExt as _, Arbiter, AsyncContext as _, Context, Handler, Message, ResponseFuture,
    WrapFuture as _,
};
use tokio::sync::oneshot;

use super::deliver::{Delivered, Sender};
use super::evaluate::{Evaluator, Ruling};
use super::handle::{NotifierHandle, Seen, Standing};
use super::policy::SendOutcome;
use super::rest::Rest;
use super::schedule::{Added, NoticeKey, Schedule, Waiting};
use super::{NotifierPorts, Settings, ledger};
use crate::backoff::Backoff;
use crate::clock::Stopwatch;
use crate::ids::{OpenId, Seq, now_ms};
use crate::lifecycle::Vital;
use crate::metrics::{Metrics, NoticeResult};
use crate::outage::Outage;
use crate::store::Store;
use crate::store::notices::{Candidate, UntoldSince};
use crate::wechat::WeChatApi;
use crate::wechat::push::SubscribeChange;

/// Messages that may wait for this actor.
const MAILBOX: usize = 16_384;
/// Times that one conversation is tried anew after WeChat was not reached; the wait doubles each time, up to
/// [`AGAIN_AT_MOST`].
const TRIES: u32 = 4;
const AGAIN_AT_MOST: Duration = Duration::from_millis(AGAIN_AT_MOST_MS);
const AGAIN_AT_MOST_MS: u64 = 600_000;
/// How old a message may be, in milliseconds, that is still told of after a restart. Quiet hours are shorter.
const RECOVERED: i64 = 24 * 3_600_000;
/// Users whom one question of the recovery looks at, and how often it is asked before that is given up.
const RECOVERED_AT_ONCE: usize = 500;
const RECOVERY_TRIES: u32 = 30;

/// The singleton. Its death ends the process.
pub struct Notifier {
    settings: Rc<Settings>,
    store: Store,
    bench: Evaluator,
    courier: Sender,
    metrics: Metrics,
    standing: Arc<Standing>,
    schedule: Schedule,
    /// Judged, and without a place yet.
    ready: VecDeque<(Waiting, Candidate)>,
    evaluate: bool,
    in_flight: usize,
    rest: Rest,
    /// Notices that WeChat is not reached for.
    unreached: Outage,
    /// Set once the server leaves: told when nothing is under way.
    leaving: Option<Vec<oneshot::Sender<()>>>,
    _vital: Vital,
}

impl Notifier {
    /// Starts the Notifier on a thread of its own, where `wechat` is called.
    pub fn start_with(
        settings: Settings,
        ports: NotifierPorts,
        wechat: impl FnOnce() -> WeChatApi + Send + 'static,
        metrics: &Metrics,
        vital: Vital,
    ) -> NotifierHandle {
        let standing = Arc::<Standing>::default();
        let (counted, shared) = (metrics.clone(), standing.clone());
        let notifier = Self::start_in_arbiter(&Arbiter::new().handle(), move |ctx| {
            ctx.set_mailbox_capacity(MAILBOX);
            Self::new(settings, ports, wechat(), counted, shared, vital)
        });
        NotifierHandle { notifier, standing, metrics: metrics.clone() }
    }

    fn new(
        settings: Settings,
        ports: NotifierPorts,
        wechat: WeChatApi,
        metrics: Metrics,
        standing: Arc<Standing>,
        vital: Vital,
    ) -> Self {
        let settings = Rc::new(settings);
        let NotifierPorts { store, presence } = ports;
        Self {
            bench: Evaluator {
                settings: settings.clone(),
                store: store.clone(),
                presence: presence.into(),
                began: Stopwatch::start(),
            },
            courier: Sender { settings: settings.clone(), store: store.clone(), wechat },
            schedule: Schedule::new(settings.pending),
            settings,
            store,
            metrics,
            standing,
            ready: VecDeque::new(),
            evaluate: false,
            in_flight: 0,
            rest: Rest::default(),
            unreached: Outage::default(),
            leaving: None,
            _vital: vital,
        }
    }

    fn now(&self) -> u64 {
        self.at(Instant::now())
    }

    fn at(&self, instant: Instant) -> u64 {
        self.bench.began.ms_at(instant)
    }

    fn count(&self, outcome: NoticeResult) {
        self.metrics.notices.inc(outcome);
    }

    fn put(&mut self, waiting: Waiting, due: u64) {
        if self.schedule.put(waiting, due) == Added::Full {
            self.count(NoticeResult::Full);
        }
    }

    fn room(&self) -> usize {
        if self.leaving.is_some() {
            0
        } else {
            self.rest.room(self.now(), self.in_flight, self.settings.in_flight)
        }
    }

    /// Sends what is judged, and then has judged what is due. One batch is judged at a time, of no more than
    /// can be sent at once, so that what was found does not grow old.
    fn go_on(&mut self, ctx: &mut Context<Self>) {
        while self.room() > 0
            && let Some((waiting, candidate)) = self.ready.pop_front()
        {
            self.send(waiting, candidate, ctx);
        }
        if self.room() > 0 && !self.evaluate && self.ready.is_empty() {
            let due = self.schedule.take_due(self.now(), self.settings.in_flight);
            if !due.is_empty() {
                self.evaluate = true;
                let bench = self.bench.clone();
                let ruled = async move { bench.rule(due).await };
                ctx.spawn(ruled.into_actor(self).map(|ruled, notifier, ctx| notifier.ruled(ruled, ctx)));
            }
        }
        self.show();
    }

    fn show(&self) {
        let waiting = self.schedule.len() + self.ready.len();
        self.metrics.notices_pending.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.metrics.notices_in_flight.set(i64::try_from(self.in_flight).unwrap_or(i64::MAX));
        let rests = self.rest.cause();
        self.metrics.notices_resting.set(i64::from(rests.is_some()));
        self.standing.set(Seen { pending: waiting, in_flight: self.in_flight, rests });
    }

    fn ruled(&mut self, ruled: Vec<(Waiting, Ruling)>, ctx: &mut Context<Self>) {
        self.evaluate = false;
        let delay = self.settings.delay_ms;
        for (waiting, ruling) in ruled {
            match ruling {
                Ruling::Tell(candidate) => self.ready.push_back((waiting, candidate)),
                // They were there after the first of them; whether they still are, is judged for the last.
                Ruling::Attending if waiting.last_at > waiting.first_at => {
                    let due = waiting.last_at + delay;
                    self.put(Waiting { first_at: waiting.last_at, ..waiting }, due);
                }
                Ruling::Attending => self.count(NoticeResult::Attending),
                Ruling::Read => self.count(NoticeResult::Read),
                Ruling::Muted => self.count(NoticeResult::Muted),
                Ruling::NoGrant => self.count(NoticeResult::NoGrant),
                Ruling::Stranger => self.count(NoticeResult::Stranger),
                Ruling::Later(at) => {
                    self.count(NoticeResult::Quiet);
                    let due = self.now() + u64::try_from(at - now_ms()).unwrap_or(0);
                    self.put(waiting, due);
                }
                Ruling::StoreAway => {
                    let due = self.now() + delay;
                    self.put(waiting, due);
                }
            }
        }
        self.go_on(ctx);
    }

    fn send(&mut self, waiting: Waiting, candidate: Candidate, ctx: &mut Context<Self>) {
        self.in_flight += 1;
        let courier = self.courier.clone();
        let delivered = async move {
            let delivered = courier.deliver(&waiting.key, waiting.up_to, &candidate).await;
            (waiting, delivered)
        };
        ctx.spawn(
            delivered
                .into_actor(self)
                .map(|(waiting, delivered), notifier, ctx| notifier.delivered(waiting, delivered, ctx)),
        );
    }

    fn delivered(&mut self, waiting: Waiting, delivered: Delivered, ctx: &mut Context<Self>) {
        self.in_flight -= 1;
        match delivered {
            Delivered::Asked(aftermath) => {
                self.count(aftermath.result());
                self.asked(waiting, aftermath);
            }
            Delivered::Skipped(result) => self.count(result),
            Delivered::StoreAway => {
                let due = self.now() + self.settings.delay_ms;
                self.put(waiting, due);
            }
        }
        if self.in_flight == 0
            && let Some(told) = &mut self.leaving
        {
            // Dropped, each says so.
            told.clear();
        }
        self.go_on(ctx);
    }

    fn asked(&mut self, waiting: Waiting, aftermath: SendOutcome) {
        // Long against the delay, so that a wrong setting costs few calls.
        let rest_until = self.now() + self.settings.delay_ms.saturating_mul(10).min(AGAIN_AT_MOST_MS);
        match aftermath {
            SendOutcome::Sent { .. } | SendOutcome::Empty { .. } | SendOutcome::Failed { .. } => {
                self.unreached.answered(Instant::now());
                if self.rest.end() {
                    log::info!("WeChat takes notices again");
                }
                if let SendOutcome::Failed { code } = aftermath {
                    log::warn!(errcode = code; "WeChat refused a notice");
                }
            }
            SendOutcome::Odd { code, hint } => {
                log::warn!(errcode = code, hint = hint; "WeChat refused a notice");
                self.rest.odd(rest_until, code, hint);
            }
            SendOutcome::Rest { code, hint } => {
                log::error!(errcode = code, hint = hint; "WeChat refuses notices; none is sent for a while, and no grant is used up");
                self.rest.begin(rest_until, code, hint);
                self.put(waiting, rest_until);
            }
            SendOutcome::Again if waiting.tries + 1 < TRIES => {
                let tries = waiting.tries + 1;
                let first = Duration::from_millis(self.settings.delay_ms);
                let wait = Backoff::new(first, AGAIN_AT_MOST).wait(tries);
                let due = self.now() + u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                self.put(Waiting { tries, ..waiting }, due);
            }
            SendOutcome::Again | SendOutcome::Unknown if self.unreached.failed(Instant::now()).is_none() => {}
            SendOutcome::Again => {
                log::warn!(tries = TRIES; "WeChat was not reached for a notice; it is given up, and its grant kept")
            }
            SendOutcome::Unknown => {
                log::warn!("it is not known whether WeChat took a notice; it is not sent again")
            }
        }
    }

    /// Finds what was to be told when the last process ended, from this user on.
    fn recover(&mut self, after: Option<OpenId>, ctx: &mut Context<Self>) {
        let (store, settings) = (self.store.clone(), self.settings.clone());
        let first = Duration::from_millis(settings.delay_ms);
        let backoff = Backoff::new(first, first.saturating_mul(2)).tries(RECOVERY_TRIES);
        let found = async move {
            let ask = async || {
                let template = settings.template.clone();
                let (at, after, strangers) = (now_ms() - RECOVERED, after.clone(), settings.strangers);
                store.ask(UntoldSince { template, at, limit: RECOVERED_AT_ONCE, after, strangers }).await
            };
            backoff.run(|_| true, ask).await
        };
        ctx.spawn(found.into_actor(self).map(move |found, notifier, ctx| match found {
            Ok(page) => {
                let now = notifier.now();
                for (recipient, conversation, seq) in page.untold {
                    notifier.schedule(NoticeKey { recipient, conversation }, seq, now);
                }
                if page.next.is_some() {
                    notifier.recover(page.next, ctx);
                }
            }
            Err(_) => log::warn!(
                "the store did not say who was to be told when the last process ended; those are not told"
            ),
        }));
    }

    fn schedule(&mut self, key: NoticeKey, seq: Seq, at: u64) {
        if self.schedule.add(key, seq, at, at + self.settings.delay_ms) == Added::Full {
            self.count(NoticeResult::Full);
        }
    }
}

impl Actor for Notifier {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let every = Duration::from_millis((self.settings.delay_ms / 8).clamp(10, 1_000));
        ctx.run_interval(every, Self::go_on);
        self.recover(None, ctx);
    }
}

/// A message was stored; `at` is before it was pushed.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Stored {
    pub(super) key: NoticeKey,
    pub(super) seq: Seq,
    pub(super) at: Instant,
}

impl Handler<Stored> for Notifier {
    type Result = ();

    fn handle(&mut self, Stored { key, seq, at }: Stored, _: &mut Self::Context) {
        let at = self.at(at);
        self.schedule(key, seq, at);
    }
}

/// WeChat tells what users did about subscribe messages.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Changed(pub(super) Vec<SubscribeChange>);

impl Handler<Changed> for Notifier {
    type Result = ();

    fn handle(&mut self, Changed(changes): Changed, ctx: &mut Self::Context) {
        // Templates of somebody else's use are none of ours.
        let ours = changes.into_iter().filter(|c| c.template_id == self.settings.template.as_str());
        let changes: Vec<_> = ours.filter_map(|c| Some((ledger::change(&c)?, c.openid))).collect();
        let (store, template) = (self.store.clone(), self.settings.template.clone());
        let written = async move {
            for (change, openid) in changes {
                ledger::write(&store, openid, template.clone(), change).await;
            }
        };
        ctx.spawn(written.into_actor(self));
    }
}

/// The server leaves: nothing more is sent.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Leave;

impl Handler<Leave> for Notifier {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Leave, _: &mut Self::Context) -> Self::Result {
        let (done, told) = oneshot::channel();
        let waiting = self.leaving.get_or_insert_default();
        if self.in_flight > 0 {
            waiting.push(done);
        }
        // Dropped, it says the same.
        Box::pin(async move { drop(told.await) })
    }
}
