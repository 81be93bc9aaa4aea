//! Life and death of the process: what must live as long as it does, and how it knows that it is leaving.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::dev::channel::{AddressReceiver, channel};
use actix::{Actor, Addr, ArbiterHandle, Context};

/// The exit code when a part that must not die has died.
pub const EXIT_VITAL_PART_DIED: i32 = 70;

/// Whether the process is on its way out; shared by every module that has to refuse new work then.
#[derive(Clone, Default, Debug)]
pub struct Draining(Arc<AtomicBool>);

impl Draining {
    pub fn begin(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// A place where the process may be told to abort, as it would by a power cut: by the environment variable
/// `FAILPOINTS` (of the crate `fail`), such as `before-ack=20*off->return`. Only a build with the feature
/// `failpoints`, which is for tests, has any.
#[inline(always)]
pub fn abort_point(_name: &'static str) {
    #[cfg(feature = "failpoints")]
    fail::fail_point!(_name, |_| std::process::abort());
}

/// Reads `FAILPOINTS`, in a build that has any; holds while the value lives.
#[cfg(feature = "failpoints")]
pub fn abort_points() -> fail::FailScenario<'static> {
    fail::FailScenario::setup()
}

/// Held by an actor without which the process is a zombie. When it is dropped, by a panic's unwinding for
/// example, while the process is not draining, the process ends at once with [`EXIT_VITAL_PART_DIED`].
#[derive(Debug)]
pub struct Vital {
    part: &'static str,
    draining: Draining,
}

impl Vital {
    pub fn new(part: &'static str, draining: &Draining) -> Self {
        Self { part, draining: draining.clone() }
    }
}

impl Drop for Vital {
    fn drop(&mut self) {
        if !self.draining.is_set() {
            log::error!(part = self.part; "a vital part died; ending the process, so that its supervisor starts it anew");
            log::logger().flush();
            std::process::exit(EXIT_VITAL_PART_DIED);
        }
    }
}

/// Messages that [`Addr::try_send`] puts into a mailbox before its actor runs.
const UNSTARTED_CAPACITY: usize = 16;

/// Address of an actor that is started later; what is sent before waits. So two parts that call each other are
/// each given the other one when they are built.
pub struct Mailbox<A: Actor<Context = Context<A>>> {
    address: Addr<A>,
    receiver: AddressReceiver<A>,
}

impl<A: Actor<Context = Context<A>>> Mailbox<A> {
    pub fn new() -> Self {
        let (sender, receiver) = channel(UNSTARTED_CAPACITY);
        Self { address: Addr::new(sender), receiver }
    }

    pub fn address(&self) -> &Addr<A> {
        &self.address
    }

    /// Starts the actor on a thread of its own.
    pub fn start(self, arbiter: &ArbiterHandle, actor: impl FnOnce() -> A + Send + 'static) {
        let receiver = self.receiver;
        arbiter.spawn_fn(move || drop(Context::with_receiver(receiver).run(actor())));
    }
}

impl<A: Actor<Context = Context<A>>> Default for Mailbox<A> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use actix::{Arbiter, Handler, Message, System};

    use super::*;

    struct Singleton {
        _vital: Vital,
    }

    impl Actor for Singleton {
        type Context = Context<Self>;
    }

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Fall;

    impl Handler<Fall> for Singleton {
        type Result = ();

        fn handle(&mut self, _: Fall, _: &mut Self::Context) {
            panic!("on purpose");
        }
    }

    struct Echo;

    impl Actor for Echo {
        type Context = Context<Self>;
    }

    #[derive(Message)]
    #[rtype(result = "u8")]
    struct Say(u8);

    impl Handler<Say> for Echo {
        type Result = u8;

        fn handle(&mut self, Say(number): Say, _: &mut Self::Context) -> u8 {
            number
        }
    }

    #[actix::test]
    async fn what_is_sent_before_the_actor_runs_is_answered_when_it_does() {
        let mailbox = Mailbox::<Echo>::new();
        let early = mailbox.address().send(Say(1));
        let address = mailbox.address().clone();
        mailbox.start(&Arbiter::current(), || Echo);
        assert_eq!((early.await.unwrap(), address.send(Say(2)).await.unwrap()), (1, 2));
    }

    /// In the process that is to die; it would live for a minute.
    fn fall() {
        System::new().block_on(async {
            let vital = Vital::new("singleton", &Draining::default());
            let singleton =
                Singleton::start_in_arbiter(&Arbiter::new().handle(), |_| Singleton { _vital: vital });
            singleton.do_send(Fall);
            tokio::time::sleep(Duration::from_secs(60)).await;
        });
    }

    #[test]
    fn a_singleton_that_panics_ends_the_process() {
        if std::env::var_os("DIES").is_some() {
            return fall();
        }
        let began = Instant::now();
        let mut same = Command::new(std::env::current_exe().unwrap());
        same.args(["--exact", "lifecycle::tests::a_singleton_that_panics_ends_the_process"]).env("DIES", "1");
        let status = same.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert_eq!(status.code(), Some(EXIT_VITAL_PART_DIED));
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    }
}
