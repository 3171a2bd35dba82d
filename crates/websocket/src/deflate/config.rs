use super::Context;
use super::offer::{ClientWindow, DeflateOffer, MAX_WINDOW_BITS, MIN_WINDOW_BITS};
use crate::extensions::ExtensionOffer;

/// Settings of permessage-deflate (RFC 7692), for either end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeflateConfig {
    /// Shortest message that is compressed, in bytes; 1024 by default. 0 compresses all. 4 GiB are as long as any.
    pub threshold: usize,
    /// How hard to compress, from 1 (fast) to 9 (small); 1 by default. A kibibyte of JSON takes two to three times as
    /// long at 3, for three quarters of the size. Anything else is taken for the nearest of them.
    pub level: u8,
    /// Whether compressed messages may refer to those before them, in both directions; `false` by default.
    ///
    /// It makes small messages that are alike much smaller. But then each connection keeps a compressor (up to 371 KiB)
    /// and a decompressor (46 KiB) from the first compressed message on, and nothing that is sent to several peers is
    /// compressed only once.
    pub context_takeover: bool,
    /// Largest window that this end compresses with, as a power of two: 9 to 15, which is the default.
    ///
    /// Of the smaller windows that a client may ask for, a server whose messages do not refer to each other agrees on 9
    /// and 10 only, so that one message need not be compressed for each of them.
    pub max_window_bits: u8,
    /// Largest window that the peer is asked to compress with: 8 to 15, which is the default. It saves memory at the
    /// peer, and none here.
    pub max_peer_window_bits: u8,
}

impl DeflateConfig {
    /// Sets the shortest message that is compressed.
    #[must_use]
    pub const fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// Sets how hard to compress, from 1 to 9.
    #[must_use]
    pub const fn level(mut self, level: u8) -> Self {
        self.level = level;
        self
    }

    /// Sets whether messages may refer to those before them.
    #[must_use]
    pub const fn context_takeover(mut self, takeover: bool) -> Self {
        self.context_takeover = takeover;
        self
    }

    /// Sets the largest window that this end compresses with.
    #[must_use]
    pub const fn max_window_bits(mut self, bits: u8) -> Self {
        self.max_window_bits = bits;
        self
    }

    /// Sets the largest window that the peer is asked to compress with.
    #[must_use]
    pub const fn max_peer_window_bits(mut self, bits: u8) -> Self {
        self.max_peer_window_bits = bits;
        self
    }

    fn own_bits(&self) -> u8 {
        self.max_window_bits
            .clamp(MIN_WINDOW_BITS + 1, MAX_WINDOW_BITS)
    }

    fn peer_bits(&self) -> u8 {
        self.max_peer_window_bits
            .clamp(MIN_WINDOW_BITS, MAX_WINDOW_BITS)
    }

    const fn context(&self, agreed_on_none: bool) -> Context {
        match self.context_takeover && !agreed_on_none {
            true => Context::Kept,
            false => Context::Fresh,
        }
    }

    /// The value of `Sec-WebSocket-Extensions` for a client's request.
    pub(crate) fn request_header(&self) -> String {
        let mut header = NAME.to_owned();
        if !self.context_takeover {
            header += "; client_no_context_takeover; server_no_context_takeover";
        }
        header += "; client_max_window_bits";
        if self.own_bits() < MAX_WINDOW_BITS {
            header += &format!("={}", self.own_bits());
        }
        if self.peer_bits() < MAX_WINDOW_BITS {
            header += &format!("; server_max_window_bits={}", self.peer_bits());
        }
        header
    }

