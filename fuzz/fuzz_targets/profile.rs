//! What users show of themselves: whatever they send, a name is fit to be shown, and an image begins as one
//! of three kinds.
#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hongyan::profile::{Avatar, Image, Kind, Nickname};
use libfuzzer_sys::fuzz_target;

fn begins_as(kind: Kind) -> &'static [u8] {
    match kind {
        Kind::Jpeg => b"\xFF\xD8\xFF",
        Kind::Png => b"\x89PNG\r\n\x1A\n",
        Kind::Webp => b"RIFF",
    }
}

fuzz_target!(|data: &[u8]| {
    let image = Image::of(data);
    if let Some(image) = image {
        assert!(data.starts_with(begins_as(image.kind)));
        assert!(!data.trim_ascii_start().starts_with(b"<"));
    }
    if let Ok(avatar) = Avatar::from_base64(&STANDARD.encode(data)) {
        assert!(data.len() <= 32 * 1_024 && image.is_some_and(Image::is_of_good_size));
        // What is stored has no metadata left to take out.
        let again = Avatar::from_base64(&STANDARD.encode(avatar.bytes()));
        assert!(again.is_ok_and(|again| again.bytes() == avatar.bytes()));
    }

    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = Avatar::from_base64(text);
    if let Ok(nickname) = Nickname::parse(text) {
        assert!(nickname.as_str().chars().count() <= 32);
        assert!(!nickname.as_str().chars().any(char::is_control));
        assert_eq!(Nickname::parse(nickname.as_str()), Ok(nickname));
    }
});
