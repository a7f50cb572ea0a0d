//! The words every layer speaks. It never parses, decides or does anything.

mod bearer;
mod call;
mod flow;
mod shown;
mod side;
mod subject;
mod time;
mod words;
mod zone;

pub use bearer::Bearer;
pub use call::{CallDirection, CallNo, Leg};
pub use flow::{ConnId, Flow, ListenerId, Transport, UpstreamId};
pub use shown::{clock, is_treacherous, shown};
pub use side::Side;
pub use subject::Subject;
pub use time::{Moment, Mono, Now, Wall};
pub(crate) use words::words;
pub use zone::zone;
