//! A database whose commits take seconds: overdue senders hear `unavailable`, and everything that is stored
//! reaches everybody, once.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, PgConnection};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::disk::Files;
use crate::fleet::{Fleet, Plan, UNLIMITED};
use crate::harness::{Client, Http, Said, Server};
use crate::size::{figure, is_long, size};

/// Time between two messages of a sender.
const SEND_INTERVAL: Duration = Duration::from_millis(50);
/// Time after which the server answers a write as unavailable, and before which it must not.
const ANSWER_DEADLINE: Duration = Duration::from_millis(2_500);
/// Time within which everything settles.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(90);
const NOTICES: [(&str, &str); 4] = [
    ("notice.template_id", "unread"),
    ("notice.fields", "thing1={sender},number2={count}"),
    ("notice.delay_ms", "100"),
    ("notice.strangers", "true"),
];

/// A session that stays connected, and all frames that it got.
struct Station {
    say: mpsc::UnboundedSender<Value>,
    heard: Rc<RefCell<Vec<(Instant, Value)>>>,
}

impl Station {
    fn of(mut client: Client) -> Self {
        let (say, mut to_say) = mpsc::unbounded_channel::<Value>();
        let heard = Rc::<RefCell<Vec<_>>>::default();
        let frames = heard.clone();
        actix_web::rt::spawn(async move {
            loop {
                tokio::select! {
                    frame = to_say.recv() => match frame {
                        Some(frame) => client.send(frame).await,
                        None => return,
                    },
                    said = client.hear() => match said {
                        Said::Frame(frame) => frames.borrow_mut().push((Instant::now(), frame)),
                        other => panic!("a session that nobody touched ended: {other:?}"),
                    },
                }
            }
        });
        Self { say, heard }
    }

    fn say(&self, frame: Value) {
        self.say.send(frame).unwrap();
    }

    /// Messages that it got from this user, with their seqs.
    fn messages_of(&self, openid: &str) -> Vec<(i64, Value)> {
        let heard = self.heard.borrow();
        let of_them =
            heard.iter().filter(|(_, frame)| frame["type"] == "text" && frame["from_user_openid"] == openid);
        of_them.map(|(_, frame)| (frame["seq"].as_i64().unwrap(), frame.clone())).collect()
    }
}

/// Asks until it is so.
async fn comes_to(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < SETTLE_TIMEOUT, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn history(reader: &Http, peer: &str) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    loop {
        let after = all.last().map_or(0, |m| m["seq"].as_i64().unwrap());
        let (status, page) =
            reader.get(&format!("/v1/messages?peer={peer}&after_seq={after}&limit=100")).await;
        assert_eq!(status, 200, "{page}");
        all.extend(page["messages"].as_array().unwrap().clone());
        if page["has_more"] == false {
            return all;
        }
    }
}

/// Outcomes of the messages of one sender, each sent once.
#[derive(Default)]
struct Tally {
    sent: usize,
    acked: usize,
    /// Answered as unavailable, and told of as stored later.
    told: usize,
    /// Shortest time from a message to its `unavailable`.
    soonest: Option<Duration>,
}

/// Senders, recipients that are connected, and the server.
struct World {
    server: Server,
    /// v1 sender that sends each message once.
    anna: Station,
    /// Plain sender.
    sam: Station,
    /// v1 sender to a user who is away; sends again what is not stored.
    olga: Station,
    /// Recipients, v1 and plain, that only listen.
    vera: Station,
    paul: Station,
    fleet: Fleet,
    sent: BTreeMap<String, Instant>,
    /// Number of messages to the user who is away.
    notes: usize,
}

impl World {
    async fn new(server: Server) -> Self {
        let anna = Station::of(server.v1("anna").await);
        let sam = Station::of(server.seed("sam", "vera").await);
        let olga = Station::of(server.v1("olga").await);
        let vera = Station::of(server.v1("vera").await);
        let paul = Station::of(server.seed("paul", "anna").await);
        let nora = server.http_as("nora").await;
        for _ in 0..20 {
            let answer = json!({ "openid": "nora", "template_id": "unread", "push": false });
            assert_eq!(server.wechat().post("/__subscribe", &answer).await.0, 204);
            assert_eq!(
                nora.post("/v1/notices/grants", &json!({ "template_id": "unread", "result": "accept" }))
                    .await
                    .0,
                204
            );
        }
        let fleet =
            Fleet::start(&server, Plan { users: 3, pace: Duration::from_millis(40), ..Plan::default() });
        fleet.everybody_goes_on(1).await;
        Self { server, anna, sam, olga, vera, paul, fleet, sent: BTreeMap::new(), notes: 0 }
    }

