//! An image as it is stored: whole, still, one, and without what is not drawn. Where and with what a picture
//! was taken stands in its metadata, and nobody who uploads a face means to tell that. The pixels are left as
//! they are; only the parts around them are looked at.

use super::Unfit;
use super::image::Image;

const BROKEN: Unfit = Unfit("avatar must be a whole JPEG, PNG or WebP");
const ANIMATED: Unfit = Unfit("avatar must not be animated");
const SEVERAL: Unfit = Unfit("avatar must be one image, of the size that it says");

/// The image without its metadata.
///
/// # Errors
/// [`Unfit`]: it is cut short, moves, has a second header, or its canvas is not its frame.
pub fn strip(bytes: &[u8]) -> Result<Vec<u8>, Unfit> {
    if let Some(rest) = bytes.strip_prefix(b"\xFF\xD8") {
        jpeg(rest)
    } else if let Some(rest) = bytes.strip_prefix(PNG) {
        png(rest)
    } else if let Some(rest) = bytes.strip_prefix(b"RIFF") {
        webp(rest)
    } else {
        Err(BROKEN)
    }
}

const PNG: &[u8] = b"\x89PNG\r\n\x1A\n";

/// Chunks that are drawn (PNG 3rd edition, 11): the image, its transparency, and what its colours mean.
const PNG_DRAWN: [&[u8]; 9] =
    [b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sRGB"];

fn png(mut rest: &[u8]) -> Result<Vec<u8>, Unfit> {
    let mut stripped = PNG.to_vec();
    let (mut headers, mut has_data) = (0, false);
    loop {
        let length = rest.first_chunk().map(|bytes| u32::from_be_bytes(*bytes)).ok_or(BROKEN)?;
        // Length, name and checksum.
        let end = usize::try_from(length).ok().and_then(|length| length.checked_add(12)).ok_or(BROKEN)?;
        let (chunk, later) = rest.split_at_checked(end).ok_or(BROKEN)?;
        let name = &chunk[4..8];
        match name {
            b"IHDR" => headers += 1,
            b"IDAT" => has_data = true,
            b"acTL" | b"fcTL" | b"fdAT" => return Err(ANIMATED),
            _ => {}
        }
        if headers != 1 {
            return Err(SEVERAL);
        }
        if PNG_DRAWN.contains(&name) {
            stripped.extend_from_slice(chunk);
        }
        if name == b"IEND" {
            return if has_data { Ok(stripped) } else { Err(BROKEN) };
        }
        rest = later;
    }
}

/// Bits of VP8X (RFC 9649 §2.7.1).
const ANIMATION: u8 = 0x02;
const XMP: u8 = 0x04;
const EXIF: u8 = 0x08;

fn webp(rest: &[u8]) -> Result<Vec<u8>, Unfit> {
    let (size, file) = rest.split_first_chunk::<4>().ok_or(BROKEN)?;
    let size = usize::try_from(u32::from_le_bytes(*size)).map_err(|_| BROKEN)?;
    // What stands behind the file is no part of it.
    let mut rest = file.get(..size).and_then(|file| file.strip_prefix(b"WEBP")).ok_or(BROKEN)?;
    let mut stripped = b"RIFF\0\0\0\0WEBP".to_vec();
    let (mut canvas, mut frame) = (None, None);
    while !rest.is_empty() {
        let length = rest
            .get(4..)
            .and_then(|rest| rest.first_chunk())
            .map(|bytes| u32::from_le_bytes(*bytes))
            .ok_or(BROKEN)?;
        let length = usize::try_from(length).map_err(|_| BROKEN)?;
        let padded = length.checked_add(length % 2).and_then(|length| length.checked_add(8)).ok_or(BROKEN)?;
        let (chunk, later) = rest.split_at_checked(padded).ok_or(BROKEN)?;
        let name = &chunk[..4];
        match name {
            b"VP8X" => {
                let flags = *chunk.get(8).ok_or(BROKEN)?;
                if flags & ANIMATION != 0 {
                    return Err(ANIMATED);
                }
                if canvas.is_some() || frame.is_some() {
                    return Err(SEVERAL);
                }
                canvas = Some(Image::of_webp(chunk).ok_or(BROKEN)?);
                let at = stripped.len();
                stripped.extend_from_slice(chunk);
                stripped[at + 8] = flags & !(EXIF | XMP);
            }
            b"VP8 " | b"VP8L" => {
                if frame.is_some() {
                    return Err(SEVERAL);
                }
                frame = Some(Image::of_webp(chunk).ok_or(BROKEN)?);
                stripped.extend_from_slice(chunk);
            }
            b"ALPH" | b"ICCP" if canvas.is_some() && frame.is_none() => stripped.extend_from_slice(chunk),
            b"ANIM" | b"ANMF" => return Err(ANIMATED),
            _ => {}
        }
        rest = later;
    }
    match (canvas, frame) {
        (_, None) => return Err(BROKEN),
        (Some(canvas), Some(frame)) if canvas != frame => return Err(SEVERAL),
        _ => {}
    }
    let size = u32::try_from(stripped.len() - 8).map_err(|_| BROKEN)?;
    stripped[4..8].copy_from_slice(&size.to_le_bytes());
    Ok(stripped)
}

/// Segments up to the end (ITU-T T.81, B.1.1), each behind its marker.
fn jpeg(mut rest: &[u8]) -> Result<Vec<u8>, Unfit> {
    let mut stripped = b"\xFF\xD8".to_vec();
    let (mut frames, mut has_data, mut is_turned) = (0, false, false);
    loop {
        rest = rest.strip_prefix(b"\xFF").ok_or(BROKEN)?;
        // A marker may have any number of fill bytes before it.
        while let Some(filled) = rest.strip_prefix(b"\xFF") {
            rest = filled;
        }
        let (marker, behind) = rest.split_first().ok_or(BROKEN)?;
        match marker {
            0xD9 if has_data => {
                stripped.extend_from_slice(b"\xFF\xD9");
                return Ok(stripped);
            }
            // A second beginning, and a frame whose height comes behind it.
            0xD8 | 0xDC => return Err(SEVERAL),
            0x00 | 0x01 | 0xD0..=0xD9 => return Err(BROKEN),
            _ => {}
        }
        let length =
            behind.first_chunk().map(|bytes| usize::from(u16::from_be_bytes(*bytes))).ok_or(BROKEN)?;
        let (segment, later) = behind.split_at_checked(length.max(2)).ok_or(BROKEN)?;
        rest = later;
        match marker {
            0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => frames += 1,
            0xDA => has_data = true,
            _ => {}
        }
        if frames > 1 || (has_data && frames == 0) {
            return Err(SEVERAL);
        }
        if let (0xE1, false, Some(turned)) = (marker, is_turned, orientation(segment)) {
            is_turned = true;
            stripped.extend_from_slice(&exif(turned));
        } else if is_drawn(*marker, segment) {
            stripped.extend_from_slice(&[0xFF, *marker]);
            stripped.extend_from_slice(segment);
        }
        if *marker == 0xDA {
            let data = scan(rest).ok_or(BROKEN)?;
            stripped.extend_from_slice(&rest[..data]);
            rest = &rest[data..];
        }
    }
}

/// Frames, tables and scans; of what applications say only what colours mean. JFIF may hold a small picture
/// of its own.
fn is_drawn(marker: u8, segment: &[u8]) -> bool {
    let says = |name: &[u8]| segment.get(2..).is_some_and(|said| said.starts_with(name));
    match marker {
        0xC0..=0xCF | 0xDA | 0xDB | 0xDD => true,
        0xE0 => says(b"JFIF\0") && segment.len() == 16,
        0xE2 => says(b"ICC_PROFILE\0"),
        0xEE => says(b"Adobe") && segment.len() == 14,
        _ => false,
    }
}

/// Bytes of a scan: up to the next marker that is not a part of it (B.1.1.2).
fn scan(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xFF | 0xD0..=0xD7))
}

