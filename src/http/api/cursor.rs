//! The cursor of the conversation list: a place in it as an opaque text.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::event::overview::ListPlace;
use crate::ids::Address;

/// The longest cursor that is looked at; those that the server gives are shorter.
const MAX_BYTES: usize = 128;

/// At most 114 characters, all of which may stand in a URL.
pub fn write(place: &ListPlace) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}.{}", place.last_at, place.address))
}

/// `None`: it names no place.
pub fn read(text: &str) -> Option<ListPlace> {
    if text.len() > MAX_BYTES {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (last_at, address) = std::str::from_utf8(&bytes).ok()?.split_once('.')?;
    Some(ListPlace { last_at: last_at.parse().ok()?, address: Address::parse_served(address).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went_and_fits() {
        for (last_at, address) in
            [(0, "a".to_owned()), (i64::MIN, "x".repeat(64)), (1_700_000_000_000, "o-_9".to_owned())]
        {
            let place = ListPlace { last_at, address: Address::parse(&address).unwrap() };
            let cursor = write(&place);
            assert!(cursor.len() <= MAX_BYTES);
            assert!(cursor.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{cursor}");
            assert_eq!(read(&cursor).unwrap(), place);
        }
    }

    #[test]
    fn a_cursor_of_somebody_elses_making_is_refused() {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let strange = [
            String::new(),
            "?".into(),
            encode("1"),
            encode("1.v1"),
            encode("1.g:team"),
            encode("x.a"),
            encode("1.a b"),
            encode("."),
            "A".repeat(129),
        ];
        for text in strange {
            assert!(read(&text).is_none(), "{text}");
        }
    }
}