    /// A server's choice among the offers of a client; `None` if there is none that it can take.
    pub(crate) fn accept(&self, offers: &[ExtensionOffer<'_>]) -> Option<Deflate> {
        let offers = offers.iter().filter_map(DeflateOffer::from_extension);
        offers.filter_map(|offer| self.accept_offer(offer)).next()
    }

    fn accept_offer(&self, offer: DeflateOffer) -> Option<Deflate> {
        let asked = offer.server_max_window_bits;
        let context = self.context(offer.server_no_context_takeover);
        let window_bits = match (asked, context) {
            (Some(bits), Context::Fresh) if bits < self.own_bits() => {
                SMALLER_WINDOWS.into_iter().find(|window| *window <= bits)
            }
            (asked, _) => Some(asked.unwrap_or(MAX_WINDOW_BITS).min(self.own_bits())),
        };
        // zlib has no window of 8 bits, and to promise one would be a lie.
        let window_bits = window_bits.filter(|bits| *bits > MIN_WINDOW_BITS)?;
        let client_bits = match offer.client_max_window_bits {
            ClientWindow::Fixed => None,
            ClientWindow::Negotiable => Some(self.peer_bits()),
            ClientWindow::AtMost(bits) => Some(bits.min(self.peer_bits())),
        };
        Some(Deflate {
            threshold: self.threshold.try_into().unwrap_or(u32::MAX),
            level: self.level.clamp(1, 9),
            window_bits,
            context,
            peer_context: self.context(offer.client_no_context_takeover),
            server_bits: (asked.is_some() || window_bits < MAX_WINDOW_BITS).then_some(window_bits),
            client_bits: client_bits.filter(|bits| *bits < MAX_WINDOW_BITS),
        })
    }

    /// What a server's answer to the offer of this client means; `None` if it is none that it may give.
    pub(crate) fn verify(&self, answer: &ExtensionOffer<'_>) -> Option<Deflate> {
        let answer = DeflateOffer::from_extension(answer)?;
        let window_bits = match answer.client_max_window_bits {
            ClientWindow::Fixed => self.own_bits(),
            ClientWindow::AtMost(bits) if bits <= self.own_bits() => bits,
            ClientWindow::AtMost(_) | ClientWindow::Negotiable => return None,
        };
        let server_bits = answer.server_max_window_bits;
        if self.peer_bits() < MAX_WINDOW_BITS
            && server_bits.is_none_or(|bits| bits > self.peer_bits())
        {
            return None;
        }
        Some(Deflate {
            threshold: self.threshold.try_into().unwrap_or(u32::MAX),
            level: self.level.clamp(1, 9),
            window_bits,
            context: self.context(answer.client_no_context_takeover),
            // It was asked to forget them. One that does not say so may refer to them still, and is understood.
            peer_context: match answer.server_no_context_takeover {
                true => Context::Fresh,
                false => Context::Kept,
            },
            server_bits: None,
            client_bits: None,
        })
    }
}

impl Default for DeflateConfig {
    fn default() -> Self {
        Self {
            threshold: 1024,
            level: 1,
            context_takeover: false,
            max_window_bits: MAX_WINDOW_BITS,
            max_peer_window_bits: MAX_WINDOW_BITS,
        }
    }
}

const NAME: &str = "permessage-deflate";

/// The windows that a server agrees on below its own, if its messages stand by themselves. What is sent to many peers is
/// compressed once for each window among them, so that they do not have the choice among all: who asks for one in between
/// gets the next smaller one (RFC 7692 §7.1.2.1).
const SMALLER_WINDOWS: [u8; 2] = [10, 9];

/// What both ends of one connection agreed on: that messages may be compressed, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deflate {
    threshold: u32,
    level: u8,
    window_bits: u8,
    context: Context,
    peer_context: Context,
    /// What a server's response has to say.
    server_bits: Option<u8>,
    client_bits: Option<u8>,
}

impl Deflate {
    /// Shortest message that this end compresses, in bytes; `None` if it never does, as its peer asked for a window that
    /// there is none of.
    pub const fn threshold(&self) -> Option<usize> {
        match self.window_bits > MIN_WINDOW_BITS {
            true => Some(self.threshold as usize),
            false => None,
        }
    }

    /// How hard this end compresses, from 1 to 9.
    pub const fn level(&self) -> u8 {
        self.level
    }

    /// The window that this end compresses with, as a power of two: 9 to 15.
    pub const fn window_bits(&self) -> u8 {
        self.window_bits
    }

    /// What the messages of this end may refer to.
    pub const fn context(&self) -> Context {
        self.context
    }

    /// What the messages of the peer may refer to.
    pub const fn peer_context(&self) -> Context {
        self.peer_context
    }

