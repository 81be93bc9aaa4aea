//! Bytes from a socket, checked on the frame header before a body is buffered (RFC 6455 §5.2), and fragments
//! made whole.
//!
//! The codec below checks a frame's size only once it has the whole of it; so nothing reaches it that this
//! did not admit.

use crate::protocol::Close;

/// What one socket may send.
#[derive(Debug, Clone, Copy)]
pub struct SocketLimits {
    /// Bytes of one frame, and of one message made of fragments.
    pub frame_bytes: usize,
    /// Frames of one message.
    pub fragments: u32,
}

/// Follows the frame headers of one socket.
#[derive(Debug)]
pub struct FrameGuard {
    limits: SocketLimits,
    head: [u8; 10],
    have: u8,
    /// Bytes of the current frame, mask included, that are still to come.
    rest: usize,
    /// Frames and bytes of the message that is being put together; 0 frames: none is.
    fragments: u32,
    bytes: usize,
}

/// How far a chunk may go.
#[derive(Debug, PartialEq, Eq)]
pub enum Admitted {
    /// The whole of it.
    All,
    /// These first bytes; the next message must wait for credit.
    UntilCredit(usize),
    /// These first bytes; the frame behind them breaks a rule.
    UntilFault(usize, Close),
}

const OPCODE_CONTINUATION: u8 = 0x0;
const OPCODE_TEXT: u8 = 0x1;
const OPCODE_BINARY: u8 = 0x2;
const OPCODE_CLOSE: u8 = 0x8;
const OPCODE_PONG: u8 = 0xA;
const FIN: u8 = 0x80;
const RESERVED_BITS: u8 = 0x70;
const MASKED: u8 = 0x80;
const MASK_BYTES: usize = 4;
const CONTROL_BYTES: usize = 125;
/// The highest bit of a length is 0.
const LENGTH_MAX: u64 = u64::MAX >> 1;

impl FrameGuard {
    pub fn new(limits: SocketLimits) -> Self {
        Self { limits, head: [0; 10], have: 0, rest: 0, fragments: 0, bytes: 0 }
    }

    /// Follows `chunk`, the bytes after those admitted last. A new message takes one `credit`.
    pub fn admit(&mut self, chunk: &[u8], credit: &mut u32) -> Admitted {
        let mut at = 0;
        // Where the header that is being read begins in this chunk.
        let mut begins = 0;
        while at < chunk.len() {
            if self.rest > 0 {
                let skip = self.rest.min(chunk.len() - at);
                self.rest -= skip;
                at += skip;
                continue;
            }
            if self.have == 0 && starts_message(chunk[at]) {
                if *credit == 0 {
                    return Admitted::UntilCredit(at);
                }
                *credit -= 1;
            }
            if self.have == 0 {
                begins = at;
            }
            self.head[usize::from(self.have)] = chunk[at];
            self.have += 1;
            at += 1;
            if let Err(close) = self.header() {
                return Admitted::UntilFault(begins, close);
            }
        }
        Admitted::All
    }

