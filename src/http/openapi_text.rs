//! OpenAPI documents: each is written once from its handlers, and served as it stands.

use actix_web::HttpResponse;
use actix_web::http::header;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};

use super::error::ApiError;

/// The text of a document; none where it cannot be written, which is logged.
pub fn write<D: OpenApi>() -> Option<String> {
    let document = D::openapi();
    let text = document.to_json();
    if let Err(error) = &text {
        log::error!(error:% = error, title = document.info.title.as_str(); "an OpenAPI document could not be written");
    }
    text.ok()
}

pub fn answer(text: Option<&'static str>) -> Result<HttpResponse, ApiError> {
    let text = text.ok_or_else(ApiError::internal)?;
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "application/json")).body(text))
}

/// Names the credential that calls bring as `Authorization: Bearer`.
pub fn add_bearer(document: &mut utoipa::openapi::OpenApi, name: &str) {
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(name, SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
}

#[cfg(test)]
pub mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    /// Path and method.
    pub type Routes = BTreeSet<(String, String)>;

    /// Holds a document against the routes in both directions, and its references against itself.
    pub fn check(document: &Value, routes: Routes) {
        let documented: Routes = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| {
                item.as_object().unwrap().keys().map(move |method| (path.clone(), method.to_uppercase()))
            })
            .collect();
        assert_eq!(documented, routes);
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }
}