    /// The value of `Sec-WebSocket-Extensions` for the server's response.
    pub(crate) fn response_header(&self) -> String {
        let mut header = NAME.to_owned();
        if self.context == Context::Fresh {
            header += "; server_no_context_takeover";
        }
        if self.peer_context == Context::Fresh {
            header += "; client_no_context_takeover";
        }
        if let Some(bits) = self.server_bits {
            header += &format!("; server_max_window_bits={bits}");
        }
        if let Some(bits) = self.client_bits {
            header += &format!("; client_max_window_bits={bits}");
        }
        header
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extensions::parse_extensions;

    fn accept(config: DeflateConfig, offers: &str) -> Option<Deflate> {
        config.accept(&parse_extensions(offers).unwrap())
    }

    fn answer(config: DeflateConfig, offers: &str) -> Option<String> {
        accept(config, offers).map(|agreed| agreed.response_header())
    }

    const NEITHER: &str =
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

    #[test]
    fn server_forgets_messages_and_has_its_peers_forget_them() {
        let config = DeflateConfig::default();
        for offer in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "x-other, permessage-deflate; client_max_window_bits=15",
        ] {
            assert_eq!(answer(config, offer).unwrap(), NEITHER, "{offer}");
        }
        let agreed = accept(config, "permessage-deflate").unwrap();
        assert_eq!(agreed.context(), Context::Fresh);
        assert_eq!(agreed.peer_context(), Context::Fresh);
        assert_eq!(agreed.threshold(), Some(1024));
        assert_eq!((agreed.level(), agreed.window_bits()), (1, 15));
    }

    #[test]
    fn server_keeps_messages_in_mind_if_told_to_and_allowed() {
        let config = DeflateConfig::default().context_takeover(true);
        for (offer, expected) in [
            ("", ""),
            (
                "; server_no_context_takeover",
                "; server_no_context_takeover",
            ),
            (
                "; client_no_context_takeover",
                "; client_no_context_takeover",
            ),
        ] {
            let answer = answer(config, &format!("permessage-deflate{offer}"));
            assert_eq!(answer.unwrap(), format!("permessage-deflate{expected}"));
        }
    }

    #[test]
    fn windows_are_as_small_as_either_end_wants() {
        for (own, peer, offer, expected) in [
            (
                15,
                15,
                "server_max_window_bits=15",
                "; server_max_window_bits=15",
            ),
            (
                15,
                15,
                "server_max_window_bits=9",
                "; server_max_window_bits=9",
            ),
            (
                11,
                15,
                "server_max_window_bits=14",
                "; server_max_window_bits=11",
            ),
            (
                11,
                12,
                "client_no_context_takeover",
                "; server_max_window_bits=11",
            ),
            (
                15,
                12,
                "client_max_window_bits",
                "; client_max_window_bits=12",
            ),
            (
                15,
                12,
                "client_max_window_bits=10",
                "; client_max_window_bits=10",
            ),
            (
                15,
                12,
                "client_max_window_bits=13",
                "; client_max_window_bits=12",
            ),
        ] {
            let config = DeflateConfig::default()
                .max_window_bits(own)
                .max_peer_window_bits(peer);
            let answer = answer(config, &format!("permessage-deflate; {offer}"));
            assert_eq!(answer.unwrap(), format!("{NEITHER}{expected}"), "{offer}");
        }
    }

    #[test]
    fn clients_have_the_choice_among_few_windows() {
        let windows = |config: DeflateConfig| {
            let agreed = (9..=15).map(|bits| {
                let offer = format!("permessage-deflate; server_max_window_bits={bits}");
                let agreed = accept(config, &offer).unwrap();
                let said = agreed.response_header();
                assert!(said.contains(&format!("={}", agreed.window_bits())));
                agreed.window_bits()
            });
            agreed.collect::<Vec<_>>()
        };
        let config = DeflateConfig::default();
        assert_eq!(windows(config), [9, 10, 10, 10, 10, 10, 15]);
        assert_eq!(
            windows(config.max_window_bits(12)),
            [9, 10, 10, 12, 12, 12, 12]
        );
        // There each connection has a compressor of its own.
        assert_eq!(
            windows(config.context_takeover(true)),
            [9, 10, 11, 12, 13, 14, 15]
        );
    }