    /// Judges the header as soon as it is complete.
    fn header(&mut self) -> Result<(), Close> {
        if self.have < 2 {
            return Ok(());
        }
        let (first, second) = (self.head[0], self.head[1]);
        // The length, and the least that is written in this form.
        let (length, least) = match (second & !MASKED, self.have) {
            (126, have) if have < 4 => return Ok(()),
            (126, _) => (u64::from(u16::from_be_bytes([self.head[2], self.head[3]])), 126),
            (127, have) if have < 10 => return Ok(()),
            (127, _) => {
                let [_, _, length @ ..] = self.head;
                (u64::from_be_bytes(length), 1 << 16)
            }
            (short, _) => (u64::from(short), 0),
        };
        self.have = 0;
        // Caddy, when it reloads, tells both sides goodbye in the same words (1001), and masks neither.
        if first == FIN | OPCODE_CLOSE && usize::from(second) <= CONTROL_BYTES {
            return Err(Close::ProxyClosed);
        }
        if first & RESERVED_BITS != 0 || second & MASKED == 0 || !(least..=LENGTH_MAX).contains(&length) {
            return Err(Close::ProtocolError);
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.frame(first & 0x0F, first & FIN != 0, length)?;
        self.rest = length + MASK_BYTES;
        Ok(())
    }

    fn frame(&mut self, opcode: u8, fin: bool, length: usize) -> Result<(), Close> {
        match opcode {
            OPCODE_CONTINUATION if self.fragments == 0 => return Err(Close::ProtocolError),
            OPCODE_CONTINUATION => {}
            OPCODE_TEXT | OPCODE_BINARY if self.fragments > 0 => return Err(Close::ProtocolError),
            OPCODE_TEXT | OPCODE_BINARY => {}
            OPCODE_CLOSE..=OPCODE_PONG if fin && length <= CONTROL_BYTES => return Ok(()),
            _ => return Err(Close::ProtocolError),
        }
        self.fragments += 1;
        self.bytes = self.bytes.saturating_add(length);
        if self.bytes > self.limits.frame_bytes || self.fragments > self.limits.fragments {
            return Err(Close::FrameTooBig);
        }
        if fin {
            self.fragments = 0;
            self.bytes = 0;
        }
        Ok(())
    }
}

fn starts_message(first: u8) -> bool {
    matches!(first & 0x0F, OPCODE_TEXT | OPCODE_BINARY)
}

/// Fragments of one text, put together. The guard has bounded their number and size.
#[derive(Debug, Default)]
pub struct Reassembly(Option<Vec<u8>>);

impl Reassembly {
    pub fn first(&mut self, bytes: &[u8]) {
        self.0 = Some(bytes.to_vec());
    }

