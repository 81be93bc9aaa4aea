//! Upgrades under the takeover transport: the socket leaves the HTTP server for good.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use actix_http::body::{BodySize, MessageBody as _};
use actix_http::h1;
use actix_http::ws::hash_key;
use actix_http::{HttpMessage as _, Request, Response};
use actix_service::{ServiceFactory, fn_service};
use actix_web::http::header::SEC_WEBSOCKET_KEY;
use actix_web::{HttpResponse, ResponseError as _, web};
use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWriteExt as _;
use tokio_util::codec::Encoder as _;

use super::State;
use super::error::ApiError;
use super::request_id;
use super::stream::GuardedStream;
use super::ws::{Admitted, handshake};
use crate::ids::HttpRequestId;
use crate::logging;
use crate::protocol::{Dialect, SUBPROTOCOL};
use crate::session::takeover;

/// A peer that is turned away has so long to take its answer.
const ANSWER_AT_MOST: Duration = Duration::from_secs(5);

type Framed = actix_codec::Framed<GuardedStream, h1::Codec>;

/// The service of requests with `Connection: upgrade`.
pub fn service(
    state: web::Data<State>,
) -> impl ServiceFactory<(Request, Framed), Config = (), Response = (), Error = actix_web::Error, InitError = ()>
{
    fn_service(move |(request, framed): (Request, Framed)| {
        let state = state.clone();
        async move { upgrade(&request, framed, &state).await.map_err(actix_web::Error::from) }
    })
}

async fn upgrade(request: &Request, framed: Framed, state: &State) -> io::Result<()> {
    let parts = framed.into_parts();
    let busy = parts.io.handle().busy();
    let id = request_id::of(request.head());
    let judged = match request.path().trim_start_matches('/') {
        deeper if deeper.contains('/') => Err(ApiError::not_found().error_response()),
        _ => logging::within_request(id.as_str().into(), handshake(request.head(), id.clone(), state)).await,
    };
    match judged {
        Ok(Admitted { driver, dialect, permit }) => {
            let key = request
                .headers()
                .get(SEC_WEBSOCKET_KEY)
                .map(|key| hash_key(key.as_bytes()))
                .unwrap_or_default();
            // A copy: the buffer itself would stay with the session.
            let early = Bytes::copy_from_slice(&parts.read_buf);
            let socket = parts.io.into_session();
            takeover::start(
                driver,
                state.sessions.limits.socket,
                permit,
                socket,
                accepted(parts.write_buf, &key, dialect, &id),
                early,
            );
            Ok(())
        }
        Err(mut response) => {
            drop(busy);
            request_id::put(response.headers_mut(), &id);
            turn_away(parts.io, parts.codec, parts.write_buf, response).await
        }
    }
}

/// RFC 6455 §4.2.2, behind what is still to be written of answers to earlier requests.
fn accepted(mut head: BytesMut, key: &[u8], dialect: Dialect, id: &HttpRequestId) -> BytesMut {
    head.reserve(256);
    let key = String::from_utf8_lossy(key);
    let _ = write!(
        head,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {key}\r\n"
    );
    if dialect == Dialect::V1 {
        let _ = write!(head, "Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n");
    }
    let _ = write!(head, "X-Request-Id: {}\r\n\r\n", id.as_str());
    head
}

async fn turn_away(
    mut socket: GuardedStream,
    mut codec: h1::Codec,
    mut out: BytesMut,
    response: HttpResponse,
) -> io::Result<()> {
    let (head, body) = response.into_parts();
    let head: Response<()> = head.into();
    let body: Bytes = body.try_into_bytes().unwrap_or_default();
    codec.encode(h1::Message::Item((head, BodySize::Sized(body.len() as u64))), &mut out)?;
    out.extend_from_slice(&body);
    let answer = async {
        socket.write_all(&out).await?;
        socket.shutdown().await
    };
    tokio::time::timeout(ANSWER_AT_MOST, answer).await.unwrap_or(Ok(()))
}
