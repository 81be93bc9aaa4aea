use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::config::{Config, Secret, WeChat};

/// Of WeChat's own sample code, as its appid and the vector below.
const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

fn receiver(token: &str, key: &str, appid: &str) -> Receiver {
    let config = WeChat {
        appid: appid.into(),
        push_token: Secret::new(token),
        push_aes_key: Secret::new(key),
        ..Config::default().wechat
    };
    Receiver::new(&config).unwrap()
}

fn signed(query: &str) -> Signed {
    actix_web::web::Query::<Signed>::from_query(query).unwrap().into_inner()
}

#[test]
fn signatures_are_those_of_wechats_documents() {
    for (timestamp, nonce, expected) in [
        ("1714036504", "1514711492", "f464b24fc39322e44b38aa78f5edd27bd1441696"),
        ("1714037059", "486452656", "899cf89e464efb63f54ddac96b0a0a235f53aa78"),
    ] {
        assert_eq!(signature(&["AAAAA", timestamp, nonce]), expected);
        let receiver = receiver("AAAAA", "", "wx1");
        let ask = |signature: &str, at: i64| {
            receiver.check(&signed(&format!("signature={signature}&timestamp={timestamp}&nonce={nonce}")), at)
        };
        let at: i64 = timestamp.parse().unwrap();
        for near in [at - 600, at, at + 600] {
            assert_eq!(ask(expected, near), Ok(()));
        }
        for far in [at - 601, at + 601, 0, i64::MAX] {
            assert_eq!(ask(expected, far), Err(Refused::Stale));
        }
        for wrong in
            ["", &expected[1..], &format!("{}0", &expected[..39]), &expected.to_uppercase(), &"é".repeat(20)]
        {
            assert_eq!(ask(wrong, at), Err(Refused::NotSigned), "{wrong}");
        }
    }
    assert!(Receiver::new(&Config::default().wechat).is_none());
}

/// Encrypted by WeChat's sample code (padding 7), and by another implementation (Python's `cryptography`)
/// with blocks of 16 and of 32.
#[test]
fn what_others_encrypted_is_read() {
    let event = br#"{"MsgType":"event","Event":"debug_demo","CreateTime":1714037059,"FromUserName":"o1"}"#;
    for (token, appid, timestamp, nonce, sealed, plain) in [
        (
            "pamtest",
            "wxb11529c136998cb6",
            "1409304348",
            "xxxxxx",
            "jn1L23DB+6ELqJ+6bruv21Y6MD7KeIfP82D6gU39rmkgczbWwt5+3bnyg5K55bgVtVzd832WzZGMhkP72vVOfg==",
            "我是中文abcd123".as_bytes(),
        ),
        (
            "AAAAA",
            "wx1",
            "1714037059",
            "486452656",
            "Q3stYC6hdFzMh9T8HCvyDE160kQ8uP9DpbfYkGY2A/YONcSRPPQlWPy92+Av25n/XQZyxa/tY/7oGXk52D5iXvfzFiNjEeK5Xlw3ZCF8Mv6gdpCj1bgEkQr1JVDAxV/J2m7cOGdRTSssFlybk6GL/w==",
            event,
        ),
        (
            "AAAAA",
            "wx1",
            "1714037059",
            "486452656",
            "Q3stYC6hdFzMh9T8HCvyDE160kQ8uP9DpbfYkGY2A/YONcSRPPQlWPy92+Av25n/XQZyxa/tY/7oGXk52D5iXvfzFiNjEeK5Xlw3ZCF8Mv6gdpCj1bgEkQr1JVDAxV/JLVby3TBr73Ei78uPtJ5SgRDeymYsMc2Qn1YY1o+Z3EA=",
            event,
        ),
    ] {
        let signature = signature(&[token, timestamp, nonce, sealed]);
        let query = format!("timestamp={timestamp}&nonce={nonce}&encrypt_type=aes&msg_signature=");
        let ours = receiver(token, KEY, appid);
        let json = json!({ "ToUserName": "gh", "Encrypt": sealed }).to_string();
        let xml = format!(
            "<xml><ToUserName><![CDATA[toUser]]></ToUserName><Encrypt><![CDATA[{sealed}]]></Encrypt></xml>"
        );
        for body in [&json, &xml] {
            assert_eq!(ours.open(&signed(&format!("{query}{signature}")), body.as_bytes()).unwrap(), plain);
        }
        let open =
            |receiver: &Receiver, query: &str, body: &str| receiver.open(&signed(query), body.as_bytes());
        let right = format!("{query}{signature}");
        assert_eq!(open(&receiver(token, KEY, "wx2"), &right, &json), Err(Refused::OtherApp));
        assert_eq!(open(&receiver("BBBBB", KEY, appid), &right, &json), Err(Refused::NotSigned));
        assert_eq!(open(&ours, &format!("{query}{}", "0".repeat(40)), &json), Err(Refused::NotSigned));
        assert_eq!(
            open(&receiver(token, &KEY.replace('a', "b"), appid), &right, &json),
            Err(Refused::Undecipherable)
        );
        assert_eq!(open(&ours, "encrypt_type=raw", &json), Err(Refused::Plain));
        assert_eq!(open(&ours, "", &json), Err(Refused::Plain));
        assert_eq!(open(&receiver(token, "", appid), &right, &json), Err(Refused::Encrypted));
        assert_eq!(open(&receiver(token, "", appid), "", "as it is").unwrap(), b"as it is");
    }
}

