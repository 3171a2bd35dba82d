use crate::extensions::ExtensionOffer;

/// An offer of permessage-deflate whose parameters are in order (RFC 7692 §7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeflateOffer {
    /// The client asks the server to forget its window after each message.
    pub server_no_context_takeover: bool,
    /// The client says that it will forget its window after each message.
    pub client_no_context_takeover: bool,
    /// The largest window that the client wants the server to use, as a power of two: 8 to 15.
    pub server_max_window_bits: Option<u8>,
    /// Whether and how far the client can limit its own window.
    pub client_max_window_bits: ClientWindow,
}

/// What a client says about the window that it compresses with (RFC 7692 §7.1.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientWindow {
    /// Not mentioned: the server must not ask for a limit.
    #[default]
    Fixed,
    /// The server may ask for a limit.
    Negotiable,
    /// The server may ask for a limit, and the client will use no more than this anyway: 8 to 15.
    AtMost(u8),
}

impl DeflateOffer {
    /// Reads an offer; `None` if it is of another extension, or has to be declined because a parameter
    /// is unknown, given twice, or has a bad value (RFC 7692 §7.1).
    pub fn from_extension(offer: &ExtensionOffer<'_>) -> Option<Self> {
        if !offer.name.eq_ignore_ascii_case("permessage-deflate") {
            return None;
        }
        let mut deflate = Self::default();
        for (index, (key, value)) in offer.params.iter().enumerate() {
            if offer.params[..index]
                .iter()
                .any(|(earlier, _)| earlier == key)
            {
                return None;
            }
            match (*key, value.as_deref()) {
                ("server_no_context_takeover", None) => deflate.server_no_context_takeover = true,
                ("client_no_context_takeover", None) => deflate.client_no_context_takeover = true,
                ("server_max_window_bits", Some(bits)) => {
                    deflate.server_max_window_bits = Some(window_bits(bits)?);
                }
                ("client_max_window_bits", bits) => {
                    deflate.client_max_window_bits = match bits {
                        None => ClientWindow::Negotiable,
                        Some(bits) => ClientWindow::AtMost(window_bits(bits)?),
                    };
                }
                _ => return None,
            }
        }
        Some(deflate)
    }
}

/// A window size in decimal without leading zeros.
fn window_bits(value: &str) -> Option<u8> {
    let bits = value.parse().ok().filter(|bits| (8..=15).contains(bits))?;
    (value.bytes().all(|byte| byte.is_ascii_digit()) && !value.starts_with('0')).then_some(bits)
}

/// The range of windows, as powers of two (RFC 7692 §7.1.2).
pub(super) const MIN_WINDOW_BITS: u8 = 8;
pub(super) const MAX_WINDOW_BITS: u8 = 15;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extensions::parse_extensions;

    fn deflate(value: &str) -> Option<DeflateOffer> {
        DeflateOffer::from_extension(&parse_extensions(value).unwrap()[0])
    }

    #[test]
    fn browser_offer_is_understood() {
        let offer = deflate("permessage-deflate; client_max_window_bits").unwrap();
        assert_eq!(offer.client_max_window_bits, ClientWindow::Negotiable);
        assert_eq!(offer.server_max_window_bits, None);
    }

    #[test]
    fn every_deflate_parameter_is_understood() {
        let offer = deflate(
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
             server_max_window_bits=10; client_max_window_bits=\"12\"",
        );
        let expected = DeflateOffer {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: Some(10),
            client_max_window_bits: ClientWindow::AtMost(12),
        };
        assert_eq!(offer, Some(expected));
    }

    #[test]
    fn deflate_offer_with_a_bad_parameter_is_declined() {
        for params in [
            "unknown",
            "server_max_window_bits",
            "server_max_window_bits=7",
            "server_max_window_bits=16",
            "server_max_window_bits=08",
            "server_max_window_bits=+9",
            "client_max_window_bits=0",
            "server_no_context_takeover=1",
            "client_no_context_takeover; client_no_context_takeover",
        ] {
            assert_eq!(
                deflate(&format!("permessage-deflate; {params}")),
                None,
                "{params}"
            );
        }
    }
}
