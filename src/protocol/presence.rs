//! The `presence` frame, either way.

use std::collections::HashSet;
use std::fmt::{self, Write as _};

use bytestring::ByteString;
use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};

use super::outbound::push_ids;
use crate::event::Presence;
use crate::ids::{Malformed, OpenId, RequestId};

/// Users that one session watches at most.
const PEERS: usize = 200;

/// Reads the `peers` of a `presence`.
///
/// # Errors
/// [`Malformed`].
pub(super) fn peers(json: &str) -> Result<Vec<OpenId>, Malformed> {
    let wrong = Malformed("peers", "a list of at most 200 openids, each once");
    serde_json::from_str::<Peers>(json).map(|peers| peers.0).map_err(|_| wrong)
}

struct Peers(Vec<OpenId>);

impl<'de> Deserialize<'de> for Peers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Peers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("openids")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Peers, A::Error> {
                let (mut peers, mut known) = (Vec::new(), HashSet::new());
                while let Some(text) = seq.next_element::<String>()? {
                    let peer = OpenId::parse(&text).map_err(A::Error::custom)?;
                    if peers.len() >= PEERS || !known.insert(peer.clone()) {
                        return Err(A::Error::custom("too many openids, or one of them twice"));
                    }
                    peers.push(peer);
                }
                Ok(Peers(peers))
            }
        }
        deserializer.deserialize_seq(Each)
    }
}

/// A `presence` frame: with `id` the answer to one, without it what has changed.
pub fn presence<'a>(
    id: Option<&RequestId>,
    peers: impl IntoIterator<Item = (&'a OpenId, Presence)>,
) -> ByteString {
    let mut out = String::with_capacity(256);
    out.push_str(r#"{"type":"presence","status":200"#);
    push_ids(&mut out, id, None);
    out.push_str(r#","peers":["#);
    for (number, (peer, presence)) in peers.into_iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        let (state, last_seen) = match presence {
            Presence::Foreground => ("foreground", None),
            Presence::Background => ("background", None),
            Presence::Away { last_seen } => ("away", last_seen),
            Presence::Unknown => ("unknown", None),
        };
        let _ = write!(out, r#"{{"peer":"{peer}","state":"{state}""#);
        if let Some(last_seen) = last_seen {
            let _ = write!(out, r#","last_seen":{}"#, last_seen.ms());
        }
        out.push('}');
    }
    out.push_str("]}");
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::LastSeen;

    #[test]
    fn peers_are_a_bounded_list_of_openids_each_once() {
        let read = |json: &str| {
            peers(json).map(|peers| peers.iter().map(|peer| peer.as_str().to_owned()).collect::<Vec<_>>())
        };
        let many = |count: usize| {
            serde_json::json!((0..count).map(|n| format!("u{n}")).collect::<Vec<_>>()).to_string()
        };
        assert_eq!(read("[]").unwrap(), [""; 0]);
        assert_eq!(read(r#"["b","a"]"#).unwrap(), ["b", "a"]);
        assert_eq!(read(&many(200)).unwrap().len(), 200);
        for bad in
            ["null", "{}", r#""a""#, "[1]", r#"["a","a"]"#, r#"["g:team"]"#, r#"["admin"]"#, &many(201)]
        {
            assert!(read(bad).is_err(), "{bad:.40}");
        }
    }

    #[test]
    fn a_frame_says_of_each_peer_what_may_be_known() {
        let names = ["a", "b", "c", "d", "e"].map(|name| OpenId::parse(name).unwrap());
        let states = [
            Presence::Foreground,
            Presence::Background,
            Presence::Away { last_seen: Some(LastSeen::at(300_001)) },
            Presence::Away { last_seen: None },
            Presence::Unknown,
        ];
        let id = RequestId::parse(r#""1""#, "1").unwrap();
        insta::assert_snapshot!(
            presence(Some(&id), names.iter().zip(states)),
            @r#"{"type":"presence","status":200,"id":"1","peers":[{"peer":"a","state":"foreground"},{"peer":"b","state":"background"},{"peer":"c","state":"away","last_seen":300000},{"peer":"d","state":"away"},{"peer":"e","state":"unknown"}]}"#
        );
        insta::assert_snapshot!(presence(None, []), @r#"{"type":"presence","status":200,"peers":[]}"#);
    }
}
