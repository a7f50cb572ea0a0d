//! RTP headers, read only (RFC 3550 §5.1).