    #[test]
    fn first_offer_that_can_be_kept_is_taken() {
        let config = DeflateConfig::default();
        let offers = "permessage-deflate; server_max_window_bits=8, permessage-deflate; unknown, \
                      permessage-deflate; server_max_window_bits=10, permessage-deflate";
        let expected = format!("{NEITHER}; server_max_window_bits=10");
        assert_eq!(answer(config, offers), Some(expected));
        assert_eq!(
            accept(config, "permessage-deflate; server_max_window_bits=8"),
            None
        );
        assert_eq!(accept(config, "x-webkit-deflate-frame"), None);
    }

    #[test]
    fn client_offers_what_it_is_set_to() {
        let config = DeflateConfig::default();
        assert_eq!(
            config.request_header(),
            "permessage-deflate; client_no_context_takeover; server_no_context_takeover; \
             client_max_window_bits"
        );
        let config = config
            .context_takeover(true)
            .max_window_bits(0)
            .max_peer_window_bits(10);
        assert_eq!(
            config.request_header(),
            "permessage-deflate; client_max_window_bits=9; server_max_window_bits=10"
        );
    }

    fn verify(config: DeflateConfig, answer: &str) -> Option<Deflate> {
        config.verify(&parse_extensions(answer).unwrap()[0])
    }

    #[test]
    fn client_understands_the_answer() {
        let config = DeflateConfig::default().level(30);
        let agreed = verify(config, NEITHER).unwrap();
        assert_eq!(agreed.peer_context(), Context::Fresh);
        assert_eq!((agreed.window_bits(), agreed.level()), (15, 9));
        let agreed = verify(config, "permessage-deflate; client_max_window_bits=10").unwrap();
        assert_eq!(agreed.window_bits(), 10);
        assert_eq!(agreed.context(), Context::Fresh);
        assert_eq!(
            agreed.peer_context(),
            Context::Kept,
            "it did not promise to"
        );
        let never = verify(config, "permessage-deflate; client_max_window_bits=8");
        assert_eq!(never.unwrap().threshold(), None);
        let takeover = config.context_takeover(true);
        let agreed = verify(takeover, "permessage-deflate").unwrap();
        assert_eq!(agreed.context(), Context::Kept);
        let agreed = verify(takeover, "permessage-deflate; client_no_context_takeover");
        assert_eq!(agreed.unwrap().context(), Context::Fresh);
    }

    #[test]
    fn client_refuses_an_answer_that_goes_beyond_its_offer() {
        let config = DeflateConfig::default()
            .max_window_bits(12)
            .max_peer_window_bits(10);
        for answer in [
            "x-other",
            "permessage-deflate; unknown",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; client_max_window_bits=13; server_max_window_bits=10",
            "permessage-deflate; server_max_window_bits=11",
            "permessage-deflate",
        ] {
            assert_eq!(verify(config, answer), None, "{answer}");
        }
        assert!(verify(config, "permessage-deflate; server_max_window_bits=9").is_some());
    }

    #[test]
    fn both_ends_agree_on_the_same() {
        let configs = || {
            [false, true].into_iter().flat_map(|takeover| {
                [(15, 15), (9, 8), (12, 15), (15, 10)].map(|(own, peer)| {
                    DeflateConfig::default()
                        .context_takeover(takeover)
                        .max_window_bits(own)
                        .max_peer_window_bits(peer)
                })
            })
        };
        for client in configs() {
            for server in configs() {
                let Some(of_server) = accept(server, &client.request_header()) else {
                    assert_eq!(client.max_peer_window_bits, 8);
                    continue;
                };
                let of_client = verify(client, &of_server.response_header()).unwrap();
                assert_eq!(of_client.context(), of_server.peer_context());
                assert_eq!(of_client.peer_context(), of_server.context());
                assert!(of_server.window_bits() <= client.max_peer_window_bits);
                assert!(of_client.window_bits() <= server.max_peer_window_bits);
            }
        }
    }
}