    /// Bytes of the text that is being put together.
    pub fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, Vec::len)
    }

    pub fn next(&mut self, bytes: &[u8]) {
        if let Some(whole) = &mut self.0 {
            whole.extend_from_slice(bytes);
        }
    }

    /// The whole text. UTF-8 is checked over the whole, because a character may be split between fragments.
    ///
    /// # Errors
    /// [`Close::InvalidUtf8`].
    pub fn last(&mut self, bytes: &[u8]) -> Result<String, Close> {
        self.next(bytes);
        let whole = self.0.take().unwrap_or_default();
        String::from_utf8(whole).map_err(|_| Close::InvalidUtf8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SocketLimits = SocketLimits { frame_bytes: 1_000, fragments: 3 };

    fn frame(first: u8, length: usize) -> Vec<u8> {
        let mut bytes = vec![first];
        match length {
            0..=125 => bytes.push(MASKED | u8::try_from(length).unwrap()),
            126..=0xFFFF => {
                bytes.push(MASKED | 126);
                bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                bytes.push(MASKED | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend([1, 2, 3, 4]);
        bytes.extend(std::iter::repeat_n(b'x', length.min(2_000)));
        bytes
    }

    /// Feeds the bytes in pieces of every size: what is found must not depend on how the network cut them.
    fn judge(bytes: &[u8]) -> Option<Close> {
        let verdicts: Vec<_> = (1..=bytes.len())
            .map(|size| {
                let mut guard = FrameGuard::new(LIMITS);
                let mut credit = 100;
                bytes.chunks(size).find_map(|chunk| match guard.admit(chunk, &mut credit) {
                    Admitted::UntilFault(_, close) => Some(close),
                    _ => None,
                })
            })
            .collect();
        assert!(verdicts.windows(2).all(|pair| pair[0] == pair[1]), "{verdicts:?}");
        verdicts[0].clone()
    }

    #[test]
    fn good_frames_pass_however_they_are_cut() {
        let all: Vec<u8> = [
            frame(0x81, 5),
            frame(0x89, 0),
            frame(0x01, 200),
            frame(0x8A, 125),
            frame(0x80, 800),
            frame(0x81, 0),
        ]
        .concat();
        assert_eq!(judge(&all), None);
    }

    #[test]
    fn the_header_alone_gives_a_bomb_away() {
        let mut guard = FrameGuard::new(LIMITS);
        let header = [0x81, MASKED | 127, 0, 0, 0, 0, 0x40, 0, 0, 0];
        assert_eq!(guard.admit(&header, &mut 1), Admitted::UntilFault(0, Close::FrameTooBig));
        assert_eq!(
            judge(&[0x81, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]),
            Some(Close::FrameTooBig)
        );
        assert_eq!(judge(&frame(0x81, 1_001)), Some(Close::FrameTooBig));
    }

    #[test]
    fn fragments_are_bounded_in_number_and_in_all() {
        assert_eq!(judge(&[frame(0x01, 1), frame(0x00, 1), frame(0x80, 1)].concat()), None);
        assert_eq!(
            judge(&[frame(0x01, 1), frame(0x00, 1), frame(0x00, 1), frame(0x00, 1)].concat()),
            Some(Close::FrameTooBig)
        );
        assert_eq!(judge(&[frame(0x01, 600), frame(0x80, 600)].concat()), Some(Close::FrameTooBig));
    }

    #[test]
    fn broken_framing_is_a_protocol_error() {
        let unmasked = [0x81, 0x01, b'x'];
        for bad in [
            &unmasked[..],
            &frame(0xC1, 1),
            &frame(0x80, 1),
            &frame(0x83, 1),
            &frame(0x8B, 1),
            &frame(0x09, 1),
            &frame(0x89, 126),
            &[frame(0x01, 1), frame(0x81, 1)].concat(),
        ] {
            assert_eq!(judge(bad), Some(Close::ProtocolError), "{bad:?}");
        }
    }

    #[test]
    fn a_close_without_a_mask_is_a_proxys() {
        assert_eq!(judge(&[0x88, 0x02, 0x03, 0xE9]), Some(Close::ProxyClosed));
        assert_eq!(judge(&[0x88, 0x00]), Some(Close::ProxyClosed));
        assert_eq!(judge(&frame(0x88, 2)), None);
        for bad in [&[0x88, 126, 0, 126][..], &[0x08, 0x00], &[0x89, 0x00], &[0xC8, 0x00]] {
            assert_eq!(judge(bad), Some(Close::ProtocolError), "{bad:?}");
        }
    }

    #[test]
    fn a_length_has_its_shortest_form_and_63_bits() {
        let header = |marker: u8, length: &[u8]| [&[0x82, MASKED | marker][..], length].concat();
        for bad in [
            header(126, &[0, 0]),
            header(126, &[0, 125]),
            header(127, &[0; 8]),
            header(127, &[0, 0, 0, 0, 0, 0, 0xFF, 0xFF]),
            header(127, &[0x80, 0, 0, 0, 0, 0, 0, 0]),
            header(127, &[0xFF; 8]),
        ] {
            assert_eq!(judge(&bad), Some(Close::ProtocolError), "{bad:?}");
        }
        assert_eq!(judge(&frame(0x81, 126)), None);
    }

    #[test]
    fn a_message_without_credit_waits_and_control_frames_before_it_pass() {
        let (ping, text) = (frame(0x89, 3), frame(0x81, 3));
        let all = [text.clone(), ping.clone(), text.clone()].concat();
        let mut guard = FrameGuard::new(LIMITS);
        let mut credit = 1;
        let admitted = text.len() + ping.len();
        assert_eq!(guard.admit(&all, &mut credit), Admitted::UntilCredit(admitted));
        credit = 1;
        assert_eq!(guard.admit(&all[admitted..], &mut credit), Admitted::All);
    }

    #[test]
    fn a_character_may_be_split_between_fragments() {
        let snow = "雪".as_bytes();
        let mut r = Reassembly::default();
        r.first(&snow[..1]);
        r.next(&snow[1..2]);
        assert_eq!(r.last(&snow[2..]).unwrap(), "雪");
        r.first(&snow[..1]);
        assert_eq!(r.last(&[]), Err(Close::InvalidUtf8));
    }
}
