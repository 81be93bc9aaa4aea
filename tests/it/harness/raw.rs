//! Bytes over TCP, for what no decent client sends.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::PATIENCE;

pub struct Raw {
    pub socket: TcpStream,
    read: Vec<u8>,
}

impl Raw {
    pub async fn connect(at: &str) -> Self {
        Self { socket: TcpStream::connect(at).await.unwrap(), read: Vec::new() }
    }

    /// The kernel keeps as little as it may of what comes: here by a small buffer, and at the server by small
    /// segments.
    pub async fn connect_narrow(at: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(1).unwrap();
        socket2::SockRef::from(&socket).set_tcp_mss(536).unwrap();
        Self { socket: socket.connect(at.parse().unwrap()).await.unwrap(), read: Vec::new() }
    }

    /// Shakes hands as a plain client and takes `init`.
    pub async fn hello(&mut self, openid: &str, peer: &str) {
        self.handshake(openid, peer, "").await;
        let (opcode, init) = self.frame().await.unwrap();
        assert_eq!(opcode, 1);
        assert!(init.starts_with(b"{\"type\":\"init\""));
    }

    /// Shakes hands; `headers` are further header lines.
    pub async fn handshake(&mut self, openid: &str, peer: &str, headers: &str) {
        let head = self.try_handshake(openid, peer, headers).await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    }

    /// The same; the head of the answer, whatever it is.
    pub async fn try_handshake(&mut self, openid: &str, peer: &str, headers: &str) -> String {
        let request = format!(
            "GET /{openid}?to_user_openid={peer}&code=dev:{openid} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        self.send(request.as_bytes()).await;
        self.head().await
    }

    /// Sends as much as the server takes; whether it took all.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        timeout(PATIENCE, self.socket.write_all(bytes)).await.is_ok_and(|sent| sent.is_ok())
    }

    async fn more(&mut self) -> bool {
        let mut buffer = [0; 16_384];
        match timeout(PATIENCE, self.socket.read(&mut buffer)).await.expect("the server says nothing") {
            Ok(0) | Err(_) => false,
            Ok(n) => {
                self.read.extend_from_slice(&buffer[..n]);
                true
            }
        }
    }

    /// The head of an HTTP answer.
    pub async fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.read.windows(4).position(|w| w == b"\r\n\r\n") {
                let head = self.read.drain(..end + 4).collect();
                return String::from_utf8(head).unwrap();
            }
            assert!(self.more().await, "the connection ended within a head");
        }
    }

    /// The next WebSocket frame: opcode and payload. `None`: the connection ended.
    pub async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let [first, second, rest @ ..] = self.read.as_slice() {
                let (header, length) = match (second, rest) {
                    (126, [a, b, ..]) => (4, usize::from(u16::from_be_bytes([*a, *b]))),
                    (0..=125, _) => (2, usize::from(*second)),
                    _ => (usize::MAX, 0),
                };
                if header != usize::MAX && self.read.len() >= header + length {
                    let opcode = first & 0x0F;
                    let payload = self.read.drain(..header + length).skip(header).collect();
                    return Some((opcode, payload));
                }
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// Reads frames up to the close; its code. 1006: the connection ended without one.
    pub async fn close_code(&mut self) -> u16 {
        loop {
            match self.frame().await {
                Some((8, payload)) if payload.len() >= 2 => {
                    return u16::from_be_bytes([payload[0], payload[1]]);
                }
                Some((8, _)) => return 1005,
                Some(_) => {}
                None => return 1006,
            }
        }
    }

    /// Cuts the connection: a reset, and no close before it.
    pub fn cut(self) {
        socket2::SockRef::from(&self.socket).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }

    /// Reads until the server ends the connection.
    pub async fn ended(&mut self) {
        while self.more().await {}
    }
}

/// One masked frame; `first` is the byte with FIN and opcode.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first, payload.len() as u64);
    bytes.extend_from_slice(payload);
    bytes
}

/// The header of a masked frame that announces so many bytes; the mask is all zeros.
pub fn header(first: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..=125 => bytes.push(0x80 | u8::try_from(length).unwrap()),
        126..=0xFFFF => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes
}
