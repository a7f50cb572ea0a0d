//! RTCP packets: read for reports, and one edit in place (an SDES CNAME) (RFC 3550 §6).
