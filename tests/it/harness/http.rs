//! HTTP calls, with or without a token.

use awc::http::Method;
use serde_json::Value;

thread_local! {
    // One for all callers of a test: each that is made parses the system's certificates, which for 5 000
    // callers takes a minute.
    static CLIENT: awc::Client = awc::Client::builder().connector(awc::Connector::new().limit(0)).timeout(super::PATIENCE).finish();
}

/// A caller of the server's API. Each call has a connection of its own.
pub struct Http {
    at: String,
    token: Option<String>,
}

/// An answer whole.
pub struct Fetched {
    pub status: u16,
    headers: awc::http::header::HeaderMap,
    pub body: bytes::Bytes,
}

impl Fetched {
    /// Empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Http {
    pub fn new(at: &str, token: Option<&str>) -> Self {
        Self { at: at.to_owned(), token: token.map(str::to_owned) }
    }

    pub fn token(&self) -> &str {
        self.token.as_deref().unwrap()
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.call(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.call(Method::POST, path, Some(body.to_string())).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> (u16, Value) {
        self.call(Method::PUT, path, Some(body.to_string())).await
    }

    pub async fn delete(&self, path: &str) -> (u16, Value) {
        self.call(Method::DELETE, path, None).await
    }

    /// The status, and the body as JSON (null where there is none).
    pub async fn call(&self, method: Method, path: &str, body: Option<String>) -> (u16, Value) {
        let (status, body) = self.bytes(method, path, body).await;
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    pub async fn text(&self, path: &str) -> String {
        String::from_utf8(self.bytes(Method::GET, path, None).await.1.to_vec()).unwrap()
    }

    /// The answer with its headers, to a request with these.
    pub async fn fetch(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Fetched {
        let mut request = self.request(method, path);
        for header in headers {
            request = request.insert_header(*header);
        }
        let mut response = request.no_decompress().send().await.unwrap();
        let body = response.body().limit(8 << 20).await.unwrap();
        Fetched { status: response.status().as_u16(), headers: response.headers().clone(), body }
    }

    async fn bytes(&self, method: Method, path: &str, body: Option<String>) -> (u16, bytes::Bytes) {
        let request = self.request(method, path);
        let sent = match body {
            Some(body) => request.insert_header(("content-type", "application/json")).send_body(body),
            None => request.send(),
        };
        let mut response = sent.await.unwrap();
        (response.status().as_u16(), response.body().limit(8 << 20).await.unwrap())
    }

    fn request(&self, method: Method, path: &str) -> awc::ClientRequest {
        let url = format!("http://{}{path}", self.at);
        let request = CLIENT.with(|client| client.request(method, url)).force_close();
        match &self.token {
            Some(token) => request.insert_header(("authorization", format!("Bearer {token}"))),
            None => request,
        }
    }
}