/// Which way up a picture is (Exif 2.32, 4.6.4: tag 0x0112), where that is not as its pixels stand. Of Exif
/// it is all that is drawn.
fn orientation(segment: &[u8]) -> Option<u8> {
    let tiff = segment.get(2..)?.strip_prefix(b"Exif\0\0")?;
    let little = match tiff.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let short = |at: usize| {
        tiff.get(at..)?
            .first_chunk()
            .map(|b| if little { u16::from_le_bytes(*b) } else { u16::from_be_bytes(*b) })
    };
    let long = |at: usize| {
        tiff.get(at..)?
            .first_chunk()
            .map(|b| if little { u32::from_le_bytes(*b) } else { u32::from_be_bytes(*b) })
    };
    let directory = usize::try_from(long(4)?).ok()?;
    let entries = usize::from(short(directory)?);
    let entry = (0..entries).map(|n| directory + 2 + 12 * n).find(|at| short(*at) == Some(0x0112))?;
    u8::try_from(short(entry + 8)?).ok().filter(|turned| (2..=8).contains(turned))
}

/// An Exif segment that says nothing else.
fn exif(orientation: u8) -> Vec<u8> {
    let mut segment = b"\xFF\xE1\0\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    segment.extend_from_slice(&[orientation, 0, 0, 0, 0, 0, 0]);
    segment
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
        [u32::try_from(data.len()).unwrap().to_be_bytes().as_slice(), name, data, b"csum"].concat()
    }

    fn png(chunks: &[Vec<u8>]) -> Vec<u8> {
        [PNG.to_vec(), chunks.concat()].concat()
    }

    fn header() -> Vec<u8> {
        chunk(b"IHDR", b"\0\0\0\x40\0\0\0\x40\x08\x06\0\0\0")
    }

    fn riff_chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let padding: &[u8] = if data.len() % 2 == 1 { b"\0" } else { b"" };
        [name, u32::try_from(data.len()).unwrap().to_le_bytes().as_slice(), data, padding].concat()
    }

    fn webp(chunks: &[Vec<u8>]) -> Vec<u8> {
        let body = [b"WEBP".to_vec(), chunks.concat()].concat();
        [b"RIFF".as_slice(), &u32::try_from(body.len()).unwrap().to_le_bytes(), &body].concat()
    }

    /// 100 × 200 pixels.
    fn frame() -> Vec<u8> {
        riff_chunk(b"VP8 ", b"\x10\0\0\x9D\x01\x2A\x64\0\xC8\0\x01")
    }

    fn canvas(flags: u8, width: u8) -> Vec<u8> {
        riff_chunk(b"VP8X", &[flags, 0, 0, 0, width - 1, 0, 0, 199, 0, 0])
    }

    fn segment(marker: u8, data: &[u8]) -> Vec<u8> {
        [&[0xFF, marker][..], &u16::try_from(data.len() + 2).unwrap().to_be_bytes(), data].concat()
    }

    fn jpeg(segments: &[Vec<u8>]) -> Vec<u8> {
        [b"\xFF\xD8".to_vec(), segments.concat(), b"\xFF\xD9".to_vec()].concat()
    }

    fn sof() -> Vec<u8> {
        segment(0xC0, b"\x08\0\x40\0\x40\x01\x01\x11\0")
    }

    fn sos() -> Vec<u8> {
        [segment(0xDA, b"\x01\x01\0\0\x3F\0"), b"data\xFF\0more\xFF\xD3end".to_vec()].concat()
    }

    fn gps(little: bool, orientation: u8) -> Vec<u8> {
        let tiff = if little {
            [
                b"II*\0\x08\0\0\0\x02\0\x0F\x01\x02\0\x05\0\0\0\x26\0\0\0\x12\x01\x03\0\x01\0\0\0".as_slice(),
                &[orientation, 0, 0, 0],
                b"\0\0\0\0GPS 1",
            ]
            .concat()
        } else {
            [
                b"MM\0*\0\0\0\x08\0\x02\x01\x0F\0\x02\0\0\0\x05\0\0\0\x26\x01\x12\0\x03\0\0\0\x01".as_slice(),
                &[0, orientation, 0, 0],
                b"\0\0\0\0GPS 1",
            ]
            .concat()
        };
        segment(0xE1, &[b"Exif\0\0".as_slice(), &tiff].concat())
    }

    fn holds(bytes: &[u8], what: &[u8]) -> bool {
        bytes.windows(what.len()).any(|window| window == what)
    }

    #[test]
    fn a_png_keeps_what_is_drawn() {
        let data = chunk(b"IDAT", b"pixels");
        let end = chunk(b"IEND", b"");
        let drawn = [
            header(),
            chunk(b"iCCP", b"profile"),
            chunk(b"PLTE", b"abc"),
            chunk(b"tRNS", b"a"),
            data.clone(),
            data.clone(),
            end.clone(),
        ];
        let mut all = drawn.to_vec();
        for (at, name) in [(1, b"tEXt"), (2, b"zTXt"), (3, b"iTXt"), (4, b"eXIf"), (5, b"tIME"), (6, b"prVt")]
        {
            all.insert(at, chunk(name, b"GPS 1"));
        }
        let bytes = [png(&all), b"GPS 1 behind the end".to_vec()].concat();
        assert_eq!(strip(&bytes).unwrap(), png(&drawn));
        assert_eq!(strip(&png(&drawn)).unwrap(), png(&drawn), "once more changes nothing");
        for (bad, why) in [
            (vec![header(), chunk(b"acTL", b"\0\0\0\x02\0\0\0\0"), data.clone(), end.clone()], ANIMATED),
            (vec![header(), data.clone(), chunk(b"fdAT", b"x"), end.clone()], ANIMATED),
            (vec![header(), header(), data.clone(), end.clone()], SEVERAL),
            (vec![data.clone(), header(), end.clone()], SEVERAL),
            (vec![header(), end.clone()], BROKEN),
            (vec![header(), data.clone()], BROKEN),
        ] {
            assert_eq!(strip(&png(&bad)), Err(why));
        }
    }

    #[test]
    fn a_webp_keeps_what_is_drawn() {
        let plain = webp(&[frame()]);
        assert_eq!(strip(&plain).unwrap(), plain);
        assert_eq!(strip(&[plain.clone(), b"GPS 1".to_vec()].concat()).unwrap(), plain);
        assert_eq!(strip(&webp(&[frame(), riff_chunk(b"EXIF", b"GPS 1")])).unwrap(), plain);
        let all = [
            canvas(0x3C, 100),
            riff_chunk(b"ICCP", b"p"),
            riff_chunk(b"ALPH", b"a"),
            frame(),
            riff_chunk(b"EXIF", b"GPS 1"),
            riff_chunk(b"XMP ", b"GPS 1"),
        ];
        let drawn = [canvas(0x30, 100), riff_chunk(b"ICCP", b"p"), riff_chunk(b"ALPH", b"a"), frame()];
        assert_eq!(strip(&webp(&all)).unwrap(), webp(&drawn));
        for (bad, why) in [
            (vec![canvas(0x02, 100), riff_chunk(b"ANIM", b"123456"), frame()], ANIMATED),
            (vec![canvas(0, 100), riff_chunk(b"ANMF", b"12"), frame()], ANIMATED),
            (vec![canvas(0, 101), frame()], SEVERAL),
            (vec![canvas(0, 100), frame(), frame()], SEVERAL),
            (vec![canvas(0, 100), canvas(0, 100), frame()], SEVERAL),
            (vec![frame(), canvas(0, 100)], SEVERAL),
            (vec![canvas(0, 100)], BROKEN),
            (vec![riff_chunk(b"VP8L", b"no start")], BROKEN),
        ] {
            assert_eq!(strip(&webp(&bad)), Err(why));
        }
    }

    #[test]
    fn a_jpeg_keeps_what_is_drawn_and_which_way_up() {
        let jfif = segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
        let drawn = [
            jfif,
            segment(0xE2, b"ICC_PROFILE\0\x01\x01p"),
            segment(0xEE, b"Adobe\0\x64\0\0\0\0\x01"),
            segment(0xDB, b"table"),
            sof(),
            segment(0xC4, b"huff"),
            sos(),
            segment(0xC4, b"huff"),
            sos(),
        ];
        let mut all = drawn.to_vec();
        all.insert(1, segment(0xE0, b"JFXX\0\x10 GPS 1"));
        all.insert(2, segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\x01\x01GPS 1"));
        all.insert(3, gps(true, 1));
        all.insert(4, segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0GPS 1"));
        all.insert(5, segment(0xED, b"Photoshop GPS 1"));
        all.insert(8, segment(0xFE, b"GPS 1"));
        all.insert(11, segment(0xE2, b"MPF\0 GPS 1"));
        let bytes = [jpeg(&all), b"\xFF\xD8 GPS 1 behind the end".to_vec()].concat();
        assert_eq!(strip(&bytes).unwrap(), jpeg(&drawn));
        for (little, turned) in [(true, 6), (false, 8)] {
            let stripped = strip(&jpeg(&[gps(little, turned), gps(little, 3), sof(), sos()])).unwrap();
            assert_eq!(stripped, jpeg(&[exif(turned), sof(), sos()]));
            assert!(!holds(&stripped, b"GPS"));
            assert_eq!(orientation(&exif(turned)[2..]), Some(turned));
            assert_eq!(strip(&stripped).unwrap(), stripped);
        }
        for (bad, why) in [
            (jpeg(&[sof(), sof(), sos()]), SEVERAL),
            (jpeg(&[sof(), sos(), sof(), sos()]), SEVERAL),
            (jpeg(&[sof(), b"\xFF\xD8".to_vec(), sof(), sos()]), SEVERAL),
            (jpeg(&[sof(), sos(), segment(0xDC, b"\x01\0")]), SEVERAL),
            (jpeg(&[sos()]), SEVERAL),
            (jpeg(&[sof()]), BROKEN),
        ] {
            assert_eq!(strip(&bad), Err(why));
        }
    }

    #[test]
    fn what_is_cut_short_is_refused_wherever_that_is() {
        let whole = [
            png(&[header(), chunk(b"IDAT", b"pixels"), chunk(b"IEND", b"")]),
            webp(&[canvas(0, 100), frame()]),
            jpeg(&[gps(true, 6), sof(), sos()]),
        ];
        for whole in whole {
            assert!(strip(&whole).is_ok());
            for end in 0..whole.len() {
                assert!(strip(&whole[..end]).is_err(), "{end}");
            }
        }
    }
}
