//! What an operator types beside a server that runs: bans with reason and end, lists, a user, the audit log.

use std::process::Output;

use serde_json::{Value, json};

use crate::harness::{Http, Server, eventually};

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn complaint(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

async fn known(server: &Server, openid: &str) {
    eventually("the user is known", async || {
        server.command(&["user", openid, "--dev"]).status.success().then_some(())
    })
    .await;
}

#[actix_web::test]
async fn who_came_a_moment_ago_is_known() {
    let server = Server::alone(&[("admin.keys", "backend:every-every-every-every-every-every:read+manage")]);
    let backend = Http::new(&server.admin, Some("every-every-every-every-every-every"));
    for round in 0..4 {
        // The one before is being written down when these come, and they wait for their turn.
        let [_, ann, ben, cat, dan] =
            ["before", "ann", "ben", "cat", "dan"].map(|name| format!("{name}{round}"));
        server.http_as(&format!("before{round}")).await;
        for openid in [&ann, &ben, &cat, &dan] {
            server.http_as(openid).await;
        }
        assert_eq!(backend.put(&format!("/admin/v1/bans/{ann}"), &json!({})).await.0, 200);
        assert_eq!(complaint(&server.command(&["ban", &ben, "--dev"])), "");
        assert_eq!(said(&server.command(&["kick", &cat, "--dev"])), format!("{cat} kicked\n"));
        assert_eq!(backend.get(&format!("/admin/v1/users/{dan}")).await.0, 200);
    }
}

#[actix_web::test]
async fn a_ban_says_whom_until_when_and_why_and_who_did_it() {
    for server in [Some(Server::alone(&[])), Server::on_postgres().await.map(|(server, _)| server)] {
        let Some(server) = server else { continue };
        let mut ann = server.v1("ann").await;
        known(&server, "ann").await;
        let unknown = server.command(&["ban", "nan", "--dev"]);
        assert_eq!(unknown.status.code(), Some(1));
        assert_eq!(
            complaint(&unknown),
            "hongyan: nobody has seen nan here: is the openid right? To ban somebody who was never here, add --force\n"
        );
        assert!(said(&server.command(&["bans", "--dev"])).starts_with("nobody is banned"));

        let banned = server.command(&["ban", "ann", "--dev", "--for", "2h", "--reason", "sells tea"]);
        assert!(
            said(&banned).starts_with("ann banned until ") && said(&banned).contains("(in "),
            "{}{}",
            said(&banned),
            complaint(&banned)
        );
        ann.expect_close(4505).await;
        let forced = server.command(&["ban", "nan", "--dev", "--force", "--until", "2199-12-24"]);
        assert!(said(&forced).starts_with("nan banned until 2199-12-24 00:00:00 "), "{}", said(&forced));

        let bans = said(&server.command(&["bans", "--dev"]));
        let lines: Vec<_> = bans.lines().collect();
        assert!(
            lines[0].starts_with("OPENID  SINCE")
                && lines[1].starts_with("nan ")
                && lines[2].starts_with("ann "),
            "{bans}"
        );
        assert!(lines[2].contains(" on ") && lines[2].ends_with("sells tea"), "{bans}");
        let json = said(&server.command(&["bans", "--dev", "--json"]));
        let first: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
        assert_eq!(first["openid"], "nan");

        let user = said(&server.command(&["user", "ann", "--dev"]));
        for line in [
            "openid ",
            "ban  ",
            "sells tea",
            "last seen",
            "conversations",
            "unread",
            "cli: ",
            "  ban  done  for 2 hours: sells tea",
        ] {
            assert!(user.contains(line), "{line}: {user}");
        }
        let lifted = said(&server.command(&["unban", "ann", "--dev"]));
        assert!(
            lifted.starts_with("ann may log in again (before: banned until ")
                && lifted.contains(": sells tea"),
            "{lifted}"
        );
        assert!(
            said(&server.command(&["unban", "ann", "--dev"])).contains("was not banned; nothing was changed")
        );
        eventually("the pardon", async || {
            (server.http().post("/v1/login", &json!({ "code": "dev:ann" })).await.0 == 200).then_some(())
        })
        .await;
        assert!(server.command(&["token", "ann", "--dev"]).status.success());
        assert!(server.command(&["kick", "ann", "--dev"]).status.success());

        let audit = said(&server.command(&["audit", "--dev", "--of", "ann"]));
        let acts: Vec<_> = audit
            .lines()
            .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>())
            .collect();
        let told: Vec<_> = acts.iter().map(|cells| cells[2]).collect();
        assert_eq!(told, ["ACT", "user", "ban", "user", "unban", "unban", "token", "kick"], "{audit}");
        assert!(
            acts[2][1].starts_with("cli: ") && acts[2][4] == "done" && acts[2][5] == "for 2 hours: sells tea",
            "{audit}"
        );
        let all = said(&server.command(&["audit", "--dev", "--since", "1h", "--json"]));
        assert!(all.lines().any(|line| line.contains("unknown user") && line.contains("\"nan\"")), "{all}");
        for wrong in [
            &["ban", "ann", "--for", "7"][..],
            &["ban", "ann", "--until", "soon"],
            &["ban", "ann", "--for", "1d", "--until", "2199-01-01"],
        ] {
            assert_eq!(server.command(wrong).status.code(), Some(2), "{wrong:?}");
        }
    }
}

#[actix_web::test]
async fn an_act_that_cannot_be_noted_is_done_all_the_same_and_says_so() {
    let server = Server::alone(&[]);
    let away = "sqlite:///nowhere/at/all.db";
    let out = server.command(&["token", "ann", "--dev", "--database-url", away]);
    assert!(out.status.success() && said(&out).trim().split('.').count() == 3, "{}", complaint(&out));
    assert!(
        complaint(&out).starts_with("hongyan: warning: the audit log has no word of this token: "),
        "{}",
        complaint(&out)
    );
}
