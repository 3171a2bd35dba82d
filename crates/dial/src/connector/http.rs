//! Opening sessions over HTTP: on long-polling and on WebSockets.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use sockeye_engine_proto::payload;
use sockeye_engine_proto::{Limits, OpenPacket, Revision, Session, TransportKind};
use sockeye_websocket::Role;

use super::exchange::{HttpExchange, caught};
use super::stream::{read_first, read_open, to_open};
use super::target::{Target, framing};
use super::transport::{OpenedTransport, Transport};
use super::{Begun, ConnectRequest, Connector, OpenError, now};
use crate::dialer::{Answer, DialError};
use sockeye_engine::Dialect;
use sockeye_engine::{Agreed, AnyCarrier, Early, Requests, Wire};

/// How long a server has to show that it speaks revision 3, by sending what such servers send at
/// once behind the open packet.
const TELLTALE: Duration = Duration::from_millis(500);

/// How many bytes go into one request to servers that do not say how many they take, as those
/// before Socket.IO 4.5: the default limit of the latest of them. A larger packet goes alone.
const UNANNOUNCED_MAX_PAYLOAD: usize = 1_000_000;

impl Connector {
    /// Tries the transports in turn, as far as that is wanted.
    pub(super) async fn open_http(&self, request: &ConnectRequest) -> Result<Begun, OpenError> {
        let config = &self.shared.config;
        let mut transports = self.transports(request).to_vec();
        if let Some(kind) = transports.iter().find(|kind| !config.can_use(**kind)) {
            return Err(OpenError::ForeignTransport(*kind));
        }
        if config.remember_upgrade
            && let Some(worked) = self.shared.remembered()
        {
            // A stable sort: the others stay in their order.
            transports.sort_by_key(|kind| *kind != worked);
        }
        if !config.try_all_transports {
            transports.truncate(1);
        }
        let mut failure = OpenError::NoTransport;
        let mut transports = transports.into_iter();
        while let Some(transport) = transports.next() {
            let limit = config.transport_timeout.filter(|_| transports.len() > 0);
            match self.open_within(limit, request, transport).await {
                Ok(begun) => {
                    let worked = Some(transport).filter(|kind| kind.is_upgrade_target());
                    self.shared.remember(worked);
                    return Ok(begun);
                }
                Err(error) => {
                    tracing::debug!(transport = transport.name(), %error, "no session");
                    self.shared.remember(None);
                    failure = error;
                }
            }
        }
        Err(failure)
    }

    /// The transports to use, the one to begin with first.
    fn transports<'a>(&'a self, request: &'a ConnectRequest) -> &'a [TransportKind] {
        let configured = &self.shared.config.transports;
        request.transports.as_ref().unwrap_or(configured)
    }

    async fn open_within(
        &self,
        limit: Option<Duration>,
        request: &ConnectRequest,
        transport: TransportKind,
    ) -> Result<Begun, OpenError> {
        let opening = self.open_transport(request, transport);
        match limit {
            None => opening.await,
            Some(limit) => tokio::time::timeout(limit, opening)
                .await
                .unwrap_or(Err(OpenError::TransportTimeout { transport, limit })),
        }
    }

    async fn open_transport(
        &self,
        request: &ConnectRequest,
        transport: TransportKind,
    ) -> Result<Begun, OpenError> {
        let asked = self.shared.config.revision;
        let mut revision = asked.unwrap_or(Revision::V4);
        loop {
            match self.open_as(request, transport, revision).await {
                Err(OpenError::UnsupportedRevision)
                    if asked.is_none() && revision == Revision::V4 =>
                {
                    revision = Revision::V3;
                }
                result => return result,
            }
        }
    }

    async fn open_as(
        &self,
        request: &ConnectRequest,
        transport: TransportKind,
        revision: Revision,
    ) -> Result<Begun, OpenError> {
        let target = Target::new(&self.shared.config, request, transport, revision);
        match (self.shared.config.own_transport(transport), transport) {
            (Some(own), _) => self.open_own(own, &target).await,
            (None, TransportKind::WebSocket) => self.open_websocket(target).await,
            (None, _) => self.open_polling(target, request).await,
        }
    }

    async fn open_own(&self, own: &dyn Transport, target: &Target) -> Result<Begun, OpenError> {
        let config = &self.shared.config;
        let transport = target.transport;
        let opened = caught(|| own.open(target.handed_out(&config.limits))).await;
        let OpenedTransport { open, carrier } =
            opened.map_err(|source| OpenError::Transport { transport, source })?;
        Ok(Begun {
            state: Session::client(target.revision, transport, &open, now()),
            sid: open.sid,
            dialect: Dialect::Packets,
            base64: config.force_base64,
            carrier,
            agreed: Agreed::Nothing,
        })
    }

