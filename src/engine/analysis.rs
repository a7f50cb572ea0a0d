//! Protocol analysis: what stands between the two faces. A request is read once (`incoming`),
//! checked in the order of RFC 3261 §16.3 (`check`), judged by its facts (`facts`), and rewritten
//! for the side it crosses to (`headers`, `references`, `body`, behind the `veil`). It keeps
//! nothing between two messages and knows no transaction.

mod agent;
pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod check;
pub(crate) mod commands;
pub(crate) mod facts;
mod family;
pub(crate) mod headers;
mod hide;
mod incoming;
pub(crate) mod lists;
pub(crate) mod references;
pub(crate) mod strip;
mod veil;

pub(crate) use hide::Leaving;
pub(crate) use incoming::{Incoming, contact_of};
pub(crate) use veil::{Veil, said_of_itself, set_host};

/// Methods the gateway names in Allow.
pub(crate) const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, REGISTER, OPTIONS, PRACK, SUBSCRIBE, \
     NOTIFY, PUBLISH, INFO, REFER, MESSAGE, UPDATE";