#[test]
fn what_was_not_encrypted_right_is_refused() {
    let ours = receiver("AAAAA", KEY, "wx1");
    let open = |sealed: &str| {
        let signature = signature(&["AAAAA", "1", "2", sealed]);
        let query = format!("timestamp=1&nonce=2&encrypt_type=aes&msg_signature={signature}");
        ours.open(&signed(&query), json!({ "Encrypt": sealed }).to_string().as_bytes())
    };
    for padding in [1, 16, 32] {
        assert!(open(&sealed(None, &vec![padding; padding.into()])).is_ok(), "{padding}");
    }
    for padding in [vec![], vec![33; 33], vec![4, 4, 3, 4], vec![0; 16], vec![5; 4]] {
        assert_eq!(open(&sealed(None, &padding)), Err(Refused::Undecipherable), "{padding:?}");
    }
    assert_eq!(open(&sealed(Some(u32::MAX), &[16; 16])), Err(Refused::Undecipherable));
    for bad in ["", "====", "AAAA", "not base64!", &"A".repeat(64)] {
        assert_eq!(open(bad), Err(Refused::Undecipherable), "{bad}");
    }
    assert_eq!(ours.open(&signed("encrypt_type=aes"), b"{}"), Err(Refused::Undecipherable));
}

/// A message that says it has `length` bytes (`None`: as many as it has), with `padding` behind it, in whole
/// blocks.
fn sealed(length: Option<u32>, padding: &[u8]) -> String {
    use base64::Engine as _;
    use cbc::cipher::block_padding::NoPadding;
    use cbc::cipher::{BlockModeEncrypt as _, KeyIvInit as _};
    let key = AesKey::parse(KEY).unwrap();
    let appid = b"wx1";
    let message = vec![b'h'; 16 - (4 + appid.len() + padding.len()) % 16];
    let length = length.unwrap_or(u32::try_from(message.len()).unwrap());
    let mut plain = [&[7; 16], length.to_be_bytes().as_slice(), &message, appid, padding].concat();
    let count = plain.len();
    let cipher = cbc::Encryptor::<aes::Aes256>::new(key.bytes().into(), key.iv().into());
    base64::engine::general_purpose::STANDARD
        .encode(cipher.encrypt_padded::<NoPadding>(&mut plain, count).unwrap())
}

fn push(message: &str) -> Result<Push, Unreadable> {
    Message::read(message.as_bytes()).and_then(|message| message.push())
}

