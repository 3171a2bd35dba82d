//! What stands in for the cookies of a library that was built without the feature `cookies`.

use http::{HeaderMap, Uri};

use super::ConnectUrl;

/// There is none: a configuration that wants one is refused.
#[derive(Debug)]
pub(super) enum Jar {}

impl Default for Jar {
    fn default() -> Self {
        unreachable!("a configuration with cookies is refused")
    }
}

impl Jar {
    #[expect(clippy::unused_self, reason = "as the jar that there may be instead")]
    pub(super) fn add(&self, _url: &ConnectUrl, _uri: &Uri, _headers: &mut HeaderMap) {}

    #[expect(clippy::unused_self, reason = "as the jar that there may be instead")]
    pub(super) fn keep(&self, _url: &ConnectUrl, _uri: &Uri, _headers: &HeaderMap) {}
}
