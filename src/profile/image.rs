//! Images of the kinds that every client can show, known by their magic and the header behind it alone.

/// The widest and highest.
const LARGEST: u32 = 1_024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Jpeg,
    Png,
    Webp,
}

impl Kind {
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
        }
    }
}

/// An image as its header describes it. Whether the rest can be decoded is for those who show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    pub kind: Kind,
    width: u32,
    height: u32,
}

impl Image {
    /// `None`: the bytes do not begin as a JPEG, PNG or WebP.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let (kind, (width, height)) = if let Some(rest) = bytes.strip_prefix(b"\xFF\xD8") {
            (Kind::Jpeg, jpeg(rest)?)
        } else if let Some(rest) = bytes.strip_prefix(b"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR") {
            (Kind::Png, (be32(rest)?, be32(rest.get(4..)?)?))
        } else if bytes.starts_with(b"RIFF") {
            (Kind::Webp, webp(bytes.get(8..)?.strip_prefix(b"WEBP")?)?)
        } else {
            return None;
        };
        Some(Self { kind, width, height })
    }

    /// Of one chunk of a WebP that tells a size.
    pub fn of_webp(chunk: &[u8]) -> Option<Self> {
        webp(chunk).map(|(width, height)| Self { kind: Kind::Webp, width, height })
    }

    /// Neither empty nor so large that it would fill a phone's memory when it is decoded.
    pub fn is_of_good_size(self) -> bool {
        [self.width, self.height].iter().all(|side| (1..=LARGEST).contains(side))
    }
}

/// Width and height. Segments follow each other up to the frame header (ITU-T T.81, B.1.1 and B.2.2).
fn jpeg(mut rest: &[u8]) -> Option<(u32, u32)> {
    loop {
        rest = rest.strip_prefix(b"\xFF")?;
        // A marker may have any number of fill bytes before it.
        while let Some(filled) = rest.strip_prefix(b"\xFF") {
            rest = filled;
        }
        let (marker, segment) = rest.split_first()?;
        match marker {
            0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                return Some((be16(segment.get(5..)?)?, be16(segment.get(3..)?)?));
            }
            // An image that ends, or begins with its data, before a frame header; and markers that stand
            // alone.
            0x00 | 0x01 | 0xD0..=0xDA => return None,
            _ => {
                let length = usize::try_from(be16(segment)?).ok()?;
                rest = segment.get(length.max(2)..)?;
            }
        }
    }
}

/// Width and height, by the first chunk behind `WEBP` (RFC 9649).
fn webp(chunk: &[u8]) -> Option<(u32, u32)> {
    let data = chunk.get(8..)?;
    match chunk.get(..4)? {
        b"VP8 " => {
            // A key frame: its lowest bit is 0, and a start code follows.
            let sizes = data.get(3..)?.strip_prefix(b"\x9D\x01\x2A")?;
            (data.first()? & 1 == 0).then_some((le(sizes.get(..2)?) & 0x3FFF, le(sizes.get(2..4)?) & 0x3FFF))
        }
        b"VP8L" => {
            let bits = le(data.strip_prefix(b"\x2F")?.get(..4)?);
            Some(((bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1))
        }
        b"VP8X" => Some((le(data.get(4..7)?) + 1, le(data.get(7..10)?) + 1)),
        _ => None,
    }
}

fn be16(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|b| u32::from(u16::from_be_bytes(*b)))
}

fn be32(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|b| u32::from_be_bytes(*b))
}

/// Of at most four bytes, the lowest first.
fn le(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        [
            b"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR".as_slice(),
            &width.to_be_bytes(),
            &height.to_be_bytes(),
            b"\x08\x06\0\0\0",
        ]
        .concat()
    }

    fn webp(chunk: &[u8], data: &[u8]) -> Vec<u8> {
        [b"RIFF\x40\0\0\0WEBP".as_slice(), chunk, b"\x20\0\0\0", data].concat()
    }

    fn sized(bytes: &[u8]) -> Option<(Kind, u32, u32)> {
        Image::of(bytes).map(|image| (image.kind, image.width, image.height))
    }

    #[test]
    fn each_kind_tells_its_size() {
        assert_eq!(sized(&png(1_024, 7)), Some((Kind::Png, 1_024, 7)));
        let jpeg = b"\xFF\xD8\xFF\xE0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xFF\xFF\xFF\xC2\0\x11\x08\x01\x02\x03\x04";
        assert_eq!(sized(jpeg), Some((Kind::Jpeg, 0x304, 0x102)));
        assert_eq!(
            sized(&webp(b"VP8 ", b"\x10\0\0\x9D\x01\x2A\x64\x40\xC8\0")),
            Some((Kind::Webp, 100, 200))
        );
        assert_eq!(sized(&webp(b"VP8L", b"\x2F\xC7\x80\x18\0")), Some((Kind::Webp, 200, 99)));
        assert_eq!(sized(&webp(b"VP8X", b"\x10\0\0\0\xFF\x03\0\x09\0\0")), Some((Kind::Webp, 1_024, 10)));
    }

    #[test]
    fn other_bytes_are_no_image() {
        let scan_first = b"\xFF\xD8\xFF\xDA\0\x08\x01";
        let between_frames = webp(b"VP8 ", b"\x11\0\0\x9D\x01\x2A\x64\0\xC8\0");
        for bad in [
            b"".as_slice(),
            b"GIF89a\x01\0\x01\0",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            b"<!doctype html><script>alert(1)</script>",
            b"BM\x46\0\0\0",
            b"\0\0\0\x1CftypAVIF",
            b"\xFF\xD8\xFF",
            b"\xFF\xD8<html>",
            b"\xFF\xD8\xFF\xE0\xFF\xFF",
            b"\xFF\xD8\xFF\xE0\0\0\xFF",
            scan_first,
            b"RIFF\0\0\0\0WAVEfmt ",
            b"RIFF\0\0\0\0WEBPALPH\0\0\0\0",
            &between_frames,
        ] {
            assert_eq!(sized(bad), None, "{}", bad.escape_ascii());
        }
        for whole in [png(1, 1), webp(b"VP8X", b"\x10\0\0\0\xFF\x03\0\x09\0\0")] {
            for end in 0..24 {
                assert_eq!(sized(&whole[..end]), None, "cut at {end}");
            }
        }
    }

    #[test]
    fn an_image_has_1_to_1024_pixels_a_side() {
        for (width, height, good) in
            [(1, 1, true), (1_024, 1_024, true), (0, 5, false), (1_025, 5, false), (5, u32::MAX, false)]
        {
            assert_eq!(Image::of(&png(width, height)).unwrap().is_of_good_size(), good, "{width}x{height}");
        }
    }
}
