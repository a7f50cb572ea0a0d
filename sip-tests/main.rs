//! One test binary: the engine through its front door, and the house rules.

mod lab;

mod call;
mod cancel;
mod forking;
mod hiding;
mod limits;
mod media;
mod policy;
mod registration;
mod reinvite;
mod reload;
mod retransmission;
