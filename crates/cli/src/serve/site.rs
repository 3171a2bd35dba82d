//! What is served besides Socket.IO: the chat's pages, and the answer to "are you there?".

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use http::{Request, Response, StatusCode};
use sockeye::{Body, StaticFile};
use tower_service::Service;

/// A small website in memory, as a service. Cheap to clone.
#[derive(Clone)]
pub(super) struct Site {
    files: Arc<[StaticFile]>,
}

/// Asked by programs that watch over servers.
const HEALTH: &str = "/healthz";

const POLICY: HeaderValue = HeaderValue::from_static(sockeye_chat::CONTENT_SECURITY_POLICY);

impl Site {
    /// A site without pages.
    pub(super) fn health_only() -> Self {
        Self {
            files: Arc::new([]),
        }
    }

    /// The pages of the chat, for a server with this path.
    pub(super) fn with_chat(socket_path: &str) -> Self {
        let files = sockeye_chat::pages(socket_path);
        Self {
            files: files.into(),
        }
    }

    fn answer(&self, request: &http::request::Parts) -> Response<Body> {
        let path = request.uri.path();
        if path == HEALTH {
            let mut response = text(StatusCode::OK, "ok");
            let fresh = HeaderValue::from_static("no-store");
            response.headers_mut().insert(CACHE_CONTROL, fresh);
            return response;
        }
        let name = path.strip_prefix('/').unwrap_or(path);
        let Some(file) = self.files.iter().find(|file| file.name() == name) else {
            return text(StatusCode::NOT_FOUND, "There is no such page.");
        };
        let mut response = file.answer(request);
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, POLICY);
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }
}

impl<B> Service<Request<B>> for Site {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(&request.into_parts().0)))
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(site: &Site, path: &str) -> Response<Body> {
        let request = Request::get(path).body(()).unwrap();
        site.answer(&request.into_parts().0)
    }

    #[test]
    fn pages_come_with_their_policy() {
        let site = Site::with_chat("/socket.io");
        for path in ["/", "/?name=Ann", "/chat.css", "/chat.js"] {
            let response = get(&site, path);
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert_eq!(response.headers()[CONTENT_SECURITY_POLICY], POLICY);
        }
        assert_eq!(get(&site, "/chat.html").status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn health_is_answered_without_pages() {
        let site = Site::health_only();
        assert_eq!(get(&site, HEALTH).status(), StatusCode::OK);
        assert_eq!(get(&site, "/").status(), StatusCode::NOT_FOUND);
    }
}
