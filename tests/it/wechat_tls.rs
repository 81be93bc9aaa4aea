//! WeChat by https: whose word the server takes for WeChat's.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;

use crate::harness::{Server, eventually};

/// An authority of a company's own, and a WeChat of its making: the authority's certificate, and where WeChat
/// answers as `localhost`.
fn wechat() -> (String, u16) {
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(vec![certificate.der().clone()], key.into()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let connection = rustls::ServerConnection::new(config.clone()).unwrap();
            std::thread::spawn(move || answer(rustls::StreamOwned::new(connection, stream)));
        }
    });
    (authority.pem(), port)
}

/// Knows every code. Who does not trust it ends the connection.
fn answer(mut stream: rustls::StreamOwned<rustls::ServerConnection, TcpStream>) -> Option<()> {
    let body = r#"{"openid":"alice","session_key":"x"}"#;
    let mut asked = Vec::new();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        asked.push(byte[0]);
        if asked.ends_with(b"\r\n\r\n") {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).ok()?;
            asked.clear();
        }
    }
}

#[actix_web::test]
async fn wechat_is_who_the_named_certificates_vouch_for() {
    let folder = tempfile::tempdir().unwrap();
    let ((ours, port), (others, _)) = (wechat(), wechat());
    let file = |name: &str, pem: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path
    };
    let (ours, others) = (file("ours.crt", &ours), file("others.crt", &others));
    let login = async |host: &str, roots: &Path| {
        let base = format!("https://{host}:{port}");
        let server =
            Server::serving(&[("wechat.api_base", &base), ("SSL_CERT_FILE", roots.to_str().unwrap())]);
        server.http().post("/v1/login", &json!({ "code": "0f1" })).await.0
    };
    assert_eq!(login("localhost", &ours).await, 200);
    assert_eq!(login("localhost", &others).await, 503, "another authority");
    assert_eq!(login("127.0.0.1", &ours).await, 503, "another name");
}

#[actix_web::test]
async fn a_file_without_certificates_is_complained_of() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.crt");
    std::fs::write(&empty, "none\n").unwrap();
    let roots = ("SSL_CERT_FILE", empty.to_str().unwrap());
    let server = Server::serving(&[("wechat.api_base", "https://localhost:1"), roots]);
    assert_eq!(server.http().post("/v1/login", &json!({ "code": "0f1" })).await.0, 503);
    eventually("the complaint", async || {
        server.log().contains("there are no root certificates").then_some(())
    })
    .await;
    let plain = Server::serving(&[("wechat.api_base", "http://127.0.0.1:1"), roots]);
    assert_eq!(plain.http().post("/v1/login", &json!({ "code": "0f1" })).await.0, 503);
    assert!(!plain.log().contains("root certificates"), "nothing by https is asked for");
}
