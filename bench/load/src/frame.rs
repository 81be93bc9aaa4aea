//! WebSocket frames (RFC 6455 §5.2) as this tool needs them: whole text frames out, whatever a server sends
//! in.

pub const TEXT: u8 = 0x1;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;

/// Appends a masked frame. The mask is zeros, which changes no byte: what is measured is the server.
pub fn push(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    const FIN: u8 = 0x80;
    const MASKED: u8 = 0x80;
    out.push(FIN | opcode);
    match payload.len() {
        short @ 0..=125 => out.push(MASKED | short as u8),
        long @ 126..=0xFFFF => {
            out.push(MASKED | 126);
            out.extend((long as u16).to_be_bytes());
        }
        longer => {
            out.push(MASKED | 127);
            out.extend((longer as u64).to_be_bytes());
        }
    }
    out.extend([0; 4]);
    out.extend_from_slice(payload);
}

/// A server's frame at the start of `bytes`: its opcode, its payload, and the bytes it takes in all.
pub fn first(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (&[head, second], rest) = bytes.split_first_chunk::<2>()?;
    let (length, header) = match second {
        126 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?, 10),
        short => (usize::from(short), 2),
    };
    let payload = bytes.get(header..length.checked_add(header)?)?;
    Some((head & 0x0F, payload, header + length))
}