#[test]
fn a_media_check_is_read_as_wechat_writes_it() {
    let event = json!({
        "ToUserName": "gh_9df7d78a1234", "FromUserName": "o4_t144jTUSEoxydysUA2E234_tc", "CreateTime": 1626959646, "MsgType": "event",
        "Event": "wxa_media_check", "appid": "wx8f16a5e77871234", "trace_id": "60f96f1d-3845297a-1976a3ae", "version": 2,
        "detail": [{ "strategy": "content_model", "errcode": 0, "suggest": "risky", "label": 20002, "prob": 90 }],
        "errcode": 0, "errmsg": "ok", "result": { "suggest": "risky", "label": 20002 },
    });
    let expected = Push::MediaChecked {
        trace_id: "60f96f1d-3845297a-1976a3ae".into(),
        appid: "wx8f16a5e77871234".into(),
        suggest: Suggest::Risky,
        label: 20002,
    };
    assert_eq!(push(&event.to_string()), Ok(expected.clone()));
    let mut texts = event.clone();
    (texts["result"]["label"], texts["CreateTime"]) = ("20002".into(), "1626959646".into());
    assert_eq!(push(&texts.to_string()), Ok(expected.clone()));
    let xml = "<xml><ToUserName><![CDATA[gh]]></ToUserName><FromUserName><![CDATA[o4]]></FromUserName><CreateTime>1626959646</CreateTime>\
               <MsgType><![CDATA[event]]></MsgType><Event><![CDATA[wxa_media_check]]></Event><appid><![CDATA[wx8f16a5e77871234]]></appid>\
               <trace_id><![CDATA[60f96f1d-3845297a-1976a3ae]]></trace_id><version>2</version><errcode>0</errcode>\
               <detail><strategy>content_model</strategy></detail><detail><strategy>ocr</strategy></detail>\
               <result><suggest><![CDATA[risky]]></suggest><label>20002</label></result></xml>";
    assert_eq!(push(xml), Ok(expected));

    let mut failed = event.clone();
    failed["errcode"] = (-1008).into();
    assert!(matches!(push(&failed.to_string()), Ok(Push::MediaUnchecked { code: -1008, .. })));
    for lacks in ["trace_id", "appid", "result"] {
        let mut less = event.clone();
        less.as_object_mut().unwrap().remove(lacks);
        assert_eq!(push(&less.to_string()), Err(Unreadable), "{lacks}");
    }
    let mut odd = event;
    odd["result"]["suggest"] = "perhaps".into();
    assert_eq!(push(&odd.to_string()), Err(Unreadable));
}

fn change(template: &str, action: SubscribeAction, of: &Push) -> bool {
    let Push::Subscribe(changes) = of else { return false };
    changes.iter().any(|c| {
        (c.openid.as_str(), c.template_id.as_str(), &c.action, c.at_s)
            == ("otFpruAK8D", template, &action, 1_610_969_440)
    })
}

#[test]
fn what_users_do_about_templates_is_read_in_both_forms() {
    let head = "<ToUserName><![CDATA[gh]]></ToUserName><FromUserName><![CDATA[otFpruAK8D]]></FromUserName><CreateTime>1610969440\
                </CreateTime><MsgType><![CDATA[event]]></MsgType>";
    let json = |event: &str, list: Value| {
        json!({ "ToUserName": "gh", "FromUserName": "otFpruAK8D", "CreateTime": "1610969440", "MsgType": "event", "Event": event, "List": list })
            .to_string()
    };
    let popup = json!([
        { "TemplateId": "a", "SubscribeStatusString": "accept", "PopupScene": "0" },
        { "TemplateId": "b", "SubscribeStatusString": "reject", "PopupScene": "0" },
        { "TemplateId": "c", "SubscribeStatusString": "filter", "PopupScene": "0" },
    ]);
    let popup_xml = format!(
        "<xml>{head}<Event>subscribe_msg_popup_event</Event><SubscribeMsgPopupEvent>\
         <List><TemplateId>a</TemplateId><SubscribeStatusString>accept</SubscribeStatusString><PopupScene>0</PopupScene></List>\
         <List><TemplateId>b</TemplateId><SubscribeStatusString>reject</SubscribeStatusString><PopupScene>0</PopupScene></List>\
         </SubscribeMsgPopupEvent></xml>"
    );
    let mut keys = Vec::new();
    for message in [json("subscribe_msg_popup_event", popup), popup_xml] {
        let found = push(&message).unwrap();
        assert!(
            change("a", SubscribeAction::Accepted, &found) && change("b", SubscribeAction::Rejected, &found),
            "{found:?}"
        );
        let Push::Subscribe(changes) = found else { panic!() };
        assert_eq!(changes.len(), 2);
        keys.push(changes.into_iter().map(|change| change.key).collect::<Vec<_>>());
    }
    assert_eq!(keys[0], keys[1]);
    assert_ne!(keys[0][0], keys[0][1]);

    let removed =
        json("subscribe_msg_change_event", json!({ "TemplateId": "a", "SubscribeStatusString": "reject" }));
    assert!(change("a", SubscribeAction::Removed, &push(&removed).unwrap()));
    let on_again =
        json("subscribe_msg_change_event", json!([{ "TemplateId": "a", "SubscribeStatusString": "accept" }]));
    assert_eq!(push(&on_again), Ok(Push::Other { event: "subscribe_msg_change_event".into() }));

    let sent = |code: &str| json!([{ "TemplateId": "a", "MsgID": "1700827132819554304", "ErrorCode": code, "ErrorStatus": "x" }]);
    for (code, number) in [("0", 0), ("3", 3)] {
        let found = push(&json("subscribe_msg_sent_event", sent(code))).unwrap();
        assert!(
            change("a", SubscribeAction::Sent { code: number, msgid: "1700827132819554304".into() }, &found),
            "{found:?}"
        );
    }
    let sent_xml = format!(
        "<xml>{head}<Event>subscribe_msg_sent_event</Event><SubscribeMsgSentEvent><List><TemplateId>a</TemplateId>\
         <MsgID>1700827132819554304</MsgID><ErrorCode>0</ErrorCode><ErrorStatus>success</ErrorStatus></List></SubscribeMsgSentEvent></xml>"
    );
    assert!(change(
        "a",
        SubscribeAction::Sent { code: 0, msgid: "1700827132819554304".into() },
        &push(&sent_xml).unwrap()
    ));
}

