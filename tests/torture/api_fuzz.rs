//! The server does what its own OpenAPI document says, whatever it is asked: `scripts/api-fuzz` against a
//! server of the test's.

use std::path::Path;
use std::process::Command;

use crate::harness::Server;
use crate::size::{figure, size, skipped};
use crate::unharmed::unharmed;

#[actix_web::test]
async fn the_server_keeps_to_its_openapi_document() {
    let server = Server::with([
        ("limits.http_burst", "0"),
        ("limits.handshakes_per_second_per_address", "0"),
        ("limits.blocks_per_user", "0"),
        ("limits.new_conversations_per_day", "0"),
        ("admin.calls_per_second", "0"),
    ])
    .await;
    // Somebody with something to be shown.
    for n in 0..5 {
        let peer = format!("peer{n}");
        server.v1("caller").await.say(&peer, "1", "x").await;
        server.v1(&peer).await.say("caller", "1", "y").await;
    }
    let (http, leaving) = (server.http_as("caller").await, server.http_as("leaving").await);
    let seed = size(1, rand::random::<u32>()).to_string();
    let run = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/api-fuzz"))
        .args([&format!("http://{}", server.at), http.token(), leaving.token()])
        .args([&format!("http://{}", server.admin), server.operators().token()])
        .env("API_FUZZ_EXAMPLES", size("30", "300"))
        .env("API_FUZZ_SEED", &seed)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "seed {seed}: {said}{}", String::from_utf8_lossy(&run.stderr));
    unharmed(&server, &[]).await;
    if let Some(why) = said.lines().find(|line| line.starts_with("skipped: ")) {
        skipped(why.trim_start_matches("skipped: "));
        return;
    }
    let cases: Vec<&str> = said.lines().filter(|line| line.contains(" passed")).map(str::trim).collect();
    assert_eq!(cases.len(), 3, "{said}");
    figure(
        "api fuzz",
        format!(
            "seed {seed}: {}; the logout: {}; the server API: {}; 0 failures",
            cases[0], cases[1], cases[2]
        ),
    );
}
