//! What Redis does not let this server subscribe to.

use std::collections::HashMap;
use std::sync::Arc;

use redis::RedisError;
use sockeye_cluster::Link;

/// A namespace that is being subscribed to. All of its channels share it; the last one that is subscribed to opens it.
#[derive(Debug)]
pub(crate) struct Opened(pub(crate) Arc<str>);

/// A channel, or a pattern of channels, to be subscribed to.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub(crate) verb: &'static str,
    pub(crate) channel: String,
    /// The namespace that is to be opened by it.
    pub(crate) opened: Option<Arc<Opened>>,
    /// It was refused before.
    is_again: bool,
}

impl Subscription {
    pub(crate) fn new(verb: &'static str, channel: String, opened: Option<&Arc<Opened>>) -> Self {
        Self {
            verb,
            channel,
            opened: opened.cloned(),
            is_again: false,
        }
    }
}

/// The subscriptions that were refused on this connection, by their channels. As long as there are any, this server does not hear
/// all that it should.
#[derive(Debug, Default)]
pub(crate) struct Refusals(HashMap<String, Subscription>);

impl Refusals {
    /// None yet, on a new connection.
    pub(crate) fn new(link: &Link) -> Self {
        link.allowed();
        Self::default()
    }

    /// Redis has subscribed to something, or refuses that.
    pub(crate) fn answered(
        &mut self,
        link: &Link,
        subscription: Subscription,
        refused: Option<&RedisError>,
    ) {
        match refused {
            // It was left meanwhile.
            Some(_) if subscription.is_again && !self.0.contains_key(&subscription.channel) => {}
            Some(error) => {
                link.refused(&format!("Redis refuses a subscription: {error}"));
                self.0.insert(subscription.channel.clone(), subscription);
            }
            None => {
                let was_refused =
                    !self.0.is_empty() && self.0.remove(&subscription.channel).is_some();
                let opened = subscription.opened.and_then(Arc::into_inner);
                if let Some(Opened(namespace)) = opened {
                    link.opened(&namespace, None);
                }
                if was_refused {
                    link.gap(None);
                    self.end(link);
                }
            }
        }
    }

    /// Channels are not wanted any more.
    pub(crate) fn forget(&mut self, link: &Link, channels: impl IntoIterator<Item = String>) {
        for channel in channels {
            if self.0.remove(&channel).is_some() {
                self.end(link);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Some of them, to be tried again: who may subscribe to what can be changed at any time.
    pub(crate) fn again(&self) -> impl Iterator<Item = Subscription> {
        self.0.values().take(AT_ONCE).map(|refused| Subscription {
            is_again: true,
            ..refused.clone()
        })
    }

    fn end(&self, link: &Link) {
        if self.0.is_empty() {
            link.allowed();
        }
    }
}

/// There may be a room for each socket.
const AT_ONCE: usize = 1024;