    fn send(&mut self, to: &str) {
        let id = format!("s{}", self.sent.len());
        self.anna.say(
            json!({ "type": "text", "id": id, "client_msg_id": id, "to_user_openid": to, "message": id }),
        );
        self.sent.insert(id, Instant::now());
    }

    fn note(&self) {
        let id = format!("n{}", self.notes);
        self.olga.say(
            json!({ "type": "text", "id": id, "client_msg_id": id, "to_user_openid": "nora", "message": id }),
        );
    }

    /// Waits for the notice of the last note. The note is sent again only where it was refused in the queue.
    async fn note_is_shown(&self, delay: u64) {
        let wechat = self.server.wechat();
        let again_after = Duration::from_millis(2 * delay) + ANSWER_DEADLINE;
        let mut last_sent = Instant::now();
        comes_to("a notice", async || {
            let id = format!("n{}", self.notes);
            let is_told = self
                .olga
                .heard
                .borrow()
                .iter()
                .any(|(_, frame)| frame["type"] == "ack" && frame["client_msg_id"] == id);
            if !is_told && last_sent.elapsed() > again_after {
                self.note();
                last_sent = Instant::now();
            }
            wechat.get("/__notices").await.1.as_array().unwrap().len() == self.notes
        })
        .await;
    }

    /// Lets everybody write for so long, and one note go to the user who is away.
    async fn write_for(&mut self, time: Duration) {
        self.notes += 1;
        self.note();
        let mut pace = tokio::time::interval(SEND_INTERVAL);
        let began = Instant::now();
        while began.elapsed() < time {
            pace.tick().await;
            let n = self.sent.len();
            let to = if n.is_multiple_of(2) { "vera" } else { "paul" };
            self.send(to);
            // What a plain client sends has no name of its own.
            self.sam.say(json!({ "type": "text", "to_user_openid": to, "message": format!("sam {n}") }));
        }
    }

