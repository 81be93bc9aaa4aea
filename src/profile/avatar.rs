//! The images beside names.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Unfit;
use super::image::Image;
use super::strip::strip;
use crate::ids::{sha256, text_id};

/// Bytes of one avatar.
const LARGEST: usize = 32 * 1_024;

text_id!(
    /// The name of an image: the SHA-256 of its bytes, so that what stands under it never changes. Its
    /// hexadecimal digits are small ones.
    AvatarId(Arc<str>), "avatar", "64 hexadecimal digits", |text| {
        text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    }
);

impl AvatarId {
    fn of(bytes: &[u8]) -> Self {
        Self(sha256(bytes).into())
    }
}

/// A JPEG, PNG or WebP of at most 32 KiB and 1024 × 1024 pixels, without its metadata.
#[derive(Clone)]
pub struct Avatar {
    id: AvatarId,
    bytes: Arc<[u8]>,
}

impl Avatar {
    /// # Errors
    /// [`Unfit`].
    pub fn from_base64(text: &str) -> Result<Self, Unfit> {
        let bytes = STANDARD
            .decode(text)
            .map_err(|_| Unfit("avatar must be base64 of the standard alphabet, with its padding"))?;
        if bytes.len() > LARGEST {
            return Err(Unfit("avatar must have at most 32 KiB"));
        }
        let image = Image::of(&bytes).ok_or(Unfit("avatar must be a JPEG, PNG or WebP"))?;
        if !image.is_of_good_size() {
            return Err(Unfit("avatar must have 1 to 1024 pixels a side"));
        }
        let bytes = strip(&bytes)?;
        Ok(Self { id: AvatarId::of(&bytes), bytes: bytes.into() })
    }

    pub fn id(&self) -> &AvatarId {
        &self.id
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Avatar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Avatar({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PNG with as much in it as is wanted.
    fn of_length(length: usize) -> String {
        let data = vec![0; length - 57];
        let header = b"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR\0\0\0\x40\0\0\0\x40\x08\x06\0\0\0csum";
        let size = u32::try_from(data.len()).unwrap().to_be_bytes();
        STANDARD.encode([header.as_slice(), &size, b"IDAT", &data, b"csum\0\0\0\0IENDcsum"].concat())
    }

    #[test]
    fn the_name_is_the_hash_of_the_bytes() {
        let avatar = Avatar::from_base64(&of_length(100)).unwrap();
        assert_eq!(AvatarId::parse(avatar.id().as_str()).unwrap(), AvatarId::of(avatar.bytes()));
        for bad in ["", "ab", &"g".repeat(64), &"A".repeat(64), &"0".repeat(65), &"é".repeat(32)] {
            assert!(AvatarId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn at_most_32_kib_of_plain_base64() {
        assert!(Avatar::from_base64(&of_length(LARGEST)).is_ok());
        assert_eq!(
            Avatar::from_base64(&of_length(LARGEST + 1)).unwrap_err(),
            Unfit("avatar must have at most 32 KiB")
        );
        let good = of_length(100);
        for bad in [
            "https://example.com/a.png",
            "data:image/png;base64,iVBORw0KGgo=",
            &format!("{good}\n"),
            good.trim_end_matches('='),
            &good.replacen('i', "-", 1),
            "====",
        ] {
            assert!(Avatar::from_base64(bad).unwrap_err().to_string().contains("base64"), "{bad}");
        }
        assert!(Avatar::from_base64("").unwrap_err().to_string().contains("JPEG"));
    }
}
