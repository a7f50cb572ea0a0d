//! Bytes ↔ types. It never decides what a message may do; what it cannot read unambiguously it
//! refuses, what it need not read it keeps byte for byte. The engine reads on from here.

pub mod addresses;
pub mod body;
pub mod demux;
pub mod limits;
pub mod rtcp;
pub mod rtp;
pub mod sdp;
pub mod sip;
pub mod stun;
pub mod tls;
pub mod tunnel;
pub mod vq_report;
