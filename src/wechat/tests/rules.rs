//! The double keeps WeChat's rules, also those that this server never breaks.

use serde_json::{Value, json};

use super::{SECRET, double};
async fn errcode(url: &str, body: &str) -> i64 {
    let answer = awc::Client::new().post(url).send_body(body.to_owned()).await.unwrap().body().await.unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    answer["errcode"].as_i64().unwrap_or(0)
}

async fn token(base: &str) -> String {
    let body = json!({ "grant_type": "client_credential", "appid": "wx1", "secret": SECRET });
    let answer = awc::Client::new()
        .post(format!("{base}/cgi-bin/stable_token"))
        .send_json(&body)
        .await
        .unwrap()
        .body()
        .await
        .unwrap();
    serde_json::from_slice::<Value>(&answer).unwrap()["access_token"].as_str().unwrap().to_owned()
}

fn with(base: &Value, changes: Value) -> String {
    let mut body = base.clone();
    body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    body.to_string()
}

#[actix_web::test]
async fn a_call_needs_a_token_that_holds_and_a_body_that_is_one() {
    let base = double();
    let token = token(&base).await;
    for path in ["/wxa/msg_sec_check", "/wxa/media_check_async", "/cgi-bin/message/subscribe/send"] {
        let url = format!("{base}{path}");
        assert_eq!(errcode(&url, "{}").await, 41001, "{path}");
        assert_eq!(errcode(&format!("{url}?access_token=x"), "{}").await, 40001, "{path}");
        assert_eq!(errcode(&format!("{url}?access_token={token}"), "").await, 44002, "{path}");
        assert_eq!(errcode(&format!("{url}?access_token={token}"), "{").await, 47001, "{path}");
    }
    let url = format!("{base}/cgi-bin/stable_token");
    assert_eq!(errcode(&url, "{").await, 47001);
    assert_eq!(errcode(&url, "{}").await, 40002);
    assert_eq!(errcode(&url, r#"{"grant_type":"client_credential"}"#).await, 41002);
    assert_eq!(errcode(&url, r#"{"grant_type":"client_credential","appid":"wx1"}"#).await, 41004);
    assert_eq!(
        errcode(&url, r#"{"grant_type":"client_credential","appid":"wx2","secret":"x"}"#).await,
        40013
    );
    assert_eq!(
        errcode(&url, r#"{"grant_type":"client_credential","appid":"wx1","secret":"x"}"#).await,
        40001
    );
}

#[actix_web::test]
async fn a_check_needs_a_user_and_a_scene() {
    let base = double();
    let _ = awc::Client::new()
        .get(format!("{base}/sns/jscode2session?appid=wx1&secret={SECRET}&js_code=dev:alice"))
        .send()
        .await
        .unwrap();
    let token = token(&base).await;
    let text = json!({ "version": 2, "openid": "alice", "scene": 4, "content": "hello" });
    let media = json!({ "version": 2, "openid": "alice", "scene": 4, "media_url": "https://x.test/1.png", "media_type": 2 });
    for (path, body) in [("msg_sec_check", text), ("media_check_async", media)] {
        let url = format!("{base}/wxa/{path}?access_token={token}");
        for (changes, code) in [
            (json!({}), 0),
            (json!({ "version": 1 }), 47001),
            (json!({ "openid": "" }), 40003),
            (json!({ "openid": "a b" }), 40003),
            (json!({ "scene": 0 }), 40129),
            (json!({ "scene": 5 }), 40129),
            (json!({ "openid": "dev-foreign" }), 43104),
            (json!({ "openid": "bob" }), 61010),
            (json!({ "openid": "dev-inactive" }), 61010),
            (json!({ "content": "", "media_url": "" }), 47001),
            (json!({ "content": 7, "media_type": "x" }), 47001),
        ] {
            assert_eq!(errcode(&url, &with(&body, changes.clone())).await, code, "{path} {changes}");
        }
    }
}

#[actix_web::test]
async fn a_message_needs_a_user_a_template_and_fields() {
    let base = double();
    let url = format!("{base}/cgi-bin/message/subscribe/send?access_token={}", token(&base).await);
    let message = json!({ "touser": "alice", "template_id": "T", "data": { "thing1": { "value": "x" } } });
    for (changes, code) in [
        (json!({}), 43101),
        (json!({ "touser": "" }), 40003),
        (json!({ "template_id": "" }), 40037),
        (json!({ "page": "index" }), 41030),
        (json!({ "data": {} }), 47003),
        (json!({ "data": { "thing1": { "value": "" } } }), 47003),
        (json!({ "data": { "thing1": "x" } }), 47001),
        (json!({ "miniprogram_state": "other" }), 47001),
    ] {
        assert_eq!(errcode(&url, &with(&message, changes.clone())).await, code, "{changes}");
    }
}

#[actix_web::test]
async fn a_page_of_somebody_elses_steers_nothing_and_a_wrong_word_is_told() {
    let base = double();
    let control = async |body: &str, site: &str| {
        let request =
            awc::Client::new().post(format!("{base}/__control")).insert_header(("sec-fetch-site", site));
        request.send_body(body.to_owned()).await.unwrap().status().as_u16()
    };
    assert_eq!(control(r#"{"latency_ms":1}"#, "same-origin").await, 204);
    assert_eq!(control(r#"{"latency_ms":1}"#, "cross-site").await, 403);
    assert_eq!(control(r#"{"latency":1}"#, "none").await, 400);
    assert_eq!(control(r#"{"outage":"maybe"}"#, "none").await, 400);
}
