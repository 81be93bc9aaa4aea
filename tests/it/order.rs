//! Live frames of one conversation whose two users write on two nodes.

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::harness::{Client, Cluster, PATIENCE, Said};

/// A session that writes what it is given, and keeps what comes.
struct Watched {
    send: mpsc::UnboundedSender<Value>,
    acks: mpsc::UnboundedReceiver<Value>,
    frames: JoinHandle<Vec<Value>>,
}

impl Watched {
    /// Until it has nothing more to write, and somebody's last message has come.
    fn start(mut client: Client) -> Self {
        let ((send, mut sent), (acked, acks)) =
            (mpsc::unbounded_channel::<Value>(), mpsc::unbounded_channel());
        let frames = actix_web::rt::spawn(async move {
            let (mut frames, mut writes, mut has_last) = (Vec::new(), true, false);
            while writes || !has_last {
                tokio::select! {
                    frame = sent.recv(), if writes => match frame {
                        Some(frame) => client.send(frame).await,
                        None => writes = false,
                    },
                    said = client.hear() => match said {
                        Said::Frame(frame) if frame["type"] == "ack" => acked.send(frame).unwrap(),
                        Said::Frame(frame) if frame["seq"].is_i64() && frame.get("sent_at").is_some() => {
                            has_last |= frame["message"] == "last";
                            frames.push(frame);
                        }
                        Said::Frame(_) => {}
                        other => panic!("{other:?}"),
                    },
                }
            }
            frames
        });
        Self { send, acks, frames }
    }

    async fn write(&mut self, frame: Value) -> i64 {
        self.send.send(frame).unwrap();
        let ack = tokio::time::timeout(PATIENCE, self.acks.recv()).await.expect("no ack").unwrap();
        ack["seq"].as_i64().unwrap()
    }

    async fn say(&mut self, peer: &str, id: &str, message: &str) -> i64 {
        self.write(json!({ "type": "text", "to_user_openid": peer, "client_msg_id": id, "message": message }))
            .await
    }

    /// Writes so many, and recalls every tenth at once.
    async fn chatter(&mut self, peer: &str, frames: usize) {
        for n in 0..frames {
            let seq = self.say(peer, &format!("to-{peer}-{n}"), "x").await;
            if n % 10 == 9 {
                self.write(json!({ "type": "recall", "to_user_openid": peer, "target_seq": seq })).await;
            }
        }
    }

    async fn frames(self) -> Vec<Value> {
        let Self { send, frames, .. } = self;
        drop(send);
        tokio::time::timeout(PATIENCE, frames).await.expect("the last message does not come").unwrap()
    }
}

fn steps_back(frames: &[Value]) -> usize {
    frames.windows(2).filter(|two| two[1]["seq"].as_i64() <= two[0]["seq"].as_i64()).count()
}

/// Messages that came after their recall.
fn after_their_recall(frames: &[Value]) -> usize {
    let targets = |upto: usize| frames[..upto].iter().filter_map(|frame| frame["target_seq"].as_i64());
    frames.iter().enumerate().filter(|(at, frame)| targets(*at).any(|target| frame["seq"] == target)).count()
}

#[actix_web::test]
async fn two_users_write_on_two_nodes_and_every_session_sees_one_order() {
    const FRAMES: usize = 300;
    let unlimited = [("limits.messages_per_second", "0"), ("limits.controls_per_second", "0")];
    let Some(cluster) = Cluster::of(2, &unlimited).await else { return };
    let mut alice = Watched::start(cluster.v1(0, "alice").await);
    let mut bob = Watched::start(cluster.v1(1, "bob").await);
    let tablets = [Watched::start(cluster.v1(1, "alice").await), Watched::start(cluster.v1(0, "bob").await)];
    let plain = [
        Watched::start(cluster.nodes[0].seed("alice", "bob").await),
        Watched::start(cluster.nodes[0].seed("bob", "alice").await),
    ];
    futures_util::future::join(alice.chatter("bob", FRAMES), bob.chatter("alice", FRAMES)).await;
    alice.say("bob", "last", "last").await;
    bob.say("alice", "last", "last").await;
    let mut counts = Vec::new();
    for session in [alice, bob].into_iter().chain(tablets) {
        let frames = session.frames().await;
        assert!(frames.len() > FRAMES / 2, "{}", frames.len());
        assert_eq!((steps_back(&frames), after_their_recall(&frames)), (0, 0), "a v1 session");
        counts.push(frames.len());
    }
    let mut late = 0.0;
    for node in &cluster.nodes {
        late += node.metric("hongyan_frames_late_total").await;
        node.metric_becomes("hongyan_frames_held", 0.0).await;
    }
    for session in plain {
        let frames = session.frames().await;
        // One whose predecessor took longer than it is waited for comes late, and is counted.
        assert!(
            steps_back(&frames) as f64 <= late,
            "{} of {}: {late} late",
            steps_back(&frames),
            frames.len()
        );
        assert_eq!(after_their_recall(&frames), 0, "a plain session");
    }
    println!("frames: {counts:?}, {late} late");
}
