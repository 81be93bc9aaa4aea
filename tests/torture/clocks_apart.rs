//! Clocks minutes apart, of nodes and of the command line: what ends tokens and sessions holds everywhere,
//! and so does who logs in after it; messages keep their order.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::faketime;
use crate::fleet::{Fleet, Plan, UNLIMITED};
use crate::harness::{Client, Cluster, Http, Server};
use crate::size::{figure, size};

/// How long a revocation may take to hold on every node.
const HOLDS: Duration = Duration::from_secs(2);
const OFFSETS: [&str; 3] = ["-5m", "+0", "+5m"];

/// The nodes of one database, and how long the slowest revocation took.
struct World<'a> {
    nodes: &'a mut [Server],
    library: &'a str,
    slowest: Duration,
}

impl World<'_> {
    async fn login(&self, node: usize, openid: &str) -> String {
        self.nodes[node].http_as(openid).await.token().to_owned()
    }

    /// What every node says to a call with this token.
    async fn statuses(&self, token: &str) -> Vec<u16> {
        let mut statuses = Vec::new();
        for node in &*self.nodes {
            statuses.push(Http::new(&node.at, Some(token)).get("/v1/unread").await.0);
        }
        statuses
    }

    async fn hold_everywhere(&self, token: &str) {
        assert!(
            self.statuses(token).await.iter().all(|status| *status == 200),
            "{:?}",
            self.statuses(token).await
        );
    }

    /// A session on each node, with this token or with a code.
    async fn sessions(&self, openid: &str, token: Option<&str>) -> Vec<Client> {
        let mut sessions = Vec::new();
        for (n, node) in self.nodes.iter().enumerate() {
            let code = if token.is_none() { format!("&code=dev:{openid}") } else { String::new() };
            let url = format!("ws://{}/{openid}?device={n}{code}", node.at);
            let mut session = Client::connect(&url, &["hongyan.v1"], token).await.unwrap();
            session.expect("init").await;
            sessions.push(session);
        }
        sessions
    }

    /// Waits until all are closed so, in time.
    async fn end(&mut self, mut sessions: Vec<Client>, code: u16, since: Instant) {
        for session in &mut sessions {
            session.expect_close(code).await;
        }
        self.slowest = self.slowest.max(since.elapsed());
    }

    /// A command of somebody's whose clock has this offset; when it was done.
    fn command(&mut self, offset: &str, what: &str, openid: &str) -> Instant {
        // The server itself runs on as it was started.
        faketime::set(&mut self.nodes[0], self.library, offset);
        // Who logged in just now may not be written down as seen yet.
        let force: &[&str] = if what == "ban" { &["--force"] } else { &[] };
        let done = self.nodes[0].command(&[&[what, "--dev", openid], force].concat());
        assert!(done.status.success(), "{done:?}");
        Instant::now()
    }

    async fn logout_of_all(&mut self, openid: &str, issued_on: usize, ended_on: usize) {
        let token = self.login(issued_on, openid).await;
        self.hold_everywhere(&token).await;
        let sessions = self.sessions(openid, Some(&token)).await;
        let began = Instant::now();
        let caller = Http::new(&self.nodes[ended_on].at, Some(&token));
        assert_eq!(caller.post("/v1/logout", &json!({ "all": true })).await.0, 204);
        // Whoever logs in now is no part of it, wherever.
        for node in 0..self.nodes.len() {
            let fresh = self.login(node, openid).await;
            self.hold_everywhere(&fresh).await;
        }
        self.end(sessions, 4501, began).await;
        assert!(self.statuses(&token).await.iter().all(|status| *status == 401));
    }

    async fn ban_and_pardon(&mut self, openid: &str, issued_on: usize, ban: &str, pardon: &str) {
        let token = self.login(issued_on, openid).await;
        let sessions = self.sessions(openid, Some(&token)).await;
        let banned = self.command(ban, "ban", openid);
        for node in &*self.nodes {
            let (status, body) =
                node.http().post("/v1/login", &json!({ "code": format!("dev:{openid}") })).await;
            assert_eq!((status, &body["error"]), (403, &json!("banned")));
        }
        self.end(sessions, 4505, banned).await;
        assert!(self.statuses(&token).await.iter().all(|status| *status == 403));
        self.command(pardon, "unban", openid);
        let fresh = self.login(issued_on, openid).await;
        self.hold_everywhere(&fresh).await;
        assert!(
            self.statuses(&token).await.iter().all(|status| [401, 403].contains(status)),
            "tokens from before stay dead"
        );
        for mut session in self.sessions(openid, Some(&fresh)).await {
            session.nothing_came().await;
        }
    }

    async fn kick(&mut self, openid: &str, offset: &str) {
        let sessions = self.sessions(openid, None).await;
        let kicked = self.command(offset, "kick", openid);
        // Who comes back at once stays.
        let mut back = self.nodes[0].v1(openid).await;
        self.end(sessions, 4504, kicked).await;
        back.nothing_came().await;
    }
}