#[test]
fn other_events_are_named_and_what_is_none_is_refused() {
    assert_eq!(
        push(r#"{"MsgType":"event","Event":"debug_demo"}"#),
        Ok(Push::Other { event: "debug_demo".into() })
    );
    assert_eq!(
        push(r#"{"MsgType":"text","Content":"x","MsgId":7}"#),
        Ok(Push::Other { event: "text".into() })
    );
    for bad in [
        "",
        "[]",
        "7",
        "{}",
        "success",
        "<xml></xml>",
        r#"{"MsgType":"event"}"#,
        r#"{"MsgType":"event","Event":["wxa_media_check"]}"#,
        r#"{"MsgType":"event","Event":"subscribe_msg_popup_event","FromUserName":"o","CreateTime":1}"#,
        r#"{"MsgType":"event","Event":"subscribe_msg_popup_event","FromUserName":"a b","CreateTime":1,"List":[]}"#,
        r#"{"MsgType":"event","Event":"subscribe_msg_popup_event","FromUserName":"o","CreateTime":"x","List":[]}"#,
        r#"{"MsgType":"event","Event":"subscribe_msg_popup_event","FromUserName":"o","CreateTime":1,"List":["x"]}"#,
    ] {
        assert_eq!(push(bad), Err(Unreadable), "{bad}");
    }
}

#[test]
fn a_message_that_comes_again_has_the_same_id() {
    let id = |message: &str| Message::read(message.as_bytes()).unwrap().id;
    let media = |trace_id: &str| {
        format!(
            r#"{{"MsgType":"event","Event":"wxa_media_check","FromUserName":"o","CreateTime":1,"trace_id":"{trace_id}"}}"#
        )
    };
    assert_eq!(id(&media("a")), id(&media("a")));
    assert_ne!(id(&media("a")), id(&media("b")));
    assert_eq!(id(r#"{"MsgId":"7","x":1}"#), id(r#"{"x":2,"MsgId":7}"#));
}

/// Pieces of which the hostile make theirs.
fn scraps() -> impl Strategy<Value = String> {
    let scrap = prop_oneof![
        "[<>&;/\\[\\]{}\":,a-e0-9 ]{0,8}",
        prop::sample::select(vec![
            "<xml>",
            "</xml>",
            "<List>",
            "</List>",
            "<![CDATA[",
            "]]>",
            "&#x41;",
            "&amp;",
            "<!--",
            "-->",
            "<?xml?>",
            "<!DOCTYPE a>",
            "\"Event\":",
            "\"List\":[",
            "subscribe_msg_sent_event",
            "{\"MsgType\":\"event\",",
            "<MsgType>event</MsgType>",
            "é",
            "\u{0}",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(scrap, 0..24).prop_map(|scraps| scraps.concat())
}

proptest! {
    #[test]
    fn whatever_comes_is_read_or_refused(text in scraps(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for message in [text.as_bytes(), &bytes] {
            if let Ok(message) = Message::read(message) {
                let _ = message.push();
            }
        }
        let ours = receiver("AAAAA", KEY, "wx1");
        let sealed = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &bytes);
        let query = format!("timestamp=1&nonce=2&encrypt_type=aes&msg_signature={}", signature(&["AAAAA", "1", "2", &sealed]));
        let envelope = json!({ "Encrypt": sealed }).to_string();
        for body in [&envelope, &text] {
            prop_assert!(ours.open(&signed(&query), body.as_bytes()).is_err());
        }
    }
}
