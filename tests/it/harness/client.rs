//! A WebSocket client that waits for what it expects and says what came instead.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::PATIENCE;

pub struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// What the server selected.
    pub subprotocol: Option<String>,
}

/// One thing that the server said.
#[derive(Debug, PartialEq)]
pub enum Said {
    Frame(Value),
    Closed(u16, String),
    /// The connection ended without a close.
    Gone,
}

/// Its own 128 KiB a connection come from the kernel and go back to it with every one.
fn small_buffers() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(8 * 1024)
}

impl Client {
    /// # Errors
    /// The HTTP status of a refused handshake.
    pub async fn connect(url: &str, protocols: &[&str], bearer: Option<&str>) -> Result<Self, u16> {
        let mut request = url.into_client_request().unwrap();
        if !protocols.is_empty() {
            request
                .headers_mut()
                .insert("sec-websocket-protocol", HeaderValue::from_str(&protocols.join(", ")).unwrap());
        }
        if let Some(token) = bearer {
            request
                .headers_mut()
                .insert("authorization", HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
        }
        match timeout(PATIENCE, connect_async_with_config(request, Some(small_buffers()), false))
            .await
            .expect("the handshake hangs")
        {
            Ok((socket, response)) => {
                let subprotocol =
                    response.headers().get("sec-websocket-protocol").map(|v| v.to_str().unwrap().to_owned());
                Ok(Self { socket, subprotocol })
            }
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            // tungstenite's own rule: a server must select one of the protocols that were offered.
            Err(error) => panic!("{error}"),
        }
    }

    /// The same, where the server may be away: none when nothing listens or the connection ends within the
    /// handshake.
    pub async fn try_connect(url: &str, protocols: &[&str]) -> Option<Self> {
        let mut request = url.into_client_request().unwrap();
        request
            .headers_mut()
            .insert("sec-websocket-protocol", HeaderValue::from_str(&protocols.join(", ")).unwrap());
        let (socket, _) = timeout(PATIENCE, connect_async_with_config(request, Some(small_buffers()), false))
            .await
            .expect("the handshake hangs")
            .ok()?;
        Some(Self { socket, subprotocol: None })
    }

    pub async fn send(&mut self, frame: Value) {
        self.text(&frame.to_string()).await;
    }

    pub async fn text(&mut self, text: &str) {
        self.message(Message::text(text)).await;
    }

    pub async fn message(&mut self, message: Message) {
        let _ = timeout(PATIENCE, self.socket.send(message)).await.expect("the server does not read");
    }

    pub async fn next(&mut self) -> Said {
        timeout(PATIENCE, self.hear()).await.expect("the server says nothing")
    }

    /// The same, however long it takes. Nothing is lost when it is dropped half way.
    pub async fn hear(&mut self) -> Said {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Said::Frame(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Said::Closed(frame.code.into(), frame.reason.to_string());
                }
                Some(Ok(Message::Close(None))) => return Said::Closed(1005, String::new()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Said::Gone,
            }
        }
    }

    /// The next frame, which must be of this type.
    pub async fn expect(&mut self, kind: &str) -> Value {
        match self.next().await {
            Said::Frame(frame) if frame["type"] == kind => frame,
            other => panic!("expected {kind}, got {other:?}"),
        }
    }

    /// The next text message; receipts in between are skipped.
    pub async fn expect_message(&mut self) -> Value {
        loop {
            match self.next().await {
                Said::Frame(frame) if frame["type"] == "text" => return frame,
                Said::Frame(frame) if frame["type"] == "read" || frame["type"] == "recv" => {}
                other => panic!("expected a message, got {other:?}"),
            }
        }
    }

    /// The next frame as text, byte for byte.
    pub async fn expect_text(&mut self) -> String {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.expect("the server says nothing") {
                Some(Ok(Message::Text(text))) => return text.to_string(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("expected a text, got {other:?}"),
            }
        }
    }

    /// The next frame, which must be an error of this code.
    pub async fn expect_error(&mut self, code: &str) -> Value {
        let error = self.expect("error").await;
        assert_eq!(error["error"], code, "{error}");
        error
    }

    pub async fn expect_close(&mut self, code: u16) -> String {
        match self.next().await {
            Said::Closed(got, reason) if got == code => reason,
            other => panic!("expected a close with {code}, got {other:?}"),
        }
    }

    /// A v1 client's round trip: nothing else may have come before its answer.
    pub async fn nothing_came(&mut self) {
        let id = format!("{:x}", rand::random::<u64>());
        self.send(json!({ "type": "heart", "id": id })).await;
        let heart = self.expect("heart").await;
        assert_eq!(heart["id"], id);
    }

    /// Sends a v1 text and waits for its ack.
    pub async fn say(&mut self, peer: &str, client_msg_id: &str, message: &str) -> Value {
        self.send(json!({ "type": "text", "to_user_openid": peer, "client_msg_id": client_msg_id, "message": message })).await;
        let ack = self.expect("ack").await;
        assert_eq!(ack["client_msg_id"], client_msg_id);
        ack
    }
}
