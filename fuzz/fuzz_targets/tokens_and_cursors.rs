//! Texts that callers hand back to the server: a token holds only under our signature, a cursor names a place
//! or nothing.
#![no_main]

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hongyan::auth::Tokens;
use hongyan::config::{Auth, Secret, SigningKey};
use hongyan::event::cursor::SyncCursor;
use hongyan::http::api::cursor;
use hongyan::ids::OpenId;
use libfuzzer_sys::fuzz_target;
use sha2::Sha256;

const NOW: i64 = 1_700_000_000_000;
const SECRET: &str = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk";

static TOKENS: LazyLock<Tokens> = LazyLock::new(|| {
    let keys = vec![SigningKey { id: "1".into(), secret: Secret::new(SECRET) }];
    Tokens::new(&Auth { keys, token_ttl_s: 604_800 }, "wx0")
});

static GOOD: LazyLock<String> = LazyLock::new(|| {
    let token = TOKENS
        .sign(&TOKENS.admit(OpenId::parse("alice").expect("an openid"), NOW).expect("a login"))
        .expect("a token");
    assert!(TOKENS.verify(&token, NOW).is_ok());
    token
});

fn sign(text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key");
    mac.update(text.as_bytes());
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

/// Signed by the book: RFC 7515 §5.1, computed without the server's code.
fn is_signed(token: &str) -> bool {
    token.rsplit_once('.').is_some_and(|(text, signature)| sign(text) == signature)
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if TOKENS.verify(text, NOW).is_ok() {
        assert!(is_signed(text), "accepted without a signature: {text}");
    }
    // Claims of the input's own, under our signature: what holds then speaks for a user's openid and was
    // issued by now.
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","kid":"1"}"#);
    let claimed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(text));
    if let Ok(identity) = TOKENS.verify(&format!("{claimed}.{}", sign(&claimed)), NOW) {
        assert!(OpenId::parse(identity.openid.as_str()).is_ok());
        assert!(identity.issued.ms <= NOW + 60_000 && identity.issued.ms > NOW - 604_800_000);
    }
    // The same claims under any header, and a good token with the input in its place or behind it.
    for forged in [format!("{claimed}."), format!("{}{text}", *GOOD), text.to_owned() + &GOOD, spliced(text)]
    {
        if forged != *GOOD {
            assert!(TOKENS.verify(&forged, NOW).is_err(), "accepted: {forged}");
        }
    }
    if let Ok(Some(cursor)) = SyncCursor::parse(text) {
        assert_eq!(SyncCursor::parse(&cursor.encode()), Ok(Some(cursor.clone())));
        assert!(cursor.encode().len() <= 128);
    }
    if let Some(place) = cursor::read(text) {
        assert!(text.len() <= 128);
        assert_eq!(cursor::read(&cursor::write(&place)).as_ref(), Some(&place));
    }
});

/// A good token whose bytes from some place on are the input's.
fn spliced(text: &str) -> String {
    let Some(&first) = text.as_bytes().first() else { return String::new() };
    let at = usize::from(first) % GOOD.len();
    let rest = GOOD.get(at + text.len()..).unwrap_or_default();
    format!("{}{text}{rest}", &GOOD[..at])
}
