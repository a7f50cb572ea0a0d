//! What carries a tunnel.

use super::words;

words! {
    /// What carries a tunnel between two gateways at a time.
    pub enum Bearer {
        /// QUIC (RFC 9000).
        Quic = "quic",
        /// TLS by TCP, through a proxy or without one.
        Tcp = "tcp",
    }
}
