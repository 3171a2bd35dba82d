//! What can be set in the same way for each way of using Redis.

/// Setters of something that has an `endpoint` and a `config`.
macro_rules! common_settings {
    ($kind:ident) => {
        impl $kind {
            /// How TLS is spoken with a Redis whose URL says that it is.
            ///
            /// # Errors
            ///
            /// If its URL does not, or if the certificates are none.
            #[cfg(feature = "tls")]
            pub fn tls(
                mut self,
                tls: &$crate::EngineTls,
            ) -> ::std::result::Result<Self, $crate::RedisUrlError> {
                self.endpoint = self.endpoint.with_tls(tls)?;
                Ok(self)
            }

            /// Settings that are not about Redis.
            pub fn cluster(mut self, config: $crate::ClusterConfig) -> Self {
                self.config = config;
                self
            }
        }
    };
}

pub(crate) use common_settings;
