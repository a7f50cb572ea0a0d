//! The words every layer speaks. It never parses, decides or does anything.

mod flow;
mod side;
mod time;
mod zone;

pub use flow::{ConnId, Flow, ListenerId, Transport};
pub use side::Side;
pub use time::{Mono, Now, Wall};
pub use zone::zone;
