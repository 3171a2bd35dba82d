//! Events, handlers, extractors and acknowledgements shared by the Sockeye server and client.
