//! Every limit of what comes in, in one place (README "Limits"; `config show` prints them).

/// Octets of a UDP message.
pub const DATAGRAM: usize = 65_507;
/// Octets of a message on a stream.
pub const STREAM_MESSAGE: usize = 65_535;
/// Header lines of a message.
pub const HEADER_LINES: usize = 256;
/// Octets of one header line without its CRLF: as it came, and unfolded with its long name.
pub const HEADER_LINE: usize = 8_192;
/// Octets of a method.
pub const METHOD: usize = 256;
/// Octets of a URI.
pub const URI: usize = 2_048;
/// Octets of a host name (RFC 1035 §2.3.4, RFC 1123 §2.1).
pub const HOST: usize = 253;
/// Octets of a label of a host name.
pub const HOST_LABEL: usize = 63;
/// Parameters of a URI, and of one value of a header that a proxy reads.
pub const PARAMS: usize = 64;
/// Headers within a URI (what follows its `?`).
pub const URI_HEADERS: usize = 64;
/// Via values.
pub const VIAS: usize = 70;
/// Contact values.
pub const CONTACTS: usize = 64;
/// Route values.
pub const ROUTES: usize = 64;
/// Parts of a multipart body; nesting is refused.
pub const MULTIPART_PARTS: usize = 16;
/// Octets of an SDP body.
pub const SDP: usize = 20 * 1024;
/// Lines of an SDP body.
pub const SDP_LINES: usize = 512;
/// Octets of an SDP line.
pub const SDP_LINE: usize = 4 * 1024;
/// `m=` lines of an SDP body.
pub const SDP_MEDIA: usize = 16;
/// Octets of a voice quality report.
pub const QUALITY_REPORT: usize = 8 * 1024;
/// Lines of a voice quality report.
pub const QUALITY_REPORT_LINES: usize = 128;
