//! Media as values: which ports are free, which packet may pass and where to, what was counted.
//! It never owns a socket; `driver::relay_worker` carries its decisions out.

mod burst;
pub mod cname;
pub mod command;
pub mod content;
pub mod emodel;
pub mod flow;
pub mod meter;
pub mod ports;
pub mod quality;
pub mod stream;

pub use command::{
    Command, Counters, DropReason, Event, Expect, FlowCounters, Leg, LegConfig, Party, StreamId,
};