    /// Waits until everything stored has been told, and no more. A commit may still be under way, so it is
    /// asked again and again.
    async fn is_told(&self, since: usize) -> Tally {
        let mut tally = Err(String::new());
        let began = Instant::now();
        while began.elapsed() < SETTLE_TIMEOUT {
            tally = self.compare(since).await;
            if tally.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tally.unwrap_or_else(|why| panic!("{why}"))
    }

    /// Compares history with what each session got. Returns the outcomes of the messages from `since` on.
    ///
    /// # Errors
    /// The first difference.
    async fn compare(&self, since: usize) -> Result<Tally, String> {
        let mut stored = BTreeSet::new();
        for (listener, name) in [(&self.vera, "vera"), (&self.paul, "paul")] {
            let reader = self.server.http_as(name).await;
            for sender in ["anna", "sam"] {
                let history = history(&reader, sender).await;
                if sender == "anna" {
                    stored.extend(history.iter().map(|m| m["client_msg_id"].as_str().unwrap().to_owned()));
                }
                let pushed = listener.messages_of(sender);
                let told: BTreeMap<_, _> = pushed.iter().cloned().collect();
                assert_eq!(told.len(), pushed.len(), "{name} was told twice");
                let history: BTreeMap<_, _> =
                    history.into_iter().map(|m| (m["seq"].as_i64().unwrap(), m)).collect();
                if told != history {
                    return Err(format!(
                        "{name} has {} of {} messages of {sender}, or others",
                        told.len(),
                        history.len()
                    ));
                }
            }
        }
        let heard = self.anna.heard.borrow();
        let mut answers = BTreeMap::<&str, Vec<(Instant, &Value)>>::new();
        for (at, frame) in
            heard.iter().filter(|(_, frame)| frame["type"] == "ack" || frame["type"] == "error")
        {
            answers.entry(frame["client_msg_id"].as_str().unwrap()).or_default().push((*at, frame));
        }
        let mut tally = Tally::default();
        for (id, sent_at) in &self.sent {
            let answers = answers.get(id.as_str()).map_or(&[][..], Vec::as_slice);
            let words: Vec<_> = answers.iter().map(|(_, frame)| word(frame)).collect();
            match (words.as_slice(), stored.contains(id)) {
                (["acked"] | ["unavailable", "told"], true) | (["unavailable"], false) => {}
                (words, is_stored) => {
                    return Err(format!("{id}, stored: {is_stored}, was answered {words:?}"));
                }
            }
            if words[0] == "unavailable" {
                let after = answers[0].0 - *sent_at;
                tally.soonest = Some(tally.soonest.map_or(after, |soonest| soonest.min(after)));
            }
            let number: usize = id[1..].parse().unwrap();
            if number >= since {
                tally.sent += 1;
                tally.acked += usize::from(words[0] == "acked");
                tally.told += usize::from(words.len() == 2);
            }
        }
        Ok(tally)
    }
}

/// Short form of an answer.
fn word(frame: &Value) -> &str {
    match (frame["error"].as_str(), frame["id"].is_string()) {
        (Some(word), true) => word,
        (None, true) => "acked",
        (None, false) => "told",
        (Some(_), false) => panic!("an error without an id: {frame}"),
    }
}

/// Runs the world once for each of `delays` (milliseconds), which `slow` sets for each commit.
async fn outlasts(
    name: &str,
    server: Server,
    delays: &[u64],
    slow: impl Fn(u64),
    mut judge: impl FnMut(u64, &Tally),
) {
    let mut world = World::new(server).await;
    for delay in delays {
        let since = world.sent.len();
        slow(*delay);
        world.write_for(Duration::from_secs(size(4, 30))).await;
        // The notice comes while the database is slow, although the sender was answered first.
        world.note_is_shown(*delay).await;
        slow(0);
        let tally = world.is_told(since).await;
        let Tally { sent, acked, told, soonest } = &tally;
        let soonest = soonest.map_or("nobody heard unavailable".to_owned(), |soonest| {
            format!("unavailable after {} ms at the soonest", soonest.as_millis())
        });
        figure(
            &format!("{name}, commits of {delay} ms"),
            format!(
                "{sent} sent once: {acked} acked, {told} told of later, {} not stored; {soonest}",
                sent - acked - told
            ),
        );
        judge(*delay, &tally);
        // The next note begins another stretch of unread messages.
        let nora = world.server.http_as("nora").await;
        let read = json!({ "peer": "olga", "seq": world.notes });
        comes_to("the note is read", async || nora.post("/v1/read", &read).await.0 == 204).await;
    }
    world.fleet.goes_on(20).await;
    world.is_told(0).await;
    let World { server, fleet, .. } = world;
    let report = fleet.finish(&server).await;
    figure(name, &report);
    assert!(report.is_clean(), "{report}");
}

fn settings() -> Vec<(&'static str, &'static str)> {
    [&UNLIMITED[..], &NOTICES].concat()
}

#[actix_web::test]
async fn a_disk_whose_syncs_take_seconds() {
    let Some(files) = Files::new() else { return };
    let mut server = Server::alone(&settings());
    files.carry(&mut server).await;
    let delays: &[u64] = if is_long() { &[1_000, 1_600, 2_200, 4_000] } else { &[1_600, 4_000] };
    outlasts(
        "SQLite, slow syncs",
        server,
        delays,
        |ms| files.slow_by(ms),
        |delay, tally| {
            // Nobody is refused for a neighbour's sake.
            assert!(tally.soonest.is_none_or(|soonest| soonest >= ANSWER_DEADLINE), "{:?}", tally.soonest);
            if is_long() && delay <= 1_600 {
                assert!(tally.acked * 2 > tally.sent, "{} of {} were acked at once", tally.acked, tally.sent);
            }
        },
    )
    .await;
}

#[actix_web::test]
async fn a_postgres_whose_commits_take_seconds() {
    let Some((url, _)) = Server::fresh_postgres() else { return };
    let server = Server::alone(
        &[&settings()[..], &[("database.url", url.as_str()), ("database.lanes", "2")]].concat(),
    );
    let admin = RefCell::new(PgConnection::establish(&url).unwrap());
    // Where a transaction ends, and no statement's time is counted any more; once each, however many messages
    // it has.
    let sleep = "CREATE TABLE slow (ms bigint NOT NULL);
         INSERT INTO slow VALUES (0);
         CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF current_setting('slow.done', true) IS DISTINCT FROM txid_current()::text THEN
                 PERFORM set_config('slow.done', txid_current()::text, true), pg_sleep((SELECT ms / 1000.0 FROM slow));
             END IF;
             RETURN NULL;
         END $$;
         CREATE CONSTRAINT TRIGGER slowly AFTER INSERT ON messages DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slowly()";
    admin.borrow_mut().batch_execute(sleep).unwrap();
    let slow = |ms| admin.borrow_mut().batch_execute(&format!("UPDATE slow SET ms = {ms}")).unwrap();
    let delays: &[u64] = if is_long() { &[1_600, 4_000] } else { &[4_000] };
    outlasts("PostgreSQL, slow commits", server, delays, slow, |_, _| {}).await;
}
