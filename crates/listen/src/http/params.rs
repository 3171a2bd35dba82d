use std::borrow::Cow;

use sockeye_engine_proto::{Revision, TransportKind};

use crate::config::{EngineConfig, MissingRevision};

/// The query parameters that the protocol itself uses. Of a repeated one, the last counts.
#[derive(Debug, Default)]
pub(super) struct Params<'a> {
    pub(super) transport: Option<TransportKind>,
    pub(super) sid: Option<Cow<'a, str>>,
    pub(super) eio: Option<Cow<'a, str>>,
    pub(super) t: Option<Cow<'a, str>>,
    pub(super) b64: Option<Cow<'a, str>>,
}

impl<'a> Params<'a> {
    pub(super) fn parse(query: &'a str) -> Self {
        let mut params = Self::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "transport" => params.transport = TransportKind::from_name(&value),
                "sid" => params.sid = Some(value),
                "EIO" => params.eio = Some(value),
                "t" => params.t = Some(value),
                "b64" => params.b64 = Some(value),
                _ => {}
            }
        }
        params
    }

    /// The revision in which a request of an open session speaks: the reference server takes whatever
    /// is not 4 for 3 here.
    pub(super) fn revision_of_session(&self) -> Revision {
        match self.eio.as_deref() {
            Some("4") => Revision::V4,
            _ => Revision::V3,
        }
    }

    /// The revision that is asked for, unless it is not served.
    pub(super) fn revision(&self, config: &EngineConfig) -> Option<Revision> {
        match self.eio.as_deref() {
            Some("4") => Some(Revision::V4),
            Some("3") if config.allow_v3 => Some(Revision::V3),
            None if config.allow_v3 && config.missing_revision == MissingRevision::V3 => {
                Some(Revision::V3)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_javascript_prototypes_are_no_transports() {
        for name in ["constructor", "__proto__", "toString", ""] {
            assert_eq!(Params::parse(&format!("transport={name}")).transport, None);
        }
    }

    #[test]
    fn revision_follows_the_configuration() {
        let config = EngineConfig::default();
        assert_eq!(Params::parse("EIO=4").revision(&config), Some(Revision::V4));
        assert_eq!(Params::parse("EIO=3").revision(&config), Some(Revision::V3));
        assert_eq!(Params::parse("EIO=5").revision(&config), None);
        assert_eq!(Params::parse("").revision(&config), None);
        let lenient = config.clone().missing_revision(MissingRevision::V3);
        assert_eq!(Params::parse("").revision(&lenient), Some(Revision::V3));
        let strict = config.allow_v3(false).missing_revision(MissingRevision::V3);
        assert_eq!(Params::parse("EIO=3").revision(&strict), None);
        assert_eq!(Params::parse("").revision(&strict), None);
    }
}