#[actix_web::test]
async fn nodes_and_commands_with_clocks_five_minutes_apart() {
    let Some(library) = faketime::library() else { return };
    let Some(mut cluster) = Cluster::with(&UNLIMITED).await else { return };
    for (node, offset) in cluster.nodes.iter_mut().zip(OFFSETS) {
        faketime::set(node, &library, offset);
        node.again().await;
    }
    cluster.meets().await;
    let (mut behind, mut ahead) = (cluster.v1(0, "early").await, cluster.v1(2, "late").await);
    let sent_at = [behind.say("nobody", "1", "x").await, ahead.say("nobody", "1", "x").await]
        .map(|ack| ack["sent_at"].as_i64().unwrap());
    assert!(sent_at[1] - sent_at[0] > 540_000, "the clocks are not apart: {sent_at:?}");
    let fleet = Fleet::start_at(
        cluster.addresses(),
        Plan { users: 6, pace: Duration::from_millis(20), ..Plan::default() },
    );
    fleet.goes_on(100).await;
    let mut world = World { nodes: &mut cluster.nodes, library: &library, slowest: Duration::ZERO };
    let mut revocations = 0;
    for round in 0..size(1, 10) {
        let pairs = [(2, 0), (0, 2), (1, 0), (2, 1), (0, 1), (1, 2)];
        for (issued_on, ended_on) in pairs.into_iter().take(size(2, 6)) {
            world.logout_of_all(&format!("out{round}{issued_on}{ended_on}"), issued_on, ended_on).await;
        }
        let clocks = [("-5m", "+5m"), ("+5m", "-5m"), ("+0", "+5m"), ("+5m", "+0")];
        for (n, (ban, pardon)) in clocks.into_iter().take(size(2, 4)).enumerate() {
            world.ban_and_pardon(&format!("ban{round}{n}"), n % 3, ban, pardon).await;
        }
        for offset in OFFSETS.into_iter().take(size(1, 3)) {
            world.kick(&format!("kick{round}{}", &offset[1..]), offset).await;
        }
        revocations += size(5, 13);
    }
    let slowest = world.slowest;
    fleet.goes_on(100).await;
    let report = fleet.finish(&cluster.nodes[1]).await;
    figure(
        "three nodes with clocks five minutes apart",
        format!(
            "{revocations} logouts, bans and kicks, each holding everywhere after {} ms at most; {report}",
            slowest.as_millis()
        ),
    );
    assert!(report.is_clean(), "{report}");
    assert!(slowest <= HOLDS, "{slowest:?}");
}

#[actix_web::test]
async fn a_command_beside_sqlite_with_its_clock_five_minutes_off() {
    let Some(library) = faketime::library() else { return };
    let mut nodes = [Server::alone(&UNLIMITED)];
    let mut world = World { nodes: &mut nodes, library: &library, slowest: Duration::ZERO };
    for (n, offset) in ["-5m", "+5m"].into_iter().enumerate() {
        world.ban_and_pardon(&format!("ban{n}"), 0, offset, offset).await;
        world.kick(&format!("kick{n}"), offset).await;
        world.logout_of_all(&format!("out{n}"), 0, 0).await;
    }
    figure(
        "SQLite, the command line five minutes off",
        format!("each holding after {} ms at most", world.slowest.as_millis()),
    );
    assert!(world.slowest <= HOLDS, "{:?}", world.slowest);
}