    async fn open_polling(
        &self,
        mut target: Target,
        request: &ConnectRequest,
    ) -> Result<Begun, OpenError> {
        let config = &self.shared.config;
        let path = target.path_and_query();
        let dialer = &self.shared.dialer;
        let answer = dialer.request(&target.url, &path, &target.headers, None);
        let answer = answer.await?;
        if answer.status != StatusCode::OK {
            return Err(OpenError::refusal(answer.status, &answer.body));
        }
        if config.revision.is_none() && shows_revision_3(&answer) {
            target.revision = Revision::V3;
        }

        let mut dialect = payload::PayloadDialect::new(target.revision);
        if config.force_base64 {
            dialect = dialect.force_base64();
        }
        let mut packets = VecDeque::new();
        let content = framing(target.revision, answer.content);
        let limits = config.limits.payload;
        for packet in payload::decode(content, &answer.body, &limits, &mut dialect) {
            packets.push_back(packet.map_err(OpenError::handshake)?.into_owned());
        }
        let first = packets
            .pop_front()
            .ok_or_else(|| OpenError::handshake("the first answer holds no packet"))?;
        let open = to_open(&first)?;

        let target = target.of(&open.sid);
        let revision = target.revision;
        let upgrades = self.upgrades(&target, request, &open);
        let mut state = Session::client(revision, target.transport, &open, now());
        if !packets.is_empty() {
            // As if they had come by a GET: no upgrade is completed before they are handled.
            state.begin_poll(now());
        }
        let exchange = HttpExchange::new(Arc::clone(&self.shared), target, upgrades);
        let requests = Requests::new(
            Box::new(exchange),
            dialect,
            open.max_payload.unwrap_or(UNANNOUNCED_MAX_PAYLOAD),
            config
                .limits
                .payload
                .max_packets_per_payload
                .min(Limits::default().max_packets_per_payload),
            packets,
        );
        Ok(Begun {
            state,
            sid: open.sid,
            dialect: Dialect::Packets,
            base64: config.force_base64,
            carrier: AnyCarrier::other(requests),
            agreed: Agreed::Nothing,
        })
    }

    /// What a session on polling is to move to.
    fn upgrades(
        &self,
        target: &Target,
        request: &ConnectRequest,
        open: &OpenPacket,
    ) -> Vec<Target> {
        let config = &self.shared.config;
        let wanted = self.transports(request).iter();
        wanted
            .filter(|kind| config.upgrade && open.upgrades.contains(kind))
            .filter(|kind| kind.is_upgrade_target())
            .map(|kind| Target::new(config, request, *kind, target.revision).of(&open.sid))
            .collect()
    }

    async fn open_websocket(&self, target: Target) -> Result<Begun, OpenError> {
        let config = &self.shared.config;
        let path = target.path_and_query();
        let dialer = &self.shared.dialer;
        let deflate = config.per_message_deflate;
        let dialed = dialer.websocket(&target.url, &path, &target.headers, deflate);
        let stream = match dialed.await {
            Err(DialError::Refused { status, body, .. }) => {
                return Err(OpenError::refusal(status, body.as_bytes()));
            }
            result => result?,
        };
        let agreed = stream.deflate.into();
        let mut wire = Wire::websocket(stream, config.limits.payload.max_payload, Role::Client);
        let open = read_open(&mut wire).await?;
        let old = config.revision.is_none()
            && target.revision == Revision::V4
            && open.max_payload.is_none()
            && sends_first(&mut wire).await?;
        let revision = if old { Revision::V3 } else { target.revision };
        Ok(Begun {
            state: Session::client(revision, target.transport, &open, now()),
            sid: open.sid,
            dialect: Dialect::Packets,
            base64: config.force_base64,
            carrier: wire.into(),
            agreed,
        })
    }
}

/// Whether an answer is in one of the two framings of revision 3: one begins with the length of
/// the open packet and a colon, the other with the kind of the packet as a number.
fn shows_revision_3(answer: &Answer) -> bool {
    let digits = answer.body.iter().take_while(|byte| byte.is_ascii_digit());
    let colon = digits.count();
    matches!(answer.body.first(), Some(0 | 1)) || colon > 0 && answer.body.get(colon) == Some(&b':')
}

/// Whether the server joins the client to the main namespace unasked, or refuses to, as servers
/// before Socket.IO 3 do. An open packet on a WebSocket does not tell them from those up to 4.4.
async fn sends_first(wire: &mut Wire) -> Result<bool, OpenError> {
    let Ok(first) = tokio::time::timeout(TELLTALE, read_first(wire)).await else {
        return Ok(false);
    };
    let first = first?;
    wire.unread(&first);
    // Whatever it looks like: its format is the parser's. Later servers keep their messages until they have been asked.
    Ok(match first {
        Early::Text(text) => text.starts_with('4'),
        Early::Binary(_) => true,
    })
}
