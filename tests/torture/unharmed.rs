//! What must hold of a server after anything.

use crate::harness::{Http, Server};

/// The process lives, good clients talk, nothing panicked, no HTTP answer was a fault of the server's, and
/// the log holds none of `texts`.
pub async fn unharmed(server: &Server, texts: &[&str]) {
    talk(server).await;
    let log = server.log();
    assert_eq!(log.matches("panic").count(), 0, "a part of the server panicked");
    for text in texts {
        assert!(!log.contains(text), "{text} is in the log");
    }
    let metrics = Http::new(&server.ops, None).text("/metrics").await;
    let is_fault = |line: &&str| {
        line.starts_with("hongyan_http_responses_total{")
            && line.contains("status=\"5")
            && !line.ends_with(" 0")
    };
    let faults: Vec<_> = metrics.lines().filter(is_fault).collect();
    assert!(faults.is_empty(), "{faults:?}");
}

/// Two who know nothing of what goes on beside them.
pub async fn talk(server: &Server) {
    // New ones each time: WeChat takes a hundred logins of one user a minute.
    let [ann, ben] = ["ann", "ben"].map(|name| format!("{name}{:x}", rand::random::<u64>()));
    let (mut ann, (mut ben, name)) = (server.v1(&ann).await, (server.v1(&ben).await, ben));
    for _ in 0..5 {
        let id = format!("{:x}", rand::random::<u64>());
        ann.say(&name, &id, "still here").await;
        assert_eq!(ben.expect("text").await["client_msg_id"], id);
    }
}
